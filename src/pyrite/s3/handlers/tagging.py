"""Owns the tags of buckets and of objects."""

from msgspec.structs import replace

from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import BucketRecord, ObjectRecord
from pyrite.s3 import abac
from pyrite.s3.causes import cause_of
from pyrite.s3.documentkeys import tag_keys
from pyrite.s3.documents import CONTROL_NAMESPACE, document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.payload import read_document
from pyrite.s3.request import ACCOUNT_ID, S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.tags import (
    OF_BUCKET,
    OF_OBJECT,
    Tags,
    listed,
    merged,
    tagging,
    tags_in,
    tags_of_document,
)
from pyrite.s3.versions import named_version, version_headers, version_of


async def get_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if not bucket.record.tags:
        raise S3Error("NoSuchTagSet", None, (("BucketName", request.bucket_name),))
    return document("Tagging", tagging(bucket.record.tags))


async def put_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    tags = tags_of_document(await read_document(request), OF_BUCKET)
    await _set_tags(service, bucket, tags)
    return empty(200 if service.compat.tagging_ok else 204)


async def delete_bucket_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await _set_tags(service, bucket, {})
    return empty()


async def _set_tags(service: Service, bucket: Bucket, tags: Tags) -> None:
    """Raises S3Error where attribute-based access is enabled: the permissions for this must not be enough then.

    Source: AWS, "Enabling ABAC in general purpose buckets" in the Amazon S3 User Guide.
    """

    def edit(record: BucketRecord) -> BucketRecord:
        if abac.is_enabled(record):
            raise S3Error(
                "AccessDenied",
                "The tags of this bucket decide who may use it: change them by TagResource and UntagResource",
            )
        return replace(record, tags=tags)

    await service.buckets.edit(bucket, edit)


# ---- the S3 Control API


async def list_tags(service: Service, request: S3Request) -> Response:
    bucket = await _find_resource(service, request)
    return document(
        "ListTagsForResourceResult", f"<Tags>{listed(bucket.record.tags)}</Tags>", namespace=CONTROL_NAMESPACE
    )


async def tag_resource(service: Service, request: S3Request) -> Response:
    bucket = await _find_resource(service, request)
    root = parse_document(await read_document(request))
    if root.name != "TagResourceRequest" or len(root.children) != 1:
        raise S3Error("MalformedXML")
    asked = tags_in(root.children[0], OF_BUCKET)

    def edit(record: BucketRecord) -> BucketRecord:
        return replace(record, tags=merged(record.tags, asked, OF_BUCKET))

    await service.buckets.edit(bucket, edit)
    return empty()


async def untag_resource(service: Service, request: S3Request) -> Response:
    bucket = await _find_resource(service, request)
    unwanted = tag_keys(request)
    if not unwanted:
        raise S3Error("InvalidRequest", "tagKeys has to name the tags that are to be taken away")

    def edit(record: BucketRecord) -> BucketRecord:
        return replace(record, tags={key: value for key, value in record.tags.items() if key not in unwanted})

    await service.buckets.edit(bucket, edit)
    return empty()


async def _find_resource(service: Service, request: S3Request) -> Bucket:
    """The bucket that the request is about. Raises S3Error when it is another account's than the one that is named."""
    bucket = await find(service, request)
    if request.header(ACCOUNT_ID) != await service.owners.account_of(bucket.record.owner):
        raise S3Error("AccessDenied")
    return bucket


# ---- objects


async def get_object_tagging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    record = await find_judged(service, request, bucket)
    return document("Tagging", tagging(record.attributes.tags), headers=version_headers(bucket, record))


async def put_object_tagging(service: Service, request: S3Request) -> Response:
    tags = tags_of_document(await read_document(request), OF_OBJECT)
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
