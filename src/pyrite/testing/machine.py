"""Owns what a simulated process runs on: time, chance, threads, and a database that takes time."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pyrite.core.errors import Unavailable
from pyrite.core.offload import LATE, Late, Offload
from pyrite.metadata.kv import Batch, Entry, Row
from pyrite.metadata.memory import MemoryEngine
from pyrite.testing.disks import SimDisk
from pyrite.testing.loop import VirtualLoop

T = TypeVar("T")
EPOCH_MS = 1_800_000_000_000


class SimClock:
    """The time of the loop that runs; between loops it stands still."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        if self.loop is not None:
            self.now_s = max(self.now_s, self.loop.time())
        return self.now_s

    def now_ms(self) -> int:
        return EPOCH_MS + int(self.monotonic_s() * 1000)


class SeededEntropy:
    """Bytes from a seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def bytes(self, count: int) -> bytes:
        return self._rng.randbytes(count)


class SimOffload:
    """Blocking work that takes a moment of virtual time, in which others run; with `ordered`, one after the other."""

    def __init__(self, rng: random.Random, ordered: bool, is_slow: Callable[[], bool] = lambda: False) -> None:
        self._rng = rng
        self._ordered = ordered
        self._is_slow = is_slow
        self._free_s = 0.0

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return await self.start(function, *args)

    def start(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = function(*args)
            except Exception as error:  # noqa: BLE001 - the future carries it to whoever awaits
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        when_s = loop.time() + self._rng.expovariate(1 if self._is_slow() else 1000)
        if self._ordered:
            when_s = self._free_s = max(when_s, self._free_s + 1e-6)
        loop.call_at(when_s, work)
        return future

    def close(self) -> None:
        """Nothing runs elsewhere."""


class SimWorkforce:
    """Lanes on virtual time; what is done together is done in an order drawn anew each time.

    With a chance of `lateness` a job that is not needed at once is late, and done at some time later. Lanes that read
    from a slow disk take their time.
    """

    def __init__(self, rng: random.Random, disks: Sequence[SimDisk]) -> None:
        self._rng = rng
        self._read_lanes = {f"read-{disk.id}": disk for disk in disks}
        self._lanes: dict[str, SimOffload] = {}
        self.lateness = 0.0

    def lane(self, name: str, threads: int = 1) -> Offload:
        disk = self._read_lanes.get(name)
        if name not in self._lanes:
            self._lanes[name] = SimOffload(self._rng, threads == 1, lambda: disk is not None and disk.slow)
        return self._lanes[name]

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        order = list(range(len(jobs)))
        self._rng.shuffle(order)
        results = {index: jobs[index]() for index in order}
        return [results[index] for index in range(len(jobs))]

    def most(self, jobs: Sequence[Callable[[], T]], enough: int, good: Callable[[T], bool]) -> list[T | Late]:
        order = list(range(len(jobs)))
        self._rng.shuffle(order)
        results: dict[int, T | Late] = {}
        reached = 0
        for index in order:
            if reached >= enough and len(jobs) > 1 and self.lateness and self._rng.random() < self.lateness:
                results[index] = LATE
                asyncio.get_running_loop().call_later(self._rng.expovariate(0.1), jobs[index])
                continue
            result = results[index] = jobs[index]()
            reached += good(result)
        return [results[index] for index in range(len(jobs))]

    def close(self) -> None:
        """Nothing runs elsewhere."""


class SimEngine:
    """Metadata in memory that takes time to commit, and now and then refuses before anything has happened."""

    def __init__(self, inner: MemoryEngine, rng: random.Random, hook: Callable[[str, str], None]) -> None:
        self._inner = inner
        self._rng = rng
        self._hook = hook
        self.refusals = 0.0
        self._doing: set[asyncio.Future[None]] = set()

    async def get(self, key: bytes) -> Entry | None:
        return await self._inner.get(key)

    async def scan(self, start: bytes, end: bytes, limit: int, reverse: bool = False) -> list[Row]:
        return await self._inner.scan(start, end, limit, reverse)

    async def commit(self, batch: Batch) -> None:
        """As a thread would do it: it goes on when the task that waits for it is cancelled."""
        doing = asyncio.ensure_future(self._commit(batch))
        self._doing.add(doing)
        doing.add_done_callback(self._doing.discard)
        await asyncio.shield(doing)

    async def _commit(self, batch: Batch) -> None:
        await asyncio.sleep(self._rng.expovariate(1000))
        if self.refusals and self._rng.random() < self.refusals:
            raise Unavailable("metadata takes no commit now")
        self._hook("commit", "before")
        await self._inner.commit(batch)
        self._hook("commit", "after")

    async def close(self) -> None:
        """Nothing to release."""
