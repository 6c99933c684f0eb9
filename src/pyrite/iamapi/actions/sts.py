"""Owns the actions of STS: temporary credentials, and telling callers who they are.

Source: AWS, the STS API Reference and "Permissions for AssumeRole ... API operations".
"""

import msgspec

from pyrite.aws.arns import PARTITION, MalformedArn, parse_arn
from pyrite.iam import accesskeys, entities
from pyrite.iam.errors import AccessRefused, NoSuchEntity
from pyrite.iam.evaluate import Question, Reason, decide
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import EntityRecord
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.errors import QueryError
from pyrite.iamapi.sessions import (
    CHAINED_MAX_S,
    DURATION_MIN_S,
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
    if len(arn) < 20:
        raise QueryError("ValidationError", f"{arn} is invalid")
    role = await find_role(call, arn)
    tags, transitive = session_tags(params)
    source = params.get("SourceIdentity") or ""
    keys = _request_keys(call, role, name, tags, transitive, source)
    await _require_trust(call, "sts:AssumeRole", arn, role, keys)
    if tags:
        await _require_trust(call, "sts:TagSession", arn, role, keys)
    if source:
        await _require_trust(call, "sts:SetSourceIdentity", arn, role, keys)
    assert role is not None
    most = CHAINED_MAX_S if call.caller.is_temporary else role.max_session_s
    duration_s = params.number("DurationSeconds", min(3600, most), DURATION_MIN_S, entities.SESSION_MAX_S)
    if duration_s > most:
        raise QueryError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    policies, arns = await session_policies(call, role.account)
    wanted = Wanted(name, duration_s, policies, arns, tags, transitive, source)
    _, credentials = await begin(call, Who("role", role.account, role.name, role.id), wanted)
    return {
        "Credentials": credentials,
        "AssumedRoleUser": assumed_role_user(role, name),
        "PackedPolicySize": 0,
        "SourceIdentity": source or None,
    }


def _request_keys(
    call: Call, role: EntityRecord | None, name: str, tags: dict[str, str], transitive: tuple[str, ...], source: str
) -> dict[str, Values]:
    """The condition keys of AssumeRole beyond those of its caller."""
    keys: dict[str, Values] = {**call.keys, **call.caller.keys, "sts:rolesessionname": (name,)}
    external = call.params.get("ExternalId")
    if external:
        keys["sts:externalid"] = (external,)
    if tags:
        keys["aws:tagkeys"] = tuple(tags)
        keys |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    if transitive:
        keys["sts:transitivetagkeys"] = transitive
    if source:
        keys["sts:sourceidentity"] = (source,)
    if role is not None:
        keys |= {f"aws:resourcetag/{key.lower()}": (value,) for key, value in role.tags.items()}
        keys |= {f"iam:resourcetag/{key.lower()}": (value,) for key, value in role.tags.items()}
    return keys


async def _require_trust(call: Call, action: str, arn: str, role: EntityRecord | None, keys: dict[str, Values]) -> None:
    """Raises AccessRefused unless the caller's policies and the role's trust policy let it be assumed."""
    caller = call.caller
    if role is None or caller.kind == "Account":  # AWS: "Roles may not be assumed by root accounts."
        raise refused(call, action, arn)
    owner = await call.identities.callers.owner_of(role.account)
    trust = parse_policy(role.trust, Use.TRUST, "trust policy")
    decision = decide(caller, Question(action, arn, keys, owner, role.account, trust))
    if decision.reason is Reason.NO_IDENTITY_ALLOW and call.identities.like_rgw:
        trusted = msgspec.structs.replace(caller, is_root=True)
        decision = decide(trusted, Question(action, arn, keys, owner, role.account, trust))
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


def _refuse_temporary(call: Call, what: str) -> None:
    if call.caller.kind not in ("User", "Account") or call.caller.access_key.startswith(accesskeys.TEMPORARY_PREFIX):
        raise AccessRefused(f"Cannot call {what} with session credentials")


async def get_session_token(call: Call) -> Result:
    _refuse_temporary(call, "GetSessionToken")
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
    tags, _ = session_tags(call.params)
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
