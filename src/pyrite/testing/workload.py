"""Owns simulated clients: they put, get, copy, delete and list objects at once, and write down what they saw."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from pyrite.aws.checksums import CRC64NVME
from pyrite.core.errors import Corrupt, Unavailable
from pyrite.core.units import KIB
from pyrite.metadata.kv import after_prefix
from pyrite.objects import keys
from pyrite.objects.annotating import Annotated, Payload
from pyrite.objects.appending import Addition
from pyrite.objects.assembling import CompletePart
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ALWAYS, WriteConditions
from pyrite.objects.errors import NoSuchKey, ObjectsError, PreconditionFailed, WrongOffset
from pyrite.objects.events import SILENT
from pyrite.objects.ingest import Hasher
from pyrite.objects.objects import Copied, Given, Put
from pyrite.objects.records import Attributes, Lock, ObjectRecord, decode_object
from pyrite.objects.standing import Found
from pyrite.objects.uploads import Completion
from pyrite.objects.versionids import NULL
from pyrite.testing.linearizability import ANY, KEEP, SOMETHING, Operation
from pyrite.testing.tiers import SHELVED
from pyrite.testing.world import Process

SIZES = (0, 1, 100, 700, 3000, 5000, 20_000)
LARGE_SIZES = (128 * KIB + 1, 200_000, 256 * KIB + 1)
CANCELLED = 0.05
APPENDED_MAX_BYTES = 400_000
HOLDS = 0.2
LABELS = (b"label", b"caption", b"score")


class Body:
    """A body that arrives in pieces, or is here as a `whole`; of unknown length where it is not `measured`."""

    def __init__(self, data: bytes, whole: bool, measured: bool = True) -> None:
        self.length: int | None = len(data) if measured else None
        self._data = memoryview(data)
        self._whole = whole

    def take_all(self) -> memoryview | None:
        if not self._whole:
            return None
        data, self._data = self._data, self._data[:0]
        return data

    async def read_into(self, target: memoryview) -> int:
        await asyncio.sleep(0)
        count = min(len(target), len(self._data))
        target[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


def _hashers() -> dict[str, Hasher]:
    return {"MD5": hashlib.md5(usedforsecurity=False), CRC64NVME.name: CRC64NVME.make()}


def _held(record: ObjectRecord) -> ObjectRecord:
    return msgspec.structs.replace(record, lock=Lock(hold="ON"))


def _accept(digests: Any, size_bytes: int) -> None:
    """Clients here say nothing of what they send."""


class Histories:
    """What was done to each key, and every value that was ever written, by its digest."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, list[Operation]] = {}
        self.sizes: dict[str, int] = {}
        self.held: set[tuple[bytes, int]] = set()
        self.acknowledged = 0
        self.refused = 0

    @classmethod
    def after(cls, earlier: "Histories") -> "Histories":
        """Empty histories that know the values of earlier ones."""
        made = cls()
        made.sizes, made.held = earlier.sizes, earlier.held
        return made

    def add(self, key: bytes, operation: Operation) -> None:
        """Note an operation of which the outcome is known or not."""
        self.by_key.setdefault(key, []).append(operation)


class Client:
    """One client of a process."""

    def __init__(self, process: Process, bucket: Bucket, keys: list[bytes], histories: Histories, large: float) -> None:
        self._process = process
        self._bucket = bucket
        self._keys = keys
        self._histories = histories
        self._rng: random.Random = process.world.rng
        self._now: Callable[[], float] = process.world.clock.monotonic_s
        self._large = large

    async def work(self, count: int) -> None:
        """`count` operations, one after the other."""
        todo = [self.put] * 4 + [self.get, self.get, self.delete, self.create, self.copy, self.multipart]
        todo += [self.append, self.append, self.annotate, self.shelve]
        if self._bucket.record.versioning:
            todo.append(self.forget)
        if self._bucket.record.versioning == "Enabled":
            todo.append(self.hold)
        for _ in range(count):
            key = self._rng.choice(self._keys)
            await self._rng.choice(todo)(key)
            await asyncio.sleep(self._rng.expovariate(50))

    def _body(self) -> bytes:
        size = self._rng.choice(LARGE_SIZES if self._rng.random() < self._large else SIZES)
        return self._rng.randbytes(8) * (size // 8) + self._rng.randbytes(size % 8)

    def _source_of(self, data: bytes) -> Body:
        """A body, whose length is not always known, and which is not always here as a whole."""
        return Body(data, self._rng.random() < 0.7, self._rng.random() < 0.7)

    async def _perhaps_cancelled(self, act: Coroutine[Any, Any, object]) -> None:
        """Do it, or begin it and cancel it at some moment. Raises CancelledError where it was."""
        if self._rng.random() >= CANCELLED:
            await act
            return
        doing = asyncio.ensure_future(act)
        await asyncio.wait([doing], timeout=self._rng.expovariate(300))
        doing.cancel()
        await doing

    def _value(self, body: bytes) -> str:
        value = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self._histories.sizes[value] = len(body)
        return value

    async def _write(self, key: bytes, conditions: WriteConditions, found: str | None) -> None:
        body = self._body()
        value, called_s = self._value(body), self._now()
        given = Given(Attributes(), "owner", CRC64NVME.name, conditions)
        source = self._source_of(body)
        put = self._process.objects.put(self._bucket, key, source, Put(given, _hashers(), _accept))
        try:
            await self._change(key, Operation(found, value, called_s), put)
        except PreconditionFailed:
            self._histories.add(key, Operation(SOMETHING, KEEP, called_s, self._now()))

    async def _change(self, key: bytes, operation: Operation, act: Coroutine[Any, Any, object]) -> None:
        """Do and note it. What is under way when the process crashes, or is refused, may have taken effect.

        Raises NoSuchKey, PreconditionFailed and WrongOffset, which mean that nothing was done.
        """
        self._histories.add(key, operation)
        try:
            await self._perhaps_cancelled(act)
        except (NoSuchKey, PreconditionFailed, WrongOffset):
            self._histories.by_key[key].remove(operation)
            raise
        except (Unavailable, ObjectsError, asyncio.CancelledError):
            self._histories.refused += 1
        else:
            self._histories.acknowledged += 1
            self._histories.by_key[key].remove(operation)
            self._histories.add(key, operation._replace(returned_s=self._now()))

    async def put(self, key: bytes) -> None:
        """Put an object."""
        await self._write(key, WriteConditions(), ANY)

    async def create(self, key: bytes) -> None:
        """Put an object where there is none."""
        await self._write(key, WriteConditions(if_none_match="*"), None)

    async def get(self, key: bytes) -> str | None:
        """Read an object whole; its value."""
        called_s = self._now()
        try:
            record = await self._process.objects.find(self._bucket, key)
            data = await self._read(record)
        except NoSuchKey:
            self._histories.add(key, Operation(None, KEEP, called_s, self._now()))
            return None
        except Unavailable:
            return None
        if data is None:
            return None
        value = hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert self._histories.sizes.get(value) == record.size_bytes, f"{key!r} read as bytes that nobody has written"
        self._histories.add(key, Operation(value, KEEP, called_s, self._now()))
        return value

    async def _read(self, record: ObjectRecord) -> bytes | None:
        """The bytes of an object; None where too many drives have failed in this process, which have lost nothing."""
        blocks = self._process.reading.stream(record, 0, record.size_bytes)
        try:
            return b"".join([bytes(view) async for block in blocks for view in block])
        except Corrupt:
            if all(drive.readable for drive in self._process.drives.values()):
                raise
            return None

    async def _source(self, key: bytes) -> tuple[Found, bytes] | None:
        """The object of `key` and its bytes, for what is made of them; None where it cannot be had."""
        try:
            found = await self._process.naming.current(self._bucket, key)
            data = await self._read(found.record) if found is not None else None
        except Unavailable:
            return None
        return (found, data) if found is not None and data is not None else None

    async def delete(self, key: bytes) -> None:
        """Delete an object."""
        operation = Operation(ANY, None, self._now())
        await self._change(key, operation, self._process.objects.delete(self._bucket, key))

    async def copy(self, key: bytes) -> None:
        """Copy another object here, sharing its bytes. What the source held is judged by what arrives."""
        source_key = self._rng.choice(self._keys)
        source = await self._source(source_key)
        if source is None or source_key == key:
            return
        operation = Operation(ANY, self._value(source[1]), self._now())
        with contextlib.suppress(NoSuchKey):  # the source changed meanwhile: nothing was done
            await self._change(key, operation, self._copy(source_key, source[0], key))

    async def _copy(self, source_key: bytes, source: Found, key: bytes) -> None:
        copied = Copied(source.record.attributes, "owner", annotated=True)
        await self._process.objects.copy(self._bucket, source_key, source, self._bucket, key, copied)

    async def append(self, key: bytes) -> None:
        """Read an object and append to it, unless it has changed since."""
        source, more = await self._source(key), self._body()
        if source is None or not more or len(source[1]) > APPENDED_MAX_BYTES:
            return
        found, data = source
        old, new = self._value(data), self._value(data + more)
        addition = Addition(len(data), _hashers(), _accept, CRC64NVME.name)
        appending = self._process.appending.append(self._bucket, key, found.record, self._source_of(more), addition)
        with contextlib.suppress(WrongOffset):
            await self._change(key, Operation(old, new, self._now()), appending)

    async def annotate(self, key: bytes) -> None:
        """Read what annotations an object has, of which the names tell the payloads; then put one or remove one."""
        annotating = self._process.annotating
        try:
            found = await self._process.naming.current(self._bucket, key)
            if found is None:
                return
            for held in await annotating.list(found.record, b"", b"", 10):
                data = await annotating.read(held.record, None)
                assert data == held.name * (held.record.size_bytes // len(held.name)), (
                    f"an annotation of {key!r} is torn"
                )
            label = self._rng.choice(LABELS)
            annotated = Annotated(key, None, label)
            if self._rng.random() < 0.3:
                await self._perhaps_cancelled(annotating.delete(self._bucket, annotated))
            else:
                data = label * self._rng.choice((1, 300, 5000))
                payload = Payload(self._source_of(data), _hashers(), _accept, CRC64NVME.name)
                await self._perhaps_cancelled(annotating.put(self._bucket, annotated, found.record, payload, None))
        except (Unavailable, ObjectsError, asyncio.CancelledError):
            self._histories.refused += 1
        except Corrupt:
            await self._forgive(key, found)

    async def _forgive(self, key: bytes, found: Found | None) -> None:
        """What cannot be read is lost, unless drives have failed in this process or it was replaced meanwhile."""
        if not all(drive.readable for drive in self._process.drives.values()):
            return
        now = await self._process.naming.current(self._bucket, key)
        assert now != found, f"an annotation of {key!r} cannot be read"

    async def shelve(self, key: bytes) -> None:
        """Move an object's bytes to the tier or back, as lifecycle does: what the key holds stays as it is."""
        wanted = self._rng.choice((SHELVED, SHELVED, "STANDARD"))
        try:
            found = await self._process.naming.current(self._bucket, key)
            if found is None:
                return
            record = found.record
            stamp = None
            if self._bucket.record.versioning:
                stamp = record.version if record.versioned else NULL
            move = self._process.mover.move(self._bucket, key, stamp, record, wanted, SILENT, found.version)
            await self._perhaps_cancelled(move)
        except (Unavailable, ObjectsError, asyncio.CancelledError):
            self._histories.refused += 1
        except Corrupt:
            await self._forgive(key, found)

    async def forget(self, key: bytes) -> None:
        """Remove a version behind the current one: what the key holds stays as it is."""
        prefix = keys.versions_of(self._bucket.id, key)
        rows = await self._process.engine.scan(prefix, after_prefix(prefix), 8)
        old = [(record, row.version) for row in rows[1:] if not (record := decode_object(row.value)).marker]
        if not old:
            return
        record, only = self._rng.choice(old)
        stamp = record.version if record.versioned else NULL
        try:
            removed = await self._process.naming.delete_version(self._bucket, key, stamp, ALWAYS, only=only)
            held = removed.existed and record.lock is not None
            assert not held, f"a version of {key!r} was removed although it is held"
        except (Unavailable, ObjectsError):
            self._histories.refused += 1

    async def hold(self, key: bytes) -> None:
        """Put a legal hold on the current version, now and then: it is there until the end."""
        if self._rng.random() > HOLDS:
            return
        try:
            found = await self._process.naming.current(self._bucket, key)
            if found is None or not found.record.versioned:
                return
            version = found.record.version
            await self._process.naming.amend(self._bucket, key, version, _held)
            self._histories.held.add((key, version))
        except (Unavailable, ObjectsError):
            self._histories.refused += 1

    async def multipart(self, key: bytes) -> None:
        """Upload in one or two parts, and complete, abort or forget it."""
        uploads, bucket = self._process.uploads, self._bucket
        fate = self._rng.random()
        try:
            upload_id = await uploads.create(bucket, key, Attributes(), "owner", "", "")
            upload = await uploads.find(bucket, key, upload_id)
            body = self._body() or b"x"
            part = await uploads.put_part(bucket, upload, 1, self._source_of(body), _hashers(), _accept, CRC64NVME.name)
            if fate < 0.2:
                await uploads.abort(bucket, key, upload_id)
        except (Unavailable, ObjectsError):
            return
        if fate < 0.3:
            return
        completion = Completion([CompletePart(1, part.etag, {})])
        operation = Operation(ANY, self._value(body), self._now())
        await self._change(key, operation, uploads.complete(bucket, key, upload_id, completion))
