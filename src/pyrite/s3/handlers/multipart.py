"""Owns the multipart operations."""

from typing import Literal

from pyrite.aws.checksums import ALGORITHMS, CRC64NVME, Algorithm
from pyrite.aws.dates import format_iso
from pyrite.aws.xml import ELEMENTS_MAX, Element, element
from pyrite.core.counts import parse_count
from pyrite.core.units import MIB
from pyrite.http.response import Headers, Response
from pyrite.objects.assembling import CompletePart, last_of_each
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import strip_etag
from pyrite.objects.errors import NoSuchUpload
from pyrite.objects.keys import UPLOAD_ID_BYTES
from pyrite.objects.objects import StreamSource
from pyrite.objects.records import Checksum, ChecksumType
from pyrite.objects.uploads import PARTS_MAX, Completion, Upload
from pyrite.s3.acl import ownership_of_new
from pyrite.s3.causes import cause_of
from pyrite.s3.customerkeys import OF_SOURCE
from pyrite.s3.documents import document, empty, etag_element, location_of
from pyrite.s3.encryption import encryption_headers
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.handlers.buckets import find
from pyrite.s3.handlers.copying import find_source
from pyrite.s3.handlers.reads import checksum_elements
from pyrite.s3.headers import (
    abort_headers,
    attributes_of,
    checksum_headers,
    expiration_headers,
    refuse_unimplemented,
    write_conditions,
)
from pyrite.s3.integrity import Integrity, algorithm_named
from pyrite.s3.objectlock import lock_of_new
from pyrite.s3.payload import PUT_MAX_BYTES, open_source, read_plain
from pyrite.s3.ranges import Range, parse_copy_range
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.versions import made_headers, version_headers

_LIST_MAX = 1000
_COMPLETE_MAX_BYTES = 4 * MIB


def upload_id_of(request: S3Request) -> bytes:
    """The upload id. Raises NoSuchUpload when it cannot be one."""
    text = request.parameter(b"uploadId") or ""
    try:
        upload_id = bytes.fromhex(text)
    except ValueError:
        upload_id = b""
    if len(upload_id) != UPLOAD_ID_BYTES:
        raise NoSuchUpload(text)
    return upload_id


def part_number_of(request: S3Request) -> int:
    """The part number. Raises S3Error."""
    text = request.parameter(b"partNumber") or ""
    number = parse_count(text)
    if number is None or not 1 <= number <= PARTS_MAX:
        message = f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive"
        raise bad_argument(message, "partNumber", text)
    return number


async def create_upload(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    attributes = attributes_of(request.headers)
    algorithm = algorithm_named(request.header(b"x-amz-checksum-algorithm"))
    kind = _checksum_type(request.header(b"x-amz-checksum-type"), algorithm)
    owner, acl = await ownership_of_new(service, request, bucket)
    sealing = await service.encryptor.for_new(request, bucket)
    encryption = sealing.encryption if sealing is not None else None
    upload_id = await service.uploads.create(
        bucket,
        request.key,
        attributes,
        owner,
        algorithm.name if algorithm else "",
        kind,
        lock=lock_of_new(request, bucket, service.clock.now_ms()),
        acl=acl,
        encryption=encryption,
        initiator=_initiator_of(request),
    )
    headers: Headers = encryption_headers(encryption)
    headers += abort_headers(bucket, request.key, service.clock.now_ms())
    if algorithm is not None:
        headers += [(b"x-amz-checksum-algorithm", algorithm.name.encode()), (b"x-amz-checksum-type", kind.encode())]
    content = element("Bucket", request.bucket_name) + element("Key", request.key_text)
    return document("InitiateMultipartUploadResult", content + element("UploadId", upload_id.hex()), headers=headers)


def _initiator_of(request: S3Request) -> tuple[str, str]:
    """The ARN and the name of the user or session that begins an upload; ("", "") for the root of an account.

    Source: AWS, "Initiator" in the Amazon S3 API Reference.
    """
    caller = request.caller
    return ("", "") if caller.is_anonymous or caller.is_root else (caller.arn, caller.name)


def _checksum_type(text: str | None, algorithm: Algorithm | None) -> ChecksumType | Literal[""]:
    """The type of an upload's checksum, checked against what its algorithm can do."""
    if algorithm is None:
        if text is not None:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return ""
    kind = (text or algorithm.default_type).upper()
    possible = (kind == "COMPOSITE" and algorithm.composite) or (
        kind == "FULL_OBJECT" and algorithm.combine is not None
    )
    if not possible:
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.name.lower()} checksum algorithm.",
        )
    return "COMPOSITE" if kind == "COMPOSITE" else "FULL_OBJECT"


def _part_integrity(request: S3Request, upload: Upload) -> Integrity:
    """The checks of a part; its stored checksum is of the upload's algorithm."""
    wanted = ALGORITHMS[upload.record.checksum_algorithm or CRC64NVME.name]
    integrity = Integrity(request.headers, request.payload.sha256, wanted)
    integrity.is_part = True
    if upload.record.checksum_algorithm and integrity.algorithm not in (None, wanted):
        assert integrity.algorithm is not None
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {wanted.name.lower()}, "
            f"actual checksum Type: {integrity.algorithm.name.lower()}",
        )
    return integrity


async def upload_part(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    refuse_unimplemented(request.headers)
    number = part_number_of(request)
    upload = await service.uploads.find(bucket, request.key, upload_id_of(request))
    integrity = _part_integrity(request, upload)
    source = open_source(request, integrity)
    key = await service.encryptor.open_upload(request, upload.record.encryption)
    part = await service.uploads.put_part(
        bucket, upload, number, source, integrity.hashers(), integrity.check, integrity.stored.name, key
    )
    headers: Headers = [(b"ETag", b'"%b"' % part.etag.encode()), *encryption_headers(upload.record.encryption)]
    told = integrity.told
    if told is not None:
        headers.append(checksum_headers(told)[0])
    elif part.checksum is not None:
        headers.append(checksum_headers(part.checksum)[0])
    return empty(200, headers)


async def upload_part_copy(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    refuse_unimplemented(request.headers)
    number = part_number_of(request)
    upload = await service.uploads.find(bucket, request.key, upload_id_of(request))
    source = await find_source(service, request)
    record = source.found.record
    text = request.header(b"x-amz-copy-source-range")
    chosen = (
        Range(0, record.size_bytes)
        if text is None
        else parse_copy_range(text, record.size_bytes, service.compat.unsatisfiable_parts)
    )
    if chosen.stop - chosen.start > PUT_MAX_BYTES:
        raise S3Error("InvalidRequest", f"The part is larger than the maximum allowable size: {PUT_MAX_BYTES}")
    integrity = _part_integrity(request, upload)
    source_key = await service.encryptor.open(request, record.encryption, OF_SOURCE)
    key = await service.encryptor.open_upload(request, upload.record.encryption)
    stream = StreamSource(service.reading, record, chosen.start, chosen.stop, source_key)
    try:
        part = await service.uploads.put_part(
            bucket, upload, number, stream, integrity.hashers(), _accept, integrity.stored.name, key
        )
    finally:
        await stream.close()
    content = etag_element(part.etag) + f"<LastModified>{format_iso(part.modified_ms)}</LastModified>"
    asked = part.checksum is not None and upload.record.checksum_algorithm
    checksum = checksum_elements(part.checksum) if part.checksum is not None and asked else ""
    told = version_headers(source.bucket, record, b"x-amz-copy-source-version-id")
    told += encryption_headers(upload.record.encryption)
    return document("CopyPartResult", content + checksum, headers=told)


def _accept(*_: object) -> None:
    """The bytes come from the store itself, where every fragment was verified."""


async def complete_upload(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    body = await read_plain(request, _COMPLETE_MAX_BYTES)
    upload_id = upload_id_of(request)
    if not body:
        await service.uploads.find(bucket, request.key, upload_id)
        raise S3Error("MalformedXML")
    parts = _parse_complete(body)
    if service.compat.repeated_parts:
        parts = last_of_each(parts)
    if not parts:
        await service.uploads.find(bucket, request.key, upload_id)
        raise S3Error("InvalidRequest", "You must specify at least one part")
    if service.compat.needs_customer_key:
        await _check_customer_key(service, request, bucket, upload_id)
    given = _object_checksum(request)
    kind = request.header(b"x-amz-checksum-type")
    announced = request.headers.get(b"x-amz-mp-object-size")
    size = parse_count(announced)
    if announced is not None and size is None:
        raise S3Error("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
    completion = Completion(
        parts,
        write_conditions(request, service.compat),
        given,
        kind if kind in ("COMPOSITE", "FULL_OBJECT") else None,  # type: ignore[arg-type]
        size,
        cause_of(request, "s3:ObjectCreated:CompleteMultipartUpload"),
        service.compat.parts_without_checksums,
        service.compat.untyped_checksums,
    )
    record = await service.uploads.complete(bucket, request.key, upload_id, completion)
    content = (
        element("Location", location_of(request))
        + element("Bucket", request.bucket_name)
        + element("Key", request.key_text)
        + etag_element(record.etag)
    )
    checksum = ""
    sealed = record.encryption is not None and record.encryption.algorithm != "AES256"
    if record.checksum is not None and (not sealed or record.checksum.type == "COMPOSITE" or given is not None):
        checksum = checksum_elements(record.checksum, typed=True)
    told = made_headers(bucket, record) + encryption_headers(record.encryption)
    told += expiration_headers(bucket, request.key, record)
    return document("CompleteMultipartUploadResult", content + checksum, headers=told)


async def _check_customer_key(service: Service, request: S3Request, bucket: Bucket, upload_id: bytes) -> None:
    try:
        upload = await service.uploads.find(bucket, request.key, upload_id)
    except NoSuchUpload:
        return  # it may be completed already
    if upload.record.encryption is not None and upload.record.encryption.algorithm == "SSE-C":
        await service.encryptor.open_upload(request, upload.record.encryption)


def _object_checksum(request: S3Request) -> Checksum | None:
    """The checksum of the whole object that a client states when it completes an upload."""
    for algorithm in ALGORITHMS.values():
        value = request.header(algorithm.header.encode())
        if value is not None:
            return Checksum(algorithm.name, value)
    return None


def _parse_complete(body: bytes) -> list[CompletePart]:
    root = parse_document(body, ELEMENTS_MAX)
    items = [child for child in root.children if child.name == "Part"]
    if root.name != "CompleteMultipartUpload":
        raise S3Error("MalformedXML")
    if len(items) > PARTS_MAX:
        raise S3Error("InvalidArgument", f"An upload has at most {PARTS_MAX} parts")
    return [_parse_part(item) for item in items]


def _parse_part(item: Element) -> CompletePart:
    number, etag = parse_count((item.find("PartNumber") or "").strip()), item.find("ETag")
    if number is None or etag is None:
        raise S3Error("MalformedXML")
    given = {}
    for algorithm in ALGORITHMS.values():
        value = item.find(algorithm.element)
        if value is not None:
            given[algorithm.name] = value
    return CompletePart(number, strip_etag(etag), given)


async def abort_upload(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await service.uploads.abort(bucket, request.key, upload_id_of(request))
    return empty()
