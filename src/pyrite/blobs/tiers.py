"""Owns what the blob layer knows of tiers: blobs that stand elsewhere, in a folder or at another store.

Such a blob is one extent, of a volume that stands for the tier and has no shards; its offset is a random name. So
copies share it, and it is named and given up, like any other.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from pyrite.blobs.layout import Extent
from pyrite.core.errors import Unavailable

_MARK = 0xFFFF << 48


def tier_volume(name: str) -> int:
    """The volume that stands for the tier called `name`."""
    return _MARK | int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


def is_tiered(volume: int) -> bool:
    """Whether a volume stands for a tier. Others are stamps of a clock, which are far smaller."""
    return volume >= _MARK


class Kept(NamedTuple):
    """A blob as its tier lists it: the offset of its extent, and when it was written."""

    offset: int
    written_ms: int


class Tiers(Protocol):
    """Places elsewhere."""

    @property
    def volumes(self) -> frozenset[int]:
        """The volumes that stand for tiers."""
        ...

    def kept(self, volume: int) -> AsyncIterator[list[Kept]]:
        """All blobs of a tier, some at a time. Raises Unavailable."""
        ...

    def volume_of(self, storage_class: str) -> int | None:
        """The volume of the tier in which objects of a storage class stand; None for those that stand on the drives."""
        ...

    async def put(self, storage_class: str, blocks: AsyncIterator[list[memoryview]], length: int) -> Extent:
        """Store a blob of `length` bytes in the tier of a class. Raises Unavailable."""
        ...

    def read(self, extent: Extent, start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        """Bytes start..stop of a blob. Raises Unavailable, or Corrupt where it is not there."""
        ...

    async def free(self, extent: Extent) -> None:
        """Remove a blob; that it is not there is no error. Raises Unavailable."""
        ...


class NoTiers:
    """There are none."""

    volumes: frozenset[int] = frozenset()

    async def kept(self, volume: int) -> AsyncIterator[list[Kept]]:
        raise _missing()
        yield []  # it is a generator

    def volume_of(self, storage_class: str) -> int | None:
        return None

    async def put(self, storage_class: str, blocks: AsyncIterator[list[memoryview]], length: int) -> Extent:
        raise _missing()

    async def read(self, extent: Extent, start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        raise _missing()
        yield []  # it is a generator

    async def free(self, extent: Extent) -> None:
        raise _missing()


def _missing() -> Unavailable:
    return Unavailable("the tier in which this stands is not declared: start the store with --tiers FILE")
