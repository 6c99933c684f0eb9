"""Owns `pyrite check`: verifies a store that is not running, and says exactly what is wrong with it.

Every stored value verifies; every name has its bytes; every fragment of every shard has its checksum; nothing is
named twice without being counted; usage counters equal what is there; mirrors agree.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from pyrite.blobs.buffers import Scratch
from pyrite.blobs.drive import Drive, DriveError, DriveState
from pyrite.blobs.fragment import KIND_DATA, verify
from pyrite.blobs.layout import HEADER_BYTES, Extent, Stripe
from pyrite.blobs.tiers import is_tiered
from pyrite.blobs.volume import VolumeRecord, shard_name
from pyrite.metadata.keyspaces import (
    ANNOTATIONS,
    BUCKETS,
    GARBAGE,
    HEADS,
    OBJECTS,
    PAGES,
    PARTS,
    REFERENCES,
    UPLOADS,
    USAGE,
    USAGE_BYTES,
    USAGE_OBJECTS,
    USAGE_VERSIONS,
    VERSIONS,
    VOLUMES,
)
from pyrite.metadata.kv import MetadataCorrupt, Row, after_prefix, decode_counter
from pyrite.node.checkmirrors import check_mirrors
from pyrite.node.drives import DriveLocks
from pyrite.node.offline import OfflineStore, with_store
from pyrite.node.report import Report
from pyrite.objects import keys, records
from pyrite.objects.sealing import stored_length
from pyrite.objects.standing import blob_id, garbage_of
from pyrite.objects.volumecatalog import decode_volume
from pyrite.services.repairs import RepairQueue

_PAGE_ROWS = 1000


def check_store(paths: tuple[Path, ...]) -> Report:
    """Check the store on `paths`, which must not be running. Raises ConfigError when it is, or is none."""

    async def body(store: OfflineStore) -> Report:
        locks = DriveLocks(list(store.located.places.values()))
        try:
            return await Checker(store).run()
        finally:
            locks.release()

    return with_store(paths, body)


class Checker:
    """One check of one store."""

    def __init__(self, store: OfflineStore) -> None:
        self._store = store
        self.report = Report()
        self._volumes: dict[int, VolumeRecord] = {}
        self._waiting: dict[int, tuple[int, ...]] = {}
        self._bucket_ids: set[int] = set()
        self._references: Counter[bytes] = Counter()
        self._uploads: set[bytes] = set()
        self._pages_of: dict[bytes, int] = {}
        self._annotations: dict[bytes, records.Annotations | None] = {}
        self._annotated: dict[bytes, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._verified: set[Extent] = set()
        self._on_tiers = 0
        self._ranges: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._counted: dict[int, Counter[bytes]] = defaultdict(Counter)
        self._heads: dict[bytes, records.HeadRecord] = {}
        self._nulls: dict[bytes, int] = {}

    async def run(self) -> Report:
        """All of it."""
        self._check_drives()
        waiting = await RepairQueue(self._store.engine).all()
        self._waiting = {queued.record.volume: queued.record.shards for queued in waiting}
        for space, step in self._steps():
            async for row in self._rows(space):
                try:
                    await step(row)
                except (msgspec.MsgspecError, ValueError, IndexError) as error:
                    self.report.error(f"the record at {row.key!r} cannot be read: {error}")
        await self._check_references()
        await self._check_usage()
        self._check_overlaps()
        if self._on_tiers:
            self.report.notes.append(f"{self._on_tiers} blobs stand in tiers and were not read")
        check_mirrors(self._store.located, self.report)
        return self.report

    def _steps(self) -> list[tuple[bytes, Callable[[Row], Any]]]:
        return [
            (VOLUMES, self._on_volume),
            (BUCKETS, self._on_bucket),
            (OBJECTS, self._on_object),
            (VERSIONS, self._on_version),
            (HEADS, self._on_head),
            (UPLOADS, self._on_upload),
            (GARBAGE, self._on_garbage),
            (PARTS, self._on_part),
            (PAGES, self._on_page),
            (ANNOTATIONS, self._on_annotation),
        ]

    async def _rows(self, space: bytes) -> AsyncIterator[Row]:
        start, end = space, after_prefix(space)
        while True:
            try:
                rows = await self._store.engine.scan(start, end, _PAGE_ROWS)
            except MetadataCorrupt as error:
                self.report.error(f"metadata is damaged: {error}")
                return
            for row in rows:
                yield row
            if len(rows) < _PAGE_ROWS:
                return
            start = rows[-1].key + b"\0"

    # ---- one record each

    def _check_drives(self) -> None:
        for drive in self._store.drives.values():
            if drive.state is not DriveState.ONLINE:
                self.report.notes.append(f"drive {drive.id} is {drive.state.value}")

    async def _on_volume(self, row: Row) -> None:
        record = decode_volume(row.value)
        self._volumes[record.id] = record
        self.report.volumes += 1
        if record.degraded:
            self.report.notes.append(f"volume {record.id:016x} waits for repair of shards {list(record.degraded)}")

    async def _on_bucket(self, row: Row) -> None:
        self._bucket_ids.add(records.decode_bucket(row.value).id)
        self.report.buckets += 1

    async def _on_object(self, row: Row) -> None:
        self.report.objects += 1
        await self._on_named(row, row.key[9:], USAGE_OBJECTS)

    async def _on_version(self, row: Row) -> None:
        key, stamp = keys.split_version(row.key)
        record = await self._on_named(row, key, USAGE_VERSIONS)
        if record.version != stamp:
            self.report.error(f"a version of {key!r} stands under another stamp than its own")
        self._heads.setdefault(row.key[1:9] + key, records.HeadRecord(records.FORMAT, stamp))
        if not record.versioned:
            self._nulls[row.key[1:9] + key] = stamp
        newest = self._heads[row.key[1:9] + key].newest == stamp
        if newest and not record.marker and await self._store.engine.get(OBJECTS + row.key[1:9] + key) is None:
            self.report.error(f"the newest version of {key!r} should be its current one")

    async def _on_head(self, row: Row) -> None:
        place, head = row.key[1:], records.decode_head(row.value)
        there = self._heads.pop(place, None)
        if there is None or (head.newest, head.null) != (there.newest, self._nulls.get(place, 0)):
            self.report.error(f"the record of the versions of {place[8:]!r} does not say what is there")

    async def _on_named(self, row: Row, key: bytes, counter: bytes) -> records.ObjectRecord:
        record = records.decode_object(row.value)
        bucket = int.from_bytes(row.key[1:9], "big")
        name = key.decode("utf-8", "replace")
        if bucket not in self._bucket_ids:
            self.report.error(f"object {name!r} belongs to no bucket")
        self.report.object_bytes += record.size_bytes
        self._counted[bucket][counter] += 1
        self._counted[bucket][USAGE_BYTES] += record.weight_bytes
        if record.annotations is not None:
            self._annotations[record.annotations.id] = record.annotations
        held = garbage_of(record)
        if held is not None:
            self._references[blob_id(held)] += 1
        if record.upload:
            self._pages_of[record.upload] = len(record.pages)
            await self._check_pages(name, record)
        elif sum(extent.length for extent in record.extents) != stored_length(record, record.size_bytes):
            self.report.error(f"object {name!r} has another size than its bytes")
        self._check_extents(f"object {name!r}", record.extents)
        return record

    async def _check_pages(self, name: str, record: records.ObjectRecord) -> None:
        size = count = 0
        for index in range(len(record.pages)):
            entry = await self._store.engine.get(keys.page(record.upload, index))
            if entry is None:
                self.report.error(f"object {name!r} misses page {index} of its parts")
                continue
            for part in records.decode_page(entry.value).parts:
                size += part.size_bytes
                count += 1
                self._check_extents(f"object {name!r} part {part.number}", part.extents)
        if size != record.size_bytes or record.part_count not in (0, count):  # 0: a copy, which shows no parts
            self.report.error(f"object {name!r} has other parts than it should")

    async def _on_upload(self, row: Row) -> None:
        records.decode_upload(row.value)
        self._uploads.add(keys.split_upload(row.key)[1])
        self.report.uploads += 1

    async def _on_garbage(self, row: Row) -> None:
        garbage = records.decode_garbage(row.value)
        self.report.garbage += 1
        if garbage.annotations:
            self._annotations[garbage.annotations] = None
        elif garbage.upload and not garbage.page_count:
            self._uploads.add(garbage.upload)
        elif garbage.upload or garbage.extents:
            self._references[blob_id(garbage)] += 1
            if garbage.upload:
                self._pages_of.setdefault(garbage.upload, garbage.page_count)

    async def _on_part(self, row: Row) -> None:
        part = records.decode_part(row.value)
        if row.key[1 : 1 + keys.UPLOAD_ID_BYTES] not in self._uploads:
            self.report.error(f"part {part.number} belongs to no upload")
        self._check_extents(f"part {part.number} of an upload", part.extents)

    async def _on_page(self, row: Row) -> None:
        upload, index = row.key[1:-4], int.from_bytes(row.key[-4:], "big")
        if index >= self._pages_of.get(upload, 0):
            self.report.error(f"page {index} of upload {upload.hex()} belongs to no object")
        for part in records.decode_page(row.value).parts:
            self._count_part(part)

    async def _on_annotation(self, row: Row) -> None:
        owner, name = row.key[1 : 1 + keys.ANNOTATIONS_ID_BYTES], row.key[1 + keys.ANNOTATIONS_ID_BYTES :]
        part = records.decode_part(row.value)
        if owner not in self._annotations:
            self.report.error(f"annotation {name.decode()!r} belongs to no object")
        count, size = self._annotated[owner]
        self._annotated[owner] = (count + 1, size + part.size_bytes)
        self._count_part(part)
        self._check_extents(f"annotation {name.decode()!r}", part.extents)

    def _count_part(self, part: records.PartRecord) -> None:
        if part.extents:
            self._references[blob_id(records.GarbageRecord(records.FORMAT, extents=part.extents))] += 1

    # ---- bytes

    def _check_extents(self, owner: str, extents: tuple[Extent, ...]) -> None:
        for extent in extents:
            if extent in self._verified:
                continue
            self._verified.add(extent)
            if is_tiered(extent.volume):
                self._on_tiers += 1
                continue
            volume = self._volumes.get(extent.volume)
            if volume is None:
                self.report.error(f"{owner} refers to volume {extent.volume:016x}, which does not exist")
                continue
            span = volume.layout.span(extent.length)
            self._ranges[volume.id].append((extent.offset, extent.offset + span))
            for stripe in volume.layout.stripes(extent, 0, extent.length):
                self._check_stripe(owner, volume, stripe)

    def _check_stripe(self, owner: str, volume: VolumeRecord, stripe: Stripe) -> None:
        good = 0
        for shard, drive_id in enumerate(volume.drives):
            self.report.fragments += 1
            drive = self._store.drives.get(drive_id)
            if drive is None or drive.state is not DriveState.ONLINE or shard in volume.degraded:
                self.report.missing_fragments += 1
                if drive is None or drive.state is not DriveState.ONLINE:
                    continue
            if _fragment_is_good(drive, volume, shard, stripe):
                good += 1
            elif shard not in volume.degraded:
                self.report.damaged_fragments += 1
                damage = f"volume {volume.id:016x} shard {shard} at {stripe.shard_offset} on drive {drive_id}"
                if shard in self._waiting.get(volume.id, ()):
                    self.report.notes.append(f"{owner}: {damage} does not verify and waits for repair")
                else:
                    self.report.error(f"{owner}: {damage} does not verify")
        if good < volume.layout.data:
            self.report.unreadable_stripes += 1
            self.report.error(
                f"{owner} is unreadable: volume {volume.id:016x} at {stripe.shard_offset} has {good} of "
                f"{volume.layout.data} fragments needed"
            )

    # ---- the whole

    async def _check_references(self) -> None:
        counted = {row.key[1:]: decode_counter(row.value) async for row in self._rows(REFERENCES)}
        for blob in self._references.keys() | counted.keys():
            expected, found = max(self._references[blob] - 1, 0), counted.get(blob, 0)
            if expected != found:
                self.report.error(f"blob {blob.hex()} has {found} further references counted, {expected} are there")

    async def _check_usage(self) -> None:
        counted: dict[int, Counter[bytes]] = defaultdict(Counter)
        async for row in self._rows(USAGE):
            counted[int.from_bytes(row.key[1:9], "big")][row.key[9:]] = decode_counter(row.value)
        for bucket in self._counted.keys() | counted.keys():
            said, there = +counted[bucket], +self._counted[bucket]
            if said != there or min(counted[bucket].values(), default=0) < 0:
                self.report.error(f"bucket {bucket:016x} counts {dict(said)}, and {dict(there)} is there")
        for owner, wanted in self._annotations.items():
            if wanted is not None and (wanted.count, wanted.size_bytes) != self._annotated[owner]:
                self.report.error(f"an object counts {wanted.count} annotations, not {self._annotated[owner][0]}")
        for place in self._heads:
            self.report.error(f"the versions of {place[8:]!r} have no record")

    def _check_overlaps(self) -> None:
        for volume, ranges in self._ranges.items():
            ranges.sort()
            for (_, end), (start, _) in itertools.pairwise(ranges):
                if start < end:
                    self.report.error(f"two blobs overlap in volume {volume:016x} at {start}")


def _fragment_is_good(drive: Drive, volume: VolumeRecord, shard: int, stripe: Stripe) -> bool:
    """Whether the drive itself, not what memory remembers of it, holds a good fragment."""
    length = HEADER_BYTES + stripe.payload
    try:
        stored = drive.read_stored(shard_name(volume.id, shard), stripe.shard_offset, length, Scratch())
    except DriveError:
        return False
    index = volume.layout.index_of(shard)
    return len(stored) == length and verify(stored, KIND_DATA, volume.id, index, stripe.shard_offset)
