"""Owns reading: every fragment is verified before a byte of it is given out, and rebuilt from others if bad.

The fast way reads from memory on the event loop (RWF_NOWAIT); what would block goes to a thread.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from pyrite.blobs.buffers import BufferPool
from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import DriveError, WouldBlock
from pyrite.blobs.fragment import KIND_DATA, verify
from pyrite.blobs.layout import HEADER_BYTES, Extent, Layout, Stripe
from pyrite.blobs.volumes import ReadVolume, Volumes
from pyrite.core.errors import Corrupt
from pyrite.core.offload import Offload
from pyrite.core.units import MIB


class Damage(NamedTuple):
    """A fragment that could not be read: where it is, and why."""

    volume: int
    shard: int
    offset: int
    reason: str


OnDamage = Callable[[Damage], None]


class BlobReader:
    """Reads extents. `on_damage` is told of every fragment that was missing, unreadable or wrong."""

    def __init__(
        self, volumes: Volumes, pool: BufferPool, coders: Coders, offload: Offload, on_damage: OnDamage
    ) -> None:
        self._volumes = volumes
        self._pool = pool
        self._coders = coders
        self._offload = offload
        self._on_damage = on_damage

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
                needed = sum(volume.layout.data * (HEADER_BYTES + stripe.payload) for stripe in group)
                buffer = await self._pool.acquire(needed)
                try:
                    try:
                        block = await self._read_group(extent, volume, group, low, high, memoryview(buffer))
                    except Corrupt as error:
                        volume = await self._moved(extent, volume, error)
                        block = await self._read_group(extent, volume, group, low, high, memoryview(buffer))
                    yield block
                finally:
                    self._pool.release(buffer)

    async def _moved(self, extent: Extent, volume: ReadVolume, error: Corrupt) -> ReadVolume:
        """The volume as it stands now. Raises `error` when its shards have not moved."""
        self._volumes.forget(extent.volume)
        fresh = await self._volumes.find(extent.volume)
        if fresh.shards == volume.shards:
            raise error
        return fresh

    async def _read_group(
        self, extent: Extent, volume: ReadVolume, group: list[Stripe], low: int, high: int, buffer: memoryview
    ) -> list[memoryview]:
        shards = _shards_needed(volume, group, low, high)
        try:
            found = self._fetch(extent, volume, group, shards, buffer, wait=False)
        except WouldBlock:
            found = await self._offload.run(self._fetch, extent, volume, group, shards, buffer, True)
        views: list[memoryview] = []
        for stripe, payloads in zip(group, found, strict=True):
            if any(payload is None for payload in payloads.values()):
                payloads = await self._offload.run(self._rebuild, extent, volume, stripe, payloads)
            views += _slices(volume.layout, stripe, payloads, low, high)
        return views

    def _fetch(
        self,
        extent: Extent,
        volume: ReadVolume,
        group: list[Stripe],
        shards: Sequence[int],
        buffer: memoryview,
        wait: bool,
    ) -> list[dict[int, memoryview | None]]:
        """The payloads of `group` by stripe and shard, read into `buffer`; None where one is not good."""
        first, last = group[0], group[-1]
        region = last.shard_offset + HEADER_BYTES + last.payload - first.shard_offset
        found: list[dict[int, memoryview | None]] = [{} for _ in group]
        for turn, shard in enumerate(shards):
            target = buffer[turn * region : (turn + 1) * region]
            count = self._read_shard(volume, shard, first.shard_offset, target, extent, wait)
            for stripe, payloads in zip(group, found, strict=True):
                at = stripe.shard_offset - first.shard_offset
                stored = target[at : at + HEADER_BYTES + stripe.payload]
                good = at + len(stored) <= count and verify(
                    stored, KIND_DATA, extent.volume, volume.layout.index_of(shard), stripe.shard_offset
                )
                payloads[shard] = stored[HEADER_BYTES:] if good else None
                if count >= 0 and not good:
                    self._report(extent, shard, stripe, "checksum")
        return found

    def _read_shard(
        self, volume: ReadVolume, shard: int, offset: int, target: memoryview, extent: Extent, wait: bool
    ) -> int:
        """Bytes read; -1 when the drive is not there, or says that it cannot."""
        drive, name = volume.shards[shard]
        if drive is None or not drive.readable:
            return -1
        try:
            return drive.read_into(name, offset, target, wait)
        except DriveError as error:
            self._on_damage(Damage(extent.volume, shard, offset, str(error)))
            return -1

    def _rebuild(
        self, extent: Extent, volume: ReadVolume, stripe: Stripe, payloads: dict[int, memoryview | None]
    ) -> dict[int, memoryview | None]:
        """The data payloads of a stripe from whatever fragments are good. Blocks. Raises Corrupt."""
        layout = volume.layout
        good = {shard: payload for shard, payload in payloads.items() if payload is not None}
        for shard in range(layout.width):
            if len(good) >= layout.data:
                break
            if shard in payloads:
                continue
            payload = self._read_fragment(extent, volume, stripe, shard)
            if payload is not None:
                good[shard] = payload
        if len(good) < layout.data:
            raise Corrupt(
                f"volume {extent.volume:016x} at {stripe.shard_offset}: "
                f"{len(good)} of {layout.data} fragments needed are readable"
            )
        if layout.data == 1:
            return {0: next(iter(good.values()))}
        whole = memoryview(self._coders.get(layout.data, layout.parity).decode(good, stripe.payload))
        return {i: whole[i * stripe.payload : (i + 1) * stripe.payload] for i in range(layout.data)}

    def _read_fragment(self, extent: Extent, volume: ReadVolume, stripe: Stripe, shard: int) -> memoryview | None:
        """One payload in memory of its own, or None."""
        target = memoryview(bytearray(HEADER_BYTES + stripe.payload))
        count = self._read_shard(volume, shard, stripe.shard_offset, target, extent, wait=True)
        index = volume.layout.index_of(shard)
        if count == len(target) and verify(target, KIND_DATA, extent.volume, index, stripe.shard_offset):
            return target[HEADER_BYTES:]
        if count >= 0:
            self._report(extent, shard, stripe, "checksum")
        return None

    def _report(self, extent: Extent, shard: int, stripe: Stripe, reason: str) -> None:
        self._on_damage(Damage(extent.volume, shard, stripe.shard_offset, reason))


def _groups(stripes: list[Stripe], layout: Layout) -> list[list[Stripe]]:
    """Neighbouring stripes, about a MiB together."""
    count = max(1, MIB // layout.stripe_bytes)
    return [stripes[index : index + count] for index in range(0, len(stripes), count)]


def _shards_needed(volume: ReadVolume, group: list[Stripe], low: int, high: int) -> list[int]:
    """The data shards that hold any of the wanted bytes; of copies, the first whose drive is there."""
    layout = volume.layout
    if layout.data == 1:
        online = [i for i, (drive, _) in enumerate(volume.shards) if drive and drive.readable]
        return online[:1] or [0]
    if len(group) > 1:
        return list(range(layout.data))
    stripe = group[0]
    first = max(low - stripe.start, 0) // stripe.payload
    last = (min(high - stripe.start, stripe.length) - 1) // stripe.payload
    return list(range(first, last + 1))


def _slices(
    layout: Layout, stripe: Stripe, payloads: dict[int, memoryview | None], low: int, high: int
) -> list[memoryview]:
    """The wanted bytes of a stripe, in order."""
    start, stop = max(low - stripe.start, 0), min(high - stripe.start, stripe.length)
    views = []
    for index in sorted(payloads):
        payload = payloads[index]
        if index >= layout.data and layout.data > 1:
            continue
        at = 0 if layout.data == 1 else index * stripe.payload
        piece = payload[max(start - at, 0) : max(stop - at, 0)] if payload is not None else None
        if piece:
            views.append(piece)
    return views
