"""Owns the way to work that may block: a protocol, a thread pool, and an inline form for simulation."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


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

    def lane(self, name: str) -> Offload:
        """A way that does one thing after the other, in order."""
        ...

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Do all of `jobs` side by side and wait for them; their results in order. Blocks."""
        ...

    def close(self) -> None:
        """Wait for what runs and free the threads."""
        ...


class ThreadWorkforce:
    """A thread for each lane, and `threads` for what is done together."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="shard")
        self._lanes: dict[str, ThreadOffload] = {}

    def lane(self, name: str) -> Offload:
        if name not in self._lanes:
            self._lanes[name] = ThreadOffload(1, name)
        return self._lanes[name]

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        if len(jobs) == 1:
            return [jobs[0]()]
        futures = [self._pool.submit(job) for job in jobs[1:]]
        try:
            first = jobs[0]()
        finally:
            wait(futures)
        return [first, *[future.result() for future in futures]]

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        self._pool.shutdown(wait=True)


class InlineWorkforce:
    """Everything on the caller's thread, one after the other: for simulation and for unit tests."""

    def lane(self, name: str) -> Offload:
        return InlineOffload()

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        return [job() for job in jobs]

    def close(self) -> None:
        """Nothing runs elsewhere."""
