"""Owns presigned URLs that the store makes itself: a function reads an object with the rights of who asked for it."""

from typing import NamedTuple

from pyrite.aws import sigv4, uri
from pyrite.aws.sigv4 import Credential
from pyrite.aws.uri import Target


class Read(NamedTuple):
    """What is to be read, and for how many seconds from `amz_date` on.

    `endpoint` is scheme and authority, `path` is encoded, `version` an id or "".
    """

    endpoint: str
    path: bytes
    version: str
    amz_date: str
    seconds: int


def presigned_read(read: Read, credential: Credential, secret: str, token: str) -> str:
    """A URL for GET. Source: AWS, "Authenticating Requests: Using Query Parameters"."""
    host = read.endpoint.partition("://")[2]
    pairs = [
        (b"X-Amz-Algorithm", sigv4.ALGORITHM.encode()),
        (b"X-Amz-Credential", f"{credential.access_key}/{credential.scope}".encode()),
        (b"X-Amz-Date", read.amz_date.encode()),
        (b"X-Amz-Expires", b"%d" % read.seconds),
        (b"X-Amz-SignedHeaders", b"host"),
    ]
    if token:
        pairs.append((b"X-Amz-Security-Token", token.encode()))
    if read.version:
        pairs.append((b"versionId", read.version.encode()))
    target = Target(read.path, tuple(pairs))
    canonical = sigv4.canonical_request(b"GET", target, {b"host": host.encode()}, (b"host",), sigv4.UNSIGNED_PAYLOAD)
    key = sigv4.signing_key(secret, credential.date, credential.region, credential.service)
    signature = sigv4.sign(key, sigv4.string_to_sign(read.amz_date, credential.scope, canonical))
    query = "&".join(f"{uri.encode(name).decode()}={uri.encode(value).decode()}" for name, value in pairs)
    return f"{read.endpoint}{read.path.decode('ascii')}?{query}&X-Amz-Signature={signature}"
