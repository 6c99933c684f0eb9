"""Owns beginning sessions: what a request for temporary credentials may ask for, and the credentials it gets.

Source: AWS, the STS API Reference.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from pyrite.iam.accesskeys import TEMPORARY_PREFIX
from pyrite.iam.changing import Change
from pyrite.iam.errors import InvalidInput
from pyrite.iam.names import check_tags, new_id, new_secret
from pyrite.iam.policies import find as find_policy
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.tokens import TOKEN_MAX_CHARS, Session, SessionKind, current_key, seal
from pyrite.iamapi.call import Call
from pyrite.iamapi.errors import QueryError
from pyrite.iamapi.wire import Params, iso

DURATION_MIN_S = 900
CHAINED_MAX_S = 3600
POLICY_MAX_CHARS = 2048
POLICY_ARNS_MAX = 10

_NAME = re.compile(r"[\w+=,.@-]{2,64}\Z", re.ASCII)


class Who(NamedTuple):
    """Behind whom a session stands: its account, and the name and id of the user or role ("" for the root)."""

    kind: SessionKind
    account: str
    name: str
    id: str


class Wanted(NamedTuple):
    """What a session shall be beyond who stands behind it."""

    session_name: str
    duration_s: int
    policies: tuple[str, ...] | None
    policy_arns: tuple[str, ...] | None
    tags: Mapping[str, str]
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    provider: str = ""
    keys: Mapping[str, tuple[str, ...]] = {}
    parent_key: str = ""


def session_name(params: Params, name: str) -> str:
    """The parameter that names a session. Raises QueryError."""
    value = params.need(name)
    if not _NAME.match(value):
        raise QueryError(
            "ValidationError", f"Value '{value}' at '{name}' must have 2 to 64 of A-Z a-z 0-9 + = , . @ - _"
        )
    return value


async def session_policies(call: Call, account: str) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The session policies of a request: the document and the ARNs.

    Raises MalformedPolicy, QueryError or NoSuchEntity.
    """
    text = call.params.get("Policy")
    arns = tuple(one["arn"] for one in call.params.structures("PolicyArns", "arn"))
    if text is not None:
        if not 1 <= len(text) <= POLICY_MAX_CHARS:
            raise QueryError("ValidationError", f"The policy has more than {POLICY_MAX_CHARS} characters")
        parse_policy(text, Use.IDENTITY)
    if len(arns) > POLICY_ARNS_MAX:
        raise QueryError("ValidationError", f"A session has at most {POLICY_ARNS_MAX} managed policies")
    for arn in arns:
        await find_policy(call.view, account, arn)
    return (text,) if text is not None else None, arns or None


class SessionTags(NamedTuple):
    """The tags that a request asks for, the keys of those that are passed on, and what was passed on to the caller."""

    asked: dict[str, str]
    transitive: tuple[str, ...]
    inherited: Mapping[str, str] = {}

    @property
    def all(self) -> dict[str, str]:
        """The tags that the session has."""
        return {**self.asked, **self.inherited}


def session_tags(params: Params, inherited: Mapping[str, str] | None = None) -> SessionTags:
    """The tags of a session. Raises InvalidInput. Source: AWS, "Chaining roles with session tags"."""
    asked, transitive = check_tags(params.tags()), tuple(params.members("TransitiveTagKeys"))
    inherited = inherited or {}
    if not set(transitive) <= asked.keys():
        raise InvalidInput("A transitive tag key has to be the key of a tag")
    changed = {key.lower() for key in asked} & {key.lower() for key in inherited}
    if changed:
        raise InvalidInput(f"The session passes on tags that cannot be set again: {', '.join(sorted(changed))}")
    check_tags({**asked, **inherited})
    return SessionTags(asked, (*inherited, *transitive), inherited)


async def begin(call: Call, who: Who, wanted: Wanted) -> tuple[Session, dict[str, object]]:
    """Begin a session; it, and its credentials as the answer shows them. Raises QueryError when it says too much."""
    if wanted.source_identity and not _NAME.match(wanted.source_identity):
        raise QueryError("ValidationError", "A source identity has 2 to 64 of A-Z a-z 0-9 + = , . @ - _")
    identities = call.identities
    now_s = identities.clock.now_ms() // 1000

    async def body(change: Change) -> tuple[int, bytes]:
        return await current_key(change)

    key = await identities.changes.make(body)
    session = Session(
        access_key=new_id(identities.entropy, TEMPORARY_PREFIX),
        secret=new_secret(identities.entropy),
        account=who.account,
        kind=who.kind,
        name=who.name,
        id=who.id,
        session_name=wanted.session_name,
        issued_s=now_s,
        expires_s=now_s + wanted.duration_s,
        policies=wanted.policies,
        policy_arns=wanted.policy_arns,
        tags=dict(wanted.tags),
        transitive=wanted.transitive,
        source_identity=wanted.source_identity,
        provider=wanted.provider,
        keys=dict(wanted.keys),
        parent_key=wanted.parent_key,
    )
    token = seal(session, key, identities.entropy)
    if len(token) > TOKEN_MAX_CHARS:
        raise QueryError(
            "PackedPolicyTooLarge",
            f"Policies, tags and claims of the session make a token of more than {TOKEN_MAX_CHARS} characters",
        )
    credentials: dict[str, object] = {
        "AccessKeyId": session.access_key,
        "SecretAccessKey": session.secret,
        "SessionToken": token,
        "Expiration": iso(session.expires_s * 1000),
    }
    return session, credentials
