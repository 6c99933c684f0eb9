"""Owns managed policies with their versions, and attaching them to users, groups and roles."""

from collections.abc import Iterable, Mapping

import msgspec

from pyrite.aws.arns import MalformedArn, parse_arn
from pyrite.iam import entities, managed
from pyrite.iam.changing import Change, View
from pyrite.iam.entities import characters_of
from pyrite.iam.errors import DeleteConflict, EntityExists, InvalidInput, LimitExceeded, NoSuchEntity
from pyrite.iam.names import check_name, check_path, check_tags, new_id
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import EntityKind, EntityRecord, PolicyRecord, PolicyVersion, named, named_key

DOCUMENT_MAX_CHARS = 6144
VERSIONS_MAX = 5
ATTACHED_MAX = 20


def check_document(document: str) -> None:
    """Raises MalformedPolicy or LimitExceeded unless it can be a managed policy."""
    parse_policy(document, Use.IDENTITY)
    if characters_of(document) > DOCUMENT_MAX_CHARS:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {DOCUMENT_MAX_CHARS}")


async def find(view: View, account: str, arn: str) -> PolicyRecord:
    """The managed policy with this ARN, of the account or of the system. Raises NoSuchEntity or InvalidInput."""
    try:
        fields = parse_arn(arn)
    except MalformedArn:
        raise InvalidInput(f"ARN {arn} is not valid.") from None
    if not fields.resource.startswith("policy/"):
        raise InvalidInput(f"ARN {arn} is not valid.")
    if fields.account == "aws":
        return managed.built_in(arn)
    name = fields.resource.rpartition("/")[2]
    found = await view.get(PolicyRecord, named_key("policy", account, name)) if fields.account == account else None
    if found is None or found.arn != arn:
        raise NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")
    return found


async def list_all(view: View, account: str, path_prefix: str = "/") -> list[PolicyRecord]:
    """The managed policies of an account whose path starts with `path_prefix`, by name."""
    found = await view.scan(PolicyRecord, named("policy", account))
    return [record for record in found if record.path.startswith(path_prefix)]


def save(change: Change, record: PolicyRecord) -> PolicyRecord:
    """Store a record that was read or made by this change."""
    change.put(named_key("policy", record.account, record.name), record)
    return record


async def _own(change: Change, account: str, arn: str) -> PolicyRecord:
    found = await find(change, account, arn)
    if found.account != account:
        raise InvalidInput(f"The policy {arn} belongs to the system.")
    return found


async def create(
    change: Change,
    account: str,
    name: str,
    document: str,
    path: str = "/",
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> PolicyRecord:
    """Make a managed policy. Raises EntityExists, InvalidInput, MalformedPolicy or LimitExceeded."""
    check_document(document)
    check_name("policy", name)
    if await change.get(PolicyRecord, named_key("policy", account, name)) is not None:
        raise EntityExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    record = PolicyRecord(
        account=account,
        name=name,
        id=new_id(change.entropy, "ANPA"),
        path=check_path(path),
        created_ms=change.now_ms,
        updated_ms=change.now_ms,
        description=description,
        versions=(PolicyVersion(1, document, change.now_ms),),
        tags=check_tags(tags or {}),
    )
    return save(change, record)


def version_of(record: PolicyRecord, version_id: str) -> PolicyVersion:
    """The version with this id (`v1`). Raises NoSuchEntity."""
    for version in record.versions:
        if version_id == f"v{version.number}":
            return version
    raise NoSuchEntity(f"Policy {record.arn} version {version_id} does not exist or is not attachable.")


async def add_version(change: Change, account: str, arn: str, document: str, as_default: bool) -> PolicyRecord:
    """Add a version. Raises NoSuchEntity, MalformedPolicy or LimitExceeded."""
    check_document(document)
    record = await _own(change, account, arn)
    if len(record.versions) >= VERSIONS_MAX:
        raise LimitExceeded(
            f"A managed policy can have up to {VERSIONS_MAX} versions. Before you create a new version, you must "
            "delete an existing version."
        )
    number = record.latest + 1
    changed = msgspec.structs.replace(
        record,
        versions=(*record.versions, PolicyVersion(number, document, change.now_ms)),
        latest=number,
        default=number if as_default else record.default,
        updated_ms=change.now_ms,
    )
    return save(change, changed)


async def delete_version(change: Change, account: str, arn: str, version_id: str) -> None:
    """Remove a version that is not the default. Raises NoSuchEntity or DeleteConflict."""
    record = await _own(change, account, arn)
    version = version_of(record, version_id)
    if version.number == record.default:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    kept = tuple(other for other in record.versions if other is not version)
    save(change, msgspec.structs.replace(record, versions=kept, updated_ms=change.now_ms))


async def set_default(change: Change, account: str, arn: str, version_id: str) -> None:
    """Make a version the one that counts. Raises NoSuchEntity."""
    record = await _own(change, account, arn)
    number = version_of(record, version_id).number
    save(change, msgspec.structs.replace(record, default=number, updated_ms=change.now_ms))


async def delete(change: Change, account: str, arn: str) -> None:
    """Delete a policy that nothing uses and that has one version. Raises NoSuchEntity or DeleteConflict."""
    record = await _own(change, account, arn)
    if record.attachments or record.boundaries:
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    if len(record.versions) > 1:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions."
        )
    change.erase(named_key("policy", account, record.name))


async def _count(change: Change, account: str, arn: str, attachments: int = 0, boundaries: int = 0) -> None:
    record = await find(change, account, arn)
    if record.account == account:
        counted = msgspec.structs.replace(
            record, attachments=record.attachments + attachments, boundaries=record.boundaries + boundaries
        )
        save(change, counted)


async def attach(change: Change, kind: EntityKind, account: str, name: str, arn: str) -> None:
    """Attach a managed policy; twice is once. Raises NoSuchEntity or LimitExceeded."""
    record = await entities.find(change, kind, account, name)
    await find(change, account, arn)
    if arn in record.attached:
        return
    if len(record.attached) >= ATTACHED_MAX:
        raise LimitExceeded(f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {ATTACHED_MAX}")
    entities.save(change, msgspec.structs.replace(record, attached=(*record.attached, arn)))
    await _count(change, account, arn, attachments=1)


async def detach(change: Change, kind: EntityKind, account: str, name: str, arn: str) -> None:
    """Detach a managed policy. Raises NoSuchEntity."""
    record = await entities.find(change, kind, account, name)
    if arn not in record.attached:
        raise NoSuchEntity(f"Policy {arn} was not found.")
    kept = tuple(other for other in record.attached if other != arn)
    entities.save(change, msgspec.structs.replace(record, attached=kept))
    await _count(change, account, arn, attachments=-1)


async def set_boundary(change: Change, kind: EntityKind, account: str, name: str, arn: str) -> EntityRecord:
    """Limit a user or role to what a managed policy allows; with "" no more. Raises NoSuchEntity."""
    record = await entities.find(change, kind, account, name)
    if arn:
        await _count(change, account, arn, boundaries=1)
    if record.boundary:
        await _count(change, account, record.boundary, boundaries=-1)
    return entities.save(change, msgspec.structs.replace(record, boundary=arn))


async def delete_entity(change: Change, kind: EntityKind, account: str, name: str) -> EntityRecord:
    """Delete a user, group or role that nothing depends on. Raises NoSuchEntity or DeleteConflict."""
    record = await entities.delete(change, kind, account, name)
    if record.boundary:
        await _count(change, account, record.boundary, boundaries=-1)
    return record


async def retag(change: Change, account: str, arn: str, tags: Mapping[str, str], without: Iterable[str]) -> None:
    """Add, replace and remove tags. Raises NoSuchEntity, InvalidInput or LimitExceeded."""
    record = await _own(change, account, arn)
    gone = set(without)
    kept = {key: value for key, value in {**record.tags, **tags}.items() if key not in gone}
    save(change, msgspec.structs.replace(record, tags=check_tags(kept)))


async def users_of(view: View, account: str, arn: str) -> list[EntityRecord]:
    """The users, groups and roles to which a policy is attached."""
    found: list[EntityRecord] = []
    kinds: tuple[EntityKind, ...] = ("user", "group", "role")
    for kind in kinds:
        found += [record for record in await entities.list_all(view, kind, account) if arn in record.attached]
    return found
