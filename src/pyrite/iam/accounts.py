"""Owns accounts, and whom canonical ids and e-mail addresses belong to."""

import msgspec

from pyrite.core.counts import parse_count
from pyrite.iam.changing import Change, View
from pyrite.iam.errors import DeleteConflict, EntityExists, InvalidInput, NoSuchEntity
from pyrite.iam.names import check_email, new_account_id
from pyrite.iam.records import (
    FORMAT,
    AccountRecord,
    EntityRecord,
    OwnerRecord,
    account_key,
    accounts,
    canonical_key,
    email_key,
    named,
)

_CANONICAL_BYTES = 32


async def find(view: View, account: str) -> AccountRecord:
    """The account with this id. Raises NoSuchEntity."""
    found = await view.get(AccountRecord, account_key(account))
    if found is None:
        raise NoSuchEntity(f"There is no account {account!r}.")
    return found


async def list_all(view: View) -> list[AccountRecord]:
    """All accounts, by id."""
    return await view.scan(AccountRecord, accounts())


async def create(
    change: Change, name: str, account: str = "", canonical_id: str = "", email: str = ""
) -> AccountRecord:
    """Make an account; ids that are not given are made. Raises EntityExists or InvalidInput."""
    if account and (len(account) != 12 or parse_count(account) is None):
        raise InvalidInput(f"{account!r} is not an account id of 12 digits")
    account = account or new_account_id(change.entropy)
    if await change.get(AccountRecord, account_key(account)) is not None:
        raise EntityExists(f"The account {account} exists already.")
    record = AccountRecord(
        id=account,
        name=name,
        canonical_id=canonical_id or change.entropy.bytes(_CANONICAL_BYTES).hex(),
        email=check_email(email),
        created_ms=change.now_ms,
    )
    await claim(change, OwnerRecord(FORMAT, account, "", record.canonical_id, name), email)
    return save(change, record)


def save(change: Change, record: AccountRecord) -> AccountRecord:
    """Store a record that was read or made by this change."""
    change.put(account_key(record.id), record)
    return record


async def claim(change: Change, owner: OwnerRecord, email: str) -> None:
    """Let a canonical id, and an e-mail address if there is one, belong to `owner`. Raises EntityExists."""
    for key in (canonical_key(owner.canonical_id), *((email_key(email),) if email else ())):
        other = await change.get(OwnerRecord, key)
        if other is not None and (other.account, other.user) != (owner.account, owner.user):
            raise EntityExists("The canonical id or e-mail address belongs to another account.")
        change.put(key, owner)


async def delete(change: Change, account: str) -> None:
    """Delete an account that has no identities. Raises NoSuchEntity or DeleteConflict."""
    record = await find(change, account)
    if record.keys or await change.scan(EntityRecord, named("user", account)):
        raise DeleteConflict("Cannot delete an account that has users or access keys.")
    if await change.scan(EntityRecord, named("role", account)):
        raise DeleteConflict("Cannot delete an account that has roles.")
    change.erase(account_key(account))
    change.erase(canonical_key(record.canonical_id))
    if record.email:
        change.erase(email_key(record.email))


async def by_canonical_id(view: View, canonical_id: str) -> OwnerRecord:
    """Whom a canonical id belongs to. Raises NoSuchEntity."""
    found = await view.get(OwnerRecord, canonical_key(canonical_id))
    if found is None:
        raise NoSuchEntity("There is nobody with this canonical id.")
    return found


async def by_email(view: View, email: str) -> OwnerRecord:
    """Whom an e-mail address belongs to. Raises NoSuchEntity."""
    found = await view.get(OwnerRecord, email_key(email))
    if found is None:
        raise NoSuchEntity("There is nobody with this e-mail address.")
    return found


async def ensure_first(change: Change, account: str, canonical_id: str) -> None:
    """Record the account of the store itself, if it is not recorded yet."""
    if await change.get(AccountRecord, account_key(account)) is None:
        await create(change, "root", account, canonical_id)


async def set_alias(change: Change, account: str, alias: str) -> None:
    """Give an account another name for people; "" takes it away. Raises NoSuchEntity."""
    save(change, msgspec.structs.replace(await find(change, account), alias=alias))
