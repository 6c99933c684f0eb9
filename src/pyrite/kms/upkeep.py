"""Owns what happens to keys by themselves: rotation, deletion, and moving their secrets to the newest master key."""

import msgspec

from pyrite.core.keyring import Wrapped
from pyrite.kms.checks import purpose_of
from pyrite.kms.keys import KmsKeys
from pyrite.kms.records import KeyMaterial, KmsKeyRecord

_DAY_MS = 86_400_000


async def keep_keys(keys: KmsKeys, now_ms: int) -> int:
    """Delete the keys whose time has come, and rotate those that are due; how many were changed."""
    done = 0
    for record in await keys.every_key():
        if record.state == "PendingDeletion" and record.deletion_ms <= now_ms:
            done += await keys.remove(record, now_ms)
        elif _is_due(record, now_ms):
            await keys.rotate(record.account, record.id)
            done += 1
    return done


def _is_due(record: KmsKeyRecord, now_ms: int) -> bool:
    due_ms = record.newest.created_ms + record.rotation_days * _DAY_MS
    return record.rotation_days > 0 and record.state == "Enabled" and due_ms <= now_ms


async def rewrap_key(keys: KmsKeys, record: KmsKeyRecord) -> bool:
    """Wrap the secrets of a key under the newest master key; whether there was anything to do."""
    newest = keys.keyring.newest
    if all(material.master == newest for material in record.materials):
        return False

    def change(found: KmsKeyRecord) -> KmsKeyRecord:
        return msgspec.structs.replace(found, materials=tuple(_again(keys, found, one) for one in found.materials))

    await keys.change(record.account, record.id, change)
    return True


def _again(keys: KmsKeys, record: KmsKeyRecord, material: KeyMaterial) -> KeyMaterial:
    purpose = purpose_of(record.account, record.id, material.number)
    wrapped = keys.keyring.rewrap(Wrapped(material.master, material.wrapped), purpose)
    return msgspec.structs.replace(material, master=wrapped.key_id, wrapped=wrapped.secret)
