"""Owns AssumeRoleWithWebIdentity: from a token of an OpenID Connect provider to the session of a role.

Source: AWS, AssumeRoleWithWebIdentity in the STS API Reference.
"""

from typing import NamedTuple

from pyrite.aws.arns import MalformedArn, iam_arn, parse_arn
from pyrite.iam import accounts, providers
from pyrite.iam.caller import Caller
from pyrite.iam.errors import AccessRefused, RejectedIdentity
from pyrite.iam.evaluate import Question, decide
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.principals import Match
from pyrite.iam.records import EntityRecord, ProviderRecord
from pyrite.iam.webidentity import WebIdentity, believe, peek
from pyrite.iamapi.actions.sts import assumed_role_user, find_role, refused
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.permissions import keys_of_resource_tags
from pyrite.iamapi.sessions import DURATION_MIN_S, Wanted, Who, begin, session_name, session_policies

_ACTION = "sts:AssumeRoleWithWebIdentity"


class _Trusted(NamedTuple):
    provider: ProviderRecord
    identity: WebIdentity


async def assume_role_with_web_identity(call: Call) -> Result:
    params = call.params
    token, name = params.need("WebIdentityToken"), session_name(params, "RoleSessionName")
    arn = params.get("RoleArn") or ""
    trusted = await _believe(call, token, _account_of(arn) if arn else None)
    if not arn:
        arn = _mapped_role(trusted)
    role = await find_role(call, arn)
    keys = _keys(call, trusted, role, name)
    if role is None or role.account != trusted.provider.account:
        raise refused(call, _ACTION, arn)
    owner = await call.identities.callers.owner_of(role.account)
    holder = holder_of(role, owner, trusted.provider.arn, trusted.identity.subject)
    identity = trusted.identity
    more = ("sts:TagSession",) if identity.tags else (), ("sts:SetSourceIdentity",) if identity.source else ()
    for action in (_ACTION, *more[0], *more[1]):
        require_trust(action, arn, role, holder, keys)
    duration_s = params.number("DurationSeconds", min(3600, role.max_session_s), DURATION_MIN_S, role.max_session_s)
    policies, arns = await session_policies(call, role.account)
    wanted = Wanted(
        name,
        duration_s,
        policies,
        arns,
        {key: identity.tags[key][0] for key in identity.transitive},
        identity.transitive,
        identity.source,
        trusted.provider.arn,
        _kept(call, identity),
    )
    _, credentials = await begin(call, Who("role", role.account, role.name, role.id), wanted)
    return {
        "SubjectFromWebIdentityToken": trusted.identity.subject,
        "Audience": trusted.identity.audience,
        "AssumedRoleUser": assumed_role_user(role, name),
        "Credentials": credentials,
        "Provider": trusted.provider.arn,
        "PackedPolicySize": 0,
        "SourceIdentity": identity.source or None,
    }


def _kept(call: Call, identity: WebIdentity) -> dict[str, Values]:
    """The condition keys that the session keeps of a token."""
    kept = dict(identity.keys)
    for tag, values in identity.tags.items():
        kept[f"aws:principaltag/{tag.lower()}"] = values
    if call.identities.like_rgw and identity.tags:
        kept["aws:tagkeys"] = tuple(identity.tags)
    return kept


def _account_of(arn: str) -> str:
    try:
        return parse_arn(arn).account
    except MalformedArn:
        raise AccessRefused(f"Not authorized to perform {_ACTION}") from None


async def _believe(call: Call, token: str, account: str | None) -> _Trusted:
    """What a token says, and the provider of the account (any account: None) that vouches for it."""
    header = peek(token)
    for candidate in [account] if account is not None else [one.id for one in await accounts.list_all(call.view)]:
        for provider in await providers.list_all(call.view, candidate):
            if provider.url != header.issuer or (account is None and not provider.roles):
                continue
            keys = await call.identities.issuers.keys_of(provider.url, header.key_id)
            now_s = call.identities.clock.now_ms() // 1000
            return _Trusted(provider, believe(token, keys, provider, now_s, call.identities.like_rgw))
    raise RejectedIdentity("No OpenIDConnect provider found in your account for the issuer of the token")


def _mapped_role(trusted: _Trusted) -> str:
    """The role that the provider's mapping gives to the values of a claim. Raises AccessRefused."""
    provider = trusted.provider
    values = trusted.identity.keys.get(f"{provider.name.lower()}:{provider.role_claim.lower()}", ())
    for value in values:
        role = provider.roles.get(value)
        if role is not None:
            return role if role.startswith("arn:") else iam_arn(provider.account, f"role/{role}")
    raise AccessRefused(f"No role is mapped to the claim {provider.role_claim} of the token")


def _keys(call: Call, trusted: _Trusted, role: EntityRecord | None, name: str) -> dict[str, Values]:
    keys: dict[str, Values] = {**call.keys, **trusted.identity.keys, "sts:rolesessionname": (name,)}
    tags = trusted.identity.tags
    if tags:
        keys["aws:tagkeys"] = tuple(tags)
        keys |= {f"aws:requesttag/{key.lower()}": values for key, values in tags.items()}
    if trusted.identity.transitive:
        keys["sts:transitivetagkeys"] = trusted.identity.transitive
    if trusted.identity.source:
        keys["sts:sourceidentity"] = (trusted.identity.source,)
    return keys | keys_of_resource_tags(role.tags if role is not None else {})


def holder_of(role: EntityRecord, owner: str, provider: str, name: str) -> Caller:
    """Somebody for whom a provider vouches, within the account of a role."""
    return Caller(kind="FederatedUser", account=role.account, owner=owner, arn=provider, provider=provider, name=name)


def require_trust(action: str, arn: str, role: EntityRecord, holder: Caller, keys: dict[str, Values]) -> None:
    """Raises AccessRefused unless the role's trust policy names the holder's provider and lets it assume the role.

    What is granted to everybody is granted to signed requests.
    """
    trust = parse_policy(role.trust, Use.TRUST, "trust policy")
    names = any(
        statement.allows
        and statement.principals is not None
        and statement.principals.match(holder) is Match.CALLER
        and statement.applies(arn, keys)
        for statement in trust.about(action)
    )
    if not names or not decide(holder, Question(action, arn, keys, holder.owner, role.account, trust)).allowed:
        raise AccessRefused(f"Not authorized to perform {action}")


HANDLERS: dict[str, Handler] = {"AssumeRoleWithWebIdentity": assume_role_with_web_identity}
