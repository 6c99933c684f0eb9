"""Turns coroutines that were begun by hand into tasks, where they wait.

A request that does not wait costs no task. One that waits becomes one, so that whatever asyncio offers (timeouts,
groups, cancellation) works in it. Before it first waits there is no task yet: `in_task` makes sure that there is.
"""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def begin(coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T] | None":
    """Run `coroutine` until it ends, and return None, or until it waits, and return the task that goes on with it.

    Raises what the coroutine raises before it waits.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_Continued(coroutine, waiting))


class _Continued(Coroutine[Any, Any, T]):
    """What is left of a coroutine that waits for `waiting`: a future, or None for the next turn of the loop.

    No generator: one that is cancelled before it begins never runs, and would leave the coroutine where it waits.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], waiting: Any) -> None:
        self._coroutine = coroutine
        self._waiting = waiting
        self._is_begun = False

    def send(self, value: Any) -> Any:
        if self._is_begun:
            return self._coroutine.send(value)
        self._is_begun = True
        return self._waiting

    def throw(self, *error: Any) -> Any:
        if not self._is_begun:
            self._is_begun = True
            if self._waiting is not None and self._waiting.cancel():
                return self._waiting  # as a task does that is cancelled while it waits
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise TypeError("it is a task's")


async def in_task() -> None:
    """Make sure that the caller is in a task, as `asyncio.timeout`, `wait_for` and task groups need it."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)
