"""Owns the blob store as the layers above see it: write, read and free blobs, which are lists of extents."""

from collections.abc import AsyncIterator, Sequence

from pyrite.blobs.buffers import BufferPool
from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import Buffer, DriveError
from pyrite.blobs.fragment import KIND_DATA, header
from pyrite.blobs.layout import HEADER_BYTES, Extent
from pyrite.blobs.reader import BlobReader, OnDamage
from pyrite.blobs.volumes import Volumes
from pyrite.blobs.writer import BlobWriter, Tap
from pyrite.core.offload import Offload
from pyrite.core.units import KIB

SMALL_MAX_BYTES = 128 * KIB
"""Blobs up to this size are copied (m + 1 times), larger ones are erasure-coded."""

_PADDING = bytes(8)
_SMALL_ATTEMPTS = 4


class BlobStore:
    """Blobs over a set of volumes."""

    def __init__(self, volumes: Volumes, pool: BufferPool, offload: Offload, on_damage: OnDamage) -> None:
        self._volumes = volumes
        self._pool = pool
        self._offload = offload
        self._coders = Coders()
        self._reader = BlobReader(volumes, pool, self._coders, offload, on_damage)

    async def write_small(self, payload: Buffer) -> tuple[Extent, ...]:
        """Store at most SMALL_MAX_BYTES durably. Raises Unavailable or OutOfSpace."""
        if not payload:
            return ()
        for _ in range(_SMALL_ATTEMPTS - 1):
            try:
                return (await self._append_small(payload),)
            except DriveError:
                continue  # the volume lost its quorum: the next one is opened on the drives that are left
        return (await self._append_small(payload),)

    async def _append_small(self, payload: Buffer) -> Extent:
        volume = self._volumes.open_now("small") or await self._volumes.open("small")
        extent = volume.reserve(len(payload))
        head = header(KIND_DATA, extent.volume, 0, extent.offset, memoryview(payload))
        padding = _PADDING[: -(HEADER_BYTES + len(payload)) % len(_PADDING)]
        await volume.commit(extent.offset, (head, payload, padding) if padding else (head, payload))
        if volume.failed:
            await self._volumes.note_failures(volume)
        volume.live_bytes += volume.record.layout.span(extent.length)
        return extent

    def writer(self, size_hint: int | None, taps: Sequence[Tap] = ()) -> BlobWriter:
        """A writer for a blob of about `size_hint` bytes (None: not known)."""
        return BlobWriter(self._volumes, self._pool, self._coders, self._offload, taps, size_hint)

    def read_now(self, extents: Sequence[Extent], start: int, stop: int) -> memoryview | None:
        """Bytes start..stop of a small blob if they can be had at once, without waiting; else None."""
        if len(extents) != 1:
            return None
        return self._reader.read_now(extents[0], start, stop)

    def read(self, extents: Sequence[Extent], start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        """Bytes start..stop of a blob in blocks; the views of a block last until the next is asked for."""
        return self._reader.read(extents, start, stop)

    async def free(self, extents: Sequence[Extent]) -> dict[int, int]:
        """Give the space of a blob back; bytes of each shard freed, by volume."""
        freed: dict[int, int] = {}
        for extent in extents:
            freed[extent.volume] = freed.get(extent.volume, 0) + await self._volumes.punch(extent)
        return freed

    async def close(self) -> None:
        """Seal open volumes."""
        await self._volumes.close()
