"""Owns processes that do one thing for the store and are ended then: started with nothing, spoken to in frames."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator

from pyrite.core import frames
from pyrite.core.tasks import in_task

_PIPE_BYTES = 1 << 20
_FRAME_MAX_BYTES = 64 << 20
_WAIT_MAX_S = 10.0
SLOW_S = 5.0
"""How long a client may take for a block, in seconds, while others wait for its place."""


class Ended(Exception):
    """The process is gone, and did not say why."""


class PipedProcess:
    """A Python module that runs by itself, without an environment, and speaks by its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
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

    def kill(self) -> None:
        """End it, with whatever it has started: it leads a session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

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
    piped = PipedProcess(process)
    try:
        yield piped
    finally:
        piped.kill()
        await asyncio.shield(process.wait())


class Place:
    """A place among a few. It is lost by who hands out to a client that takes too long while others wait."""

    def __init__(self, places: "Places", is_given: bool) -> None:
        self._places = places
        self.is_given = is_given
        self.is_lost = False

    @contextlib.contextmanager
    def handing_out(self, process: PipedProcess) -> Iterator[None]:
        """While a client takes something: where that is slow and others wait, the process is ended, the place lost."""
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []

        def look() -> None:
            if self._places.are_wanted:
                self.is_lost = True
                process.kill()
                self.release()
            else:
                timers[:] = [loop.call_later(SLOW_S, look)]

        timers.append(loop.call_later(SLOW_S, look))
        try:
            yield
        finally:
            timers[0].cancel()

    def release(self) -> None:
        """Let others have it."""
        if self.is_given:
            self.is_given = False
            self._places.put_back()


class Places:
    """How many processes may be at once, and how many may wait for that."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting_max = waiting
        self._waiting = 0

    @property
    def are_wanted(self) -> bool:
        """Whether anybody waits for one."""
        return self._waiting > 0

    def put_back(self) -> None:
        """A place is free again."""
        self._free.release()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Place]:
        """A place; one that is not given where too many wait for one, or it takes too long."""
        if self._waiting >= self._waiting_max:
            yield Place(self, False)
            return
        self._waiting += 1
        try:
            await in_task()
            async with asyncio.timeout(_WAIT_MAX_S):
                await self._free.acquire()
        except TimeoutError:
            yield Place(self, False)
            return
        finally:
            self._waiting -= 1
        place = Place(self, True)
        try:
            yield place
        finally:
            place.release()
