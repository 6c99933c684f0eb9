"""Every single call that writes may fail: with no space, or with an I/O error. Nothing is lost, and work goes on.

The loop ends when the operation has run without reaching the call that was to fail, so every call has failed once.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pyrite.blobs.drive import DriveError, DriveFull
from pyrite.blobs.volume import shard_name
from pyrite.core.errors import OutOfSpace, Unavailable
from pyrite.metadata.keyspaces import GARBAGE, OBJECTS, PAGES, PARTS, REPAIRS, UPLOADS, VOLUMES
from pyrite.metadata.kv import Batch, after_prefix
from pyrite.objects.assembling import CompletePart
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import NoSuchKey, NoSuchUpload, ObjectsError
from pyrite.objects.records import Attributes
from pyrite.objects.uploads import Completion
from pyrite.testing.clearing import clear
from pyrite.testing.disks import SimDrive
from pyrite.testing.machine import SimEngine
from pyrite.testing.workload import Body
from pyrite.testing.world import Process, World
from tests.objects.meddling import get, make_hashers, put

OLD, NEW = b"o" * 3000, b"n" * 3000
LARGE = b"l" * 300_000
_WRITING = ("create", "write", "sync", "commit")

Operation = Callable[[Process, Bucket], Awaitable[None]]


class Failing:
    """Counts calls that write once it is armed, and has the `at`-th fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        self.kind = kind
        self.at = self.count = 0
        self.fired = False
        enter, commit = SimDrive._enter, SimEngine.commit

        def failing_enter(drive: SimDrive, verb: str, name: str) -> None:
            enter(drive, verb, name)
            if self._now(verb):
                if kind == "EIO":
                    drive.fence("a test")
                    raise DriveError("input/output error")
                raise DriveFull("no space left")

        async def failing_commit(engine: SimEngine, batch: Batch) -> None:
            if self._now("commit"):
                raise Unavailable("input/output error") if kind == "EIO" else OutOfSpace("no space left")
            await commit(engine, batch)

        monkeypatch.setattr(SimDrive, "_enter", failing_enter)
        monkeypatch.setattr(SimEngine, "commit", failing_commit)

    def _now(self, verb: str) -> bool:
        if not self.at or verb not in _WRITING or (self.kind == "ENOSPC" and verb == "sync"):
            return False
        self.count += 1
        self.fired |= self.count == self.at
        return self.count == self.at

    def arm(self, at: int) -> None:
        self.at, self.count, self.fired = at, 0, False


async def put_small(process: Process, bucket: Bucket) -> None:
    await put(process, bucket, b"k", NEW)


async def put_large(process: Process, bucket: Bucket) -> None:
    await put(process, bucket, b"k", LARGE)


async def delete(process: Process, bucket: Bucket) -> None:
    await process.objects.delete(bucket, b"k")


async def upload(process: Process, bucket: Bucket) -> None:
    uploads = process.uploads
    upload_id = await uploads.create(bucket, b"k", Attributes(), "owner", "", "")
    found = await uploads.find(bucket, b"k", upload_id)
    part = await uploads.put_part(
        bucket, found, 1, Body(LARGE, False), make_hashers(), lambda digests, size: None, "CRC64NVME"
    )
    await uploads.complete(bucket, b"k", upload_id, Completion([CompletePart(1, part.etag, {})]))


async def repair(process: Process, bucket: Bucket) -> None:
    """Damage every fragment on one disk, which is the one whose calls fail, and have them repaired."""
    records = await process.catalog.all()
    disk = next(disk for disk in process.world.disks if disk.id == records[0].drives[0])
    for record in records:
        if disk.id in record.drives:
            shard = record.drives.index(disk.id)
            seen = disk.files[shard_name(record.id, shard)].seen
            seen[:] = bytes(len(seen))
            await process.queue.put(record.id, (shard,), "a test", process.world.clock.now_ms())
    await asyncio.sleep(60)
    while await process.repairer.step():
        await asyncio.sleep(60)


async def compact(process: Process, bucket: Bucket) -> None:
    for _ in range(4):
        await process.compactor.step()
        await process.reaper.step()
        await asyncio.sleep(60)


OUTCOMES: dict[str, tuple[Operation, bytes | None]] = {
    "put small": (put_small, NEW),
    "put large": (put_large, LARGE),
    "delete": (delete, None),
    "upload": (upload, LARGE),
    "repair": (repair, OLD),
    "compact": (compact, OLD),
}


async def value(process: Process, bucket: Bucket, key: bytes) -> bytes | None:
    try:
        return await get(process, bucket, key)
    except NoSuchKey:
        return None


async def prepare(process: Process) -> Bucket:
    await process.buckets.create("bucket", "owner", "")
    bucket = await process.buckets.find("bucket")
    await put(process, bucket, b"k", OLD)
    for number in range(20):
        await put(process, bucket, b"kept%d" % number, b"%d" % number * 400)
    await put(process, bucket, b"large", LARGE)
    for number in range(20):
        if number % 6:
            await process.objects.delete(bucket, b"kept%d" % number)
    await process.volumes.close()
    await asyncio.sleep(60)
    return bucket


async def check_all(process: Process, bucket: Bucket, allowed: list[bytes | None]) -> None:
    """What was there is there, work goes on, and nothing is left once all is deleted."""
    assert await value(process, bucket, b"k") in allowed
    for number in range(0, 20, 6):
        assert await value(process, bucket, b"kept%d" % number) == b"%d" % number * 400
    assert await value(process, bucket, b"large") == LARGE
    for key, data in ((b"after", NEW), (b"after large", LARGE)):
        await put(process, bucket, key, data)
        assert await value(process, bucket, key) == data
    assert await value(process, bucket, b"k") in allowed
    usage = await process.buckets.usage(bucket.id)
    prefix = OBJECTS + bucket.id.to_bytes(8, "big")
    assert usage.objects == len(await process.engine.scan(prefix, after_prefix(prefix), 100))


async def leave_nothing(process: Process) -> None:
    bucket = await process.buckets.find("bucket")
    await process.world.settle(process)
    assert not await process.find_faults()
    await clear(process, bucket)
    await process.volumes.close()
    await process.world.settle(process)
    for space in (OBJECTS, PARTS, PAGES, UPLOADS, GARBAGE, REPAIRS, VOLUMES):
        assert not await process.engine.scan(space, after_prefix(space), 1)
    assert not [name for disk in process.world.disks for name in disk.files]


STORES = (("ENOSPC", 1, 0), ("ENOSPC", 4, 2), ("EIO", 3, 1), ("EIO", 6, 2))
CASES = [(name, *store) for name in OUTCOMES for store in STORES if name != "repair" or store[2]]


@pytest.mark.parametrize(("name", "kind", "drives", "parity"), CASES)
def test_each_call_fails_once(name: str, kind: str, drives: int, parity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever call fails, the operation succeeds or is a clear error; then everything works without a restart."""
    operation, wanted = OUTCOMES[name]
    failing = Failing(monkeypatch, kind)

    async def life(process: Process) -> None:
        bucket = await prepare(process)
        failing.arm(process.world.seed)
        try:
            await operation(process, bucket)
        except (Unavailable, OutOfSpace, ObjectsError) as error:
            assert not isinstance(error, NoSuchKey | NoSuchUpload)
            allowed = [OLD, wanted]
        else:
            allowed = [wanted]
        failing.at = 0
        await check_all(process, bucket, allowed)

    failing.fired = True
    at = 0
    while failing.fired:
        at += 1
        world = World(at, drives, parity)  # the seed is the call that fails
        world.live(life)
        world.live(leave_nothing)  # after a restart, which opens drives that were fenced
        assert world.crashes == 0
    assert at > 1
