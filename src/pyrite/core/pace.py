"""Owns judging how quickly drives answer: which are so much slower than the others that they are worked around.

A drive that is slow is not broken: it is read only where nothing else will do, and new data goes elsewhere.
"""

import itertools
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

Kind = Literal["read", "write", "sync", "create", "stored", "commit"]

SLOW_MIN_S = 0.1
"""No call that takes less is slow, however quick the other drives are."""
SLOW_FACTOR = 8
"""How many times longer than with the other drives a call has to take."""
STUCK_S = 1.5
"""A call that has not come back for so long, while other drives answer, makes its drive a slow one at once."""
WINDOW_S = 30.0
"""How long a call is remembered."""
SAMPLES_MIN = 3
_SAMPLES_MAX = 32


class Pace:
    """What the calls of one drive took lately, by kind, and since when those under way wait. For any thread."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._tokens = itertools.count()
        self._under_way: dict[int, float] = {}
        self._taken: dict[str, deque[tuple[float, float]]] = {}

    def begin(self) -> int:
        """A call begins; `end` takes the number that is returned."""
        token = next(self._tokens)
        self._under_way[token] = self._now_s()
        return token

    def end(self, token: int, kind: Kind) -> None:
        """The call has come back, with or without success."""
        now = self._now_s()
        taken = now - self._under_way.pop(token)
        samples = self._taken.get(kind)
        if samples is None:
            samples = self._taken.setdefault(kind, deque(maxlen=_SAMPLES_MAX))
        samples.append((now, taken))

    def waits_s(self) -> float:
        """How long the call that has waited longest has waited; 0.0 when none is under way."""
        began = min(list(self._under_way.values()), default=None)
        return self._now_s() - began if began is not None else 0.0

    @property
    def stuck(self) -> bool:
        """Whether a call has not come back for STUCK_S."""
        return self.waits_s() >= STUCK_S

    def typical_s(self) -> dict[str, float]:
        """The median of each kind of call that was made often enough lately."""
        horizon = self._now_s() - WINDOW_S
        found = {}
        for kind, samples in list(self._taken.items()):
            recent = [taken for when, taken in list(samples) if when >= horizon]
            if len(recent) >= SAMPLES_MIN:
                found[kind] = statistics.median(recent)
        return found


def slow_drives(paces: Mapping[str, Pace]) -> set[str]:
    """The drives that are much slower than the others; none when half of them are, for then it is the machine."""
    stuck = {drive for drive, pace in paces.items() if pace.stuck}
    typical = {drive: pace.typical_s() for drive, pace in paces.items()}
    slow = stuck | {drive for drive in paces if _is_slow(drive, typical)}
    return slow if 2 * len(slow) < len(paces) or (len(paces) == 2 and len(slow) == 1) else set()


def _is_slow(drive: str, typical: Mapping[str, Mapping[str, float]]) -> bool:
    for kind, taken in typical[drive].items():
        others = [of[kind] for other, of in typical.items() if other != drive and kind in of]
        if others and taken >= max(SLOW_MIN_S, SLOW_FACTOR * statistics.median(others)):
            return True
    return False
