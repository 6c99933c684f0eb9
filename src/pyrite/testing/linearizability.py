"""Owns the judgement whether a history of one register could have happened one operation after the other.

Just-in-time linearization (Lowe, "Testing for linearizability", 2017): walks through calls and returns in order of
time and keeps every state in which the register could be, together with which of the open operations have taken
effect. Near-linear as long as few operations are open at a time.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

ANY, SOMETHING, KEEP = "any", "something", "keep"
"""What an operation may find (ANY value, SOMETHING rather than nothing), and that it changes nothing (KEEP)."""
UNSEEN = "unseen"
"""A value that nobody has read."""


class Operation(NamedTuple):
    """Finds `found` (a value, None for nothing, ANY, SOMETHING) and leaves `left` (a value, None, KEEP).

    `returned_s` is math.inf for an operation of which nobody knows whether it took effect.
    """

    found: str | None
    left: str | None
    called_s: float
    returned_s: float = math.inf

    def fits(self, state: str | None) -> bool:
        """Whether the operation could take effect in `state`."""
        return self.found == ANY or (state is not None if self.found == SOMETHING else self.found == state)

    def after(self, state: str | None) -> str | None:
        """The state that it leaves behind."""
        return state if self.left == KEEP else self.left


class Judgement(NamedTuple):
    """Whether the history is linearizable, in which states it may have ended, and what could not be explained."""

    good: bool
    final: frozenset[str | None]
    unexplained: Operation | None = None


_Configuration = tuple[str | None, frozenset[int]]


def judge(history: Iterable[Operation], initial: Iterable[str | None]) -> Judgement:
    """Whether `history` is linearizable from one of the `initial` states."""
    operations = _simplified(list(history))
    events = [(operation.called_s, 0, index) for index, operation in enumerate(operations)]
    events += [
        (operation.returned_s, 1, index)
        for index, operation in enumerate(operations)
        if operation.returned_s < math.inf
    ]
    events.sort()
    configurations: set[_Configuration] = {(state, frozenset()) for state in initial}
    open_now: dict[int, None] = {}
    for _, kind, index in events:
        if kind == 0:
            open_now[index] = None
            continue
        reached = _close(configurations, open_now, operations)
        configurations = {(state, done - {index}) for state, done in reached if index in done}
        del open_now[index]
        if not configurations:
            return Judgement(False, frozenset(), operations[index])
    return Judgement(True, frozenset(state for state, _ in _close(configurations, open_now, operations)))


def _simplified(history: list[Operation]) -> list[Operation]:
    """`history` with one value for all that writes of unknown outcome left and nobody has seen.

    Where nobody asked whether there is something at all, such writes explain nothing, and are left out; so are reads of
    unknown outcome.
    """
    seen = {operation.found for operation in history}
    found = []
    for operation in history:
        unknown = operation.returned_s == math.inf
        if unknown and operation.left == KEEP:
            continue
        if unknown and operation.left is not None and operation.left not in seen:
            if SOMETHING not in seen:
                continue
            operation = operation._replace(left=UNSEEN)
        found.append(operation)
    return found


def _close(
    configurations: set[_Configuration], open_now: Iterable[int], operations: list[Operation]
) -> set[_Configuration]:
    """Everything that can be reached by letting open operations take effect.

    Of open operations that will never return and that find and leave the same, the one called first goes first: for
    what follows they are all alike, and the states to keep would double with each of them.
    """
    reached, todo = set(configurations), list(configurations)
    while todo:
        state, done = todo.pop()
        alike: set[tuple[str | None, str | None]] = set()
        for index in open_now:
            if index in done:
                continue
            operation = operations[index]
            if operation.returned_s == math.inf:
                if (operation.found, operation.left) in alike:
                    continue
                alike.add((operation.found, operation.left))
            if operation.fits(state):
                following = (operation.after(state), done | {index})
                if following not in reached:
                    reached.add(following)
                    todo.append(following)
    return reached
