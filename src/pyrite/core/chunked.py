"""Owns chunk framing (RFC 9112 section 7.1), which HTTP uses for bodies and aws-chunked for payloads.

A pure state machine: bytes in, events out. What an extension or a trailer means is the caller's business.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pyrite.core.errors import PyriteError

MAX_SIZE_LINE_BYTES = 1024
MAX_TRAILER_BYTES = 16 * 1024
MAX_CHUNK_BYTES = 1 << 40

_HEX = frozenset(b"0123456789abcdefABCDEF")


class FramingError(PyriteError):
    """The bytes are not chunk framing, or pass one of its limits."""


class ChunkStart(NamedTuple):
    """A chunk of `size` bytes begins; `extension` is what followed the size and a semicolon."""

    size: int
    extension: bytes


class ChunkData(NamedTuple):
    """The next bytes of the chunk; the view is valid until the buffer that was fed is reused."""

    view: memoryview


class ChunkEnd(NamedTuple):
    """All bytes of the chunk have been seen."""


class Trailers(NamedTuple):
    """The framing has ended, with these fields in order (names lower-cased, values stripped)."""

    fields: tuple[tuple[bytes, bytes], ...]


Event = ChunkStart | ChunkData | ChunkEnd | Trailers


class ChunkDecoder:
    """Decodes one chunked body; after `Trailers`, `rest` holds the bytes that follow it."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._remaining = 0
        self._state = "size"
        self._fields: list[tuple[bytes, bytes]] = []
        self._trailer_bytes = 0
        self.rest = b""

    @property
    def ended(self) -> bool:
        """Whether the final empty line has been read."""
        return self._state == "end"

    @property
    def at_trailer_boundary(self) -> bool:
        """Whether only the final empty line is missing: some S3 clients leave it out."""
        return self._state == "trailer" and not self._line

    def finish_early(self) -> Trailers:
        """Close at a trailer boundary, for senders that leave the final empty line out."""
        self._state = "end"
        return Trailers(tuple(self._fields))

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Event]:
        """The events in `data`, in order.

        Raises FramingError at the first byte that cannot be part of chunk framing.
        """
        view = memoryview(data)
        while len(view) and self._state != "end":
            if self._state == "data":
                taken = view[: self._remaining]
                view = view[len(taken) :]
                self._remaining -= len(taken)
                yield ChunkData(taken)
                if not self._remaining:
                    self._state = "data_end"
                    yield ChunkEnd()
                continue
            line, view = self._take_line(view)
            if line is not None:
                yield from self._on_line(line)
        if self._state == "end":
            self.rest = bytes(view)

    def _take_line(self, view: memoryview) -> tuple[bytes | None, memoryview]:
        window = bytes(view[:MAX_TRAILER_BYTES])
        end = window.find(b"\n")
        limit = MAX_TRAILER_BYTES if self._state == "trailer" else MAX_SIZE_LINE_BYTES
        self._line += window if end < 0 else window[: end + 1]
        if len(self._line) > limit:
            raise FramingError("a line of the chunk framing is too long")
        if end < 0:
            return None, view[len(window) :]
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise FramingError("a line of the chunk framing does not end in CRLF")
        return line[:-2], view[end + 1 :]

    def _on_line(self, line: bytes) -> Iterator[Event]:
        if self._state == "size":
            size, extension = self._parse_size(line)
            yield ChunkStart(size, extension)
            self._remaining = size
            self._state = "data" if size else "trailer"
        elif self._state == "data_end":
            if line:
                raise FramingError("chunk data is not followed by CRLF")
            self._state = "size"
        elif line:
            self._add_trailer(line)
        else:
            self._state = "end"
            yield Trailers(tuple(self._fields))

    def _parse_size(self, line: bytes) -> tuple[int, bytes]:
        digits, _, extension = line.partition(b";")
        if not digits or len(digits) > 16 or not _HEX.issuperset(digits):
            raise FramingError("a chunk size is not a hexadecimal number")
        size = int(digits, 16)
        if size > MAX_CHUNK_BYTES:
            raise FramingError("a chunk is too large")
        return size, extension

    def _add_trailer(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        self._trailer_bytes += len(line)
        if not colon or not name or name != name.strip() or self._trailer_bytes > MAX_TRAILER_BYTES:
            raise FramingError("a trailer field is malformed")
        self._fields.append((name.lower(), value.strip()))
