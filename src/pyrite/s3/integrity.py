"""Owns the checks a client asks for on a body: Content-MD5, one x-amz-checksum, the signed SHA-256.

Source: AWS, "Checking object integrity in Amazon S3".
"""

import base64
from collections.abc import Callable, Mapping

from pyrite.aws import checksums
from pyrite.aws.checksums import ALGORITHMS, BY_HEADER, CRC64NVME, Algorithm, Hasher
from pyrite.aws.errors import AuthFault, Fault
from pyrite.objects.errors import ChecksumMismatch
from pyrite.objects.records import Checksum
from pyrite.s3.errors import S3Error
from pyrite.s3.request import text_of

_PREFIX = b"x-amz-checksum-"
_NOT_VALUES = frozenset((b"x-amz-checksum-algorithm", b"x-amz-checksum-mode", b"x-amz-checksum-type"))


class Integrity:
    """What to compute over one body and what it must come to.

    `algorithm` is the checksum that the client gave or announced; None when it gave none.
    """

    def __init__(self, fields: Mapping[bytes, bytes], sha256: str, extra: Algorithm | None = None) -> None:
        """`fields` are the headers of the request; `sha256` is what its signature covers, empty for none."""
        self._sha256 = sha256
        self._md5 = _content_md5(fields)
        self.algorithm, self._expected = _given_checksum(fields)
        self._in_trailer = self.algorithm is not None and self._expected is None
        self.stored = extra or self.algorithm or CRC64NVME
        self.is_part = False  # of parts AWS tells digests otherwise
        self._told: Checksum | None = None
        self._trailers: Callable[[], Mapping[bytes, bytes]] = dict

    @property
    def is_asked(self) -> bool:
        """Whether the client sends an MD5 or a checksum of its own accord."""
        return self._md5 is not None or self.algorithm is not None

    @property
    def told(self) -> Checksum | None:
        """The checksum that the client gave, once it has been compared; what the answer repeats."""
        return self._told

    def hashers(self) -> dict[str, Hasher]:
        """The running sums to keep, by algorithm; MD5 always, for the ETag."""
        names = {"MD5", self.stored.name}
        if self.algorithm is not None:
            names.add(self.algorithm.name)
        if self._sha256:
            names.add("SHA256")
        return {name: ALGORITHMS[name].make() for name in names}

    def sum_up(self, data: bytes) -> dict[str, bytes]:
        """The digests of a body that is here as a whole, compared. Raises as `check`."""
        hashers = self.hashers()
        for hasher in hashers.values():
            hasher.update(data)
        digests = {name: hasher.digest() for name, hasher in hashers.items()}
        self.check(digests, len(data))
        return digests

    def expect_trailers(self, trailers: Callable[[], Mapping[bytes, bytes]]) -> None:
        """Where the trailing fields will be found once the body has ended."""
        self._trailers = trailers

    def check(self, digests: Mapping[str, bytes], _size: int) -> None:
        """Compare. Raises ChecksumMismatch, AuthFault or S3Error."""
        if self._sha256 and digests["SHA256"].hex() != self._sha256:
            raise AuthFault(
                Fault.CONTENT_SHA256_MISMATCH,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                (
                    ("ClientComputedContentSHA256", self._sha256),
                    ("S3ComputedContentSHA256", digests["SHA256"].hex()),
                ),
            )
        if self._md5 is not None and digests["MD5"] != self._md5:
            raise S3Error(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                (
                    ("ExpectedDigest", checksums.encode(self._md5) if self.is_part else self._md5.hex()),
                    ("CalculatedDigest", checksums.encode(digests["MD5"])),
                ),
            )
        if self.algorithm is not None:
            self._check_checksum(self.algorithm, digests)

    def _check_checksum(self, algorithm: Algorithm, digests: Mapping[str, bytes]) -> None:
        expected = self._expected
        if self._in_trailer:
            trailer = self._trailers().get(algorithm.header.encode())
            if trailer is None:
                raise S3Error("MalformedTrailerError")
            expected = _decode(trailer.decode("latin-1"), algorithm)
        if digests[algorithm.name] != expected:
            raise ChecksumMismatch(algorithm.name)
        self._told = Checksum(algorithm.name, checksums.encode(expected))


def _content_md5(fields: Mapping[bytes, bytes]) -> bytes | None:
    value = fields.get(b"content-md5")
    if value is None:
        return None
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest", None, (("Content-MD5", text_of(value)),))
    return digest


def _given_checksum(fields: Mapping[bytes, bytes]) -> tuple[Algorithm | None, bytes | None]:
    """The algorithm of the one checksum given or announced, and its value when it came in a header."""
    given = [name for name in fields if name.startswith(_PREFIX) and name not in _NOT_VALUES]
    trailer = fields.get(b"x-amz-trailer")
    announced = [name.strip().lower() for name in trailer.split(b",")] if trailer else []
    named = text_of(fields.get(b"x-amz-sdk-checksum-algorithm", b""))
    if len(given) + len(announced) > 1:
        raise S3Error(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    if not given and not announced:
        if named:
            raise S3Error(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                "headers were found.",
            )
        return None, None
    name = (given or announced)[0].decode("latin-1")
    algorithm = BY_HEADER.get(name)
    if algorithm is None:
        where = "x-amz-trailer" if announced else "x-amz-checksum-*"
        raise S3Error("InvalidRequest", f"The algorithm in the {where} header is not supported: {name}")
    if named and named.upper() != algorithm.name:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if announced:
        return algorithm, None
    return algorithm, _decode(text_of(fields[given[0]]), algorithm)


def _decode(text: str, algorithm: Algorithm) -> bytes:
    digest = checksums.decode(text, algorithm)
    if digest is None:
        raise S3Error("InvalidChecksumValue", f"Value for {algorithm.header} header is invalid.")
    return digest


def algorithm_named(name: str | None) -> Algorithm | None:
    """The algorithm of a request header's value, or None without one. Raises S3Error when it is unknown."""
    if name is None:
        return None
    algorithm = ALGORITHMS.get(name.upper())
    if algorithm is None:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(ALGORITHMS)}]",
        )
    return algorithm
