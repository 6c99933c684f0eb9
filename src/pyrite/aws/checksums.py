"""Owns the checksum algorithms of the S3 model: running sums, and combining those of parts.

Source: AWS, "Checking object integrity in Amazon S3". Values are raw digests, big-endian; base64 on the wire.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import xxhash
from awscrt import checksums as crt
from isal import isal_zlib

Combine = Callable[[int, int, int], int]
ChecksumType = Literal["COMPOSITE", "FULL_OBJECT"]


class Hasher(Protocol):
    """A running sum. `update` accepts any contiguous buffer."""

    def update(self, data: Any, /) -> None: ...

    def digest(self) -> bytes: ...


class Algorithm(NamedTuple):
    """A checksum algorithm; `combine` joins the sums of neighbouring bytes where the mathematics allow it."""

    name: str
    digest_bytes: int
    make: Callable[[], Hasher]
    combine: Combine | None
    composite: bool

    @property
    def header(self) -> str:
        """The name of the request and response header, in lower case."""
        return "x-amz-checksum-" + self.name.lower()

    @property
    def element(self) -> str:
        """The name of the XML element."""
        return "Checksum" + self.name

    @property
    def default_type(self) -> ChecksumType:
        """The type of a multipart object's checksum when none was asked for."""
        return "COMPOSITE" if self.composite else "FULL_OBJECT"


class _Crc:
    """A running CRC over a function (data, previous) -> next."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[Any, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Any, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _crc(function: Callable[[Any, int], int], size: int) -> Callable[[], Hasher]:
    return lambda: _Crc(function, size)


def _md5() -> Hasher:
    return hashlib.md5(usedforsecurity=False)


def _sha1() -> Hasher:
    return hashlib.sha1(usedforsecurity=False)


CRC64NVME = Algorithm("CRC64NVME", 8, _crc(crt.crc64nvme, 8), crt.combine_crc64nvme, False)
ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", 4, _crc(isal_zlib.crc32, 4), crt.combine_crc32, True),
        Algorithm("CRC32C", 4, _crc(crt.crc32c, 4), crt.combine_crc32c, True),
        CRC64NVME,
        Algorithm("SHA1", 20, _sha1, None, True),
        Algorithm("SHA256", 32, hashlib.sha256, None, True),
        Algorithm("SHA512", 64, hashlib.sha512, None, True),
        Algorithm("MD5", 16, _md5, None, True),
        Algorithm("XXHASH64", 8, xxhash.xxh64, None, True),
        Algorithm("XXHASH3", 8, xxhash.xxh3_64, None, True),
        Algorithm("XXHASH128", 16, xxhash.xxh3_128, None, True),
    )
}
BY_HEADER = {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}


def encode(digest: bytes) -> str:
    """A digest as it stands on the wire."""
    return base64.b64encode(digest).decode("ascii")


def decode(text: str, algorithm: Algorithm) -> bytes | None:
    """The digest in `text`, or None when it is not one of this algorithm."""
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return digest if len(digest) == algorithm.digest_bytes else None


def composite(algorithm: Algorithm, digests: Sequence[bytes]) -> str:
    """The checksum of checksums of a multipart object, with the number of its parts."""
    hasher = algorithm.make()
    hasher.update(b"".join(digests))
    return f"{encode(hasher.digest())}-{len(digests)}"


def full_object(algorithm: Algorithm, parts: Sequence[tuple[bytes, int]]) -> str:
    """The checksum of the whole object from those of its parts, each with its size in bytes."""
    if algorithm.combine is None:
        raise ValueError(f"{algorithm.name} has no full-object form")
    total = 0
    for index, (digest, size) in enumerate(parts):
        value = int.from_bytes(digest, "big")
        total = value if index == 0 else algorithm.combine(total, value, size)
    return encode(total.to_bytes(algorithm.digest_bytes, "big"))
