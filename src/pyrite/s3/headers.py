"""Owns the headers of objects: what a request says of an object, and what a response tells of one."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from pyrite.aws.checksums import ALGORITHMS
from pyrite.aws.dates import parse_http
from pyrite.aws.payload import STREAMING
from pyrite.http.response import Headers, http_date
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ReadConditions, WriteConditions
from pyrite.objects.records import Attributes, Checksum, ObjectRecord
from pyrite.s3.compat import Compat
from pyrite.s3.encryption import encryption_headers
from pyrite.s3.errors import S3Error
from pyrite.s3.objectlock import lock_headers
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.tags import tags_of_header
from pyrite.s3.usermetadata import decode_metadata, encode_metadata
from pyrite.services.lifecyclerules import CLASSES, abort_of, expiry_of, rules_in

USER_METADATA_MAX_BYTES = 2048
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
STORAGE_CLASSES = frozenset(("STANDARD", "REDUCED_REDUNDANCY", *CLASSES))
ARCHIVES = frozenset(("GLACIER", "DEEP_ARCHIVE"))
"""The classes whose objects have to be restored before they are read."""

_REDIRECT = "x-amz-website-redirect-location"
_KEPT = {
    b"cache-control": "Cache-Control",
    b"content-disposition": "Content-Disposition",
    b"content-encoding": "Content-Encoding",
    b"content-language": "Content-Language",
    b"expires": "Expires",
}
_OVERRIDES = {
    b"response-cache-control": "Cache-Control",
    b"response-content-disposition": "Content-Disposition",
    b"response-content-encoding": "Content-Encoding",
    b"response-content-language": "Content-Language",
    b"response-content-type": "Content-Type",
    b"response-expires": "Expires",
}
_META = b"x-amz-meta-"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110 section 5.6.2
_REDIRECTS = ("/", "http://", "https://")
REDIRECT_MAX_CHARACTERS = 2048
_TYPE_REMEMBERED_MAX_BYTES = 128
"""The longest content type that is remembered."""
WRITE_OFFSET = b"x-amz-write-offset-bytes"
# Headers that would change what is stored in ways that an operation cannot: refused, never ignored.
_NOT_IMPLEMENTED = frozenset((WRITE_OFFSET,)) | {
    b"x-amz-object-lock-event-hold" + more for more in (b"", b"-duration-days", b"-duration-years")
}
TELL_NOTHING = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"amz-sdk-invocation-id",
        b"amz-sdk-request",
        b"authorization",
        b"connection",
        b"content-length",
        b"content-md5",
        b"content-type",
        b"date",
        b"expect",
        b"host",
        b"user-agent",
        b"x-amz-checksum-crc32",
        b"x-amz-checksum-crc32c",
        b"x-amz-checksum-crc64nvme",
        b"x-amz-checksum-sha256",
        b"x-amz-content-sha256",
        b"x-amz-date",
        b"x-amz-sdk-checksum-algorithm",
    )
)
"""Headers that say nothing of the object, beside its type."""


def refuse_unimplemented(fields: Mapping[bytes, bytes]) -> None:
    """Raises S3Error when a header asks for a feature that is not there."""
    if not _NOT_IMPLEMENTED.isdisjoint(fields):
        name = sorted(_NOT_IMPLEMENTED.intersection(fields))[0]
        raise S3Error(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            (("Header", text_of(name)),),
        )


def attributes_of(fields: Mapping[bytes, bytes], are_words: bool = True, strips: bool = False) -> Attributes:
    """What the headers of a request say of the object it makes; unless they `are_words`, metadata is taken as it is.
    `strips`: aws-chunked is no coding of an object, however it is sent.

    Raises S3Error.
    """
    if fields.keys() <= TELL_NOTHING:
        return _only_type(fields.get(b"content-type"))
    refuse_unimplemented(fields)
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    size = 0
    for name, value in fields.items():
        kept = _KEPT.get(name)
        if kept is not None:
            headers[kept] = text_of(value)
        elif name.startswith(_META):
            metadata[text_of(name[len(_META) :])] = decode_metadata(value) if are_words else text_of(value)
            size += len(name) - len(_META) + len(value)
    _check_sendable(headers, metadata)
    if size > USER_METADATA_MAX_BYTES:
        raise S3Error("MetadataTooLarge", None, (("Size", str(size)), ("MaxSizeAllowed", str(USER_METADATA_MAX_BYTES))))
    headers |= redirect_of(fields)
    if "Content-Encoding" in headers and (strips or fields.get(b"x-amz-content-sha256") in STREAMING):
        _strip_aws_chunked(headers)
    content_type = fields.get(b"content-type")
    return Attributes(
        DEFAULT_CONTENT_TYPE if content_type is None else text_of(content_type),
        headers,
        metadata,
        storage_class_of(fields),
        tags_of_header(fields[b"x-amz-tagging"]) if b"x-amz-tagging" in fields else {},
    )


def _only_type(content_type: bytes | None) -> Attributes:
    is_short = content_type is None or len(content_type) <= _TYPE_REMEMBERED_MAX_BYTES
    return (_typed_once if is_short else _typed)(content_type)


def _typed(content_type: bytes | None) -> Attributes:
    return Attributes(DEFAULT_CONTENT_TYPE if content_type is None else text_of(content_type))


def _check_sendable(headers: Mapping[str, str], metadata: Mapping[str, str]) -> None:
    """Raises S3Error for what no answer could give back: forms and presigned parameters are not checked by HTTP."""
    for name, value in (*headers.items(), *((name, "") for name in metadata)):  # metadata is encoded
        if _CONTROL.search(value) or not _NAME.match(name):
            raise S3Error(
                "InvalidArgument",
                "A header holds a character that cannot be sent back.",
                (("ArgumentName", name), ("ArgumentValue", value)),
            )


_typed_once = lru_cache(maxsize=1024)(_typed)


def redirect_of(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Where a website sends those who ask for the object, as it is kept. Raises S3Error."""
    raw = fields.get(b"x-amz-website-redirect-location")
    if raw is None:
        return {}
    moved = text_of(raw)
    if not (moved.startswith(_REDIRECTS) and len(moved) <= REDIRECT_MAX_CHARACTERS):
        raise S3Error("InvalidRedirectLocation")
    return {_REDIRECT: moved}


def without_redirect(headers: Mapping[str, str]) -> dict[str, str]:
    """What a copy takes of its source's headers: where a website sends people is never copied."""
    return {name: value for name, value in headers.items() if name != _REDIRECT}


def range_is_of(request: S3Request, record: ObjectRecord) -> bool:
    """Whether the range that is asked for is one of this object, as far as If-Range says of which. RFC 9110, 13.1.5."""
    wanted = request.header(b"if-range")
    if wanted is None:
        return True
    if wanted.strip().startswith(('"', "W/")):
        return wanted.strip() == f'"{record.etag}"'
    return parse_http(wanted) == record.modified_ms // 1000


def storage_class_of(fields: Mapping[bytes, bytes]) -> str:
    """The storage class asked for. Raises S3Error."""
    name = text_of(fields.get(b"x-amz-storage-class") or b"STANDARD")
    if name not in STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", None, (("StorageClassRequested", name),))
    return name


def _strip_aws_chunked(headers: dict[str, str]) -> None:
    """Where a payload is sent in chunks, `aws-chunked` is its transfer form, not a property of the object."""
    codings = [coding.strip() for coding in headers["Content-Encoding"].split(",")]
    kept = [coding for coding in codings if coding and coding.lower() != "aws-chunked"]
    if kept:
        headers["Content-Encoding"] = ", ".join(kept) if len(kept) < len(codings) else headers["Content-Encoding"]
    else:
        del headers["Content-Encoding"]


def read_conditions(request: S3Request, now_ms: int, prefix: bytes = b"") -> ReadConditions | None:
    """The conditions of a read, or with `prefix` those on a copy's source; None when there are none.

    A date in the future after which something is to have changed is none, as AWS reads it (RFC 2616 section 14.25).
    """
    headers = request.headers
    match, none_match = headers.get(prefix + b"if-match"), headers.get(prefix + b"if-none-match")
    since, before = headers.get(prefix + b"if-modified-since"), headers.get(prefix + b"if-unmodified-since")
    if match is None and none_match is None and since is None and before is None:
        return None
    return ReadConditions(
        None if match is None else text_of(match),
        None if none_match is None else text_of(none_match),
        _past(parse_http(text_of(since)), now_ms) if since is not None else None,
        None if before is None else parse_http(text_of(before)),
    )


def _past(seconds: int | None, now_ms: int) -> int | None:
    return seconds if seconds is not None and seconds <= now_ms // 1000 else None


def write_conditions(request: S3Request, compat: Compat) -> WriteConditions:
    """The conditions of a write. Raises S3Error for the forms that AWS does not implement."""
    match, none_match = request.header(b"if-match"), request.header(b"if-none-match")
    if match is not None and none_match is not None:
        raise _unaccepted("If-Match,If-None-Match", "Multiple conditional request headers present in the request")
    if none_match is not None and none_match.strip() != "*" and not compat.etag_none_match:
        raise _unaccepted("If-None-Match", "We don't accept the provided value of If-None-Match header for this API")
    if match is not None and match.strip() == "*" and not compat.etag_none_match:
        raise _unaccepted("If-Match", "We don't accept the provided value of If-Match header for this API")
    assert request.bucket is not None
    return WriteConditions(match, none_match, guard=request.judged.guard(request.bucket, request.key, None))


def _unaccepted(header: str, message: str) -> S3Error:
    return S3Error("NotImplemented", None, (("Header", header), ("additionalMessage", message)))


def last_modified_of(record: ObjectRecord) -> tuple[bytes, bytes]:
    """The header that tells when an object was made."""
    return b"Last-Modified", _last_modified(record.modified_ms // 1000)


@lru_cache(maxsize=8192)
def _last_modified(seconds: int) -> bytes:
    return http_date(seconds)


def object_headers(record: ObjectRecord, with_checksum: bool) -> Headers:
    """The headers that describe an object, but for those of the range that is sent."""
    attributes = record.attributes
    fields: Headers = [
        last_modified_of(record),
        (b"ETag", b'"%b"' % record.etag.encode()),
        (b"Accept-Ranges", b"bytes"),
        (b"Content-Type", _in_latin_1(attributes.content_type)),
    ]
    for name, value in attributes.headers.items():
        fields.append((name.encode(), _in_latin_1(value)))
    for name, value in attributes.metadata.items():
        fields.append((b"x-amz-meta-" + name.encode(), encode_metadata(value)))
    if attributes.tags:
        fields.append((b"x-amz-tagging-count", b"%d" % len(attributes.tags)))
    if record.storage_class != "STANDARD":
        fields.append((b"x-amz-storage-class", record.storage_class.encode()))
    if record.restored_until_ms and record.storage_class in ARCHIVES:
        until = http_date(record.restored_until_ms // 1000).decode()
        fields.append((b"x-amz-restore", f'ongoing-request="false", expiry-date="{until}"'.encode()))
    if record.lock is not None:
        fields += lock_headers(record.lock)
    if record.encryption is not None:
        fields += encryption_headers(record.encryption)
    if with_checksum and record.checksum is not None:
        fields += checksum_headers(record.checksum)
    return fields


def expiration_headers(bucket: Bucket, key: bytes, record: ObjectRecord) -> Headers:
    """The header that tells when lifecycle rules of the bucket will delete the object; none where no rule does."""
    text = bucket.record.configurations.get("lifecycle")
    if text is None:
        return []
    name = key.decode("utf-8", "replace")
    found = expiry_of(rules_in(text), name, record.size_bytes, record.attributes.tags, record.modified_ms)
    if found is None:
        return []
    date = http_date(found[0] // 1000).decode()
    return [(b"x-amz-expiration", f'expiry-date="{date}", rule-id="{quote(found[1])}"'.encode())]


def abort_headers(bucket: Bucket, key: bytes, begun_ms: int) -> Headers:
    """The headers that tell when lifecycle rules of the bucket will abort an upload; none where no rule does."""
    text = bucket.record.configurations.get("lifecycle")
    found = abort_of(rules_in(text), key.decode("utf-8", "replace"), begun_ms) if text is not None else None
    if found is None:
        return []
    return [(b"x-amz-abort-date", http_date(found[0] // 1000)), (b"x-amz-abort-rule-id", quote(found[1]).encode())]


def checksum_headers(checksum: Checksum) -> Headers:
    """The headers that tell a checksum."""
    name = ALGORITHMS[checksum.algorithm].header
    return [(name.encode(), checksum.value.encode()), (b"x-amz-checksum-type", checksum.type.encode())]


def _in_latin_1(value: str) -> bytes:
    """A header on its way out; what Latin-1 lacks is a space, as AWS sends it."""
    if value.isascii():
        return value.encode("ascii")
    return "".join(character if character <= "\xff" else " " for character in value).encode("latin-1")


def override(fields: Headers, request: S3Request) -> Headers:
    """`fields` with what the response-* parameters of a signed request replace. Raises S3Error."""
    wanted = {_OVERRIDES[name]: value for name, value in request.query.items() if name in _OVERRIDES}
    if not wanted:
        return fields
    if request.caller.is_anonymous:
        raise S3Error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
    for value in wanted.values():
        if any(byte < 0x20 or byte == 0x7F for byte in value):
            raise S3Error("InvalidArgument", "A response header override contains a control character.")
    kept = [(name, value) for name, value in fields if name.decode() not in wanted]
    return kept + [(name.encode(), value) for name, value in wanted.items()]
