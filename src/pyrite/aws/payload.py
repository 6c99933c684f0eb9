"""Owns the aws-chunked payload: decoding it and checking its signatures. Pure.

Source: AWS, "Signature calculations for the Authorization header: transferring payload in multiple chunks", and
the pages on trailing headers that follow it.
"""

import hashlib
import hmac
from collections.abc import Iterator
from typing import NamedTuple

from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.sigv4 import EMPTY_SHA256, sign
from pyrite.core.chunked import ChunkData, ChunkDecoder, ChunkEnd, ChunkStart, FramingError, Trailers

MIN_CHUNK_BYTES = 8192

SIGNED = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
STREAMING = frozenset((SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER))


class ChunkSigner(NamedTuple):
    """What the chain of chunk signatures starts from."""

    key: bytes
    amz_date: str
    scope: str
    seed: str


class PayloadDecoder:
    """Decodes one aws-chunked payload; with a `signer` every chunk and the trailer must carry a signature.

    `trailers` holds the trailing fields once the payload has ended. Bytes are given out before the signature of
    their chunk is known: nothing may be committed unless `finish` has returned.
    """

    def __init__(self, signer: ChunkSigner | None, announced: tuple[bytes, ...], decoded_length: int) -> None:
        self._signer = signer
        self._announced = announced
        self._left = decoded_length
        self._previous = signer.seed if signer is not None else ""
        self._chunks = ChunkDecoder()
        self._hash = hashlib.sha256()
        self._expected = ""
        self._small_chunk = False
        self.trailers: dict[bytes, bytes] = {}
        self.ended = False

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """The payload bytes in `data`. Raises AuthFault."""
        try:
            for event in self._chunks.feed(data):
                if isinstance(event, ChunkData):
                    self._on_data(event.view)
                    yield event.view
                elif isinstance(event, ChunkStart):
                    self._on_start(event)
                elif isinstance(event, ChunkEnd):
                    self._check_chunk()
                else:
                    self._on_trailers(event)
        except FramingError as error:
            raise AuthFault(Fault.INCOMPLETE_BODY, "The request body terminated unexpectedly") from error

    def finish(self) -> None:
        """The body has ended: check that the payload has too. Raises AuthFault."""
        if not self.ended and self._chunks.at_trailer_boundary:
            self._on_trailers(self._chunks.finish_early())
        if not self.ended or self._left:
            raise AuthFault(
                Fault.INCOMPLETE_BODY,
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
            )

    def _on_start(self, event: ChunkStart) -> None:
        if event.size and self._small_chunk:
            raise AuthFault(
                Fault.INVALID_CHUNK_SIZE,
                "Only the last chunk is allowed to have a size less than 8192 bytes",
            )
        self._small_chunk = event.size < MIN_CHUNK_BYTES
        if self._signer is None:
            return
        name, _, signature = event.extension.partition(b"=")
        if name.strip() != b"chunk-signature" or len(signature) != 64:
            raise AuthFault(Fault.INCOMPLETE_BODY, "The request body terminated unexpectedly")
        self._expected = signature.decode("latin-1")
        self._hash = hashlib.sha256()
        if event.size == 0:
            self._check_chunk()

    def _on_data(self, view: memoryview) -> None:
        if len(view) > self._left:
            raise AuthFault(
                Fault.INCOMPLETE_BODY,
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
            )
        self._left -= len(view)
        if self._signer is not None:
            self._hash.update(view)

    def _check_chunk(self) -> None:
        if self._signer is None:
            return
        text = (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._signer.amz_date}\n{self._signer.scope}\n{self._previous}\n"
            f"{EMPTY_SHA256}\n{self._hash.hexdigest()}"
        )
        self._compare(text, self._expected)

    def _compare(self, text: str, provided: str) -> None:
        assert self._signer is not None
        expected = sign(self._signer.key, text.encode())
        if not hmac.compare_digest(expected, provided):
            raise AuthFault(
                Fault.MISMATCH,
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
            )
        self._previous = expected

    def _on_trailers(self, event: Trailers) -> None:
        fields = dict(event.fields)
        signature = fields.pop(b"x-amz-trailer-signature", None)
        if set(fields) != set(self._announced):
            raise AuthFault(
                Fault.MALFORMED_TRAILER,
                "The request contained trailing data that was not well-formed or did not conform to our "
                "published schema.",
            )
        if self._signer is not None and self._announced:
            self._check_trailer(fields, signature)
        self.trailers = fields
        self.ended = True

    def _check_trailer(self, fields: dict[bytes, bytes], signature: bytes | None) -> None:
        assert self._signer is not None
        if signature is None:
            raise AuthFault(Fault.MALFORMED_TRAILER, "The trailer is not signed.")
        canonical = b"".join(name + b":" + value + b"\n" for name, value in sorted(fields.items()))
        text = (
            f"AWS4-HMAC-SHA256-TRAILER\n{self._signer.amz_date}\n{self._signer.scope}\n{self._previous}\n"
            f"{hashlib.sha256(canonical).hexdigest()}"
        )
        self._compare(text, signature.decode("latin-1"))
