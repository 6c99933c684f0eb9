"""Owns a simulated store: the real code of metadata, blobs, objects and services on simulated disks and time.

A `World` outlives crashes: its disks and its metadata are what is durable. `boot` makes a process of it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pyrite.blobs.buffers import BufferPools, Scratch
from pyrite.blobs.drive import DriveState
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.fetching import Damage
from pyrite.blobs.mending import Fault, Findings, Mender, runs
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volumes import Volumes
from pyrite.core.clock import HybridClock
from pyrite.core.errors import PyriteError
from pyrite.core.units import KIB, MIB
from pyrite.metadata.memory import MemoryEngine
from pyrite.node.opening import seal_left_open
from pyrite.objects.buckets import Buckets
from pyrite.objects.layer import object_layer
from pyrite.objects.underway import UnderWay
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.census import take_census
from pyrite.services.claims import Claims
from pyrite.services.compact import Compactor
from pyrite.services.exposure import Exposure
from pyrite.services.lifecycle import Lifecycle
from pyrite.services.orphans import Orphans
from pyrite.services.reaper import Reaper
from pyrite.services.repair import Repaired, Repairer
from pyrite.services.repairs import RepairQueue
from pyrite.services.scrub import Scrubber
from pyrite.services.surroundings import Surroundings
from pyrite.services.transitions import Mover, TierSweeper
from pyrite.services.upkeep import Upkeep
from pyrite.testing.disks import SimDisk, SimDrive
from pyrite.testing.loop import SimulatedCrash, VirtualLoop, run
from pyrite.testing.machine import SeededEntropy, SimClock, SimEngine, SimOffload, SimWorkforce
from pyrite.testing.tiers import Shelf, SimTiers

T = TypeVar("T")
SHARD_BYTES = 256 * KIB
REBUILD_AFTER_MS = 20_000


class Process:
    """The store as a process has it, from its start to its end or its crash."""

    def __init__(self, world: "World") -> None:
        rng, clock = world.rng, world.clock
        self.world = world
        self.alive = True
        self.hybrid = HybridClock(clock)
        self.hybrid.observe(world.last_stamp)
        self.engine = SimEngine(world.engine, rng, self._hook)
        self.drives = DriveSet({disk.id: SimDrive(disk, self._hook) for disk in world.disks})
        entropy, offload = SeededEntropy(rng), SimOffload(rng, ordered=False)
        workforce = self.workforce = SimWorkforce(rng, world.disks)
        self.catalog = MetadataCatalog(self.engine)
        self.volumes = Volumes(
            self.drives, self.catalog, self.hybrid, "w0", world.parity, SHARD_BYTES, workforce=workforce
        )
        self.queue = RepairQueue(self.engine)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.tiers = SimTiers(world.shelf, rng, clock)
        self.blobs = BlobStore(self.volumes, BufferPools.of(64 * MIB), offload, self._on_damage, self.tiers)
        self.under_way = UnderWay(clock)
        self.buckets = Buckets(self.engine, self.hybrid, entropy)
        layer = object_layer(self.engine, self.buckets, self.blobs, self.hybrid, entropy, self.under_way)
        self.naming, self.reading, self.objects, self.uploads, self.appending, self.annotating = layer
        self.mover = Mover(self.naming, self.reading, self.blobs, self.tiers, entropy, self.under_way)
        self.tier_sweeper = TierSweeper(self.engine, self.tiers, self.under_way, clock.now_ms, orphan_after_ms=30_000)
        self.lifecycle = Lifecycle(
            self.engine, self.buckets, self.naming, self.uploads, clock.now_ms, day_s=0.01, mover=self.mover
        )
        self.mender = Mender(self.drives, workforce)
        claims = Claims()
        around = Surroundings(
            self.engine,
            self.catalog,
            self.queue,
            self.drives,
            self.blobs,
            self.mender,
            self.under_way,
            self.under_way.oldest_ms,
            clock,
            self.hybrid,
            entropy,
            offload,
            self._on_error,
            claims,
        )
        self.exposure = Exposure(self.drives, clock.now_ms, REBUILD_AFTER_MS)
        self.reaper = Reaper(self.engine, self.blobs, clock, self.under_way.oldest_ms, self._on_error, claims)
        self.repairer = Repairer(around, self.exposure, self._on_repaired)
        self.scrubber = Scrubber(around, world.scrub_period_s)
        self.upkeep = Upkeep(around, self.exposure)
        self.compactor = Compactor(around, self.exposure, waste_min_bytes=4 * KIB, count_after_ms=60_000)
        self.orphans = Orphans(around)

    async def find_faults(self) -> list[Fault]:
        """Every fragment of what has a name that is not good, found without the help of scrub."""
        findings = Findings()
        census = await take_census(self.engine, self.under_way, self.world.clock.now_ms(), None)
        for record in await self.catalog.all():
            for stretch in runs(record.layout, census.extents.get(record.id, [])):
                self.mender.inspect(record, stretch, findings, Scratch())
        return findings.faults

    def _hook(self, verb: str, name: str) -> None:
        if not self.alive:
            raise SimulatedCrash(verb)  # what is left of a process that has ended does nothing any more
        self.world.hook(verb, name)

    def end(self) -> None:
        """Nothing that this process still does has an effect."""
        self.alive = False

    async def start(self) -> None:
        """What a worker does before it serves."""
        await seal_left_open(self.catalog, self.queue, self.drives, None, self.world.clock.now_ms())

    def _on_damage(self, damage: Damage) -> None:
        self.world.damage += 1
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._queue_repair(damage))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _queue_repair(self, damage: Damage) -> None:
        try:
            await self.queue.put(damage.volume, (damage.shard,), "a read found damage", self.world.clock.now_ms())
        except PyriteError as error:
            self._on_error(error)

    def _on_repaired(self, repaired: Repaired) -> None:
        self.world.repaired += 1

    def _on_error(self, error: PyriteError) -> None:
        self.world.errors[type(error).__name__] = self.world.errors.get(type(error).__name__, 0) + 1

    async def housekeep(self) -> None:
        """Background steps, in an order drawn from the seed, for ever."""
        steps: list[Callable[[], Awaitable[Any]]] = [
            self.reaper.step,
            self.upkeep.step,
            self.repairer.step,
            self.scrubber.step,
            self.compactor.step,
            self.orphans.step,
            self.volumes.seal_unusable,
            self.tier_sweeper.step,
            self.lifecycle.step,
        ]
        while True:
            step = self.world.rng.choice(steps)
            try:
                await step()
            except PyriteError as error:
                self._on_error(error)
            await asyncio.sleep(self.world.rng.expovariate(1))


class World:
    """What is durable, and how it fails: `crash_in` calls of drives or metadata from now, the process ends."""

    def __init__(self, seed: int, drives: int, parity: int | None = None, scrub_period_s: float = 60.0) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.parity = parity
        self.scrub_period_s = scrub_period_s
        self.clock = SimClock()
        self.engine = MemoryEngine()
        self.shelf: Shelf = {}
        self.disks = [SimDisk(f"d{number}", self.rng) for number in range(drives)]
        self.crash_in: int | None = None
        self.last_stamp = 0
        self.trace: list[tuple[str, str]] | None = None
        self.damage = self.repaired = self.crashes = 0
        self.errors: dict[str, int] = {}

    def hook(self, verb: str, name: str) -> None:
        """Every call of a drive and every commit passes here."""
        if self.trace is not None:
            self.trace.append((verb, name))
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in <= 0:
                raise SimulatedCrash(verb)

    def live(self, body: Callable[[Process], Awaitable[T]], power: bool = True) -> T | None:
        """What `body` returns of a process that starts now; None when the process crashed, and with `power` the disks.

        A crash without the power keeps what was written; with it, what was not synced is torn or gone.
        """
        loop = VirtualLoop(self.rng, self.clock.now_s)
        self.clock.loop = loop
        process: list[Process] = []

        async def main() -> T:
            process.append(Process(self))
            await process[0].start()
            return await body(process[0])

        try:
            return run(loop, main(), lambda: process[0].end() if process else None)
        except SimulatedCrash:
            self.crashes += 1
            if power:
                for disk in self.disks:
                    disk.cut()
            return None
        finally:
            self.crash_in = None
            self.clock.monotonic_s()
            self.clock.loop = None
            if process:
                self.last_stamp = max(self.last_stamp, process[0].hybrid.next())

    async def settle(self, process: Process, steps: int = 400) -> None:
        """Let background work go on until nothing is left to do. Raises AssertionError when that never comes."""
        for _ in range(steps):
            await asyncio.sleep(30)
            process.exposure.look()
            busy = (await process.reaper.step()).records > 0
            await process.volumes.seal_unusable()
            busy |= await process.upkeep.step()
            busy |= await process.repairer.step()
            busy |= (await process.scrubber.step()).faults > 0
            busy |= (await process.compactor.step()) != (0, 0)
            busy |= await process.orphans.step() > 0 or process.orphans.waiting
            waiting = await process.queue.all()
            if not busy and not waiting and all(drive.state is DriveState.ONLINE for drive in process.drives.values()):
                return
        raise AssertionError(f"background work never ends: {[queued.record for queued in waiting]}")
