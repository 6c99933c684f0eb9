"""Owns the actions on users, groups and roles themselves."""

from collections.abc import Sequence

import msgspec

from pyrite.iam import accesskeys, accounts, bindings, entities, policies
from pyrite.iam.changing import Change
from pyrite.iam.errors import InvalidInput, NoSuchEntity
from pyrite.iam.records import EntityKind, EntityRecord
from pyrite.iamapi import shapes
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.wire import iso, page, tag_list

_KINDS: tuple[EntityKind, ...] = ("user", "group", "role")


def _name(call: Call, kind: EntityKind) -> str:
    return call.params.need(kind.capitalize() + "Name")


async def create_user(call: Call) -> Result:
    name, path = call.params.need("UserName"), call.params.get("Path") or "/"
    tags, boundary = call.params.tags(), call.params.get("PermissionsBoundary")

    async def body(change: Change) -> EntityRecord:
        made = await entities.create(change, "user", call.account, name, path, tags)
        return await policies.set_boundary(change, "user", call.account, name, boundary) if boundary else made

    return {"User": shapes.entity(await call.identities.changes.make(body))}


async def create_group(call: Call) -> Result:
    name, path = call.params.need("GroupName"), call.params.get("Path") or "/"
    made = await call.identities.changes.make(lambda change: entities.create(change, "group", call.account, name, path))
    return {"Group": shapes.entity(made)}


async def create_role(call: Call) -> Result:
    params = call.params
    name, trust = params.need("RoleName"), params.need("AssumeRolePolicyDocument")
    path, description = params.get("Path") or "/", params.get("Description") or ""
    tags, boundary = params.tags(), params.get("PermissionsBoundary")
    strict = not call.identities.like_rgw
    longest = params.number("MaxSessionDuration", 3600, entities.SESSION_MIN_S, entities.SESSION_MAX_S)

    async def body(change: Change) -> EntityRecord:
        made = await entities.create_role(change, call.account, name, trust, path, tags, description, longest, strict)
        return await policies.set_boundary(change, "role", call.account, name, boundary) if boundary else made

    return {"Role": shapes.entity(await call.identities.changes.make(body))}


async def get_user(call: Call) -> Result:
    name = call.user_name()
    if name:
        return {"User": shapes.entity(await call.entity("user", name))}
    account = await accounts.find(call.view, call.account)
    return {
        "User": {
            "Path": "/",
            "UserName": account.name,
            "UserId": account.id,
            "Arn": call.caller.principal_arn,
            "CreateDate": iso(account.created_ms),
        }
    }


async def get_group(call: Call) -> Result:
    group = await call.entity("group", _name(call, "group"))
    members = [await call.entity("user", name) for name in group.members]
    shown, more = page(call.params, members, [user.name for user in members])
    return {"Group": shapes.entity(group), "Users": [shapes.entity(user, False) for user in shown], **more}


async def get_role(call: Call) -> Result:
    role = await call.entity("role", _name(call, "role"))
    told = await bindings.shown(call.view, role.trust, role.bound)
    return {"Role": shapes.entity(msgspec.structs.replace(role, trust=told))}


def _lister(kind: EntityKind) -> Handler:
    async def list_(call: Call) -> Result:
        found = await entities.list_all(call.view, kind, call.account, call.params.get("PathPrefix") or "/")
        shown, more = page(call.params, found, [record.name.lower() for record in found])
        return {kind.capitalize() + "s": [shapes.entity(record, False) for record in shown], **more}

    return list_


def _renamer(kind: EntityKind) -> Handler:
    async def update(call: Call) -> Result:
        new_name, path = call.params.get(f"New{kind.capitalize()}Name"), call.params.get("NewPath")
        name = _name(call, kind)
        await call.identities.changes.make(
            lambda change: entities.rename(change, kind, call.account, name, new_name, path)
        )
        return None

    return update


async def update_role(call: Call) -> Result:
    name, params = _name(call, "role"), call.params
    fields: dict[str, object] = {}
    if params.get("Description") is not None:
        fields["description"] = params.get("Description")
    if params.get("MaxSessionDuration") is not None:
        fields["max_session_s"] = params.number("MaxSessionDuration", 0, entities.SESSION_MIN_S, entities.SESSION_MAX_S)
    record = await call.identities.changes.make(
        lambda change: entities.edit(change, "role", call.account, name, **fields)
    )
    return {"Role": shapes.entity(record)} if call.action == "UpdateRoleDescription" else {}


async def update_trust(call: Call) -> Result:
    name, trust = _name(call, "role"), call.params.need("PolicyDocument")

    async def body(change: Change) -> None:
        fields = await entities.trusting(change, trust, not call.identities.like_rgw)
        await entities.edit(change, "role", call.account, name, **fields)

    await call.identities.changes.make(body)
    return None


def _deleter(kind: EntityKind) -> Handler:
    async def delete(call: Call) -> Result:
        name = _name(call, kind)

        async def body(change: Change) -> None:
            if kind == "user" and call.identities.like_rgw:
                await entities.leave_groups(change, call.account, name)
            await policies.delete_entity(change, kind, call.account, name)

        await call.identities.changes.make(body)
        return None

    return delete


# ---- membership


async def add_user_to_group(call: Call) -> Result:
    group, user = call.params.need("GroupName"), call.params.need("UserName")
    await call.identities.changes.make(lambda change: entities.add_to_group(change, call.account, group, user))
    return None


async def remove_user_from_group(call: Call) -> Result:
    group, user = call.params.need("GroupName"), call.params.need("UserName")
    await call.identities.changes.make(lambda change: entities.remove_from_group(change, call.account, group, user))
    return None


async def list_groups_for_user(call: Call) -> Result:
    user = await call.entity("user", _name(call, "user"))
    groups = [await call.entity("group", name) for name in user.groups]
    shown, more = page(call.params, groups, [group.name for group in groups])
    return {"Groups": [shapes.entity(group) for group in shown], **more}


# ---- tags


def _tagger(kind: EntityKind) -> Handler:
    async def tag(call: Call) -> Result:
        name, tags = _name(call, kind), call.params.tags()
        await call.identities.changes.make(lambda change: entities.tag(change, kind, call.account, name, tags))
        return None

    return tag


def _untagger(kind: EntityKind) -> Handler:
    async def untag(call: Call) -> Result:
        name, keys = _name(call, kind), call.params.members("TagKeys")
        await call.identities.changes.make(lambda change: entities.untag(change, kind, call.account, name, keys))
        return None

    return untag


def _tag_lister(kind: EntityKind) -> Handler:
    async def list_(call: Call) -> Result:
        record = await call.entity(kind, _name(call, kind))
        shown, more = page(call.params, sorted(record.tags), sorted(record.tags))
        return {"Tags": tag_list({key: record.tags[key] for key in shown}), **more}

    return list_


# ---- access keys


async def create_access_key(call: Call) -> Result:
    user = call.user_name()
    made = await call.identities.changes.make(lambda change: accesskeys.create(change, call.account, user))
    return {"AccessKey": shapes.new_key(made)}


async def list_access_keys(call: Call) -> Result:
    found = await accesskeys.list_all(call.view, call.account, call.user_name())
    found.sort(key=lambda record: record.id)
    shown, more = page(call.params, found, [record.id for record in found])
    return {"AccessKeyMetadata": [shapes.key_metadata(record) for record in shown], **more}


async def update_access_key(call: Call) -> Result:
    user, key, status = call.user_name(), call.params.need("AccessKeyId"), call.params.need("Status")
    if status not in ("Active", "Inactive"):
        raise InvalidInput("Status must be Active or Inactive")
    await call.identities.changes.make(
        lambda change: accesskeys.set_active(change, call.account, user, key, status == "Active")
    )
    return None


async def delete_access_key(call: Call) -> Result:
    user, key = call.user_name(), call.params.need("AccessKeyId")
    await call.identities.changes.make(lambda change: accesskeys.delete(change, call.account, user, key))
    return None


async def get_access_key_last_used(call: Call) -> Result:
    key = call.params.need("AccessKeyId")
    record = await accesskeys.find_any(call.view, key)
    if record.account != call.account:
        raise NoSuchEntity(f"The Access Key with id {key} cannot be found.")
    use = await accesskeys.last_use(call.view, key)
    last: dict[str, object] = {"ServiceName": "N/A", "Region": "N/A"}
    if use is not None:
        last = {"LastUsedDate": iso(use.used_ms), "ServiceName": use.service, "Region": use.region}
    return {"UserName": record.user or None, "AccessKeyLastUsed": last}


# ---- what there never is here, and what clients ask for when they delete a user or a role


def _none(name: str) -> Handler:
    async def list_(call: Call) -> Result:
        if call.params.get("UserName"):
            await call.entity("user", call.params.need("UserName"))
        if call.params.get("RoleName"):
            await call.entity("role", call.params.need("RoleName"))
        empty: Sequence[object] = ()
        return {name: empty, "IsTruncated": False}

    return list_


async def get_login_profile(call: Call) -> Result:
    name = call.user_name()
    raise NoSuchEntity(f"Login Profile for User {name} cannot be found.")


HANDLERS: dict[str, Handler] = {
    "CreateUser": create_user,
    "CreateGroup": create_group,
    "CreateRole": create_role,
    "GetUser": get_user,
    "GetGroup": get_group,
    "GetRole": get_role,
    "UpdateUser": _renamer("user"),
    "UpdateGroup": _renamer("group"),
    "UpdateRole": update_role,
    "UpdateRoleDescription": update_role,
    "UpdateAssumeRolePolicy": update_trust,
    "AddUserToGroup": add_user_to_group,
    "RemoveUserFromGroup": remove_user_from_group,
    "ListGroupsForUser": list_groups_for_user,
    "CreateAccessKey": create_access_key,
    "ListAccessKeys": list_access_keys,
    "UpdateAccessKey": update_access_key,
    "DeleteAccessKey": delete_access_key,
    "GetAccessKeyLastUsed": get_access_key_last_used,
    "ListInstanceProfilesForRole": _none("InstanceProfiles"),
    "ListMFADevices": _none("MFADevices"),
    "ListVirtualMFADevices": _none("VirtualMFADevices"),
    "ListSSHPublicKeys": _none("SSHPublicKeys"),
    "ListSigningCertificates": _none("Certificates"),
    "ListServiceSpecificCredentials": _none("ServiceSpecificCredentials"),
    "GetLoginProfile": get_login_profile,
    "DeleteLoginProfile": get_login_profile,
}
for _kind in _KINDS:
    _title = _kind.capitalize()
    HANDLERS[f"List{_title}s"] = _lister(_kind)
    HANDLERS[f"Delete{_title}"] = _deleter(_kind)
    if _kind != "group":
        HANDLERS[f"Tag{_title}"] = _tagger(_kind)
        HANDLERS[f"Untag{_title}"] = _untagger(_kind)
        HANDLERS[f"List{_title}Tags"] = _tag_lister(_kind)
