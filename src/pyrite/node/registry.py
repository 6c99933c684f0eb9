"""Owns the records of the store itself and of its drives."""

import msgspec

from pyrite.core.clock import Clock
from pyrite.core.entropy import Entropy
from pyrite.metadata.keyspaces import DRIVES, STORE
from pyrite.metadata.kv import ABSENT, Batch, Engine, after_prefix
from pyrite.s3.service import Owner

_FORMAT = 1
_STORE_KEY = STORE + b"store"


class StoreRecord(msgspec.Struct, frozen=True, array_like=True):
    """The store: its id, and the account that owns everything in it."""

    format: int
    id: str
    account_id: str
    canonical_id: str
    created_ms: int

    @property
    def owner(self) -> Owner:
        """The root account."""
        return Owner(self.canonical_id, self.account_id)


class DriveRecord(msgspec.Struct, frozen=True, array_like=True):
    """A drive that belongs to the store; `path` is where it was last seen."""

    format: int
    id: str
    path: str
    joined_ms: int


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
    rows = await engine.scan(DRIVES, after_prefix(DRIVES), 100_000)
    return [msgspec.msgpack.decode(row.value, type=DriveRecord) for row in rows]
