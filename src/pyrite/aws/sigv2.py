"""Owns AWS Signature Version 2, which boto3 still makes for presigned URLs to custom endpoints. Pure.

Source: AWS, "Signing and authenticating REST requests" (Signature Version 2) in the S3 User Guide.
"""

import base64
import hmac
from collections.abc import Mapping

from pyrite.aws.errors import AuthFault, Fault

# The sub-resources and overrides that are part of the canonicalized resource.
SIGNED_PARAMETERS = frozenset(
    b"acl accelerate analytics cors defaultObjectAcl delete encryption inventory lifecycle location logging "
    b"metrics notification object-lock legal-hold retention partNumber policy policyStatus publicAccessBlock "
    b"replication requestPayment restore select select-type tagging torrent uploadId uploads versionId "
    b"versioning versions website ownershipControls intelligent-tiering "
    b"response-cache-control response-content-disposition response-content-encoding "
    b"response-content-language response-content-type response-expires".split()
)


def string_to_sign(
    method: bytes,
    resource: bytes,
    query: tuple[tuple[bytes, bytes], ...],
    headers: Mapping[bytes, bytes],
    date: bytes,
    presigned: bool = False,
) -> bytes:
    """The string to sign. `resource` is the raw path, with the bucket in front when it came from the host.

    `date` is the Date line: the expiry time of a presigned URL, empty where x-amz-date is sent. A presigned URL carries
    headers as parameters.
    """
    lines = [method, headers.get(b"content-md5", b""), headers.get(b"content-type", b""), date]
    fields = {name.lower(): value for name, value in query if presigned and name.lower().startswith(b"x-amz-")}
    fields.pop(b"x-amz-security-token", None)
    fields |= {name: value for name, value in headers.items() if name.startswith(b"x-amz-")}
    for name in sorted(fields):
        lines.append(name + b":" + fields[name].strip())
    signed = sorted(pair for pair in query if pair[0] in SIGNED_PARAMETERS)
    if any(b"&" in value for _, value in signed):  # two queries would have one signature
        raise AuthFault(Fault.UNSUPPORTED, "Signature Version 2 signs no parameters that hold '&'; sign with Version 4")
    suffix = b"&".join(name + b"=" + value if value else name for name, value in signed)
    lines.append(resource + (b"?" + suffix if suffix else b""))
    return b"\n".join(lines)


def sign(secret: str, text: bytes) -> str:
    """The base64 HMAC-SHA1 of `text`."""
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha1")).decode()
