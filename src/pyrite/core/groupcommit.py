"""Owns group commit: what arrives while one flush runs shares the next one.

It knows nothing of what is flushed. A flush is a blocking function from a list of items to a list of outcomes
of the same length, where an outcome is None or an exception.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pyrite.core.offload import Offload

T = TypeVar("T")

Flush = Callable[[list[T]], Sequence[BaseException | None]]


class GroupCommit(Generic[T]):
    """Gathers items and flushes them together, one flush at a time, in order of arrival."""

    def __init__(self, flush: Flush[T], offload: Offload, max_items: int = 1024) -> None:
        self._flush = flush
        self._offload = offload
        self._max_items = max_items
        self._pending: list[tuple[T, asyncio.Future[None]]] = []
        self._busy = False

    def submit(self, item: T) -> "asyncio.Future[None]":
        """A future that is done when a flush that includes `item` has ended, with its outcome."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._pending.append((item, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._start)  # after this turn of the loop, so that the turn's requests share it
        return future

    def _start(self) -> None:
        group, self._pending = self._pending[: self._max_items], self._pending[self._max_items :]
        if not group:
            self._busy = False
            return
        running = self._offload.start(self._flush, [item for item, _ in group])
        running.add_done_callback(lambda done: self._finish(group, done))

    def _finish(
        self,
        group: list[tuple[T, "asyncio.Future[None]"]],
        done: "asyncio.Future[Sequence[BaseException | None]]",
    ) -> None:
        error = done.exception()
        outcomes = [error] * len(group) if error is not None else done.result()
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if future.done():
                continue
            if outcome is None:
                future.set_result(None)
            else:
                future.set_exception(outcome)
        self._start()
