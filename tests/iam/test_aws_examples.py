"""The examples on AWS's pages about IAM: the evaluator and the naive one both say of them what the page says."""

import json
from typing import Any

import pytest

from pyrite.iam.caller import Caller
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.evaluate import Question, decide
from pyrite.iam.policy import Use, parse_policy
from tests.iam import naive
from tests.iam.test_naive import OWNERS, caller_and_names, escaped, iam, parsed, sts

HERE, THERE = "111111111111", "444455556666"
CANON = {**OWNERS, THERE: "canon-4"}
BOB, ALICE = iam(THERE, "user/Bob"), iam(THERE, "user/Alice")
AUDITOR = iam(THERE, "role/cross-account-read-only-role")
AUDIT = sts(THERE, "assumed-role/cross-account-read-only-role/cross-account-audit-app")
OTHER_AUDIT = sts(THERE, "assumed-role/cross-account-read-only-role/somebody-else")
OBJECT = "arn:aws:s3:::bucketname/key"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def says(effect: str = "Allow", action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


ALL, PUT = document(says()), document(says(action="s3:PutObject"))
OPEN = says(Principal="*")


def answer(
    arn: str,
    of_it: str,
    *,
    policies: tuple[str, ...] = (ALL,),
    boundary: str | None = None,
    session: str | None = None,
    owner: str = THERE,
    keys: naive.Keys | None = None,
    action: str = "s3:GetObject",
    resource: str = OBJECT,
) -> tuple[bool, bool]:
    """What both say of a request by the user, or the session of a role, with this ARN."""
    home, role, keys = arn.split(":")[4], ":assumed-role/" in arn, keys or {}
    behind = iam(home, "role/" + arn.split("/")[1]) if role else arn
    caller = Caller(
        kind="AssumedRole" if role else "User", account=home, owner=CANON[home], arn=arn, principal_arn=behind,
        policies=tuple(parse_policy(text, Use.IDENTITY) for text in policies), boundary=parsed(boundary),
        sessions=(parsed(session),) if session else (),
    )  # fmt: skip
    context = {key: tuple(values) for key, values in keys.items()}
    question = Question(action, resource, context, CANON[owner], owner, parse_policy(of_it, Use.RESOURCE))
    who = {
        "self": [arn], "behind": [behind] if role else [], "account": [iam(home, "root"), home],
        "canonical": CANON[home],
        "kind": caller.kind, "home": home, "root": False, "policies": list(policies), "key": [],
        "boundary": [boundary] if boundary else [], "session": [session] if session else [],
    }  # fmt: skip
    return decide(caller, question).allowed, naive.decision(who, of_it, owner, False, action, resource, keys)


def holds(policy: str, action: str, resource: str, **keys: Any) -> tuple[bool, bool]:
    """What both say where nothing but an identity's policy speaks; `aws__x` is the key aws:x."""
    given = {name.replace("__", ":").replace("_", "/").lower(): naive.listed(value) for name, value in keys.items()}
    caller = Caller(kind="User", account=HERE, owner="canon-1", policies=parsed(policy))
    context = {key: tuple(values) for key, values in given.items()}
    real = decide(caller, Question(action, resource, context, "canon-1", HERE)).allowed
    return real, naive.user_may([policy], None, None, action, resource, given)


YES, NO = (True, True), (False, False)


def but(*names: str) -> str:
    return document(OPEN, says("Deny", NotPrincipal={"AWS": list(names)}))


@pytest.mark.parametrize("owner", [THERE, HERE])
@pytest.mark.parametrize("account", [iam(THERE, "root"), THERE])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_all_but_bob(owner: str, account: str, step: int) -> None:
    """The page of NotPrincipal: Bob and his account are named, and everybody but Bob is denied."""
    of_it = escaped(but(BOB, account), step)
    assert answer(BOB, of_it, owner=owner) == YES
    for other in (ALICE, AUDIT, iam(HERE, "user/Bob"), iam(THERE, "user/bob")):
        assert answer(other, of_it, owner=owner) == NO, other


@pytest.mark.parametrize("owner", [THERE, HERE])
def test_all_but_a_session_of_a_role(owner: str) -> None:
    """The page of NotPrincipal: a session, its role and its account are named, and no user is exempted."""
    of_it = but(AUDIT, AUDITOR, iam(THERE, "root"))
    assert answer(AUDIT, of_it, owner=owner) == YES
    for other in (BOB, sts(THERE, "assumed-role/other/cross-account-audit-app"), iam(HERE, "user/Bob")):
        assert answer(other, of_it, owner=owner) == NO, other


def test_all_but_a_session_denies_the_other_sessions() -> None:
    """The page of NotPrincipal: all but the one session are denied, though the role stands beside it."""
    assert answer(OTHER_AUDIT, but(AUDIT, AUDITOR, iam(THERE, "root"))) == NO


def test_an_account_alone_exempts_nobody_in_it() -> None:
    """An account in NotPrincipal, by its ARN, its id or its canonical id, is no exemption of its users."""
    for account in ({"AWS": iam(THERE, "root")}, {"AWS": THERE}, {"CanonicalUser": CANON[THERE]}):
        assert answer(BOB, document(OPEN, says("Deny", NotPrincipal=account))) == NO, account


def test_not_principal_and_a_boundary() -> None:
    """The page of NotPrincipal: its Deny is always for who has a permissions boundary."""
    assert answer(BOB, but(BOB, iam(THERE, "root")), boundary=ALL) == NO


@pytest.mark.xfail(strict=True, reason="AWS documents that it is not supported, and takes it")
def test_not_principal_does_not_allow() -> None:
    """The page of NotPrincipal: with Allow it is not supported."""
    with pytest.raises(MalformedPolicy):
        parse_policy(document(says(NotPrincipal={"AWS": BOB})), Use.RESOURCE)


def test_the_condition_instead_of_not_principal() -> None:
    """The page of Principal: everybody is denied but the user whose ARN the condition names."""
    deny = says("Deny", Principal="*", Condition={"ArnNotEquals": {"aws:PrincipalArn": BOB}})
    assert answer(BOB, document(OPEN, deny), keys={"aws:principalarn": [BOB]}) == YES
    assert answer(ALICE, document(OPEN, deny), keys={"aws:principalarn": [ALICE]}) == NO
    assert answer(BOB, document(OPEN, deny), keys={"aws:principalarn": [BOB]}, boundary=ALL) == YES


@pytest.mark.xfail(strict=True, reason="stricter here: boundaries and sessions limit what * grants")
def test_everybody_with_the_arn_of_a_role() -> None:
    """The page of Principal: what * and aws:PrincipalArn allow, a boundary or a session policy does not limit."""
    of_it = document(says(Principal="*", Condition={"ArnEquals": {"aws:PrincipalArn": AUDITOR}}))
    keys = {"aws:principalarn": [AUDITOR]}
    assert answer(AUDIT, of_it, policies=(), session=PUT, keys=keys) == YES
    assert answer(AUDIT, of_it, policies=(), boundary=PUT, keys=keys) == YES
    assert answer(AUDIT, of_it, policies=(), session=document(says("Deny")), keys=keys) == NO


def test_a_role_and_its_session() -> None:
    """The page of evaluation: boundaries limit what a role is granted, not what its session is granted by name."""
    for limit in ({"boundary": PUT}, {"session": PUT}):
        assert answer(AUDIT, document(says(Principal={"AWS": AUDITOR})), policies=(), **limit) == NO
        assert answer(AUDIT, document(says(Principal={"AWS": AUDIT})), policies=(), **limit) == YES
        assert answer(AUDIT, document(says(Principal={"AWS": AUDIT})), owner=HERE, **limit) == NO


def test_carlos() -> None:
    """The page of evaluation within an account: his own bucket is his twice, and the logs are denied."""
    carlos = iam(HERE, "user/carlossalazar")
    own = ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"]
    policy = document(says(resource=own), says("Deny", resource="arn:aws:s3:::*log*"))
    of_it = document(says(resource=own, Principal={"AWS": carlos}))
    asked = {"owner": HERE, "action": "s3:PutObject"}
    assert answer(carlos, of_it, policies=(policy,), resource="arn:aws:s3:::carlossalazar/a", **asked) == YES
    assert answer(carlos, of_it, policies=(), resource="arn:aws:s3:::carlossalazar/a", **asked) == YES
    assert answer(carlos, of_it, policies=(policy,), resource="arn:aws:s3:::carlossalazar-logs/a", **asked) == NO


def test_all_but_the_payroll() -> None:
    """The page of NotResource: all of S3 is denied but one folder, which is not granted by that."""
    folder = ["arn:aws:s3:::HRBucket/Payroll", "arn:aws:s3:::HRBucket/Payroll/*"]
    deny = {"Effect": "Deny", "Action": "s3:*", "NotResource": folder}
    assert holds(document(says(), deny), "s3:GetObject", "arn:aws:s3:::HRBucket/Payroll/may") == YES
    assert holds(document(says(), deny), "s3:GetObject", "arn:aws:s3:::HRBucket/Else/may") == NO
    assert holds(document(deny), "s3:GetObject", "arn:aws:s3:::HRBucket/Payroll/may") == NO


def test_all_but_an_action() -> None:
    """The page of NotAction: everything of S3 but deleting a bucket; everything without MFA is denied but IAM."""
    but_delete = document({"Effect": "Allow", "NotAction": "s3:DeleteBucket", "Resource": "arn:aws:s3:::*"})
    assert holds(but_delete, "s3:GetObject", OBJECT) == YES
    assert holds(but_delete, "S3:deletebucket", "arn:aws:s3:::bucketname") == NO
    deny = {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"}
    deny["Condition"] = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    policy = document(says(action="*"), deny)
    assert holds(policy, "s3:GetObject", OBJECT) == NO
    assert holds(policy, "iam:GetUser", iam(HERE, "user/x")) == YES
    assert holds(policy, "s3:GetObject", OBJECT, aws__multifactorauthpresent="true") == YES


@pytest.mark.parametrize(
    ("key", "matches"),
    [
        ("1/test/object.jpg", True), ("1/2/test/3/object.jpg", True), ("1///test///object.jpg", True),
        ("1/test/.jpg", True), ("/test/object.jpg", True),
        ("1/test/", True), ("1-test/object.jpg", False), ("test/object.jpg", False),
        ("1/2/test.jpg", False),
    ],
)  # fmt: skip
def test_wildcards_of_a_resource(key: str, matches: bool) -> None:
    """The page of Resource: what a pattern with two stars matches."""
    policy = document(says(resource="arn:aws:s3:::DOC-EXAMPLE-BUCKET/*/test/*"))
    assert holds(policy, "s3:GetObject", f"arn:aws:s3:::DOC-EXAMPLE-BUCKET/{key}") == (matches, matches)


def test_arns_and_strings() -> None:
    """The page of operators: a star of StringLike runs across colons, and one of ArnLike does not."""
    wanted = "arn:aws:someservice:*:111122223333:finance/*"
    value = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"
    for operator, expected in (("StringLike", YES), ("ArnLike", NO), ("ArnEquals", NO), ("ArnNotLike", YES)):
        policy = document(says(Condition={operator: {"aws:SourceArn": wanted}}))
        assert holds(policy, "s3:GetObject", OBJECT, aws__sourcearn=value) == expected, operator


def test_the_attributes_of_a_thread() -> None:
    """The page of conditions with multiple values: every requested attribute, or any of them."""
    table = "arn:aws:dynamodb:r:1:table/Thread"
    listed = {"dynamodb:Attributes": ["ID", "Message", "Tags"]}
    get = document(says(action="dynamodb:GetItem", Condition={"ForAllValues:StringEquals": listed}))
    for asked, expected in ((["Message", "Tags"], YES), (["Message", "UserName"], NO), ([], YES)):
        assert holds(get, "dynamodb:GetItem", table, dynamodb__attributes=asked) == expected, asked
    denied = {"ForAnyValue:StringEquals": {"dynamodb:Attributes": ["ID", "PostDateTime"]}}
    put = document(says(action="*"), says("Deny", "dynamodb:PutItem", Condition=denied))
    for asked, expected in ((["PostDateTime", "Message"], NO), (["UserName"], YES), ([], YES)):
        assert holds(put, "dynamodb:PutItem", table, dynamodb__attributes=asked) == expected, asked


@pytest.mark.parametrize("step", [0, 1, 3])
def test_the_bucket_of_a_team(step: int) -> None:
    """The page of variables: the team's own bucket, and that of the company for who has no team."""
    resource = "arn:aws:s3:::DOC-EXAMPLE-BUCKET-${aws:PrincipalTag/team, 'company-wide'}"
    policy = escaped(document(says(resource=resource)), step)
    yellow, wide = "arn:aws:s3:::DOC-EXAMPLE-BUCKET-yellow", "arn:aws:s3:::DOC-EXAMPLE-BUCKET-company-wide"
    assert holds(policy, "s3:ListBucket", yellow, aws__principaltag_team="yellow") == YES
    assert holds(policy, "s3:ListBucket", wide, aws__principaltag_team="yellow") == NO
    assert holds(policy, "s3:ListBucket", wide) == YES
    assert holds(policy, "s3:ListBucket", yellow) == NO


def test_a_variable_without_a_value() -> None:
    """The page of variables: nothing is equal to it, everything differs from it, and no resource is meant by it."""
    team = {"s3:ExistingObjectTag/Team": "${aws:PrincipalTag/Team}"}
    deny = document(says(), says("Deny", Condition={"StringNotEquals": team}))
    assert holds(deny, "s3:GetObject", OBJECT, s3__existingobjecttag_team="a") == NO
    assert holds(deny, "s3:GetObject", OBJECT, s3__existingobjecttag_team="a", aws__principaltag_team="a") == YES
    allow = document(says(Condition={"StringEquals": team}))
    assert holds(allow, "s3:GetObject", OBJECT, s3__existingobjecttag_team="a") == NO
    home = "arn:aws:s3:::bucketname/${aws:username}"
    assert holds(document(says(resource=home)), "s3:GetObject", OBJECT) == NO
    besides = {"Effect": "Deny", "Action": "s3:*", "NotResource": home}
    assert holds(document(says(), besides), "s3:GetObject", OBJECT) == NO
    assert holds(document(says(), besides), "s3:GetObject", OBJECT, aws__username="key") == YES


def test_no_temporary_credentials() -> None:
    """The page of operators: Null is true where the key is not there."""
    policy = document(says(Condition={"Null": {"aws:TokenIssueTime": "true"}}))
    assert holds(policy, "s3:GetObject", OBJECT) == YES
    assert holds(policy, "s3:GetObject", OBJECT, aws__tokenissuetime="2026-01-01T00:00:00Z") == NO


@pytest.mark.parametrize("principal", [{"AWS": HERE}, {"CanonicalUser": "canon-1"}])
def test_the_federated_root_user(principal: dict[str, str]) -> None:
    """The page of evaluation: what is granted to the one who federated, the session policy limits, here the account."""
    of_it = document(says(Principal=principal))
    caller, who = caller_and_names("federated root", [], None, PUT, None)
    question = Question("s3:GetObject", OBJECT, {}, "canon-1", HERE, parse_policy(of_it, Use.RESOURCE))
    assert not naive.decision(who, of_it, HERE, False, "s3:GetObject", OBJECT, {})
    assert not decide(caller, question).allowed
