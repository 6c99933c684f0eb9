"""Turns coroutines that were begun by hand into tasks, where they wait.

A request that does not wait costs no task. One that waits becomes one, so that whatever asyncio offers (timeouts,
groups, cancellation) works in it. Before it first waits there is no task yet: `in_task` makes sure that there is.
"""

import asyncio
import types
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
    return asyncio.get_running_loop().create_task(_continued(coroutine, waiting))


@types.coroutine
def _continued(coroutine: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """What is left of a coroutine that waits for `waiting`: a future, or None for the next turn of the loop."""
    try:
        while True:
            try:
                sent = yield waiting
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever the task throws in, cancellation too
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(sent)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def in_task() -> None:
    """Make sure that the caller is in a task, as `asyncio.timeout`, `wait_for` and task groups need it."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)
