"""Owns server access logging of buckets: the configuration, and where records go."""

import time

from pyrite.aws import xml
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import NoSuchBucket
from pyrite.s3.acl import grants_of_elements, private
from pyrite.s3.bucketlogging import CONFIGURATION, Logging, logging_of, parse
from pyrite.s3.documents import document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find, region_of
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.rules import ENFORCED
from pyrite.s3.schemas import check_known
from pyrite.s3.service import Service
from pyrite.services.logdelivery import Destination, log_key


async def get_logging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    text = bucket.record.configurations.get(CONFIGURATION, "<BucketLoggingStatus></BucketLoggingStatus>")
    return document("BucketLoggingStatus", "".join(map(xml.write, xml.parse(text.encode()).children)))


async def put_logging(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    root = xml.parse(await read_document(request))
    if not service.compat.log_policies_name_prefixes:  # Ceph's documents have elements of its own
        check_known(root)
    logging = parse(root)
    if logging is None:
        await service.buckets.configure(bucket, CONFIGURATION, None)
        return empty(200)
    try:
        target = await service.buckets.find(logging.bucket)
    except NoSuchBucket:
        message = "The target bucket for logging does not exist"
        raise S3Error("InvalidTargetBucketForLogging", message, (("TargetBucket", logging.bucket),)) from None
    _check_region(service, bucket, target)
    foreign = target.record.owner != bucket.record.owner
    if foreign and not service.compat.log_policies_name_prefixes:
        raise S3Error("InvalidTargetBucketForLogging", None, (("TargetBucket", logging.bucket),))
    is_checked = service.compat.log_policies_name_prefixes  # AWS asks the policy when it delivers
    key = log_key(logging.prefix, 0, "0" * 16)
    if is_checked and not await _may_deliver(service, bucket, target, logging, key):
        raise S3Error(
            "InvalidTargetBucketForLogging",
            "The target bucket's policy has to allow s3:PutObject to the service logging.s3.amazonaws.com",
            (("TargetBucket", logging.bucket),),
        )
    if logging.grants and target.record.ownership == ENFORCED:
        raise S3Error(
            "InvalidArgument", "Target grants need a target bucket whose ownership controls allow access control lists"
        )
    await grants_of_elements(service, logging.grants)
    await service.buckets.configure(bucket, CONFIGURATION, xml.write(root))
    return empty(200)


def _check_region(service: Service, bucket: Bucket, target: Bucket) -> None:
    """Raises S3Error unless logs stay in the region of their bucket."""
    here, there = region_of(service, bucket.record), region_of(service, target.record)
    if here != there:
        told = [("TargetBucketLocation", there)]
        if here != "us-east-1":
            told.insert(0, ("SourceBucketLocation", here))
        raise S3Error("CrossLocationLoggingProhibitted", None, tuple(told))


async def _may_deliver(service: Service, bucket: Bucket, target: Bucket, logging: Logging, key: bytes) -> bool:
    named = logging.prefix.encode() if service.compat.log_policies_name_prefixes else key
    return await service.access.may_deliver(bucket, target, named)


async def destination_of(service: Service, bucket: Bucket, begun_ms: int, now_ms: int) -> Destination | None:
    """Where the records of a bucket go; None where its configuration or the target's policy do not let them go on."""
    logging = logging_of(bucket)
    if logging is None:
        return None
    try:
        target = await service.buckets.find(logging.bucket)
    except NoSuchBucket:
        return None
    partition = ""
    if logging.partitioned:
        of_ms = begun_ms if logging.partitioned == "EventTime" else now_ms
        account = await service.owners.account_of(bucket.record.owner)
        day = time.strftime("%Y/%m/%d", time.gmtime(of_ms // 1000))
        partition = f"{account}/{service.region}/{bucket.record.name}/{day}/"
    key = log_key(logging.prefix, now_ms, service.encryptor.new_name()[:16].upper(), partition)
    if not await _may_deliver(service, bucket, target, logging, key):
        return None
    acl = None
    if logging.grants and target.record.ownership != ENFORCED:
        acl = (*private(target.record.owner), *await grants_of_elements(service, logging.grants))
    return Destination(target, key, service.encryptor.quick(), acl)
