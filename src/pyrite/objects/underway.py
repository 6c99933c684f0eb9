"""Owns what is under way: reads that hold extents, and writes whose bytes have no name yet.

Background work leaves alone what something under way may depend on: garbage younger than the oldest read, volumes
sealed after the oldest write began.
"""

from pyrite.core.clock import Clock


class UnderWay:
    """The reads and writes under way in this process, by when they began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._starts: dict[object, int] = {}

    def enter(self) -> object:
        """Note something that begins; give the token to `leave`."""
        token = object()
        self._starts[token] = self._clock.now_ms()
        return token

    def leave(self, token: object) -> None:
        """It has ended."""
        self._starts.pop(token, None)

    def oldest_ms(self) -> int:
        """When the oldest of all that is under way began; now when there is nothing."""
        return min(self._starts.values(), default=self._clock.now_ms())
