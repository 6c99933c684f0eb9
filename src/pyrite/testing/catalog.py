"""Owns a volume catalog in memory."""

from pyrite.blobs.volume import VolumeRecord


class MemoryCatalog:
    """Records in a dictionary; `update` honours generations as the real catalog does."""

    def __init__(self) -> None:
        self.records: dict[int, VolumeRecord] = {}

    async def load(self, volume: int) -> VolumeRecord | None:
        return self.records.get(volume)

    async def create(self, record: VolumeRecord) -> bool:
        return self.records.setdefault(record.id, record) is record

    async def update(self, record: VolumeRecord) -> bool:
        if self.records[record.id].generation != record.generation - 1:
            return False
        self.records[record.id] = record
        return True
