"""Owns the way to work that may block: a protocol, a thread pool, and an inline form for simulation."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
