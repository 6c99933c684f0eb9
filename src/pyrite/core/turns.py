"""Owns turns: long work of several requests on one event loop is done one after the other, a little at a time."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

SLICE_S = 0.005
"""For how long, in seconds, somebody may work before everything else on the loop has its turn."""


class Turn:
    """The right to work. Everything else goes on whenever a slice is used up."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()

    async def pause(self) -> None:
        """Let others go on, if it is time."""
        if time.monotonic() - self._begun_s >= SLICE_S:
            await asyncio.sleep(0)
            self._begun_s = time.monotonic()


class Turns:
    """Whoever has long work waits for a turn, in the order in which they came."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Turn]:
        """A turn."""
        async with self._free:
            yield Turn()
