"""Owns the repair queue: one record for each volume that needs something made again, kept in metadata."""

from typing import NamedTuple

import msgspec

from pyrite.metadata.keyspaces import REPAIRS, number
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, after_prefix

_FORMAT = 1
_SCAN_ROWS = 1000
_ATTEMPTS = 16


class RepairRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a volume waits for. `shards` are to be verified and mended; `lost_stripes` could not be the last time."""

    format: int
    volume: int
    shards: tuple[int, ...]
    reason: str
    queued_ms: int
    not_before_ms: int = 0
    attempts: int = 0
    lost_stripes: int = 0
    move_to: str = ""  # the drive to which `shards` are moved, where that is all that is wanted


class QueuedRepair(NamedTuple):
    """A record of the queue and the version under which it is stored."""

    record: RepairRecord
    version: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RepairRecord).decode


def repair_key(volume: int) -> bytes:
    """The key of a volume's record in the queue."""
    return REPAIRS + number(volume)


class RepairQueue:
    """The queue; any process may put into it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, volume: int, shards: tuple[int, ...], reason: str, now_ms: int, move_to: str = "") -> bool:
        """Queue `shards` of a volume beside those that wait already; whether that changed anything."""
        for _ in range(_ATTEMPTS):
            entry = await self._engine.get(repair_key(volume))
            batch = Batch()
            if entry is None:
                record = RepairRecord(_FORMAT, volume, tuple(sorted(set(shards))), reason, now_ms, move_to=move_to)
            else:
                known = _decode(entry.value)
                if move_to or (set(shards) <= set(known.shards) and not known.move_to):
                    return False  # it waits already
                union = tuple(sorted({*known.shards, *shards}))
                record = msgspec.structs.replace(known, shards=union, reason=reason, not_before_ms=0, move_to="")
            batch.expect(repair_key(volume), entry.version if entry is not None else ABSENT)
            batch.put(repair_key(volume), _encode(record))
            try:
                await self._engine.commit(batch)
            except Conflict:
                continue
            return True
        return False

    async def all(self) -> list[QueuedRepair]:
        """Everything that waits, by volume."""
        found: list[QueuedRepair] = []
        start, end = REPAIRS, after_prefix(REPAIRS)
        while rows := await self._engine.scan(start, end, _SCAN_ROWS):
            found += [QueuedRepair(_decode(row.value), row.version) for row in rows]
            start = rows[-1].key + b"\0"
        return found

    async def postpone(self, queued: QueuedRepair, not_before_ms: int, lost_stripes: int) -> None:
        """Try again later. Somebody who has changed the record in the meantime wins."""
        batch = Batch()
        self.change(batch, queued, not_before_ms, lost_stripes)
        try:
            await self._engine.commit(batch)
        except Conflict:
            return

    @staticmethod
    def change(
        batch: Batch, queued: QueuedRepair, not_before_ms: int, lost_stripes: int, shards: tuple[int, ...] | None = None
    ) -> None:
        """Have `batch` store that the repair was tried, and which `shards` are left to do (None: as before)."""
        record = msgspec.structs.replace(
            queued.record,
            not_before_ms=not_before_ms,
            attempts=queued.record.attempts + 1,
            lost_stripes=lost_stripes,
            shards=queued.record.shards if shards is None else shards,
        )
        batch.expect(repair_key(record.volume), queued.version)
        batch.put(repair_key(record.volume), _encode(record))

    @staticmethod
    def finish(batch: Batch, queued: QueuedRepair) -> None:
        """Have `batch` take the record off the queue, unless more was queued in the meantime."""
        batch.expect(repair_key(queued.record.volume), queued.version)
        batch.delete(repair_key(queued.record.volume))
