"""Owns the buffers for large bodies: reused, because fresh memory costs more than every copy, and bounded."""

import asyncio
import mmap
from collections import deque

from pyrite.core.units import KIB, MIB

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


class BufferPool:
    """Buffers of one MiB, or of several, plus slack. At most `capacity_bytes` are lent at a time."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._lent_bytes = 0
        self._free: dict[int, list[bytearray]] = {}
        self._free_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, payload_bytes: int) -> bytearray:
        """A buffer of at least `payload_bytes` plus slack; waits while too many are lent."""
        size = -(-payload_bytes // MIB) * MIB + BUFFER_SLACK_BYTES
        while self._lent_bytes and self._lent_bytes + size > self._capacity_bytes:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        self._lent_bytes += size
        free = self._free.get(size)
        if free:
            self._free_bytes -= size
            return free.pop()
        return bytearray(size)

    def release(self, buffer: bytearray) -> None:
        """Give a buffer back; nobody may look at it any more."""
        size = len(buffer)
        if self._free_bytes + size <= self._capacity_bytes // 4:
            self._free.setdefault(size, []).append(buffer)
            self._free_bytes += size
        self.forget(buffer)

    def forget(self, buffer: bytearray) -> None:
        """Lend no more of a buffer that somebody may still look at or write to."""
        self._lent_bytes -= len(buffer)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break
