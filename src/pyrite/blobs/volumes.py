"""Owns the set of volumes as one worker sees it: the open ones it appends to, the records it reads by."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from pyrite.blobs.drive import Drive, DriveState, try_to_create
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.layout import Extent, Layout, default_parity
from pyrite.blobs.openvolume import OpenVolume
from pyrite.blobs.placement import Candidate, choose
from pyrite.blobs.volume import Purpose, VolumeCatalog, VolumeRecord, shard_name
from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.errors import Corrupt, Unavailable
from pyrite.core.lru import LruMap
from pyrite.core.offload import ThreadWorkforce, Workforce
from pyrite.core.units import GIB

VOLUME_SHARD_BYTES = 2 * GIB
RECORDS_KEPT = 65_536
UPDATES_MAX = 64
"""How often a volume's record is read again because another process has changed it."""

_FORMAT = 1


class ReadVolume(NamedTuple):
    """What reading needs of a volume: geometry, and the drive and file name of each shard."""

    layout: Layout
    shards: tuple[tuple[Drive | None, str], ...]


class Volumes:
    """Volumes over `drives` (by id). `owner` names this worker in the records of its open volumes."""

    def __init__(
        self,
        drives: DriveSet,
        catalog: VolumeCatalog,
        clock: HybridClock,
        owner: str,
        parity: int | None = None,
        shard_bytes: int = VOLUME_SHARD_BYTES,
        workforce: Workforce | None = None,
    ) -> None:
        self._drives = drives
        self._catalog = catalog
        self._clock = clock
        self._owner = owner
        self._parity = parity
        self._shard_bytes = shard_bytes
        self._open: dict[Purpose, OpenVolume] = {}
        self._opening = asyncio.Lock()
        self._workforce = workforce or ThreadWorkforce(max(4, len(drives)))
        self._read: LruMap[int, ReadVolume] = LruMap(RECORDS_KEPT)

    @property
    def drives_needed(self) -> int:
        """The fewest drives that must be online for new volumes to keep their parity."""
        parity = default_parity(self._drives.members) if self._parity is None else self._parity
        return parity + 1

    # ---- writing

    def open_now(self, purpose: Purpose) -> OpenVolume | None:
        """The open volume for `purpose` if it can take a write at once."""
        volume = self._open.get(purpose)
        return volume if volume is not None and volume.usable else None

    async def open(self, purpose: Purpose) -> OpenVolume:
        """A volume to append to; opens the next one when the last is full or has lost a shard.

        Raises Unavailable or OutOfSpace.
        """
        async with self._opening:
            volume = self.open_now(purpose)
            if volume is not None:
                return volume
            last = self._open.get(purpose)
            if last is not None:
                await self.seal(last)  # where that fails it is tried again with the next write
                del self._open[purpose]
            volume = self._open[purpose] = await self._create(purpose)
            return volume

    async def _create(self, purpose: Purpose) -> OpenVolume:
        for _ in range(len(self._drives) + 1):
            layout, chosen = choose(
                await self._candidates(),
                self._drives.members,
                self._parity,
                purpose,
                stamp_ms(self._clock.next()),
            )
            record = await self._register(layout, chosen, purpose)
            drives = [self._drives[drive] for drive in chosen]
            jobs = [partial(try_to_create, drive, shard_name(record.id, index)) for index, drive in enumerate(drives)]
            made = await self._workforce.lane("create").run(self._workforce.most, jobs, 0, bool)
            if not all(one is True for one in made):
                await self._give_up(record)
                continue  # a drive that failed is fenced, full or stuck: choose again without it
            self._read.put(record.id, self._resolve(record))
            return OpenVolume(record, drives, self._shard_bytes, self._workforce)
        raise Unavailable("no drive accepts a new volume")

    async def _candidates(self) -> list[Candidate]:
        """The drives that new data may go to, but for those that do not answer."""
        jobs = [partial(self._drives.candidate, drive_id) for drive_id in self._drives]
        found = await self._workforce.lane("create").run(self._workforce.most, jobs, 1, bool)
        return [one for one in found if isinstance(one, Candidate)]

    async def _register(self, layout: Layout, chosen: tuple[str, ...], purpose: Purpose) -> VolumeRecord:
        while True:
            record = VolumeRecord(_FORMAT, self._clock.next(), layout, chosen, purpose, "open", self._owner)
            if await self._catalog.create(record):
                return record

    async def _give_up(self, record: VolumeRecord) -> None:
        """Seal a volume that never was: compaction removes its record, and the files that were made."""
        now = stamp_ms(self._clock.next())
        sealed = msgspec.structs.replace(record, generation=record.generation + 1, state="sealed", sealed_ms=now)
        await self._catalog.update(sealed)

    async def note_failures(self, volume: OpenVolume) -> None:
        """Record shards that missed a write, before the write is acknowledged."""
        known = set(volume.record.degraded)
        if volume.failed <= known:
            return
        degraded = tuple(sorted(volume.failed | known))
        await self._update(volume, degraded=degraded)

    async def seal(self, volume: OpenVolume) -> None:
        """Take no more writes: the record gets its final length, and the shards that missed writes."""
        now = stamp_ms(self._clock.next())
        degraded = tuple(sorted(volume.failed | set(volume.record.degraded)))
        length, live = volume.length, volume.live_bytes
        await self._update(volume, state="sealed", length=length, live_bytes=live, sealed_ms=now, degraded=degraded)

    async def seal_unusable(self) -> None:
        """Seal volumes of which a drive has failed, is leaving, or is slow while enough others are quick."""
        async with self._opening:
            slow_ones_can_be_avoided = self._drives.quick >= self.drives_needed
            for purpose, volume in list(self._open.items()):
                drives = volume.record.drives
                avoided = slow_ones_can_be_avoided and any(map(self._drives.is_slow, drives))
                if avoided or not volume.usable or not all(map(self._drives.takes_data, drives)):
                    await self.seal(volume)
                    del self._open[purpose]

    async def _update(self, volume: OpenVolume, **changes: object) -> None:
        for _ in range(UPDATES_MAX):
            record = msgspec.structs.replace(volume.record, generation=volume.record.generation + 1, **changes)
            if await self._catalog.update(record):
                volume.record = record
                return
            current = await self._catalog.load(record.id)
            if current is None:
                raise Corrupt(f"the record of open volume {record.id:016x} is gone")
            volume.record = current
        raise Unavailable(f"the record of volume {volume.record.id:016x} changes all the time")

    # ---- reading

    def find_now(self, volume: int) -> ReadVolume | None:
        """What reading needs of `volume`, if it is known here."""
        return self._read.get(volume)

    async def find(self, volume: int) -> ReadVolume:
        """What reading needs of `volume`. Raises Corrupt when there is no such volume."""
        found = self._read.get(volume)
        if found is None:
            record = await self._catalog.load(volume)
            if record is None:
                raise Corrupt(f"volume {volume:016x} has no record")
            found = self._resolve(record)
            self._read.put(volume, found)
        return found

    def forget(self, volume: int) -> None:
        """Load the record again the next time: its shards may have moved."""
        self._read.pop(volume)

    def forget_all(self) -> None:
        """Load every record again: drives or shards have moved."""
        self._read.clear()

    def _resolve(self, record: VolumeRecord) -> ReadVolume:
        shards = tuple(
            (self._drives.get(drive), shard_name(record.id, index)) for index, drive in enumerate(record.drives)
        )
        return ReadVolume(record.layout, shards)

    def is_slow(self, drive: Drive) -> bool:
        """Whether to read from `drive` only where nothing else will do."""
        return self._drives.is_slow(drive.id)

    # ---- freeing

    async def punch(self, extent: Extent) -> int:
        """Give the space of `extent` back on every drive that is there, in threads; the bytes of each shard freed."""
        record = await self._catalog.load(extent.volume)  # not from memory: its shards may have moved
        if record is None:
            raise Corrupt(f"volume {extent.volume:016x} has no record")
        span = record.layout.span(extent.length)
        shards = self._resolve(record).shards
        await self._workforce.lane("punch").run(_punch_shards, shards, extent.offset, span)
        return span

    async def unlink(self, files: Sequence[tuple[str, str]]) -> None:
        """Remove shard files, given by drive and name, from the drives that are there, in threads."""
        await self._workforce.lane("punch").run(self._unlink, files)

    def _unlink(self, files: Sequence[tuple[str, str]]) -> None:
        for drive_id, name in files:
            drive = self._drives.get(drive_id)
            if drive is not None and drive.state is DriveState.ONLINE:
                drive.unlink(name)

    @property
    def workforce(self) -> Workforce:
        """Where blocking work is done."""
        return self._workforce

    async def close(self) -> None:
        """Seal what is open and end the threads."""
        for volume in self._open.values():
            await self.seal(volume)
        self._open.clear()
        self._workforce.close()


def _punch_shards(shards: Sequence[tuple[Drive | None, str]], offset: int, span: int) -> None:
    """Give space back in every shard whose drive is there. Blocks."""
    for drive, name in shards:
        if drive is not None and drive.state is DriveState.ONLINE and drive.size(name) is not None:
            drive.punch(name, offset, span)
