"""Owns fetching fragments: from memory at once, or from all their drives side by side, around those that are late.

A drive that takes much longer than reads usually take is not waited for where the other shards are enough to make its
fragments again (a hedged read: Dean and Barroso, "The tail at scale", 2013).
"""

import asyncio
import statistics
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import Drive, DriveError
from pyrite.blobs.fragment import KIND_DATA, verify
from pyrite.blobs.layout import HEADER_BYTES, Extent, Stripe
from pyrite.blobs.volumes import ReadVolume, Volumes
from pyrite.core.errors import Corrupt
from pyrite.core.offload import Offload

HEDGE_MIN_S = 0.05
HEDGE_FACTOR = 4
"""How many times longer than a read usually takes a drive is waited for."""
READ_THREADS = 4
"""Reads that wait for one drive at a time, in one process."""
_REMEMBERED = 64


class Damage(NamedTuple):
    """A fragment that could not be read: where it is, and why."""

    volume: int
    shard: int
    offset: int
    reason: str


OnDamage = Callable[[Damage], None]
Payloads = dict[int, memoryview]
"""The good payloads of a stripe by shard."""
Job: TypeAlias = "asyncio.Future[list[memoryview | None]]"
"""A read of one shard: the payload of each stripe, None where it is not good."""


class Wanted(NamedTuple):
    """Neighbouring stripes of an extent, and the shards that hold the bytes that are wanted."""

    extent: Extent
    volume: ReadVolume
    group: list[Stripe]
    shards: Sequence[int]

    @property
    def region_bytes(self) -> int:
        """Bytes of each shard from the first of the stripes to the end of the last."""
        first, last = self.group[0], self.group[-1]
        return last.shard_offset + HEADER_BYTES + last.payload - first.shard_offset

    def has_enough(self, payloads: Payloads) -> bool:
        """Whether these of a stripe are those wanted, or enough to make them of."""
        return len(payloads) >= self.volume.layout.data or all(shard in payloads for shard in self.shards)

    def region(self, buffer: memoryview, turn: int) -> memoryview:
        """Where in `buffer` the bytes of the shard go that is number `turn` of those wanted."""
        return buffer[turn * self.region_bytes : (turn + 1) * self.region_bytes]


class Fetcher:
    """Fetches and rebuilds fragments. `on_damage` is told of every one that was missing, unreadable or wrong."""

    def __init__(self, volumes: Volumes, coders: Coders, offload: Offload, on_damage: OnDamage) -> None:
        self._volumes = volumes
        self._coders = coders
        self._offload = offload
        self._on_damage = on_damage
        self._usual: deque[float] = deque(maxlen=_REMEMBERED)
        self._late: Counter[str] = Counter()

    def now(self, wanted: Wanted, buffer: memoryview) -> list[Payloads]:
        """The good payloads of each stripe, read into `buffer`, if all are in memory. Raises WouldBlock."""
        found: list[Payloads] = [{} for _ in wanted.group]
        for turn, shard in enumerate(wanted.shards):
            _add(found, shard, self._read_shard(wanted, shard, wanted.region(buffer, turn), False))
        return found

    async def fetch(self, wanted: Wanted, buffer: memoryview) -> tuple[list[Payloads], bool]:
        """As `now`, from the drives; and whether a drive that is late may still write to `buffer`."""
        quick = self._quick(wanted.volume)
        spare = len(quick) >= wanted.volume.layout.data
        targets = {
            shard: wanted.region(buffer, turn)
            for turn, shard in enumerate(wanted.shards)
            if shard in quick or not spare
        }
        found: list[Payloads] = [{} for _ in wanted.group]
        late = await self._collect(wanted, found, targets)
        return found, late

    async def complete(self, wanted: Wanted, found: list[Payloads]) -> list[Payloads]:
        """`found` with what is missing of `wanted` made again from other shards. Raises Corrupt."""
        if not all(wanted.has_enough(payloads) for payloads in found):
            await self._collect(wanted, found, {})
        return [
            payloads
            if all(shard in payloads for shard in wanted.shards)
            else await self._offload.run(self._rebuild, wanted, stripe, payloads)
            for stripe, payloads in zip(wanted.group, found, strict=True)
        ]

    async def _collect(self, wanted: Wanted, found: list[Payloads], targets: Mapping[int, memoryview]) -> bool:
        """Read into `targets`, by shard, then from as many other shards as it takes, those on slow drives last.

        Whether something is still read into `targets`.
        """
        jobs: dict[int, Job] = {}
        batch = dict(targets)
        tried = {shard for payloads in found for shard in payloads}
        while True:
            tried |= batch.keys()
            fresh = {shard: self._start(wanted, shard, target) for shard, target in batch.items()}
            others = self._others(wanted.volume, tried)
            jobs |= fresh
            await self._wait(wanted.volume, fresh if others else jobs, bool(others))
            for shard in [shard for shard, job in jobs.items() if job.done()]:
                _add(found, shard, jobs.pop(shard).result())
            missing = max(0 if wanted.has_enough(one) else wanted.volume.layout.data - len(one) for one in found)
            if not missing or not (others or jobs):
                return any(shard in targets for shard in jobs)
            batch = {shard: memoryview(bytearray(wanted.region_bytes)) for shard in others[:missing]}

    # ---- drives that are late

    def _is_slow(self, drive: Drive) -> bool:
        return self._late[drive.id] >= READ_THREADS or self._volumes.is_slow(drive)

    def _quick(self, volume: ReadVolume) -> list[int]:
        """The shards on drives that can be read and are not slow."""
        places = enumerate(volume.shards)
        return [shard for shard, (drive, _) in places if drive and drive.readable and not self._is_slow(drive)]

    def _others(self, volume: ReadVolume, tried: Collection[int]) -> list[int]:
        """The shards that can still be tried, those on slow drives last."""
        quick = self._quick(volume)
        order = (*quick, *(shard for shard in range(volume.layout.width) if shard not in quick))
        return [shard for shard in order if shard not in tried]

    def _start(self, wanted: Wanted, shard: int, target: memoryview) -> Job:
        drive, _ = wanted.volume.shards[shard]
        name = drive.id if drive is not None else ""
        lane = self._volumes.workforce.lane(f"read-{name}", READ_THREADS)
        return lane.start(self._read_shard, wanted, shard, target, True)

    async def _wait(self, volume: ReadVolume, jobs: Mapping[int, Job], may_hedge: bool) -> None:
        """Wait for all of `jobs`, or, where others may take their place, until they are late."""
        if not jobs:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        if not may_hedge:
            await asyncio.wait(jobs.values(), return_when=asyncio.FIRST_COMPLETED)
            return
        await asyncio.wait(jobs.values(), timeout=self._patience_s())
        late = [shard for shard, job in jobs.items() if not job.done()]
        for shard in late:
            self._note_late(volume, shard, jobs[shard])
        if not late:
            self._usual.append(loop.time() - began)

    def _patience_s(self) -> float:
        return max(HEDGE_MIN_S, HEDGE_FACTOR * statistics.median(self._usual)) if self._usual else HEDGE_MIN_S

    def _note_late(self, volume: ReadVolume, shard: int, job: Job) -> None:
        drive, _ = volume.shards[shard]
        assert drive is not None
        name = drive.id
        self._late[name] += 1
        job.add_done_callback(lambda _: self._late.subtract((name,)))

    # ---- on threads

    def _read_shard(self, wanted: Wanted, shard: int, target: memoryview, wait: bool) -> list[memoryview | None]:
        """The payloads of one shard, read into `target`; None where one is not good. Raises WouldBlock."""
        extent, volume, first = wanted.extent, wanted.volume, wanted.group[0].shard_offset
        count = self._read(extent, volume, shard, first, target, wait)
        index = volume.layout.index_of(shard)
        payloads: list[memoryview | None] = []
        for stripe in wanted.group:
            at = stripe.shard_offset - first
            stored = target[at : at + HEADER_BYTES + stripe.payload]
            good = at + len(stored) <= count and verify(stored, KIND_DATA, extent.volume, index, stripe.shard_offset)
            payloads.append(stored[HEADER_BYTES:] if good else None)
            if count >= 0 and not good:
                self._on_damage(Damage(extent.volume, shard, stripe.shard_offset, "checksum"))
        return payloads

    def _read(self, extent: Extent, volume: ReadVolume, shard: int, offset: int, target: memoryview, wait: bool) -> int:
        """Bytes read; -1 when the drive is not there, or says that it cannot."""
        drive, name = volume.shards[shard]
        if drive is None or not drive.readable:
            return -1
        try:
            return drive.read_into(name, offset, target, wait)
        except DriveError as error:
            self._on_damage(Damage(extent.volume, shard, offset, str(error)))
            return -1

    def _rebuild(self, wanted: Wanted, stripe: Stripe, good: Payloads) -> Payloads:
        """The data payloads of a stripe from the fragments that are good. Raises Corrupt."""
        layout = wanted.volume.layout
        if len(good) < layout.data:
            raise Corrupt(
                f"volume {wanted.extent.volume:016x} at {stripe.shard_offset}: "
                f"{len(good)} of {layout.data} fragments needed are readable"
            )
        if layout.data == 1:
            return dict.fromkeys(wanted.shards, next(iter(good.values())))
        whole = memoryview(self._coders.get(layout.data, layout.parity).decode(good, stripe.payload))
        return {i: whole[i * stripe.payload : (i + 1) * stripe.payload] for i in range(layout.data)}


def _add(found: Sequence[Payloads], shard: int, payloads: Iterable[memoryview | None]) -> None:
    for stripe, payload in zip(found, payloads, strict=True):
        if payload is not None:
            stripe[shard] = payload
