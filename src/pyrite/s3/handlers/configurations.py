"""Owns the documents that configure a bucket: checked when they are put, kept as they were meant, given back."""

from collections.abc import Callable
from typing import NamedTuple

from pyrite.aws import xml
from pyrite.aws.xml import DECLARATION, NAMESPACE, Element
from pyrite.http.response import Headers, Response
from pyrite.objects.buckets import Bucket
from pyrite.s3 import abac, bucketencryption, cors, websites
from pyrite.s3.documents import XML_TYPE, document, empty
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.handlers.buckets import find
from pyrite.s3.payload import CONFIGURATION_MAX_BYTES, LIFECYCLE_MAX_BYTES, read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.services import lifecyclerules
from pyrite.services.lifecyclerules import MINIMUM

_MINIMUM_HEADER = b"x-amz-transition-default-minimum-object-size"

Check = Callable[[Service, S3Request, Bucket, Element], None]
"""Raises S3Error unless a document is a valid configuration."""


class Kind(NamedTuple):
    """A kind of configuration: its root element, what checks it, and the error where there is none ("": empty)."""

    root: str
    check: Check
    absent: str
    put_status: int = 200


def _check_encryption(service: Service, request: S3Request, bucket: Bucket, root: Element) -> None:
    bucketencryption.parse(root)


def _check_cors(service: Service, request: S3Request, bucket: Bucket, root: Element) -> None:
    cors.parse(root)


def _check_lifecycle(service: Service, request: S3Request, bucket: Bucket, root: Element) -> None:
    try:
        lifecyclerules.parse(root, service.compat.lenient_filters)
    except lifecyclerules.BadRule as error:
        if error.about:
            raise bad_argument(str(error), *error.about) from None
        code = "InvalidArgument" if error.argument else "InvalidRequest" if str(error) else "MalformedXML"
        raise S3Error(code, str(error) or None) from None
    for rule in root.children:
        if not (rule.find("ID") or "").strip():
            rule.children = [child for child in rule.children if child.name != "ID"]
            named = Element("ID")
            named.text = service.encryptor.new_name()
            rule.children.insert(0, named)


def _check_website(service: Service, request: S3Request, bucket: Bucket, root: Element) -> None:
    websites.parse(root)


def _check_payment(service: Service, request: S3Request, bucket: Bucket, root: Element) -> None:
    if root.find("Payer") not in ("Requester", "BucketOwner") or len(root.children) != 1:
        raise S3Error("MalformedXML")


def _check_acceleration(service: Service, request: S3Request, bucket: Bucket, root: Element) -> None:
    if "." in bucket.record.name:
        raise S3Error(
            "InvalidRequest", "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
        )
    if root.find("Status") not in ("Enabled", "Suspended") or len(root.children) != 1:
        raise S3Error("MalformedXML")


def _check_abac(service: Service, request: S3Request, bucket: Bucket, root: Element) -> None:
    if root.find("Status") not in ("Enabled", "Disabled") or len(root.children) != 1:
        raise S3Error("MalformedXML")


KINDS = {
    abac.CONFIGURATION: Kind("AbacStatus", _check_abac, ""),
    "requestPayment": Kind("RequestPaymentConfiguration", _check_payment, ""),
    "accelerate": Kind("AccelerateConfiguration", _check_acceleration, ""),
    "lifecycle": Kind("LifecycleConfiguration", _check_lifecycle, "NoSuchLifecycleConfiguration"),
    "website": Kind("WebsiteConfiguration", _check_website, "NoSuchWebsiteConfiguration"),
    "cors": Kind("CORSConfiguration", _check_cors, "NoSuchCORSConfiguration"),
    "encryption": Kind(
        "ServerSideEncryptionConfiguration", _check_encryption, "ServerSideEncryptionConfigurationNotFoundError"
    ),
}


def kind_of(request: S3Request) -> tuple[str, Kind]:
    """The configuration that a request is about."""
    assert request.operation is not None
    return request.operation.marker, KINDS[request.operation.marker]


async def get_configuration(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    name, kind = kind_of(request)
    text = bucket.record.configurations.get(name)
    if text is None:
        if name == "encryption" and service.encryptor.is_on and not service.compat.bare_encryption:
            return document(kind.root, bucketencryption.written(bucketencryption.DefaultEncryption("AES256")))
        if name == "requestPayment":
            return document(kind.root, "<Payer>BucketOwner</Payer>")
        if name == abac.CONFIGURATION:
            return document(kind.root, "<Status>Disabled</Status>")
        if kind.absent:
            raise S3Error(kind.absent, None, (("BucketName", request.bucket_name),))
        return document(kind.root, "")
    shown = text.replace(f"<{kind.root}>", f'<{kind.root} xmlns="{NAMESPACE}">', 1)
    return Response(200, [XML_TYPE, *_minimum_headers(bucket, name)], (DECLARATION + shown).encode())


def _minimum_headers(bucket: Bucket, name: str) -> Headers:
    """The header that tells how large objects have to be for transitions; rules of earlier versions have none."""
    if name != "lifecycle":
        return []
    least = bucket.record.configurations.get(MINIMUM)
    return [(_MINIMUM_HEADER, least.encode())] if least else []


async def put_configuration(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    name, kind = kind_of(request)
    most = LIFECYCLE_MAX_BYTES if name == "lifecycle" else CONFIGURATION_MAX_BYTES
    root = parse_document(await read_document(request, most))
    if root.name != kind.root:
        raise S3Error("MalformedXML")
    kind.check(service, request, bucket, root)
    if name == "lifecycle":
        default = None if service.compat.lenient_filters else lifecyclerules.ALL_LARGE
        bucket = await _set_minimum(service, bucket, request.header(_MINIMUM_HEADER) or default)
    bucket = await service.buckets.configure(bucket, name, xml.write(root))
    return empty(kind.put_status, _minimum_headers(bucket, name))


async def _set_minimum(service: Service, bucket: Bucket, least: str | None) -> Bucket:
    if least not in (None, *lifecyclerules.MINIMUMS):
        raise S3Error("InvalidRequest", f"Invalid TransitionDefaultMinimumObjectSize found: {least}")
    if least == bucket.record.configurations.get(MINIMUM):
        return bucket
    return await service.buckets.configure(bucket, MINIMUM, least)


async def delete_configuration(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    name, _ = kind_of(request)
    bucket = await service.buckets.configure(bucket, name, None)
    if name == "lifecycle" and MINIMUM in bucket.record.configurations:
        await service.buckets.configure(bucket, MINIMUM, None)
    return empty()
