"""Owns annotations of objects on the wire.

Source: AWS, PutObjectAnnotation and its neighbours in the Amazon S3 API Reference; "Annotating your objects" in the
Amazon S3 User Guide.
"""

import base64
import codecs
import unicodedata
from collections.abc import Mapping

from pyrite.aws.dates import format_iso
from pyrite.aws.xml import element
from pyrite.http.response import Headers, Response, http_date
from pyrite.objects.annotating import ANNOTATION_MAX_BYTES, NAME_MAX_BYTES, Annotated, Annotation, Payload
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.finding import ANNOTATIONS_MAX
from pyrite.objects.records import ObjectRecord, PartRecord
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import document, empty, etag_element, number_parameter
from pyrite.s3.encryption import SSE
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.handlers.locks import may_bypass
from pyrite.s3.headers import checksum_headers
from pyrite.s3.integrity import Integrity
from pyrite.s3.payload import open_source
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service
from pyrite.s3.versions import named_version, version_headers, version_of

_RESERVED = ("aws", "s3")


class _Utf8:
    """A running check that bytes are UTF-8: `valid` once all of them have been seen."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._broken = False

    def update(self, data: memoryview | bytes, /) -> None:
        try:
            self._decoder.decode(bytes(data))
        except UnicodeDecodeError:
            self._broken = True

    def digest(self) -> bytes:
        try:
            self._decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            self._broken = True
        return b"" if self._broken else b"valid"


async def put_annotation(service: Service, request: S3Request) -> Response:
    bucket, name = await find(service, request), _name(request)
    integrity = Integrity(request.headers, request.payload.sha256)
    source = open_source(request, integrity)
    if source.length is not None and source.length > ANNOTATION_MAX_BYTES:
        sizes = (("ProposedSize", str(source.length)), ("MaxSizeAllowed", str(ANNOTATION_MAX_BYTES)))
        raise S3Error("EntityTooLarge", None, sizes)
    annotated = _annotated(request, bucket, name, "s3:ObjectAnnotation:Put")
    record = await service.objects.find(bucket, request.key, annotated.version)
    annotated.conditions.check(record.etag)
    if record.encryption is not None and record.encryption.algorithm == "SSE-C":
        raise S3Error("InvalidRequest", "Objects that are encrypted with a client's own key cannot have annotations.")
    key = await service.encryptor.open(request, record.encryption)

    def check(digests: Mapping[str, bytes], size: int) -> None:
        if size > ANNOTATION_MAX_BYTES:  # its length was not told
            raise S3Error("EntityTooLarge")
        integrity.check(digests, size)
        if not size:
            raise S3Error("InvalidRequest", "An annotation has at least one byte.")
        if not digests["UTF-8"]:
            raise S3Error("UnsupportedMediaType", "Annotations are UTF-8 text; encode other bytes, as in base64.")

    payload = Payload(source, {**integrity.hashers(), "UTF-8": _Utf8()}, check, integrity.stored.name)
    record, part = await service.annotating.put(bucket, annotated, record, payload, key)
    told = _version(bucket, record) + _told(record, part)
    assert part.checksum is not None
    content = element("Key", request.key_text) + element("AnnotationName", name.decode())
    return document("PutObjectAnnotationOutput", content, headers=told + checksum_headers(part.checksum))


async def get_annotation(service: Service, request: S3Request) -> Response:
    bucket, name = await find(service, request), _name(request)
    record = await find_judged(service, request, bucket)
    part = await service.annotating.find(record, name)
    key = await service.encryptor.open(request, record.encryption)
    data = await service.annotating.read(part, key)
    told = [
        *_version(bucket, record),
        *_told(record, part),
        (b"Last-Modified", http_date(part.modified_ms // 1000)),
        (b"Content-Type", b"binary/octet-stream"),
    ]
    if request.headers.get(b"x-amz-checksum-mode", b"").upper() == b"ENABLED" and part.checksum is not None:
        told += checksum_headers(part.checksum)
    return Response(200, told, data)


async def list_annotations(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    limit = number_parameter(request, b"max-annotation-results", ANNOTATIONS_MAX, ANNOTATIONS_MAX)
    prefix = request.parameter(b"annotation-prefix") or ""
    if len(prefix.encode()) > NAME_MAX_BYTES:
        raise S3Error("InvalidPrefix")
    token = request.parameter(b"continuation-token") or ""
    record = await find_judged(service, request, bucket)
    found = await service.annotating.list(record, prefix.encode(), _after(token), limit + 1)
    page = found[:limit]
    content = element("Bucket", bucket.record.name) + element("Key", request.key_text)
    if prefix:
        content += element("AnnotationPrefix", prefix)
    content += element("MaxAnnotationResults", str(limit)) + element("AnnotationCount", str(len(page)))
    if token:
        content += element("ContinuationToken", token)
    if len(found) > limit and page:
        following = base64.urlsafe_b64encode(page[-1].name).decode()
        content += element("NextContinuationToken", following)
    listed = "".join(_entry(annotation) for annotation in page)
    content += f"<Annotations>{listed}</Annotations>"
    return document("ListObjectAnnotationsOutput", content, headers=_version(bucket, record))


async def delete_annotation(service: Service, request: S3Request) -> Response:
    bucket, name = await find(service, request), _name(request)
    annotated = _annotated(request, bucket, name, "s3:ObjectAnnotation:Delete")
    record = await service.annotating.delete(
        bucket,
        annotated._replace(bypass=await may_bypass(service, request, bucket, request.key, named_version(request))),
    )
    return empty(204, _version(bucket, record))


def _name(request: S3Request) -> bytes:
    """The name that the request is about. Raises S3Error."""
    name = request.query.get(b"annotationName", b"")
    if len(name) > NAME_MAX_BYTES:
        raise S3Error("AnnotationNameTooLong")
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise S3Error("InvalidAnnotationName") from None
    if not text or text.lower().startswith(_RESERVED) or not all(_may_stand(character) for character in text):
        raise S3Error("InvalidAnnotationName")
    return name


def _may_stand(character: str) -> bool:
    """Letters of any language, with their marks, digits, and three more."""
    return character in "0123456789_.-" or unicodedata.category(character)[0] in "LM"


def _annotated(request: S3Request, bucket: Bucket, name: bytes, event: str) -> Annotated:
    guard = request.judged.guard(bucket, request.key, named_version(request))
    conditions = WriteConditions(if_match=request.header(b"x-amz-object-if-match"), guard=guard)
    return Annotated(request.key, version_of(request), name, conditions, cause=cause_of(request, event))


def _version(bucket: Bucket, record: ObjectRecord) -> Headers:
    return version_headers(bucket, record, b"x-amz-object-version-id")


def _told(record: ObjectRecord, part: PartRecord) -> Headers:
    told = [(b"ETag", b'"%b"' % part.etag.encode())]
    if record.encryption is not None:
        told.append((SSE, record.encryption.algorithm.encode()))
    return told


def _entry(annotation: Annotation) -> str:
    part = annotation.record
    assert part.checksum is not None
    content = (
        element("AnnotationName", annotation.name.decode())
        + element("LastModified", format_iso(part.modified_ms))
        + etag_element(part.etag)
        + element("ChecksumAlgorithm", part.checksum.algorithm)
        + element("Size", str(part.size_bytes))
    )
    return f"<AnnotationEntry>{content}</AnnotationEntry>"


def _after(token: str) -> bytes:
    """The name after which a listing goes on. Raises S3Error."""
    try:
        return base64.b64decode(token, b"-_", validate=True)
    except ValueError:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from None
