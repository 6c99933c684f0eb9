"""Owns the blob store as the layers above see it: write, read and free blobs, which are lists of extents."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from pyrite.blobs.buffers import BufferPools
from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import Buffer, DriveError, DriveFull
from pyrite.blobs.fetching import OnDamage
from pyrite.blobs.fragment import KIND_DATA, header
from pyrite.blobs.layout import HEADER_BYTES, Extent
from pyrite.blobs.openvolume import Append, OpenVolume
from pyrite.blobs.reader import BlobReader
from pyrite.blobs.tiers import NoTiers, Tiers, is_tiered
from pyrite.blobs.volumes import Volumes
from pyrite.blobs.writer import BlobWriter, Tap
from pyrite.core.offload import Offload
from pyrite.core.units import KIB

SMALL_MAX_BYTES = 128 * KIB
"""Blobs up to this size are copied (m + 1 times), larger ones are erasure-coded."""

_PADDING = bytes(8)
SMALL_ATTEMPTS = 4
"""How often a small blob is placed again when drives fail while it is written."""


class Placed(NamedTuple):
    """A small blob that has its place and is not written yet: `volume.flush([append])` is what writes it."""

    extent: Extent
    volume: OpenVolume
    append: Append


class BlobStore:
    """Blobs over a set of volumes."""

    def __init__(
        self,
        volumes: Volumes,
        pools: BufferPools,
        offload: Offload,
        on_damage: OnDamage,
        tiers: Tiers = NoTiers(),  # noqa: B008 - it has no state
    ) -> None:
        self._tiers = tiers
        self._volumes = volumes
        self._pools = pools
        self._offload = offload
        self._coders = Coders()
        self._reader = BlobReader(volumes, pools.reads, self._coders, offload, on_damage)

    async def write_small(self, payload: Buffer) -> tuple[Extent, ...]:
        """Store at most SMALL_MAX_BYTES durably. Raises Unavailable or OutOfSpace."""
        if not payload:
            return ()
        for attempt in range(1, SMALL_ATTEMPTS + 1):
            placed = await self.place_small(payload)
            try:
                await placed.volume.commit(placed.append)
            except (DriveError, DriveFull):
                if attempt == SMALL_ATTEMPTS:
                    raise
                continue  # the volume lost its quorum: the next one is opened on the drives that are left
            await self.settle_small(placed)
            return (placed.extent,)
        raise AssertionError("the last attempt returns or raises")

    async def place_small(self, payload: Buffer) -> Placed:
        """A place for 1 to SMALL_MAX_BYTES; the caller has them written. Raises Unavailable or OutOfSpace."""
        volume = self._volumes.open_now("small") or await self._volumes.open("small")
        extent = volume.reserve(len(payload))
        head = header(KIND_DATA, extent.volume, 0, extent.offset, payload)
        padding = _PADDING[: -(HEADER_BYTES + len(payload)) % len(_PADDING)]
        return Placed(extent, volume, Append(extent.offset, (head, payload, padding) if padding else (head, payload)))

    async def settle_small(self, placed: Placed) -> None:
        """Take note of a blob that has been written: of drives that failed on the way, and of its size."""
        volume = placed.volume
        if volume.failed:
            await self._volumes.note_failures(volume)
        volume.live_bytes += volume.record.layout.span(placed.extent.length)

    def start(self, function: Callable[[memoryview], None], view: memoryview) -> Awaitable[None]:
        """Have a thread of the pool call `function` with bytes of a body."""
        return self._offload.start(function, view)

    def writer(self, size_hint: int | None, taps: Sequence[Tap] = ()) -> BlobWriter:
        """A writer for a blob of about `size_hint` bytes (None: not known)."""
        return BlobWriter(self._volumes, self._pools.writes, self._coders, self._offload, self.read, taps, size_hint)

    def read_now(self, extents: Sequence[Extent], start: int, stop: int) -> memoryview | None:
        """Bytes start..stop of a small blob if they can be had at once, without waiting; else None."""
        if len(extents) != 1 or is_tiered(extents[0].volume):
            return None
        return self._reader.read_now(extents[0], start, stop)

    def read(self, extents: Sequence[Extent], start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        """Bytes start..stop of a blob in blocks; the views of a block last until the next is asked for."""
        if extents and is_tiered(extents[0].volume):  # it is the only one
            return self._tiers.read(extents[0], start, stop)
        return self._reader.read(extents, start, stop)

    async def copy(self, extent: Extent) -> tuple[Extent, ...]:
        """Store what `extent` holds once more, on drives. Raises Unavailable, OutOfSpace or Corrupt."""
        blocks = self.read((extent,), 0, extent.length)
        if extent.length <= SMALL_MAX_BYTES:
            return await self.write_small(b"".join([bytes(view) async for block in blocks for view in block]))
        writer = self.writer(extent.length)
        try:
            async for block in blocks:
                for view in block:
                    await writer.put(view)
            return await writer.finish()
        except BaseException:
            await writer.abandon()
            raise

    async def free(self, extents: Sequence[Extent]) -> dict[int, int]:
        """Give the space of a blob back; bytes of each shard freed, by volume."""
        freed: dict[int, int] = {}
        for extent in extents:
            if is_tiered(extent.volume):
                await self._tiers.free(extent)
                continue
            freed[extent.volume] = freed.get(extent.volume, 0) + await self._volumes.punch(extent)
        return freed

    async def unlink(self, files: Sequence[tuple[str, str]]) -> None:
        """Remove shard files, given by drive and name, from the drives that are there, in threads."""
        await self._volumes.unlink(files)

    async def close(self) -> None:
        """Seal open volumes."""
        await self._volumes.close()
