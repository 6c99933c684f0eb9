"""Owns an event loop on virtual time: a run is decided by its seed alone, and waiting costs nothing.

It relies on how asyncio's loop is built (CPython 3.11 to 3.13): no socket and no thread may be used inside.
"""

import asyncio
import contextlib
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class _NoSelector(selectors.BaseSelector):
    """Nothing is ever ready, and nobody waits for it."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def select(self, timeout: float | None = None) -> list[Any]:
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def close(self) -> None:
        """Nothing is open."""


class Deadlock(AssertionError):
    """Every task waits for another."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is ready in an order drawn from `rng`; when nothing is, time jumps to the next timer."""

    def __init__(self, rng: random.Random, start_s: float = 0.0) -> None:
        super().__init__(_NoSelector())
        self.set_exception_handler(lambda *_: None)  # what a crash leaves unobserved is no news
        self._now_s = start_s
        self._rng = rng

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        scheduled = self._scheduled  # type: ignore[attr-defined]
        if not ready:
            if scheduled:
                self._now_s = max(self._now_s, scheduled[0]._when)
            elif not self._stopping:  # type: ignore[attr-defined]
                raise Deadlock("everything waits, and nothing can ever happen")
        if len(ready) > 1:
            order = list(ready)
            self._rng.shuffle(order)
            ready.clear()
            ready.extend(order)
        super()._run_once()  # type: ignore[misc]


class SimulatedCrash(SystemExit):
    """The process ends here: raised through everything, so that no code of it runs any more."""


def run(loop: VirtualLoop, main: Coroutine[Any, Any, T], end: Callable[[], None]) -> T:
    """What `main` returns on `loop`. Whatever else is under way is dropped after `end`. Raises SimulatedCrash."""
    asyncio.set_event_loop(loop)
    task = loop.create_task(main)
    try:
        return loop.run_until_complete(task)
    finally:
        end()
        for left in {*asyncio.all_tasks(loop), task}:
            left._log_destroy_pending = False  # type: ignore[attr-defined]
            left._log_traceback = False
            with contextlib.suppress(BaseException):
                left.get_coro().close()
        loop._ready.clear()  # type: ignore[attr-defined]
        loop._scheduled.clear()  # type: ignore[attr-defined]
        asyncio.set_event_loop(None)
        loop.close()
