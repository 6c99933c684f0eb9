"""Owns removing shard files that no volume knows: a drive was away when its volume was removed or its shard moved.

The order of looking makes it safe. A volume has its record before it has a file, and a repair is queued before it makes
a file and until the record names it: so a file that was there before queue and records were read, and that neither of
them knows, is nobody's; that is looked at again while no repair can make files of the volume. It is left alone for a
while all the same, because a reader may still know it from before.
"""

from collections.abc import Collection, Mapping

from pyrite.blobs.drive import Drive, DriveState
from pyrite.blobs.volume import VolumeRecord, parse_shard_name, shard_name
from pyrite.core.errors import Unavailable
from pyrite.services.surroundings import Surroundings

ORPHAN_AFTER_MS = 60_000


class Orphans:
    """Removes shard files that belong to nothing."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._store = surroundings
        self._seen_ms: dict[tuple[str, str], int] = {}

    @property
    def waiting(self) -> bool:
        """Whether there are files that are soon to be removed."""
        return bool(self._seen_ms)

    async def step(self) -> int:
        """Look at every drive once; how many files were removed."""
        there = [(drive, name) for drive in self._store.drives.values() for name in await self._names(drive)]
        waiting = {queued.record.volume for queued in await self._store.queue.all()}
        records = {record.id: record for record in await self._store.catalog.all()}
        orphans = [(drive, name) for drive, name in there if _is_orphan(drive, name, waiting, records)]
        now, horizon = self._store.now_ms(), self._store.oldest_under_way_ms() - ORPHAN_AFTER_MS
        self._seen_ms = {(d.id, name): self._seen_ms.get((d.id, name), now) for d, name in orphans}
        ripe = [(drive, name) for drive, name in orphans if self._seen_ms[drive.id, name] <= horizon]
        return sum([await self._remove(drive, name) for drive, name in ripe])

    async def _names(self, drive: Drive) -> list[str]:
        if drive.state is not DriveState.ONLINE:
            return []
        try:
            return await self._store.offload.run(drive.names)
        except Unavailable:
            return []

    async def _remove(self, drive: Drive, name: str) -> bool:
        volume = parse_shard_name(name)
        assert volume is not None
        with self._store.claims.hold(volume) as held:
            record = await self._store.catalog.load(volume)
            if not held or _is_orphan(drive, name, (), {volume: record} if record is not None else {}) is False:
                return False
            try:
                await self._store.offload.run(drive.unlink, name)
            except Unavailable:
                return False
        return True


def _is_orphan(drive: Drive, name: str, waiting: Collection[int], records: Mapping[int, VolumeRecord]) -> bool:
    volume = parse_shard_name(name)
    if volume is None or volume in waiting:
        return False
    record = records.get(volume)
    places = enumerate(record.drives) if record is not None else ()
    return not any(drive.id == where and shard_name(volume, shard) == name for shard, where in places)
