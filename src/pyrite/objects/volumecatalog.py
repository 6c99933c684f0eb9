"""Owns the volume records in metadata: the catalog that `blobs` asks for."""

import msgspec

from pyrite.blobs.volume import VolumeRecord
from pyrite.metadata.keyspaces import VOLUMES, number
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, after_prefix

_encode = msgspec.msgpack.Encoder().encode
decode_volume = msgspec.msgpack.Decoder(VolumeRecord).decode
_SCAN_ROWS = 1000


def volume_key(volume: int) -> bytes:
    """The key of a volume's record."""
    return VOLUMES + number(volume)


def change_volume(batch: Batch, record: VolumeRecord, version: int, **changes: object) -> None:
    """Have `batch` store `record`, which stands under `version`, with `changes` and the next generation."""
    changed = msgspec.structs.replace(record, generation=record.generation + 1, **changes)
    batch.expect(volume_key(record.id), version)
    batch.put(volume_key(record.id), _encode(changed))


class MetadataCatalog:
    """Volume records in the key-value store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self, volume: int) -> VolumeRecord | None:
        entry = await self._engine.get(volume_key(volume))
        return None if entry is None else decode_volume(entry.value)

    async def create(self, record: VolumeRecord) -> bool:
        return await self._write(record, ABSENT)

    async def update(self, record: VolumeRecord) -> bool:
        entry = await self._engine.get(volume_key(record.id))
        if entry is None or decode_volume(entry.value).generation != record.generation - 1:
            return False
        return await self._write(record, entry.version)

    async def all(self) -> list[VolumeRecord]:
        """Every volume of the store, by id."""
        found: list[VolumeRecord] = []
        start, end = VOLUMES, after_prefix(VOLUMES)
        while rows := await self._engine.scan(start, end, _SCAN_ROWS):
            found += [decode_volume(row.value) for row in rows]
            start = rows[-1].key + b"\0"
        return found

    async def entry(self, volume: int) -> tuple[VolumeRecord, int] | None:
        """The record of `volume` and the version under which it is stored, or None."""
        entry = await self._engine.get(volume_key(volume))
        return None if entry is None else (decode_volume(entry.value), entry.version)

    async def _write(self, record: VolumeRecord, expected: int) -> bool:
        batch = Batch()
        batch.expect(volume_key(record.id), expected)
        batch.put(volume_key(record.id), _encode(record))
        try:
            await self._engine.commit(batch)
        except Conflict:
            return False
        return True
