"""Owns the tags of buckets and of objects."""

from pyrite.http.response import Response
from pyrite.s3.documents import document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.handlers.reads import check_version_id
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service
from pyrite.s3.tags import BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, tagging, tags_of_document


async def get_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if not bucket.record.tags:
        raise S3Error("NoSuchTagSet", None, (("BucketName", request.bucket_name),))
    return document("Tagging", tagging(bucket.record.tags))


async def put_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    tags = tags_of_document(await read_document(request), BUCKET_TAGS_MAX)
    await service.buckets.change(bucket, tags=tags)
    return empty()


async def delete_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await service.buckets.change(bucket, tags={})
    return empty()


async def get_object_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    check_version_id(request)
    record = await service.objects.find(bucket, request.key)
    return document("Tagging", tagging(record.attributes.tags))


async def put_object_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    check_version_id(request)
    tags = tags_of_document(await read_document(request), OBJECT_TAGS_MAX)
    await service.naming.retag(bucket, request.key, tags)
    return empty(200)


async def delete_object_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    check_version_id(request)
    await service.naming.retag(bucket, request.key, {})
    return empty()
