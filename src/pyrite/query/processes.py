"""Owns the processes of queries as a server sees them: started one for each query, fed, limited in number, ended."""

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NamedTuple

import msgspec

from pyrite.core import frames
from pyrite.core.piped import Ended, PipedProcess, Places, piped_process
from pyrite.query.jobs import Counts, Job, ParquetInput, QueryFailure

AT_ONCE_MAX = 4
WAITING_MAX = 32
_NEEDED = ("duckdb", "fsspec", "sqlglot", "zstandard")

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
        self._places = Places(AT_ONCE_MAX, WAITING_MAX)

    async def run(self, job: Job, read: Read) -> AsyncGenerator[Output, None]:
        """What a query tells; the first, empty, once it is understood. Raises QueryFailure, also in between."""
        async with self._places.one() as place:
            if not place.is_given:
                raise QueryFailure("Busy", "The service is unavailable. Try again later.")
            async with piped_process("pyrite.query.child") as process:
                async for output in _Conversation(process, job, read).outputs():
                    with place.handing_out(process):
                        yield output
                    if place.is_lost:
                        raise QueryFailure("Busy", "The records were taken too slowly while others waited.")


class _Conversation:
    """One query and its process."""

    def __init__(self, process: PipedProcess, job: Job, read: Read) -> None:
        self._process = process
        self._job = job
        self._read = read
        self._pump_error: BaseException | None = None

    async def outputs(self) -> AsyncIterator[Output]:
        """What the process tells."""
        pump: asyncio.Task[None] | None = None
        try:
            await self._process.send(frames.JOB, msgspec.json.encode(self._job))
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
            return await self._process.next()
        except Ended:
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
                        await self._process.send(frames.DATA, view)
            await self._process.send(frames.END)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has all that it needs, or told why not
        except Exception as error:  # noqa: BLE001 - told to who waits for output
            self._pump_error = error
            self._process.close()

    async def _answer(self, start: int, stop: int) -> None:
        parts = [bytes(view) async for block in self._read(start, stop) for view in block] if start < stop else []
        await self._process.send(frames.DATA, b"".join(parts))
