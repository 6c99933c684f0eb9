"""Owns PUT of objects."""

from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.objects import Given, Put
from pyrite.objects.records import Lock
from pyrite.s3.acl import ownership_of_new
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import empty
from pyrite.s3.encryption import encryption_headers
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.headers import (
    attributes_of,
    checksum_headers,
    expiration_headers,
    write_conditions,
)
from pyrite.s3.integrity import Integrity
from pyrite.s3.objectlock import LOCK_HEADERS, lock_of_new
from pyrite.s3.payload import open_source
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service
from pyrite.s3.versions import made_headers


async def put_object(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    return await put_new(service, request, bucket, write_conditions(request, service.compat))


async def put_new(service: Service, request: S3Request, bucket: Bucket, conditions: WriteConditions) -> Response:
    """Make an object of a request's body."""
    attributes = attributes_of(request.headers, strips=service.compat.strips_aws_chunked)
    integrity = Integrity(request.headers, request.payload.sha256)
    source = open_source(request, integrity)
    if conditions.if_match is not None or conditions.if_none_match is not None:
        await _check_early(service, bucket, request.key, conditions)
    sealing = await service.encryptor.for_new(request, bucket)
    lock = lock_of_checked(service, request, bucket, integrity)
    owner, acl = await ownership_of_new(service, request, bucket)
    given = Given(
        attributes,
        owner,
        integrity.stored.name,
        conditions,
        lock,
        acl,
        sealing,
        cause_of(request, "s3:ObjectCreated:Put"),
    )
    put = Put(given, integrity.hashers(), integrity.check)
    record = await service.objects.put(bucket, request.key, source, put)
    assert record.checksum is not None
    told = [
        *checksum_headers(record.checksum),
        *made_headers(bucket, record),
        *encryption_headers(record.encryption),
    ]
    told += expiration_headers(bucket, request.key, record)
    return empty(200, [(b"ETag", b'"%b"' % record.etag.encode()), *told])


def lock_of_checked(service: Service, request: S3Request, bucket: Bucket, integrity: Integrity) -> Lock | None:
    """The lock of a new object, for which its bytes have to come with a checksum. Raises S3Error."""
    lock = lock_of_new(request, bucket, service.clock.now_ms())
    if lock is not None and LOCK_HEADERS.intersection(request.headers) and not integrity.is_asked:
        raise S3Error(
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests "
            "with Object Lock parameters",
        )
    return lock


async def _check_early(service: Service, bucket: Bucket, key: bytes, conditions: WriteConditions) -> None:
    """Refuse before the body is read what could not be committed; the commit checks again."""
    found = await service.naming.current(bucket, key)
    conditions.check_found(found.record if found is not None else None)
