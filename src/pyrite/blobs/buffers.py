"""Owns the buffers for large bodies: reused, because fresh memory costs more than every copy, and bounded."""

import asyncio
import math
import mmap
from collections import deque
from typing import NamedTuple

from pyrite.core.errors import Unavailable
from pyrite.core.units import KIB, MIB

WAIT_MAX_S = 10.0
"""How long a request waits for a buffer before it is told to come again later."""
BUFFER_SLACK_BYTES = 64 * KIB  # room for fragment headers beside a MiB of payload


class Scratch:
    """Memory on page boundaries, as direct reads need it: taken piece by piece, given back all at once.

    Several threads may take at the same time.
    """

    def __init__(self) -> None:
        self._free: list[memoryview] = []
        self._taken: list[memoryview] = []

    def take(self, length: int) -> memoryview:
        """At least `length` bytes, with anything in them."""
        size = -(-length // MIB) * MIB
        try:
            piece = self._free.pop()
        except IndexError:  # not looked at beforehand: another thread may take the last one
            piece = memoryview(b"")
        if len(piece) < size:
            piece = memoryview(mmap.mmap(-1, size))
        self._taken.append(piece)
        return piece

    def reset(self) -> None:
        """Everything that was taken may be taken again."""
        self._free += self._taken
        self._taken.clear()


class BuffersLent(Unavailable):
    """All buffers were lent for too long."""


class BufferPool:
    """Buffers of one MiB, or of several, plus slack. At most `capacity_bytes` are lent at a time."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._lent_bytes = 0
        self.refused_s = -math.inf
        self._free: dict[int, list[mmap.mmap]] = {}
        self._free_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_short(self) -> bool:
        """Whether anybody waits for a buffer."""
        return any(not waiter.done() for waiter in self._waiting)

    async def acquire(self, payload_bytes: int) -> mmap.mmap:
        """A buffer of at least `payload_bytes` plus slack; waits while too many are lent. Raises BuffersLent."""
        size = -(-payload_bytes // MIB) * MIB + BUFFER_SLACK_BYTES
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + WAIT_MAX_S
        while self._lent_bytes and self._lent_bytes + size > self._capacity_bytes:
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting.append(waiter)
            timer = loop.call_at(give_up_s, _give_up, waiter)
            try:
                await waiter
            except BuffersLent:
                self.refused_s = loop.time()
                self._wake()
                raise
            except BaseException:
                self._wake()  # it may have been this one's turn
                raise
            finally:
                timer.cancel()
        self._lent_bytes += size
        free = self._free.get(size)
        if free:
            self._free_bytes -= size
            return free.pop()
        return mmap.mmap(-1, size)  # of its own, not of malloc's heap, which would not give it back

    def release(self, buffer: mmap.mmap) -> None:
        """Give a buffer back; nobody may look at it any more."""
        size = len(buffer)
        if self._free_bytes + size <= self._capacity_bytes // 4:
            self._free.setdefault(size, []).append(buffer)
            self._free_bytes += size
        self.forget(buffer)

    def forget(self, buffer: mmap.mmap) -> None:
        """Lend no more of a buffer that somebody may still look at or write to."""
        self._lent_bytes -= len(buffer)
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break


def _give_up(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(BuffersLent(f"no buffer became free within {WAIT_MAX_S:g} s"))


class BufferPools(NamedTuple):
    """The buffers of reads and those of writes: neither can take all from the other."""

    reads: BufferPool
    writes: BufferPool

    @classmethod
    def of(cls, capacity_bytes: int) -> "BufferPools":
        """Two pools that share `capacity_bytes`."""
        return cls(BufferPool(capacity_bytes // 2), BufferPool(capacity_bytes // 2))

    def refuses(self, now_s: float) -> bool:
        """Whether somebody has waited in vain lately; `now_s` is the time of the event loop."""
        return now_s - max(self.reads.refused_s, self.writes.refused_s) < WAIT_MAX_S

    @property
    def is_short(self) -> bool:
        """Whether anybody waits for a buffer."""
        return self.reads.is_short or self.writes.is_short
