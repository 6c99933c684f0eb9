"""Owns reading: every fragment is verified before a byte of it is given out, and rebuilt from others if bad.

The fast way reads from memory on the event loop (RWF_NOWAIT); what would block goes to threads (`fetching`).
"""

import mmap
from collections.abc import AsyncIterator, Sequence

from pyrite.blobs.buffers import BufferPool
from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import DriveError, WouldBlock
from pyrite.blobs.fetching import Fetcher, OnDamage, Payloads, Wanted
from pyrite.blobs.fragment import KIND_DATA, verify
from pyrite.blobs.layout import HEADER_BYTES, Extent, Layout, Stripe
from pyrite.blobs.volumes import ReadVolume, Volumes
from pyrite.core.errors import Corrupt
from pyrite.core.offload import Offload
from pyrite.core.units import MIB


class BlobReader:
    """Reads extents. `on_damage` is told of every fragment that was missing, unreadable or wrong."""

    def __init__(
        self, volumes: Volumes, pool: BufferPool, coders: Coders, offload: Offload, on_damage: OnDamage
    ) -> None:
        self._volumes = volumes
        self._pool = pool
        self._fetcher = Fetcher(volumes, coders, offload, on_damage)

    def read_now(self, extent: Extent, start: int, stop: int) -> memoryview | None:
        """Bytes start..stop of an extent that is one copied fragment, if they can be had without waiting."""
        volume = self._volumes.find_now(extent.volume)
        if volume is None or volume.layout.data != 1 or extent.length > volume.layout.fragment_bytes:
            return None
        buffer = memoryview(bytearray(HEADER_BYTES + extent.length))
        for drive, name in volume.shards:
            if drive is None or not drive.readable:
                continue
            try:
                count = drive.read_into(name, extent.offset, buffer, wait=False)
            except (WouldBlock, DriveError):
                return None
            if count == len(buffer) and verify(buffer, KIND_DATA, extent.volume, 0, extent.offset):
                return buffer[HEADER_BYTES + start : HEADER_BYTES + stop]
            return None
        return None

    async def read(self, extents: Sequence[Extent], start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        """Bytes start..stop of the blob, block by block.

        The views of a block are valid until the next one is asked for. Raises Corrupt when too many fragments
        of a stripe are gone; what was given out before was right.
        """
        position = 0
        for extent in extents:
            low, high = max(start - position, 0), min(stop - position, extent.length)
            position += extent.length
            if low >= high:
                continue
            volume = await self._volumes.find(extent.volume)
            stripes = list(volume.layout.stripes(extent, low, high))
            for group in _groups(stripes, volume.layout):
                lent = await self._lend(volume.layout, group)
                try:
                    try:
                        block = await self._read_group(extent, volume, group, low, high, lent)
                    except Corrupt as error:
                        volume = await self._moved(extent, volume, error)
                        block = await self._read_group(extent, volume, group, low, high, lent)
                    yield block
                finally:
                    lent.give_back()

    async def _moved(self, extent: Extent, volume: ReadVolume, error: Corrupt) -> ReadVolume:
        """The volume as it stands now. Raises `error` when its shards have not moved."""
        self._volumes.forget(extent.volume)
        fresh = await self._volumes.find(extent.volume)
        if fresh.shards == volume.shards:
            raise error
        return fresh

    async def _lend(self, layout: Layout, group: list[Stripe]) -> "_Lent":
        return _Lent(self._pool, await self._pool.acquire(sum(layout.data * (HEADER_BYTES + s.payload) for s in group)))

    async def _read_group(
        self, extent: Extent, volume: ReadVolume, group: list[Stripe], low: int, high: int, lent: "_Lent"
    ) -> list[memoryview]:
        wanted = Wanted(extent, volume, group, self._shards_needed(volume, group, low, high))
        view = memoryview(lent.buffer)
        try:
            found = self._fetcher.now(wanted, view)
        except WouldBlock:
            found, late = await self._fetcher.fetch(wanted, view)
            lent.still_written_to |= late
        views: list[memoryview] = []
        for stripe, payloads in zip(group, await self._fetcher.complete(wanted, found), strict=True):
            views += _slices(volume.layout, stripe, payloads, low, high)
        return views

    def _shards_needed(self, volume: ReadVolume, group: list[Stripe], low: int, high: int) -> list[int]:
        """The data shards that hold any of the wanted bytes; of copies, the first whose drive is there and quick."""
        layout = volume.layout
        if layout.data == 1:
            online = [i for i, (drive, _) in enumerate(volume.shards) if drive and drive.readable]
            online.sort(key=lambda i: self._is_slow(volume, i))
            return online[:1] or [0]
        if len(group) > 1:
            return list(range(layout.data))
        stripe = group[0]
        first = max(low - stripe.start, 0) // stripe.payload
        last = (min(high - stripe.start, stripe.length) - 1) // stripe.payload
        return list(range(first, last + 1))

    def _is_slow(self, volume: ReadVolume, shard: int) -> bool:
        drive, _ = volume.shards[shard]
        return drive is not None and self._volumes.is_slow(drive)


class _Lent:
    """A buffer of the pool. One to which a late drive may still write is not lent to anybody again."""

    def __init__(self, pool: BufferPool, buffer: mmap.mmap) -> None:
        self._pool = pool
        self.buffer = buffer
        self.still_written_to = False

    def give_back(self) -> None:
        if self.still_written_to:
            self._pool.forget(self.buffer)
        else:
            self._pool.release(self.buffer)


def _groups(stripes: list[Stripe], layout: Layout) -> list[list[Stripe]]:
    """Neighbouring stripes, about a MiB together."""
    count = max(1, MIB // layout.stripe_bytes)
    return [stripes[index : index + count] for index in range(0, len(stripes), count)]


def _slices(layout: Layout, stripe: Stripe, payloads: Payloads, low: int, high: int) -> list[memoryview]:
    """The wanted bytes of a stripe, in order."""
    start, stop = max(low - stripe.start, 0), min(high - stripe.start, stripe.length)
    views = []
    for index in sorted(payloads):
        if index >= layout.data > 1:
            continue
        at = 0 if layout.data == 1 else index * stripe.payload
        piece = payloads[index][max(start - at, 0) : max(stop - at, 0)]
        if piece:
            views.append(piece)
    return views
