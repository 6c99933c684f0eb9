"""Owns the keys that clients send with their requests (SSE-C): how they are named and what they have to be.

Source: AWS, "Using server-side encryption with customer-provided keys" in the Amazon S3 User Guide.
"""

import base64
import hashlib
from typing import NamedTuple

from pyrite.core.keyring import KEY_BYTES
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.request import S3Request, text_of

CUSTOMER = b"x-amz-server-side-encryption-customer-"
OF_SOURCE = b"x-amz-copy-source-server-side-encryption-customer-"
_SSE = "x-amz-server-side-encryption"
_SPECIFYING = "Requests specifying Server Side Encryption with Customer provided keys"


class CustomerKey(NamedTuple):
    """A key that a client sends with each request, and its MD5 in base64."""

    key: bytes
    md5: str


def customer_key(request: S3Request, prefix: bytes, opens: bool = False) -> CustomerKey | None:
    """The key that the client sends, or None. Raises S3Error when it is not what it has to be.

    One that `opens` what is stored and has not the size of a key is a wrong one.
    """
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
        raise bad_argument(f"{_SPECIFYING} must provide a valid encryption algorithm.", _SSE)
    if algorithm != b"AES256":
        raise S3Error(
            "InvalidEncryptionAlgorithmError",
            "The Encryption request you specified is not valid. Supported value: AES256.",
            (("ArgumentName", _SSE), ("ArgumentValue", text_of(algorithm))),
        )
    if encoded is None:
        raise bad_argument(f"{_SPECIFYING} must provide an appropriate secret key.", _SSE)
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        if opens:
            raise S3Error("WrongCustomerKey")
        raise bad_argument("The secret key was invalid for the specified algorithm.", _SSE)
    own_md5 = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest())
    if md5 is None or md5 != own_md5:
        raise bad_argument("The calculated MD5 hash of the key did not match the hash that was provided.", _SSE)
    return CustomerKey(key, own_md5.decode())
