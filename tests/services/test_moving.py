"""What moves while the reaper gives it up, or while it is counted, is not lost and leaves nothing behind."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from pyrite.blobs.layout import Extent
from pyrite.metadata.keyspaces import GARBAGE, PAGES, PARTS
from pyrite.metadata.kv import Batch, after_prefix
from pyrite.objects.buckets import Bucket
from pyrite.objects.objects import Copied
from pyrite.objects.records import Attributes, decode_page, decode_part, encode
from pyrite.objects.uploads import Completion
from pyrite.services import census
from pyrite.services.census import still_named
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, put, settle
from tests.objects.test_races import begin
from tests.services.test_races import count


class Freed:
    """The blobs of a process, and which extents were given back."""

    def __init__(self, process: Process) -> None:
        self.extents: set[Extent] = set()
        self._free = process.blobs.free
        process.blobs.free = self._note  # type: ignore[method-assign]

    async def _note(self, extents: Sequence[Extent]) -> dict[int, int]:
        self.extents |= set(extents)
        return await self._free(extents)


async def move_one(process: Process, space: bytes) -> tuple[Extent, ...]:
    """Write the bytes of a part again, and name them there, as compaction does; where they are now."""
    (row,) = await process.engine.scan(space, after_prefix(space), 2)
    page = None if space == PARTS else decode_page(row.value)
    part = decode_part(row.value) if page is None else page.parts[0]
    (extent,) = part.extents
    moved = await process.blobs.copy(extent)
    part = msgspec.structs.replace(part, extents=moved)
    record = part if page is None else msgspec.structs.replace(page, parts=(part,))
    batch = Batch()
    batch.expect(row.key, row.version)
    batch.put(row.key, encode(record))
    await process.engine.commit(batch)
    return moved


@pytest.mark.parametrize("space", [PARTS, PAGES], ids=["parts", "pages"])
def test_what_moves_while_it_is_given_up_is_freed_where_it_is(space: bytes) -> None:
    """Parts of an aborted upload, and pages of a deleted object, that compaction moves just then leave no bytes."""
    store = Meddled()
    moved: list[Extent] = []

    async def body(process: Process, bucket: Bucket) -> None:
        freed = Freed(process)
        upload, part = await begin(process, bucket, b"k", b"x" * 2000)
        if space == PARTS:
            await process.uploads.abort(bucket, b"k", upload.id)
        else:
            await process.uploads.complete(bucket, b"k", upload.id, Completion([part]))
            await process.objects.delete(bucket, b"k")

        async def move() -> None:
            moved.extend(await move_one(process, space))

        await settle(process)
        store.meddle(move)
        for _ in range(6):
            await process.reaper.step()
        assert moved and freed.extents >= set(moved)
        assert await count(process, space) == await count(process, GARBAGE) == 0

    store.run(body)


def test_what_moved_back_from_garbage_while_it_was_counted_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob that a copy names in front of where the census is, and whose own name goes before it comes, is there."""
    monkeypatch.setattr(census, "_SCAN_ROWS", 1)
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"b", b"first")
        record = await put(process, bucket, b"k", b"x" * 2000)
        (extent,) = record.extents
        await process.volumes.close()
        (volume,) = [one for one in await process.catalog.all() if one.id == extent.volume]
        pause = asyncio.sleep
        moved = []

        async def move(_seconds: float) -> None:
            if not moved:
                moved.append(b"k")
                found = await process.naming.current(bucket, b"k")
                assert found is not None
                await process.objects.copy(bucket, b"k", found, bucket, b"a", Copied(Attributes(), "owner"))
                await process.objects.delete(bucket, b"k")
            await pause(0)

        monkeypatch.setattr(census.asyncio, "sleep", move)
        named = await still_named(process.engine, process.under_way, volume, {extent.offset})
        assert moved and named == {extent.offset}

    store.run(body)
