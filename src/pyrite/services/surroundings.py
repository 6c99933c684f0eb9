"""Owns what the background services of one process have in common."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.mending import Mender
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volume import VolumeRecord
from pyrite.core.clock import Clock, HybridClock
from pyrite.core.entropy import Entropy
from pyrite.core.errors import PyriteError
from pyrite.core.offload import Offload
from pyrite.metadata.kv import Batch, Engine
from pyrite.objects import keys
from pyrite.objects.records import GarbageRecord, encode
from pyrite.objects.underway import UnderWay
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.census import Census, Holding, still_named, take_census
from pyrite.services.claims import Claims
from pyrite.services.repairs import RepairQueue


class Surroundings(NamedTuple):
    """The store as background services see it; `oldest_under_way_ms` is asked of all processes of the store."""

    engine: Engine
    catalog: MetadataCatalog
    queue: RepairQueue
    drives: DriveSet
    blobs: BlobStore
    mender: Mender
    under_way: UnderWay
    oldest_under_way_ms: Callable[[], int]
    clock: Clock
    hybrid: HybridClock
    entropy: Entropy
    offload: Offload
    on_error: Callable[[PyriteError], None]
    claims: Claims

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return self.clock.now_ms()

    async def census(self, volumes: Collection[int], note: Callable[[Holding], None] | None = None) -> Census:
        """What lives in `volumes` now; see `take_census`."""
        return await take_census(self.engine, self.under_way, self.now_ms(), volumes, note)

    async def still_named(self, record: VolumeRecord, offsets: Collection[int]) -> set[int]:
        """Which of `offsets` still have a name; see `census.still_named`."""
        return await still_named(self.engine, self.under_way, record, offsets)

    def discard(self, batch: Batch, garbage: GarbageRecord) -> None:
        """Leave `garbage` to the reaper, in the transaction that makes it garbage."""
        batch.put(keys.garbage(self.hybrid.next(), self.entropy.bytes(4)), encode(garbage))
