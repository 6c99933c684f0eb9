"""Owns who may touch the shard files of a volume: one service at a time may make or remove them.

All services that do run in one process, so that a set is enough.
"""

import contextlib
from collections.abc import Iterator


class Claims:
    """The volumes whose files somebody is making or removing."""

    def __init__(self) -> None:
        self._held: set[int] = set()

    @contextlib.contextmanager
    def hold(self, *volumes: int) -> Iterator[bool]:
        """Hold `volumes` while this is open; what it gives is False, and nothing is held, if somebody else does."""
        free = self._held.isdisjoint(volumes)
        if free:
            self._held.update(volumes)
        try:
            yield free
        finally:
            if free:
                self._held.difference_update(volumes)
