"""Owns the actions on policies: inline, managed with their versions, attached, and as permission boundaries."""

from pyrite.iam import entities, managed, policies
from pyrite.iam.records import EntityKind, PolicyRecord
from pyrite.iamapi import shapes
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.errors import QueryError
from pyrite.iamapi.wire import encoded, page, tag_list

_KINDS: tuple[EntityKind, ...] = ("user", "group", "role")


def _name(call: Call, kind: EntityKind) -> str:
    return call.params.need(kind.capitalize() + "Name")


# ---- inline


def _putter(kind: EntityKind) -> Handler:
    async def put(call: Call) -> Result:
        name, policy = _name(call, kind), call.params.need("PolicyName")
        document = call.params.need("PolicyDocument")
        lenient = kind == "role" and call.identities.like_rgw
        await call.identities.changes.make(
            lambda change: entities.put_inline(change, kind, call.account, name, policy, document, lenient)
        )
        return None

    return put


def _getter(kind: EntityKind) -> Handler:
    async def get(call: Call) -> Result:
        record, policy = await call.entity(kind, _name(call, kind)), call.params.need("PolicyName")
        document = entities.inline_of(record, policy)
        return {kind.capitalize() + "Name": record.name, "PolicyName": policy, "PolicyDocument": encoded(document)}

    return get


def _deleter(kind: EntityKind) -> Handler:
    async def delete(call: Call) -> Result:
        name, policy = _name(call, kind), call.params.need("PolicyName")
        await call.identities.changes.make(
            lambda change: entities.delete_inline(change, kind, call.account, name, policy)
        )
        return None

    return delete


def _lister(kind: EntityKind) -> Handler:
    async def list_(call: Call) -> Result:
        record = await call.entity(kind, _name(call, kind))
        names = sorted(record.inline)
        shown, more = page(call.params, names, names)
        return {"PolicyNames": list(shown), **more}

    return list_


# ---- attached


def _attacher(kind: EntityKind) -> Handler:
    async def attach(call: Call) -> Result:
        name, arn = _name(call, kind), call.params.need("PolicyArn")
        await call.identities.changes.make(lambda change: policies.attach(change, kind, call.account, name, arn))
        return None

    return attach


def _detacher(kind: EntityKind) -> Handler:
    async def detach(call: Call) -> Result:
        name, arn = _name(call, kind), call.params.need("PolicyArn")
        await call.identities.changes.make(lambda change: policies.detach(change, kind, call.account, name, arn))
        return None

    return detach


def _attached_lister(kind: EntityKind) -> Handler:
    async def list_(call: Call) -> Result:
        record = await call.entity(kind, _name(call, kind))
        arns = sorted(record.attached)
        shown, more = page(call.params, arns, arns)
        return {
            "AttachedPolicies": [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in shown],
            **more,
        }

    return list_


def _bounder(kind: EntityKind, sets: bool) -> Handler:
    async def bound(call: Call) -> Result:
        name, arn = _name(call, kind), call.params.need("PermissionsBoundary") if sets else ""
        await call.identities.changes.make(lambda change: policies.set_boundary(change, kind, call.account, name, arn))
        return None

    return bound


# ---- managed


async def create_policy(call: Call) -> Result:
    params = call.params
    name, document = params.need("PolicyName"), params.need("PolicyDocument")
    path, description, tags = params.get("Path") or "/", params.get("Description") or "", params.tags()
    made = await call.identities.changes.make(
        lambda change: policies.create(change, call.account, name, document, path, description, tags)
    )
    return {"Policy": shapes.policy(made)}


async def _policy(call: Call) -> PolicyRecord:
    return await policies.find(call.view, call.account, call.params.need("PolicyArn"))


async def get_policy(call: Call) -> Result:
    return {"Policy": shapes.policy(await _policy(call))}


async def list_policies(call: Call) -> Result:
    params = call.params
    scope, prefix = params.get("Scope") or "All", params.get("PathPrefix") or "/"
    found: list[PolicyRecord] = []
    if scope in ("All", "Local"):
        found += await policies.list_all(call.view, call.account, prefix)
    if scope in ("All", "AWS"):
        found += [record for record in managed.BUILT_IN.values() if record.path.startswith(prefix)]
    if params.flag("OnlyAttached"):
        found = [record for record in found if record.attachments]
    found.sort(key=lambda record: record.arn)
    shown, more = page(params, found, [record.arn for record in found])
    return {"Policies": [shapes.policy(record, False) for record in shown], **more}


async def delete_policy(call: Call) -> Result:
    arn = call.params.need("PolicyArn")
    await call.identities.changes.make(lambda change: policies.delete(change, call.account, arn))
    return None


async def create_policy_version(call: Call) -> Result:
    arn, document = call.params.need("PolicyArn"), call.params.need("PolicyDocument")
    as_default = call.params.flag("SetAsDefault")
    record = await call.identities.changes.make(
        lambda change: policies.add_version(change, call.account, arn, document, as_default)
    )
    return {"PolicyVersion": shapes.policy_version(record, record.versions[-1], False)}


async def get_policy_version(call: Call) -> Result:
    record = await _policy(call)
    version = policies.version_of(record, call.params.need("VersionId"))
    return {"PolicyVersion": shapes.policy_version(record, version)}


async def list_policy_versions(call: Call) -> Result:
    record = await _policy(call)
    versions = sorted(record.versions, key=lambda version: -version.number)
    shown, more = page(call.params, versions, [f"{10**8 - version.number:09d}" for version in versions])
    return {"Versions": [shapes.policy_version(record, version, False) for version in shown], **more}


async def delete_policy_version(call: Call) -> Result:
    arn, version = call.params.need("PolicyArn"), call.params.need("VersionId")
    await call.identities.changes.make(lambda change: policies.delete_version(change, call.account, arn, version))
    return None


async def set_default_policy_version(call: Call) -> Result:
    arn, version = call.params.need("PolicyArn"), call.params.need("VersionId")
    await call.identities.changes.make(lambda change: policies.set_default(change, call.account, arn, version))
    return None


async def tag_policy(call: Call) -> Result:
    arn, tags = call.params.need("PolicyArn"), call.params.tags()
    await call.identities.changes.make(lambda change: policies.retag(change, call.account, arn, tags, ()))
    return None


async def untag_policy(call: Call) -> Result:
    arn, keys = call.params.need("PolicyArn"), call.params.members("TagKeys")
    await call.identities.changes.make(lambda change: policies.retag(change, call.account, arn, {}, keys))
    return None


async def list_policy_tags(call: Call) -> Result:
    record = await _policy(call)
    shown, more = page(call.params, sorted(record.tags), sorted(record.tags))
    return {"Tags": tag_list({key: record.tags[key] for key in shown}), **more}


async def list_entities_for_policy(call: Call) -> Result:
    record = await _policy(call)
    wanted = call.params.get("EntityFilter")
    if wanted not in (None, "", "User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"):
        raise QueryError("ValidationError", f"{wanted} is not an EntityFilter")
    found = await policies.users_of(call.view, call.account, record.arn)
    result: dict[str, object] = {"IsTruncated": False}
    for kind, id_name in (("user", "UserId"), ("group", "GroupId"), ("role", "RoleId")):
        title = kind.capitalize()
        shown = [one for one in found if one.kind == kind and wanted in (None, "", title)]
        result[f"Policy{title}s"] = [{title + "Name": one.name, id_name: one.id} for one in shown]
    return result


HANDLERS: dict[str, Handler] = {
    "CreatePolicy": create_policy,
    "GetPolicy": get_policy,
    "ListPolicies": list_policies,
    "DeletePolicy": delete_policy,
    "CreatePolicyVersion": create_policy_version,
    "GetPolicyVersion": get_policy_version,
    "ListPolicyVersions": list_policy_versions,
    "DeletePolicyVersion": delete_policy_version,
    "SetDefaultPolicyVersion": set_default_policy_version,
    "TagPolicy": tag_policy,
    "UntagPolicy": untag_policy,
    "ListPolicyTags": list_policy_tags,
    "ListEntitiesForPolicy": list_entities_for_policy,
}
for _kind in _KINDS:
    _title = _kind.capitalize()
    HANDLERS[f"Put{_title}Policy"] = _putter(_kind)
    HANDLERS[f"Get{_title}Policy"] = _getter(_kind)
    HANDLERS[f"Delete{_title}Policy"] = _deleter(_kind)
    HANDLERS[f"List{_title}Policies"] = _lister(_kind)
    HANDLERS[f"Attach{_title}Policy"] = _attacher(_kind)
    HANDLERS[f"Detach{_title}Policy"] = _detacher(_kind)
    HANDLERS[f"ListAttached{_title}Policies"] = _attached_lister(_kind)
    if _kind != "group":
        HANDLERS[f"Put{_title}PermissionsBoundary"] = _bounder(_kind, sets=True)
        HANDLERS[f"Delete{_title}PermissionsBoundary"] = _bounder(_kind, sets=False)
