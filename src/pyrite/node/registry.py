"""Owns the records of the store itself and of its drives."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from pyrite.core.clock import Clock
from pyrite.core.entropy import Entropy
from pyrite.metadata.keyspaces import DRIVES, PLACEMENT, STORE
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, Row, after_prefix

Role = Literal["active", "draining", "lost"]
Condition = Literal["", "slow", "read-only", "failing"]

_FORMAT = 1
_ATTEMPTS = 16
_STORE_KEY = STORE + b"store"


class StoreRecord(msgspec.Struct, frozen=True, array_like=True):
    """The store: its id, and the account of its root."""

    format: int
    id: str
    account_id: str
    canonical_id: str
    created_ms: int


class DriveRecord(msgspec.Struct, frozen=True, array_like=True):
    """A drive that belongs to the store; `path` is where it was last seen.

    `role`: "active"; "draining" (its shards move away); "lost" (they are made again elsewhere; it will not come
    back). A lost drive leaves the store once nothing stands on it, a draining one when it is removed. `domain` is
    what fails together with it. `successor` is the drive that replaces it. `suspect_ms` is when it failed a write:
    everything on it is verified before that is forgotten. `condition` is what its users see of it while it is there:
    "failing", "read-only", "slow", or "".
    """

    format: int
    id: str
    path: str
    joined_ms: int
    role: Role = "active"
    domain: str = ""
    successor: str = ""
    suspect_ms: int = 0
    condition: Condition = ""


async def create_store(
    engine: Engine, store: str, drives: dict[str, str], clock: Clock, entropy: Entropy
) -> StoreRecord:
    """Record a new store and its drives (id to path)."""
    now = clock.now_ms()
    account = str(int.from_bytes(entropy.bytes(8), "big") % 10**12).zfill(12)
    record = StoreRecord(_FORMAT, store, account, entropy.bytes(32).hex(), now)
    batch = Batch()
    batch.expect(_STORE_KEY, ABSENT)
    batch.put(_STORE_KEY, msgspec.msgpack.encode(record))
    for drive, path in drives.items():
        batch.put(DRIVES + drive.encode(), msgspec.msgpack.encode(DriveRecord(_FORMAT, drive, path, now)))
    await engine.commit(batch)
    return record


async def load_store(engine: Engine) -> StoreRecord | None:
    """The store's record, or None in a store that was never completed."""
    entry = await engine.get(_STORE_KEY)
    return None if entry is None else msgspec.msgpack.decode(entry.value, type=StoreRecord)


async def load_drives(engine: Engine) -> list[DriveRecord]:
    """The drives that belong to the store."""
    return drives_in(await engine.scan(DRIVES, after_prefix(DRIVES), 100_000))


def drives_in(rows: Iterable[Row]) -> list[DriveRecord]:
    """The records of drives in rows of their key space."""
    return [msgspec.msgpack.decode(row.value, type=DriveRecord) for row in rows]


def drive_key(drive_id: str) -> bytes:
    """The key of a drive's record."""
    return DRIVES + drive_id.encode()


async def add_drive(engine: Engine, record: DriveRecord) -> None:
    """Record a new drive."""
    batch = Batch()
    batch.expect(drive_key(record.id), ABSENT)
    batch.put(drive_key(record.id), msgspec.msgpack.encode(record))
    batch.add(PLACEMENT, 1)
    await engine.commit(batch)


async def change_drive(engine: Engine, drive_id: str, **changes: object) -> bool:
    """Change a drive's record; False when there is none."""
    for _ in range(_ATTEMPTS):
        entry = await engine.get(drive_key(drive_id))
        if entry is None:
            return False
        record = msgspec.msgpack.decode(entry.value, type=DriveRecord)
        batch = Batch()
        batch.expect(drive_key(drive_id), entry.version)
        batch.put(drive_key(drive_id), msgspec.msgpack.encode(msgspec.structs.replace(record, **changes)))
        batch.add(PLACEMENT, 1)
        try:
            await engine.commit(batch)
        except Conflict:
            continue
        return True
    return False


async def drop_drive(engine: Engine, drive_id: str) -> None:
    """Forget a drive."""
    batch = Batch()
    batch.delete(drive_key(drive_id))
    batch.add(PLACEMENT, 1)
    await engine.commit(batch)
