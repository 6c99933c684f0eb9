"""Owns a request's body as a source of payload bytes: plain, or decoded from aws-chunked."""

import hashlib
from collections import deque
from collections.abc import Mapping

from pyrite.aws.payload import STREAMING, PayloadDecoder
from pyrite.aws.sigv4 import UNSIGNED_PAYLOAD
from pyrite.core.counts import parse_count
from pyrite.core.units import GIB, KIB, MIB
from pyrite.http.body import RequestBody
from pyrite.s3.errors import S3Error
from pyrite.s3.integrity import Integrity
from pyrite.s3.request import S3Request, text_of

PUT_MAX_BYTES = 5 * GIB
DOCUMENT_MAX_BYTES = 2 * MIB
CONFIGURATION_MAX_BYTES = 64 * KIB
"""The longest document that configures a bucket, as AWS says of CORS; that of lifecycle has up to 1,000 rules."""
LIFECYCLE_MAX_BYTES = 512 * KIB


class PlainSource:
    """A body as it is."""

    def __init__(self, body: RequestBody) -> None:
        self._body = body
        self.length = body.length
        self._size = 0

    def take_all(self) -> bytes | None:
        return self._body.take_all()

    async def read_into(self, target: memoryview) -> int:
        count = await self._body.read_into(target)
        self._size += count
        if self._size > PUT_MAX_BYTES:
            raise S3Error("EntityTooLarge")
        return count


class ChunkedSource:
    """An aws-chunked body, decoded and checked."""

    def __init__(self, body: RequestBody, decoder: PayloadDecoder, length: int) -> None:
        self._body = body
        self._decoder = decoder
        self._views: deque[memoryview] = deque()
        self._finished = False
        self.length: int | None = length

    @property
    def trailers(self) -> Mapping[bytes, bytes]:
        """The trailing fields, once the payload has ended."""
        return self._decoder.trailers

    def take_all(self) -> memoryview | None:
        """All of it when the whole body is here."""
        raw = self._body.take_all()
        if raw is None:
            return None
        views = list(self._decoder.feed(raw))
        self._decoder.finish()
        self._finished = True
        return views[0] if len(views) == 1 else memoryview(b"".join(views))

    async def read_into(self, target: memoryview) -> int:
        filled = 0
        while filled < len(target):
            if not self._views and not await self._more():
                break
            filled += take_view(self._views, target[filled:])
        return filled

    async def _more(self) -> bool:
        """Decode until there is payload; False at the end, once everything has been checked."""
        while not self._views and not self._finished:
            raw = await self._body.read()
            if raw:
                self._views.extend(self._decoder.feed(raw))
            else:
                self._decoder.finish()
                self._finished = True
        return bool(self._views)


def take_view(views: deque[memoryview], target: memoryview) -> int:
    """Move what fits of the first view, which there has to be, to the start of `target`; how many bytes."""
    view = views[0][: len(target)]
    target[: len(view)] = view
    if len(view) == len(views[0]):
        views.popleft()
    else:
        views[0] = views[0][len(view) :]
    return len(view)


Source = PlainSource | ChunkedSource


def open_source(request: S3Request, integrity: Integrity) -> Source:
    """The payload of `request`. Raises S3Error when its length is missing or too large."""
    if request.payload.mode in STREAMING:
        return _open_chunked(request, integrity)
    _refuse_unannounced_chunks(request)
    if request.body.length == 0 and b"content-length" not in request.headers:
        raise S3Error("MissingContentLength")
    if (request.body.length or 0) > PUT_MAX_BYTES:
        raise too_large(request.body.length or 0)
    return PlainSource(request.body)


def _refuse_unannounced_chunks(request: S3Request) -> None:
    """Raises S3Error where a body is said to be in chunks that nothing announces: its framing would be stored."""
    codings = request.headers.get(b"content-encoding", b"").lower().split(b",")
    if request.payload.mode == UNSIGNED_PAYLOAD and b"aws-chunked" in (coding.strip() for coding in codings):
        raise S3Error(
            "InvalidArgument",
            "aws-chunked encoding is not supported when x-amz-content-sha256 UNSIGNED-PAYLOAD is supplied",
            (("ArgumentName", "x-amz-content-sha256"), ("ArgumentValue", text_of(UNSIGNED_PAYLOAD))),
        )


def _open_chunked(request: S3Request, integrity: Integrity | None) -> ChunkedSource:
    text = request.headers.get(b"x-amz-decoded-content-length")
    if text is None:
        raise S3Error("MissingContentLength")
    length = parse_count(text)
    if length is None:
        raise S3Error(
            "InvalidArgument",
            "x-amz-decoded-content-length is not a number",
            (("ArgumentName", "x-amz-decoded-content-length"), ("ArgumentValue", text_of(text))),
        )
    if length > PUT_MAX_BYTES:
        raise too_large(length)
    trailer = request.headers.get(b"x-amz-trailer")
    announced = tuple(name.strip().lower() for name in trailer.split(b",")) if trailer else ()
    decoder = PayloadDecoder(request.payload.signer, announced, length)
    source = ChunkedSource(request.body, decoder, length)
    if integrity is not None:
        integrity.expect_trailers(lambda: source.trailers)
    return source


def too_large(size: int) -> S3Error:
    """The refusal of a body of `size` bytes."""
    return S3Error("EntityTooLarge", None, (("ProposedSize", str(size)), ("MaxSizeAllowed", str(PUT_MAX_BYTES))))


async def read_document(request: S3Request, limit_bytes: int = DOCUMENT_MAX_BYTES) -> bytes:
    """A small body read whole and checked, in any payload form; also a second time. Raises S3Error."""
    if request.document is not None:
        if len(request.document) > limit_bytes:
            raise S3Error("MaxMessageLengthExceeded")
        return request.document
    integrity = Integrity(request.headers, request.payload.sha256)
    document = await _read_whole(request, integrity, limit_bytes)
    integrity.sum_up(document)
    request.document = document
    return document


async def read_plain(request: S3Request, limit_bytes: int) -> bytes:
    """As `read_document`, where the checksum headers speak of something else than the body."""
    document = await _read_whole(request, None, limit_bytes)
    expected = request.payload.sha256
    if expected and hashlib.sha256(document).hexdigest() != expected:
        raise S3Error("XAmzContentSHA256Mismatch")
    return document


async def _read_whole(request: S3Request, integrity: Integrity | None, limit_bytes: int) -> bytes:
    if request.payload.mode not in STREAMING:
        _refuse_unannounced_chunks(request)
        return await request.body.read_all(limit_bytes)
    source = _open_chunked(request, integrity)
    if (source.length or 0) > limit_bytes:
        raise S3Error("MaxMessageLengthExceeded")
    buffer = memoryview(bytearray((source.length or 0) + 1))
    return bytes(buffer[: await source.read_into(buffer)])
