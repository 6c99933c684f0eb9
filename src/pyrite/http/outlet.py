"""Owns the way of responses into a transport, with backpressure."""

import asyncio
from collections.abc import Callable

from pyrite.http.errors import ClientGone, WrongLength
from pyrite.http.response import BodyStream, Response, render_head


class Outlet:
    """The sending half of a connection. A plain socket refers to what it sends until `paused` ends; TLS copies."""

    def __init__(
        self,
        transport: asyncio.Transport,
        secure: bool,
        date: Callable[[], bytes],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._transport = transport
        self._secure = secure
        self._date = date
        self._on_crash = on_crash
        self._drained: asyncio.Future[None] | None = None
        self.closed = False
        self.is_streaming = False
        self.sent_bytes = 0  # of streams, as they were handed to the transport
        self._unsent, self._unsent_since = 0, 0.0
        if not secure:
            transport.set_write_buffer_limits(high=0)

    @property
    def paused(self) -> bool:
        """Whether the transport still holds what was written before."""
        return self._drained is not None

    @property
    def gone_bytes(self) -> int:
        """How many bytes of streams the client's system has taken, for the deadlines of slow clients."""
        return self.sent_bytes - self._transport.get_write_buffer_size()

    def pause(self) -> None:
        """The transport's buffer is full."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        """The transport's buffer is empty again."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def unsent_for(self, now_s: float) -> float | None:
        """For how many seconds none of what waits in the transport has gone out; None where nothing waits."""
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now_s
        return now_s - self._unsent_since if unsent else None

    def lose(self, error: ClientGone) -> None:
        """The client is gone."""
        self.closed = True
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(error)
            self._drained.exception()  # perhaps nobody waits for it

    def write(self, response: Response, head_only: bool, close: bool) -> None:
        """Send a response whose body is here. Raises UnsafeHeader."""
        raw = render_head(response, self._date(), close)
        body = response.body
        if body and not head_only:
            raw = b"".join((raw, body))  # type: ignore[arg-type]
        if not self.closed:
            self._transport.write(raw)

    async def send(self, response: Response, head_only: bool, close: bool) -> None:
        """Send any response. Raises ClientGone or UnsafeHeader."""
        body = response.body
        try:
            if self.closed:
                raise ClientGone("the client closed the connection")
            if head_only or body is None or isinstance(body, (bytes, memoryview)):
                self.write(response, head_only, close)
            else:
                await self._stream(render_head(response, self._date(), close), body, response.length)
        finally:
            closer = getattr(body, "aclose", None)  # of a stream, whether it was begun or not
            if closer is not None:
                await closer()

    async def _stream(self, head: bytes, body: BodyStream, length: int | None) -> None:
        """Send a stream; an error in it breaks the connection off, so that the client sees a short body."""
        self._transport.write(head)
        left = length
        self.is_streaming = True
        try:
            async for views in body:
                if left is not None:
                    left -= sum(map(len, views))
                    if left < 0:
                        raise WrongLength("a body is longer than was said")  # the rest would be taken for a response
                if length is None:
                    views = [memoryview(b"%x\r\n" % sum(map(len, views))), *views, memoryview(b"\r\n")]
                if self.closed:
                    raise ClientGone("the client closed the connection")
                self._transport.writelines([bytes(view) for view in views] if self._secure else views)
                self.sent_bytes += sum(map(len, views))
                if self._drained is not None:
                    await self._drained
            if left:
                raise WrongLength("a body is shorter than was said")
            if length is None:
                self._transport.write(b"0\r\n\r\n")
        except ClientGone:
            raise
        except Exception as error:
            self._on_crash(error)
            self._transport.abort()
            raise ClientGone("the response broke off") from error
        finally:
            self.is_streaming = False
