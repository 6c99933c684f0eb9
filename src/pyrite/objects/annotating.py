"""Owns annotations: named payloads beside the bytes of a version, which come and go without changing it.

An annotation is a blob of its own, sealed with a key that is derived from the object's. How many a version has, and how
many bytes, stands in its record, which every change of them rewrites: so they are counted exactly.
Source: AWS, "Annotating your objects" in the Amazon S3 User Guide.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import msgspec

from pyrite.aws import checksums
from pyrite.blobs.store import BlobStore
from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.entropy import Entropy
from pyrite.metadata.kv import ABSENT, Batch, CeilingExceeded, Conflict, Engine, after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import QUOTA, Bucket
from pyrite.objects.conditions import ALWAYS, WriteConditions
from pyrite.objects.errors import (
    ConditionalConflict,
    NoSuchAnnotation,
    QuotaExceeded,
    TooManyAnnotations,
)
from pyrite.objects.events import SILENT, Cause
from pyrite.objects.finding import ANNOTATIONS_MAX
from pyrite.objects.ingest import Check, Hasher, Source, Stored, WholeSource, accept, ingest
from pyrite.objects.locking import check_removal
from pyrite.objects.naming import Naming
from pyrite.objects.objects import Rewritten, freed_unless_named
from pyrite.objects.reading import Reading
from pyrite.objects.records import (
    FORMAT,
    Annotations,
    Checksum,
    GarbageRecord,
    ObjectRecord,
    PartRecord,
    decode_part,
    encode,
)
from pyrite.objects.sealing import SALT_BYTES, Cipher, Sealing, etag_of, part_key
from pyrite.objects.standing import Found, Standing
from pyrite.objects.underway import UnderWay

ANNOTATION_MAX_BYTES = 1 << 20
NAME_MAX_BYTES = 512
_ATTEMPTS = 64


class Annotation(NamedTuple):
    """An annotation by its name."""

    name: bytes
    record: PartRecord


class Annotated(NamedTuple):
    """Which annotation of which version a change is about, who caused it, and under which conditions on the version.

    `bypass` lifts a retention in governance mode, as it is for deleting the version.
    """

    key: bytes
    version: int | None
    name: bytes
    conditions: WriteConditions = ALWAYS
    bypass: bool = False
    cause: Cause = SILENT


class Payload(NamedTuple):
    """The bytes of an annotation on their way in. `checksum` names the one that is stored."""

    source: Source
    hashers: dict[str, Hasher]
    check: Check
    checksum: str


class Annotating:
    """The annotations of all versions of all objects."""

    def __init__(
        self,
        engine: Engine,
        naming: Naming,
        blobs: BlobStore,
        reading: Reading,
        clock: HybridClock,
        entropy: Entropy,
        under_way: UnderWay,
    ) -> None:
        self._engine = engine
        self._naming = naming
        self._blobs = blobs
        self._reading = reading
        self._clock = clock
        self._entropy = entropy
        self._under_way = under_way

    # ---- reading

    async def find(self, record: ObjectRecord, name: bytes) -> PartRecord:
        """An annotation of a version. Raises NoSuchAnnotation."""
        entry = None
        if record.annotations is not None:
            entry = await self._engine.get(keys.annotation(record.annotations.id, name))
        if entry is None:
            raise NoSuchAnnotation(name.decode("utf-8", "replace"))
        return decode_part(entry.value)

    async def list(self, record: ObjectRecord, prefix: bytes, after: bytes, limit: int) -> "list[Annotation]":
        """At most `limit` annotations of a version whose names begin with `prefix` and follow `after`, by name."""
        if record.annotations is None or not limit:
            return []
        whole = keys.annotations(record.annotations.id)
        start = max(whole + prefix, whole + after + b"\0" if after else b"")
        rows = await self._engine.scan(start, after_prefix(whole + prefix), limit)
        return [Annotation(row.key[len(whole) :], decode_part(row.value)) for row in rows]

    async def read(self, part: PartRecord, key: bytes | None) -> bytes:
        """The payload of an annotation; `key` is that of its object. Raises Corrupt."""
        token = self._under_way.enter()
        try:
            own = part_key(key, part.salt) if key is not None else None
            blocks = self._reading.blob(part.extents, part.size_bytes, 0, part.size_bytes, own)
            return b"".join([bytes(view) async for block in blocks for view in block])
        finally:
            self._under_way.leave(token)

    # ---- changing

    async def put(
        self, bucket: Bucket, annotated: Annotated, record: ObjectRecord, payload: Payload, key: bytes | None
    ) -> tuple[ObjectRecord, PartRecord]:
        """Store an annotation of the version that `record` is; one of the same name is replaced. `key` is the object's.

        Raises TooManyAnnotations, Locked where one that is retained would be replaced, PreconditionFailed, NoSuchKey,
        ConditionalConflict where another object has taken its place, and what `payload.check` raises.
        """
        token = self._under_way.enter()
        try:
            salt, cipher = self._own_key(key)
            stored = await ingest(self._blobs, payload.source, payload.hashers, payload.check, cipher)
            sealing = Sealing(record.encryption, key) if record.encryption is not None and key is not None else None
            part = self._part(stored, payload.checksum, salt, sealing)

            def change(found: ObjectRecord, old: PartRecord | None) -> Annotations:
                if found.version != record.version:
                    raise ConditionalConflict("the object was replaced at the same time")
                held = found.annotations or Annotations(self._entropy.bytes(keys.ANNOTATIONS_ID_BYTES), 0, 0)
                if old is None and held.count >= ANNOTATIONS_MAX:
                    raise TooManyAnnotations(str(ANNOTATIONS_MAX))
                size = held.size_bytes + part.size_bytes - (old.size_bytes if old is not None else 0)
                return Annotations(held.id, held.count + (old is None), size)

            async with freed_unless_named(self._blobs, stored.extents):
                return await self._change(bucket, annotated, part, change), part
        finally:
            self._under_way.leave(token)

    async def delete(self, bucket: Bucket, annotated: Annotated) -> ObjectRecord:
        """Remove an annotation; that there is none is no error. The version's record.

        Raises Locked, PreconditionFailed, NoSuchKey, NoSuchVersion.
        """

        def change(found: ObjectRecord, old: PartRecord | None) -> Annotations | None:
            held = found.annotations
            if old is None or held is None or held.count == 1:
                return None if old is not None else held
            return Annotations(held.id, held.count - 1, held.size_bytes - old.size_bytes)

        return await self._change(bucket, annotated, None, change)

    async def _change(
        self,
        bucket: Bucket,
        annotated: Annotated,
        part: PartRecord | None,
        change: Callable[[ObjectRecord, PartRecord | None], Annotations | None],
    ) -> ObjectRecord:
        """Put `part` in place of the annotation, or nothing."""
        for _ in range(_ATTEMPTS):
            found = await self._naming.find(bucket, annotated.key, annotated.version)
            record = found.record
            annotated.conditions.check_found(record)
            entry = None
            if record.annotations is not None:
                entry = await self._engine.get(keys.annotation(record.annotations.id, annotated.name))
            old = decode_part(entry.value) if entry is not None else None
            if old is not None:
                check_removal(record, stamp_ms(self._clock.next()), annotated.bypass)
            changed = msgspec.structs.replace(record, annotations=change(record, old))
            if part is None and old is None:
                return record
            batch = self._batch(bucket, annotated, found, changed)
            held = record.annotations or changed.annotations
            assert held is not None
            name = keys.annotation(held.id, annotated.name)
            batch.expect(name, entry.version if entry is not None else ABSENT)
            if part is not None:
                batch.put(name, encode(part))
            else:
                batch.delete(name)
            if old is not None and old.extents:
                self._naming.discard(batch, GarbageRecord(FORMAT, extents=old.extents))
            try:
                await self._engine.commit(batch)
                return changed
            except CeilingExceeded as error:
                raise QuotaExceeded(error.most) from None
            except Conflict:
                bucket = await self._naming.again(bucket)
        raise ConditionalConflict(annotated.key.decode("utf-8", "replace"))

    def _batch(self, bucket: Bucket, annotated: Annotated, found: Found, changed: ObjectRecord) -> Batch:
        """A batch that changes the version's record and what is counted of its bucket, and tells of it."""
        batch = Batch()
        batch.expect(keys.bucket(bucket.record.name), bucket.version)
        batch.expect(found.name, found.version)
        batch.put(found.name, encode(changed))
        growth = changed.weight_bytes - found.record.weight_bytes
        quota = bucket.record.configurations.get(QUOTA)
        if quota is not None and growth > 0:
            batch.limit(keys.usage_bytes(bucket.id), int(quota))
        batch.add(keys.usage_bytes(bucket.id), growth)
        self._naming.tell(batch, bucket, annotated.key, changed, annotated.cause, Standing(found))
        return batch

    # ---- copying

    @contextlib.asynccontextmanager
    async def rewritten(
        self, record: ObjectRecord, key: bytes | None, new_key: bytes | None
    ) -> AsyncIterator[Rewritten | None]:
        """The annotations of a version written anew, for a copy that is sealed otherwise. Raises Corrupt.

        Those bytes have to get names while this is open.
        """
        if record.annotations is None:
            yield None
            return
        token = self._under_way.enter()
        made: list[tuple[bytes, PartRecord]] = []
        try:
            for row in await self._naming.annotations(record):
                old = decode_part(row.value)
                salt, cipher = self._own_key(new_key)
                stored = await ingest(self._blobs, WholeSource(await self.read(old, key)), {}, accept, cipher)
                name = row.key[1 + keys.ANNOTATIONS_ID_BYTES :]
                made.append((name, msgspec.structs.replace(old, extents=stored.extents, salt=salt)))
            size = sum(part.size_bytes for _, part in made)
            held = Annotations(self._entropy.bytes(keys.ANNOTATIONS_ID_BYTES), len(made), size)
            async with freed_unless_named(self._blobs, [extent for _, part in made for extent in part.extents]):
                yield Rewritten(held, tuple(made))
        finally:
            self._under_way.leave(token)

    def _own_key(self, key: bytes | None) -> tuple[bytes, Cipher | None]:
        """The salt of a new annotation, and what seals it where its object, whose key is `key`, is sealed."""
        if key is None:
            return b"", None
        salt = self._entropy.bytes(SALT_BYTES)
        return salt, Cipher(part_key(key, salt))

    def _part(self, stored: Stored, checksum: str, salt: bytes, sealing: Sealing | None) -> PartRecord:
        return PartRecord(
            FORMAT,
            0,
            stored.size_bytes,
            etag_of(stored.digests["MD5"], sealing),
            stamp_ms(self._clock.next()),
            stored.extents,
            Checksum(checksum, checksums.encode(stored.digests[checksum])),
            salt,
        )
