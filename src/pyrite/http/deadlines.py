"""Owns the deadlines of a connection: for how long it may wait, and whether what it sends or takes gets on. Pure.

Times are monotonic seconds; progress is the bytes that have come in and gone out.
"""

from enum import Enum
from typing import NamedTuple

from pyrite.http.limits import Limits


class Verdict(Enum):
    """What becomes of a connection that is looked at."""

    GO_ON = "go on"
    CLOSE = "close"
    REFUSE = "refuse"
    ABORT = "abort"


class State(NamedTuple):
    """How a connection stands: whether it only waits for its end, has answered everything, has the beginning of a
    request, or waits for its client within one; and since when what was written does not go out, None where all has.
    """

    is_lingering: bool
    is_done: bool
    has_rest: bool
    waits_within: bool
    unsent_s: float | None
    progress: int


class Deadlines:
    """The deadlines of one connection."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since_s = 0.0
        self._mark = 0
        self._short_mark, self._short_since_s = 0, 0.0

    def restart(self, now_s: float) -> None:
        """Something has happened that everybody waited for."""
        self._since_s = now_s

    def begin(self, progress: int, now_s: float) -> None:
        """A request begins."""
        self._short_mark, self._short_since_s = progress, now_s

    def judge(self, state: State, now_s: float) -> Verdict:
        """Called about once a second: whether it is idle, slow or silent for too long."""
        limits, waited_s = self._limits, now_s - self._since_s
        if state.unsent_s is not None:  # the client still has to take what was answered
            self._since_s = now_s
            return Verdict.ABORT if state.unsent_s > limits.stall_timeout_s else Verdict.GO_ON
        if state.is_lingering:
            return Verdict.ABORT if waited_s > limits.linger_timeout_s else Verdict.GO_ON
        if state.is_done:
            if state.has_rest and waited_s > limits.head_timeout_s:
                return Verdict.REFUSE
            return Verdict.CLOSE if waited_s > limits.idle_timeout_s else Verdict.GO_ON
        if not state.waits_within:
            return Verdict.GO_ON
        if state.progress - self._mark >= limits.stall_progress_bytes:
            self._mark, self._since_s = state.progress, now_s
            return Verdict.GO_ON
        return Verdict.ABORT if waited_s > limits.stall_timeout_s else Verdict.GO_ON

    def is_too_slow(self, counts: bool, progress: int, now_s: float) -> bool:
        """Whether a large body hardly gets on while others wait for buffers, which is when it `counts`."""
        if not counts or progress - self._short_mark >= self._limits.short_progress_bytes:
            self._short_mark, self._short_since_s = progress, now_s
            return False
        return now_s - self._short_since_s >= self._limits.short_timeout_s
