"""Owns how principals are described: their ARNs, ids and condition keys. Pure.

Source: AWS, "AWS global condition context keys" and "IAM identifiers".
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from pyrite.aws.arns import PARTITION, iam_arn
from pyrite.iam.caller import Caller
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Policy, Use, parse_policy
from pyrite.iam.records import AccessKeyRecord, AccountRecord
from pyrite.iam.tokens import Session

DENY_ALL = '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}'


def compiled(name: str, text: str) -> Policy:
    """A stored policy. One that cannot be read denies everything."""
    try:
        return parse_policy(text, Use.IDENTITY, name, lenient=True)
    except MalformedPolicy:
        return parse_policy(DENY_ALL, Use.IDENTITY, name)


def key_limits(record: AccessKeyRecord) -> tuple[tuple[Policy, ...], ...]:
    """What an access key's own policy limits."""
    return ((compiled("access key " + record.id, record.policy),),) if record.policy else ()


def root_of(
    account: AccountRecord,
    access_key: str,
    limits: tuple[tuple[Policy, ...], ...] = (),
    expires_s: int = 0,
    more: Mapping[str, Values] | None = None,
) -> Caller:
    """The root user of an account."""
    arn = iam_arn(account.id, "root")
    return Caller(
        kind="Account",
        access_key=access_key,
        account=account.id,
        owner=account.canonical_id,
        arn=arn,
        principal_arn=arn,
        id=account.id,
        name=account.name,
        is_root=True,
        limits=limits,
        keys={**keys_of(account.id, arn, "Account", account.id), **(more or {})},
        expires_s=expires_s,
    )


def federated(caller: Caller, session: Session, sessions: tuple[tuple[Policy, ...], ...]) -> Caller:
    """The session of GetFederationToken: what its user may do, as far as the session's policies say so too."""
    user_id = f"{caller.account}:{session.session_name}"
    return Caller(
        kind="FederatedUser",
        access_key=caller.access_key,
        account=caller.account,
        owner=caller.owner,
        arn=f"arn:{PARTITION}:sts::{caller.account}:federated-user/{session.session_name}",
        principal_arn=caller.arn,
        id=user_id,
        unique=caller.unique,
        name=session.session_name,
        is_root=caller.is_root,
        policies=caller.policies,
        boundary=caller.boundary,
        sessions=sessions,
        limits=caller.limits,
        keys={
            **{key: values for key, values in caller.keys.items() if key != "aws:username"},
            "aws:userid": (user_id,),
            "aws:principaltype": ("FederatedUser",),
            **tag_keys(session.tags),
        },
        expires_s=caller.expires_s,
    )


def keys_of(account: str, arn: str, kind: str, user_id: str) -> dict[str, Values]:
    return {
        "aws:principalaccount": (account,),
        "aws:principalarn": (arn,),
        "aws:principaltype": (kind,),
        "aws:userid": (user_id,),
        "aws:principalisawsservice": ("false",),
        "aws:viaawsservice": ("false",),
    }


def tag_keys(tags: Mapping[str, str]) -> dict[str, Values]:
    return {f"aws:principaltag/{key.lower()}": (value,) for key, value in tags.items()}


def session_keys(session: Session) -> dict[str, Values]:
    issued = datetime.fromtimestamp(session.issued_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys: dict[str, Values] = {
        **session.keys,
        "aws:tokenissuetime": (issued,),
        "aws:multifactorauthpresent": ("false",),
        "sts:authentication": ("true",),
    }
    if session.source_identity:
        keys["aws:sourceidentity"] = (session.source_identity,)
    if session.provider:
        keys["aws:federatedprovider"] = (session.provider,)
    return keys
