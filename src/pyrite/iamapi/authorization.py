"""Owns which permission each action needs on which resource, and refusing callers that do not have it."""

import msgspec

from pyrite.aws.arns import iam_arn
from pyrite.iam.caller import Caller
from pyrite.iam.errors import AccessRefused
from pyrite.iam.evaluate import Question, Reason, decide
from pyrite.iam.patterns import Values
from pyrite.iam.records import EntityKind, EntityRecord
from pyrite.iamapi.call import Call

# Actions that decide for themselves (a role's trust policy), or that AWS allows to everybody.
SELF_DECIDED = frozenset(
    ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithLDAPIdentity", "AssumeRoleWithCertificate")
)
FREE = frozenset(("GetCallerIdentity",))
DENIABLE = frozenset(("GetSessionToken", "GetAccessKeyInfo"))
UNSIGNED = SELF_DECIDED - {"AssumeRole"}
# What credentials of GetSessionToken and GetFederationToken may call of STS. AWS, "Compare AWS STS credentials".
_FOR_TEMPORARY_USERS = frozenset(("AssumeRole", "GetCallerIdentity"))

_ON_POLICIES = frozenset(
    "GetPolicy DeletePolicy CreatePolicyVersion GetPolicyVersion ListPolicyVersions DeletePolicyVersion "
    "SetDefaultPolicyVersion TagPolicy UntagPolicy ListPolicyTags ListEntitiesForPolicy".split()
)
_ON_ACCOUNT = frozenset("ListUsers ListGroups ListRoles ListPolicies".split())
_ON_USERS_KEYS = frozenset(
    "CreateAccessKey ListAccessKeys UpdateAccessKey DeleteAccessKey ListMFADevices ListSSHPublicKeys "
    "ListSigningCertificates ListServiceSpecificCredentials GetLoginProfile DeleteLoginProfile "
    "ListGroupsForUser".split()
)


def check_credentials(call: Call, service: str) -> None:
    """Raises AccessRefused where AWS lets no temporary credentials of users call, whatever policies say."""
    caller = call.caller
    if caller.kind == "AssumedRole" or not caller.access_key.startswith("ASIA"):
        return
    if service == "sns":
        return
    if service == "iam" or call.action not in _FOR_TEMPORARY_USERS:
        raise AccessRefused(f"{call.action} cannot be called with the credentials of a {caller.kind} session")


async def authorize(call: Call, service: str) -> None:
    """Raises AccessRefused unless the caller's policies allow the action."""
    check_credentials(call, service)
    if call.action in SELF_DECIDED or call.action in FREE or service == "sns":
        return
    resource, entity = await _resource(call) if service == "iam" else ("*", None)
    action = f"{service}:{call.action}"
    caller = call.caller
    decision = decide(
        _without_ownership(call), Question(action, resource, _keys(call, entity), caller.owner, call.account)
    )
    if decision.allowed or (call.action in DENIABLE and decision.reason is not Reason.EXPLICIT_DENY):
        return
    raise AccessRefused(
        f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because {'of ' if decision.reason is Reason.EXPLICIT_DENY else ''}{decision.reason.value}"
    )


def _without_ownership(call: Call) -> Caller:
    """A user that owns buckets like an account is still a user of the IAM API."""
    caller = call.caller
    return msgspec.structs.replace(caller, is_root=False) if caller.kind == "User" and caller.is_root else caller


async def _resource(call: Call) -> tuple[str, EntityRecord | None]:
    """The ARN of what the action is about, and the entity if there is one."""
    action, params = call.action, call.params
    if action in _ON_POLICIES:
        return params.get("PolicyArn") or "*", None
    if action == "CreatePolicy":
        return iam_arn(call.account, f"policy{params.get('Path') or '/'}{params.get('PolicyName') or ''}"), None
    if "OpenIDConnectProvider" in action:
        name = (params.get("Url") or "*").partition("://")[2] or "*"
        return params.get("OpenIDConnectProviderArn") or iam_arn(call.account, f"oidc-provider/{name}"), None
    if action == "SimulatePrincipalPolicy":
        return params.get("PolicySourceArn") or "*", None
    kind = _kind_of(action)
    if kind is None:
        return iam_arn(call.account, "*"), None
    name = call.user_name() if kind == "user" else params.get(kind.capitalize() + "Name") or ""
    if kind == "user" and not name:
        return iam_arn(call.account, "root"), None
    entity = await call.entity_or_none(kind, name)
    if entity is not None:
        return entity.arn, entity
    return iam_arn(call.account, f"{kind}{params.get('Path') or '/'}{name}"), None


def _kind_of(action: str) -> EntityKind | None:
    if action in _ON_ACCOUNT:
        return None
    if action in _ON_USERS_KEYS:
        return "user"
    if "Group" in action:
        return "group"
    if "Role" in action:
        return "role"
    return "user" if "User" in action else None


def _keys(call: Call, entity: EntityRecord | None) -> dict[str, Values]:
    keys: dict[str, Values] = {**call.keys, **call.caller.keys}
    params = call.params
    tags = params.tags()
    if tags:
        keys["aws:tagkeys"] = tuple(tags)
        keys |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    named = params.members("TagKeys")
    if named:
        keys["aws:tagkeys"] = tuple(named)
    if params.get("PolicyArn"):
        keys["iam:policyarn"] = (params.need("PolicyArn"),)
    boundary = params.get("PermissionsBoundary") or (entity.boundary if entity is not None else "")
    if boundary:
        keys["iam:permissionsboundary"] = (boundary,)
    if entity is not None:
        for key, value in entity.tags.items():
            keys[f"aws:resourcetag/{key.lower()}"] = keys[f"iam:resourcetag/{key.lower()}"] = (value,)
    return keys
