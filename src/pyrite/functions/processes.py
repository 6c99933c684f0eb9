"""Owns calls of Python functions as a server sees them: a process for each, its questions answered, its answer read."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

import msgspec

from pyrite.core import frames
from pyrite.core.piped import Ended, PipedProcess, Places, piped_process
from pyrite.functions.calls import Call, FunctionFailure, Head, Read
from pyrite.functions.declared import Function
from pyrite.functions.jobs import Job

AT_ONCE_MAX = 4
WAITING_MAX = 32

WANTED_MAX_BYTES = 8 << 20

Told = Head | bytes
T = TypeVar("T")


class PythonFunctions:
    """Calls functions of Python files, some at once."""

    def __init__(self, hidden: tuple[str, ...]) -> None:
        """`hidden` are the files and folders of the store, which no function may read."""
        self._hidden = hidden
        self._places = Places(AT_ONCE_MAX, WAITING_MAX)

    async def call(self, function: Function, call: Call, read: Read) -> AsyncGenerator[Told, None]:
        """The head of the answer, then the blocks of its body. Raises FunctionFailure, also in between."""
        async with self._places.one() as place:
            if not place.is_given:
                raise FunctionFailure("SlowDown", "Too many functions run. Reduce your request rate.", 503)
            async with piped_process("pyrite.functions.child") as process:
                job = Job(function.file, call, function.memory_mib << 20, function.timeout_s, self._hidden)
                await process.send(frames.JOB, msgspec.json.encode(job))
                while True:
                    kind, payload = await _told(process, function.timeout_s, call.size_bytes, read)
                    if kind == frames.DONE:
                        return
                    if kind not in (frames.STARTED, frames.RECORDS):
                        raise FunctionFailure(*_decoded(payload, tuple[str, str, int]))
                    with place.handing_out(process):
                        yield _decoded(payload, Head) if kind == frames.STARTED else payload
                    if place.is_lost:
                        raise FunctionFailure("SlowDown", "The answer was taken too slowly while others waited.", 503)


async def _told(process: PipedProcess, timeout_s: float, size: int, read: Read) -> tuple[bytes, bytes]:
    """What a function tells next; until then it is given what it wants of the object. Raises FunctionFailure."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                kind, payload = await process.next()
                if kind != frames.WANTED:
                    return kind, payload
                start, stop = frames.RANGE.unpack(payload)
                if not 0 <= start <= stop <= min(size, start + WANTED_MAX_BYTES):
                    raise FunctionFailure("LambdaRuntimeError", "The function asks for what is not there.")
                await _answer(process, read, start, stop)
    except TimeoutError:
        raise FunctionFailure("LambdaTimeout", f"The function said nothing for {timeout_s:g} seconds.") from None
    except Ended:
        raise FunctionFailure(
            "LambdaResponseNotReceived", "The function ended without an answer, or took more time than it may."
        ) from None


def _decoded(payload: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.MsgspecError:
        raise FunctionFailure("LambdaInvalidResponse", "The function's answer makes no sense.") from None


async def _answer(process: PipedProcess, read: Read, start: int, stop: int) -> None:
    parts = [bytes(view) async for block in read(start, stop) for view in block]
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # where it has ended, the next thing heard says so
        await process.send(frames.DATA, b"".join(parts))
