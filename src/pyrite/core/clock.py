"""Owns time: wall time, monotonic time, and the hybrid logical clock that orders versions."""

import time
from typing import Protocol

_COUNTER_BITS = 16


class Clock(Protocol):
    """Where every layer takes its time from, so that tests can run it faster."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes backwards."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000  # noqa: TID251 - this is the one place

    def monotonic_s(self) -> float:
        return time.monotonic()


class HybridClock:
    """A hybrid logical clock (Kulkarni et al., 2014): wall milliseconds, then a counter, in 64 bits.

    Stamps of one clock strictly increase even when the wall clock steps back. `observe` keeps it ahead of
    stamps made elsewhere.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """A stamp greater than every stamp made or observed before."""
        wall = self._clock.now_ms() << _COUNTER_BITS
        self._last = wall if wall > self._last else self._last + 1
        return self._last

    def observe(self, stamp: int) -> None:
        """Take note of a stamp that another clock made."""
        self._last = max(self._last, stamp)


def stamp_ms(stamp: int) -> int:
    """The wall milliseconds inside a hybrid stamp."""
    return stamp >> _COUNTER_BITS
