"""Owns the processes of queries as a server sees them: started one for each query, fed, limited in number, ended."""

import asyncio
import contextlib
import importlib.util
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NamedTuple

import msgspec

from pyrite.query import frames
from pyrite.query.jobs import Counts, Job, ParquetInput, QueryFailure

AT_ONCE_MAX = 4
WAITING_MAX = 32
_NEEDED = ("duckdb", "fsspec", "sqlglot", "zstandard")
_PIPE_BYTES = 1 << 20

Read = Callable[[int, int], AsyncIterator[list[memoryview]]]
"""The bytes of the object from one offset to another, in blocks."""


class Output(NamedTuple):
    """Something that a query tells: records, or how far it is; the last has `done`."""

    records: bytes = b""
    counts: Counts | None = None
    done: bool = False


def installed() -> bool:
    """Whether the libraries of queries are there."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


class Queries:
    """Runs queries, some at once."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0

    async def run(self, job: Job, read: Read) -> AsyncGenerator[Output, None]:
        """What a query tells; the first, empty, once it is understood. Raises QueryFailure, also in between."""
        if self._waiting >= WAITING_MAX:
            raise QueryFailure("Busy", "The service is unavailable. Try again later.")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", "pyrite.query.child",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={}, limit=_PIPE_BYTES, start_new_session=True,
            )  # fmt: skip
            try:
                async for output in _Conversation(process, job, read).outputs():
                    yield output
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
        finally:
            self._free.release()


class _Conversation:
    """One query and its process."""

    def __init__(self, process: asyncio.subprocess.Process, job: Job, read: Read) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._in = process.stdin
        self._out = process.stdout
        self._job = job
        self._read = read
        self._pump_error: BaseException | None = None

    async def outputs(self) -> AsyncIterator[Output]:
        """What the process tells."""
        pump: asyncio.Task[None] | None = None
        try:
            await self._send(frames.JOB, msgspec.json.encode(self._job))
            if not isinstance(self._job.source, ParquetInput):
                pump = asyncio.create_task(self._pump())
            while True:
                kind, payload = await self._next()
                if kind == frames.WANTED:
                    await self._answer(*frames.RANGE.unpack(payload))
                elif kind == frames.STARTED:
                    yield Output()
                elif kind == frames.RECORDS:
                    yield Output(payload)
                elif kind == frames.FAILED:
                    code, message = msgspec.json.decode(payload, type=tuple[str, str])
                    raise QueryFailure(code, message)
                else:
                    done = kind == frames.DONE
                    yield Output(counts=msgspec.json.decode(payload, type=Counts), done=done)
                    if done:
                        return
        finally:
            if pump is not None:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    async def _next(self) -> tuple[bytes, bytes]:
        try:
            kind, length = frames.HEAD.unpack(await self._out.readexactly(frames.HEAD.size))
            return kind, await self._out.readexactly(length)
        except asyncio.IncompleteReadError:
            if self._pump_error is not None:
                raise self._pump_error from None  # the object could not be read
            raise QueryFailure("Busy", "The query took more memory or time than it may.") from None

    async def _pump(self) -> None:
        """Push the object into the process."""
        start = max(self._job.start - 1, 0)
        try:
            if start < self._job.size_bytes:
                async for block in self._read(start, self._job.size_bytes):
                    for view in block:
                        await self._send(frames.DATA, view)
            await self._send(frames.END)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has all that it needs, or told why not
        except Exception as error:  # noqa: BLE001 - told to who waits for output
            self._pump_error = error
            self._in.close()

    async def _answer(self, start: int, stop: int) -> None:
        parts = [bytes(view) async for block in self._read(start, stop) for view in block] if start < stop else []
        await self._send(frames.DATA, b"".join(parts))

    async def _send(self, kind: bytes, payload: bytes | memoryview = b"") -> None:
        self._in.write(frames.HEAD.pack(kind, len(payload)))
        self._in.write(bytes(payload))  # views do not outlive their block
        await self._in.drain()
