"""Owns scrub: reads every live fragment of the store within a period and queues what is wrong for repair.

It goes at the pace that the period asks for, in small steps, and never takes more than a share of the time, so that
requests hardly notice. What it has verified is recorded volume by volume.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pyrite.blobs.buffers import Scratch
from pyrite.blobs.layout import Extent
from pyrite.blobs.mending import Findings, runs
from pyrite.blobs.volume import VolumeRecord
from pyrite.core.clock import stamp_ms
from pyrite.core.units import KIB, MIB
from pyrite.metadata.keyspaces import NAMES_VERIFIED, SCRUBBED, number
from pyrite.metadata.kv import Batch, Conflict, Engine, after_prefix, decode_counter, encode_counter
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.surroundings import Surroundings

VOLUMES_AT_A_TIME = 32
PERIOD_S = 14 * 86_400
DUTY = 0.2
"""The largest share of the time that scrub reads; the rest it rests."""
RUN_BYTES = 256 * KIB
"""What is read of each shard at a time."""
_RATE_MIN = MIB  # bytes a second of all drives together
_AHEAD = 0.5  # volumes verified less than this part of the period ago are left alone

Sleep = Callable[[float], Awaitable[None]]


class Scrubbed(NamedTuple):
    """What a step verified, and how much of it was wrong."""

    volumes: int
    read_bytes: int
    faults: int


class Scrubber:
    """Verifies volumes, the one longest unverified first."""

    def __init__(self, surroundings: Surroundings, period_s: float = PERIOD_S, sleep: Sleep = asyncio.sleep) -> None:
        self._store = surroundings
        self._period_s = period_s
        self._sleep = sleep
        self.faults = 0
        self.read_bytes = 0

    async def step(self) -> Scrubbed:
        """Verify the volumes that are due, up to a limit."""
        due = await self._due()
        if not due:
            return Scrubbed(0, 0, 0)
        began = self._store.now_ms()
        stored = sum(record.length * record.layout.width for record in await self._store.catalog.all())
        rate = max(stored / (self._period_s * _AHEAD), _RATE_MIN)
        census = await self._store.census({record.id for record in due})
        read = faults = 0
        for record in due:
            findings = await self._verify(record, census.extents.get(record.id, []), rate)
            if findings.faults:
                offsets = {fault.offset for fault in findings.faults}
                alive = await self._store.still_named(record, offsets)
                findings.faults = [fault for fault in findings.faults if fault.offset in alive]
            read += findings.read_bytes
            faults += len(findings.faults)
            await self._note(record, findings, began)
        return Scrubbed(len(due), read, faults)

    async def _due(self) -> list[VolumeRecord]:
        verified = await verified_ms(self._store.engine)
        horizon = self._store.now_ms() - int(self._period_s * 1000 * _AHEAD)
        records = await self._store.catalog.all()
        due = [(max(verified.get(record.id, 0), stamp_ms(record.id)), record.id, record) for record in records]
        due = [item for item in due if item[0] <= horizon]
        due.sort(key=lambda item: item[:2])
        return [record for _, _, record in due[:VOLUMES_AT_A_TIME]]

    async def _verify(self, record: VolumeRecord, extents: list[Extent], rate: float) -> Findings:
        """Read all of it, `rate` bytes a second."""
        findings, scratch = Findings(), Scratch()
        for run in runs(record.layout, extents, RUN_BYTES):
            started, before = self._store.clock.monotonic_s(), findings.read_bytes
            await self._store.offload.run(self._store.mender.inspect, record, run, findings, scratch)
            read = findings.read_bytes - before
            self.read_bytes += read
            busy = self._store.clock.monotonic_s() - started
            await self._sleep(max(busy * (1 / DUTY - 1), read / rate - busy))
        return findings

    async def _note(self, record: VolumeRecord, findings: Findings, began_ms: int) -> None:
        if findings.faults:
            self.faults += len(findings.faults)
            shards = tuple({fault.shard for fault in findings.faults})
            await self._store.queue.put(record.id, shards, "scrub found damage", self._store.now_ms())
        batch = Batch()
        batch.put(SCRUBBED + number(record.id), encode_counter(began_ms))
        try:
            await self._store.engine.commit(batch)
        except Conflict:
            return


async def oldest_unverified_ms(engine: Engine) -> int | None:
    """When the bytes were written or last verified that have waited longest; None in an empty store."""
    verified = await verified_ms(engine)
    stamps = [max(verified.get(record.id, 0), stamp_ms(record.id)) for record in await MetadataCatalog(engine).all()]
    names = await engine.get(NAMES_VERIFIED)
    if names is not None:
        stamps.append(decode_counter(names.value))
    return min(stamps, default=None)


async def note_names_verified(engine: Engine, now_ms: int) -> None:
    """Record that every copy of the names, and every log, was read and is good."""
    batch = Batch()
    batch.put(NAMES_VERIFIED, encode_counter(now_ms))
    await engine.commit(batch)


async def verified_ms(engine: Engine) -> dict[int, int]:
    """When each volume was last verified."""
    found: dict[int, int] = {}
    start, end = SCRUBBED, after_prefix(SCRUBBED)
    while rows := await engine.scan(start, end, 1000):
        found.update({int.from_bytes(row.key[1:9], "big"): decode_counter(row.value) for row in rows})
        start = rows[-1].key + b"\0"
    return found
