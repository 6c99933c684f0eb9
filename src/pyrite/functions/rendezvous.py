"""Owns how an answer that comes by a call of its own, to any process of the server, reaches who waits for it.

Who waits listens at a socket that is called like the route of its call, in a folder that only the server can read; who
receives the answer hands it over there. The first answer counts, whichever way it comes.
"""

import asyncio
import contextlib
import hmac
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec

from pyrite.core.frames import DATA, DONE, END, FAILED, HEAD, JOB
from pyrite.functions.calls import FunctionFailure, Head

ROUTE, TOKEN = "x-amz-request-route", "x-amz-request-token"
"""The words that an answer has to repeat, as header fields."""

_AHEAD_BLOCKS = 4
_ROUTE = re.compile(r"[0-9a-f]{16}")

Told = Head | bytes
Understand = Callable[[Mapping[str, str]], Head]
"""How an answer begins, by its header fields. Raises FunctionFailure."""


class Undelivered(Exception):
    """An answer that nobody waits for, or that is none."""


class Handover:
    """Where the answer to one call arrives: its head, blocks, and None at its end, or why there is none."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Told | FunctionFailure | None] = asyncio.Queue(_AHEAD_BLOCKS)
        self._claimed = False

    def claim(self) -> bool:
        """Whether an answer that begins now is the first."""
        first, self._claimed = not self._claimed, True
        return first

    async def put(self, told: Told | FunctionFailure | None) -> None:
        """What comes next of the answer; waits while enough of it waits to be taken."""
        await self._queue.put(told)

    async def tell(self, timeout_s: float) -> AsyncGenerator[Told, None]:
        """The answer as it comes; `timeout_s` is for each piece of it. Raises FunctionFailure."""
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    told = await self._queue.get()
            except TimeoutError:
                raise FunctionFailure("LambdaTimeout", "The function took too long to answer.") from None
            if told is None:
                return
            if isinstance(told, FunctionFailure):
                raise told
            yield told


@contextlib.asynccontextmanager
async def meeting(
    folder: Path, route: str, token: str, handover: Handover, understand: Understand
) -> AsyncIterator[None]:
    """While this is open an answer to the call of that route can be delivered, once, by who knows its token."""
    receiving: set[asyncio.Task[None]] = set()
    is_open = True

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        why = await _receive(reader, token, handover, understand)
        with contextlib.suppress(OSError):
            _write(writer, FAILED if why else DONE, why)
            await writer.drain()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not is_open:  # it was accepted before the client left, and is told of only now
            writer.close()
            return
        task = asyncio.create_task(receive(reader, writer))
        receiving.add(task)

        def end(task: asyncio.Task[None]) -> None:
            receiving.discard(task)
            writer.close()  # here, because a task that is cancelled before it begins runs nothing of its coroutine

        task.add_done_callback(end)

    path = folder / route
    server = await asyncio.start_unix_server(begin, path)
    try:
        yield
    finally:
        is_open = False
        path.unlink(missing_ok=True)
        _stop(server)
        for task in list(receiving):  # the client is gone, and with it who would take the rest
            task.cancel()


def _stop(server: asyncio.Server) -> None:
    """Accept nothing more. What was accepted is told of first: a closed server forgets it, and leaves it open."""
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    loop.call_soon(server.close)


async def _receive(reader: asyncio.StreamReader, token: str, handover: Handover, understand: Understand) -> bytes:
    """Hand an answer over; why it is none, if so."""
    try:
        headers = msgspec.json.decode((await _read(reader))[1], type=dict[str, str])
    except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError):
        return b"The answer broke off."
    if not hmac.compare_digest(headers.get(TOKEN, "").encode(), token.encode()) or not handover.claim():
        return b"No request waits for this answer."
    try:
        await handover.put(understand(headers))
    except FunctionFailure as failure:
        await handover.put(failure)
        return failure.message.encode() if failure.code == "LambdaInvalidResponse" else b""
    try:
        while (frame := await _read(reader))[0] == DATA:
            await handover.put(frame[1])
    except (OSError, asyncio.IncompleteReadError):
        await handover.put(FunctionFailure("LambdaInvalidResponse", "The function's answer broke off."))
        return b"The answer broke off."
    await handover.put(None)
    return b""


async def deliver(folder: Path, headers: Mapping[str, str], blocks: AsyncIterator[bytes]) -> None:
    """Hand over the answer of a function whose header fields say what it answers. Raises Undelivered."""
    route = headers.get(ROUTE, "")
    if _ROUTE.fullmatch(route) is None:
        raise Undelivered("No request waits for this answer.")
    try:
        reader, writer = await asyncio.open_unix_connection(folder / route)
    except OSError:
        raise Undelivered("No request waits for this answer.") from None
    try:
        with contextlib.suppress(OSError):  # who waits may say no before it has all
            _write(writer, JOB, msgspec.json.encode(dict(headers)))
            async for block in blocks:
                _write(writer, DATA, block)
                await writer.drain()
            _write(writer, END, b"")
            await writer.drain()
        kind, why = await _read(reader)
    except (OSError, asyncio.IncompleteReadError):
        raise Undelivered("The request that waited for this answer has ended.") from None
    finally:
        writer.close()
    if kind == FAILED:
        raise Undelivered(why.decode())


def _write(writer: asyncio.StreamWriter, kind: bytes, payload: bytes) -> None:
    writer.write(HEAD.pack(kind, len(payload)) + payload)


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
    return kind, await reader.readexactly(length)
