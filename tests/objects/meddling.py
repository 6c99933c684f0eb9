"""An object layer in which somebody else acts between what an operation has read and what it commits."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from pyrite.aws.checksums import CRC64NVME
from pyrite.metadata.keyspaces import OBJECTS, PAGES, PARTS
from pyrite.metadata.kv import Batch
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects.appending import Addition
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ALWAYS, WriteConditions
from pyrite.objects.objects import Given, Put
from pyrite.objects.records import Attributes, ObjectRecord
from pyrite.testing.workload import Body
from pyrite.testing.world import Process, World

Meddle = Callable[[], Awaitable[Any]]


class MeddledEngine(MemoryEngine):
    """Calls `before_commit`, once, before it commits the next change of an object, a page or a part."""

    def __init__(self) -> None:
        super().__init__()
        self.before_commit: Meddle | None = None

    async def commit(self, batch: Batch) -> None:
        meddle = self.before_commit
        if meddle is not None and any(key[:1] in (OBJECTS, PAGES, PARTS) for key in batch.writes):
            self.before_commit = None
            await meddle()
        await super().commit(batch)


class Meddled:
    """A store on simulated disks without faults; `run` gives a process and a bucket."""

    def __init__(self, drives: int = 1, parity: int | None = None) -> None:
        self.world = World(1, drives, parity)
        self.engine = MeddledEngine()
        self.world.engine = self.engine

    def run(self, body: Callable[[Process, Bucket], Awaitable[None]]) -> None:
        async def main(process: Process) -> None:
            await process.buckets.create("bucket", "owner", "")
            await body(process, await process.buckets.find("bucket"))

        self.world.live(main)

    def meddle(self, action: Meddle) -> None:
        """Do it before the next commit that names an object or a part."""
        self.engine.before_commit = action


def make_hashers() -> Any:
    """What computes the digests of a body."""
    return {"MD5": hashlib.md5(usedforsecurity=False), CRC64NVME.name: CRC64NVME.make()}


async def put(
    process: Process, bucket: Bucket, key: bytes, data: bytes, conditions: WriteConditions = ALWAYS
) -> ObjectRecord:
    """Put an object."""
    given = Given(Attributes(), "owner", CRC64NVME.name, conditions)
    taken = Put(given, make_hashers(), lambda digests, size: None)
    return await process.objects.put(bucket, key, Body(data, True), taken)


async def append(process: Process, bucket: Bucket, key: bytes, data: bytes) -> ObjectRecord:
    """Append to an object as it is now."""
    found = await process.objects.find(bucket, key)
    addition = Addition(found.size_bytes, make_hashers(), lambda digests, size: None, CRC64NVME.name)
    return await process.appending.append(bucket, key, found, Body(data, True), addition)


async def get(process: Process, bucket: Bucket, key: bytes) -> bytes:
    """Read an object whole."""
    record = await process.objects.find(bucket, key)
    return await read(process, record)


async def read(process: Process, record: ObjectRecord) -> bytes:
    """Read what a record names."""
    blocks = process.reading.stream(record, 0, record.size_bytes)
    return b"".join([bytes(view) async for block in blocks for view in block])


async def settle(process: Process) -> None:
    """Let everything that is under way end, and be old enough to be freed."""
    await asyncio.sleep(60)
