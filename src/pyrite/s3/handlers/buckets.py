"""Owns the operations on buckets themselves, and the answers for configurations that a bucket does not have."""

import re

from msgspec.structs import replace

from pyrite.aws import xml
from pyrite.aws.arns import bucket_arn
from pyrite.aws.dates import format_iso
from pyrite.aws.regions import REGIONS
from pyrite.aws.xml import DECLARATION, NAMESPACE, element
from pyrite.http.response import Headers, Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import BucketExists
from pyrite.objects.records import BucketRecord, ObjectRecord
from pyrite.s3.acl import access_of_new
from pyrite.s3.documentkeys import tags_asked_for
from pyrite.s3.documents import XML_TYPE, decode_token, document, empty, encode_token, number_parameter
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.headers import refuse_unimplemented
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.tags import OF_NEW_BUCKET, Tags, tags_in
from pyrite.s3.versions import named_version, parse_version

_BUCKETS_MAX = 10_000
_REGION = re.compile(r"(?:[a-z]{2,4}(?:-[a-z0-9]+)+-[0-9]+)?\Z")
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_EVERYWHERE = "us-east-1"  # its endpoint makes buckets for every region

ABSENT_CONFIGURATIONS = {
    "GetBucketReplication": "ReplicationConfigurationNotFoundError",
}


async def find(service: Service, request: S3Request) -> Bucket:
    """The bucket for which the request was authorized. Raises S3Error when its owner is not whom the client expects."""
    bucket = request.bucket
    assert bucket is not None
    await check_owner(service, bucket, request.header(b"x-amz-expected-bucket-owner"))
    return bucket


async def check_owner(service: Service, bucket: Bucket, expected: str | None) -> None:
    """Raises S3Error unless the bucket is of the account that the client expects; None: whichever."""
    if expected is None:
        return
    if not _ACCOUNT.match(expected) and not service.compat.any_expected_owner:
        raise S3Error(
            "InvalidBucketOwnerAWSAccountID",
            f"The value of the expected bucket owner parameter must be an AWS Account ID... [{expected}]",
        )
    if expected != await service.owners.account_of(bucket.record.owner):
        raise S3Error("AccessDenied")


async def find_judged(service: Service, request: S3Request, bucket: Bucket) -> ObjectRecord:
    """The version that the request names. Raises S3Error when it is not what its authorization looked at."""
    version = named_version(request)
    record = await service.objects.find(bucket, request.key, parse_version(version))
    request.judged.check(bucket, request.key, version, record)
    return record


async def person(service: Service, tag: str, canonical_id: str) -> str:
    """An owner or initiator as an element."""
    name = await service.owners.name_of(canonical_id) if service.compat.display_names else ""
    shown = element("DisplayName", name) if name else ""
    return f"<{tag}>{element('ID', canonical_id)}{shown}</{tag}>"


def region_of(service: Service, bucket: BucketRecord) -> str:
    """The region of a bucket; EU is the old name of one."""
    return "eu-west-1" if bucket.location == "EU" else bucket.location or service.region


async def list_buckets(service: Service, request: S3Request) -> Response:
    limit = number_parameter(request, b"max-buckets", _BUCKETS_MAX, _BUCKETS_MAX)
    if limit == 0:
        raise S3Error("InvalidArgument", "max-buckets must be between 1 and 10000")
    prefix = request.parameter(b"prefix") or ""
    token = request.query.get(b"continuation-token")
    after = text_of(decode_token(token)) if token else ""
    region = request.parameter(b"bucket-region")
    if region and region not in REGIONS and region != service.region:
        raise bad_argument(f"Argument value {region} is not a valid AWS Region", "bucket-region")
    owner = request.caller.owner
    found: list[BucketRecord] = []
    if region in (None, "", service.region):
        found = await service.buckets.list(prefix, after, limit + 1, owner)
    buckets = "".join(
        f"<Bucket>{element('Name', bucket.name)}<CreationDate>{format_iso(bucket.created_ms)}</CreationDate>"
        f"{element('BucketRegion', region_of(service, bucket))}"
        f"{element('BucketArn', bucket_arn(bucket.name))}</Bucket>"
        for bucket in found[:limit]
    )
    more = element("ContinuationToken", encode_token(found[limit - 1].name.encode())) if len(found) > limit else ""
    shown = element("Prefix", prefix) if prefix else ""
    shown_owner = await person(service, "Owner", owner)
    return document("ListAllMyBucketsResult", f"{shown_owner}<Buckets>{buckets}</Buckets>{more}{shown}")


async def create_bucket(service: Service, request: S3Request) -> Response:
    refuse_unimplemented(request.headers)
    lock = (request.header(b"x-amz-bucket-object-lock-enabled") or "").lower() == "true"
    access = await access_of_new(service, request)
    location, tags = _wanted(service, await read_document(request))
    if tags:
        await service.access.require(request, "s3:TagResource", None, more=tags_asked_for(tags))
    headers: Headers = [
        (b"Location", b"/" + request.bucket_name.encode()),
        (b"x-amz-bucket-arn", bucket_arn(request.bucket_name).encode()),
    ]
    try:
        await service.buckets.create(request.bucket_name, request.caller.owner, location, access, lock, tags)
    except BucketExists as error:
        if not error.own or tags or service.region != "us-east-1":
            raise
    return empty(200, headers)


def _wanted(service: Service, body: bytes) -> tuple[str, Tags]:
    """Where a bucket is to be, and its tags. Raises S3Error."""
    if not body.strip():
        return "", {}
    root = parse_document(body)
    if root.name != "CreateBucketConfiguration":
        raise S3Error("MalformedXML")
    if any(child.name in ("Location", "Bucket") for child in root.children):
        raise S3Error("NotImplemented", "Directory buckets are AWS's own: here every bucket is as fast")
    tags = next((tags_in(child, OF_NEW_BUCKET) for child in root.children if child.name == "Tags"), {})
    location = root.find("LocationConstraint") or ""
    region = "eu-west-1" if location == "EU" else location
    if region and service.region != _EVERYWHERE and region != service.region and not service.compat.any_location:
        raise S3Error(
            "IllegalLocationConstraintException",
            f"The {location} location constraint is incompatible for the region specific endpoint this request was "
            "sent to.",
        )
    if not _REGION.match(region) and not service.compat.any_location:
        raise S3Error("InvalidLocationConstraint", None, (("LocationConstraint", location),))
    return "" if location == service.region else location, tags


async def head_bucket(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    headers: Headers = [
        (b"x-amz-bucket-region", region_of(service, bucket.record).encode()),
        (b"x-amz-bucket-arn", bucket_arn(bucket.record.name).encode()),
        (b"Content-Type", b"application/xml"),
    ]
    return Response(200, [*headers, (b"x-amz-access-point-alias", b"false")], b"")


async def delete_bucket(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await service.buckets.delete(request.bucket_name, bucket.id)
    return empty()


async def get_location(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    region = bucket.record.location or ("" if service.region == "us-east-1" else service.region)
    if not region:  # some clients look for this very form
        return Response(200, [XML_TYPE], f'{DECLARATION}<LocationConstraint xmlns="{NAMESPACE}"/>'.encode())
    return document("LocationConstraint", xml.escape(region))


async def get_versioning(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    state = bucket.record.versioning
    return document("VersioningConfiguration", element("Status", state) if state else "")


async def put_versioning(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    root = parse_document(await read_document(request))
    status = root.find("Status")
    if root.name == "VersioningConfiguration" and status is None:
        raise S3Error("IllegalVersioningConfigurationException", "The Versioning element must be specified")
    if root.name != "VersioningConfiguration" or status not in ("Enabled", "Suspended"):
        raise S3Error("MalformedXML")
    if (root.find("MfaDelete") or "Disabled") != "Disabled":
        raise S3Error("NotImplemented", "MFA delete is not implemented")

    def change(found: BucketRecord) -> BucketRecord:
        if found.lock and status != "Enabled":
            raise S3Error(
                "InvalidBucketState",
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
            )
        return replace(found, versioning=status)

    await service.buckets.edit(bucket, change)
    return empty(200)


async def delete_absent(service: Service, request: S3Request) -> Response:
    """That a bucket has no such configuration is what was asked for."""
    await find(service, request)
    return empty()


async def absent_configuration(service: Service, request: S3Request) -> Response:
    """The error that says that the bucket has no such configuration."""
    await find(service, request)
    assert request.operation is not None
    code = ABSENT_CONFIGURATIONS[request.operation.name]
    raise S3Error(code, None, (("BucketName", request.bucket_name),))
