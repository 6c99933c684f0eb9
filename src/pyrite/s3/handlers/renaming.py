"""Owns renaming an object within its bucket, in one transaction.

Source: AWS, "RenameObject" in the Amazon S3 API Reference; here on every bucket that keeps no versions.
"""

from pyrite.aws import uri
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import NotModified, ReadConditions
from pyrite.objects.errors import PreconditionFailed
from pyrite.objects.keys import check_key
from pyrite.objects.records import ObjectRecord
from pyrite.objects.renaming import Check, rename
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.headers import read_conditions, write_conditions
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service

_SOURCE = b"x-amz-rename-source"


async def rename_object(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    source = _source_of(request)
    check_key(request.key)
    for action in ("s3:GetObject", "s3:DeleteObject"):
        await service.access.require(request, action, bucket, source)
    if source == request.key:
        raise S3Error("InvalidRequest", "The source and the destination of a rename are the same object")
    of_target = write_conditions(request, service.compat).check_found
    causes = cause_of(request, "s3:ObjectRemoved:Delete"), cause_of(request, "s3:ObjectCreated:Copy")
    of_source = _source_check(request, bucket, source, service.clock.now_ms())
    await rename(service.naming, bucket, source, request.key, of_source, of_target, causes)
    return empty(200)


def _source_of(request: S3Request) -> bytes:
    """The key in x-amz-rename-source, alone or behind the bucket's name. Raises S3Error."""
    raw = request.headers.get(_SOURCE, b"")
    source = uri.decode(raw).removeprefix(b"/")
    if raw.startswith(b"/"):
        bucket, _, source = source.partition(b"/")
        if bucket.decode("utf-8", "replace") != request.bucket_name:
            raise S3Error("InvalidRequest", "An object is renamed within its bucket")
    if not source:
        raise S3Error("InvalidArgument", "x-amz-rename-source names no object", (("ArgumentName", _SOURCE.decode()),))
    return source


def _source_check(request: S3Request, bucket: Bucket, source: bytes, now_ms: int) -> Check:
    conditions = read_conditions(request, now_ms, _SOURCE + b"-")

    def check(found: ObjectRecord | None) -> None:
        if found is not None:
            request.judged.check(bucket, source, None, found)
            _check(conditions, found, "x-amz-rename-source-If-None-Match")

    return check


def _check(conditions: ReadConditions | None, found: ObjectRecord, name: str) -> None:
    if conditions is None:
        return
    try:
        conditions.check(found.etag, found.modified_ms)
    except NotModified:
        raise PreconditionFailed(name) from None
