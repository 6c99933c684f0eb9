"""Owns the header in front of every fragment. Pure. See docs/formats/volumes.md.

The checksum covers the payload and, through its seed, where the fragment belongs: a fragment that was damaged,
is of another place, or of another shard, does not verify.
"""

from struct import Struct

from xxhash import xxh3_64_intdigest

from pyrite.blobs.layout import HEADER_BYTES

MAGIC = 0xF7
VERSION = 1
KIND_DATA = 1
KIND_LOG = 2

_HEADER = Struct(">BBBBIQQQ")
_PLACE = Struct(">BBBBIQQ")


def header(kind: int, volume: int, shard: int, offset: int, payload: bytes | bytearray | memoryview) -> bytes:
    """The 32 bytes to store in front of `payload` at `offset` of shard `shard` of `volume`."""
    length = len(payload)
    seed = xxh3_64_intdigest(_PLACE.pack(MAGIC, VERSION, kind, shard, length, volume, offset))
    checksum = xxh3_64_intdigest(payload, seed)
    return _HEADER.pack(MAGIC, VERSION, kind, shard, length, volume, offset, checksum)


def verify(stored: memoryview, kind: int, volume: int, shard: int, offset: int) -> bool:
    """Whether `stored` (header and payload) is the whole fragment that belongs at this place."""
    payload = stored[HEADER_BYTES:]
    return stored[:HEADER_BYTES] == header(kind, volume, shard, offset, payload)
