"""Owns the bytes of sealed objects: plain bytes to frames and back, from any frame on. Pure but for what it streams.

A blob is sealed under a key that is used for nothing else, in frames of FRAME_BYTES with AES-256-GCM (NIST SP 800-38D).
The nonce of a frame is its number, and whether it is the last one is authenticated with it: so frames cannot be moved,
left out or cut off. See docs/formats/volumes.md.
"""

import hmac
from collections.abc import AsyncIterator
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from pyrite.core.errors import Corrupt
from pyrite.core.units import KIB
from pyrite.objects.records import Encryption, ObjectRecord

FRAME_BYTES = 64 * KIB
TAG_BYTES = 16
SALT_BYTES = 16
BLOCK_FRAMES = 16  # what is sealed at a time: less would be handed over in too many pieces
_OPENED_FRAMES = 18  # what is opened at a time: a block of what is read, and what was torn of the one before
KEY_PURPOSE = b"s3 object"
"""What the keys of objects are wrapped for."""

_SEALED_BYTES = FRAME_BYTES + TAG_BYTES
_MIDDLE, _LAST = b"pyrite 1", b"pyrite 1 last"


class Sealing(NamedTuple):
    """The key of a new object, and how the object's record tells it."""

    encryption: Encryption
    key: bytes


def etag_of(md5: bytes, sealing: Sealing | None) -> str:
    """The ETag of an object or part: the MD5, but where a KMS key or the client's own seals it, which hides it."""
    if sealing is None or sealing.encryption.algorithm == "AES256":
        return md5.hex()
    return hmac.digest(sealing.key, md5, "sha256")[:16].hex()


def sealed_length(length: int) -> int:
    """How many bytes `length` plain ones become."""
    return length + TAG_BYTES * -(-length // FRAME_BYTES)


def stored_length(record: ObjectRecord, length: int) -> int:
    """How many bytes `length` of an object take in its volumes."""
    return length if record.encryption is None else sealed_length(length)


def part_key(key: bytes, salt: bytes) -> bytes:
    """The key of a part of an object whose key is `key` (RFC 5869)."""
    return HKDFExpand(hashes.SHA256(), 32, b"pyrite part " + salt).derive(key)


def _nonce(frame: int) -> bytes:
    return frame.to_bytes(12, "big")


def _unopened(frame: int) -> Corrupt:
    return Corrupt(f"frame {frame} of a sealed object cannot be opened")


class Cipher:
    """Seals and opens the frames of one blob."""

    def __init__(self, key: bytes) -> None:
        self._gcm = AESGCM(key)

    def seal(self, plain: bytes | memoryview, first_frame: int = 0, is_end: bool = True) -> bytes | bytearray:
        """Whole frames, the last of which may be shorter; `is_end`: it is the last of the blob."""
        if len(plain) <= FRAME_BYTES:
            return self._gcm.encrypt(_nonce(first_frame), plain, _LAST if is_end else _MIDDLE)
        sealed = bytearray(sealed_length(len(plain)))
        self.seal_into(memoryview(plain), memoryview(sealed), first_frame, is_end)
        return sealed

    def seal_into(self, plain: memoryview, sealed: memoryview, first_frame: int, is_end: bool) -> None:
        """As `seal`, into a buffer of just the right size."""
        frames = -(-len(plain) // FRAME_BYTES)
        for n in range(frames):
            piece = plain[n * FRAME_BYTES : (n + 1) * FRAME_BYTES]
            bound = _LAST if is_end and n == frames - 1 else _MIDDLE
            place = n * _SEALED_BYTES
            self._gcm.encrypt_into(
                _nonce(first_frame + n), piece, bound, sealed[place : place + len(piece) + TAG_BYTES]
            )

    def open_frame(self, sealed: memoryview, frame: int, is_last: bool) -> bytes:
        """The plain bytes of one frame. Raises Corrupt."""
        try:
            return self._gcm.decrypt(_nonce(frame), sealed, _LAST if is_last else _MIDDLE)
        except InvalidTag:
            raise _unopened(frame) from None

    def open_into(self, sealed: memoryview, plain: memoryview, first_frame: int, last_frame: int) -> int:
        """Open whole frames into `plain`; how many bytes they hold. Raises Corrupt."""
        done = 0
        for n in range(-(-len(sealed) // _SEALED_BYTES)):
            piece = sealed[n * _SEALED_BYTES : (n + 1) * _SEALED_BYTES]
            frame, length = first_frame + n, len(piece) - TAG_BYTES
            try:
                if length < 0:
                    raise InvalidTag
                bound = _LAST if frame == last_frame else _MIDDLE
                self._gcm.decrypt_into(_nonce(frame), piece, bound, plain[done : done + length])
            except InvalidTag:
                raise _unopened(frame) from None
            done += length
        return done


class SealedRange(NamedTuple):
    """Which sealed bytes hold plain bytes start..stop of a blob, and where among those they are."""

    start: int
    stop: int
    first_frame: int
    last_frame: int
    skip: int
    length: int


def sealed_range(size: int, start: int, stop: int) -> SealedRange:
    """For bytes start..stop, which are not empty, of a blob of `size` plain bytes."""
    first, last = start // FRAME_BYTES, (stop - 1) // FRAME_BYTES
    end = min(sealed_length(size), (last + 1) * _SEALED_BYTES)
    return SealedRange(
        first * _SEALED_BYTES,
        end,
        first,
        (size - 1) // FRAME_BYTES,
        start - first * FRAME_BYTES,
        stop - start,
    )


def open_whole(cipher: Cipher, sealed: memoryview, wanted: SealedRange) -> memoryview:
    """The plain bytes of a range that is here. Raises Corrupt."""
    if len(sealed) <= _SEALED_BYTES:
        plain = memoryview(cipher.open_frame(sealed, wanted.first_frame, wanted.first_frame == wanted.last_frame))
    else:
        plain = memoryview(bytearray(len(sealed)))
        cipher.open_into(sealed, plain, wanted.first_frame, wanted.last_frame)
    return plain[wanted.skip : wanted.skip + wanted.length]


async def open_stream(
    cipher: Cipher, blocks: AsyncIterator[list[memoryview]], wanted: SealedRange
) -> AsyncIterator[list[memoryview]]:
    """The plain bytes of a range whose sealed bytes come in `blocks`; a block lasts until the next. Raises Corrupt."""
    total = wanted.stop - wanted.start
    opened = _Opened(cipher, wanted, memoryview(bytearray(min(total, _OPENED_FRAMES * _SEALED_BYTES))))
    torn = _Torn()
    async for block in blocks:
        for view in block:
            while view:
                piece = torn.whole(view, total, len(opened.plain))
                view, total = view[piece.taken :], total - piece.taken
                if not opened.has_room_for(piece.frames):
                    yield opened.take()
                opened.open(piece.frames)
        if opened.filled:  # all of a block at once: each piece more is a call of the kernel more
            yield opened.take()
    if total or opened.left:
        raise Corrupt("a sealed object ends early")


class _Opened:
    """Frames that are opened one behind the other, until they are taken."""

    def __init__(self, cipher: Cipher, wanted: SealedRange, plain: memoryview) -> None:
        self.plain = plain
        self.filled = 0
        self.left = wanted.length
        self._cipher = cipher
        self._frame = wanted.first_frame
        self._last_frame = wanted.last_frame
        self._skip = wanted.skip

    def has_room_for(self, frames: memoryview) -> bool:
        return self.filled + len(frames) <= len(self.plain)

    def open(self, frames: memoryview) -> None:
        """Whole frames, perhaps none. Raises Corrupt."""
        if frames:
            self.filled += self._cipher.open_into(frames, self.plain[self.filled :], self._frame, self._last_frame)
            self._frame += -(-len(frames) // _SEALED_BYTES)

    def take(self) -> list[memoryview]:
        """What of it is wanted; it lasts until more is opened."""
        found = self.plain[self._skip : min(self.filled, self._skip + self.left)]
        self._skip = self.filled = 0
        self.left -= len(found)
        return [found]


class _Piece(NamedTuple):
    """Whole frames, or none yet, and how many bytes of the view went to make them."""

    frames: memoryview
    taken: int


class _Torn:
    """Puts frames together that lie in two views; those that lie in one are used where they are."""

    def __init__(self) -> None:
        self._frame = memoryview(bytearray(_SEALED_BYTES))
        self._filled = 0

    def whole(self, view: memoryview, total: int, limit: int) -> _Piece:
        """The next whole frames, at most `limit` bytes, from a view with `total` bytes to come from its start on."""
        if not self._filled:
            here = min(len(view), limit)
            frames = here if here == total else here // _SEALED_BYTES * _SEALED_BYTES
            if frames:
                return _Piece(view[:frames], frames)
        size = min(_SEALED_BYTES, self._filled + total)
        count = min(len(view), size - self._filled)
        self._frame[self._filled : self._filled + count] = view[:count]
        self._filled += count
        if self._filled < size:
            return _Piece(self._frame[:0], count)
        self._filled = 0
        return _Piece(self._frame[:size], count)
