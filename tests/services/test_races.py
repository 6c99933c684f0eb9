"""Background work never takes what somebody still uses, and overwrites nothing that is newer."""

import asyncio
from collections.abc import Sequence

import pytest

from pyrite.blobs.layout import Extent
from pyrite.metadata.keyspaces import GARBAGE, OBJECTS, PAGES, PARTS, REFERENCES, VOLUMES
from pyrite.metadata.kv import after_prefix
from pyrite.objects.buckets import Bucket
from pyrite.objects.objects import Copied
from pyrite.objects.records import Attributes
from pyrite.objects.uploads import Completion
from pyrite.services.census import extents_of
from pyrite.services.claims import Claims
from pyrite.services.reaper import GRACE_MS, Reaper
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, append, get, put, read, settle
from tests.objects.test_races import begin

SMALL = 700  # so small that deleting frees no whole page
LIVING = 7


async def count(process: Process, space: bytes) -> int:
    return len(await process.engine.scan(space, after_prefix(space), 1000))


async def make_wasteful(process: Process, bucket: Bucket) -> None:
    """One sealed volume of forty small objects of which one lives in every page."""
    for number in range(40):
        await put(process, bucket, b"k%d" % number, bytes([number]) * SMALL)
    for number in range(40):
        if number % 6:
            await process.objects.delete(bucket, b"k%d" % number)
    await process.volumes.close()
    await settle(process)
    while (await process.reaper.step()).records:
        await settle(process)


def test_what_is_being_read_is_not_freed() -> None:
    """Garbage younger than the oldest read stays, however old it is; once the read has ended it goes."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"k", b"x" * SMALL)
        record = await process.objects.find(bucket, b"k")
        token = process.under_way.enter()
        await process.objects.delete(bucket, b"k")
        await asyncio.sleep(3600)
        assert (await process.reaper.step()).records == 0
        assert await read(process, record) == b"x" * SMALL
        process.under_way.leave(token)
        assert (await process.reaper.step()).records == 1
        assert await count(process, GARBAGE) == 0

    store.run(body)


def test_garbage_waits_for_its_grace() -> None:
    """Garbage made a moment ago stays, because another process may have begun to read it and not said so yet."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"k", b"x" * SMALL)
        await process.objects.delete(bucket, b"k")
        await asyncio.sleep(GRACE_MS / 1000 - 1)
        assert (await process.reaper.step()).records == 0
        await asyncio.sleep(2)
        assert (await process.reaper.step()).records == 1

    store.run(body)


class Watching:
    """Blobs that look, before any is freed, whether it still has a name."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.freed = 0
        self.named: set[Extent] = set()

    async def free(self, extents: Sequence[Extent]) -> dict[int, int]:
        for space in (OBJECTS, PARTS, PAGES):
            for row in await self.process.engine.scan(space, after_prefix(space), 1000):
                self.named |= set(extents_of(row)) & set(extents)
        self.freed += len(extents)
        return await self.process.blobs.free(extents)


def test_names_go_before_their_bytes() -> None:
    """No part of an aborted upload and no page of a deleted object names bytes that have been freed already."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        watching = Watching(process)
        reaper = Reaper(process.engine, watching, process.world.clock, process.under_way.oldest_ms, print, Claims())
        for key in (b"completed", b"aborted"):
            upload, part = await begin(process, bucket, key, b"x" * 3_000_000)
            if key == b"aborted":
                await process.uploads.abort(bucket, key, upload.id)
                continue
            completion = Completion([part])
            await process.uploads.complete(bucket, key, upload.id, completion)
            await process.objects.delete(bucket, key)
        await asyncio.sleep(60)
        while (await reaper.step()).records:
            pass
        assert watching.freed >= 2 and not watching.named
        assert await count(process, GARBAGE) == await count(process, PARTS) == await count(process, PAGES) == 0

    store.run(body)


def test_every_upload_of_a_deleted_bucket_is_freed() -> None:
    """A bucket with more uploads than are freed at a time leaves no part behind."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        for number in range(300):
            await begin(process, bucket, b"k%d" % number, b"x" * 10)
        await process.buckets.delete("bucket")
        await process.world.settle(process)
        assert await count(process, GARBAGE) == await count(process, PARTS) == 0

    store.run(body)


def test_copies_stay_one_blob_when_it_moves() -> None:
    """Objects that share bytes share them after compaction, and the bytes go with the last of them."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await make_wasteful(process, bucket)
        for name in (b"copy1", b"copy2"):
            source = await process.naming.current(bucket, b"k0")
            assert source is not None
            await process.objects.copy(bucket, b"k0", source, bucket, name, Copied(Attributes(), "owner"))
        moved = await process.compactor.step()
        assert moved.moved_bytes == LIVING * SMALL
        assert await count(process, GARBAGE) == LIVING
        records = [await process.objects.find(bucket, name) for name in (b"k0", b"copy1", b"copy2")]
        assert len({record.extents for record in records}) == 1
        for name in (b"k0", b"copy1"):
            await process.objects.delete(bucket, name)
            await process.world.settle(process)
            assert await get(process, bucket, b"copy2") == bytes(SMALL)
        for name in (b"copy2", *(b"k%d" % number for number in range(6, 40, 6))):
            await process.objects.delete(bucket, name)
        await process.volumes.close()
        await process.world.settle(process)
        assert await count(process, REFERENCES) == await count(process, VOLUMES) == 0

    store.run(body)


def test_parts_stay_shared_when_they_move() -> None:
    """What an object that was appended to shares with the one it was copied from is one blob after compaction too."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await make_wasteful(process, bucket)
        source = await process.naming.current(bucket, b"k0")
        assert source is not None
        for name in (b"grown1", b"grown2"):
            await process.objects.copy(bucket, b"k0", source, bucket, name, Copied(Attributes(), "owner"))
            await append(process, bucket, name, name)
        moved = await process.compactor.step()
        assert moved.moved_bytes == LIVING * SMALL
        grown = [await process.objects.find(bucket, name) for name in (b"grown1", b"grown2")]
        shared = [(await process.reading.parts(record, 0, 2))[0].extents for record in grown]
        assert shared[0] == shared[1] == (await process.objects.find(bucket, b"k0")).extents != source.record.extents
        for name in (b"k0", b"grown1"):
            await process.objects.delete(bucket, name)
            await process.world.settle(process)
            assert await get(process, bucket, b"grown2") == bytes(SMALL) + b"grown2"
        for name in (b"grown2", *(b"k%d" % number for number in range(6, 40, 6))):
            await process.objects.delete(bucket, name)
        await process.volumes.close()
        await process.world.settle(process)
        assert await count(process, REFERENCES) == await count(process, VOLUMES) == 0

    store.run(body)


def test_compaction_yields_to_an_append() -> None:
    """A page that grows while its parts are moved keeps what was appended."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await make_wasteful(process, bucket)
        await append(process, bucket, b"k0", b"one")
        store.meddle(lambda: append(process, bucket, b"k0", b"two"))
        await process.compactor.step()
        await process.world.settle(process)
        assert await get(process, bucket, b"k0") == bytes(SMALL) + b"onetwo"

    store.run(body)


def test_compaction_yields_to_a_writer() -> None:
    """An object replaced while its bytes are moved stays replaced, and the moved bytes do not stay."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await make_wasteful(process, bucket)
        store.meddle(lambda: put(process, bucket, b"k0", b"newer"))
        assert (await process.compactor.step()).moved_bytes == (LIVING - 1) * SMALL
        assert await get(process, bucket, b"k0") == b"newer"
        await process.volumes.close()
        await process.world.settle(process)
        assert await get(process, bucket, b"k0") == b"newer"

    store.run(body)


def test_compaction_yields_to_a_copy() -> None:
    """A blob that is shared while it is moved is not moved, and both names read."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await make_wasteful(process, bucket)
        source = await process.naming.current(bucket, b"k0")
        assert source is not None
        store.meddle(
            lambda: process.objects.copy(bucket, b"k0", source, bucket, b"copy", Copied(Attributes(), "owner"))
        )
        assert (await process.compactor.step()).moved_bytes == (LIVING - 1) * SMALL
        await process.world.settle(process)
        assert await get(process, bucket, b"copy") == await get(process, bucket, b"k0") == bytes(SMALL)

    store.run(body)


@pytest.mark.parametrize("state", ["open", "fresh"])
def test_repair_leaves_alone_what_is_written_to(state: str) -> None:
    """A volume that is open, or was sealed after a write under way began, is not repaired yet."""
    store = Meddled(3, 1)

    async def body(process: Process, bucket: Bucket) -> None:
        token = process.under_way.enter()
        await put(process, bucket, b"k", b"x" * SMALL)
        record = await process.objects.find(bucket, b"k")
        volume = record.extents[0].volume
        await process.queue.put(volume, (0,), "a test", process.world.clock.now_ms())
        if state == "fresh":
            await process.volumes.close()
        await asyncio.sleep(60)
        assert not await process.repairer.step()
        process.under_way.leave(token)
        await process.volumes.close()
        await asyncio.sleep(60)
        assert await process.repairer.step()
        assert not await process.queue.all()
        assert await get(process, bucket, b"k") == b"x" * SMALL

    store.run(body)
