"""Owns moving the bytes of a version to where its storage class has them, as they stand: sealed ones stay sealed.

That is a tier, or the drives. They are written there first; then the version's record is changed, if it is still what
it was, and the old bytes become garbage. Whoever else shares those keeps them. What a crash leaves in a tier without a
name is swept later.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from pyrite.blobs.layout import Extent
from pyrite.blobs.store import BlobStore
from pyrite.blobs.tiers import Tiers, is_tiered
from pyrite.core.entropy import Entropy
from pyrite.core.errors import Unavailable
from pyrite.metadata.kv import Batch, Engine
from pyrite.objects import assembling, keys
from pyrite.objects.assembling import Page
from pyrite.objects.buckets import Bucket
from pyrite.objects.events import Cause
from pyrite.objects.naming import Naming
from pyrite.objects.objects import freed_unless_named
from pyrite.objects.reading import Reading
from pyrite.objects.records import ObjectRecord, PartRecord, encode
from pyrite.objects.standing import garbage_of
from pyrite.objects.underway import UnderWay
from pyrite.objects.uploads import PARTS_MAX
from pyrite.services.census import take_census

ORPHAN_AFTER_MS = 86_400_000


class Route(NamedTuple):
    """Where the bytes of a version come from and go to: volumes of tiers, or None for the drives."""

    sources: frozenset[int | None]
    target: int | None


class Mover:
    """Moves versions to tiers, and back."""

    def __init__(
        self, naming: Naming, reading: Reading, blobs: BlobStore, tiers: Tiers, entropy: Entropy, under_way: UnderWay
    ) -> None:
        self._naming = naming
        self._reading = reading
        self._blobs = blobs
        self._tiers = tiers
        self._entropy = entropy
        self._under_way = under_way

    @property
    def has_tiers(self) -> bool:
        """Whether there is any place but the drives."""
        return bool(self._tiers.volumes)

    def takes(self, storage_class: str) -> bool:
        """Whether objects of a class stand in a tier."""
        return self._tiers.volume_of(storage_class) is not None

    async def is_misplaced(self, record: ObjectRecord) -> bool:
        """Whether a version's bytes stand elsewhere than its class says, and can be moved from there."""
        if not self.has_tiers or not record.size_bytes:
            return False
        route = await self.route(record, record.storage_class)
        known = all(place is None or place in self._tiers.volumes for place in route.sources)
        return known and not route.sources <= {route.target}

    async def route(self, record: ObjectRecord, wanted: str) -> Route:
        """From where to where the bytes of a version go when it gets the class `wanted`. Raises Corrupt."""
        extents = record.extents
        if record.upload:
            extents = tuple(one for part in await self._reading.parts(record, 0, PARTS_MAX) for one in part.extents)
        places = frozenset(extent.volume if is_tiered(extent.volume) else None for extent in extents)
        return Route(places, self._tiers.volume_of(wanted))

    async def move(
        self, bucket: Bucket, key: bytes, stamp: int | None, record: ObjectRecord, wanted: str, cause: Cause, row: int
    ) -> None:
        """Give the version that `record` is, in a row of the version `row`, the class `wanted` and its bytes the place
        of that.

        Raises Unavailable, OutOfSpace, Corrupt, or Outdated where it is not that version any more, and then nothing has
        changed.
        """
        token, made = self._under_way.enter(), list[Extent]()
        try:
            moved, pages = await self._written_whole(record, wanted, made)

            def change(found: ObjectRecord) -> ObjectRecord:
                attributes = msgspec.structs.replace(found.attributes, storage_class=wanted)
                places = {"extents": moved.extents, "upload": moved.upload, "pages": moved.pages}
                restored_ms = found.restored_until_ms if found.storage_class == wanted else 0
                return msgspec.structs.replace(
                    found, storage_class=wanted, attributes=attributes, restored_until_ms=restored_ms, **places
                )

            def extra(batch: Batch) -> None:
                for index, page in enumerate(pages):
                    batch.put(keys.page(moved.upload, index), encode(page.record))
                self._naming.discard(batch, garbage_of(record))

            async with freed_unless_named(self._blobs, made):
                await self._naming.amend(bucket, key, stamp, change, cause, extra, row)
        finally:
            self._under_way.leave(token)

    async def _written_whole(
        self, record: ObjectRecord, wanted: str, made: list[Extent]
    ) -> tuple[ObjectRecord, Sequence[Page]]:
        """As `_written`; what was written before it failed is freed: nothing names it yet."""
        try:
            return await self._written(record, wanted, made)
        except BaseException:
            with contextlib.suppress(Unavailable):
                await self._blobs.free(made)
            raise

    async def _written(
        self, record: ObjectRecord, wanted: str, made: list[Extent]
    ) -> tuple[ObjectRecord, Sequence[Page]]:
        """The record as it is with its bytes in the tier, and its pages; what was written is noted in `made`."""
        if not record.upload:
            return msgspec.structs.replace(record, extents=await self._put(record.extents, wanted, made)), ()
        parts: list[PartRecord] = []
        for part in await self._reading.parts(record, 0, PARTS_MAX):
            parts.append(msgspec.structs.replace(part, extents=await self._put(part.extents, wanted, made)))
        pages = assembling.paginate(parts)
        upload = self._entropy.bytes(keys.UPLOAD_ID_BYTES)
        placed = tuple((page.number, page.start) for page in pages)
        return msgspec.structs.replace(record, upload=upload, pages=placed), pages

    async def _put(self, extents: tuple[Extent, ...], wanted: str, made: list[Extent]) -> tuple[Extent, ...]:
        if not extents:
            return ()
        if not self.takes(wanted):
            before = len(made)
            for extent in extents:
                made += await self._blobs.copy(extent)
            return tuple(made[before:])
        length = sum(extent.length for extent in extents)
        extent = await self._tiers.put(wanted, self._blobs.read(extents, 0, length), length)
        made.append(extent)
        return (extent,)


class TierSweeper:
    """Removes from tiers what nothing names: a crash came between writing and naming it."""

    def __init__(
        self,
        engine: Engine,
        tiers: Tiers,
        under_way: UnderWay,
        now_ms: Callable[[], int],
        orphan_after_ms: int = ORPHAN_AFTER_MS,
    ) -> None:
        self._engine = engine
        self._tiers = tiers
        self._under_way = under_way
        self._now_ms = now_ms
        self._orphan_after_ms = orphan_after_ms
        self._next_ms = 0

    async def step(self) -> int:
        """Look at all tiers once in a while; how many blobs were removed. Raises Unavailable."""
        if not self._tiers.volumes or self._now_ms() < self._next_ms:
            return 0
        self._next_ms = self._now_ms() + self._orphan_after_ms
        old_ms = self._now_ms() - self._orphan_after_ms
        removed = 0
        for volume in self._tiers.volumes:
            listed = [
                kept.offset async for some in self._tiers.kept(volume) for kept in some if kept.written_ms < old_ms
            ]
            if not listed:
                continue
            census = await take_census(self._engine, self._under_way, self._now_ms(), {volume})
            named = {extent.offset for extent in census.extents.get(volume, [])}
            for offset in set(listed) - named:
                await self._tiers.free(Extent(volume, offset, 0))
                removed += 1
        return removed
