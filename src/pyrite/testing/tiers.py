"""Owns a simulated tier: a shelf that outlives processes, and that answers late or not at all now and then."""

import asyncio
import random
from collections.abc import AsyncIterator

from pyrite.blobs.layout import Extent
from pyrite.blobs.tiers import Kept, tier_volume
from pyrite.core.clock import Clock
from pyrite.core.errors import Corrupt, Unavailable

SHELVED = "STANDARD_IA"
VOLUME = tier_volume("shelf")

Shelf = dict[int, tuple[bytes, int]]
"""Blobs by offset, with when they were written."""


class SimTiers:
    """The shelf as one process sees it."""

    volumes = frozenset((VOLUME,))

    def __init__(self, shelf: Shelf, rng: random.Random, clock: Clock) -> None:
        self._shelf = shelf
        self._rng = rng
        self._clock = clock
        self.refusals = 0.0

    def volume_of(self, storage_class: str) -> int | None:
        return VOLUME if storage_class == SHELVED else None

    async def put(self, storage_class: str, blocks: AsyncIterator[list[memoryview]], length: int) -> Extent:
        data = b"".join([bytes(view) async for block in blocks for view in block])
        await self._answer()
        assert len(data) == length
        offset = self._rng.getrandbits(63)
        self._shelf[offset] = (data, self._clock.now_ms())
        await asyncio.sleep(self._rng.expovariate(100))
        return Extent(VOLUME, offset, length)

    async def read(self, extent: Extent, start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        await self._answer()
        if extent.offset not in self._shelf:
            raise Corrupt("it is not on the shelf any more")
        yield [memoryview(self._shelf[extent.offset][0])[start:stop]]

    async def free(self, extent: Extent) -> None:
        await self._answer()
        self._shelf.pop(extent.offset, None)

    async def kept(self, volume: int) -> AsyncIterator[list[Kept]]:
        await self._answer()
        yield [Kept(offset, written_ms) for offset, (_, written_ms) in self._shelf.items()]

    async def _answer(self) -> None:
        await asyncio.sleep(self._rng.expovariate(200))
        if self._rng.random() < self.refusals:
            raise Unavailable("the shelf does not answer")
