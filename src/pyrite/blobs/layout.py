"""Owns the geometry of volumes: how logical bytes fall onto stripes, fragments and shard offsets. Pure.

A volume of layout (k data, m parity) is k + m shard files of equal length. A stripe is up to
k * fragment_bytes of logical bytes, cut into k data fragments; m parity fragments are computed from them. Each
fragment is stored behind a header at the same offset of its shard. With k = 1 all shards are equal copies.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pyrite.core.units import KIB

HEADER_BYTES = 32
FRAGMENT_BYTES = 256 * KIB
SHARDS_MAX = 16

_PAYLOAD_ALIGN = 64  # of erasure-coded fragments: ISA-L works on 16-byte words
_PACK_ALIGN = 8
_PUNCH_ALIGN = 4096
_PUNCH_ALIGN_FROM = 64 * KIB  # extents this long start on a page, so that deleting them frees all of them


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """`length` logical bytes that begin at `offset` of every shard of `volume`."""

    volume: int
    offset: int
    length: int


class Stripe(NamedTuple):
    """One stripe of an extent: where it stands in the shards and which logical bytes it holds."""

    shard_offset: int
    start: int
    length: int
    payload: int


class Layout(msgspec.Struct, frozen=True, array_like=True):
    """`data` (k) and `parity` (m) shards with fragments of at most `fragment_bytes`."""

    data: int
    parity: int
    fragment_bytes: int = FRAGMENT_BYTES

    @property
    def width(self) -> int:
        """How many shards there are."""
        return self.data + self.parity

    @property
    def stripe_bytes(self) -> int:
        """Logical bytes of a full stripe."""
        return self.data * self.fragment_bytes

    @property
    def name(self) -> str:
        """`replicated(n)` or `erasure(k, m)`."""
        if self.data == 1:
            return f"replicated({self.width})"
        return f"erasure({self.data}, {self.parity})"

    @property
    def write_quorum(self) -> int:
        """The fewest fragments with which a write may be acknowledged: k + 1, or k without parity."""
        return self.data + (1 if self.parity else 0)

    def payload(self, length: int) -> int:
        """Bytes of each fragment of a stripe of `length` logical bytes."""
        if self.data == 1:
            return length
        share = -(-length // self.data)
        return -(-share // _PAYLOAD_ALIGN) * _PAYLOAD_ALIGN

    def span(self, length: int) -> int:
        """Bytes that an extent of `length` logical bytes takes in each shard."""
        full, rest = divmod(length, self.stripe_bytes)
        span = full * (HEADER_BYTES + self.fragment_bytes)
        if rest:
            span += HEADER_BYTES + self.payload(rest)
        return -(-span // _PACK_ALIGN) * _PACK_ALIGN

    def index_of(self, shard: int) -> int:
        """The shard number in a fragment's header: copies of one fragment are equal, so all of them say 0."""
        return 0 if self.data == 1 else shard

    def align(self, offset: int, length: int) -> int:
        """Where an extent of `length` may begin at or after `offset`."""
        unit = _PUNCH_ALIGN if length >= _PUNCH_ALIGN_FROM else _PACK_ALIGN
        return -(-offset // unit) * unit

    def stripes(self, extent: Extent, start: int, stop: int) -> Iterator[Stripe]:
        """The stripes of `extent` that hold any of its logical bytes start <= i < stop."""
        size = self.stripe_bytes
        for index in range(start // size, -(-stop // size)):
            first = index * size
            length = min(size, extent.length - first)
            offset = extent.offset + index * (HEADER_BYTES + self.fragment_bytes)
            yield Stripe(offset, first, length, self.payload(length))


def default_parity(drives: int) -> int:
    """Parity shards for a store of `drives` drives: 0, 1, 2, 3 and 4 from 1, 2, 4, 6 and 8 drives.

    The table of the field: one drive 0, two or three 1, four or five 2, six or seven 3, eight and more 4.
    """
    for least, parity in ((8, 4), (6, 3), (4, 2), (2, 1)):
        if drives >= least:
            return parity
    return 0
