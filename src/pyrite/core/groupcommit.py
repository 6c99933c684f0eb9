"""Owns group commit: what arrives while one flush runs shares the next one.

When the last flush was shared by n items, the next one waits a moment for n to arrive: under load, whoever shared
it is about to come back, and few large flushes cost far less than many small ones. A lone writer never waits.

It knows nothing of what is flushed. A flush is a blocking function from a list of items to a list of outcomes
of the same length, where an outcome is None or an exception.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pyrite.core.offload import Offload

T = TypeVar("T")

GATHER_S = 0.001
"""The longest that a flush waits for as many items as the last one had."""

Flush = Callable[[list[T]], Sequence[BaseException | None]]


class GroupCommit(Generic[T]):
    """Gathers items and flushes them together, one flush at a time, in order of arrival."""

    def __init__(self, flush: Flush[T], offload: Offload, max_items: int = 1024) -> None:
        self._flush = flush
        self._offload = offload
        self._max_items = max_items
        self._pending: list[tuple[T, asyncio.Future[None]]] = []
        self._flushing = False
        self._expected = 1
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, item: T) -> "asyncio.Future[None]":
        """A future that is done when a flush that includes `item` has ended, with its outcome."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._pending.append((item, future))
        if not self._flushing:
            self._arrange(loop)
        return future

    def _arrange(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flush now if there are as many items as expected, or else a little later."""
        if len(self._pending) >= self._expected:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._flushing = True
            loop.call_soon(self._start)  # after this turn of the loop, so that the turn's requests share it
        elif self._timer is None:
            self._timer = loop.call_later(GATHER_S, self._waited)

    def _waited(self) -> None:
        self._timer = None
        if not self._flushing:
            self._flushing = True
            self._start()

    def _start(self) -> None:
        group, self._pending = self._pending[: self._max_items], self._pending[self._max_items :]
        self._expected = len(group)
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
        self._flushing = False
        if self._pending:
            self._arrange(asyncio.get_running_loop())
