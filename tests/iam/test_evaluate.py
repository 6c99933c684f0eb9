"""The decision, as AWS's table of combinations says; `test_naive` compares it with a naive evaluator."""

import json
from typing import Any

import pytest

from pyrite.iam.caller import ANONYMOUS, Caller
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.evaluate import Question, Reason, decide, decide_with_consent
from pyrite.iam.policy import Policy, Use, parse_policy

ACCOUNT, OTHER = "111111111111", "222222222222"
USER = f"arn:aws:iam::{ACCOUNT}:user/team/ada"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Trainer"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/Trainer/run-7"
KEY = "arn:aws:s3:::data/train/part-1"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def says(effect: str, action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def identity(*statements: dict[str, Any]) -> Policy:
    return parse_policy(document(*statements), Use.IDENTITY, "identity")


def of_resource(principal: Any, effect: str = "Allow", **more: Any) -> Policy:
    return parse_policy(document(says(effect, Principal=principal, **more)), Use.RESOURCE, "bucket")


def user(**more: Any) -> Caller:
    fields: dict[str, Any] = {
        "kind": "User",
        "account": ACCOUNT,
        "owner": "canon-1",
        "arn": USER,
        "principal_arn": USER,
        "id": "AIDA1",
    }
    return Caller(**{**fields, **more})


def session(**more: Any) -> Caller:
    return user(**{"kind": "AssumedRole", "arn": SESSION, "principal_arn": ROLE, "id": "AROA1:run-7", **more})


def ask(
    caller: Caller, policy: Policy | None = None, owner: str = "canon-1", granted: bool = False, **keys: str
) -> Any:
    context = {key.replace("_", ":"): (value,) for key, value in keys.items()}
    return decide(
        caller, Question("s3:GetObject", KEY, context, owner, ACCOUNT if owner == "canon-1" else OTHER, policy, granted)
    )


ALLOW, DENY = identity(says("Allow")), identity(says("Deny"))
NOTHING = identity(says("Allow", "s3:PutObject"))


def test_within_an_account_either_side_grants() -> None:
    """A user of the account needs one grant; the account as principal is no grant to its users."""
    assert not ask(user()).allowed
    assert ask(user(policies=(ALLOW,))).reason is Reason.IDENTITY_ALLOW
    assert ask(user(), of_resource({"AWS": USER})).allowed
    assert ask(user(), of_resource("*")).allowed
    for account in (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"):
        assert not ask(user(), of_resource({"AWS": account})).allowed
    assert ask(user(is_root=True, arn=f"arn:aws:iam::{ACCOUNT}:root")).reason is Reason.OWNER


def test_a_grant_to_everybody_is_worth_more_than_one_to_the_account() -> None:
    """What is granted to anybody needs no policy of the user, whatever is granted to its account beside it."""
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    both = parse_policy(
        document(says("Allow", Principal=root), says("Allow", Principal={"AWS": "*"})), Use.RESOURCE, "bucket"
    )
    assert ask(user(), both).allowed
    assert not ask(user(), of_resource(root)).allowed


def test_keys_need_their_own_policy() -> None:
    """With a key, policies of identities count only where the key's policy lets the account decide."""
    root, other = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/else"}
    allowed = user(policies=(identity(says("Allow", "*")),))

    def asked(caller: Caller, principal: Any) -> bool:
        question = Question("s3:GetObject", KEY, {}, "", ACCOUNT, of_resource(principal))
        return decide_with_consent(caller, question).allowed

    assert asked(allowed, root)
    assert not asked(allowed, other)
    assert not asked(user(), root)
    assert asked(user(), {"AWS": USER})
    assert not asked(user(is_root=True), other)


def test_across_accounts_both_sides_must_grant() -> None:
    """Identity and resource have to allow it, whatever form the principal has; an ACL counts as the resource."""
    for principal in (USER, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "*"):
        policy = of_resource({"AWS": principal})
        assert not ask(user(), policy, owner="canon-2").allowed
        assert ask(user(policies=(ALLOW,)), policy, owner="canon-2").allowed
    assert not ask(user(policies=(ALLOW,)), owner="canon-2").allowed
    assert ask(user(policies=(ALLOW,)), owner="canon-2", granted=True).allowed
    assert not ask(user(), owner="canon-2", granted=True).allowed
    assert not ask(user(policies=(ALLOW,)), of_resource({"AWS": OTHER}), owner="canon-2").allowed


def test_a_deny_anywhere_wins() -> None:
    """An explicit deny in any policy beats every allow, the root's too when the resource says it."""
    everything = of_resource({"AWS": USER})
    assert ask(user(policies=(ALLOW, DENY)), everything).reason is Reason.EXPLICIT_DENY
    assert not ask(user(policies=(ALLOW,), boundary=(DENY, ALLOW))).allowed
    assert not ask(
        session(
            policies=(ALLOW,),
            sessions=(
                (
                    ALLOW,
                    DENY,
                ),
            ),
        )
    ).allowed
    assert not ask(user(policies=(ALLOW,)), of_resource("*", "Deny")).allowed
    assert not ask(user(is_root=True), of_resource("*", "Deny")).allowed
    assert not ask(ANONYMOUS, of_resource("*", "Deny"), granted=True).allowed


def test_boundaries_and_session_policies_limit() -> None:
    """They grant nothing and limit what the identity is granted; a grant to the caller itself passes them."""
    assert ask(user(policies=(ALLOW,), boundary=(NOTHING,))).reason is Reason.NO_BOUNDARY_ALLOW
    assert not ask(user(boundary=(ALLOW,))).allowed
    assert ask(session(policies=(ALLOW,), sessions=((NOTHING,),))).reason is Reason.NO_SESSION_ALLOW
    assert not ask(session(sessions=((ALLOW,),))).allowed
    assert not ask(session(policies=(ALLOW,), sessions=((),))).allowed
    assert ask(session(sessions=((NOTHING,),)), of_resource({"AWS": SESSION})).allowed
    assert not ask(session(sessions=((NOTHING,),)), of_resource({"AWS": ROLE})).allowed
    assert ask(session(), of_resource({"AWS": ROLE})).allowed
    assert ask(user(boundary=(NOTHING,)), of_resource({"AWS": USER})).allowed
    assert not ask(user(boundary=(NOTHING,)), of_resource("*")).allowed
    assert not ask(user(is_root=True, sessions=((NOTHING,),))).allowed


def test_the_limits_of_a_key_always_hold() -> None:
    """A grant to the user itself, to its session, or to the root of the account opens nothing that its key does not."""
    root = f"arn:aws:iam::{ACCOUNT}:root"
    limited = {"limits": ((NOTHING,),)}
    assert ask(user(**limited), of_resource({"AWS": USER})).reason is Reason.NO_SESSION_ALLOW
    assert ask(user(is_root=True, arn=root, **limited), of_resource({"AWS": root})).reason is Reason.NO_SESSION_ALLOW
    assert not ask(user(policies=(ALLOW,), **limited), of_resource({"AWS": USER}), owner="canon-2").allowed
    assert not ask(user(policies=(ALLOW,), **limited)).allowed
    assert not ask(user(limits=((ALLOW,), (DENY,))), of_resource({"AWS": USER})).allowed
    assert ask(user(limits=((ALLOW,),)), of_resource({"AWS": USER})).allowed


def test_anonymous_needs_a_public_grant() -> None:
    """Nobody in particular is everybody, and nobody else."""
    assert ask(ANONYMOUS, of_resource("*")).allowed
    assert ask(ANONYMOUS, of_resource({"AWS": "*"})).allowed
    assert ask(ANONYMOUS, granted=True).allowed
    assert not ask(ANONYMOUS).allowed
    assert not ask(ANONYMOUS, of_resource({"AWS": USER})).allowed


def test_not_principal() -> None:
    """NotPrincipal speaks of everybody else."""
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": USER}, "Action": "s3:*", "Resource": "*"}
    policy = parse_policy(document(statement), Use.RESOURCE)
    assert ask(user(policies=(ALLOW,)), policy).allowed
    assert not ask(session(policies=(ALLOW,)), policy).allowed
    assert not ask(ANONYMOUS, policy, granted=True).allowed


def test_variables() -> None:
    """A variable stands for the caller's key, is no wildcard there, and matches nothing without a value."""
    home = identity(says("Allow", resource="arn:aws:s3:::data/${aws:username}/*"))
    assert ask(user(policies=(home,)), aws_username="train").allowed
    assert not ask(user(policies=(home,)), aws_username="*").allowed
    assert not ask(user(policies=(home,))).allowed
    default = identity(says("Allow", resource="arn:aws:s3:::data/${aws:username, 'train'}/*"))
    assert ask(user(policies=(default,))).allowed
    literal = identity(says("Allow", resource="arn:aws:s3:::data/train/${*}"))
    assert not ask(user(policies=(literal,))).allowed
    old = parse_policy(
        document(says("Allow", resource="arn:aws:s3:::data/${aws:username}/*")).replace("2012", "2008"), Use.IDENTITY
    )
    assert not ask(user(policies=(old,)), aws_username="train").allowed


@pytest.mark.parametrize(
    ("block", "given_", "holds"),
    [
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "10.1.2.3"}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "::ffff:10.1.2.3"}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "10.1.2.3"}, False),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}, {"aws:currenttime": "2026-11-24T00:00:00Z"}, True),
        ({"DateGreaterThan": {"aws:EpochTime": "1893456000"}}, {"aws:epochtime": "1700000000"}, False),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/team/*"}}, {"aws:principalarn": USER}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:*"}}, {"aws:principalarn": USER}, None),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:user/team/ada:x:y:z"}}, {"aws:principalarn": USER}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "false"}, True),
        ({"Bool": {"aws:SecureTransport": False}}, {}, False),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}, {}, True),
        ({"StringEqualsIgnoreCase": {"s3:prefix": "HOME/"}}, {"s3:prefix": "home/"}, True),
        ({"StringLike": {"s3:prefix": ["a/*", "b?"]}}, {"s3:prefix": "b1"}, True),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "10"}, True),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "many"}, False),
        ({"BinaryEquals": {"k": "QmluYXJ5"}}, {"k": "QmluYXJ5"}, True),
        ({"Null": {"s3:x-amz-acl": "true"}}, {}, True),
    ],
)  # fmt: skip
def test_operators(block: dict[str, Any], given_: dict[str, str], holds: bool | None) -> None:
    """Each operator compares as AWS documents; None is a policy that is refused."""
    text = document(says("Allow", Condition=block))
    if holds is None:
        with pytest.raises(MalformedPolicy):
            parse_policy(text, Use.IDENTITY)
        return
    keys = {key: (value,) for key, value in given_.items()}
    question = Question("s3:GetObject", KEY, keys, "canon-1", ACCOUNT)
    assert decide(user(policies=(parse_policy(text, Use.IDENTITY),)), question).allowed is holds


def test_quantified_negation() -> None:
    """ForAllValues and ForAnyValue of a negated operator, with sets that overlap in part (GHSA-v9cp's mistake)."""
    for quantifier, tags, holds in (
        ("ForAllValues", ("a", "x"), False),
        ("ForAnyValue", ("a", "x"), True),
        ("ForAllValues", ("x", "y"), True),
        ("ForAnyValue", ("a", "b"), False),
        ("ForAllValues", (), True),
        ("ForAnyValue", (), False),
    ):
        block = {f"{quantifier}:StringNotEquals": {"aws:TagKeys": ["a", "b"]}}
        policy = identity(says("Allow", Condition=block))
        question = Question("s3:GetObject", KEY, {"aws:tagkeys": tags} if tags else {}, "canon-1", ACCOUNT)
        assert decide(user(policies=(policy,)), question).allowed is holds, (quantifier, tags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"Version": "2010-10-17", "Statement": []}',
        document(),
        document({"Effect": "Allow", "Action": "s3:*"}),
        document({"Effect": "allow", "Action": "s3:*", "Resource": "*"}),
        document(says("Allow", "GetObject")),
        document(says("Allow", resource="data/*")),
        document(says("Allow", Principal="*")),
        document(says("Allow", Extra=1)),
        document(says("Allow", Sid="a"), says("Allow", Sid="a")),
        document(says("Allow", Condition={"StringIs": {"a": "b"}})),
        document(says("Allow", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/99"}})),
        document(says("Allow", NotAction="s3:*")),
        '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}}',
        '{"Version": "2012-10-17", "Statement": ' + "[" * 100_000,
    ],
)
def test_malformed_policies_are_refused(text: str) -> None:
    """What is not a policy of the language never becomes one."""
    with pytest.raises(MalformedPolicy):
        parse_policy(text, Use.IDENTITY)


def test_hostile_patterns_are_cheap() -> None:
    """A pattern of hundreds of stars against a long key is answered; backtracking would take years."""
    pattern = "arn:aws:s3:::data/" + "*a" * 400 + "b"
    policy = identity(says("Allow", resource=pattern))
    assert not decide(
        user(policies=(policy,)), Question("s3:GetObject", "arn:aws:s3:::data/" + "a" * 1000, {}, "canon-1", ACCOUNT)
    ).allowed
