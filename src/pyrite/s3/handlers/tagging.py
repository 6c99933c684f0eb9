"""Owns the tags of buckets and of objects."""

from msgspec.structs import replace

from pyrite.http.response import Response
from pyrite.objects.records import ObjectRecord
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service
from pyrite.s3.tags import BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, Tags, tagging, tags_of_document
from pyrite.s3.versions import named_version, version_headers, version_of


async def get_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if not bucket.record.tags:
        raise S3Error("NoSuchTagSet", None, (("BucketName", request.bucket_name),))
    return document("Tagging", tagging(bucket.record.tags))


async def put_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    tags = tags_of_document(await read_document(request), BUCKET_TAGS_MAX)
    await service.buckets.change(bucket, tags=tags)
    return empty(200 if service.compat.tagging_ok else 204)


async def delete_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await service.buckets.change(bucket, tags={})
    return empty()


async def get_object_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    record = await find_judged(service, request, bucket)
    return document("Tagging", tagging(record.attributes.tags), headers=version_headers(bucket, record))


async def put_object_tagging(service: Service, request: S3Request) -> Response:
    tags = tags_of_document(await read_document(request), OBJECT_TAGS_MAX)
    return await _retag(service, request, tags, 200)


async def delete_object_tagging(service: Service, request: S3Request) -> Response:
    return await _retag(service, request, {}, 204)


async def _retag(service: Service, request: S3Request, tags: Tags, status: int) -> Response:
    bucket = await find(service, request)

    cause = cause_of(request, "s3:ObjectTagging:Put" if tags else "s3:ObjectTagging:Delete")

    def change(record: ObjectRecord) -> ObjectRecord:
        request.judged.check(bucket, request.key, named_version(request), record)
        return replace(record, attributes=replace(record.attributes, tags=tags))

    record = await service.naming.amend(bucket, request.key, version_of(request), change, cause)
    return empty(status, version_headers(bucket, record))
