"""Owns freeing what has lost its name: reads the garbage that transactions leave, punches, forgets.

Each step is idempotent: offsets are never used twice, so punching again does no harm. Garbage is left alone until
it is older than the oldest read under way anywhere, because a reader may still hold its extents. Parts and pages are
forgotten before their bytes are punched: but for garbage, no row ever names bytes that are gone.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from pyrite.blobs.layout import Extent
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volume import parse_shard_name, shard_name
from pyrite.core.clock import Clock, stamp_ms
from pyrite.core.errors import PyriteError
from pyrite.metadata.keyspaces import GARBAGE, VOLUME_FREED, number
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, Row, after_prefix, decode_counter
from pyrite.objects import keys
from pyrite.objects.records import FORMAT, GarbageRecord, decode_garbage, decode_page, decode_part, encode
from pyrite.objects.standing import blob_id
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.claims import Claims

GRACE_MS = 20_000
"""How long garbage waits. It is stamped before its commit, which a hanging mirror may hold up for 12 s: who began to
read, or to count what is named, before the commit came through has to be known by then.
"""
_STEP_ROWS = 256
_TOGETHER = 64
_PARTS_AT_A_TIME = 256


class Reaped(NamedTuple):
    """What a step did: records finished, and whether more may be waiting."""

    records: int
    more: bool


class Reaper:
    """Frees garbage. `oldest_under_way_ms` tells when the oldest read or write under way began."""

    def __init__(
        self,
        engine: Engine,
        blobs: BlobStore,
        clock: Clock,
        oldest_under_way_ms: Callable[[], int],
        on_error: Callable[[PyriteError], None],
        claims: Claims,
        grace_ms: int = GRACE_MS,
    ) -> None:
        self._engine = engine
        self._blobs = blobs
        self._clock = clock
        self._oldest_under_way_ms = oldest_under_way_ms
        self._on_error = on_error
        self._claims = claims
        self._catalog = MetadataCatalog(engine)
        self._grace_ms = grace_ms

    async def step(self) -> Reaped:
        """Free a bounded number of garbage records that are old enough."""
        horizon = min(self._clock.now_ms(), self._oldest_under_way_ms()) - self._grace_ms
        rows = await self._engine.scan(GARBAGE, after_prefix(GARBAGE), _STEP_ROWS)
        ripe = [row for row in rows if stamp_ms(int.from_bytes(row.key[1:9], "big")) <= horizon]
        done = 0
        for start in range(0, len(ripe), _TOGETHER):  # together, so that they share commits
            done += sum(await asyncio.gather(*map(self._try_to_free, ripe[start : start + _TOGETHER])))
        return Reaped(done, len(ripe) == _STEP_ROWS and done > 0)

    async def _try_to_free(self, row: Row) -> bool:
        try:
            return await self._free(row, decode_garbage(row.value))
        except Conflict:
            return False  # somebody changed what it refers to: the next step sees it anew
        except PyriteError as error:
            self._on_error(error)
            await self._put_off(row)
            return False

    async def _put_off(self, row: Row) -> None:
        """Put what cannot be freed now behind what can, so that a tier that is away does not hold up the drives."""
        batch = Batch()
        batch.expect(row.key, row.version)
        batch.delete(row.key)
        batch.put(keys.garbage(self._clock.now_ms() << 16, row.key[9:]), row.value)
        with contextlib.suppress(PyriteError):
            await self._engine.commit(batch)

    async def _free(self, row: Row, garbage: GarbageRecord) -> bool:
        """Whether anything was freed."""
        batch = Batch()
        batch.expect(row.key, row.version)
        if garbage.bucket:
            await self._free_bucket(batch, row, garbage.bucket)
        elif garbage.files:
            return await self._remove_files(batch, row, garbage.files)
        elif garbage.upload and not garbage.page_count:
            await self._free_parts(batch, row, keys.parts(garbage.upload))
        elif garbage.annotations:
            await self._free_parts(batch, row, keys.annotations(garbage.annotations))
        else:
            batch.delete(row.key)
            if not await self._drop_reference(batch, garbage):
                await self._punch(batch, garbage.extents)
                await self._forget_pages(batch, row, garbage)
            await self._engine.commit(batch)
        return True

    async def _remove_files(self, batch: Batch, row: Row, files: tuple[tuple[str, str], ...]) -> bool:
        """Remove shard files that a volume has left, but for those that have moved back to where they were."""
        volumes = {volume for _, name in files if (volume := parse_shard_name(name)) is not None}
        with self._claims.hold(*volumes) as held:
            if not held:
                return False  # one of them may be moving back just now
            records = [await self._catalog.load(volume) for volume in volumes]
            living = {
                (drive, shard_name(record.id, shard))
                for record in records
                if record is not None
                for shard, drive in enumerate(record.drives)
            }
            await self._blobs.unlink([file for file in files if file not in living])  # where a drive is away: orphans
            batch.delete(row.key)
            await self._engine.commit(batch)
        return True

    async def _drop_reference(self, batch: Batch, garbage: GarbageRecord) -> bool:
        """Whether somebody else still refers to the blob; then one reference fewer is all there is to do."""
        key = keys.references(blob_id(garbage))
        entry = await self._engine.get(key)
        count = decode_counter(entry.value if entry else None)
        batch.expect(key, entry.version if entry else ABSENT)
        if count <= 0:
            batch.delete(key)
            return False
        batch.add(key, -1)
        return True

    async def _forget_pages(self, batch: Batch, row: Row, garbage: GarbageRecord) -> None:
        """Turn the pages of a completed upload into garbage of their extents; shared parts become garbage each."""
        for index in range(garbage.page_count):
            key = keys.page(garbage.upload, index)
            entry = await self._engine.get(key)
            if entry is None:
                continue
            batch.expect(key, entry.version)  # compaction moves what pages name
            own: list[Extent] = []
            for part in decode_page(entry.value).parts:
                if await self._is_shared(batch, part.extents):
                    self._leave(batch, row, b"%05d.%010d" % (index, part.number), list(part.extents))
                else:
                    own += part.extents
            self._leave(batch, row, b"%05d" % index, own)
            batch.delete(key)

    async def _is_shared(self, batch: Batch, extents: tuple[Extent, ...]) -> bool:
        """Whether another name than that of a page without a name refers to a part, also when `batch` is applied."""
        if not extents:
            return False
        key = keys.references(blob_id(GarbageRecord(FORMAT, extents=extents)))
        entry = await self._engine.get(key)
        batch.expect(key, entry.version if entry is not None else ABSENT)
        return entry is not None

    def _leave(self, batch: Batch, row: Row, nonce: bytes, extents: list[Extent]) -> None:
        """Put garbage, as old as that of `row`, for `extents`."""
        if extents:
            batch.put(_beside(row, nonce), encode(GarbageRecord(FORMAT, extents=tuple(extents))))

    async def _punch(self, batch: Batch, extents: tuple[Extent, ...]) -> None:
        for volume, freed in (await self._blobs.free(extents)).items():
            batch.add(VOLUME_FREED + number(volume), freed)

    async def _free_parts(self, batch: Batch, row: Row, prefix: bytes) -> None:
        """Turn the parts of an upload that was aborted, or annotations, into garbage of each, some at a time."""
        parts = await self._engine.scan(prefix, after_prefix(prefix), _PARTS_AT_A_TIME)
        for part in parts:
            batch.expect(part.key, part.version)  # compaction moves what it names
            self._leave(batch, row, part.key[len(prefix) :], list(decode_part(part.value).extents))
            batch.delete(part.key)
        if len(parts) < _PARTS_AT_A_TIME:
            batch.delete(row.key)
        await self._engine.commit(batch)

    async def _free_bucket(self, batch: Batch, row: Row, bucket_id: int) -> None:
        """Turn the uploads of a deleted bucket into garbage of their own, some at a time."""
        prefix = keys.uploads(bucket_id)
        uploads = await self._engine.scan(prefix, after_prefix(prefix), _PARTS_AT_A_TIME)
        for upload in uploads:
            _, upload_id = keys.split_upload(upload.key)
            batch.expect(upload.key, upload.version)
            batch.put(_beside(row, upload_id), encode(GarbageRecord(FORMAT, upload=upload_id)))
            batch.delete(upload.key)
        if len(uploads) < _PARTS_AT_A_TIME:
            batch.delete(row.key)
        await self._engine.commit(batch)


def _beside(row: Row, nonce: bytes) -> bytes:
    """The key of garbage as old as `row`, for a part of what it was for."""
    return keys.garbage(int.from_bytes(row.key[1:9], "big"), row.key[9:] + nonce)
