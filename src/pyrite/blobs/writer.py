"""Owns writing a large blob: the caller fills a block while the one before is encoded and written.

A volume that loses its quorum under the writer does not end the write: the block at hand goes to another volume, on
the drives that are left, and so does, at the end, everything that could not be made durable on the quorum.
"""

import asyncio
import contextlib
import mmap
from collections.abc import AsyncIterator, Callable, Sequence

from pyrite.blobs.buffers import BufferPool
from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import Buffer
from pyrite.blobs.fragment import KIND_DATA, header
from pyrite.blobs.layout import Extent, Layout
from pyrite.blobs.openvolume import OpenVolume
from pyrite.blobs.volumes import Volumes
from pyrite.core.errors import Corrupt, Unavailable
from pyrite.core.offload import Offload
from pyrite.core.units import MIB

RUN_BYTES = 32 * MIB  # what is reserved at a time for a body whose length is not known
_RUN_MAX_BYTES = 1 << 40

Tap = Callable[[memoryview], None]
"""Sees every block in order, on a thread of the pool: a running hash, say."""

Read = Callable[[Sequence[Extent], int, int], AsyncIterator[list[memoryview]]]
"""Bytes start..stop of a blob in blocks; the views of a block last until the next is asked for."""

MOVES_MAX = 4
"""How often a block is placed again when drives fail while it is written."""


class _Run:
    """A range of a volume that was reserved, how much of it was used, and what had to go elsewhere."""

    def __init__(self, volume: OpenVolume, extent: Extent) -> None:
        self.volume = volume
        self.extent = extent
        self.used = 0
        self._kept: int | None = None
        self._moved: list[Extent] = []

    @property
    def broken(self) -> bool:
        """Whether its volume has lost the quorum: what follows goes elsewhere."""
        return self._kept is not None

    def move(self, start: int, extents: Sequence[Extent]) -> None:
        """The block at `start` is in `extents` instead; so are, one after the other, all that follow it."""
        if self._kept is None:
            self._kept = start
        self._moved += extents

    def extents(self) -> list[Extent]:
        """Where its bytes are, in order."""
        kept = self.used if self._kept is None else self._kept
        return [*([Extent(self.extent.volume, self.extent.offset, kept)] if kept else []), *self._moved]


class BlobWriter:
    """Writes one blob. Use `space` and `advance` until the body ends, then `finish`, or else `abandon`."""

    def __init__(
        self,
        volumes: Volumes,
        pool: BufferPool,
        coders: Coders,
        offload: Offload,
        read: Read,
        taps: Sequence[Tap],
        size_hint: int | None,
    ) -> None:
        self._volumes = volumes
        self._pool = pool
        self._coders = coders
        self._offload = offload
        self._read = read
        self._taps = taps
        self._left_hint = size_hint
        self._block: mmap.mmap | None = None
        self._filled = 0
        self._block_bytes = 0
        self._run: _Run | None = None
        self._runs: list[_Run] = []
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
        extents = [extent for run in self._runs for extent in run.extents()]
        lost = {volume.record.id for volume in self._touched if not await self._commit(volume)}
        for volume in self._touched:
            layout = volume.record.layout
            mine = [extent for extent in extents if extent.volume == volume.record.id]
            if volume.record.id not in lost:
                volume.live_bytes += sum(layout.span(extent.length) for extent in mine)
        self._release()
        return await self._without(lost, extents) if lost else tuple(extents)

    async def _commit(self, volume: OpenVolume) -> bool:
        """Make what was written to `volume` durable; whether enough drives did it. What missed it is recorded."""
        try:
            await volume.commit()
        except Unavailable:
            return False
        await self._volumes.note_failures(volume)
        return True

    async def _without(self, lost: set[int], extents: Sequence[Extent]) -> tuple[Extent, ...]:
        """The blob, with what stands in the volumes `lost` written again elsewhere. Raises Unavailable."""
        kept: list[Extent] = []
        for extent in extents:
            if extent.volume not in lost:
                kept.append(extent)
                continue
            again = BlobWriter(self._volumes, self._pool, self._coders, self._offload, self._read, (), extent.length)
            try:
                async for block in self._read([extent], 0, extent.length):
                    for view in block:
                        await again.put(view)
                kept += await again.finish()
            except BaseException as error:
                await again.abandon()
                if isinstance(error, Corrupt):
                    raise Unavailable("too many drives were lost while the blob was written") from error
                raise
        return tuple(kept)

    async def abandon(self) -> None:
        """Stop and forget the blob; the ranges it took stay unnamed and their space is given back."""
        if self._processing is not None:
            await asyncio.wait([self._processing])
            if not self._processing.cancelled():
                self._processing.exception()  # the caller has an error of its own
            self._processing = None
        self._end_run()
        self._release()
        for run in self._runs:
            for extent in run.extents():
                with contextlib.suppress(Unavailable, Corrupt):  # compaction finds it; the caller has its own error
                    await self._volumes.punch(extent)

    def _release(self) -> None:
        if self._block is not None:
            self._pool.release(self._block)
            self._block = None

    async def _take_block(self) -> None:
        if self._run is None:
            self._run = await self._start_run()
        stripe = self._run.volume.record.layout.stripe_bytes
        block_bytes = max(stripe, MIB // stripe * stripe)
        self._block_bytes = min(block_bytes, self._run.extent.length - self._run.used)
        self._block = await self._pool.acquire(block_bytes)
        self._filled = 0

    async def _start_run(self) -> _Run:
        volume = await self._take_volume()
        wanted = RUN_BYTES if self._left_hint is None else min(self._left_hint, _RUN_MAX_BYTES)
        return _Run(volume, volume.reserve(max(wanted, 1)))

    async def _take_volume(self) -> OpenVolume:
        volume = await self._volumes.open("large")
        if volume not in self._touched:
            self._touched.append(volume)
        return volume

    async def _submit(self) -> None:
        """Hand the filled block to the threads; at most one block is under way beside the one that fills."""
        await self._settle()
        block, run = self._block, self._run
        assert block is not None and run is not None
        filled, start = self._filled, run.used
        self._block, self._filled = None, 0
        run.used += filled
        if self._left_hint is not None:
            self._left_hint -= filled
        self._processing = asyncio.ensure_future(self._process(run, start, block, filled))
        if run.used == run.extent.length or run.broken:
            self._end_run()

    async def _settle(self) -> None:
        if self._processing is not None:
            processing, self._processing = self._processing, None
            await processing

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if run.used < run.extent.length:
            run.volume.give_back(run.extent, run.used)
        if run.used:
            self._runs.append(run)

    async def _process(self, run: _Run, start: int, block: mmap.mmap, filled: int) -> None:
        view = memoryview(block)[:filled]
        try:
            jobs = [self._offload.start(tap, view) for tap in self._taps]
            write = self._offload.start(self._write_stripes, run.volume, run.extent, start, view)
            await asyncio.wait([*jobs, write])
            for job in jobs:
                job.result()
            if isinstance(write.exception(), Unavailable):
                await self._move(run, start, view)
            else:
                write.result()
        finally:
            self._pool.release(block)

    async def _move(self, run: _Run, start: int, view: memoryview) -> None:
        """Write the block at `start` of `run`, whose volume has lost its quorum, to other volumes."""
        moves = 0
        while view:
            volume = await self._take_volume()
            extent = volume.reserve(len(view))
            part = view[: extent.length]
            try:
                await self._offload.run(self._write_stripes, volume, extent, 0, part)
            except Unavailable:
                moves += 1
                if moves == MOVES_MAX:
                    raise
                continue
            run.move(start, [extent])
            view = view[extent.length :]

    def _write_stripes(self, volume: OpenVolume, run: Extent, start: int, view: memoryview) -> None:
        """Encode and write the stripes that `view`, `start` bytes into the extent `run`, consists of. Blocks."""
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
        if layout.width == 1:
            return [data]
        if layout.data == 1:
            kept = memoryview(bytes(data))  # a drive that is late may write it after the block is used again
            return [kept] * layout.width
        whole = bytes(data).ljust(layout.data * payload, b"\0")
        pieces = [memoryview(whole)[i * payload : (i + 1) * payload] for i in range(layout.data)]
        if layout.parity:
            pieces += self._coders.get(layout.data, layout.parity).parity(whole)
        return pieces
