"""Owns the actions of STS: temporary credentials, and telling callers who they are.

Source: AWS, the STS API Reference and "Permissions for AssumeRole ... API operations".
"""

import msgspec

from pyrite.aws.arns import PARTITION, MalformedArn, parse_arn
from pyrite.iam import accesskeys, entities
from pyrite.iam.errors import AccessRefused, NoSuchEntity
from pyrite.iam.evaluate import Question, Reason, decide, decide_with_consent
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import EntityRecord
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.errors import QueryError
from pyrite.iamapi.permissions import keys_of_request_tags, keys_of_resource_tags
from pyrite.iamapi.sessions import (
    CHAINED_MAX_S,
    DURATION_MIN_S,
    SessionTags,
    Wanted,
    Who,
    begin,
    session_name,
    session_policies,
    session_tags,
)

_SESSION_DEFAULT_S, _SESSION_MAX_S = 43_200, 129_600
_ROOT_MAX_S = 3600


def assumed_role_user(role: EntityRecord, name: str) -> dict[str, object]:
    """The user of a role's session, as answers show it."""
    return {
        "AssumedRoleId": f"{role.id}:{name}",
        "Arn": f"arn:{PARTITION}:sts::{role.account}:assumed-role/{role.name}/{name}",
    }


async def find_role(call: Call, arn: str) -> EntityRecord | None:
    """The role with this ARN, in any account, or None."""
    try:
        fields = parse_arn(arn)
        if fields.service != "iam" or not fields.resource.startswith("role/"):
            return None
        role = await entities.find(call.view, "role", fields.account, fields.resource.rpartition("/")[2])
    except (MalformedArn, NoSuchEntity):
        return None
    return role if role.arn == arn else None


def refused(call: Call, action: str, arn: str) -> AccessRefused:
    """The refusal of an STS action; the same whether the role does not exist or may not be assumed."""
    who = call.caller.arn or "anonymous"
    return AccessRefused(f"User: {who} is not authorized to perform: {action} on resource: {arn}")


async def assume_role(call: Call) -> Result:
    params = call.params
    if not params.get("RoleArn"):
        return await _assume_self(call)
    arn, name = params.need("RoleArn"), session_name(params, "RoleSessionName")
    _refuse_second_factor(call)
    if call.caller.kind == "FederatedUser":
        raise AccessRefused("Cannot call AssumeRole with the credentials of a federated user")
    if len(arn) < 20:
        raise QueryError("ValidationError", f"{arn} is invalid")
    role = await find_role(call, arn)
    tags, source = session_tags(params, call.caller.passed_on), _source_identity(call)
    keys = _request_keys(call, role, name, tags, source)
    await _require_trust(call, "sts:AssumeRole", arn, role, keys)
    if tags.all:
        await _require_trust(call, "sts:TagSession", arn, role, keys)
    if source:
        await _require_trust(call, "sts:SetSourceIdentity", arn, role, keys)
    assert role is not None
    most = CHAINED_MAX_S if call.caller.is_temporary else role.max_session_s
    duration_s = params.number("DurationSeconds", min(3600, most), DURATION_MIN_S, entities.SESSION_MAX_S)
    if duration_s > most:
        limit = "the 1 hour session limit for roles assumed by role chaining."
        limit = limit if call.caller.is_temporary else "the MaxSessionDuration set for this role."
        raise QueryError("ValidationError", f"The requested DurationSeconds exceeds {limit}")
    policies, arns = await session_policies(call, role.account)
    wanted = Wanted(name, duration_s, policies, arns, tags.all, tags.transitive, source)
    _, credentials = await begin(call, Who("role", role.account, role.name, role.id), wanted)
    return {
        "Credentials": credentials,
        "AssumedRoleUser": assumed_role_user(role, name),
        "PackedPolicySize": 0,
        "SourceIdentity": source or None,
    }


def _request_keys(
    call: Call, role: EntityRecord | None, name: str, tags: SessionTags, source: str
) -> dict[str, Values]:
    """The condition keys of AssumeRole beyond those of its caller."""
    keys: dict[str, Values] = {**call.keys, **call.caller.keys, "sts:rolesessionname": (name,)}
    external = call.params.get("ExternalId")
    if external:
        keys["sts:externalid"] = (external,)
    keys |= keys_of_request_tags(tags.asked)
    if tags.transitive:
        keys["sts:transitivetagkeys"] = tags.transitive
    if source:
        keys["sts:sourceidentity"] = (source,)
    if role is not None:
        keys |= {"aws:resourceaccount": (role.account,), **keys_of_resource_tags(role.tags)}
    return keys


def _source_identity(call: Call) -> str:
    """Who is behind the session for good: what was said first cannot be said otherwise. Raises AccessRefused."""
    asked, kept = call.params.get("SourceIdentity") or "", call.caller.keys.get("aws:sourceidentity", ("",))[0]
    if asked and kept and asked != kept:
        raise AccessRefused("The source identity of the session cannot be changed")
    return kept or asked


async def _require_trust(call: Call, action: str, arn: str, role: EntityRecord | None, keys: dict[str, Values]) -> None:
    """Raises AccessRefused unless the caller's policies and the role's trust policy let it be assumed."""
    caller = call.caller
    if role is None or caller.kind == "Account":  # AWS: "Roles may not be assumed by root accounts."
        raise refused(call, action, arn)
    owner = await call.identities.callers.owner_of(role.account)
    trust = parse_policy(role.trust, Use.TRUST, "trust policy", bound=role.bound)
    decision = decide_with_consent(caller, Question(action, arn, keys, owner, role.account, trust))
    if decision.reason is Reason.NO_IDENTITY_ALLOW and call.identities.like_rgw:
        trusted = msgspec.structs.replace(caller, is_root=True)
        decision = decide_with_consent(trusted, Question(action, arn, keys, owner, role.account, trust))
    if not decision.allowed:
        raise refused(call, action, arn)


async def _assume_self(call: Call) -> Result:
    """AssumeRole without a role, as SDKs of other stores send it: the caller's own session, limited by the policy."""
    _refuse_temporary(call, "AssumeRole without RoleArn")
    question = Question(
        "sts:AssumeRole", call.caller.arn, {**call.keys, **call.caller.keys}, call.caller.owner, call.account
    )
    if decide(call.caller, question).reason is Reason.EXPLICIT_DENY:
        raise refused(call, "sts:AssumeRole", call.caller.arn)
    policies, arns = await session_policies(call, call.account)
    duration_s = call.params.number("DurationSeconds", 3600, DURATION_MIN_S, _SESSION_MAX_S)
    name = call.caller.name or "root"
    wanted = Wanted(name, duration_s, policies, arns, {}, parent_key=call.caller.access_key)
    _, credentials = await begin(call, _self(call, "user"), wanted)
    return {
        "Credentials": credentials,
        "AssumedRoleUser": {"AssumedRoleId": call.caller.id, "Arn": call.caller.arn},
        "PackedPolicySize": 0,
    }


def _self(call: Call, kind: str) -> Who:
    caller = call.caller
    root = caller.kind == "Account"
    return Who(
        "federated" if kind == "federated" else "user",
        caller.account,
        "" if root else caller.name,
        "" if root else caller.id,
    )


def _refuse_second_factor(call: Call) -> None:
    """There are no devices: a code that nobody checks must not look like one that was checked."""
    if call.params.get("TokenCode") or call.params.get("SerialNumber"):
        raise AccessRefused("MultiFactorAuthentication failed: there are no MFA devices here")


def _refuse_temporary(call: Call, what: str) -> None:
    if call.caller.kind not in ("User", "Account") or call.caller.access_key.startswith(accesskeys.TEMPORARY_PREFIX):
        raise AccessRefused(f"Cannot call {what} with session credentials")


async def get_session_token(call: Call) -> Result:
    _refuse_temporary(call, "GetSessionToken")
    _refuse_second_factor(call)
    most = _ROOT_MAX_S if call.caller.kind == "Account" else _SESSION_MAX_S
    duration_s = min(call.params.number("DurationSeconds", _SESSION_DEFAULT_S, DURATION_MIN_S, _SESSION_MAX_S), most)
    wanted = Wanted(call.caller.name, duration_s, None, None, {}, parent_key=call.caller.access_key)
    _, credentials = await begin(call, _self(call, "user"), wanted)
    return {"Credentials": credentials}


async def get_federation_token(call: Call) -> Result:
    _refuse_temporary(call, "GetFederationToken")
    name = session_name(call.params, "Name")
    most = _ROOT_MAX_S if call.caller.kind == "Account" else _SESSION_MAX_S
    duration_s = min(call.params.number("DurationSeconds", _SESSION_DEFAULT_S, DURATION_MIN_S, _SESSION_MAX_S), most)
    policies, arns = await session_policies(call, call.account)
    tags = session_tags(call.params).all
    wanted = Wanted(name, duration_s, policies, arns, tags, parent_key=call.caller.access_key)
    _, credentials = await begin(call, _self(call, "federated"), wanted)
    user = {
        "FederatedUserId": f"{call.account}:{name}",
        "Arn": f"arn:{PARTITION}:sts::{call.account}:federated-user/{name}",
    }
    return {"Credentials": credentials, "FederatedUser": user, "PackedPolicySize": 0}


async def get_caller_identity(call: Call) -> Result:
    return {"UserId": call.caller.id, "Account": call.caller.account, "Arn": call.caller.arn}


async def get_access_key_info(call: Call) -> Result:
    key = call.params.need("AccessKeyId")
    try:
        return {"Account": (await accesskeys.find_any(call.view, key)).account}
    except NoSuchEntity:
        raise QueryError("ValidationError", f"There is no access key {key}") from None


HANDLERS: dict[str, Handler] = {
    "AssumeRole": assume_role,
    "GetSessionToken": get_session_token,
    "GetFederationToken": get_federation_token,
    "GetCallerIdentity": get_caller_identity,
    "GetAccessKeyInfo": get_access_key_info,
}
