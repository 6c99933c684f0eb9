"""Owns writing a large blob: the caller fills a block while the one before is encoded and written."""

import asyncio
from collections.abc import Callable, Sequence

from pyrite.blobs.buffers import BufferPool
from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import Buffer
from pyrite.blobs.fragment import KIND_DATA, header
from pyrite.blobs.layout import Extent, Layout
from pyrite.blobs.openvolume import OpenVolume
from pyrite.blobs.volumes import Volumes
from pyrite.core.offload import Offload
from pyrite.core.units import MIB

RUN_BYTES = 32 * MIB  # what is reserved at a time for a body whose length is not known
_RUN_MAX_BYTES = 1 << 40

Tap = Callable[[memoryview], None]
"""Sees every block in order, on a thread of the pool: a running hash, say."""


class BlobWriter:
    """Writes one blob. Use `space` and `advance` until the body ends, then `finish`, or else `abandon`."""

    def __init__(
        self,
        volumes: Volumes,
        pool: BufferPool,
        coders: Coders,
        offload: Offload,
        taps: Sequence[Tap],
        size_hint: int | None,
    ) -> None:
        self._volumes = volumes
        self._pool = pool
        self._coders = coders
        self._offload = offload
        self._taps = taps
        self._left_hint = size_hint
        self._block: bytearray | None = None
        self._filled = 0
        self._block_bytes = 0
        self._volume: OpenVolume | None = None
        self._run: Extent | None = None
        self._run_used = 0
        self._extents: list[Extent] = []
        self._touched: list[OpenVolume] = []
        self._processing: asyncio.Task[None] | None = None

    async def space(self) -> memoryview:
        """Where the next bytes of the body belong; never empty."""
        if self._block is not None and self._filled == self._block_bytes:
            await self._submit()
        if self._block is None:
            await self._take_block()
        block = self._block
        assert block is not None
        return memoryview(block)[self._filled : self._block_bytes]

    def advance(self, count: int) -> None:
        """The caller has put `count` bytes into what `space` returned."""
        self._filled += count

    async def put(self, view: memoryview) -> None:
        """Add bytes that are here already."""
        while view:
            space = await self.space()
            count = min(len(space), len(view))
            space[:count] = view[:count]
            self.advance(count)
            view = view[count:]

    async def settle(self) -> None:
        """Wait until everything so far has been written, though not yet durably, and seen by the taps."""
        if self._filled:
            await self._submit()
        await self._settle()

    async def finish(self) -> tuple[Extent, ...]:
        """Write what is left and make all of it durable; the extents of the blob."""
        await self.settle()
        self._end_run()
        for volume in self._touched:
            await volume.commit()
            await self._volumes.note_failures(volume)
        for volume in self._touched:
            layout = volume.record.layout
            mine = [extent for extent in self._extents if extent.volume == volume.record.id]
            volume.live_bytes += sum(layout.span(extent.length) for extent in mine)
        self._release()
        return tuple(self._extents)

    async def abandon(self) -> None:
        """Stop and forget the blob; the ranges it took stay unnamed and their space is given back."""
        if self._processing is not None:
            await asyncio.wait([self._processing])
            if not self._processing.cancelled():
                self._processing.exception()  # the caller has an error of its own
            self._processing = None
        self._end_run()
        self._release()
        for extent in self._extents:
            await self._volumes.punch(extent)

    def _release(self) -> None:
        if self._block is not None:
            self._pool.release(self._block)
            self._block = None

    async def _take_block(self) -> None:
        if self._run is None:
            await self._start_run()
        assert self._run is not None
        stripe = self._layout.stripe_bytes
        block_bytes = max(stripe, MIB // stripe * stripe)
        self._block_bytes = min(block_bytes, self._run.length - self._run_used)
        self._block = await self._pool.acquire(block_bytes)
        self._filled = 0

    async def _start_run(self) -> None:
        volume = await self._volumes.open("large")
        wanted = RUN_BYTES if self._left_hint is None else min(self._left_hint, _RUN_MAX_BYTES)
        self._run = volume.reserve(max(wanted, 1))
        self._run_used = 0
        self._volume = volume
        if volume not in self._touched:
            self._touched.append(volume)

    @property
    def _layout(self) -> Layout:
        assert self._volume is not None
        return self._volume.record.layout

    async def _submit(self) -> None:
        """Hand the filled block to the threads; at most one block is under way beside the one that fills."""
        await self._settle()
        block, run, volume = self._block, self._run, self._volume
        assert block is not None and run is not None and volume is not None
        filled, start = self._filled, self._run_used
        self._block, self._filled = None, 0
        self._run_used += filled
        if self._left_hint is not None:
            self._left_hint -= filled
        self._processing = asyncio.ensure_future(self._process(volume, run, start, block, filled))
        if self._run_used == run.length:
            self._end_run()

    async def _settle(self) -> None:
        if self._processing is not None:
            processing, self._processing = self._processing, None
            await processing

    def _end_run(self) -> None:
        if self._run is None or self._volume is None:
            return
        if self._run_used < self._run.length:
            self._volume.give_back(self._run, self._run_used)
        if self._run_used:
            self._extents.append(Extent(self._run.volume, self._run.offset, self._run_used))
        self._run = None

    async def _process(self, volume: OpenVolume, run: Extent, start: int, block: bytearray, filled: int) -> None:
        view = memoryview(block)[:filled]
        try:
            jobs = [self._offload.start(tap, view) for tap in self._taps]
            jobs.append(self._offload.start(self._write_stripes, volume, run, start, view))
            await asyncio.wait(jobs)
            for job in jobs:
                job.result()
        finally:
            self._pool.release(block)

    def _write_stripes(self, volume: OpenVolume, run: Extent, start: int, view: memoryview) -> None:
        """Encode and write the stripes that `view`, `start` bytes into `run`, consists of. Blocks."""
        layout = volume.record.layout
        shards: list[list[Buffer]] = [[] for _ in range(layout.width)]
        extent = Extent(run.volume, run.offset, start + len(view))
        first_offset = -1
        for stripe in layout.stripes(extent, start, start + len(view)):
            if first_offset < 0:
                first_offset = stripe.shard_offset
            data = view[stripe.start - start : stripe.start - start + stripe.length]
            for index, payload in enumerate(self._encode(layout, data, stripe.payload)):
                head = header(KIND_DATA, run.volume, layout.index_of(index), stripe.shard_offset, payload)
                shards[index] += (head, payload)
        volume.write_shards(first_offset, shards)

    def _encode(self, layout: Layout, data: memoryview, payload: int) -> list[memoryview]:
        if layout.data == 1:
            return [data] * layout.width
        whole = bytes(data).ljust(layout.data * payload, b"\0")
        pieces = [memoryview(whole)[i * payload : (i + 1) * payload] for i in range(layout.data)]
        if layout.parity:
            pieces += self._coders.get(layout.data, layout.parity).parity(whole)
        return pieces
