"""Owns server access logging: a bucket's configuration, and the line that tells of a request.

Source: AWS, "Logging requests with server access logging" and "Amazon S3 server access log format".
"""

import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from pyrite.aws import xml
from pyrite.aws.xml import Element
from pyrite.core.counts import parse_count
from pyrite.core.lru import remembered
from pyrite.core.redaction import without_signature
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.s3.errors import S3Error
from pyrite.s3.request import S3Request, text_of

CONFIGURATION = "logging"
_SOURCES = ("EventTime", "DeliveryTime")


class Logging(NamedTuple):
    """Where the records of a bucket go; `partitioned` by the time of the events or of the delivery, or "" for not.

    `grants` are the elements of grants that the objects of records have beside their owner's.
    """

    bucket: str
    prefix: str
    partitioned: str = ""
    grants: tuple[Element, ...] = ()


def parse(root: Element) -> Logging | None:
    """What a BucketLoggingStatus says; None for one that is off. Raises S3Error."""
    enabled = [child for child in root.children if child.name == "LoggingEnabled"]
    if root.name != "BucketLoggingStatus" or len(enabled) > 1:
        raise S3Error("MalformedXML")
    if not enabled:
        return None
    bucket, prefix = enabled[0].find("TargetBucket"), enabled[0].find("TargetPrefix")
    if not bucket or prefix is None:
        raise S3Error("MalformedXML")
    grants = tuple(one for child in enabled[0].children if child.name == "TargetGrants" for one in child.children)
    formats = [child for child in enabled[0].children if child.name == "TargetObjectKeyFormat"]
    partitioned = [one for child in formats for one in child.children if one.name == "PartitionedPrefix"]
    source = partitioned[0].find("PartitionDateSource") or "DeliveryTime" if partitioned else ""
    if source and source not in _SOURCES:
        raise S3Error("MalformedXML")
    return Logging(bucket, prefix, source, grants)


def logging_of(bucket: Bucket) -> Logging | None:
    """Where the records of a bucket go; None where it is not logged."""
    text = bucket.record.configurations.get(CONFIGURATION)
    return None if text is None else _stored(text)


@remembered
def _stored(text: str) -> Logging | None:
    return parse(xml.parse(text.encode()))


_NAMES = {
    "CopyObject": "REST.COPY.OBJECT",
    "UploadPartCopy": "REST.COPY.PART",
    "UploadPart": "REST.PUT.PART",
    "CreateMultipartUpload": "REST.POST.UPLOADS",
    "CompleteMultipartUpload": "REST.POST.UPLOAD",
    "AbortMultipartUpload": "REST.DELETE.UPLOAD",
    "ListParts": "REST.GET.UPLOAD",
    "ListMultipartUploads": "REST.GET.UPLOADS",
    "ListObjectVersions": "REST.GET.BUCKETVERSIONS",
    "DeleteObjects": "REST.POST.MULTI_OBJECT_DELETE",
    "GetObjectTagging": "REST.GET.OBJECT_TAGGING",
    "PutObjectTagging": "REST.PUT.OBJECT_TAGGING",
    "DeleteObjectTagging": "REST.DELETE.OBJECT_TAGGING",
    "RestoreObject": "REST.POST.OBJECT.RESTORE",
}


def name_of(request: S3Request) -> str:
    """What a log calls the operation of a request."""
    operation = request.operation
    if operation is None:
        return f"REST.{request.method}.{'OBJECT' if request.key else 'BUCKET'}"
    known = _NAMES.get(operation.name)
    if known is not None:
        return known
    if operation.marker in ("", "list-type"):
        return f"REST.{operation.method}.{operation.scope.upper()}"
    return f"REST.{operation.method}.{operation.marker.upper()}"


class Happened(NamedTuple):
    """What came of a request: the error's code ("" for none), when it began, how long it took, and the body's bytes."""

    error: str
    begun_ms: int
    total_ms: int
    sent_bytes: int


def line_of(request: S3Request, bucket: Bucket, response: Response, happened: Happened, host_id: str) -> str:
    """The record of a request, 26 fields in AWS's order."""
    told = {name.lower(): text_of(value) for name, value in response.headers}
    caller, headers = request.caller, request.headers
    auth = {"REST-HEADER": "AuthHeader", "REST-QUERY-STRING": "QueryString", "POST": "AuthHeader"}
    version = {"AWS4-HMAC-SHA256": "SigV4", "AWS": "SigV2"}
    sent = happened.sent_bytes
    fields = (
        bucket.record.owner,
        bucket.record.name,
        time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", time.gmtime(happened.begun_ms // 1000)),
        request.http.peer or "-",
        "-" if caller.is_anonymous else caller.arn if caller.kind != "Account" else caller.owner,
        request.id,
        name_of(request),
        _encoded(request.key_text),
        _quoted(f"{request.method} {text_of(without_signature(request.http.head.target))} HTTP/1.1"),
        str(response.status),
        happened.error or "-",
        str(sent) if sent else "-",
        _size(request, response, told),
        str(happened.total_ms),
        str(happened.total_ms),
        _quoted(text_of(headers.get(b"referer", b""))),
        _quoted(text_of(headers.get(b"user-agent", b""))),
        told.get(b"x-amz-version-id") or request.parameter(b"versionId") or "-",
        host_id,
        version.get(request.signature.version, "-"),
        "-",
        auth.get(request.signature.auth_type, "-"),
        text_of(headers.get(b"host", b"-")),
        "TLSv1.3" if request.http.secure else "-",
        "-",
        "Yes" if request.needed_acl else "-",
    )
    return " ".join(fields)


def _size(request: S3Request, response: Response, told: Mapping[bytes, str]) -> str:
    """The size of the object that the request is about, where that is known."""
    whole = told.get(b"content-range", "").rpartition("/")[2]
    if parse_count(whole) is not None:
        return whole
    if request.operation is not None and request.operation.name in ("PutObject", "UploadPart"):
        length = request.headers.get(b"x-amz-decoded-content-length", request.headers.get(b"content-length", b""))
        return text_of(length) or "-"
    if request.operation is not None and request.operation.name in ("GetObject", "HeadObject") and response.length:
        return str(response.length)
    return "-"


def _encoded(key: str) -> str:
    return quote(key, "/-._~") if key else "-"


def _quoted(text: str) -> str:
    """A field that clients choose: in quotes, with nothing in it that could end it or the line."""
    if not text:
        return '"-"'
    return '"' + "".join(c if c.isprintable() and c not in '"\\[]' else quote(c) for c in text) + '"'
