"""Owns GET and HEAD of objects, their attributes, and what little an object's sub-resources have to tell."""

from pyrite.aws.xml import element
from pyrite.core.counts import parse_count
from pyrite.http.response import Headers, Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import NotModified
from pyrite.objects.errors import NoSuchPart, PreconditionFailed
from pyrite.objects.records import Checksum, ObjectRecord, PartRecord
from pyrite.s3.customerkeys import CUSTOMER
from pyrite.s3.documents import document, number_parameter
from pyrite.s3.encryption import SSE
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.headers import (
    ARCHIVES,
    checksum_headers,
    expiration_headers,
    last_modified_of,
    object_headers,
    override,
    range_is_of,
    read_conditions,
)
from pyrite.s3.operations import DETAILS, VERSION_ACTIONS
from pyrite.s3.ranges import Range, parse_range
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service
from pyrite.s3.told import BegunBody
from pyrite.s3.versions import named_version, version_headers

_PARTS_PAGE = 1000
_KEPT_UNMODIFIED = (b"Last-Modified", b"ETag", b"Cache-Control", b"Expires")
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


async def get_object(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    return await _read(service, request, bucket, with_body=True)


async def head_object(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    return await _read(service, request, bucket, with_body=False)


async def get_torrent(service: Service, request: S3Request) -> Response:
    """There are no torrents, and there never were."""
    bucket = await find(service, request)
    await service.objects.find(bucket, request.key)
    raise S3Error("NoSuchKey" if service.compat.no_torrents else "NotImplemented", "Objects have no torrents")


async def _read(service: Service, request: S3Request, bucket: Bucket, with_body: bool) -> Response:
    record = await find_judged(service, request, bucket)
    headers = request.headers
    if with_body and record.storage_class in ARCHIVES:
        check_restored(record, service.clock.now_ms())
    if b"partNumber" in request.query:
        await _part_of(service, request, record)  # whether there is one comes before who may open it
    key = await _key_of(service, request, record, with_body)
    conditions = read_conditions(request, service.clock.now_ms())
    if conditions is not None:
        try:
            conditions.check(record.etag, record.modified_ms)
        except NotModified:
            kept = [field for field in object_headers(record, False) if field[0] in _KEPT_UNMODIFIED]
            return Response(304, kept + version_headers(bucket, record), None)
    wants_checksum = headers.get(b"x-amz-checksum-mode", b"").upper() == b"ENABLED"
    part_number = request.query.get(b"partNumber") if request.query else None
    text = headers.get(b"range")
    if part_number is not None:
        if text is not None:
            raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
        return await _read_part(service, request, bucket, record, key, wants_checksum, with_body)
    if text is not None and not range_is_of(request, record):
        text = None  # of another object: the client gets this one whole
    chosen = parse_range(text.decode("latin-1"), record.size_bytes) if text is not None else None
    is_whole = chosen is None or chosen == Range(0, record.size_bytes)
    fields = object_headers(record, wants_checksum and is_whole) + version_headers(bucket, record)
    if b"versionId" not in request.query:
        fields += expiration_headers(bucket, request.key, record)
    fields = await _without_details(service, request, bucket, fields)
    if request.query:
        fields = override(fields, request)
    if chosen is None:
        start, stop, status = 0, record.size_bytes, 200
    else:
        start, stop, status = chosen.start, chosen.stop, 206
        fields.append((b"Content-Range", b"bytes %d-%d/%d" % (start, stop - 1, record.size_bytes)))
    return await _respond(service, record, key, status, fields, Range(start, stop), with_body)


async def _without_details(service: Service, request: S3Request, bucket: Bucket, fields: Headers) -> Headers:
    """The header fields without those that tell how the object is tagged and locked to who may not know it."""
    version = named_version(request)
    for action, names in DETAILS.items():
        if any(name.lower() in names for name, _ in fields):
            asked = action if version is None else VERSION_ACTIONS.get(action, action)
            if not await service.access.allows(request, asked, bucket, request.key, version):
                fields = [field for field in fields if field[0].lower() not in names]
    return fields


def check_restored(record: ObjectRecord, now_ms: int) -> None:
    """Raises S3Error while an archived object has not been restored."""
    if record.storage_class in ARCHIVES and record.restored_until_ms <= now_ms:
        raise S3Error("InvalidObjectState", None, (("StorageClass", record.storage_class),))


async def _key_of(service: Service, request: S3Request, record: ObjectRecord, with_body: bool) -> bytes | None:
    """The key of a sealed object, if its bytes are wanted. Raises S3Error."""
    if SSE in request.headers:
        raise S3Error("InvalidArgument", "x-amz-server-side-encryption header is not supported for this operation.")
    if not with_body:
        service.encryptor.check_customer(request, record.encryption)
        return None
    if record.encryption is None and CUSTOMER + b"algorithm" not in request.headers:
        return None
    return await service.encryptor.open(request, record.encryption)


async def _respond(
    service: Service,
    record: ObjectRecord,
    key: bytes | None,
    status: int,
    fields: Headers,
    chosen: Range,
    with_body: bool,
) -> Response:
    start, stop = chosen
    if not with_body:
        return Response(status, fields, None, stop - start)
    if start == stop:
        return Response(status, fields, b"")
    view = service.reading.now(record, start, stop, key)
    if view is not None:
        return Response(status, fields, view)
    stream = service.reading.stream(record, start, stop, key)
    first = await anext(stream)  # so that an unreadable object is an error and not a broken body
    return Response(status, fields, BegunBody(first, stream), stop - start)


async def _read_part(
    service: Service,
    request: S3Request,
    bucket: Bucket,
    record: ObjectRecord,
    key: bytes | None,
    wants_checksum: bool,
    with_body: bool,
) -> Response:
    """GET or HEAD of one part: a range with its own checksum. Part 1 of a plain object is all of it."""
    fields = object_headers(record, False) + version_headers(bucket, record)
    if request.query:
        fields = override(fields, request)
    chosen, checksum = await _part_of(service, request, record)
    if record.part_count:
        fields.append((b"x-amz-mp-parts-count", b"%d" % record.part_count))
    if wants_checksum and checksum is not None:
        fields += checksum_headers(checksum)
    if record.size_bytes:
        content = b"bytes %d-%d/%d" % (chosen.start, chosen.stop - 1, record.size_bytes)
        fields.append((b"Content-Range", content))
    status = 206 if record.size_bytes else 200
    return await _respond(service, record, key, status, fields, chosen, with_body)


async def _part_of(service: Service, request: S3Request, record: ObjectRecord) -> tuple[Range, Checksum | None]:
    """Where the part that a request names is, and its checksum. Raises S3Error when there is none."""
    number = number_parameter(request, b"partNumber", 1, 2**31)
    if not 1 <= number <= 10_000:
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    if not record.part_count:
        if number != 1:
            raise _no_part(record, number)
        return Range(0, record.size_bytes), record.checksum
    try:
        part, start = await service.reading.nth_part(record, number)
    except NoSuchPart:
        raise _no_part(record, number) from None
    checksum = part.checksum
    if checksum is not None and record.checksum is not None:
        checksum = Checksum(checksum.algorithm, checksum.value, record.checksum.type)
    return Range(start, start + part.size_bytes), checksum


def _no_part(record: ObjectRecord, number: int) -> S3Error:
    count = record.part_count or 1
    return S3Error("InvalidPartNumber", None, (("ActualPartCount", str(count)), ("PartNumberRequested", str(number))))


async def get_attributes(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    wanted = [name.strip() for name in (request.header(b"x-amz-object-attributes") or "").split(",")]
    if not any(wanted) or any(name not in _ATTRIBUTES for name in wanted):
        raise S3Error("InvalidArgument", "Invalid attribute name specified.")
    record = await find_judged(service, request, bucket)
    await _key_of(service, request, record, with_body=False)
    conditions = read_conditions(request, service.clock.now_ms())
    if conditions is not None:
        try:
            conditions.check(record.etag, record.modified_ms)
        except NotModified:
            raise PreconditionFailed("If-None-Match") from None
    content = ""
    if "ETag" in wanted:
        content += element("ETag", record.etag)
    if "Checksum" in wanted and record.checksum is not None:
        value = record.checksum.value
        if not service.compat.counted_composites:  # the number of parts stands in ObjectParts
            value = value.partition("-")[0]
        plain = Checksum(record.checksum.algorithm, value, record.checksum.type)
        content += f"<Checksum>{checksum_elements(plain, typed=True)}</Checksum>"
    if "ObjectParts" in wanted and record.part_count:
        content += await _parts_element(service, request, record)
    if "StorageClass" in wanted:
        content += element("StorageClass", record.storage_class)
    if "ObjectSize" in wanted:
        content += f"<ObjectSize>{record.size_bytes}</ObjectSize>"
    told = [last_modified_of(record), *version_headers(bucket, record)]
    return document("GetObjectAttributesResponse", content, headers=told)


async def _parts_element(service: Service, request: S3Request, record: ObjectRecord) -> str:
    limit = _header_number(request, b"x-amz-max-parts", _PARTS_PAGE)
    after = _header_number(request, b"x-amz-part-number-marker", 0)
    count = f"<PartsCount>{record.part_count}</PartsCount>"
    own = record.checksum is not None and record.checksum.type == "COMPOSITE"
    if not own and not service.compat.lists_all_parts:
        return f"<ObjectParts>{count}</ObjectParts>"  # as AWS: parts are listed with their own checksums only
    parts = await service.reading.parts(record, after, limit + 1)
    shown, more = parts[:limit], len(parts) > limit
    last = shown[-1].number if shown else 0
    listed = "".join(_part_element(part, own) for part in shown)
    return (
        f"<ObjectParts>{count}<PartNumberMarker>{after}</PartNumberMarker>"
        f"<NextPartNumberMarker>{last}</NextPartNumberMarker><MaxParts>{limit}</MaxParts>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{listed}</ObjectParts>"
    )


def _part_element(part: PartRecord, with_checksum: bool) -> str:
    checksum = checksum_elements(part.checksum) if with_checksum and part.checksum is not None else ""
    return f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size_bytes}</Size>{checksum}</Part>"


def _header_number(request: S3Request, name: bytes, default: int) -> int:
    text = request.headers.get(name)
    if text is None:
        return default
    number = parse_count(text)
    if number is None:
        raise S3Error(
            "InvalidArgument",
            f"Provided {name.decode()} not an integer or within integer range",
            (("ArgumentName", name.decode()), ("ArgumentValue", text_of(text))),
        )
    return min(number, 1000 if name == b"x-amz-max-parts" else 10_000)


def checksum_elements(checksum: Checksum, typed: bool = False) -> str:
    """A checksum as elements, with its type if `typed`."""
    kind = f"<ChecksumType>{checksum.type}</ChecksumType>" if typed else ""
    name = f"Checksum{checksum.algorithm}"
    return f"<{name}>{checksum.value}</{name}>{kind}"
