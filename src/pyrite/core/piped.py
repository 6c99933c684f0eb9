"""Owns processes that do one thing for the store and are ended then: started with nothing, spoken to in frames."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

from pyrite.core import frames
from pyrite.core.tasks import in_task

_PIPE_BYTES = 1 << 20
_FRAME_MAX_BYTES = 64 << 20
_WAIT_MAX_S = 10.0


class Ended(Exception):
    """The process is gone, and did not say why."""


class PipedProcess:
    """A Python module that runs by itself, without an environment, and speaks by its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._in = process.stdin
        self._out = process.stdout

    async def send(self, kind: bytes, payload: bytes | memoryview = b"") -> None:
        """Tell it something. Raises BrokenPipeError or ConnectionResetError."""
        self._in.write(frames.HEAD.pack(kind, len(payload)))
        self._in.write(bytes(payload))  # views do not outlive their block
        await self._in.drain()

    async def next(self) -> tuple[bytes, bytes]:
        """What it tells next. Raises Ended."""
        try:
            kind, length = frames.HEAD.unpack(await self._out.readexactly(frames.HEAD.size))
            if length > _FRAME_MAX_BYTES:
                raise Ended  # it does not say what it should, and is ended for that
            return kind, await self._out.readexactly(length)
        except asyncio.IncompleteReadError:
            raise Ended from None

    def close(self) -> None:
        """Tell it nothing more."""
        self._in.close()


@contextlib.asynccontextmanager
async def piped_process(module: str) -> AsyncIterator[PipedProcess]:
    """Start `module`; when this is left it is ended, whatever it does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={}, limit=_PIPE_BYTES, start_new_session=True,
    )  # fmt: skip
    try:
        yield PipedProcess(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session: whatever it started goes with it
        await asyncio.shield(process.wait())


class Places:
    """How many processes may be at once, and how many may wait for that."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting_max = waiting
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[bool]:
        """A place; False, and none, where too many wait for one, or it takes too long."""
        if self._waiting >= self._waiting_max:
            yield False
            return
        self._waiting += 1
        await in_task()
        try:
            await asyncio.wait_for(self._free.acquire(), _WAIT_MAX_S)
        except TimeoutError:
            yield False
            return
        finally:
            self._waiting -= 1
        try:
            yield True
        finally:
            self._free.release()
