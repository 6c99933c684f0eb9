"""Owns how the store and a process of a query or a function speak: a letter, the length in four bytes, the payload."""

import struct
from typing import BinaryIO

HEAD = struct.Struct(">cI")
JOB, DATA, END = b"J", b"D", b"E"
"""To the process: what it is to do, bytes of the object, their end."""

STARTED, WANTED, RECORDS, PROGRESS, DONE, FAILED = b"S", b"W", b"R", b"P", b"Z", b"F"
"""From the process: it has begun, a range that it wants, output, counts, the end, a failure."""

RANGE = struct.Struct(">QQ")


def write(file: BinaryIO, kind: bytes, payload: bytes = b"") -> None:
    """Send a frame."""
    file.write(HEAD.pack(kind, len(payload)) + payload)
    file.flush()


def read(file: BinaryIO) -> tuple[bytes, bytes]:
    """The next frame. Raises EOFError when the other end is gone."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    kind, length = HEAD.unpack(head)
    payload = file.read(length)
    if len(payload) < length:
        raise EOFError
    return kind, payload
