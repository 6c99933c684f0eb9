"""Owns the lists of multipart uploads and of their parts."""

from pyrite.aws.dates import format_iso
from pyrite.aws.xml import element
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import NoSuchUpload
from pyrite.objects.keys import is_upload_id
from pyrite.objects.listing import list_uploads as page_of
from pyrite.objects.records import PartRecord, UploadRecord
from pyrite.objects.uploads import PARTS_MAX
from pyrite.s3.documents import Names, document, etag_element, number_parameter
from pyrite.s3.errors import bad_argument
from pyrite.s3.handlers.buckets import find, person
from pyrite.s3.handlers.multipart import upload_id_of
from pyrite.s3.handlers.reads import checksum_elements
from pyrite.s3.headers import (
    abort_headers,
)
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service

_LIST_MAX = 1000


async def _people(service: Service, record: UploadRecord) -> str:
    """Who began an upload and who owns it, as elements."""
    owner = await person(service, "Owner", record.owner)
    if not record.initiator:
        return await person(service, "Initiator", record.owner) + owner
    shown = element("ID", record.initiator) + element("DisplayName", record.initiator_name)
    return f"<Initiator>{shown}</Initiator>{owner}"


async def list_parts(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    names = Names(request)
    limit = number_parameter(request, b"max-parts", _LIST_MAX, _LIST_MAX)
    after = number_parameter(request, b"part-number-marker", 0, 2**31 - 1)
    upload = await service.uploads.find(bucket, request.key, upload_id_of(request))
    found = await service.uploads.parts(upload, min(after, PARTS_MAX), limit + 1)
    shown, more = found[:limit], len(found) > limit
    algorithm = upload.record.checksum_algorithm
    head = (
        element("Bucket", request.bucket_name)
        + names.element("Key", request.key)
        + names.encoding
        + element("UploadId", upload.id.hex())
        + await _people(service, upload.record)
        + element("StorageClass", upload.record.attributes.storage_class)
        + f"<PartNumberMarker>{after}</PartNumberMarker>"
        + f"<NextPartNumberMarker>{shown[-1].number if shown else 0}</NextPartNumberMarker>"
        + f"<MaxParts>{limit}</MaxParts><IsTruncated>{str(more and limit > 0).lower()}</IsTruncated>"
        + _checksum_of(upload.record)
    )
    told = abort_headers(bucket, request.key, upload.record.initiated_ms)
    listed = "".join(_listed_part(part, bool(algorithm)) for part in shown)
    return document("ListPartsResult", head + listed, headers=told)


def _checksum_of(record: UploadRecord) -> str:
    """Which checksum an upload was asked for, as elements."""
    if not record.checksum_algorithm:
        return ""
    return element("ChecksumAlgorithm", record.checksum_algorithm) + element("ChecksumType", record.checksum_type)


def _listed_part(part: PartRecord, with_checksum: bool) -> str:
    checksum = checksum_elements(part.checksum) if with_checksum and part.checksum is not None else ""
    return (
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{format_iso(part.modified_ms)}</LastModified>"
        f"{etag_element(part.etag)}<Size>{part.size_bytes}</Size>{checksum}</Part>"
    )


async def _id_marker(service: Service, bucket: Bucket, key: bytes, text: str) -> bytes:
    """The upload behind which a list goes on within a key. Raises S3Error where it is not of that key."""
    try:
        upload_id = bytes.fromhex(text)
        if text and not is_upload_id(bucket.id, key, upload_id):
            await service.uploads.find(bucket, key, upload_id)  # an earlier version made it
    except (ValueError, NoSuchUpload):
        raise bad_argument("Invalid uploadId marker", "upload-id-marker", text) from None
    return upload_id


async def list_uploads(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    names = Names(request)
    limit = number_parameter(request, b"max-uploads", _LIST_MAX, _LIST_MAX)
    query = request.query
    prefix, delimiter, key_marker = (query.get(name, b"") for name in (b"prefix", b"delimiter", b"key-marker"))
    id_marker = request.parameter(b"upload-id-marker") or "" if key_marker else ""
    after = (key_marker, await _id_marker(service, bucket, key_marker, id_marker))
    uploads, page = await page_of(service.engine, bucket, prefix, delimiter, after, limit)
    next_id = uploads[-1].id.hex() if uploads and not page.last_is_prefix else ""
    head = (
        element("Bucket", request.bucket_name)
        + names.element("KeyMarker", key_marker)
        + element("UploadIdMarker", id_marker)
        + names.element("NextKeyMarker", page.last if page.truncated or not page.last_is_prefix else b"")
        + element("NextUploadIdMarker", next_id)
        + (names.element("Prefix", prefix) if prefix else "")
        + (names.element("Delimiter", delimiter) if delimiter else "")
        + names.encoding
        + f"<MaxUploads>{limit}</MaxUploads><IsTruncated>{str(page.truncated).lower()}</IsTruncated>"
    )
    people = [await _people(service, record) for _, _, record in uploads]
    listed = "".join(
        f"<Upload>{names.element('Key', key)}<UploadId>{upload_id.hex()}</UploadId>"
        f"{shown}"
        f"<StorageClass>{record.attributes.storage_class}</StorageClass>"
        f"<Initiated>{format_iso(record.initiated_ms)}</Initiated>{_checksum_of(record)}</Upload>"
        for (key, upload_id, record), shown in zip(uploads, people, strict=True)
    )
    prefixes = "".join(f"<CommonPrefixes>{names.element('Prefix', one)}</CommonPrefixes>" for one in page.prefixes)
    return document("ListMultipartUploadsResult", head + listed + prefixes)
