"""Owns a simulated life of a store, from one seed: clients, crashes, power cuts, faulty disks, and the judgement.

Faults stay within what a store promises to survive, so whatever is lost is a bug. Either some disks, no more than the
parity, are silently bad (rot, lost, misdirected and torn writes, syncs that do nothing) and come and go; or every disk
fails openly now and then (errors, no space). Any process may end at any call, with the power or without.
"""

import asyncio
import random
from typing import NamedTuple

from pyrite.metadata.keyspaces import (
    ANNOTATIONS,
    GARBAGE,
    HEADS,
    OBJECTS,
    PAGES,
    PARTS,
    REFERENCES,
    REPAIRS,
    UPLOADS,
    VERSIONS,
    VOLUMES,
)
from pyrite.metadata.kv import after_prefix
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import Versioning
from pyrite.testing.clearing import clear
from pyrite.testing.disks import Faults
from pyrite.testing.linearizability import judge
from pyrite.testing.workload import Client, Histories
from pyrite.testing.world import Process, World

CLIENTS = 4
KEYS = [f"key-{number}".encode() for number in range(12)]
BUCKET = "simulated"
OLD_VERSIONS = (
    "<LifecycleConfiguration><Rule><Prefix></Prefix><Status>Enabled</Status><NoncurrentVersionExpiration>"
    "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions>"
    "</NoncurrentVersionExpiration></Rule></LifecycleConfiguration>"
)


class Lived(NamedTuple):
    """What a simulated life came to; equal for equal seeds."""

    operations: int
    acknowledged: int
    refused: int
    crashes: int
    damage: int
    repaired: int
    digest: int


class Life:
    """One store over its epochs: each is a process from its start to its crash or its end."""

    def __init__(self, seed: int, operations: int) -> None:
        rng = random.Random(seed)
        self._rng = rng
        drives, parity = rng.choice(((1, 0), (2, 1), (3, 1), (4, 2), (6, 2)))
        self.world = World(seed, drives, parity)
        self._silent = parity > 0 and rng.random() < 0.6
        self._bad = rng.sample(range(drives), rng.randint(1, parity)) if self._silent else []
        self._large = rng.choice((0.0, 0.05, 0.2))
        self._versioning: Versioning = rng.choice(("", "", "Enabled", "Suspended"))
        self._lives = rng.random() < 0.5
        self._left = operations
        self._operations = operations
        self._states: dict[bytes, frozenset[str | None]] = {key: frozenset((None,)) for key in KEYS}
        self._histories = Histories()
        self._acknowledged = self._refused = self._digest = 0

    def run(self) -> Lived:
        """Live. Raises AssertionError when the store has broken a promise."""
        assert self.world.live(self._begin) is not None
        while self._left > 0:
            self._set_faults()
            self._epoch()
        self._end()
        world = self.world
        return Lived(
            self._operations,
            self._acknowledged,
            self._refused,
            world.crashes,
            world.damage,
            world.repaired,
            self._digest,
        )

    async def _begin(self, process: Process) -> Bucket:
        bucket = await process.buckets.create(BUCKET, "owner", "")
        if not self._versioning:
            return bucket
        bucket = await process.buckets.change(bucket, versioning="Enabled")
        if self._lives:
            bucket = await process.buckets.configure(bucket, "lifecycle", OLD_VERSIONS)
        return await process.buckets.change(bucket, versioning=self._versioning)

    def _set_faults(self) -> None:
        rng = self._rng
        for number, disk in enumerate(self.world.disks):
            disk.present = True
            disk.slow = rng.random() < 0.1
            disk.faults = Faults()
            if number in self._bad:
                chance = rng.choice((0.0, 0.002, 0.02, 0.1))
                disk.faults = Faults(
                    rot=chance,
                    misdirected=chance * rng.randint(0, 1),
                    lost_write=chance * rng.randint(0, 1),
                    write_error=chance * rng.choice((0, 0.1)),
                    sync_error=chance * rng.choice((0, 0.1)),
                    read_error=chance,
                    lies=rng.random() < 0.2,
                )
                disk.present = rng.random() < 0.8
            elif not self._silent:
                chance = rng.choice((0.0, 0.0, 0.002))
                disk.faults = Faults(write_error=chance, sync_error=chance, full=chance * 5)

    def _epoch(self) -> None:
        count = min(self._left, self._rng.randint(20, 300))
        self._left -= count
        crashes = self._rng.random() < 0.7
        self.world.crash_in = self._rng.randint(1, count * 12) if crashes else None
        power = self._rng.random() < 0.6
        self.world.live(lambda process: self._serve(process, count), power)
        self._acknowledged += self._histories.acknowledged
        self._refused += self._histories.refused
        for disk in self.world.disks:
            if not self._silent:
                disk.faults.none()
        self.world.live(self._judge)

    async def _serve(self, process: Process, count: int) -> None:
        """Clients and background work side by side."""
        process.engine.refusals = self._rng.choice((0.0, 0.0, 0.01))
        process.tiers.refusals = self._rng.choice((0.0, 0.0, 0.05))
        process.workforce.lateness = self._rng.choice((0.0, 0.0, 0.02))
        bucket = await process.buckets.find(BUCKET)
        clients = [Client(process, bucket, KEYS, self._histories, self._large) for _ in range(CLIENTS)]
        keeping = asyncio.ensure_future(process.housekeep())
        try:
            await asyncio.gather(*(client.work(count // CLIENTS + 1) for client in clients))
        finally:
            keeping.cancel()

    async def _judge(self, process: Process) -> None:
        """Read every key once nobody writes; every history must explain what is there now."""
        bucket = await process.buckets.find(BUCKET)
        reader = Client(process, bucket, KEYS, self._histories, 0)
        for key in KEYS:
            before = len(self._histories.by_key.get(key, []))
            value = await reader.get(key)
            history = self._histories.by_key.get(key, [])
            assert len(history) > before, f"{key!r} cannot be read although nobody writes"
            judgement = judge(history, self._states[key])
            assert judgement.good, f"seed {self.world.seed}: {key!r} is not linearizable: {judgement.unexplained}"
            self._states[key] = frozenset((value,))
            self._digest = hash((self._digest, len(history), len(value or "")))
        await self._check_listing(process, bucket)
        self._histories = Histories.after(self._histories)

    async def _check_listing(self, process: Process, bucket: Bucket) -> None:
        """What is listed is what can be read, and what is counted."""
        prefix = OBJECTS + bucket.id.to_bytes(8, "big")
        rows = await process.engine.scan(prefix, after_prefix(prefix), 1000)
        there = {row.key[len(prefix) :] for row in rows}
        assert there == {key for key, states in self._states.items() if states != {None}}, "a listing differs"
        usage = await process.buckets.usage(bucket.id)
        assert usage.objects == len(there), f"{usage.objects} objects are counted, {len(there)} are there"

    def _end(self) -> None:
        """Faults end: everything must be readable, then repaired, then deletable without a trace."""
        for disk in self.world.disks:
            disk.present, disk.slow = True, False
            disk.faults.none()
        self.world.live(self._judge)
        self.world.live(self._heal)
        self.world.live(self._judge)
        self.world.live(self._empty)

    async def _heal(self, process: Process) -> None:
        """After scrub and repair every fragment of every drive is good; what is swept meanwhile is missed by nobody."""
        await asyncio.sleep(self.world.scrub_period_s)
        await process.tier_sweeper.step()
        await self.world.settle(process)
        before = self.world.damage
        faults = await process.find_faults()
        assert not faults, f"{len(faults)} fragments are still bad after repair"
        await asyncio.sleep(self.world.scrub_period_s)
        while (done := await process.scrubber.step()).volumes:
            assert not done.faults, f"scrub finds {done.faults} faults where there are none"
            await asyncio.sleep(1)
        assert self.world.damage == before

    async def _empty(self, process: Process) -> None:
        """After all is deleted no record and no byte stays behind."""
        bucket = await process.buckets.find(BUCKET)
        for key, version in self._histories.held:
            found = await process.naming.find(bucket, key, version)
            assert found.record.lock is not None, f"a hold on {key!r} is gone"
        await clear(process, bucket)
        for _ in range(2):  # what compaction moves before the reaper frees it goes to a volume that opens for it
            await process.volumes.close()
            await self.world.settle(process)
        names = (OBJECTS, VERSIONS, HEADS, PARTS, PAGES, ANNOTATIONS, UPLOADS)
        for space in (*names, GARBAGE, REFERENCES, REPAIRS, VOLUMES):
            rows = await process.engine.scan(space, after_prefix(space), 10)
            assert not rows, f"{rows[0].key!r} stays behind"
        await asyncio.sleep(300)
        await process.tier_sweeper.step()
        assert not self.world.shelf, f"{len(self.world.shelf)} blobs stay in the tier"
        left = {name for disk in self.world.disks for name in disk.files}
        assert not left, f"{sorted(left)[:4]} stay behind"


def simulate(seed: int, operations: int = 1000) -> Lived:
    """Live the life of `seed`. Raises AssertionError with the seed when the store breaks a promise."""
    return Life(seed, operations).run()
