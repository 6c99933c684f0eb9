"""Owns who pays for requests: the bucket's owner, or its requesters, who have to say so."""

from pyrite.aws import xml
from pyrite.core.lru import remembered
from pyrite.objects.buckets import Bucket
from pyrite.s3.errors import S3Error
from pyrite.s3.request import S3Request


@remembered
def _requesters_pay(text: str) -> bool:
    return xml.parse(text.encode()).find("Payer") == "Requester"


def is_charged(request: S3Request) -> bool:
    """Whether the request says that its sender pays, to a bucket whose requesters do."""
    bucket = request.bucket
    return bucket is not None and b"x-amz-request-payer" in request.headers and is_charged_by(bucket)


def is_charged_by(bucket: Bucket) -> bool:
    """Whether those who send requests to a bucket pay for them."""
    text = bucket.record.configurations.get("requestPayment")
    return text is not None and _requesters_pay(text)


def check_payer(request: S3Request, bucket: Bucket) -> None:
    """Raises S3Error where requesters pay, and one of another account does not say that it will.

    Source: AWS, "Using Requester Pays buckets".
    """
    if not is_charged_by(bucket):
        return
    if request.caller.owner == bucket.record.owner and not request.caller.is_anonymous:
        return
    says = request.header(b"x-amz-request-payer") or request.parameter(b"x-amz-request-payer")
    if request.caller.is_anonymous or says != "requester":
        raise S3Error("AccessDenied", "The requesters of this bucket pay; say x-amz-request-payer: requester")
