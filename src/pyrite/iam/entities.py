"""Owns users, groups and roles: making, finding, changing and deleting them, and what is attached to them."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pyrite.iam.bindings import bind
from pyrite.iam.changing import Change, View
from pyrite.iam.errors import DeleteConflict, EntityExists, InvalidInput, LimitExceeded, NoSuchEntity
from pyrite.iam.names import check_name, check_path, check_tags, new_id
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import (
    AccessKeyRecord,
    AccountRecord,
    EntityKind,
    EntityRecord,
    access_key_key,
    account_key,
    named,
    named_key,
)

ID_PREFIXES = {"user": "AIDA", "group": "AGPA", "role": "AROA"}
INLINE_MAX_CHARS = {"user": 2048, "group": 5120, "role": 10240}
TRUST_MAX_CHARS = 4096
GROUPS_PER_USER_MAX = 10
SESSION_MIN_S, SESSION_MAX_S = 3600, 43_200

_SPACES = re.compile(r"\s+")


def characters_of(document: str) -> int:
    """The size of a policy as IAM counts it: without white space."""
    return len(_SPACES.sub("", document))


async def find(view: View, kind: EntityKind, account: str, name: str) -> EntityRecord:
    """The user, group or role called `name`, in any case. Raises NoSuchEntity."""
    found = await view.get(EntityRecord, named_key(kind, account, name))
    if found is None:
        raise NoSuchEntity(f"The {kind} with name {name} cannot be found.")
    return found


async def list_all(view: View, kind: EntityKind, account: str, path_prefix: str = "/") -> list[EntityRecord]:
    """All of a kind in an account whose path starts with `path_prefix`, by name."""
    found = await view.scan(EntityRecord, named(kind, account))
    return [record for record in found if record.path.startswith(path_prefix)]


def save(change: Change, record: EntityRecord) -> EntityRecord:
    """Store a record that was read or made by this change."""
    change.put(named_key(record.kind, record.account, record.name), record)
    return record


async def create(
    change: Change, kind: EntityKind, account: str, name: str, path: str = "/", tags: Mapping[str, str] | None = None
) -> EntityRecord:
    """Make an entity. Raises EntityExists or InvalidInput."""
    check_name(kind, name)
    if await change.get(EntityRecord, named_key(kind, account, name)) is not None:
        raise EntityExists(f"{kind.capitalize()} with name {name} already exists.")
    owner = await change.get(AccountRecord, account_key(account))
    if owner is not None:  # written as it is, so that who deletes the account meanwhile meets the change
        change.put(account_key(account), owner)
    record = EntityRecord(
        kind=kind,
        account=account,
        name=name,
        id=new_id(change.entropy, ID_PREFIXES[kind]),
        path=check_path(path),
        created_ms=change.now_ms,
        tags=check_tags(tags or {}),
    )
    return save(change, record)


async def create_role(
    change: Change,
    account: str,
    name: str,
    trust: str,
    path: str = "/",
    tags: Mapping[str, str] | None = None,
    description: str = "",
    max_session_s: int = SESSION_MIN_S,
    strict: bool = False,
) -> EntityRecord:
    """Make a role. Raises EntityExists, InvalidInput or MalformedPolicy."""
    fields = await trusting(change, trust, strict)
    check_session_limit(max_session_s)
    record = await create(change, "role", account, name, path, tags)
    return save(change, msgspec.structs.replace(record, description=description, max_session_s=max_session_s, **fields))


async def trusting(view: View, document: str, strict: bool) -> dict[str, Any]:
    """The fields of a role that have its trust policy.

    Raises MalformedPolicy or LimitExceeded unless the document can be one, and where it is `strict` names nobody who
    is not there.
    """
    policy = parse_policy(document, Use.TRUST)
    if characters_of(document) > TRUST_MAX_CHARS:
        raise LimitExceeded(f"Cannot exceed quota for ACLSizePerRole: {TRUST_MAX_CHARS}")
    return {"trust": document, "bound": await bind(view, policy, strict)}


def check_session_limit(seconds: int) -> None:
    """Raises InvalidInput unless a role's sessions may last so long."""
    if not SESSION_MIN_S <= seconds <= SESSION_MAX_S:
        raise InvalidInput(f"MaxSessionDuration must be between {SESSION_MIN_S} and {SESSION_MAX_S} seconds")


async def edit(change: Change, kind: EntityKind, account: str, name: str, **fields: object) -> EntityRecord:
    """Replace fields of an entity. Raises NoSuchEntity."""
    record = await find(change, kind, account, name)
    return save(change, msgspec.structs.replace(record, **fields))


async def rename(
    change: Change, kind: EntityKind, account: str, name: str, new_name: str | None, new_path: str | None
) -> EntityRecord:
    """Give a user or a group another name or path; its id stays. Raises NoSuchEntity or EntityExists."""
    record = await find(change, kind, account, name)
    wanted = check_name(kind, new_name if new_name is not None else record.name)
    path = check_path(new_path if new_path is not None else record.path)
    renamed = msgspec.structs.replace(record, name=wanted, path=path)
    old_key, new_key = named_key(kind, account, record.name), named_key(kind, account, wanted)
    if new_key != old_key:
        if await change.get(EntityRecord, new_key) is not None:
            raise EntityExists(f"{kind.capitalize()} with name {wanted} already exists.")
        change.erase(old_key)
    save(change, renamed)
    if wanted != record.name:
        await _rename_references(change, record, wanted)
    return renamed


async def _rename_references(change: Change, record: EntityRecord, wanted: str) -> None:
    for access_key in record.keys:
        key = await change.get(AccessKeyRecord, access_key_key(access_key))
        if key is not None:
            change.put(access_key_key(access_key), msgspec.structs.replace(key, user=wanted))
    for group in record.groups:
        found = await find(change, "group", record.account, group)
        save(change, msgspec.structs.replace(found, members=_exchanged(found.members, record.name, wanted)))
    for member in record.members:
        found = await find(change, "user", record.account, member)
        save(change, msgspec.structs.replace(found, groups=_exchanged(found.groups, record.name, wanted)))


def _exchanged(names: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(sorted(new if name == old else name for name in names))


async def delete(change: Change, kind: EntityKind, account: str, name: str) -> EntityRecord:
    """Delete an entity that nothing depends on. Raises NoSuchEntity or DeleteConflict."""
    record = await find(change, kind, account, name)
    if record.keys:
        raise DeleteConflict("Cannot delete entity, must delete access keys first.")
    if record.inline:
        raise DeleteConflict("Cannot delete entity, must delete policies first.")
    if record.attached:
        raise DeleteConflict("Cannot delete entity, must detach all policies first.")
    if record.members or record.groups:
        what = "users in group" if record.members else "membership in groups"
        raise DeleteConflict(f"Cannot delete entity, must remove {what} first.")
    change.erase(named_key(kind, account, record.name))
    return record


async def leave_groups(change: Change, account: str, name: str) -> None:
    """End all memberships of a user. Raises NoSuchEntity."""
    for group in (await find(change, "user", account, name)).groups:
        await remove_from_group(change, account, group, name)


async def put_inline(
    change: Change, kind: EntityKind, account: str, name: str, policy: str, document: str, lenient: bool = False
) -> None:
    """Add or replace an inline policy. Raises NoSuchEntity, MalformedPolicy, InvalidInput or LimitExceeded."""
    check_name("inline", policy)
    record = await find(change, kind, account, name)
    parse_policy(document, Use.IDENTITY, policy, lenient)
    inline = {**record.inline, policy: document}
    if sum(characters_of(text) for text in inline.values()) > INLINE_MAX_CHARS[kind]:
        raise LimitExceeded(f"Maximum policy size of {INLINE_MAX_CHARS[kind]} bytes exceeded for {kind} {name}")
    save(change, msgspec.structs.replace(record, inline=inline))


async def delete_inline(change: Change, kind: EntityKind, account: str, name: str, policy: str) -> None:
    """Remove an inline policy. Raises NoSuchEntity."""
    record = await find(change, kind, account, name)
    inline_of(record, policy)
    inline = {label: text for label, text in record.inline.items() if label != policy}
    save(change, msgspec.structs.replace(record, inline=inline))


def inline_of(record: EntityRecord, policy: str) -> str:
    """The document of an inline policy. Raises NoSuchEntity."""
    if policy not in record.inline:
        raise NoSuchEntity(f"The {record.kind} policy with name {policy} cannot be found.")
    return record.inline[policy]


async def add_to_group(change: Change, account: str, group: str, user: str) -> None:
    """Make a user a member of a group. Raises NoSuchEntity or LimitExceeded."""
    found, member = await find(change, "group", account, group), await find(change, "user", account, user)
    if member.name in found.members:
        return
    if len(member.groups) >= GROUPS_PER_USER_MAX:
        raise LimitExceeded(f"Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER_MAX}")
    save(change, msgspec.structs.replace(found, members=tuple(sorted((*found.members, member.name)))))
    save(change, msgspec.structs.replace(member, groups=tuple(sorted((*member.groups, found.name)))))


async def remove_from_group(change: Change, account: str, group: str, user: str) -> None:
    """End a user's membership. Raises NoSuchEntity."""
    found, member = await find(change, "group", account, group), await find(change, "user", account, user)
    if member.name not in found.members:
        raise NoSuchEntity(f"The user {member.name} is not in the group {found.name}.")
    save(change, msgspec.structs.replace(found, members=tuple(n for n in found.members if n != member.name)))
    save(change, msgspec.structs.replace(member, groups=tuple(n for n in member.groups if n != found.name)))


async def tag(change: Change, kind: EntityKind, account: str, name: str, tags: Mapping[str, str]) -> None:
    """Add or replace tags. Raises NoSuchEntity, InvalidInput or LimitExceeded."""
    record = await find(change, kind, account, name)
    save(change, msgspec.structs.replace(record, tags=check_tags({**record.tags, **tags})))


async def untag(change: Change, kind: EntityKind, account: str, name: str, keys: list[str]) -> None:
    """Remove tags; absent ones do not matter. Raises NoSuchEntity."""
    record = await find(change, kind, account, name)
    kept = {key: value for key, value in record.tags.items() if key not in keys}
    save(change, msgspec.structs.replace(record, tags=kept))
