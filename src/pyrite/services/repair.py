"""Owns repair: takes volumes from the queue, most exposed first, and has their shards made again and verified.

Moving a shard (a drive that leaves, a drive that is too full) is the same work with a good source, so it goes the
same way. A volume is only touched once everything that was being written to it is named or given up.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pyrite.blobs.drive import Drive
from pyrite.blobs.layout import Extent
from pyrite.blobs.mending import Findings, prepare, stretches
from pyrite.blobs.placement import Candidate, choose_one
from pyrite.blobs.volume import VolumeRecord, shard_name
from pyrite.core.errors import Unavailable
from pyrite.metadata.keyspaces import PLACEMENT
from pyrite.metadata.kv import Batch, Conflict
from pyrite.objects.records import FORMAT, GarbageRecord
from pyrite.objects.volumecatalog import change_volume
from pyrite.services.exposure import Exposure
from pyrite.services.repairs import QueuedRepair
from pyrite.services.surroundings import Surroundings

VOLUMES_AT_A_TIME = 32
STRETCHES_AT_A_TIME = 4
RETRY_MS = 5_000
LOST_RETRY_MS = 600_000
SETTLED_AFTER_MS = 5_000


class Repaired(NamedTuple):
    """What was done to one volume."""

    volume: int
    shards: tuple[int, ...]
    written_bytes: int
    lost_stripes: int


class Job(NamedTuple):
    """A volume, what is wanted of it, and where its shards go."""

    queued: QueuedRepair
    record: VolumeRecord
    version: int
    targets: Mapping[int, str]


class Repairer:
    """Works the queue off."""

    def __init__(self, surroundings: Surroundings, exposure: Exposure, on_repaired: Callable[[Repaired], None]) -> None:
        self._store = surroundings
        self._exposure = exposure
        self._on_repaired = on_repaired
        self.written_bytes = 0

    async def step(self) -> bool:
        """Repair some volumes; whether anything was done."""
        jobs = await self._jobs()
        if not jobs:
            return False
        volumes = {job.record.id for job in jobs}
        census = await self._store.census(volumes)
        done = False
        for job in jobs:
            try:
                done |= await self._repair(job, census.extents.get(job.record.id, []))
            except Conflict:
                continue  # the volume or its place in the queue has changed: the next step sees it anew
            except Unavailable as error:
                self._store.on_error(error)
                await self._store.queue.postpone(
                    job.queued, self._store.now_ms() + RETRY_MS, job.queued.record.lost_stripes
                )
        return done

    async def _jobs(self) -> list[Job]:
        """The most exposed volumes that can be worked on now."""
        now, horizon = self._store.now_ms(), self._store.oldest_under_way_ms() - SETTLED_AFTER_MS
        found: list[tuple[int, Job]] = []
        waiting = await self._store.queue.all()
        candidates = await self._store.offload.run(self._store.drives.candidates) if waiting else []
        for queued in waiting:
            if queued.record.not_before_ms > now:
                continue
            entry = await self._store.catalog.entry(queued.record.volume)
            if entry is None:
                await self._forget(queued)
                continue
            record, version = entry
            if record.state != "sealed" or record.sealed_ms >= horizon:
                continue
            targets = self._targets(record, queued, candidates)
            if targets:
                margin = self._exposure.margin(record, _doubted(record, queued))
                found.append((margin, Job(queued, record, version, targets)))
            elif not self._exposure.wanting(record):
                await self._forget(queued)  # the drive came back, and nothing was wrong with it
        found.sort(key=lambda pair: (pair[0], pair[1].record.id))
        return [job for _, job in found[:VOLUMES_AT_A_TIME]]

    def _targets(self, record: VolumeRecord, queued: QueuedRepair, candidates: Sequence[Candidate]) -> dict[int, str]:
        """On which drive each shard that is to be made again goes."""
        targets: dict[int, str] = {}
        taken = list(record.drives)
        for shard in sorted({*queued.record.shards, *self._exposure.wanting(record)}):
            here = record.drives[shard]
            moves_to = queued.record.move_to if shard in queued.record.shards else ""
            if moves_to and self._store.drives.takes_data(moves_to) and moves_to not in taken:
                targets[shard] = moves_to
            elif self._store.drives.takes_data(here):
                if not moves_to:
                    targets[shard] = here
            elif self._exposure.given_up(here):
                chosen = self._choose(record, [one for one in candidates if one.drive not in taken], taken, here)
                if chosen is not None:
                    targets[shard] = chosen
            if shard in targets:
                taken.append(targets[shard])
        return targets

    def _choose(
        self, record: VolumeRecord, candidates: Sequence[Candidate], taken: Sequence[str], leaving: str
    ) -> str | None:
        successor = self._exposure.successor(leaving)
        preferred = [candidate for candidate in candidates if candidate.drive == successor]
        domains = [self._store.drives.domain(drive) for drive in taken if drive != leaving]
        for choice in (preferred, candidates):
            chosen = choose_one(choice, record.length, domains)
            if chosen is not None:
                return chosen
        return None

    async def _repair(self, job: Job, extents: list[Extent]) -> bool:
        with self._store.claims.hold(job.record.id) as held:
            return held and await self._repair_claimed(job, extents)

    async def _repair_claimed(self, job: Job, extents: list[Extent]) -> bool:
        record = job.record
        targets: dict[int, Drive] = {shard: self._store.drives[drive] for shard, drive in job.targets.items()}
        for shard, drive in targets.items():
            await self._store.offload.run(prepare, drive, shard_name(record.id, shard))
        findings = await self._restore(record, extents, targets)
        if findings.faults:
            raise Unavailable(
                f"{len(findings.faults)} fragments of volume {record.id:016x} did not verify after their repair"
            )
        lost = 0
        if findings.lost:
            offsets = {slot.offset for slot in findings.lost}
            lost = len(await self._store.still_named(record, offsets))
        if lost and len(findings.lost) == findings.stripes:
            await self._store.queue.postpone(job.queued, self._store.now_ms() + LOST_RETRY_MS, lost)
            return False
        await self._conclude(job, lost)
        self._on_repaired(Repaired(record.id, tuple(targets), findings.written_bytes, lost))
        return True

    async def _restore(self, record: VolumeRecord, extents: list[Extent], targets: Mapping[int, Drive]) -> Findings:
        """Restore the volume stretch by stretch: while one is made durable and verified, another is read."""
        findings, ahead = Findings(), stretches(record.layout, extents)

        async def walk() -> None:
            try:
                for stretch in ahead:
                    found = await self._store.offload.run(self._store.mender.restore, record, stretch, targets)
                    findings.add(found)
                    self.written_bytes += found.written_bytes
            except BaseException:
                ahead.close()  # nobody begins another stretch
                raise

        outcomes = await asyncio.gather(*(walk() for _ in range(STRETCHES_AT_A_TIME)), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return findings

    async def _conclude(self, job: Job, lost_stripes: int) -> None:
        """In one transaction: the shards stand where they are now, and the queue forgets the volume."""
        record, batch = job.record, Batch()
        drives = tuple(job.targets.get(shard, drive) for shard, drive in enumerate(record.drives))
        degraded = tuple(shard for shard in record.degraded if shard not in job.targets or lost_stripes)
        change_volume(batch, record, job.version, drives=drives, degraded=degraded)
        if lost_stripes:
            self._store.queue.change(batch, job.queued, self._store.now_ms() + LOST_RETRY_MS, lost_stripes)
        elif remaining := tuple(shard for shard in job.queued.record.shards if shard not in job.targets):
            self._store.queue.change(batch, job.queued, self._store.now_ms() + RETRY_MS, 0, remaining)
        else:
            self._store.queue.finish(batch, job.queued)
        left = [
            (drive, shard_name(record.id, shard)) for shard, drive in enumerate(record.drives) if drives[shard] != drive
        ]
        if left:
            self._store.discard(batch, GarbageRecord(FORMAT, files=tuple(left)))
            batch.add(PLACEMENT, 1)
        await self._store.engine.commit(batch)

    async def _forget(self, queued: QueuedRepair) -> None:
        batch = Batch()
        self._store.queue.finish(batch, queued)
        try:
            await self._store.engine.commit(batch)
        except Conflict:
            return


def _doubted(record: VolumeRecord, queued: QueuedRepair) -> tuple[int, ...]:
    """The shards known to be bad: none of a volume that moves, or of one that is to be verified as a whole."""
    shards = queued.record.shards
    return () if queued.record.move_to or len(shards) == record.layout.width else shards
