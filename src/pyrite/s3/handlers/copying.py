"""Owns copies of objects, and finding what is copied."""

import contextlib
from typing import NamedTuple

import msgspec

from pyrite.aws import checksums, uri
from pyrite.aws.checksums import ALGORITHMS, CRC64NVME
from pyrite.aws.dates import format_iso
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import NotModified
from pyrite.objects.errors import Deleted, IsDeleteMarker, NoSuchKey, PreconditionFailed
from pyrite.objects.ingest import accept
from pyrite.objects.objects import Copied, Given, Put, SourceChanged, StreamSource, Summed
from pyrite.objects.records import Attributes, Checksum, Encryption, ObjectRecord
from pyrite.objects.sealing import Sealing, etag_of
from pyrite.objects.standing import Found
from pyrite.s3.acl import ownership_of_new
from pyrite.s3.causes import cause_of
from pyrite.s3.customerkeys import OF_SOURCE
from pyrite.s3.documents import document, etag_element
from pyrite.s3.encryption import REQUEST_HEADERS, encryption_headers
from pyrite.s3.errors import S3Error, bad_argument, marker_headers
from pyrite.s3.handlers.buckets import check_owner, find
from pyrite.s3.handlers.reads import check_restored, checksum_elements
from pyrite.s3.headers import (
    attributes_of,
    expiration_headers,
    read_conditions,
    redirect_of,
    refuse_unimplemented,
    storage_class_of,
    without_redirect,
    write_conditions,
)
from pyrite.s3.integrity import Integrity, algorithm_named
from pyrite.s3.objectlock import lock_of_new
from pyrite.s3.payload import PUT_MAX_BYTES
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service
from pyrite.s3.tags import Tags, tags_of_header
from pyrite.s3.versions import parse_version, version_headers

_COPY_ATTEMPTS = 20
_CHANGING = REQUEST_HEADERS | {
    b"x-amz-storage-class",
    b"x-amz-website-redirect-location",
    b"x-amz-checksum-algorithm",
}
_PARTS_SHARED_MAX = 1025
"""No upload makes more of what a copy may hold. An object with more has grown by appends, whose copy is of one part."""


class CopySource(NamedTuple):
    """The object that a copy reads."""

    bucket: Bucket
    key: bytes
    found: Found
    version: int | None
    raw_version: bytes | None


async def find_source(service: Service, request: S3Request) -> CopySource:
    """The source that x-amz-copy-source names, its conditions checked. Raises S3Error, NoSuchKey, NoSuchBucket."""
    raw = _without_host(request.headers.get(b"x-amz-copy-source", b""))
    path, _, query = raw.partition(b"?")
    bucket_name, _, key = uri.decode(path).removeprefix(b"/").partition(b"/")
    if b"+" in path and bucket_name and key:
        key = await _as_meant(service, text_of(bucket_name), key, path)
    if not bucket_name or not key:
        name = "x-amz-copy-source"
        raise bad_argument("Invalid copy source object key", name, name)
    version = dict(uri.parse_query(query)).get(b"versionId")
    bucket = await service.buckets.find(text_of(bucket_name))
    await check_owner(service, bucket, request.header(b"x-amz-source-expected-bucket-owner"))
    action = "s3:GetObject" if version is None else "s3:GetObjectVersion"
    await service.access.require(request, action, bucket, key, version=version)
    try:
        stamp = parse_version(version)
        found = await service.naming.find(bucket, key, stamp)
    except NoSuchKey as error:
        told = marker_headers(error) if isinstance(error, Deleted) else []
        raise S3Error("NoSuchKey", None, (("Key", text_of(key)),), told) from None
    except IsDeleteMarker:
        raise S3Error(
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        ) from None
    request.judged.check(bucket, key, version, found.record)
    check_restored(found.record, service.clock.now_ms())
    conditions = read_conditions(request, service.clock.now_ms(), b"x-amz-copy-source-")
    if conditions is not None:
        try:
            conditions.check(found.record.etag, found.record.modified_ms)
        except NotModified:
            tag = b"x-amz-copy-source-if-none-match" in request.headers
            which = "If-None-Match" if tag else "If-Modified-Since"
            raise PreconditionFailed(f"x-amz-copy-source-{which}") from None
        except PreconditionFailed as failed:
            raise PreconditionFailed(f"x-amz-copy-source-{failed.condition}") from None
    return CopySource(bucket, key, found, stamp, version)


def _without_host(source: bytes) -> bytes:
    """A copy source may be a whole URL, of which the path counts."""
    return source if source.startswith(b"/") else uri.path_of(source)


async def _as_meant(service: Service, bucket_name: str, key: bytes, path: bytes) -> bytes:
    """The key of a copy's source that is written with plus signs: the literal one where it is there, else the one with
    spaces, as forms are encoded and AWS reads it.
    """
    bucket = await service.buckets.find(bucket_name)
    if await service.naming.current(bucket, key) is not None:
        return key
    return uri.decode_form(path).removeprefix(b"/").partition(b"/")[2]


async def copy_object(service: Service, request: S3Request) -> Response:
    refuse_unimplemented(request.headers)
    for _ in range(_COPY_ATTEMPTS):
        with contextlib.suppress(SourceChanged):  # another object has taken its place: it is looked at anew
            return await _copied(service, request, await find_source(service, request))
    raise S3Error("ConditionalRequestConflict", "The source of the copy changes all the time.")


async def _copied(service: Service, request: S3Request, source: CopySource) -> Response:
    """Copy what was found. Raises SourceChanged where that is not current any more."""
    bucket = await find(service, request)
    record = source.found.record
    directive = (request.header(b"x-amz-metadata-directive") or "COPY").upper()
    if directive not in ("COPY", "REPLACE"):
        raise S3Error(
            "InvalidArgument",
            "Unknown metadata directive.",
            (("ArgumentName", "x-amz-metadata-directive"), ("ArgumentValue", directive)),
        )
    if directive == "REPLACE":
        attributes = attributes_of(request.headers)
    else:
        old = record.attributes
        kept = {**without_redirect(old.headers), **redirect_of(request.headers)}
        attributes = Attributes(old.content_type, kept, old.metadata, storage_class_of(request.headers))
    attributes = msgspec.structs.replace(attributes, tags=await _tags_of_copy(service, request, source))
    annotated = await _takes_annotations(service, request, source)
    key = await service.encryptor.open(request, record.encryption, OF_SOURCE)
    sealing = await service.encryptor.for_new(request, bucket, key)
    if source.bucket.id == bucket.id and source.key == request.key and not _changes_itself(request, bucket, source):
        write_conditions(request, service.compat).check_found(record)  # a condition that fails says more
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    if record.size_bytes > PUT_MAX_BYTES:
        raise S3Error(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {PUT_MAX_BYTES}",
        )
    if annotated and sealing is not None and sealing.encryption.algorithm == "SSE-C":
        raise S3Error("InvalidRequest", "Objects that are encrypted with a client's own key cannot have annotations.")
    copied = await _copy(service, request, bucket, source, attributes, _Keys(key, sealing, annotated))
    content = etag_element(copied.etag) + f"<LastModified>{format_iso(copied.modified_ms)}</LastModified>"
    told = version_headers(source.bucket, record, b"x-amz-copy-source-version-id") + version_headers(bucket, copied)
    told += encryption_headers(copied.encryption) + expiration_headers(bucket, request.key, copied)
    checksum = checksum_elements(copied.checksum, typed=True) if copied.checksum is not None else ""
    return document("CopyObjectResult", content + checksum, headers=told)


def _hides_md5(encryption: Encryption | None) -> bool:
    """Whether the ETag of what is sealed so is not the MD5 of its bytes."""
    return encryption is not None and encryption.algorithm != "AES256"


def _changes_itself(request: S3Request, bucket: Bucket, source: CopySource) -> bool:
    """Whether the copy of an object onto itself asks for anything: AWS looks at what is sent, not at what is there."""
    encryption = source.found.record.encryption
    return (
        (request.header(b"x-amz-metadata-directive") or "").upper() == "REPLACE"
        or not _CHANGING.isdisjoint(request.headers)
        or source.version is not None
        or "encryption" in bucket.record.configurations
        or (encryption is not None and encryption.algorithm.startswith("aws:kms"))
    )


async def _summed(service: Service, request: S3Request, source: CopySource, keys: "_Keys") -> Summed | None:
    """What a copy tells otherwise than its source: of one of parts the MD5 and the checksum of the whole, and of one
    whose key hides its MD5, or of a copy whose key does. None where it tells the same.
    """
    record = source.found.record
    hidden = _hides_md5(record.encryption)
    if service.compat.constant_time_copies:
        return None
    if not record.part_count and not hidden:
        if keys.copy is None or not _hides_md5(keys.copy.encryption):
            return None
        return Summed(etag_of(bytes.fromhex(record.etag), keys.copy), record.checksum)
    if not record.part_count and keys.copy is not None and _hides_md5(keys.copy.encryption):
        return None
    named = algorithm_named(request.header(b"x-amz-checksum-algorithm"))
    own = ALGORITHMS[record.checksum.algorithm] if record.checksum is not None else CRC64NVME
    integrity = Integrity({}, "", named or own)
    stream = StreamSource(service.reading, record, 0, record.size_bytes, keys.source)
    try:
        digests = await service.objects.sum_up(stream, integrity.hashers())
    finally:
        await stream.close()
    name = integrity.stored.name
    return Summed(etag_of(digests["MD5"], keys.copy), Checksum(name, checksums.encode(digests[name])))


async def _tags_of_copy(service: Service, request: S3Request, source: CopySource) -> Tags:
    """The tags of a copy: the source's, which takes the right to read and to set them, or those of the request."""
    directive = (request.header(b"x-amz-tagging-directive") or "COPY").upper()
    if directive not in ("COPY", "REPLACE"):
        raise S3Error(
            "InvalidArgument",
            "Unknown tagging directive.",
            (("ArgumentName", "x-amz-tagging-directive"), ("ArgumentValue", directive)),
        )
    if directive == "REPLACE":
        return tags_of_header(request.headers.get(b"x-amz-tagging", b""))
    tags = source.found.record.attributes.tags
    if tags:
        read = "s3:GetObjectTagging" if source.version is None else "s3:GetObjectVersionTagging"
        await service.access.require(request, read, source.bucket, source.key, version=source.raw_version)
        await service.access.require(request, "s3:PutObjectTagging", request.bucket, request.key)
    return tags


async def _takes_annotations(service: Service, request: S3Request, source: CopySource) -> bool:
    """Whether a copy has the annotations of its source, which takes the right to read and to set them."""
    given = request.header(b"x-amz-object-annotation-directive") or request.header(b"x-amz-annotation-directive")
    directive = (given or request.parameter(b"x-amz-object-annotation-directive") or "COPY").upper()
    if directive not in ("COPY", "EXCLUDE"):
        raise S3Error(
            "InvalidArgument",
            "Unknown annotation directive.",
            (("ArgumentName", "x-amz-object-annotation-directive"), ("ArgumentValue", directive)),
        )
    if directive == "EXCLUDE" or source.found.record.annotations is None:
        return False
    read = "s3:GetObjectAnnotation" if source.version is None else "s3:GetObjectVersionAnnotation"
    await service.access.require(request, read, source.bucket, source.key, version=source.raw_version)
    await service.access.require(request, "s3:PutObjectAnnotation", request.bucket, request.key)
    return True


class _Keys(NamedTuple):
    """The key that a copy's source is sealed with, and how the copy is sealed; None where it is not.

    `annotated`: the copy has the source's annotations, which are sealed as it is.
    """

    source: bytes | None
    copy: Sealing | None
    annotated: bool


async def _copy(
    service: Service, request: S3Request, bucket: Bucket, source: CopySource, attributes: Attributes, keys: _Keys
) -> ObjectRecord:
    """Share the source's bytes, sealed with the same key; read and write them anew where another checksum is asked for,
    one of both is sealed and the other is not, or there are too many parts.
    """
    owner, acl = await ownership_of_new(service, request, bucket)
    lock = lock_of_new(request, bucket, service.clock.now_ms())
    conditions = write_conditions(request, service.compat)
    record = source.found.record
    algorithm = algorithm_named(request.header(b"x-amz-checksum-algorithm"))
    same = record.checksum is not None and (algorithm is None or algorithm.name == record.checksum.algorithm)
    same = same or record.part_count > 0  # whose checksum is summed up anyway
    few = record.part_count <= _PARTS_SHARED_MAX
    if same and few and (keys.source is None) == (keys.copy is None):
        copied = Copied(
            attributes,
            owner,
            conditions,
            lock,
            acl,
            keys.copy.encryption if keys.copy is not None else None,
            cause_of(request, "s3:ObjectCreated:Copy"),
            keys.annotated,
            await _summed(service, request, source, keys),
        )
        return await service.objects.copy(source.bucket, source.key, source.found, bucket, request.key, copied)
    integrity = Integrity(request.headers, request.payload.sha256, algorithm)
    stream = StreamSource(service.reading, record, 0, record.size_bytes, keys.source)
    sealing = keys.copy
    if sealing is not None and keys.source is not None:  # a key seals one blob
        sealing = await service.encryptor.for_new(request, bucket)
    annotating = record if keys.annotated else msgspec.structs.replace(record, annotations=None)
    new_key = sealing.key if sealing is not None else None
    try:
        async with service.annotating.rewritten(annotating, keys.source, new_key) as rewritten:
            cause = cause_of(request, "s3:ObjectCreated:Copy")
            given = Given(attributes, owner, integrity.stored.name, conditions, lock, acl, sealing, cause, rewritten)
            return await service.objects.put(bucket, request.key, stream, Put(given, integrity.hashers(), accept))
    finally:
        await stream.close()
