"""Owns the body of a request between the connection that receives it and the handler that reads it.

A reader that offers a buffer gets the bytes of a plain body straight from the socket into it.
"""

import asyncio
from collections import deque
from typing import Protocol

from pyrite.core.chunked import ChunkData, ChunkDecoder, FramingError
from pyrite.http.errors import BodyTooLarge, MalformedBody


class Wire(Protocol):
    """What a body needs of its connection."""

    def send_continue(self) -> None:
        """Tell the client to send the body (RFC 9110 section 10.1.1)."""
        ...

    def pause(self) -> None:
        """Stop receiving."""
        ...

    def resume(self) -> None:
        """Receive again."""
        ...


class RequestBody:
    """Bytes of one request's body, in order, with backpressure."""

    def __init__(self, wire: Wire, length: int | None, expect_continue: bool, buffer_bytes: int) -> None:
        self.length = length
        self._wire = wire
        self._decoder = ChunkDecoder() if length is None else None
        self._to_receive = length or 0
        self._awaiting_continue = expect_continue
        self._owes_continue = expect_continue
        self._buffer_bytes = buffer_bytes
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._target: memoryview | None = None
        self._filled = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._paused = False

    # ---- the connection's side

    @property
    def received(self) -> bool:
        """Whether the last byte has come from the client."""
        return self._decoder.ended if self._decoder is not None else self._to_receive == 0

    @property
    def awaiting_continue(self) -> bool:
        """Whether the client still waits to be told to send the body."""
        return self._awaiting_continue

    def continue_late(self) -> None:
        """Send the 100 that the client asked for and did not wait for, before the final answer.

        RFC 9110 lets a server leave it out then, but botocore takes a first answer other than 100 for the last on
        its connection, and hangs in the next one.
        """
        if self._owes_continue and self.received:
            self._continue()

    def _continue(self) -> None:
        self._awaiting_continue = self._owes_continue = False
        self._wire.send_continue()

    def target(self) -> memoryview | None:
        """Where the socket may put the next bytes, when a reader waits with a buffer."""
        if self._target is None or self._decoder is not None or self._buffered:
            return None
        return self._target[self._filled :] if self._filled < len(self._target) else None

    def received_into_target(self, count: int) -> None:
        """The socket has put `count` bytes into what `target` returned."""
        assert self._target is not None
        self._to_receive -= count
        self._filled += count
        if self._filled == len(self._target) or self._to_receive == 0:
            self._wake()

    def feed(self, data: memoryview) -> bytes:
        """Take bytes from the connection; what lies behind the body's end is returned."""
        self._awaiting_continue = False
        if self._decoder is not None:
            return self._feed_chunked(self._decoder, data)
        taken = bytes(data[: self._to_receive])
        self._to_receive -= len(taken)
        self._store(taken)
        return bytes(data[len(taken) :])

    def _feed_chunked(self, decoder: ChunkDecoder, data: memoryview) -> bytes:
        try:
            for event in decoder.feed(data):
                if isinstance(event, ChunkData):
                    self._store(bytes(event.view))
        except FramingError as error:
            self.fail(MalformedBody(str(error)))
            return b""
        if decoder.ended:
            self._wake()
        return decoder.rest

    def _store(self, chunk: bytes) -> None:
        if chunk:
            self._chunks.append(chunk)
            self._buffered += len(chunk)
            if self._buffered > self._buffer_bytes and not self._paused:
                self._paused = True
                self._wire.pause()
            self._wake()

    def fail(self, error: Exception) -> None:
        """Nothing more will come; readers get `error` once what was buffered is read."""
        if self._error is None:
            self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ---- the handler's side

    def take_all(self) -> bytes | None:
        """The whole body, if it has been received and nothing of it was read; else None."""
        if not self.received or self._error is not None:
            return None
        chunks, self._chunks = self._chunks, deque()
        self._consumed(self._buffered)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def read(self) -> bytes:
        """The next bytes, at least one; empty at the end. Raises ClientGone or MalformedBody."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.received:
                return b""
            await self._wait()
        chunk = self._chunks.popleft()
        self._consumed(len(chunk))
        return chunk

    async def read_into(self, target: memoryview) -> int:
        """Fill `target`, less at the end of the body; how many bytes. Raises ClientGone or MalformedBody."""
        filled = 0
        while filled < len(target):
            if self._chunks:
                filled += self._take_into(target[filled:])
                continue
            if self._error is not None:
                raise self._error
            if self.received:
                break
            if self._decoder is None:
                filled += await self._receive_into(target[filled:])
            else:
                await self._wait()
        return filled

    async def _receive_into(self, target: memoryview) -> int:
        self._target, self._filled = target[: self._to_receive], 0
        try:
            await self._wait()
            return self._filled
        finally:
            self._target = None

    def _take_into(self, target: memoryview) -> int:
        chunk = self._chunks.popleft()
        if len(chunk) > len(target):
            self._chunks.appendleft(chunk[len(target) :])
            chunk = chunk[: len(target)]
        target[: len(chunk)] = chunk
        self._consumed(len(chunk))
        return len(chunk)

    async def drop(self, most: int) -> bool:
        """Read the rest and drop it; False, and some is left, where it is more than `most` bytes. Raises as `read`."""
        dropped = 0
        while chunk := await self.read():
            dropped += len(chunk)
            if dropped > most:
                return False
        return True

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body. Raises BodyTooLarge beyond `limit_bytes`."""
        whole = self.take_all()
        if whole is None:
            if self.length is not None and self.length > limit_bytes:
                raise BodyTooLarge(f"the body is longer than {limit_bytes} bytes")
            parts = []
            size = 0
            while chunk := await self.read():
                size += len(chunk)
                if size > limit_bytes:
                    raise BodyTooLarge(f"the body is longer than {limit_bytes} bytes")
                parts.append(chunk)
            whole = b"".join(parts)
        if len(whole) > limit_bytes:
            raise BodyTooLarge(f"the body is longer than {limit_bytes} bytes")
        return whole

    async def _wait(self) -> None:
        if self._awaiting_continue:
            self._continue()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _consumed(self, count: int) -> None:
        self._buffered -= count
        if self._paused and self._buffered < self._buffer_bytes // 2:
            self._paused = False
            self._wire.resume()
