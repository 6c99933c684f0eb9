"""Drives are evened out as far as whole shards allow, and then left alone."""

import asyncio

import pytest

from pyrite.testing import disks
from pyrite.testing.world import Process, World
from tests.objects.meddling import put


@pytest.mark.parametrize("seed", range(8))
def test_shards_do_not_move_to_and_fro(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Of drives that differ by one shard none gets it from the other: they would only swap their roles, for ever."""
    world = World(seed, 4, 1)
    monkeypatch.setattr(disks, "TOTAL_BYTES", 270_553_174_016)  # no power of two, so that shares are rounded

    async def body(process: Process) -> None:
        await process.buckets.create("bucket", "owner", "")
        bucket = await process.buckets.find("bucket")
        for number in range(4):
            await put(process, bucket, b"k%d" % number, b"v" * world.rng.randrange(3_000, 400_000))
            await process.volumes.close()
        await asyncio.sleep(60)
        for _ in range(20):
            await process.upkeep.step()
            await process.world.settle(process)
        settled = {record.id: record.drives for record in await process.catalog.all()}
        assert len(settled) >= 3
        for _ in range(20):
            assert not await process.upkeep.step()
        assert {record.id: record.drives for record in await process.catalog.all()} == settled

    world.live(body)


def test_an_open_volume_of_a_drive_that_failed_is_verified_later() -> None:
    """A drive that failed a write has its open volumes in the queue, too: they are looked at once they are sealed."""
    world = World(1, 3, 1)

    async def body(process: Process) -> None:
        await process.buckets.create("bucket", "owner", "")
        bucket = await process.buckets.find("bucket")
        record = await put(process, bucket, b"k", b"v" * 1000)
        (volume,) = await process.catalog.all()
        assert (volume.state, volume.id) == ("open", record.extents[0].volume)
        await process.upkeep.verify_drive(volume.drives[1])
        (queued,) = await process.upkeep._store.queue.all()
        assert (queued.record.volume, queued.record.shards) == (volume.id, (1,))

    world.live(body)
