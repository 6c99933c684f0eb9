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
    operations = _relevant(list(history))
    events = [(operation.called_s, 0, index) for index, operation in enumerate(operations)]
    events += [
        (operation.returned_s, 1, index)
        for index, operation in enumerate(operations)
        if operation.returned_s < math.inf
    ]
    events.sort()
    configurations: set[_Configuration] = {(state, frozenset()) for state in initial}
    open_now: set[int] = set()
    for _, kind, index in events:
        if kind == 0:
            open_now.add(index)
            continue
        reached = _close(configurations, open_now, operations)
        configurations = {(state, done - {index}) for state, done in reached if index in done}
        open_now.discard(index)
        if not configurations:
            return Judgement(False, frozenset(), operations[index])
    return Judgement(True, frozenset(state for state, _ in _close(configurations, open_now, operations)))


def _relevant(history: list[Operation]) -> list[Operation]:
    """`history` without writes of unknown outcome that nobody has seen: what it explains, it explains without them.

    They would all stay open, and the states to keep would double with each.
    """
    seen = {operation.found for operation in history}
    if SOMETHING in seen:
        return history
    return [
        operation
        for operation in history
        if operation.returned_s < math.inf or operation.left is None or operation.left in seen
    ]


def _close(configurations: set[_Configuration], open_now: set[int], operations: list[Operation]) -> set[_Configuration]:
    """Everything that can be reached by letting open operations take effect."""
    reached, todo = set(configurations), list(configurations)
    while todo:
        state, done = todo.pop()
        for index in open_now - done:
            if operations[index].fits(state):
                following = (operations[index].after(state), done | {index})
                if following not in reached:
                    reached.add(following)
                    todo.append(following)
    return reached
