"""Owns running a coroutine that does not have to wait."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Waits(Exception):
    """The coroutine would have to wait; it was closed before it did anything else."""


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns, if it returns without waiting. Raises Waits, or what the coroutine raises.

    Only for reading: a coroutine that waits is given up where it first does.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise Waits
