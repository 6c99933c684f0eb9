"""Shard files that nobody knows are removed, others never; volumes that cannot stay are emptied."""

import asyncio

from pyrite.blobs.volume import VolumeRecord, shard_name
from pyrite.services.orphans import ORPHAN_AFTER_MS
from pyrite.testing.disks import SimFile
from pyrite.testing.world import Process, World
from tests.objects.meddling import get, put

STRANGER = 0x123456789ABCDEF0


async def volumes_of(process: Process, count: int = 3) -> list[VolumeRecord]:
    await process.buckets.create("bucket", "owner", "")
    bucket = await process.buckets.find("bucket")
    for number in range(count):
        await put(process, bucket, b"k%d" % number, b"v" * 3000)
    await put(process, bucket, b"large", b"l" * 300_000)
    await process.volumes.close()
    await asyncio.sleep(60)
    return await process.catalog.all()


async def removed(process: Process) -> int:
    """How many files are removed when it is looked twice, long enough apart."""
    assert await process.orphans.step() == 0
    await asyncio.sleep(2 * ORPHAN_AFTER_MS / 1000)
    return await process.orphans.step()


def test_a_file_of_no_volume_is_removed_after_a_while() -> None:
    """A file that no record knows goes, but not at once; logs, and shards where they belong, stay."""
    world = World(1, 3, 1)

    async def body(process: Process) -> None:
        records = await volumes_of(process)
        world.disks[0].files[shard_name(STRANGER, 0)] = SimFile()
        world.disks[1].files["names-worker-0-0000000000000001"] = SimFile()
        before = {name for disk in world.disks for name in disk.files}
        assert await removed(process) == 1
        assert {name for disk in world.disks for name in disk.files} == before - {shard_name(STRANGER, 0)}
        assert records

    world.live(body)


def test_a_shard_where_its_volume_does_not_have_it() -> None:
    """A copy of a shard on another drive is removed, unless a repair of the volume may be writing it."""
    world = World(2, 3, 1)

    async def body(process: Process) -> None:
        record = next(record for record in await volumes_of(process) if record.layout.width == 2)
        disk = next(disk for disk in world.disks if disk.id not in record.drives)
        name = shard_name(record.id, 0)
        disk.files[name] = SimFile()
        await process.queue.put(record.id, (0,), "a test", process.world.clock.now_ms() + 10**9)
        assert await removed(process) == 0 and name in disk.files
        for queued in await process.queue.all():
            await process.repairer._forget(queued)
        assert await removed(process) == 1 and name not in disk.files

    world.live(body)


def test_what_somebody_may_still_read_is_not_removed() -> None:
    """As long as a read goes on that began before, an orphan stays: the reader may know the file."""
    world = World(3, 3, 1)

    async def body(process: Process) -> None:
        await volumes_of(process)
        world.disks[0].files[shard_name(STRANGER, 0)] = SimFile()
        token = process.under_way.enter()
        assert await removed(process) == 0
        process.under_way.leave(token)
        assert await process.orphans.step() == 1

    world.live(body)


def test_a_volume_that_cannot_stay_is_emptied() -> None:
    """When a drive leaves a store whose volumes need all drives, they are written anew on the others."""
    world = World(4, 4, 1)

    async def body(process: Process) -> None:
        records = await volumes_of(process)
        leaving = next(record for record in records if record.layout.width == 4).drives[0]
        process.drives.describe(leaving, takes_data=False)
        process.exposure.leave({leaving: ""}, [])
        for _ in range(40):
            await asyncio.sleep(30)
            await process.upkeep.step()
            await process.repairer.step()
            await process.compactor.step()
            await process.reaper.step()
        left = await process.catalog.all()
        assert left and not any(leaving in record.drives for record in left)
        assert not await process.queue.all()
        bucket = await process.buckets.find("bucket")
        assert await get(process, bucket, b"large") == b"l" * 300_000
        assert await get(process, bucket, b"k0") == b"v" * 3000
        assert not [name for disk in world.disks if disk.id == leaving for name in disk.files]

    world.live(body)


def test_a_shard_that_moves_back_stays() -> None:
    """What a shard left behind is not removed when it has come back there before the reaper came."""
    world = World(5, 3, 1)

    async def body(process: Process) -> None:
        record = next(record for record in await volumes_of(process) if record.layout.width == 2)
        here = record.drives[0]
        away = next(disk.id for disk in world.disks if disk.id not in record.drives)
        for target in (away, here):
            assert await process.queue.put(record.id, (0,), "a test", process.world.clock.now_ms(), target)
            assert await process.repairer.step()
            moved = await process.catalog.load(record.id)
            assert moved is not None and moved.drives[0] == target
        for _ in range(3):
            await asyncio.sleep(60)
            await process.reaper.step()
        assert not await process.find_faults()
        names = {disk.id: set(disk.files) for disk in world.disks}
        assert shard_name(record.id, 0) in names[here] and shard_name(record.id, 0) not in names[away]

    world.live(body)
