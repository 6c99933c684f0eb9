"""Owns access keys of users and of accounts' roots."""

import re

import msgspec

from pyrite.iam import accounts, entities
from pyrite.iam.changing import Change, View
from pyrite.iam.errors import EntityExists, InvalidInput, LimitExceeded, NoSuchEntity
from pyrite.iam.names import new_id, new_secret
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import AccessKeyRecord, KeyUseRecord, access_key_key, key_use_key

KEYS_MAX = 4
ID_PREFIX = "AKIA"
TEMPORARY_PREFIX = "ASIA"
POLICY_MAX_CHARS = 2048

_ID = re.compile(r"[A-Za-z0-9_.+-]{3,128}\Z")
_SECRET_MIN_CHARS = 8


async def _held(view: View, account: str, user: str) -> tuple[str, ...]:
    if user:
        return (await entities.find(view, "user", account, user)).keys
    return (await accounts.find(view, account)).keys


async def _hold(change: Change, account: str, user: str, keys: tuple[str, ...]) -> None:
    if user:
        await entities.edit(change, "user", account, user, keys=keys)
    else:
        accounts.save(change, msgspec.structs.replace(await accounts.find(change, account), keys=keys))


async def create(
    change: Change,
    account: str,
    user: str,
    access_key: str = "",
    secret: str = "",
    policy: str = "",
    expires_ms: int = 0,
    description: str = "",
) -> AccessKeyRecord:
    """Make an access key of a user, or of the account's root where `user` is ""; what is not given is made.

    Raises NoSuchEntity, LimitExceeded, EntityExists or InvalidInput.
    """
    held = await _held(change, account, user)
    if len(held) >= KEYS_MAX:
        raise LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {KEYS_MAX}")
    if access_key or secret:
        check_pair(access_key or ID_PREFIX, secret or "*" * _SECRET_MIN_CHARS)
    if policy:
        parse_policy(policy, Use.IDENTITY)
    user = (await entities.find(change, "user", account, user)).name if user else ""
    record = AccessKeyRecord(
        id=access_key or new_id(change.entropy, ID_PREFIX),
        secret=secret or new_secret(change.entropy),
        account=account,
        user=user,
        created_ms=change.now_ms,
        policy=policy,
        expires_ms=expires_ms,
        description=description,
    )
    if await change.get(AccessKeyRecord, access_key_key(record.id)) is not None:
        raise EntityExists("The access key id is taken.")
    change.put(access_key_key(record.id), record)
    await _hold(change, account, user, (*held, record.id))
    return record


def check_pair(access_key: str, secret: str) -> None:
    """Raises InvalidInput unless these can be an access key and its secret."""
    if not _ID.match(access_key) or access_key.startswith(TEMPORARY_PREFIX):
        raise InvalidInput("An access key id has 3 to 128 of A-Z a-z 0-9 _ . + - and does not begin with ASIA")
    if len(secret) < _SECRET_MIN_CHARS:
        raise InvalidInput(f"A secret access key has at least {_SECRET_MIN_CHARS} characters")


async def find(view: View, account: str, user: str, access_key: str) -> AccessKeyRecord:
    """An access key of a user. Raises NoSuchEntity."""
    found = await view.get(AccessKeyRecord, access_key_key(access_key))
    if found is None or (found.account, found.user.lower()) != (account, user.lower()):
        raise NoSuchEntity(f"The Access Key with id {access_key} cannot be found.")
    return found


async def find_any(view: View, access_key: str) -> AccessKeyRecord:
    """An access key, whosever it is. Raises NoSuchEntity."""
    found = await view.get(AccessKeyRecord, access_key_key(access_key))
    if found is None:
        raise NoSuchEntity(f"The Access Key with id {access_key} cannot be found.")
    return found


async def list_all(view: View, account: str, user: str) -> list[AccessKeyRecord]:
    """The access keys of a user, by when they were made. Raises NoSuchEntity."""
    found = [await view.get(AccessKeyRecord, access_key_key(key)) for key in await _held(view, account, user)]
    return [record for record in found if record is not None]


async def set_active(change: Change, account: str, user: str, access_key: str, active: bool) -> None:
    """Have an access key work, or not. Raises NoSuchEntity."""
    await _held(change, account, user)
    record = await find(change, account, user, access_key)
    change.put(access_key_key(access_key), msgspec.structs.replace(record, active=active))


async def delete(change: Change, account: str, user: str, access_key: str) -> None:
    """Delete an access key. Raises NoSuchEntity."""
    held = await _held(change, account, user)
    await find(change, account, user, access_key)
    change.erase(access_key_key(access_key))
    change.erase(key_use_key(access_key))
    await _hold(change, account, user, tuple(key for key in held if key != access_key))


async def last_use(view: View, access_key: str) -> KeyUseRecord | None:
    """When an access key was last used; None when it never was."""
    return await view.get(KeyUseRecord, key_use_key(access_key))
