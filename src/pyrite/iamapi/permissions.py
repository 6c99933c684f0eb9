"""Owns which permissions a call needs: on which resources, and with which condition keys.

A key comes from a parameter only where the action has that parameter: what else a client sends says nothing.
Source: AWS, "Actions, resources, and condition keys" for IAM and for STS in the Service Authorization Reference.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pyrite.aws.arns import PARTITION, iam_arn
from pyrite.iam import accesskeys, policies, providers
from pyrite.iam.errors import InvalidInput, NoSuchEntity
from pyrite.iam.patterns import Values
from pyrite.iam.records import EntityKind, EntityRecord
from pyrite.iamapi.call import Call

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
_WITH_TAGS = frozenset(
    "CreateUser CreateRole CreatePolicy CreateOpenIDConnectProvider TagUser TagRole TagPolicy "
    "TagOpenIDConnectProvider GetFederationToken".split()
)
_WITH_TAG_KEYS = frozenset("UntagUser UntagRole UntagPolicy UntagOpenIDConnectProvider".split())
_WITH_POLICY_ARN = frozenset(
    f"{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in ("User", "Group", "Role")
)
_WITH_BOUNDARY = frozenset("CreateUser CreateRole PutUserPermissionsBoundary PutRolePermissionsBoundary".split())


class Permission(NamedTuple):
    """An action that has to be allowed on a resource; `keys` are beyond those of the request and its caller."""

    action: str
    resource: str
    keys: dict[str, Values]


class _Subject(NamedTuple):
    """What an action is about; `entity` where that is a user, group or role that there is."""

    arn: str
    tags: Mapping[str, str] = {}
    entity: EntityRecord | None = None


async def permissions_of(call: Call, service: str) -> list[Permission]:
    """All permissions that a call needs. Raises QueryError."""
    given = _keys_of_parameters(call)
    if service == "sts":
        return _of_sts(call, {"aws:resourceaccount": (call.account,), **given})
    subject = await _subject(call)
    keys: dict[str, Values] = {"aws:resourceaccount": (call.account,)}
    if subject.entity is not None and subject.entity.boundary:
        keys["iam:permissionsboundary"] = (subject.entity.boundary,)
    keys |= given | keys_of_resource_tags(subject.tags)
    action = f"iam:{call.action}"
    arns = dict.fromkeys((subject.arn, _renamed(call, subject.entity) or subject.arn))
    return [Permission(action, arn, keys) for arn in arns]


def keys_of_resource_tags(tags: Mapping[str, str]) -> dict[str, Values]:
    """The condition keys of the tags of what a call is about."""
    return {
        f"{service}:resourcetag/{key.lower()}": (value,) for key, value in tags.items() for service in ("aws", "iam")
    }


def keys_of_request_tags(tags: Mapping[str, str]) -> dict[str, Values]:
    """The condition keys of the tags that a call asks for."""
    if not tags:
        return {}
    return {"aws:tagkeys": tuple(tags), **{f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}}


def _keys_of_parameters(call: Call) -> dict[str, Values]:
    action, params, keys = call.action, call.params, dict[str, Values]()
    if action in _WITH_TAGS:
        keys |= keys_of_request_tags(params.tags())
    if action in _WITH_TAG_KEYS and params.members("TagKeys"):
        keys["aws:tagkeys"] = tuple(params.members("TagKeys"))
    if action in _WITH_POLICY_ARN and params.get("PolicyArn"):
        keys["iam:policyarn"] = (params.need("PolicyArn"),)
    if action in _WITH_BOUNDARY and params.get("PermissionsBoundary"):
        keys["iam:permissionsboundary"] = (params.need("PermissionsBoundary"),)
    return keys


def _of_sts(call: Call, keys: dict[str, Values]) -> list[Permission]:
    if call.action != "GetFederationToken":
        return [Permission(f"sts:{call.action}", "*", keys)]
    user = f"arn:{PARTITION}:sts::{call.account}:federated-user/{call.params.get('Name') or ''}"
    tagged = ("sts:TagSession",) if "aws:tagkeys" in keys else ()
    return [Permission(action, user, keys) for action in ("sts:GetFederationToken", *tagged)]


def _renamed(call: Call, entity: EntityRecord | None) -> str | None:
    """The ARN that a user or group is to have: who renames or moves one needs the permission there, too."""
    if entity is None or call.action not in ("UpdateUser", "UpdateGroup"):
        return None
    name = call.params.get(f"New{entity.kind.capitalize()}Name") or entity.name
    return iam_arn(call.account, f"{entity.kind}{call.params.get('NewPath') or entity.path}{name}")


async def _subject(call: Call) -> _Subject:
    action, params = call.action, call.params
    if action in _ON_POLICIES:
        return await _policy(call, params.get("PolicyArn") or "*")
    if action == "CreatePolicy":
        return _Subject(
            iam_arn(call.account, f"policy{params.get('Path') or '/'}{params.get('PolicyName') or ''}"),
        )
    if "OpenIDConnectProvider" in action:
        return await _provider(call)
    if action == "SimulatePrincipalPolicy":
        return _Subject(params.get("PolicySourceArn") or "*")
    if action == "GetAccessKeyLastUsed":
        return await _holder(call, params.get("AccessKeyId") or "")
    kind = _kind_of(action)
    if kind is None:
        return _Subject(iam_arn(call.account, "*"))
    return await _entity(call, kind, call.user_name() if kind == "user" else params.get(kind.capitalize() + "Name"))


async def _policy(call: Call, arn: str) -> _Subject:
    try:
        return _Subject(arn, (await policies.find(call.view, call.account, arn)).tags)
    except (NoSuchEntity, InvalidInput):
        return _Subject(arn)


async def _provider(call: Call) -> _Subject:
    arn = call.params.get("OpenIDConnectProviderArn")
    if not arn:
        name = (call.params.get("Url") or "").partition("://")[2].rstrip("/")
        return _Subject(iam_arn(call.account, f"oidc-provider/{name or '*'}"))
    try:
        return _Subject(arn, (await providers.find(call.view, call.account, arn)).tags)
    except (NoSuchEntity, InvalidInput):
        return _Subject(arn)


async def _holder(call: Call, access_key: str) -> _Subject:
    """Whoever has an access key."""
    try:
        key = await accesskeys.find_any(call.view, access_key)
    except NoSuchEntity:
        return _Subject(iam_arn(call.account, "user/*"))
    if key.account != call.account:
        return _Subject(iam_arn(call.account, "user/*"))
    return await _entity(call, "user", key.user)


async def _entity(call: Call, kind: EntityKind, name: str | None) -> _Subject:
    if kind == "user" and not name:
        return _Subject(iam_arn(call.account, "root"))
    entity = await call.entity_or_none(kind, name or "")
    if entity is not None:
        return _Subject(entity.arn, entity.tags, entity)
    return _Subject(iam_arn(call.account, f"{kind}{call.params.get('Path') or '/'}{name or ''}"))


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
