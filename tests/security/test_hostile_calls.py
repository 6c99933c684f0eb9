"""Calls of IAM and STS with parameters that nobody should send: each gets an error, none breaks the server."""

import random
from urllib.parse import urlencode

from pyrite.iamapi.app import SERVICE_OF
from tests.security.people import allow, as_, document
from tests.security.wire import Wire
from tests.server import Server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NAMES = (
    "UserName GroupName RoleName PolicyName PolicyArn PolicyDocument AssumeRolePolicyDocument Path NewPath NewUserName "
    "Status Tags.member.1.Key Tags.member.1.Value TagKeys.member.1 Marker MaxItems VersionId SetAsDefault Url "
    "ClientIDList.member.1 ThumbprintList.member.1 OpenIDConnectProviderArn ClientID PermissionsBoundary RoleArn "
    "RoleSessionName Policy PolicyArns.member.1.arn DurationSeconds WebIdentityToken Name ActionNames.member.1 "
    "ResourceArns.member.1 PolicySourceArn PolicyInputList.member.1 ContextEntries.member.1.ContextKeyName "
    "ContextEntries.member.1.ContextKeyValues.member.1 MaxSessionDuration PathPrefix EntityFilter LDAPUsername "
    "LDAPPassword SourceIdentity TransitiveTagKeys.member.1"
).split()
VALUES = [
    "", "a", "x" * 5000, "*", "../..", "\0", "é☃\U0001f600", "{}", "[]", "-1", "0", "99999999999", "true", "v1", "&&&", "====",
    "arn:aws:iam::111111111111:user/admin", "arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:x", "arn:::::", "http://x",
    "https://e.example/a", "a.b.c", "${aws:x}", "${", document(allow("*")), document(allow("*", Principal="*")),
    document(allow("*", Condition={"NumericEquals": {"a": "NaN"}})), document(allow("*", Condition={"DateEquals": {"a": "1e400"}})),
]  # fmt: skip


def test_hostile_parameters(secure: Server, wire: Wire) -> None:
    """Random actions with random parameters of random kinds: never an internal failure."""
    rng = random.Random(11)
    actions = [action for action in SERVICE_OF if not action.endswith("AccessKey")]
    for _ in range(600):
        action = rng.choice(actions)
        given = {name: rng.choice(VALUES) for name in rng.sample(NAMES, rng.randrange(9))}
        body = urlencode({**given, "Action": action}).encode()
        answer = wire.signed(as_("ownerroot"), "POST", "/", FORM, body, SERVICE_OF[action])
        assert answer.status < 500, (action, given, answer)


def test_bodies_that_are_no_forms(secure: Server, wire: Wire) -> None:
    """Bytes at random, as a form: refused."""
    rng = random.Random(12)
    for _ in range(150):
        answer = wire.signed(as_("ownerroot"), "POST", "/", FORM, rng.randbytes(rng.randrange(200)), "iam")
        assert 400 <= answer.status < 500, answer
    assert "request_failed" not in secure.log.read_text()
