"""What objects share is counted right and kept while it moves: renames, appends and the reaper beside compaction."""

import pytest

from pyrite.metadata.keyspaces import GARBAGE, OBJECTS, PAGES, REFERENCES, VOLUMES
from pyrite.metadata.kv import Row, after_prefix, decode_counter
from pyrite.objects.buckets import Bucket
from pyrite.objects.objects import Copied
from pyrite.objects.records import Attributes
from pyrite.objects.renaming import rename
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, append, get, put, settle
from tests.services.test_races import SMALL, count


async def share(process: Process, bucket: Bucket) -> bytes:
    """`k0` of eight parts in a wasteful volume, and `copy`, which has the same parts; what they hold."""
    for number in range(40):
        await put(process, bucket, b"k%d" % number, bytes([number]) * SMALL)
        if number % 6 == 0:
            await append(process, bucket, b"k0", b"a%03d" % number * 100)
    for number in range(1, 40):
        await process.objects.delete(bucket, b"k%d" % number)
    await copy(process, bucket, b"k0", b"copy")
    return await get(process, bucket, b"k0")


async def copy(process: Process, bucket: Bucket, source: bytes, target: bytes) -> None:
    found = await process.naming.current(bucket, source)
    assert found is not None
    await process.objects.copy(bucket, source, found, bucket, target, Copied(Attributes(), "owner"))


async def clear(process: Process) -> None:
    await process.volumes.close()
    await settle(process)
    while (await process.reaper.step()).records:
        await settle(process)


async def nothing_is_left(process: Process, bucket: Bucket, *keys: bytes) -> None:
    """Once the keys are deleted nothing is kept of them, and no counter says that somebody has them."""
    for key in keys:
        await process.objects.delete(bucket, key)
    await process.volumes.close()
    await settle(process)
    await process.world.settle(process)
    counters = await process.engine.scan(REFERENCES, after_prefix(REFERENCES), 1000)
    assert [decode_counter(row.value) for row in counters] == []
    for space in (OBJECTS, PAGES, GARBAGE, VOLUMES):
        assert await count(process, space) == 0


def test_an_append_beside_compaction() -> None:
    """An append that makes pages of its own names the parts where they are when it commits."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        held = await share(process, bucket)
        await clear(process)
        moved = []

        async def compact() -> None:
            moved.append((await process.compactor.step()).moved_bytes)

        store.meddle(compact)
        await append(process, bucket, b"k0", b"more")
        assert moved[0] > 0
        await settle(process)
        await process.world.settle(process)
        assert await get(process, bucket, b"k0") == held + b"more" and await get(process, bucket, b"copy") == held
        await nothing_is_left(process, bucket, b"k0", b"copy")

    store.run(body)


def test_the_reaper_beside_compaction() -> None:
    """The pages of a deleted object become garbage of its parts where they are when that commits."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        held = await share(process, bucket)
        await append(process, bucket, b"copy", b"more")
        await clear(process)
        await process.objects.delete(bucket, b"k0")
        await settle(process)
        store.meddle(process.compactor.step)
        await process.reaper.step()
        await settle(process)
        await process.world.settle(process)
        assert await get(process, bucket, b"copy") == held + b"more"
        await nothing_is_left(process, bucket, b"copy")

    store.run(body)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_rename_beside_a_census(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """An object that gets a key which has been walked past keeps its bytes, and gives them back when it is deleted."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        data = b"precious" * 20_000
        await put(process, bucket, b"zz", data)
        if parts == 2:
            await append(process, bucket, b"zz", b"more")
            data += b"more"
        await process.volumes.close()
        for number in range(600):  # more than a page of names
            await put(process, bucket, b"m%03d" % number, b"")
        await settle(process)
        scan, renamed = process.engine.scan, list[int]()

        async def beside(start: bytes, end: bytes, limit: int, reverse: bool = False) -> list[Row]:
            rows: list[Row] = await scan(start, end, limit, reverse)
            if start == OBJECTS and len(rows) == limit == 500 and not renamed:
                renamed.append(1)
                await rename(process.naming, bucket, b"zz", b"aa", accept, accept)
            return rows

        monkeypatch.setattr(process.compactor, "_count_after_ms", 0)
        monkeypatch.setattr(process.engine, "scan", beside)
        await process.compactor.step()
        monkeypatch.setattr(process.engine, "scan", scan)
        assert renamed
        await settle(process)
        await process.world.settle(process)
        assert await get(process, bucket, b"aa") == data
        await nothing_is_left(process, bucket, b"aa", *(b"m%03d" % number for number in range(600)))

    store.run(body)


def accept(found: object) -> None:
    """No condition."""
