"""Owns single objects: put, find, delete, copy."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pyrite.aws import checksums
from pyrite.blobs.drive import DriveError, DriveFull
from pyrite.blobs.layout import Extent
from pyrite.blobs.store import SMALL_ATTEMPTS, BlobStore
from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.entropy import Entropy
from pyrite.core.errors import OutcomeUnknown, OutOfSpace, Unavailable
from pyrite.metadata.kv import Batch, Conflict, Prior, Row
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ALWAYS, WriteConditions
from pyrite.objects.errors import ConditionalConflict, IsDeleteMarker, NoSuchKey, NoSuchVersion, ObjectsError
from pyrite.objects.events import SILENT, Cause
from pyrite.objects.ingest import Check, Hasher, Received, Source, receive, sum_up
from pyrite.objects.keys import check_key
from pyrite.objects.naming import ATTEMPTS, Extra, Naming, Removed
from pyrite.objects.reading import Reading
from pyrite.objects.records import (
    FORMAT,
    Annotations,
    Attributes,
    Checksum,
    Encryption,
    GarbageRecord,
    Grant,
    Lock,
    ObjectRecord,
    PartRecord,
    decode_part,
    encode,
)
from pyrite.objects.sealing import Cipher, Sealing, etag_of
from pyrite.objects.standing import Found, blob_id, garbage_of
from pyrite.objects.underway import UnderWay
from pyrite.objects.versionids import NULL


class Rewritten(NamedTuple):
    """Annotations of a copy whose bytes are stored already, by name."""

    held: Annotations
    parts: tuple[tuple[bytes, PartRecord], ...]


class Given(NamedTuple):
    """What a put says of an object beside its bytes. `checksum` names the one that is stored."""

    attributes: Attributes
    owner: str
    checksum: str
    conditions: WriteConditions = ALWAYS
    lock: Lock | None = None
    acl: tuple[Grant, ...] | None = None
    sealing: Sealing | None = None
    cause: Cause = SILENT
    annotations: Rewritten | None = None


class Put(NamedTuple):
    """What a put needs beside the body: what to sum up over it, and what compares the sums."""

    given: Given
    hashers: Mapping[str, Hasher]
    check: Check


class Summed(NamedTuple):
    """The ETag and the checksum of all bytes of an object, however many parts they stand in."""

    etag: str
    checksum: Checksum | None


class Copied(NamedTuple):
    """What a copy says of itself; the bytes, their ETag and checksum are the source's.

    Where those are sealed, so is the copy: with the same key, which `encryption` tells. `annotated`: it has the
    source's annotations too. `summed` is what was summed up over the whole source, whose parts the copy does not show.
    """

    attributes: Attributes
    owner: str
    conditions: WriteConditions = ALWAYS
    lock: Lock | None = None
    acl: tuple[Grant, ...] | None = None
    encryption: Encryption | None = None
    cause: Cause = SILENT
    annotated: bool = False
    summed: Summed | None = None


class SourceChanged(NoSuchKey):
    """The source of a copy was replaced or deleted while it was copied."""


class StreamSource:
    """The bytes of a stored object as the body of another."""

    def __init__(self, reading: Reading, record: ObjectRecord, start: int, stop: int, key: bytes | None = None) -> None:
        self.length: int | None = stop - start
        self._blocks = reading.stream(record, start, stop, key)
        self._views: list[memoryview] = []

    def take_all(self) -> None:
        """The bytes are not here yet."""
        return

    async def read_into(self, target: memoryview) -> int:
        filled = 0
        while filled < len(target):
            if not self._views:
                block = await anext(self._blocks, None)
                if block is None:
                    break
                self._views = list(block)
                continue
            view = self._views[0][: len(target) - filled]
            target[filled : filled + len(view)] = view
            filled += len(view)
            if len(view) == len(self._views[0]):
                self._views.pop(0)
            else:
                self._views[0] = self._views[0][len(view) :]
        return filled

    async def close(self) -> None:
        """Let go of the source."""
        await self._blocks.aclose()  # type: ignore[attr-defined]


def naming_annotations(annotations: Rewritten | None) -> Extra | None:
    """What names the annotations of a copy in the same transaction as the copy."""
    if annotations is None:
        return None

    def put_all(batch: Batch) -> None:
        for name, part in annotations.parts:
            batch.put(keys.annotation(annotations.held.id, name), encode(part))

    return put_all


def _share_annotation(batch: Batch, row: Row, held: Annotations) -> None:
    """Name an annotation that stands in `row` once more, as one of `held`."""
    part = decode_part(row.value)
    batch.expect(row.key, row.version)
    batch.put(keys.annotation(held.id, row.key[1 + keys.ANNOTATIONS_ID_BYTES :]), row.value)
    if part.extents:
        batch.add(keys.references(blob_id(GarbageRecord(FORMAT, extents=part.extents))), 1)


@contextlib.asynccontextmanager
async def freed_unless_named(blobs: BlobStore, extents: Sequence[Extent]) -> AsyncIterator[None]:
    """Free a new blob at once when naming it was refused for certain.

    Where the outcome is not known nothing is freed: the name may stand.
    """
    try:
        yield
    except (ObjectsError, OutOfSpace):
        with contextlib.suppress(Unavailable):
            await blobs.free(extents)
        raise


class Objects:
    """Objects of all buckets, one at a time."""

    def __init__(
        self, naming: Naming, blobs: BlobStore, clock: HybridClock, entropy: Entropy, under_way: UnderWay
    ) -> None:
        self._naming = naming
        self._blobs = blobs
        self._clock = clock
        self._entropy = entropy
        self._under_way = under_way

    async def find(self, bucket: Bucket, key: bytes, version: int | None = None) -> ObjectRecord:
        """The current version of `key`, or the one of that stamp. Raises as `Naming.find`."""
        return (await self._naming.find(bucket, key, version)).record

    async def put(self, bucket: Bucket, key: bytes, source: Source, put: Put) -> ObjectRecord:
        """Store `source` as the object of `key`. Raises what `put.check` and the conditions raise."""
        check_key(key)
        token = self._under_way.enter()
        try:
            sealing = put.given.sealing
            cipher = Cipher(sealing.key) if sealing is not None else None
            taken = await receive(self._blobs, source, put.hashers, put.check, cipher)
            if isinstance(taken, Received):
                extra = naming_annotations(put.given.annotations)
                return await self._put_small(bucket, key, taken, put.given, extra)
            record = self._record(taken.extents, taken.size_bytes, taken.digests, put.given)
            given, extra = put.given, naming_annotations(put.given.annotations)
            async with freed_unless_named(self._blobs, taken.extents):
                return await self._naming.put(bucket, key, record, given.conditions, extra, cause=given.cause)
        finally:
            self._under_way.leave(token)

    async def put_small(
        self, bucket: Bucket, key: bytes, body: Received, given: Given, extra: Extra | None = None
    ) -> ObjectRecord:
        """Store a small body and name it, in one commit, which `extra` adds to. Raises what the conditions raise."""
        check_key(key)
        token = self._under_way.enter()
        try:
            return await self._put_small(bucket, key, body, given, extra)
        finally:
            self._under_way.leave(token)

    async def _put_small(
        self, bucket: Bucket, key: bytes, body: Received, given: Given, extra: Extra | None = None
    ) -> ObjectRecord:
        if not body.data:
            record = self._record((), 0, body.digests, given)
            return await self._naming.put(bucket, key, record, given.conditions, extra, cause=given.cause)
        data = body.data if given.sealing is None else Cipher(given.sealing.key).seal(body.data)
        for attempt in range(1, SMALL_ATTEMPTS + 1):
            placed = await self._blobs.place_small(data)
            extents = (placed.extent,)
            record = self._record(extents, len(body.data), body.digests, given)
            prior = Prior(placed.volume.flush, placed.append)
            try:
                record = await self._naming.put(bucket, key, record, given.conditions, extra, prior, given.cause)
            except (DriveError, DriveFull):
                if attempt == SMALL_ATTEMPTS:
                    raise
                continue  # the volume lost its quorum: place it anew on the drives that are left
            except (ObjectsError, OutOfSpace):
                await self._give_back(extents)
                raise
            try:
                await self._blobs.settle_small(placed)
            except OutOfSpace as error:  # of another commit: the object stands
                raise OutcomeUnknown("a shard that missed the write could not be recorded") from error
            return record
        raise AssertionError("the last attempt returns or raises")

    async def _give_back(self, extents: Sequence[Extent]) -> None:
        with contextlib.suppress(Unavailable):
            await self._blobs.free(extents)

    def _record(
        self, extents: tuple[Extent, ...], size_bytes: int, digests: Mapping[str, bytes], given: Given
    ) -> ObjectRecord:
        version = self._clock.next()
        return ObjectRecord(
            FORMAT,
            size_bytes,
            etag_of(digests["MD5"], given.sealing),
            stamp_ms(version),
            given.attributes.storage_class,
            Checksum(given.checksum, checksums.encode(digests[given.checksum])),
            version,
            extents,
            given.attributes,
            given.owner,
            lock=given.lock,
            acl=given.acl,
            encryption=given.sealing.encryption if given.sealing is not None else None,
            annotations=given.annotations.held if given.annotations is not None else None,
        )

    async def delete(
        self,
        bucket: Bucket,
        key: bytes,
        conditions: WriteConditions = ALWAYS,
        owner: str = "",
        cause: Cause = SILENT,
    ) -> Removed:
        """Delete the object of `key`. Raises PreconditionFailed, NoSuchKey."""
        return await self._naming.delete(bucket, key, conditions, owner, cause=cause)

    async def sum_up(self, source: Source, hashers: Mapping[str, Hasher]) -> Mapping[str, bytes]:
        """The digests of bytes that are stored already."""
        return await sum_up(self._blobs, source, hashers)

    async def copy(
        self, source_bucket: Bucket, source_key: bytes, source: Found, bucket: Bucket, key: bytes, copied: Copied
    ) -> ObjectRecord:
        """Name the bytes of `source` again under `key`; no byte is copied.

        Raises NoSuchKey when the source has changed in the meantime.
        """
        check_key(key)
        for _ in range(ATTEMPTS):
            try:
                return await self._copy(source, bucket, key, copied)
            except Conflict as conflict:
                source = await self._again(source_bucket, source_key, source, conflict)
        raise ConditionalConflict("the source of the copy changes all the time")

    async def _again(self, bucket: Bucket, key: bytes, source: Found, conflict: Conflict) -> Found:
        """The version that `source` was, where it stands now or where its bytes are now. Raises SourceChanged."""
        stamp = source.record.version if source.record.versioned else NULL
        try:
            found = await self._naming.find(bucket, key, stamp if bucket.record.versioning else None)
        except (NoSuchKey, NoSuchVersion, IsDeleteMarker):
            found = None
        if found is None or found.record.version != source.record.version:
            raise SourceChanged(key.decode("utf-8", "replace")) from conflict
        return found

    async def _copy(self, source: Found, bucket: Bucket, key: bytes, copied: Copied) -> ObjectRecord:
        version = self._clock.next()
        record = msgspec.structs.replace(
            source.record,
            modified_ms=stamp_ms(version),
            version=version,
            attributes=copied.attributes,
            storage_class=copied.attributes.storage_class,
            owner=copied.owner,
            lock=copied.lock,
            acl=copied.acl,
            encryption=copied.encryption,
            restored_until_ms=0,
            annotations=None,
        )
        if copied.summed is not None:
            record = msgspec.structs.replace(
                record, etag=copied.summed.etag, checksum=copied.summed.checksum, part_count=0
            )
        bytes_held = garbage_of(source.record)
        rows = await self._naming.annotations(source.record) if copied.annotated else []
        if rows:
            assert source.record.annotations is not None
            own = self._entropy.bytes(keys.ANNOTATIONS_ID_BYTES)
            held = msgspec.structs.replace(source.record.annotations, id=own)
            record = msgspec.structs.replace(record, annotations=held)

        def share(batch: Batch) -> None:
            batch.expect(source.name, source.version)
            if bytes_held is not None:
                batch.add(keys.references(blob_id(bytes_held)), 1)
            for row in rows:
                assert record.annotations is not None
                _share_annotation(batch, row, record.annotations)

        return await self._naming.put(bucket, key, record, copied.conditions, share, cause=copied.cause)
