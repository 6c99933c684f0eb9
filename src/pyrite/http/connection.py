"""Owns one connection: bytes into requests, responses into bytes, one request at a time, in order.

A request whose handler does not have to wait is answered in the callback that received it; one that waits becomes a
task.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from pyrite.core.tasks import begin
from pyrite.http.body import RequestBody
from pyrite.http.deadlines import Deadlines, State, Verdict
from pyrite.http.errors import BodyTooSlow, ClientGone, HttpError, MalformedBody
from pyrite.http.head import RequestHead, head_end, parse_head
from pyrite.http.hosting import Host, Peer, Request, may_be_quick, peer_of
from pyrite.http.intake import Intake
from pyrite.http.outlet import Outlet
from pyrite.http.response import Response, UnsafeHeader


class Connection(asyncio.BufferedProtocol):
    """The protocol object behind one socket, plain or TLS."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None
        self._pending = b""
        self._head: RequestHead | None = None  # read already, while its small body comes in
        self._body: RequestBody | None = None
        self._task: asyncio.Task[None] | None = None  # of the request that waits: the loop does not keep it
        self._busy = False
        self._closing = False
        self._lingering = False
        self._intake = Intake()
        self._peer = Peer()
        self._deadlines = Deadlines(host.limits)
        self._received_bytes = 0

    # ---- callbacks of the event loop
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._intake.attach(self._transport)  # type: ignore[arg-type]
        self._peer = peer_of(transport)
        self._outlet = Outlet(self._transport, self._peer.secure, self._host.date, self._host.on_crash)  # type: ignore[arg-type]
        self._deadlines.restart(self._host.now_s)
        if not self._host.opened(self):
            self._refuse(HttpError(503, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._host.closed(self)
        gone = ClientGone("the client closed the connection")
        if self._body is not None:
            self._body.fail(gone)
        if self._outlet is not None:
            self._outlet.lose(gone)

    def eof_received(self) -> bool:
        if self._body is not None and not self._body.received:
            self._body.fail(ClientGone("the client stopped before the end of the body"))
        return self._busy and not self._lingering and not self._peer.secure

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._body is not None:
            target = self._body.target()
            if target is not None:
                return target
        return self._host.receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received_bytes += nbytes
        body = self._body
        if body is None:
            data = bytes(self._host.receive_buffer[:nbytes])
            if self._pending:
                data = self._pending + data
            elif not self._busy and self._head is None:
                self._deadlines.restart(self._host.now_s)  # a request begins
            self._receive(data)
        elif body.target() is not None:
            body.received_into_target(nbytes)
        else:
            rest = body.feed(self._host.receive_buffer[:nbytes])
            if body.received or rest:
                self._body_received(rest)

    def pause_writing(self) -> None:
        if self._outlet is not None:
            self._outlet.pause()

    def resume_writing(self) -> None:
        if self._outlet is not None:
            self._outlet.resume()

    # ---- from bytes to requests

    def _receive(self, data: bytes) -> None:
        """Serve the requests in `data` as far as they are complete; keep the rest."""
        if self._lingering:
            return
        served = 0
        while data and not self._busy and not self._closing:
            served += 1
            if served > self._host.limits.requests_at_once:  # others have their turn, too
                self._later(data)
                return
            head = self._head
            if head is None:
                try:
                    start, end = head_end(data, self._host.limits)
                    if end < 0:
                        break
                    head = parse_head(data[start:end], self._host.limits)
                except HttpError as error:
                    self._refuse(error)
                    return
                data = data[end:]
            if head.length and len(data) < head.length and may_be_quick(self._host, head, self._outlet):
                if self._head is None:
                    self._head = head
                    self._deadlines.restart(self._host.now_s)
                break
            self._head = None
            data = self._begin(head, data)
        self._pending = data
        if self._busy and len(data) > self._host.limits.pipelined_bytes:
            self._intake.hold()

    def _later(self, data: bytes) -> None:
        """Go on with what is here after everything else on the loop."""
        self._pending = data
        self._intake.hold()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._busy or self._closing:
            return  # who is busy goes on when it has answered
        self._intake.release()
        data, self._pending = self._pending, b""
        self._receive(data)

    def _begin(self, head: RequestHead, rest: bytes) -> bytes:
        """Start serving a request; what of `rest` belongs to the next one is returned."""
        if head.length is not None and len(rest) >= head.length and may_be_quick(self._host, head, self._outlet):
            size = head.length
            if self._answered(head, rest[:size], rest[size:]):
                rest, self._pending = self._pending, b""
                return rest
        return self._begin_slowly(head, rest)

    def _begin_slowly(self, head: RequestHead, rest: bytes) -> bytes:
        body = RequestBody(self._intake, head.length, head.expect_continue, self._host.limits.body_buffer_bytes)
        if head.length != 0:
            self._body = body
            if rest:
                rest = body.feed(memoryview(rest))
            if body.received:
                self._body = None
        self._busy = True
        self._deadlines.begin(self._received_bytes, self._host.now_s)
        self._pending = rest  # the handler may finish at once and look for more
        self._run(self._serve(Request(head, body, self._peer), body))
        rest, self._pending = self._pending, b""
        return rest

    def _answered(self, head: RequestHead, body: bytes, rest: bytes) -> bool:
        """Try the quick way; False when the request is to be handled. `rest` lies behind the request."""
        assert self._host.quick is not None
        try:
            answer = self._host.quick(head, body)
        except Exception as error:  # noqa: BLE001 - a defect there is one there alone: the request is handled
            self._host.on_crash(error)
            answer = None
        if answer is None:
            return False
        self._pending = rest
        if isinstance(answer, Response):
            self._outlet.write(answer, head.method == b"HEAD", False)  # type: ignore[union-attr]
            self._deadlines.restart(self._host.now_s)
            return True
        self._busy = True
        self._run(self._serve_quick(answer, head, body))
        return True

    async def _serve_quick(
        self, answer: Coroutine[Any, Any, Response | None], head: RequestHead, content: bytes
    ) -> None:
        response = await answer
        if self._closing:
            return
        if response is None:
            body = RequestBody(self._intake, head.length, False, self._host.limits.body_buffer_bytes)
            body.feed(memoryview(content))
            await self._serve(Request(head, body, self._peer), body)
            return
        self._outlet.write(response, False, self._host.draining)  # type: ignore[union-attr]
        if self._host.draining:
            self._linger(is_sending=False)
        else:
            self._next()

    def _next(self) -> None:
        """The request is answered: go on with the one behind it."""
        self._deadlines.restart(self._host.now_s)
        self._busy = False
        self._intake.release()

    def _body_received(self, rest: bytes) -> None:
        self._body = None
        if self._busy:
            self._pending += rest
        else:
            self._receive(self._pending + rest)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine` by hand until it ends; if it waits, it becomes a task."""
        try:
            task = begin(coroutine)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a request
            self._crash(error)
            return
        if task is not None:
            self._task = task
            task.add_done_callback(self._ended)

    def _crash(self, error: BaseException) -> None:
        self._host.on_crash(error)
        self.abort()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A request that had to wait is answered."""
        if task is self._task:
            self._task = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._crash(error)
            return
        if not self._busy and not self._closing and self._pending:
            data, self._pending = self._pending, b""
            self._receive(data)

    # ---- from responses to bytes

    async def _serve(self, request: Request, body: RequestBody) -> None:
        try:
            response = await self._host.handler(request)
        except ClientGone:
            self.abort()
            return
        close = response.close or self._host.draining or not request.head.keep_alive
        if not body.received:
            close = close or body.awaiting_continue or (body.length or 0) > self._host.limits.drain_bytes
        body.continue_late()
        try:
            assert self._outlet is not None
            await self._outlet.send(response, request.head.method == b"HEAD", close)
        except ClientGone:
            return
        except UnsafeHeader as error:
            self._host.on_crash(error)
            self._refuse(HttpError(500, "internal error"))
            return
        if close:
            self._linger(is_sending=not body.received)
            return
        if not body.received:
            await self._drain(body)
        self._next()

    async def _drain(self, body: RequestBody) -> None:
        """Read and drop the rest of a body that the handler did not want, up to a limit."""
        try:
            if not await body.drop(self._host.limits.drain_bytes):
                self._linger(is_sending=True)
        except (ClientGone, MalformedBody, BodyTooSlow):
            self.abort()

    def _refuse(self, error: HttpError) -> None:
        """Answer what cannot be served as a request, and close."""
        self._busy = True
        self._pending = b""
        if self._outlet is not None and not self._closing:
            self._outlet.write(self._host.on_http_error(error), False, True)
        self._linger(is_sending=True)

    def _linger(self, is_sending: bool) -> None:
        """Close, but read on for a while where the client may be sending: a reset could take the response from it."""
        self._busy = self._lingering = True
        self._body, self._pending = None, b""
        self._deadlines.restart(self._host.now_s)
        transport = self._transport
        if transport is None or self._closing:
            return
        self._intake.let_in()  # what a client still sends keeps it from reading the answer
        if not self._peer.secure and transport.can_write_eof():
            transport.write_eof()
        elif not is_sending:
            transport.close()

    def _end_if_slow(self, progress: int, now_s: float) -> None:
        """End a large body that hardly gets on while others wait for buffers."""
        body, outlet = self._body, self._outlet
        is_large = body is not None and (body.length is None or body.length > self._host.limits.quick_body_bytes)
        is_sending = outlet is not None and outlet.is_streaming and outlet.paused
        if not self._deadlines.is_too_slow(self._host.is_short() and (is_large or is_sending), progress, now_s):
            return
        if body is not None and is_large:
            body.fail(BodyTooSlow("the body comes too slowly while others wait for memory"))
        else:
            self.abort()

    def abort(self) -> None:
        """Break the connection off."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()
        if self._outlet is not None:
            self._outlet.closed = True

    def close_if_idle(self) -> None:
        """Close unless a request is under way. TLS waits for the peer's end, as long as a connection lingers."""
        is_idle = not self._busy and self._head is None and not self._closing
        if is_idle and self._transport is not None and not self._transport.get_write_buffer_size():
            self._closing = self._lingering = True
            self._deadlines.restart(self._host.now_s)
            self._transport.close()

    def check(self, now_s: float) -> None:
        """Called about once a second: end what is idle, slow or silent for too long."""
        outlet = self._outlet
        is_done = self._lingering or (not self._busy and self._head is None)
        within = not is_done and (
            self._head is not None or self._body is not None or (outlet is not None and outlet.paused)
        )
        progress = self._received_bytes + (outlet.gone_bytes if outlet is not None else 0)
        unsent_s = outlet.unsent_for(now_s) if is_done and outlet is not None else None
        if within:
            self._end_if_slow(progress, now_s)
        state = State(self._lingering, is_done, bool(self._pending), within, unsent_s, progress)
        verdict = self._deadlines.judge(state, now_s)
        if verdict is Verdict.ABORT:
            self.abort()
        elif verdict is Verdict.REFUSE:
            self._refuse(HttpError(408, "the request head did not arrive in time"))
        elif verdict is Verdict.CLOSE:
            self.close_if_idle()
