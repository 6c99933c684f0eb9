"""Blobs written to real directories read back equal, whole and in part, with drives missing and bytes rotten."""

import asyncio
import hashlib
import itertools
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pyrite.blobs.buffers import BufferPools
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.fetching import Damage
from pyrite.blobs.layout import Extent
from pyrite.blobs.local import LocalDrive
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volume import shard_name
from pyrite.blobs.volumes import Volumes
from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.errors import Corrupt, Unavailable
from pyrite.core.offload import ThreadOffload, ThreadWorkforce
from pyrite.core.units import KIB, MIB
from pyrite.testing.catalog import MemoryCatalog

SIZES = [0, 1, 7, 4096, 128 * KIB, 128 * KIB + 1, 256 * KIB, 300_001, MIB, 3 * MIB + 17, 9 * MIB]


PATIENCE: tuple[float, ...] = (60.0,)
"""How long drives are waited for: no healthy one is given up because the machine is slow."""


class Store:
    """A blob store over `count` directories, with what a test wants to look at."""

    def __init__(self, folder: Path, count: int, parity: int | None = None, shard_bytes: int = 64 * MIB) -> None:
        self.folders = []
        for number in range(count):
            path = folder / f"d{number}"
            path.mkdir(exist_ok=True)
            self.folders.append(path)
        self.catalog = MemoryCatalog()
        self.parity, self.shard_bytes = parity, shard_bytes
        self.damage: list[Damage] = []
        self.open()

    def open(self) -> None:
        self.drives = {path.name: LocalDrive(path.name, path) for path in self.folders}
        clock = HybridClock(SystemClock())
        force = ThreadWorkforce(max(4, len(self.drives)), *PATIENCE)
        self.volumes = Volumes(DriveSet(self.drives), self.catalog, clock, "w0", self.parity, self.shard_bytes, force)
        self.offload = ThreadOffload(4)
        self.blobs = BlobStore(self.volumes, BufferPools.of(64 * MIB), self.offload, self.damage.append)

    async def put(self, data: bytes, hint: bool = True) -> tuple[Extent, ...]:
        if len(data) <= 128 * KIB and hint:
            return await self.blobs.write_small(data)
        digest = hashlib.md5()
        writer = self.blobs.writer(len(data) if hint else None, [digest.update])
        view = memoryview(data)
        while view:
            space = await writer.space()
            count = min(len(space), len(view), 100_000)
            space[:count] = view[:count]
            writer.advance(count)
            view = view[count:]
        extents = await writer.finish()
        assert digest.digest() == hashlib.md5(data).digest()
        return extents

    async def get(self, extents: tuple[Extent, ...], start: int, stop: int) -> bytes:
        quick = self.blobs.read_now(extents, start, stop)
        got = b"".join([bytes(v) async for block in self.blobs.read(extents, start, stop) for v in block])
        assert quick is None or bytes(quick) == got
        return got


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())


@pytest.mark.parametrize(("drives", "parity"), [(1, None), (2, None), (4, None), (6, 2), (3, 0)])
def test_round_trip(tmp_path: Path, drives: int, parity: int | None) -> None:
    """Every size reads back equal, whole and in ranges around every edge, on every layout."""
    store = Store(tmp_path, drives, parity)
    rng = random.Random(1)

    async def body() -> None:
        for size, hint in itertools.product(SIZES, (True, False)):
            data = rng.randbytes(size)
            extents = await store.put(data, hint)
            assert sum(extent.length for extent in extents) == size
            edges = {0, 1, size // 2, size, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, size - 1}
            for low, high in itertools.combinations(sorted(e for e in edges if 0 <= e <= size), 2):
                assert await store.get(extents, low, high) == data[low:high]
        assert not store.damage

    run(body)


def test_blob_larger_than_a_volume_continues_in_the_next(tmp_path: Path) -> None:
    """A blob that does not fit the rest of a volume is split into extents, and full volumes are sealed."""
    store = Store(tmp_path, 3, 1, shard_bytes=4 * MIB)
    data = random.Random(2).randbytes(21 * MIB + 5)

    async def body() -> None:
        extents = await store.put(data)
        assert len({extent.volume for extent in extents}) >= 3
        assert await store.get(extents, 0, len(data)) == data
        states = [store.catalog.records[extent.volume].state for extent in extents]
        assert states[:-1] == ["sealed"] * (len(states) - 1)

    run(body)


@pytest.mark.parametrize("lost", list(itertools.combinations(range(6), 2)))
def test_any_two_of_six_drives_lost(tmp_path: Path, lost: tuple[int, int]) -> None:
    """With 4+2, what was written reads back without any two drives, and writing goes on narrower."""
    store = Store(tmp_path, 6, 2)
    rng = random.Random(3)
    blobs = [rng.randbytes(size) for size in (4096, 300_001, 3 * MIB + 17)]

    async def body() -> None:
        stored = [await store.put(data) for data in blobs]
        for number in lost:
            store.drives[f"d{number}"].fence("removed by the test")
        for data, extents in zip(blobs, stored, strict=True):
            assert await store.get(extents, 0, len(data)) == data
            again = await store.put(data)
            assert await store.get(again, 0, len(data)) == data
            layout = store.catalog.records[again[0].volume].layout
            assert layout.parity == 2 and layout.width <= 4

    run(body)


def test_three_lost_drives_are_a_clear_error(tmp_path: Path) -> None:
    """Beyond the tolerance of 4+2 a read raises Corrupt, and a write still keeps parity on what is left."""
    store = Store(tmp_path, 6, 2)

    async def body() -> None:
        data = random.Random(4).randbytes(2 * MIB)
        extents = await store.put(data)
        for number in range(3):
            store.drives[f"d{number}"].fence("removed by the test")
        with pytest.raises(Corrupt):
            await store.get(extents, 0, len(data))
        again = await store.put(data)
        assert await store.get(again, 0, len(data)) == data
        store.drives["d3"].fence("removed by the test")
        with pytest.raises(Unavailable):
            await store.put(data)

    run(body)


@pytest.mark.parametrize(("drives", "parity", "size"), [(6, 2, 3 * MIB), (3, 1, 5000), (1, 0, 5000)])
def test_flipped_bytes_are_never_returned(tmp_path: Path, drives: int, parity: int, size: int) -> None:
    """A byte flipped anywhere in a shard is detected and repaired on the fly, or is a clear error."""
    store = Store(tmp_path, drives, parity)
    rng = random.Random(5)

    async def body() -> None:
        data = rng.randbytes(size)
        extents = await store.put(data)
        await store.volumes.close()
        record = store.catalog.records[extents[0].volume]
        for shard, drive in enumerate(record.drives[: max(parity, 1)]):
            path = tmp_path / drive / "volumes" / shard_name(record.id, shard)
            content = bytearray(path.read_bytes())
            for _ in range(20):
                at = rng.randrange(len(content))
                content[at] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
            if parity:
                assert await store.get(extents, 0, size) == data
            else:
                with pytest.raises(Corrupt):
                    await store.get(extents, 0, size)
        assert store.damage

    run(body)


def test_a_drive_that_fails_midway_degrades_the_volume(tmp_path: Path) -> None:
    """A write that loses a drive half-way succeeds, records the missing shard, and moves to a new volume."""
    store = Store(tmp_path, 6, 2)

    async def body() -> None:
        data = random.Random(6).randbytes(8 * MIB)
        writer = store.blobs.writer(len(data))
        view = memoryview(data)
        await writer.put(view[: 4 * MIB])
        store.drives["d0"].fence("removed by the test")
        await writer.put(view[4 * MIB :])
        extents = await writer.finish()
        record = store.catalog.records[extents[0].volume]
        assert record.degraded == (record.drives.index("d0"),)
        assert await store.get(extents, 0, len(data)) == data
        after = await store.put(data)
        assert after[0].volume != extents[0].volume
        assert "d0" not in store.catalog.records[after[0].volume].drives

    run(body)


def test_a_small_write_that_loses_a_drive_is_recorded(tmp_path: Path) -> None:
    """A small write that one copy of three missed succeeds, and its volume says which shard waits for repair."""
    store = Store(tmp_path, 4, 2)

    async def body() -> None:
        placed = await store.blobs.place_small(b"b" * 1000)
        store.drives[placed.volume.record.drives[1]].fence("removed by the test")
        assert placed.volume.flush([placed.append]) == [None]
        await store.blobs.settle_small(placed)
        assert store.catalog.records[placed.extent.volume].degraded == (1,)
        after = await store.put(b"c" * 1000)
        assert after[0].volume != placed.extent.volume

    run(body)


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("after", [0, 1, 5 * MIB + 17, 11 * MIB, 12 * MIB])
def test_a_write_survives_the_loss_of_as_many_drives_as_the_parity(tmp_path: Path, lost: int, after: int) -> None:
    """Wherever a 4+2 write is when drives go, it ends well, on one fragment more than it takes to read."""
    store = Store(tmp_path, 6, 2, shard_bytes=2 * MIB)

    async def body() -> None:
        data = random.Random(after).randbytes(12 * MIB)
        first = await store.put(data)
        writer = store.blobs.writer(len(data))
        await writer.put(memoryview(data)[:after])
        if after == len(data):
            await writer.settle()  # only the sync is left
        for number in range(lost):
            store.drives[f"d{number}"].fence("removed by the test")
        await writer.put(memoryview(data)[after:])
        extents = await writer.finish()
        assert await store.get(extents, 0, len(data)) == data == await store.get(first, 0, len(data))
        for volume in {extent.volume for extent in extents}:
            record = store.catalog.records[volume]
            away = {shard for shard, drive in enumerate(record.drives) if drive in ("d0", "d1")[:lost]}
            assert set(record.degraded) == away and len(away) <= 1

    run(body)


def test_a_write_that_loses_more_drives_than_the_parity_fails(tmp_path: Path) -> None:
    """When the beginning of a blob cannot be read any more, its write says so, and the next one is taken."""
    store = Store(tmp_path, 6, 2)

    async def body() -> None:
        writer = store.blobs.writer(4 * MIB)
        await writer.put(memoryview(b"x" * (2 * MIB)))
        await writer.settle()
        for number in range(3):
            store.drives[f"d{number}"].fence("removed by the test")
        with pytest.raises(Unavailable):
            await writer.put(memoryview(b"x" * (2 * MIB)))
            await writer.finish()
        await writer.abandon()
        assert await store.get(await store.put(b"y" * MIB), 0, MIB) == b"y" * MIB

    run(body)


def test_an_unhinted_write_gives_back_no_byte_that_it_used(tmp_path: Path) -> None:
    """Blobs whose length was not known beforehand do not overlap, and leave no gap of a whole reservation."""
    store = Store(tmp_path, 1, 0)

    async def body() -> None:
        bodies = [bytes([n]) * (300_000 + n * 70_001) for n in range(6)]
        stored = [await store.put(data, hint=False) for data in bodies]
        for data, extents in zip(bodies, stored, strict=True):
            assert await store.get(extents, 0, len(data)) == data
        last = stored[-1][-1]
        assert last.offset + last.length < 2 * sum(map(len, bodies))

    run(body)


def test_a_flipped_bit_in_a_copy_is_never_served(tmp_path: Path) -> None:
    """A small blob of which one copy is damaged is read from the other, by both ways of reading."""
    store = Store(tmp_path, 2, 1)

    async def body() -> None:
        data = random.Random(9).randbytes(5000)
        extents = await store.put(data)
        record = store.catalog.records[extents[0].volume]
        for index in range(2):
            path = tmp_path / record.drives[index] / "volumes" / shard_name(record.id, index)
            good = path.read_bytes()
            path.write_bytes(good[:100] + bytes([good[100] ^ 4]) + good[101:])
            assert await store.get(extents, 0, 5000) == data
            now = store.blobs.read_now(extents, 0, 5000)
            assert now is None or bytes(now) == data
            path.write_bytes(good)

    run(body)


def test_freed_space_is_given_back(tmp_path: Path) -> None:
    """Freeing a large blob punches its ranges out of every shard."""
    store = Store(tmp_path, 3, 1)

    async def body() -> None:
        keep, drop = await store.put(b"k" * MIB), await store.put(b"d" * (8 * MIB))
        blocks = sum(p.stat().st_blocks for f in store.folders for p in (f / "volumes").iterdir())
        freed = await store.blobs.free(drop)
        after = sum(p.stat().st_blocks for f in store.folders for p in (f / "volumes").iterdir())
        assert (blocks - after) * 512 >= 11 * MIB and sum(freed.values()) >= 4 * MIB
        assert await store.get(keep, 0, MIB) == b"k" * MIB
        with pytest.raises(Corrupt):
            await store.get(drop, 0, 10)

    run(body)


def test_concurrent_small_writes_share_volumes(tmp_path: Path) -> None:
    """Hundreds of concurrent small writes all read back, from one volume, without overlap."""
    store = Store(tmp_path, 2)

    async def body() -> None:
        blobs = [bytes([n % 251]) * (n * 37 % 9000 + 1) for n in range(400)]
        stored = await asyncio.gather(*(store.put(data) for data in blobs))
        for data, extents in zip(blobs, stored, strict=True):
            assert await store.get(extents, 0, len(data)) == data
        assert len({extents[0].volume for extents in stored}) == 1

    run(body)


@pytest.mark.parametrize("size", [5000, MIB])
def test_every_drive_gets_its_share(tmp_path: Path, size: int) -> None:
    """Over many volumes every drive holds the first shard of some: neither bytes nor reads pile up on a few."""
    store = Store(tmp_path, 5, 1)

    async def body() -> None:
        firsts = set()
        for _ in range(1000):
            extents = await store.put(bytes(size))
            firsts.add(store.catalog.records[extents[0].volume].drives[0])
            store.volumes._open.clear()
            if firsts == set(store.drives):
                break
        assert firsts == set(store.drives)

    run(body)
