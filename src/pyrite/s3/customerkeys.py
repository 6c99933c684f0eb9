"""Owns the keys that clients send with their requests (SSE-C): how they are named and what they have to be.

Source: AWS, "Using server-side encryption with customer-provided keys" in the Amazon S3 User Guide.
"""

import base64
import hashlib
from typing import NamedTuple

from pyrite.core.keyring import KEY_BYTES
from pyrite.s3.errors import S3Error
from pyrite.s3.request import S3Request

CUSTOMER = b"x-amz-server-side-encryption-customer-"
OF_SOURCE = b"x-amz-copy-source-server-side-encryption-customer-"


class CustomerKey(NamedTuple):
    """A key that a client sends with each request, and its MD5 in base64."""

    key: bytes
    md5: str


def customer_key(request: S3Request, prefix: bytes) -> CustomerKey | None:
    """The key that the client sends, or None. Raises S3Error when it is not what it has to be."""
    fields = request.headers
    algorithm, encoded, md5 = (fields.get(prefix + name) for name in (b"algorithm", b"key", b"key-md5"))
    if algorithm is None and encoded is None and md5 is None:
        return None
    if not request.http.secure and not request.http.is_near:
        raise S3Error(
            "InvalidRequest",
            "Requests specifying Server Side Encryption with Customer provided keys must be "
            "made over a secure connection.",
        )
    if algorithm is None:
        raise S3Error(
            "InvalidArgument",
            "Requests specifying Server Side Encryption with Customer provided keys must "
            "provide a valid encryption algorithm.",
        )
    if algorithm != b"AES256":
        raise S3Error("InvalidEncryptionAlgorithmError")
    if encoded is None:
        raise S3Error(
            "InvalidArgument",
            "Requests specifying Server Side Encryption with Customer provided keys must "
            "provide an appropriate secret key.",
        )
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise S3Error("InvalidArgument", "The secret key was invalid for the specified algorithm.")
    own_md5 = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest())
    if md5 is None or md5 != own_md5:
        raise S3Error("InvalidArgument", "The calculated MD5 hash of the key did not match the hash that was provided.")
    return CustomerKey(key, own_md5.decode())
