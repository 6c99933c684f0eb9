"""Owns versions on the wire: which one a request names, and the headers that tell of one."""

from pyrite.http.response import Headers
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import InvalidVersionId
from pyrite.objects.records import ObjectRecord
from pyrite.objects.versionids import id_of, parse_id
from pyrite.s3.errors import S3Error
from pyrite.s3.operations import VERSIONED
from pyrite.s3.request import S3Request, text_of


def version_of(request: S3Request) -> int | None:
    """The stamp of the version that the request names, or None. Raises S3Error."""
    return parse_version(named_version(request))


def named_version(request: S3Request) -> bytes | None:
    """The id of the version that the request names; None for an operation that is not about a version."""
    operation = request.operation
    if not request.query or operation is None or operation.name not in VERSIONED:
        return None
    return request.query.get(b"versionId")


def parse_version(raw: bytes | None) -> int | None:
    """The stamp of a version id. Raises S3Error."""
    if raw is None:
        return None
    try:
        return parse_id(text_of(raw))
    except InvalidVersionId:
        what = "Invalid version id specified" if raw else "Version id cannot be the empty string"
        raise S3Error(
            "InvalidArgument", what, (("ArgumentName", "versionId"), ("ArgumentValue", text_of(raw)))
        ) from None


def made_headers(bucket: Bucket, record: ObjectRecord) -> Headers:
    """The header that tells the id of a version that was just made; none of a null version, which AWS tells of copies
    alone.
    """
    return version_headers(bucket, record) if record.versioned else []


def version_headers(bucket: Bucket, record: ObjectRecord, name: bytes = b"x-amz-version-id") -> Headers:
    """The header that tells a version's id; none in a bucket that never kept versions."""
    return [(name, id_of(record).encode())] if bucket.record.versioning else []
