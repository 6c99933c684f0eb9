"""Owns multipart uploads: creating, adding parts, completing, aborting, listing.

Source: AWS, "Uploading and copying objects using multipart upload" and the pages of its operations.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from pyrite.aws import checksums
from pyrite.blobs.store import BlobStore
from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.entropy import Entropy
from pyrite.core.errors import PyriteError
from pyrite.core.units import TIB
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, after_prefix
from pyrite.objects import assembling, keys
from pyrite.objects.assembling import CompletePart
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ALWAYS, WriteConditions
from pyrite.objects.errors import ConditionalConflict, NoSuchUpload
from pyrite.objects.events import SILENT, Cause
from pyrite.objects.ingest import Check, Hasher, Source, Stored, ingest
from pyrite.objects.keys import check_key
from pyrite.objects.naming import Naming
from pyrite.objects.objects import freed_unless_named
from pyrite.objects.records import (
    FORMAT,
    Attributes,
    Checksum,
    ChecksumType,
    Encryption,
    GarbageRecord,
    Grant,
    Lock,
    ObjectRecord,
    PartRecord,
    UploadRecord,
    decode_part,
    decode_upload,
    encode,
)
from pyrite.objects.sealing import SALT_BYTES, Cipher, Sealing, etag_of, part_key
from pyrite.objects.underway import UnderWay

OBJECT_MAX_BYTES = 50 * TIB
PARTS_MAX = 10_000
_ATTEMPTS = 64


class Upload(NamedTuple):
    """An upload under way and the version of its record."""

    key: bytes
    id: bytes
    record: UploadRecord
    version: int


class Completion(NamedTuple):
    """What a client says of the object it completes; `lenient`: checksums of parts need not be stated, `untyped`: that
    of the whole need not have a type.
    """

    parts: Sequence[CompletePart]
    conditions: WriteConditions = ALWAYS
    checksum: Checksum | None = None
    checksum_type: ChecksumType | None = None
    size_bytes: int | None = None
    cause: Cause = SILENT
    lenient: bool = False
    untyped: bool = False


class _PartReplaced(Exception):
    """A part that was to be in an object, or the record of its upload, has been replaced."""


class Uploads:
    """The multipart uploads of all buckets."""

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

    async def create(
        self,
        bucket: Bucket,
        key: bytes,
        attributes: Attributes,
        owner: str,
        algorithm: str,
        kind: ChecksumType | Literal[""],
        lock: Lock | None = None,
        acl: tuple[Grant, ...] | None = None,
        encryption: Encryption | None = None,
        initiator: tuple[str, str] = ("", ""),
    ) -> bytes:
        """Begin an upload; its id."""
        check_key(key)
        upload_id = keys.upload_id(bucket.id, key, self._entropy.bytes(keys.UPLOAD_RANDOM_BYTES))
        found = await self._naming.current(bucket, key)
        seen = found.record.version if found is not None else 0
        record = UploadRecord(
            FORMAT,
            stamp_ms(self._clock.next()),
            attributes,
            owner,
            algorithm,
            kind,
            encryption,
            lock,
            acl,
            seen,
            *initiator,
        )
        for _ in range(_ATTEMPTS):
            batch = Batch()
            batch.expect(keys.bucket(bucket.record.name), bucket.version)
            batch.put(keys.upload(bucket.id, key, upload_id), encode(record))
            try:
                await self._engine.commit(batch)
                return upload_id
            except Conflict:
                bucket = await self._naming.again(bucket)
        raise ConditionalConflict("the bucket is changed all the time")

    async def find(self, bucket: Bucket, key: bytes, upload_id: bytes) -> Upload:
        """An upload under way. Raises NoSuchUpload."""
        entry = await self._engine.get(keys.upload(bucket.id, key, upload_id))
        if entry is None:
            raise NoSuchUpload(upload_id.hex())
        return Upload(key, upload_id, decode_upload(entry.value), entry.version)

    async def put_part(
        self,
        bucket: Bucket,
        upload: Upload,
        number: int,
        source: Source,
        hashers: Mapping[str, Hasher],
        check: Check,
        checksum: str,
        key: bytes | None = None,
    ) -> PartRecord:
        """Store a part; a part of the same number is replaced. `key` is the one of a sealed object.

        Raises NoSuchUpload when the upload ends first.
        """
        token = self._under_way.enter()
        salt, cipher = b"", None
        if key is not None:
            salt = self._entropy.bytes(SALT_BYTES)
            cipher = Cipher(part_key(key, salt))
        try:
            stored = await ingest(self._blobs, source, hashers, check, cipher)
            encryption = upload.record.encryption
            sealing = Sealing(encryption, key) if encryption is not None and key is not None else None
            return await self._put_part(bucket, upload, number, stored, checksum, salt, sealing)
        finally:
            self._under_way.leave(token)

    async def _put_part(
        self,
        bucket: Bucket,
        upload: Upload,
        number: int,
        stored: Stored,
        checksum: str,
        salt: bytes,
        sealing: Sealing | None,
    ) -> PartRecord:
        record = PartRecord(
            FORMAT,
            number,
            stored.size_bytes,
            etag_of(stored.digests["MD5"], sealing),
            stamp_ms(self._clock.next()),
            stored.extents,
            Checksum(checksum, checksums.encode(stored.digests[checksum])),
            salt,
        )
        async with freed_unless_named(self._blobs, stored.extents):
            await self._name_part(bucket, upload, record)
        return record

    async def _name_part(self, bucket: Bucket, upload: Upload, record: PartRecord) -> None:
        upload_key = keys.upload(bucket.id, upload.key, upload.id)
        part_key = keys.part(upload.id, record.number)
        for _ in range(_ATTEMPTS):
            old = await self._engine.get(part_key)
            batch = Batch()
            batch.expect(upload_key, upload.version)
            batch.expect(part_key, old.version if old is not None else ABSENT)
            batch.put(part_key, encode(record))
            if old is not None:
                replaced = decode_part(old.value).extents
                self._naming.discard(batch, GarbageRecord(FORMAT, extents=replaced) if replaced else None)
            try:
                await self._engine.commit(batch)
                return
            except Conflict as conflict:
                if conflict.key == upload_key:  # it has ended, or its key was wrapped under another
                    upload = await self.find(bucket, upload.key, upload.id)
        raise ConditionalConflict("too many writers of one part")

    async def parts(self, upload: Upload, after: int, limit: int) -> list[PartRecord]:
        """At most `limit` parts with numbers greater than `after`, in order."""
        start, end = keys.part(upload.id, after + 1), after_prefix(keys.parts(upload.id))
        return [decode_part(row.value) for row in await self._engine.scan(start, end, limit)]

    async def complete(self, bucket: Bucket, key: bytes, upload_id: bytes, completion: Completion) -> ObjectRecord:
        """Make an object of the parts listed. Completing the current object's own upload again changes nothing.

        Raises NoSuchUpload, InvalidPart, InvalidPartOrder, PartTooSmall, ChecksumMismatch, SizeMismatch,
        PreconditionFailed.
        """
        for _ in range(_ATTEMPTS):
            try:
                upload = await self.find(bucket, key, upload_id)
            except NoSuchUpload:
                found = await self._naming.current(bucket, key)
                if found is not None and found.record.upload == upload_id:
                    return found.record
                raise
            with contextlib.suppress(_PartReplaced):  # what was listed is looked at anew
                return await self._complete(bucket, upload, completion)
        raise ConditionalConflict("the parts are replaced all the time")

    async def _complete(self, bucket: Bucket, upload: Upload, completion: Completion) -> ObjectRecord:
        """Make an object of the parts as they are now. Raises _PartReplaced where one of them is another by then."""
        key, upload_id = upload.key, upload.id
        prefix = keys.parts(upload_id)
        rows = await self._engine.scan(prefix, after_prefix(prefix), PARTS_MAX)
        versions = {row.key: row.version for row in rows}
        uploaded = {part.number: part for part in (decode_part(row.value) for row in rows)}
        assembling.check_mode(upload.record, completion.checksum_type)
        if not completion.lenient:
            assembling.check_given(upload.record, completion.parts)
        is_checked = completion.lenient or bool(upload.record.checksum_algorithm)
        chosen = assembling.choose(uploaded, completion.parts, upload_id.hex(), is_checked)
        kind = completion.checksum_type or (assembling.kind_of(upload.record) if completion.untyped else None)
        checksum = assembling.object_checksum(upload.record, chosen, completion.checksum, kind)
        assembling.check_size(chosen, completion.size_bytes, OBJECT_MAX_BYTES)
        if not upload.record.checksum_algorithm:  # AWS tells none of single parts then, and none under a client's key
            chosen = [msgspec.structs.replace(part, checksum=None) for part in chosen]
            if upload.record.encryption is not None and upload.record.encryption.algorithm == "SSE-C":
                checksum = None
        pages = assembling.paginate(chosen)
        record = assembling.assembled(upload_id, upload.record, chosen, checksum, self._clock.next())

        def move_parts(batch: Batch) -> None:
            batch.expect(keys.upload(bucket.id, key, upload_id), upload.version)
            batch.delete(keys.upload(bucket.id, key, upload_id))
            for index, page in enumerate(pages):
                batch.put(keys.page(upload_id, index), encode(page.record))
            for part in chosen:
                place = keys.part(upload_id, part.number)
                batch.expect(place, versions[place])  # one that is replaced has other bytes
                batch.delete(place)
            self._naming.discard(batch, GarbageRecord(FORMAT, upload=upload_id))  # parts not listed, or late ones

        try:
            conditions = _unless_changed(completion.conditions, upload)
            record = await self._naming.put(bucket, key, record, conditions, move_parts, cause=completion.cause)
        except PyriteError as error:
            if isinstance(error, Conflict) and error.key in versions:
                raise _PartReplaced from error
            if isinstance(error, Conflict) and await self._is_there(bucket, key, upload_id):
                raise _PartReplaced from error
            # completed or aborted by somebody else at the same time, or conditions meet what that one has made
            found = await self._naming.current(bucket, key)
            if found is not None and found.record.upload == upload_id:
                return found.record
            if not isinstance(error, Conflict):
                raise
            raise NoSuchUpload(upload_id.hex()) from error
        return record

    async def abort(self, bucket: Bucket, key: bytes, upload_id: bytes) -> None:
        """End an upload and free its parts. That it has ended already is no error, as AWS answers.

        Raises NoSuchUpload where there never was one of this key.
        """
        upload_key = keys.upload(bucket.id, key, upload_id)
        for _ in range(_ATTEMPTS):
            entry = await self._engine.get(upload_key)
            if entry is None and not keys.is_upload_id(bucket.id, key, upload_id):
                raise NoSuchUpload(upload_id.hex())
            if entry is None:
                return
            batch = Batch()
            batch.expect(upload_key, entry.version)
            batch.delete(upload_key)
            self._naming.discard(batch, GarbageRecord(FORMAT, upload=upload_id))
            try:
                await self._engine.commit(batch)
                return
            except Conflict:
                continue
        raise ConditionalConflict("the upload changes all the time")

    async def _is_there(self, bucket: Bucket, key: bytes, upload_id: bytes) -> bool:
        """Whether an upload goes on."""
        return await self._engine.get(keys.upload(bucket.id, key, upload_id)) is not None

    async def list(self, bucket: Bucket, start: bytes, end: bytes, limit: int) -> "list[Upload]":
        """At most `limit` uploads whose stored keys are in start..end, by key and then by id."""
        rows = await self._engine.scan(start, end, limit)
        return [Upload(*keys.split_upload(row.key), decode_upload(row.value), row.version) for row in rows]


def _unless_changed(conditions: WriteConditions, upload: Upload) -> WriteConditions:
    """Conditions that also raise ConditionalConflict where something was written to the key since the upload began.

    Source: AWS, CompleteMultipartUpload in the Amazon S3 API Reference, If-Match and If-None-Match.
    """
    asks = conditions.if_match is not None or conditions.if_none_match is not None
    if not asks or upload.record.seen < 0:
        return conditions
    return msgspec.structs.replace(conditions, seen=upload.record.seen)
