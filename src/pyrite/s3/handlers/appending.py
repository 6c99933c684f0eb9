"""Owns PUT of objects with a write offset, which appends to them.

Source: AWS, "Appending data to objects in directory buckets"; PutObject in the Amazon S3 API Reference. Here it works
in every bucket; where versions are kept, an append makes a version.
"""

import msgspec

from pyrite.aws.checksums import ALGORITHMS
from pyrite.core.counts import parse_count
from pyrite.http.response import Response
from pyrite.objects.appending import Addition, check_growth, extends
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import PreconditionFailed, WrongOffset
from pyrite.objects.records import ObjectRecord
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import empty
from pyrite.s3.encryption import KMS_KEY_ID, SSE, encryption_headers
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers import writes
from pyrite.s3.handlers.buckets import find
from pyrite.s3.handlers.reads import check_restored
from pyrite.s3.headers import WRITE_OFFSET, attributes_of, checksum_headers, expiration_headers, write_conditions
from pyrite.s3.integrity import Integrity
from pyrite.s3.payload import open_source
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service
from pyrite.s3.versions import made_headers

_ACL_HEADERS = (b"x-amz-acl", b"x-amz-grant-")


async def put_object(service: Service, request: S3Request) -> Response:
    text = request.headers.get(WRITE_OFFSET)
    if text is None:
        return await writes.put_object(service, request)
    offset = parse_count(text)
    if offset is None:
        raise S3Error(
            "InvalidArgument",
            "The write offset is not a number of bytes",
            (("ArgumentName", text_of(WRITE_OFFSET)), ("ArgumentValue", text_of(text))),
        )
    request.headers = {name: value for name, value in request.headers.items() if name != WRITE_OFFSET}
    bucket = await find(service, request)
    found = await service.naming.current(bucket, request.key)
    if found is None:
        return await _begin(service, request, bucket, offset)
    return await _append(service, request, bucket, found.record, offset)


async def _begin(service: Service, request: S3Request, bucket: Bucket, offset: int) -> Response:
    """Make the object, unless somebody else has made it in the meantime."""
    conditions = write_conditions(request, service.compat)
    conditions.check(None)
    if offset:
        raise WrongOffset(0)
    try:
        return await writes.put_new(service, request, bucket, msgspec.structs.replace(conditions, if_none_match="*"))
    except PreconditionFailed:
        raise WrongOffset(0) from None


async def _append(service: Service, request: S3Request, bucket: Bucket, record: ObjectRecord, offset: int) -> Response:
    conditions = write_conditions(request, service.compat)
    conditions.check_found(record)
    check_growth(record, offset, 0)
    check_restored(record, service.clock.now_ms())
    await _check_same(service, request, record)
    key = await service.encryptor.open(request, record.encryption)
    checksum = record.checksum
    algorithm = ALGORITHMS[checksum.algorithm] if checksum is not None and extends(checksum) else None
    integrity = Integrity(request.headers, request.payload.sha256, algorithm)
    source = open_source(request, integrity)
    lock = writes.lock_of_checked(service, request, bucket, integrity)
    cause = cause_of(request, "s3:ObjectCreated:Put")
    addition = Addition(
        offset, integrity.hashers(), integrity.check, integrity.stored.name, key, conditions, lock, cause
    )
    grown = await service.appending.append(bucket, request.key, record, source, addition)
    if grown.version == record.version and not await service.access.allows(
        request, "s3:GetObject", bucket, request.key
    ):
        return empty(200)  # nothing was appended: who may not read the object learns nothing of it
    told = [
        (b"ETag", b'"%b"' % grown.etag.encode()),
        (b"x-amz-object-size", b"%d" % grown.size_bytes),
        *(checksum_headers(grown.checksum) if grown.checksum is not None else ()),
        *made_headers(bucket, grown),
        *encryption_headers(grown.encryption),
        *expiration_headers(bucket, request.key, grown),
    ]
    return empty(200, told)


async def _check_same(service: Service, request: S3Request, record: ObjectRecord) -> None:
    """Refuse what would say of the object's beginning something else than it says itself. Raises S3Error."""
    fields = request.headers
    asked = attributes_of(fields)
    changes = asked.headers or asked.metadata or asked.tags or any(name.startswith(_ACL_HEADERS) for name in fields)
    other_class = b"x-amz-storage-class" in fields and asked.storage_class != record.storage_class
    if changes or other_class:
        raise S3Error(
            "InvalidRequest",
            "An append leaves headers, metadata, tags, access control list and storage class of the object as they are",
        )
    told = dict(encryption_headers(record.encryption))
    if SSE in fields and fields[SSE] != told.get(SSE):
        raise S3Error("EncryptionTypeMismatch")
    if KMS_KEY_ID in fields and fields[KMS_KEY_ID] != told.get(KMS_KEY_ID):
        keys = service.encryptor.keys  # an id or an alias of the same key is as good as its ARN
        found = (await keys.find(request.caller.account, text_of(fields[KMS_KEY_ID]))).record
        if told.get(KMS_KEY_ID) not in (keys.arn(found).encode(), found.id.encode()):
            raise S3Error("EncryptionTypeMismatch")
