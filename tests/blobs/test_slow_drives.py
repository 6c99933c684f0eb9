"""Drives that hang are read around and written around; the test decides when they go on."""

import asyncio
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyrite.blobs import local
from pyrite.blobs.drive import Buffer
from pyrite.blobs.local import LocalDrive
from pyrite.core import offload, pace
from tests.blobs.test_store import MIB, Store
from tests.server import wait_until


class HangingDrive(LocalDrive):
    """A drive of which every call that has to wait hangs while `held`."""

    def __init__(self, drive_id: str, path: Path) -> None:
        super().__init__(drive_id, path)
        self.free = threading.Event()
        self.free.set()
        self.calls = 0

    def _hang(self) -> None:
        self.calls += 1
        token = self.pace.begin()
        self.free.wait(300)
        self.pace.end(token, "read")

    def read_into(self, name: str, offset: int, target: memoryview, wait: bool) -> int:
        if wait:
            self._hang()
        elif not self.free.is_set():
            raise local.WouldBlock
        return super().read_into(name, offset, target, wait)

    def write(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        self._hang()
        super().write(name, offset, buffers)

    def create(self, name: str) -> None:
        self._hang()
        super().create(name)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have drives that hang waited for a second: less would be too little for healthy ones on a busy machine."""
    monkeypatch.setattr("tests.blobs.test_store.LocalDrive", HangingDrive)
    monkeypatch.setattr("tests.blobs.test_store.PATIENCE", ())
    monkeypatch.setattr(pace, "STUCK_S", 1.2)
    monkeypatch.setattr(offload.ThreadWorkforce.__init__, "__defaults__", (1.5,))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Six drives, 4+2, of which each can hang; the others are waited for a second."""
    impatient(monkeypatch)
    return Store(tmp_path, 6, 2)


@pytest.mark.parametrize("size", [5000, 3 * MIB + 17])
def test_reads_go_around_drives_that_hang(store: Store, size: int) -> None:
    """With as many drives hanging as there is parity, every read comes back, whole and right."""
    data = random.Random(1).randbytes(size)

    async def body() -> None:
        extents = await store.put(data)
        holders = store.catalog.records[extents[0].volume].drives
        hanging = [store.drives[name] for name in holders[:2]]
        for drive in hanging:
            drive.free.clear()
        try:
            for _ in range(12):
                assert await store.get(extents, 0, size) == data
        finally:
            for drive in hanging:
                drive.free.set()
        assert not store.damage  # late is not damaged
        assert await store.get(extents, 0, size) == data

    asyncio.run(body())


@pytest.mark.parametrize("size", [5000, 3 * MIB + 17])
def test_writes_go_around_a_drive_that_hangs(store: Store, size: int) -> None:
    """A write does without a drive that hangs, the volume is degraded, and the next one stands on other drives."""
    data = random.Random(2).randbytes(size)

    async def body() -> None:
        first = await store.put(data)
        record = store.catalog.records[first[0].volume]
        drive = store.drives[record.drives[0]]
        drive.free.clear()
        try:
            second = await store.put(data)
            assert store.catalog.records[first[0].volume].degraded == (0,)
            third = await store.put(data)
            for extent in third:
                assert store.catalog.records[extent.volume].state == "open"
                assert drive.id not in store.catalog.records[extent.volume].drives
            calls = drive.calls
            fourth = await store.put(data)
            assert drive.calls == calls
            for extents in (first, second, third, fourth):
                assert await store.get(extents, 0, size) == data
        finally:
            drive.free.set()

    asyncio.run(body())


def test_a_late_write_writes_what_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a drive writes long after it was given up is what it was told to, although the block is used again."""
    impatient(monkeypatch)
    store = Store(tmp_path, 4, 2)
    rng = random.Random(3)
    first, others = rng.randbytes(MIB), [rng.randbytes(MIB) for _ in range(4)]
    monkeypatch.setattr("pyrite.blobs.placement.SHARDS_MAX", 3)  # three drives of four: copies of large blobs

    async def body() -> None:
        await store.put(others[0])
        record = next(iter(store.catalog.records.values()))
        assert record.layout.data == 1 and record.layout.width == 3
        late = store.drives[record.drives[2]]
        late.free.clear()
        extents = await store.put(first)
        for other in others:
            await store.put(other)
        late.free.set()
        await asyncio.to_thread(wait_until, lambda: late.pace.waits_s() == 0.0)
        for name in record.drives[:2]:
            store.drives[name].fence("so that the late copy is read")
        assert await store.get(extents, 0, MIB) == first

    asyncio.run(body())


def test_a_write_that_needs_all_its_drives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a write needs every shard, one that hangs sends it to another volume, on drives that answer."""
    impatient(monkeypatch)
    store = Store(tmp_path, 3, 1)
    small, large = b"s" * 5000, random.Random(6).randbytes(MIB)

    async def body() -> None:
        where = [await store.put(small), await store.put(large)]
        hanging = store.drives[store.catalog.records[where[0][0].volume].drives[0]]
        hanging.free.clear()
        try:
            where += [await store.put(small), await store.put(large)]
            assert hanging.id not in store.catalog.records[where[2][0].volume].drives
            for extents, data in zip(where, (small, large) * 2, strict=True):
                assert await store.get(extents, 0, len(data)) == data
        finally:
            hanging.free.set()

    asyncio.run(body())


def test_a_late_read_reads_into_nobody_elses_buffer(store: Store) -> None:
    """What a drive reads long after it was given up goes into no block that was given out since."""
    rng = random.Random(4)
    first, second = rng.randbytes(MIB), rng.randbytes(MIB)

    async def body() -> None:
        one = await store.put(first)
        drive = store.drives[store.catalog.records[one[0].volume].drives[0]]
        two = one
        for _ in range(40):  # until its shard is another one, and its region that of a drive that answers
            if store.catalog.records[two[0].volume].drives.index(drive.id) != 0:
                break
            store.volumes._open.clear()
            two = await store.put(second)
        drive.free.clear()
        assert await store.get(one, 0, MIB) == first
        async for block in store.blobs.read(two, 0, MIB):
            drive.free.set()
            await asyncio.to_thread(wait_until, lambda: drive.pace.waits_s() == 0.0)
            assert b"".join(bytes(view) for view in block) == second
            break

    asyncio.run(body())
