"""Owns what a function is told, what it answers, and how it can fail. Pure."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from pyrite.core.errors import PyriteError


class FunctionFailure(PyriteError):
    """A function did not answer, or answered that it cannot. `code` and `status` are those of the response."""

    def __init__(self, code: str, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Call(msgspec.Struct, frozen=True):
    """What a function is told of a read. `headers` and `query` are the client's, but for credentials and signatures."""

    request_id: str
    bucket: str
    key: str
    version_id: str
    size_bytes: int
    etag: str
    content_type: str
    metadata: dict[str, str]
    headers: dict[str, str]
    query: dict[str, str]
    url: str
    caller: dict[str, str]


class Head(msgspec.Struct, frozen=True):
    """How an answer begins: its status, its header fields, and how long its body is, where that is known."""

    status: int = 200
    headers: Mapping[str, str] = {}
    length: int | None = None


class Body(Protocol):
    """The blocks of an answer. It has to be closed, whether it was begun or not."""

    def __aiter__(self) -> AsyncIterator[list[memoryview]]: ...

    async def __anext__(self) -> list[memoryview]: ...

    async def aclose(self) -> None: ...


class Answer(NamedTuple):
    """An answer: its head and its body."""

    head: Head
    body: Body


Read = Callable[[int, int], AsyncIterator[list[memoryview]]]
"""The bytes of the object from one offset to another, in blocks."""

_STATUSES = frozenset((200, 206, 304, 400, 401, 403, 404, 405, 409, 411, 412, 416, 500, 503))


def check_status(status: int) -> int:
    """A status that a function may answer with. Raises FunctionFailure.

    Source: AWS, WriteGetObjectResponse in the Amazon S3 API Reference.
    """
    if status not in _STATUSES:
        raise FunctionFailure("LambdaInvalidResponse", f"A function cannot answer with the status {status}.")
    return status


_GIVEN_ON = (
    "accept-ranges cache-control content-disposition content-encoding content-language content-range content-type etag "
    "expires last-modified x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1 "
    "x-amz-checksum-sha256 x-amz-checksum-sha512 x-amz-checksum-md5 x-amz-checksum-xxhash64 x-amz-checksum-xxhash3 "
    "x-amz-checksum-xxhash128 x-amz-delete-marker x-amz-expiration x-amz-missing-meta x-amz-mp-parts-count "
    "x-amz-object-lock-legal-hold x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-replication-status "
    "x-amz-request-charged x-amz-restore x-amz-server-side-encryption "
    "x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-bucket-key-enabled "
    "x-amz-server-side-encryption-customer-algorithm x-amz-server-side-encryption-customer-key-md5 x-amz-storage-class "
    "x-amz-tagging-count x-amz-version-id"
)
GIVEN_ON = frozenset(_GIVEN_ON.split())
"""The header fields that a function may answer with, beside x-amz-meta-*."""


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Header fields that a function answers with, by name in lower case. Raises FunctionFailure."""
    found = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower not in GIVEN_ON and not lower.startswith("x-amz-meta-"):
            raise FunctionFailure("LambdaInvalidResponse", f"A function cannot answer with the header {name!r}.")
        if not lower.isascii() or any(ord(character) < 33 or character == ":" for character in lower):
            raise FunctionFailure("LambdaInvalidResponse", f"{name!r} is no name of a header.")
        if any(ord(character) < 32 or ord(character) > 255 for character in value):
            raise FunctionFailure("LambdaInvalidResponse", f"The header {name!r} has characters that no header has.")
        found[lower] = value
    return found
