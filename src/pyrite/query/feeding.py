"""Owns the bytes on their way into a query: decompressed, cut at records, with the line ends that DuckDB reads."""

import bz2
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import zstandard

from pyrite.query.jobs import RECORD_MAX_BYTES, CsvInput, Job, QueryFailure

_BLOCK_BYTES = 1 << 20


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


def decompressed(chunks: Iterable[bytes], compression: str) -> Iterator[bytes]:
    """What was compressed, block by block; members that follow each other are one. Raises QueryFailure."""
    if compression == "NONE":
        yield from chunks
        return
    reader: io.BufferedReader = io.BufferedReader(_Joined(chunks), _BLOCK_BYTES)
    opened = _open(reader, compression)
    while block := _block_of(opened):
        yield block


def _open(reader: io.BufferedReader, compression: str) -> io.BufferedIOBase | io.RawIOBase:
    if compression == "BZIP2":
        return bz2.BZ2File(reader)
    if compression == "ZSTD":
        limited = zstandard.ZstdDecompressor(max_window_size=128 << 20)
        return limited.stream_reader(reader, read_across_frames=True)  # type: ignore[return-value]
    return gzip.GzipFile(fileobj=reader)


def _block_of(opened: io.BufferedIOBase | io.RawIOBase) -> bytes:
    try:
        return opened.read(_BLOCK_BYTES) or b""
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise QueryFailure("InvalidCompressionFormat", f"The object cannot be decompressed: {error}") from None


class _Joined(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if not self._left:
            self._left = next(self._chunks, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def within(chunks: Iterable[bytes], job: Job, end: bytes) -> Iterator[bytes]:
    """The records that begin between `start` and `stop` of the object; the byte `end` ends each.

    `chunks` begin one byte before `start`, unless that is 0, so that a record that begins there is told from one
    that began before.
    """
    at = max(job.start - 1, 0)
    skipping = job.start > 0
    for chunk in chunks:
        first = 0
        if skipping:
            first = chunk.find(end) + 1
            if not first:
                at += len(chunk)
                continue
            skipping = False
            if job.stop is not None and at + first > job.stop:
                return
        last = chunk.find(end, max(job.stop - at, first)) if job.stop is not None else -1
        if last >= 0:
            yield chunk[first : last + 1]
            return
        yield chunk[first:]
        at += len(chunk)


def whole_records(chunks: Iterable[bytes], delimiter: bytes) -> Iterator[bytes]:
    """Blocks that end with `delimiter`, but the last. Raises QueryFailure for a record that is too large."""
    carry: list[bytes] = []
    carried = 0
    for chunk in chunks:
        joined = chunk if len(delimiter) == 1 or not carry else carry.pop() + chunk
        cut = joined.rfind(delimiter)
        if cut < 0:
            carry.append(joined)
        else:
            cut += len(delimiter)
            yield b"".join((*carry, joined[:cut]))
            carry = [joined[cut:]]
        carried = sum(map(len, carry))
        if carried > RECORD_MAX_BYTES:
            raise QueryFailure("OverMaxRecordSize", f"A record is larger than {RECORD_MAX_BYTES} bytes.")
    if carried:
        yield b"".join(carry)


class Records:
    """Blocks of CSV as DuckDB reads it: without comments and header, records ended by a line feed."""

    def __init__(self, blocks: Iterable[bytes], form: CsvInput) -> None:
        self._blocks = iter(blocks)
        self._form = form
        self._delimiter = form.record.encode()
        comment = re.escape(form.comment.encode())
        self._comments = re.compile(rb"(?m)^" + comment + rb"[^\n]*(?:\n|\Z)") if comment else None
        self._first: bytes | None = None
        self.names: list[str] | None = None
        self.width = 1

    def look(self) -> None:
        """Read the first block: the header, and how many fields records have. Raises QueryFailure."""
        block = next(self._blocks, None)
        if block is None:
            return
        block = self._normal(block)
        if self._form.header != "NONE":
            line, _, block = block.partition(b"\n")
            if self._form.header == "USE":
                self.names = next(iter(self._parsed(line)), [])
                self.width = max(len(self.names), 1)
        self.width = max([self.width, *(len(fields) for fields in self._parsed(block))])
        self._first = block

    def _parsed(self, block: bytes) -> Iterable[list[str]]:
        form = self._form
        doubled = form.escape == form.quote or not form.escape
        try:
            yield from csv.reader(
                io.StringIO(block.decode("utf-8"), newline=""),
                delimiter=form.field,
                quotechar=form.quote,
                doublequote=doubled,
                escapechar=None if doubled else form.escape,
            )
        except UnicodeDecodeError:
            raise QueryFailure(
                "InvalidTextEncoding", "The encoding type is not valid. Only UTF-8 is supported."
            ) from None
        except csv.Error as error:
            raise QueryFailure("CSVParsingError", f"The CSV cannot be read: {error}") from None

    def __iter__(self) -> Iterator[bytes]:
        if self._first:
            yield self._first
        for block in self._blocks:
            yield self._normal(block)

    def _normal(self, block: bytes) -> bytes:
        if self._delimiter not in (b"\n", b"\r\n"):
            block = self._with_line_feeds(block)
        elif b"\r\n" in block:
            block = block.replace(b"\r\n", b"\n")
        if self._comments is not None and self._form.comment.encode() in block:
            block = self._comments.sub(b"", block)
        return block

    def _with_line_feeds(self, block: bytes) -> bytes:
        if b"\n" not in block and b"\r" not in block:
            return block.replace(self._delimiter, b"\n")
        lines = []
        for record in block.split(self._delimiter):
            if b"\n" in record or b"\r" in record:  # a field with a line end in it has to be quoted now
                fields = next(iter(self._parsed(record.replace(b"\n", b"\x00").replace(b"\r", b"\x01"))), [])
                record = self._quoted([field.replace("\x00", "\n").replace("\x01", "\r") for field in fields])
            lines.append(record)
        return b"\n".join(lines)

    def _quoted(self, fields: list[str]) -> bytes:
        form = self._form
        escaped = (field.replace(form.quote, (form.escape or form.quote) + form.quote) for field in fields)
        return form.field.join(f"{form.quote}{field}{form.quote}" for field in escaped).encode()
