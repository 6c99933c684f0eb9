"""Repair makes again what can be made again, and says what cannot."""

import asyncio

from pyrite.blobs.volume import shard_name
from pyrite.metadata.keyspaces import REPAIRS
from pyrite.objects.buckets import Bucket
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, get, put

SIZE = 700


def flip(process: Process, volume: int, shard: int, drive: str, offset: int) -> None:
    """Damage the fragment at `offset` of a shard."""
    disk = next(disk for disk in process.world.disks if disk.id == drive)
    disk.files[shard_name(volume, shard)].seen[offset + 100] ^= 1


def test_one_lost_stripe_does_not_keep_the_others_from_repair() -> None:
    """Of a volume in which one object is beyond repair, all others are mended, and the queue counts what is lost."""
    store = Meddled(3, 1)

    async def body(process: Process, bucket: Bucket) -> None:
        for name in (b"lost", b"damaged", b"whole"):
            await put(process, bucket, name, name * (SIZE // len(name)))
        await process.volumes.close()
        extents = {name: (await process.objects.find(bucket, name)).extents[0] for name in (b"lost", b"damaged")}
        (record,) = await process.catalog.all()
        for shard, drive in enumerate(record.drives):
            flip(process, record.id, shard, drive, extents[b"lost"].offset)
        flip(process, record.id, 0, record.drives[0], extents[b"damaged"].offset)
        assert len(await process.find_faults()) == 3
        await process.queue.put(record.id, (0, 1), "a test", process.world.clock.now_ms())
        await asyncio.sleep(60)
        assert await process.repairer.step()
        assert {fault.offset for fault in await process.find_faults()} == {extents[b"lost"].offset}
        (queued,) = await process.queue.all()
        assert queued.record.lost_stripes == 1
        assert await get(process, bucket, b"damaged") == b"damaged" * (SIZE // 7)
        await process.objects.delete(bucket, b"lost")
        await process.world.settle(process)
        assert not await process.engine.scan(REPAIRS, REPAIRS + b"\xff", 10)
        assert not await process.find_faults()

    store.run(body)
