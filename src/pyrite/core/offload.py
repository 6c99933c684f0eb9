"""Owns the way to work that may block: a protocol, a thread pool, and an inline form for simulation."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from enum import Enum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

PATIENCE_S = 2.0
"""How long those that are late are waited for at least, once enough others are done."""
_PATIENCE_FACTOR = 3
_GIVE_UP_FACTOR = 5
_LOOK_S = 0.25
_POOL_FACTOR = 3  # a thread that never comes back must not leave the others without one


class Late(Enum):
    """The outcome of a job that was not waited for any longer; it may still be done, or never."""

    LATE = "late"


LATE = Late.LATE


class Offload(Protocol):
    """Runs a blocking function somewhere that does not hold up the event loop."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """What `function(*args)` returns or raises."""
        ...

    def start(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """A future of `function(*args)`, started now."""
        ...

    def close(self) -> None:
        """Wait for what runs and free the threads."""
        ...


class ThreadOffload:
    """A bounded pool of `threads` threads."""

    def __init__(self, threads: int, name: str = "offload") -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return await self.start(function, *args)

    def start(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


class InlineOffload:
    """Runs everything at once on the caller's thread: for simulation and for unit tests."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def start(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - the future carries it to whoever awaits
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing runs elsewhere."""


class Workforce(Protocol):
    """Where the blocking work of a store's volumes is done: in lanes, or on many drives at the same moment."""

    def lane(self, name: str, threads: int = 1) -> Offload:
        """A way that does one thing after the other, in order; with more `threads`, as many side by side."""
        ...

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Do all of `jobs` side by side and wait for them; their results in order. Blocks."""
        ...

    def most(self, jobs: Sequence[Callable[[], T]], enough: int, good: Callable[[T], bool]) -> list[T | Late]:
        """As `together`, but those that take much longer than others that came to a `good` result are LATE. Blocks.

        Fewer than `enough` good results are waited for longer.
        """
        ...

    def close(self) -> None:
        """Wait for what runs and free the threads."""
        ...


class ThreadWorkforce:
    """A thread or more for each lane, and `threads` for what is done together."""

    def __init__(self, threads: int, patience_s: float = PATIENCE_S) -> None:
        self._pool = ThreadPoolExecutor(threads * _POOL_FACTOR, thread_name_prefix="shard")
        self._lanes: dict[str, ThreadOffload] = {}
        self._patience_s = patience_s

    def lane(self, name: str, threads: int = 1) -> Offload:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = ThreadOffload(threads, name)
        return lane

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        if len(jobs) == 1:
            return [jobs[0]()]
        futures = [self._pool.submit(job) for job in jobs[1:]]
        try:
            first = jobs[0]()
        finally:
            wait(futures)
        return [first, *[future.result() for future in futures]]

    def most(self, jobs: Sequence[Callable[[], T]], enough: int, good: Callable[[T], bool]) -> list[T | Late]:
        if len(jobs) == 1 and enough:
            return [jobs[0]()]
        began, succeeded = time.monotonic(), list[float]()
        futures = [self._pool.submit(_timed, job, good, succeeded) for job in jobs]
        pending = wait(futures, self._patience_s).not_done
        while pending:
            waited = time.monotonic() - began
            if len(succeeded) >= enough:
                reached = sorted(succeeded)[enough - 1] - began if enough else 0.0
                if waited >= max(self._patience_s, _PATIENCE_FACTOR * reached):
                    break
            elif succeeded and waited >= _GIVE_UP_FACTOR * max(self._patience_s, min(succeeded) - began):
                break
            pending = wait(pending, _LOOK_S, FIRST_COMPLETED).not_done
        return [LATE if future in pending else future.result() for future in futures]

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        self._pool.shutdown(wait=True)


def _timed(job: Callable[[], T], good: Callable[[T], bool], succeeded: list[float]) -> T:
    result = job()
    if good(result):
        succeeded.append(time.monotonic())
    return result


class InlineWorkforce:
    """Everything on the caller's thread, one after the other: for simulation and for unit tests."""

    def lane(self, name: str, threads: int = 1) -> Offload:
        return InlineOffload()

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        return [job() for job in jobs]

    def most(self, jobs: Sequence[Callable[[], T]], enough: int, good: Callable[[T], bool]) -> list[T | Late]:
        return [job() for job in jobs]

    def close(self) -> None:
        """Nothing runs elsewhere."""
