"""Owns the refusal of replication configurations: what is wrong in one is told as AWS does, and one that is right is
not kept, because nothing would be replicated.

Source: AWS, PutBucketReplication in the Amazon S3 API Reference.
"""

from pyrite.aws.arns import MalformedArn, parse_arn
from pyrite.aws.xml import Element
from pyrite.http.response import Response
from pyrite.objects.errors import NoSuchBucket
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.payload import CONFIGURATION_MAX_BYTES, read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service


async def put_replication(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    root = parse_document(await read_document(request, CONFIGURATION_MAX_BYTES))
    rules = [child for child in root.children if child.name == "Rule"]
    if root.name != "ReplicationConfiguration" or not rules:
        raise S3Error("MalformedXML")
    if bucket.record.versioning != "Enabled":
        raise S3Error(
            "InvalidRequest", "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
        )
    for rule in rules:
        await _check_destination(service, rule)
    raise S3Error("NotImplemented", "Buckets are not replicated yet.")


async def _check_destination(service: Service, rule: Element) -> None:
    named = next((child.find("Bucket") for child in rule.children if child.name == "Destination"), None)
    if named is None:
        raise S3Error("MalformedXML")
    try:
        target = await service.buckets.find(parse_arn(named).resource)
    except (MalformedArn, NoSuchBucket):
        target = None
    if target is None or target.record.versioning != "Enabled":
        raise S3Error("InvalidRequest", "Destination bucket must have versioning enabled.")
