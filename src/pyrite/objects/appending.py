"""Owns appending: an object grows by a part, and the bytes that it had stay where they are.

An object that was appended to is one of parts. Where nobody else refers to its pages, a part is added to the last one.
Else it gets pages of its own, and their parts are shared: references to the blob of each part are counted.
Source: AWS, "Appending data to objects in directory buckets" in the Amazon S3 User Guide.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pyrite.aws import checksums
from pyrite.aws.checksums import ALGORITHMS
from pyrite.blobs.store import BlobStore
from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.entropy import Entropy
from pyrite.core.errors import Corrupt
from pyrite.metadata.kv import ABSENT, Batch, Engine, decode_counter
from pyrite.objects import assembling, keys
from pyrite.objects.assembling import PAGE_PARTS, Page
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ALWAYS, WriteConditions
from pyrite.objects.errors import ConditionalConflict, EntityTooLarge, TooManyParts, WrongOffset
from pyrite.objects.events import SILENT, Cause
from pyrite.objects.ingest import Check, Hasher, Source, Stored, ingest
from pyrite.objects.naming import Naming
from pyrite.objects.objects import freed_unless_named
from pyrite.objects.records import (
    FORMAT,
    Checksum,
    GarbageRecord,
    Lock,
    ObjectRecord,
    PartPage,
    PartRecord,
    decode_page,
    encode,
)
from pyrite.objects.sealing import SALT_BYTES, Cipher, Sealing, etag_of, part_key
from pyrite.objects.standing import Change, Found, blob_id
from pyrite.objects.underway import UnderWay
from pyrite.objects.uploads import OBJECT_MAX_BYTES, PARTS_MAX


class Addition(NamedTuple):
    """What is appended, beside its bytes. `checksum` names the one that is stored; `key` is the one of a sealed object.

    `lock` is that of a new version, where the bucket keeps the one before.
    """

    offset: int
    hashers: dict[str, Hasher]
    check: Check
    checksum: str
    key: bytes | None = None
    conditions: WriteConditions = ALWAYS
    lock: Lock | None = None
    cause: Cause = SILENT


def extends(checksum: Checksum | None) -> bool:
    """Whether the checksum of an object can be told from that of its beginning and that of what is appended."""
    return (
        checksum is not None and checksum.type == "FULL_OBJECT" and ALGORITHMS[checksum.algorithm].combine is not None
    )


class Appending:
    """Appends to objects."""

    def __init__(
        self,
        engine: Engine,
        naming: Naming,
        blobs: BlobStore,
        clock: HybridClock,
        entropy: Entropy,
        under_way: UnderWay,
    ) -> None:
        self._engine = engine
        self._naming = naming
        self._blobs = blobs
        self._clock = clock
        self._entropy = entropy
        self._under_way = under_way

    async def append(
        self, bucket: Bucket, key: bytes, found: ObjectRecord, source: Source, addition: Addition
    ) -> ObjectRecord:
        """Append `source` to the object of `key`, which `found` was.

        Nothing is changed where there is nothing to append. Raises WrongOffset, TooManyParts, EntityTooLarge,
        ConditionalConflict where another object has taken its place, and what `addition.check` and the conditions
        raise.
        """
        check_growth(found, addition.offset, source.length or 0)
        token = self._under_way.enter()
        salt, cipher, sealing = b"", None, None
        if addition.key is not None and found.encryption is not None:
            salt = self._entropy.bytes(SALT_BYTES)
            cipher = Cipher(part_key(addition.key, salt))
            sealing = Sealing(found.encryption, addition.key)
        try:
            stored = await ingest(self._blobs, source, addition.hashers, addition.check, cipher)
            if not stored.size_bytes:
                return found
            part = self._part(stored, addition.checksum, salt, sealing)
            async with freed_unless_named(self._blobs, stored.extents):
                return await self._name(bucket, key, found, part, addition)
        finally:
            self._under_way.leave(token)

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

    async def _name(
        self, bucket: Bucket, key: bytes, found: ObjectRecord, part: PartRecord, addition: Addition
    ) -> ObjectRecord:
        async def grow(batch: Batch, change: Change, current: Found | None, stays: bool) -> ObjectRecord:
            if current is None or current.record.version != found.version:
                raise ConditionalConflict(key.decode("utf-8", "replace"))
            record = current.record
            check_growth(record, addition.offset, part.size_bytes)
            if stays:
                pages = await self._fork(batch, record, part, shared=True)
                change.retire()
            elif not record.upload:
                pages = await self._fork(batch, record, part, shared=False)
                change.hand_over()
            elif not record.part_count or await self._is_shared(batch, record.upload):
                pages = await self._fork(batch, record, part, shared=True)
                change.give_up_bytes()
            else:
                pages = await self._extend(batch, record, part)
                change.hand_over()
            grown = self._grown(record, part, pages)
            return msgspec.structs.replace(grown, lock=addition.lock, annotations=None) if stays else grown

        return await self._naming.grow(bucket, key, grow, addition.conditions, addition.cause)

    async def _is_shared(self, batch: Batch, upload: bytes) -> bool:
        """Whether others refer to the pages too. It stays so until `batch` is applied."""
        entry = await self._engine.get(keys.references(upload))
        batch.expect(keys.references(upload), entry.version if entry is not None else ABSENT)
        return decode_counter(entry.value if entry is not None else None) > 0

    async def _extend(self, batch: Batch, record: ObjectRecord, part: PartRecord) -> "_Pages":
        """Add `part` to the object's own pages."""
        index = len(record.pages) - 1
        name = keys.page(record.upload, index)
        parts = await self._page(batch, record.upload, index)
        part = msgspec.structs.replace(part, number=parts[-1].number + 1)
        pages = record.pages
        if len(parts) < PAGE_PARTS:
            batch.put(name, encode(PartPage(FORMAT, (*parts, part))))
        else:
            batch.put(keys.page(record.upload, index + 1), encode(PartPage(FORMAT, (part,))))
            pages = (*pages, (part.number, record.size_bytes))
        return _Pages(record.upload, pages, record.part_count + 1)

    async def _page(self, batch: Batch, upload: bytes, index: int) -> tuple[PartRecord, ...]:
        """The parts of a page, which stay as they are until `batch` is applied. Raises Corrupt."""
        name = keys.page(upload, index)
        entry = await self._engine.get(name)
        if entry is None:
            raise Corrupt(f"page {index} of the parts of upload {upload.hex()} is gone")
        batch.expect(name, entry.version)
        return decode_page(entry.value).parts

    async def _fork(self, batch: Batch, record: ObjectRecord, part: PartRecord, shared: bool) -> "_Pages":
        """Make pages of the parts that the object has and `part`. `shared`: others will still refer to those parts."""
        parts = await self._parts_of(batch, record)
        part = msgspec.structs.replace(part, number=parts[-1].number + 1 if parts else 1)
        upload = self._entropy.bytes(keys.UPLOAD_ID_BYTES)
        pages: Sequence[Page] = assembling.paginate([*parts, part])
        for index, page in enumerate(pages):
            batch.put(keys.page(upload, index), encode(page.record))
        if shared:
            for old in parts:
                if old.extents:
                    batch.add(keys.references(blob_id(GarbageRecord(FORMAT, extents=old.extents))), 1)
        return _Pages(upload, tuple((page.number, page.start) for page in pages), len(parts) + 1)

    async def _parts_of(self, batch: Batch, record: ObjectRecord) -> list[PartRecord]:
        """The parts of an object, which stay as they are until `batch` is applied: compaction moves them.

        An object of a single blob is its own first part, sealed with the object's very key.
        """
        if record.upload:
            return [
                part for index in range(len(record.pages)) for part in await self._page(batch, record.upload, index)
            ]
        if not record.extents:
            return []
        return [
            PartRecord(FORMAT, 1, record.size_bytes, record.etag, record.modified_ms, record.extents, record.checksum)
        ]

    def _grown(self, record: ObjectRecord, part: PartRecord, pages: "_Pages") -> ObjectRecord:
        version = self._clock.next()
        return msgspec.structs.replace(
            record,
            version=version,
            modified_ms=stamp_ms(version),
            size_bytes=record.size_bytes + part.size_bytes,
            etag=_etag(record.etag, part.etag, pages.part_count),
            checksum=_extended(record, part),
            extents=(),
            upload=pages.upload,
            pages=pages.pages,
            part_count=pages.part_count,
        )


class _Pages(NamedTuple):
    """Where the parts of an object stand, as its record says it."""

    upload: bytes
    pages: tuple[tuple[int, int], ...]
    part_count: int


def check_growth(record: ObjectRecord, offset: int, size_bytes: int) -> None:
    """Whether an object can grow by `size_bytes` at `offset`. Raises WrongOffset, TooManyParts, EntityTooLarge."""
    if offset != record.size_bytes:
        raise WrongOffset(record.size_bytes)
    if max(record.part_count, 1) >= PARTS_MAX:
        raise TooManyParts(f"an object has at most {PARTS_MAX} parts")
    if record.size_bytes + size_bytes > OBJECT_MAX_BYTES:
        raise EntityTooLarge(f"an object has at most {OBJECT_MAX_BYTES} bytes")


def _etag(before: str, part: str, count: int) -> str:
    """An ETag that no other sequence of appends has, and that says by its dash that it is no MD5."""
    return f"{hashlib.md5(f'{before}+{part}'.encode(), usedforsecurity=False).hexdigest()}-{count}"


def _extended(record: ObjectRecord, part: PartRecord) -> Checksum | None:
    """The checksum of the whole, where it can be told; else none, and each part keeps its own."""
    before, added = record.checksum, part.checksum
    if before is None or added is None or not extends(before) or before.algorithm != added.algorithm:
        return None
    algorithm = ALGORITHMS[before.algorithm]
    digests = [checksums.decode(checksum.value, algorithm) for checksum in (before, added)]
    assert digests[0] is not None
    assert digests[1] is not None
    sizes = (record.size_bytes, part.size_bytes)
    value = checksums.full_object(algorithm, [(digests[0], sizes[0]), (digests[1], sizes[1])])
    return Checksum(before.algorithm, value)
