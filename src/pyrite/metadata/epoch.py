"""Owns a number that the processes of one server share: the newest epoch of the set of mirrors."""

import mmap

_BYTES = 8


class SharedEpoch:
    """Eight bytes that forked processes have in common.

    Whoever changes the set of mirrors raises it before anything is acknowledged without an old one, so that no other
    process goes on reading a mirror that is not written any more.
    """

    def __init__(self) -> None:
        self._number = memoryview(mmap.mmap(-1, _BYTES)).cast("Q")
        self._own = 0

    @property
    def value(self) -> int:
        """The newest epoch that anybody has announced."""
        if self._number[0] < self._own:  # another process has written a smaller one over it at the same moment
            self._number[0] = self._own
        return int(self._number[0])

    def raise_to(self, epoch: int) -> None:
        """Take note of an epoch that was announced."""
        self._own = max(self._own, epoch)
        self._number[0] = max(self._number[0], epoch)
