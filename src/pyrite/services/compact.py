"""Owns compaction: volumes in which nothing lives are removed, and the little that lives in wasteful ones is moved.

Deleting punches holes, but bytes that never got a name stay, and so does what was deleted while a drive was away: when
what lives in a volume is counted, holes are punched between it. A drive frees whole pages, though: where what is left
of small objects comes to more than half of what a volume takes, its live bytes are written anew and their names are
changed, each only if it is still what the census saw. The old bytes become garbage like any others. The same is done
with a volume that cannot stay: a drive of it leaves, and those that are left are fewer than its shards.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pyrite.blobs.drive import Drive, DriveState
from pyrite.blobs.layout import Extent
from pyrite.blobs.volume import VolumeRecord, shard_name
from pyrite.core.errors import Corrupt, Unavailable
from pyrite.core.units import MIB
from pyrite.metadata.keyspaces import ANNOTATIONS, OBJECTS, PAGES, SCRUBBED, VERSIONS, VOLUME_FREED, number
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Row, after_prefix, decode_counter
from pyrite.objects import keys
from pyrite.objects.records import FORMAT, GarbageRecord, PartPage, decode_object, decode_page, decode_part, encode
from pyrite.objects.standing import blob_id
from pyrite.objects.volumecatalog import change_volume, volume_key
from pyrite.services.census import Holding
from pyrite.services.exposure import Exposure
from pyrite.services.repair import SETTLED_AFTER_MS
from pyrite.services.repairs import repair_key
from pyrite.services.surroundings import Surroundings

Blob = tuple[Extent, ...]

VOLUMES_AT_A_TIME = 16
WASTE_FRACTION = 0.5
WASTE_MIN_BYTES = MIB
_PAGE_BYTES = 4096
COUNT_AFTER_MS = 86_400_000
"""How long after it was counted what lives in a volume is counted again: bytes may have lost their names unnoticed."""


class Compacted(NamedTuple):
    """What a step did."""

    removed: int
    moved_bytes: int


class Victim(NamedTuple):
    """A volume that may be worth compacting, the version of its record, and what a shard of it takes on its drive.

    One that is `stranded` is emptied, however little is wasted in it.
    """

    record: VolumeRecord
    version: int
    allocated_bytes: int
    freed_bytes: int
    stranded: bool


class Compactor:
    """Removes empty volumes and moves what lives in wasteful ones."""

    def __init__(
        self,
        surroundings: Surroundings,
        exposure: Exposure,
        waste_min_bytes: int = WASTE_MIN_BYTES,
        count_after_ms: int = COUNT_AFTER_MS,
    ) -> None:
        self._store = surroundings
        self._exposure = exposure
        self._waste_min_bytes = waste_min_bytes
        self._count_after_ms = count_after_ms
        self._counted_ms: dict[int, int] = {}

    async def step(self) -> Compacted:
        """Look at all volumes, and do something about a bounded number of them."""
        victims = await self._victims()
        if not victims:
            return Compacted(0, 0)
        holdings: list[Holding] = []
        census = await self._store.census(victims, holdings.append)
        removed = 0
        wasteful: set[int] = set()
        for volume, victim in victims.items():
            self._counted_ms[volume] = self._store.now_ms()
            extents = census.extents.get(volume, [])
            live = sum(victim.record.layout.span(extent.length) for extent in extents)
            if not extents:
                removed += await self._remove(victim)
            elif victim.stranded or await self._is_wasteful(victim, extents, live):
                wasteful.add(volume)
            elif victim.record.live_bytes - victim.freed_bytes != live:
                await self._note(victim, live)
        return Compacted(removed, await self._move(wasteful, holdings))

    async def _victims(self) -> dict[int, Victim]:
        horizon = self._store.oldest_under_way_ms() - SETTLED_AFTER_MS
        waiting = {queued.record.volume for queued in await self._store.queue.all()}
        freed = await self._freed()
        found: dict[int, Victim] = {}
        for record in await self._store.catalog.all():
            settled = record.state == "sealed" and record.sealed_ms < horizon
            stranded = self._exposure.is_stranded(record)
            in_repair = bool(record.degraded) or record.id in waiting
            if not settled or (in_repair and not stranded) or len(found) == VOLUMES_AT_A_TIME:
                continue
            known = record.live_bytes - freed.get(record.id, 0) if record.live_bytes >= 0 else 0
            allocated = await self._store.offload.run(self._allocated, record)
            wasteful = allocated - known >= max(self._waste_min_bytes, WASTE_FRACTION * allocated)
            uncounted = self._store.now_ms() - self._counted_ms.get(record.id, record.sealed_ms) >= self._count_after_ms
            if stranded or known <= 0 or wasteful or uncounted:
                entry = await self._store.catalog.entry(record.id)
                if entry is not None:
                    found[record.id] = Victim(*entry, allocated, freed.get(record.id, 0), stranded)
        return found

    async def _freed(self) -> dict[int, int]:
        found: dict[int, int] = {}
        start = VOLUME_FREED
        while rows := await self._store.engine.scan(start, after_prefix(VOLUME_FREED), 1000):
            found.update({int.from_bytes(row.key[1:9], "big"): decode_counter(row.value) for row in rows})
            start = rows[-1].key + b"\0"
        return found

    def _allocated(self, record: VolumeRecord) -> int:
        """What the largest shard that is there takes on its drive, in bytes. Blocks."""
        taken = 0
        for shard, drive_id in enumerate(record.drives):
            drive = self._store.drives.get(drive_id)
            if drive is not None and drive.state is DriveState.ONLINE:
                taken = max(taken, drive.allocated(shard_name(record.id, shard)))
        return taken

    async def _is_wasteful(self, victim: Victim, extents: list[Extent], live: int) -> bool:
        """Whether its live bytes are worth moving, once there are holes between them."""
        record, gaps = victim.record, _gaps(victim.record, extents)
        allocated = 0
        for shard, drive_id in enumerate(record.drives):
            drive = self._store.drives.get(drive_id)
            if drive is None or drive.state is not DriveState.ONLINE:
                continue
            name = shard_name(record.id, shard)
            try:
                least = live + self._waste_min_bytes
                allocated = max(allocated, await self._store.offload.run(_thin_out, drive, name, gaps, least))
            except Unavailable as error:
                self._store.on_error(error)
        return allocated - live >= max(self._waste_min_bytes, WASTE_FRACTION * allocated)

    async def _remove(self, victim: Victim) -> bool:
        """Forget a volume to which nothing refers, and have its files removed."""
        record, batch = victim.record, Batch()
        queued = await self._store.engine.get(repair_key(record.id)) if victim.stranded else None
        batch.expect(volume_key(record.id), victim.version)
        batch.expect(repair_key(record.id), queued.version if queued is not None else ABSENT)
        batch.delete(volume_key(record.id))
        batch.delete(repair_key(record.id))
        batch.delete(VOLUME_FREED + number(record.id))
        batch.delete(SCRUBBED + number(record.id))
        files = tuple((drive, shard_name(record.id, shard)) for shard, drive in enumerate(record.drives))
        self._store.discard(batch, GarbageRecord(FORMAT, files=files))
        return await self._try(batch)

    async def _note(self, victim: Victim, live: int) -> None:
        """Record what lives in a volume, where it was not known, so that it is not counted again."""
        batch = Batch()
        change_volume(batch, victim.record, victim.version, live_bytes=live + victim.freed_bytes)
        await self._try(batch)

    # ---- moving

    async def _move(self, volumes: set[int], holdings: Sequence[Holding]) -> int:
        """Write what lives in `volumes` anew and change its names; the bytes that were moved."""
        names: dict[Blob, set[bytes]] = defaultdict(set)
        for holding in holdings:
            for blob in _blobs_of(holding.row):
                if any(extent.volume in volumes for extent in blob):
                    names[blob].add(holding.row.key)
        together: dict[frozenset[bytes], list[Blob]] = defaultdict(list)
        for blob, keys_of_rows in names.items():
            together[frozenset(keys_of_rows)].append(blob)
        moved = 0
        for rows, blobs in together.items():
            token = self._store.under_way.enter()
            try:
                moved += await self._move_blobs(volumes, rows, blobs)
            except (Unavailable, Corrupt):
                pass  # no room, or damage that waits for repair: the next step tries again
            finally:
                self._store.under_way.leave(token)
        return moved

    async def _move_blobs(self, volumes: set[int], names: Iterable[bytes], blobs: Sequence[Blob]) -> int:
        """Move the blobs that the rows of `names` share, if they are all that share them."""
        rows = [Row(name, *entry) for name in sorted(names) if (entry := await self._store.engine.get(name))]
        batch, moved = Batch(), dict[Blob, Blob]()
        left: list[Extent] = []
        for blob in blobs:
            reference_key = _reference_key(blob)
            entry = await self._store.engine.get(reference_key)
            count = decode_counter(entry.value if entry else None)
            if count + 1 != sum(blob in _blobs_of(row) for row in rows):
                continue  # somebody has shared or given up the blob since
            new, gone = await self._rewrite(volumes, blob)
            moved[blob] = new
            left += gone
            batch.expect(reference_key, entry.version if entry is not None else ABSENT)
            if entry is not None and _reference_key(new) != reference_key:
                batch.delete(reference_key)
                batch.add(_reference_key(new), count)
        if not moved:
            return 0
        for row in rows:
            batch.expect(row.key, row.version)
            batch.put(row.key, _renamed(row, moved))
        return await self._conclude(batch, moved, left)

    async def _rewrite(self, volumes: set[int], old: Sequence[Extent]) -> tuple[tuple[Extent, ...], list[Extent]]:
        """`old` with the extents that stand in `volumes` written anew, and those that this leaves behind."""
        new: list[Extent] = []
        left: list[Extent] = []
        for extent in old:
            if extent.volume not in volumes:
                new.append(extent)
                continue
            new += await self._store.blobs.copy(extent)
            left.append(extent)
        return tuple(new), left

    async def _conclude(self, batch: Batch, moved: Mapping[Blob, Blob], left: Sequence[Extent]) -> int:
        """Change the names; what they left behind becomes garbage, or else what was written for them."""
        self._store.discard(batch, GarbageRecord(FORMAT, extents=tuple(left)))
        if await self._try(batch):
            return sum(extent.length for extent in left)
        old = {extent for blob in moved for extent in blob}
        await self._store.blobs.free([extent for blob in moved.values() for extent in blob if extent not in old])
        return 0

    async def _try(self, batch: Batch) -> bool:
        try:
            await self._store.engine.commit(batch)
        except Conflict:
            return False
        return True


def _blobs_of(row: Row) -> list[Blob]:
    """The blobs that a row of objects, versions, pages or annotations names.

    Parts of uploads under way stay where they are: whoever completes them has read where that is.
    """
    if row.key[:1] in (OBJECTS, VERSIONS):
        blobs = [decode_object(row.value).extents]
    elif row.key[:1] == ANNOTATIONS:
        blobs = [decode_part(row.value).extents]
    elif row.key[:1] == PAGES:
        blobs = [part.extents for part in decode_page(row.value).parts]
    else:
        blobs = []
    return [blob for blob in blobs if blob]


def _renamed(row: Row, moved: Mapping[Blob, Blob]) -> bytes:
    """The row's value, where blobs have moved."""
    if row.key[:1] == ANNOTATIONS:
        part = decode_part(row.value)
        return encode(msgspec.structs.replace(part, extents=moved.get(part.extents, part.extents)))
    if row.key[:1] != PAGES:
        record = decode_object(row.value)
        return encode(msgspec.structs.replace(record, extents=moved.get(record.extents, record.extents)))
    page = decode_page(row.value)
    parts = [msgspec.structs.replace(part, extents=moved.get(part.extents, part.extents)) for part in page.parts]
    return encode(PartPage(page.format, tuple(parts)))


def _reference_key(blob: Blob) -> bytes:
    return keys.references(blob_id(GarbageRecord(FORMAT, extents=blob)))


def _gaps(record: VolumeRecord, extents: Sequence[Extent]) -> list[tuple[int, int]]:
    """Offset and length of what lies between `extents`, which are in order, and behind them; whole pages alone."""
    gaps: list[tuple[int, int]] = []
    end = 0
    for start, following in [
        *((extent.offset, extent.offset + record.layout.span(extent.length)) for extent in extents),
        (record.length, record.length),
    ]:
        first, last = -(-end // _PAGE_BYTES) * _PAGE_BYTES, start // _PAGE_BYTES * _PAGE_BYTES
        if first < last:
            gaps.append((first, last - first))
        end = max(end, following)
    return gaps


def _thin_out(drive: Drive, name: str, gaps: Sequence[tuple[int, int]], least: int) -> int:
    """Punch holes into a shard that takes at least `least` bytes; how many it takes then. Blocks."""
    if drive.allocated(name) >= least:
        _punch(drive, name, gaps)
    return drive.allocated(name)


def _punch(drive: Drive, name: str, gaps: Sequence[tuple[int, int]]) -> None:
    for offset, length in gaps:
        drive.punch(name, offset, length)
