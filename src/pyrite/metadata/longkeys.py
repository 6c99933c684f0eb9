"""Owns how keys longer than LMDB's 511 bytes are kept, in order. Pure.

A key shorter than SEGMENT_BYTES stands in the `data` table as it is. A longer one leaves a stub (an empty
value) at its first segment, and continues in the `long` table under a digest of that segment; the rest is cut
the same way again. All keys that share a first segment share its stub, and no shorter key starts with it, so
a scan that descends at each stub meets every key in order.
"""

from hashlib import blake2b
from typing import NamedTuple

SEGMENT_BYTES = 480
_DIGEST_BYTES = 16
STUB = b""

DATA, LONG = 0, 1


class Place(NamedTuple):
    """Where bytes stand: a table and the key in it."""

    table: int
    key: bytes


def child_prefix(place: Place) -> bytes:
    """The prefix, in the `long` table, of everything that continues the segment at `place`."""
    return blake2b(bytes([place.table]) + place.key, digest_size=_DIGEST_BYTES).digest()


def locate(key: bytes) -> tuple[list[Place], Place]:
    """The stubs on the way to `key`, outermost first, and the place of its value."""
    stubs: list[Place] = []
    table, prefix, rest = DATA, b"", key
    while len(rest) >= SEGMENT_BYTES:
        stub = Place(table, prefix + rest[:SEGMENT_BYTES])
        stubs.append(stub)
        table, prefix, rest = LONG, child_prefix(stub), rest[SEGMENT_BYTES:]
    return stubs, Place(table, prefix + rest)
