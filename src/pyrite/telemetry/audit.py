"""Owns the audit log: one JSON line for each request and each administrative call, chained so that changes show.

Each line holds the hash of the line before it, and its own: HMAC-SHA256 (RFC 2104), over all that stands before, under
a key that only the store has. A line that was changed, removed, put in or added breaks the chain; one cut off at the
end is missed because the head of each chain is kept in the store (see `node/auditing.py`). A process has a chain of its
own, in the file of its slot; a file may be rotated by renaming it. There is never a secret in a record.
"""

import contextlib
import errno
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

START = "0" * 64
_FLUSH_BYTES = 64 * 1024
_BUFFER_MAX_BYTES = 64 * 1024 * 1024
_HASH = b',"hash":"'
_TAIL_BYTES = 128 * 1024


class Head(NamedTuple):
    """The end of a chain: the number of its last record, and that record's hash."""

    number: int
    hash: str


class ChainKey(NamedTuple):
    """The key of the hashes, and for chains that are older than it the number of their last record without it."""

    key: bytes
    since: Mapping[str, int] = MappingProxyType({})

    def hash(self, body: bytes) -> str:
        """The hash of a record."""
        return hmac.digest(self.key, body, "sha256").hex()

    def made(self, slot: str, number: int, body: bytes, digest: str) -> bool:
        """Whether that is the hash of this record in the chain of a slot."""
        if hmac.compare_digest(self.hash(body), digest):
            return True
        return number <= self.since.get(slot, 0) and hashlib.sha256(body).hexdigest() == digest


class AuditRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request or call. Times in ISO 8601 and ms; sizes in bytes.

    `kind` is "request" for S3, "call" for IAM, STS, KMS and SNS, whose `parameters` are shown without secrets, and
    "command" for what was done on the server's machine by the command line. `claimed_key` is the access key that
    somebody who was not let in has named. `keys` are those of DeleteObjects, with ids of versions behind a space, and
    `copied_from` is what a copy or a rename is of, as the client names it.
    """

    number: int = -1
    time: str
    kind: str
    request_id: str
    source: str
    account: str = ""
    caller: str = ""
    access_key: str = ""
    claimed_key: str = ""
    operation: str
    bucket: str = ""
    key: str = ""
    keys: tuple[str, ...] = ()
    copied_from: str = ""
    version: str = ""
    parameters: dict[str, str] = {}
    status: int
    error: str = ""
    received_bytes: int = 0
    sent_bytes: int = 0
    duration_ms: float = 0.0
    user_agent: str = ""
    prev: str = ""


def file_of(folder: Path, slot: str) -> Path:
    """The file of a slot's chain."""
    return folder / f"audit-{slot}.jsonl"


class AuditLog:
    """Appends to the chain of `slot` in `folder`; `known` is its head as the store knows it."""

    def __init__(self, folder: Path, slot: str, known: Head, key: ChainKey) -> None:
        self._key = key
        self._path = file_of(folder, slot)
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []
        self._size = 0
        self.head = max(known, _last_head(self._path, slot, key) or known)

    def write(self, record: AuditRecord) -> None:
        """Add a record to the chain; it reaches the file with the next flush."""
        record.number, record.prev = self.head.number + 1, self.head.hash
        body = self._encode(record)[:-1]
        digest = self._key.hash(body)
        line = body + _HASH + digest.encode() + b'"}\n'
        self.head = Head(record.number, digest)
        if self._size >= _BUFFER_MAX_BYTES:
            return  # it is missing from the chain, which shows
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _FLUSH_BYTES:
            with contextlib.suppress(OSError):  # the next flush tells
                self.flush()

    def flush(self) -> None:
        """Write what is buffered, whole lines in one call. Raises OSError."""
        if not self._lines:
            return
        block = b"".join(self._lines)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            written = os.write(descriptor, block)
        finally:
            os.close(descriptor)
        self._keep(block[written:])
        if written < len(block):
            raise OSError(errno.ENOSPC, f"only {written} of {len(block)} bytes could be written", str(self._path))

    def _keep(self, rest: bytes) -> None:
        """Keep what is not in the file yet, be it the end of a line: the next flush goes on there."""
        self._lines = [rest] if rest else []
        self._size = len(rest)


def _last_head(path: Path, slot: str, key: ChainKey) -> Head | None:
    """The head of the chain in a file; None when there is none. What was added by others is not of the chain."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - _TAIL_BYTES, 0))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            found = _parse(line)
        except ValueError:
            continue  # cut off by a crash: the chain goes on behind the last whole line
        if key.made(slot, found.number, found.body, found.hash):
            return Head(found.number, found.hash)
    return None


class _Line(NamedTuple):
    number: int
    prev: str
    hash: str
    body: bytes


def _parse(line: bytes) -> _Line:
    body, found, rest = line.rpartition(_HASH)
    if not found or not rest.endswith(b'"}'):
        raise ValueError("a line is cut off or is none of an audit log")
    record = msgspec.json.decode(body + b"}", type=AuditRecord)
    digest = rest[:-2].decode("ascii", "replace")
    return _Line(record.number, record.prev, digest, body)


class Verified(NamedTuple):
    """What a chain was found to be: how many records it has, from which number on, and what is wrong with it."""

    slot: str
    records: int
    first: int
    faults: list[str]


def verify_chain(slot: str, files: Iterable[Path], anchor: Head | None, key: ChainKey, begins: int = 1) -> Verified:
    """Verify the chain of a slot in `files`, given in order. `anchor` is its head as the store knows it, `begins` the
    number with which it may begin.
    """
    faults: list[str] = []
    first, records, head = 0, 0, None
    anchored = anchor is None or anchor.number == 0
    for name, line_number, line in _lines(files):
        where = f"{name}:{line_number}"
        try:
            found = _parse(line)
        except (ValueError, msgspec.MsgspecError):
            faults.append(f"{where} is not a record")
            continue
        if not key.made(slot, found.number, found.body, found.hash):
            faults.append(f"{where} (record {found.number}) was changed, or is of somebody else")
        if head is None:
            first = found.number
            if first > begins:
                faults.append(f"{where}: the chain begins with record {first}, those from {begins} on are missing")
        elif found.number != head.number + 1 or found.prev != head.hash:
            faults.append(f"{where}: record {found.number} does not follow record {head.number}")
        head = Head(found.number, found.hash)
        records += 1
        anchored = anchored or head == anchor
    if not anchored and anchor is not None:
        faults.append(f"record {anchor.number}, which the store knows, is missing or another")
    return Verified(slot, records, first, faults)


def _lines(files: Iterable[Path]) -> Iterator[tuple[str, int, bytes]]:
    for path in files:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield path.name, number, line.rstrip(b"\n")


def chains_in(folder: Path) -> dict[str, list[Path]]:
    """The files of each slot's chain, in order of their first records; rotated ones have more behind their names."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("audit-*.jsonl*"):
        with path.open("rb") as file:
            line = file.readline().rstrip(b"\n")
        try:
            number = _parse(line).number if line else 0
        except (ValueError, msgspec.MsgspecError):
            number = 0
        found.setdefault(path.name.removeprefix("audit-").partition(".jsonl")[0], []).append((number, path))
    return {slot: [path for _, path in sorted(listed)] for slot, listed in found.items()}
