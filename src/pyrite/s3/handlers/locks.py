"""Owns the operations of object lock: retention, legal hold, and the configuration of buckets."""

from msgspec.structs import replace

from pyrite.aws import xml
from pyrite.aws.xml import element
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.locking import check_retention
from pyrite.objects.records import BucketRecord, Lock, ObjectRecord
from pyrite.s3.documents import document, empty
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.objectlock import parse_configuration, parse_hold, parse_retention, retention_content
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.versions import named_version, version_headers, version_of

BYPASS = b"x-amz-bypass-governance-retention"
_NO_LOCK = "Bucket is missing Object Lock Configuration"


async def _find_lockable(service: Service, request: S3Request) -> Bucket:
    bucket = await find(service, request)
    if not bucket.record.lock:
        raise S3Error("InvalidRequest", _NO_LOCK)
    return bucket


async def put_configuration(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    body = await read_document(request)
    if not body:
        raise S3Error("MissingRequestBodyError")
    root = parse_document(body)
    parse_configuration(root)
    text = xml.write(root)

    def change(found: BucketRecord) -> BucketRecord:
        if found.versioning != "Enabled":
            raise S3Error(
                "InvalidBucketState", "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            )
        return replace(found, lock=True, configurations={**found.configurations, "object-lock": text})

    await service.buckets.edit(bucket, change)
    return empty(200)


async def get_configuration(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if not bucket.record.lock:
        raise S3Error("ObjectLockConfigurationNotFoundError", None, (("BucketName", request.bucket_name),))
    text = bucket.record.configurations.get("object-lock", "")
    if not text:
        return document("ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>")
    content = "".join(xml.write(child) for child in xml.parse(text.encode()).children)
    return document("ObjectLockConfiguration", content)


async def get_retention(service: Service, request: S3Request) -> Response:
    bucket = await _find_lockable(service, request)
    record = await find_judged(service, request, bucket)
    if record.lock is None or not record.lock.mode:
        raise S3Error("NoSuchObjectLockConfiguration")
    return document("Retention", retention_content(record.lock), headers=version_headers(bucket, record))


async def put_retention(service: Service, request: S3Request) -> Response:
    bucket = await _find_lockable(service, request)
    now_ms = service.clock.now_ms()
    mode, until_ms = parse_retention(await read_document(request), now_ms)
    bypass = await may_bypass(service, request, bucket, request.key, named_version(request))

    def change(found: ObjectRecord) -> ObjectRecord:
        request.judged.check(bucket, request.key, named_version(request), found)
        old = found.lock or Lock()
        new = Lock(mode, until_ms, old.hold)
        check_retention(found.lock, new, now_ms, bypass)
        return replace(found, lock=new)

    record = await service.naming.amend(bucket, request.key, version_of(request), change)
    return empty(200, version_headers(bucket, record))


def check_bypassable(bucket: Bucket) -> None:
    """Raises S3Error where there is no retention that could be lifted: the bucket's versions cannot be locked."""
    if not bucket.record.lock:
        name = BYPASS.decode()
        raise bad_argument(f"{name} is only applicable to Object Lock enabled buckets.", name)


async def may_bypass(service: Service, request: S3Request, bucket: Bucket, key: bytes, version: bytes | None) -> bool:
    """Whether the request asks for lifting governance retention. Raises S3Error when its caller may not."""
    if (request.header(BYPASS) or "").lower() != "true":
        return False
    await service.access.require(request, "s3:BypassGovernanceRetention", bucket, key, version=version)
    return True


async def get_hold(service: Service, request: S3Request) -> Response:
    bucket = await _find_lockable(service, request)
    record = await find_judged(service, request, bucket)
    if record.lock is None or not record.lock.hold:
        raise S3Error("NoSuchObjectLockConfiguration")
    return document("LegalHold", element("Status", record.lock.hold), headers=version_headers(bucket, record))


async def put_hold(service: Service, request: S3Request) -> Response:
    status = parse_hold(await read_document(request))
    bucket = await _find_lockable(service, request)

    def change(found: ObjectRecord) -> ObjectRecord:
        request.judged.check(bucket, request.key, named_version(request), found)
        return replace(found, lock=replace(found.lock or Lock(), hold=status))

    record = await service.naming.amend(bucket, request.key, version_of(request), change)
    return empty(200, version_headers(bucket, record))
