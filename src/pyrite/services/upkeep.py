"""Owns finding what needs repair without reading a byte: degraded volumes, lost drives, uneven drives.

What it finds goes into the repair queue.
"""

import msgspec

from pyrite.blobs.drive import DriveError
from pyrite.blobs.volume import VolumeRecord
from pyrite.services.exposure import Exposure
from pyrite.services.surroundings import Surroundings

UNEVEN_FRACTION = 0.05
"""Shards move once the emptiest drive is emptier than the fullest by more than this share of it."""
MOVES_AT_A_TIME = 8


class DriveUse(msgspec.Struct):
    """What stands on a drive: shards, and their bytes by the records of the volumes."""

    shards: int = 0
    shard_bytes: int = 0


def use_of(records: list[VolumeRecord]) -> dict[str, DriveUse]:
    """What stands on each drive."""
    uses: dict[str, DriveUse] = {}
    for record in records:
        for drive in record.drives:
            use = uses.setdefault(drive, DriveUse())
            use.shards += 1
            use.shard_bytes += record.length
    return uses


class Upkeep:
    """Feeds the repair queue."""

    def __init__(self, surroundings: Surroundings, exposure: Exposure) -> None:
        self._store = surroundings
        self._exposure = exposure

    async def step(self) -> bool:
        """Look at every volume once; whether anything was queued."""
        self._exposure.look()
        records = await self._store.catalog.all()
        queued = False
        for record in records:
            wanting = self._exposure.wanting(record)
            if record.state == "sealed" and wanting:
                reason = "missed writes" if record.degraded else "its drive is gone or leaving"
                queued |= await self._store.queue.put(record.id, wanting, reason, self._store.now_ms())
        if not queued:
            queued = await self._even_out(records)
        return queued

    async def verify_drive(self, drive_id: str) -> None:
        """Queue every volume on a drive whose writes may have been lost: its shards are verified and mended."""
        for record in await self._store.catalog.all():
            shards = tuple(shard for shard, drive in enumerate(record.drives) if drive == drive_id)
            if shards:  # one that is open is looked at once it is sealed
                await self._store.queue.put(record.id, shards, "its drive failed a write", self._store.now_ms())

    async def _even_out(self, records: list[VolumeRecord]) -> bool:
        """Queue moves from the fullest drive to the emptiest."""
        waiting = {queued.record.volume for queued in await self._store.queue.all()}
        uses, sizes = use_of(records), await self._store.offload.run(self._sizes)
        if waiting or len(sizes) < 2:
            return False
        shares = {drive: uses.get(drive, DriveUse()).shard_bytes / size for drive, size in sizes.items()}
        moved = 0
        for record in sorted(records, key=lambda record: -record.length):
            fullest = max(shares, key=lambda drive: shares[drive])
            emptiest = min(shares, key=lambda drive: shares[drive])
            if moved == MOVES_AT_A_TIME or shares[fullest] - shares[emptiest] <= UNEVEN_FRACTION * max(shares.values()):
                break
            if record.state != "sealed" or not record.length or emptiest in record.drives:
                continue
            gain = record.length / sizes[emptiest]
            source = max((drive for drive in record.drives if drive in shares), key=lambda d: shares[d], default=None)
            if source is None or shares[emptiest] + gain > shares[source] * (1 - UNEVEN_FRACTION / 2):
                continue  # it would only swap their roles
            shard = record.drives.index(source)
            await self._store.queue.put(record.id, (shard,), "drives are unevenly full", self._store.now_ms(), emptiest)
            shares[source] -= record.length / sizes[source]
            shares[emptiest] += gain
            moved += 1
        return moved > 0

    def _sizes(self) -> dict[str, int]:
        """The sizes of the drives that take data, in bytes. Blocks."""
        sizes = {}
        for drive_id, drive in self._store.drives.items():
            if not self._store.drives.takes_data(drive_id):
                continue
            try:
                sizes[drive_id] = max(drive.space().total_bytes, 1)
            except DriveError:
                continue
        return sizes
