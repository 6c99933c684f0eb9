"""What scrub and repair share finds all damage, makes the same bytes again, and believes nothing it has not read."""

import asyncio
import random

import pytest

from pyrite.blobs.buffers import BufferPools, Scratch
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.layout import Extent
from pyrite.blobs.mending import Fault, Findings, Mender, prepare, runs, stretches
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volume import shard_name
from pyrite.blobs.volumes import Volumes
from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.offload import InlineOffload, InlineWorkforce
from pyrite.testing.catalog import MemoryCatalog
from pyrite.testing.disks import SimDisk, SimDrive

KIB = 1024


class Store:
    """Blobs in one volume on simulated disks."""

    def __init__(self, drives: int, parity: int, sizes: list[int]) -> None:
        rng = random.Random(3)
        self.disks = [SimDisk(f"d{number}", rng) for number in range(drives + 1)]
        self.calls: list[tuple[str, str]] = []
        self.drives = {disk.id: SimDrive(disk, lambda *call: self.calls.append(call)) for disk in self.disks}
        catalog = MemoryCatalog()
        members = DriveSet({name: drive for name, drive in self.drives.items() if name != f"d{drives}"})
        volumes = Volumes(members, catalog, HybridClock(SystemClock()), "w", parity, workforce=InlineWorkforce())
        blobs = BlobStore(volumes, BufferPools.of(1 << 24), InlineOffload(), lambda _: None)
        self.extents = asyncio.run(self.fill(blobs, [rng.randbytes(size) for size in sizes]))
        (self.record,) = catalog.records.values()
        self.mender = Mender(DriveSet(self.drives), InlineWorkforce())

    async def fill(self, blobs: BlobStore, bodies: list[bytes]) -> list[Extent]:
        extents: list[Extent] = []
        for body in bodies:
            if len(body) <= 128 * KIB:
                extents += await blobs.write_small(body)
                continue
            writer = blobs.writer(len(body))
            await writer.put(memoryview(body))
            extents += await writer.finish()
        return extents

    def content(self, shard: int) -> bytearray:
        disk = next(disk for disk in self.disks if disk.id == self.record.drives[shard])
        return disk.files[shard_name(self.record.id, shard)].seen

    def inspect(self) -> Findings:
        findings = Findings()
        for run in runs(self.record.layout, self.extents):
            self.mender.inspect(self.record, run, findings, Scratch())
        return findings

    def mend(self, shards: list[int], to: str | None = None) -> Findings:
        findings = Findings()
        targets = {shard: self.drives[to or self.record.drives[shard]] for shard in shards}
        for shard, drive in targets.items():
            prepare(drive, shard_name(self.record.id, shard))
        for stretch in stretches(self.record.layout, self.extents):
            findings.add(self.mender.restore(self.record, stretch, targets))
        return findings


STORES = [(4, 2, [300 * KIB, 900 * KIB, 200 * KIB]), (3, 2, [1, 5000, 100 * KIB, 77]), (6, 2, [3000 * KIB, 130 * KIB])]


@pytest.mark.parametrize(("drives", "parity", "sizes"), STORES)
def test_a_flipped_bit_in_every_page_is_found_and_mended(drives: int, parity: int, sizes: list[int]) -> None:
    """One drive at a time, up to the parity: every damaged fragment is named, mended, and then nothing is wrong."""
    store = Store(drives, parity, sizes)
    assert not store.inspect().faults
    good = [bytes(store.content(shard)) for shard in range(store.record.layout.width)]
    harmed = list(range(store.record.layout.width))[-store.record.layout.parity :]
    for shard in harmed:
        content = store.content(shard)
        for page in range(0, len(content), 4096):
            content[min(page + 40, len(content) - 1)] ^= 4
    found = store.inspect()
    assert not found.lost
    assert {fault.shard for fault in found.faults} == set(harmed)
    if min(sizes) > 4096:
        assert len(found.faults) == found.stripes * len(harmed)
    findings = store.mend(harmed)
    assert not findings.faults and not findings.lost
    assert [bytes(store.content(shard)) for shard in range(store.record.layout.width)] == good
    assert not store.inspect().faults


def test_a_whole_shard_is_made_again_elsewhere() -> None:
    """A lost drive's shard is rebuilt on another drive, byte for byte; holes between blobs do not matter."""
    store = Store(6, 2, [3000 * KIB, 130 * KIB, 700 * KIB])
    for lost in range(6):
        good = bytes(store.content(lost))
        disk = next(disk for disk in store.disks if disk.id == store.record.drives[lost])
        disk.present = False
        assert not store.mend([lost], "d6").faults
        assert bytes(store.disks[6].files.pop(shard_name(store.record.id, lost)).seen) == good
        disk.present = True


def test_beyond_the_parity_nothing_is_invented() -> None:
    """A stripe with too few good fragments is lost: nothing is written in its place, and the others are mended."""
    store = Store(4, 2, [300 * KIB, 900 * KIB])
    first = store.extents[0].offset
    for shard in (0, 1, 2):
        store.content(shard)[first + 100] ^= 1
    before = [bytes(store.content(shard)) for shard in range(4)]
    store.content(0)[store.extents[1].offset + 100] ^= 1
    assert len(store.inspect().lost) == 1
    findings = store.mend([0, 1])
    assert [slot.offset for slot in findings.lost] == [first] and not findings.faults
    assert [bytes(store.content(shard)) for shard in range(4)] == before


def test_a_repair_is_synced_and_read_back() -> None:
    """What a repair wrote is made durable; a disk that loses it is caught."""
    store = Store(4, 2, [300 * KIB])
    store.content(0)[40] ^= 1
    store.calls.clear()
    assert store.mend([0]).faults == []
    name = shard_name(store.record.id, 0)
    assert store.calls.index(("sync", name)) > store.calls.index(("write", name))
    store.content(0)[40] ^= 1
    disk = next(disk for disk in store.disks if disk.id == store.record.drives[0])
    disk.faults.lost_write = 1.0
    assert store.mend([0]).faults == [Fault(0, store.extents[0].offset)]


def test_a_bad_sector_spoils_one_fragment() -> None:
    """A shard that ends too early, or is empty, is damage like any other."""
    store = Store(3, 2, [100 * KIB, 100 * KIB, 5000])
    del store.content(1)[store.extents[1].offset + 10 :]
    assert {fault.shard for fault in store.inspect().faults} == {1}
    del store.content(1)[:]
    assert len(store.inspect().faults) == 3
    assert store.mend([1]).faults == []
    assert not store.inspect().faults
