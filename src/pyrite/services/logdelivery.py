"""Owns server access logs on their way: collected from every worker, rolled into objects of the target bucket.

Records are rows of metadata until they are delivered; naming the object and removing the rows is one transaction, so
each is delivered once.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from pyrite.aws.checksums import CRC64NVME
from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.entropy import Entropy
from pyrite.core.units import MIB
from pyrite.metadata.keyspaces import LOGS, number
from pyrite.metadata.kv import Batch, Engine, Row, after_prefix
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.errors import NoSuchBucket
from pyrite.objects.ingest import Received
from pyrite.objects.objects import Given, Objects
from pyrite.objects.records import Attributes, Grant
from pyrite.objects.sealing import Sealing

ROLL_S = 300.0
OBJECT_MAX_BYTES = 100 * 1024  # a small object: one record of AWS's best effort is a few hundred bytes
_ROWS_MAX = 2000
_STEP_OBJECTS = 50
_BATCH_MAX_BYTES = MIB

_encode = msgspec.msgpack.Encoder().encode


class LogRecord(msgspec.Struct, frozen=True, array_like=True):
    """Lines of the access log of a bucket, from one worker and one second."""

    format: int
    bucket: str
    lines: tuple[str, ...]


_decode = msgspec.msgpack.Decoder(LogRecord).decode


class Destination(NamedTuple):
    """Where records go: a bucket, the key for what is delivered now, how it is sealed there, and who may read it."""

    bucket: Bucket
    key: bytes
    sealing: Sealing | None
    acl: tuple[Grant, ...] | None = None


DestinationOf = Callable[[Bucket, int, int], Awaitable["Destination | None"]]
"""Where the records of a bucket go, for those that began at a time and are delivered at another, both in ms."""


class LogBook:
    """The records of one worker that are not stored yet. AWS promises its best effort, and so is this: a crash loses
    what the last second brought.
    """

    def __init__(self, engine: Engine, clock: HybridClock, entropy: Entropy) -> None:
        self._engine = engine
        self._clock = clock
        self._entropy = entropy
        self._lines: dict[tuple[int, str], list[str]] = {}
        self._bytes = 0

    def write(self, bucket: Bucket, line: str) -> None:
        """Note a record. What is more than can be kept for a second is dropped."""
        if self._bytes < _BATCH_MAX_BYTES * 8:
            self._lines.setdefault((bucket.id, bucket.record.name), []).append(line)
            self._bytes += len(line)

    async def flush(self) -> None:
        """Store what there is."""
        lines, self._lines, self._bytes = self._lines, {}, 0
        if not lines:
            return
        batch = Batch()
        for (bucket_id, name), listed in lines.items():
            key = LOGS + number(bucket_id) + number(self._clock.next()) + self._entropy.bytes(4)
            batch.put(key, _encode(LogRecord(1, name, tuple(listed))))
        await self._engine.commit(batch)


class LogDelivery:
    """Rolls the records of all buckets into objects, once the oldest of a bucket is `roll_s` old."""

    def __init__(
        self,
        engine: Engine,
        buckets: Buckets,
        objects: Objects,
        destination_of: DestinationOf,
        now_ms: Callable[[], int],
        roll_s: float = ROLL_S,
    ) -> None:
        self._engine = engine
        self._buckets = buckets
        self._objects = objects
        self._destination_of = destination_of
        self._now_ms = now_ms
        self._roll_ms = int(roll_s * 1000)
        self.delivered = self.dropped = 0

    async def step(self) -> int:
        """Deliver what is due; how many objects were made."""
        made, start = 0, LOGS
        while made < _STEP_OBJECTS:
            first = await self._engine.scan(start, after_prefix(LOGS), 1)
            if not first:
                break
            prefix = first[0].key[:9]
            begun_ms = stamp_ms(int.from_bytes(first[0].key[9:17], "big"))
            if begun_ms + self._roll_ms <= self._now_ms():
                made += await self._deliver(await self._engine.scan(prefix, after_prefix(prefix), _ROWS_MAX), begun_ms)
            start = after_prefix(prefix)
        return made

    async def _deliver(self, rows: list[Row], begun_ms: int) -> int:
        taken, lines, size = list[Row](), list[str](), 0
        for row in rows:
            record = _decode(row.value)
            length = sum(len(line.encode()) + 1 for line in record.lines)
            if taken and size + length > OBJECT_MAX_BYTES:
                break
            taken.append(row)
            lines += record.lines
            size += length
        destination = await self._destination(_decode(rows[0].value).bucket, rows[0].key, begun_ms)
        if destination is None:
            batch = Batch()
            for row in taken:
                batch.delete(row.key)
            await self._engine.commit(batch)
            self.dropped += len(lines)
            return 0
        await self._put(destination, "\n".join(lines).encode() + b"\n", taken)
        self.delivered += len(lines)
        return 1

    async def _destination(self, name: str, key: bytes, begun_ms: int) -> Destination | None:
        """Where a bucket's records go; None where they go nowhere any more."""
        try:
            bucket = await self._buckets.find(name)
        except NoSuchBucket:
            return None
        if number(bucket.id) != key[1:9]:
            return None
        return await self._destination_of(bucket, begun_ms, self._now_ms())

    async def _put(self, destination: Destination, body: bytes, rows: list[Row]) -> None:
        digests = {
            "MD5": hashlib.md5(body, usedforsecurity=False).digest(),
            CRC64NVME.name: _crc(body),
        }
        given = Given(
            Attributes("text/plain"),
            destination.bucket.record.owner,
            CRC64NVME.name,
            sealing=destination.sealing,
            acl=destination.acl,
        )

        def forget(batch: Batch) -> None:
            for row in rows:
                batch.expect(row.key, row.version)
                batch.delete(row.key)

        await self._objects.put_small(destination.bucket, destination.key, Received(body, digests), given, forget)


def _crc(body: bytes) -> bytes:
    hasher = CRC64NVME.make()
    hasher.update(body)
    return hasher.digest()


def log_key(prefix: str, now_ms: int, unique: str, partition: str = "") -> bytes:
    """The key of a log object: the prefix, the partition if there is one, the time, and what makes it unique."""
    moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(now_ms // 1000))
    return f"{prefix}{partition}{moment}-{unique}".encode()
