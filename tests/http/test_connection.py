"""Deadlines of a connection, on a clock that the test moves."""

import asyncio
import itertools
from typing import Any

from pyrite.http.connection import Connection
from pyrite.http.errors import BodyTooSlow, HttpError
from pyrite.http.limits import Limits
from pyrite.http.response import Response

HEAD = b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


class FakeTransport:
    """Remembers what was written and whether the connection was ended."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = ""
        self.unsent = 0
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += bytes(data)

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.ended in ("closed", "aborted")

    def write_eof(self) -> None:
        self.ended = "eof"

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class FakeHost:
    """A host whose quick way answers everything, with time in the hands of the test."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.receive_buffer = memoryview(bytearray(1 << 18))
        self.draining = False
        self.now_s = 1000.0
        self.short = False
        self.bodies: list[bytes] = []

    def is_short(self) -> bool:
        return self.short

    def quick(self, head: Any, body: bytes) -> Response:
        self.bodies.append(body)
        return Response(200, [], b"")

    async def handler(self, request: Any) -> Response:
        raise AssertionError("the quick way answers")

    def on_http_error(self, error: HttpError) -> Response:
        return Response(error.status, [], b"", close=True)

    def date(self) -> bytes:
        return b"now"

    def opened(self, connection: Any) -> bool:
        return True

    def closed(self, connection: Any) -> None:
        """Nothing to forget."""

    def on_crash(self, error: BaseException) -> None:
        raise error


class Talk:
    """A connection with its doubles; `wait` moves the clock, with a check every second."""

    def __init__(self, host: FakeHost | None = None) -> None:
        self.host, self.transport = host or FakeHost(), FakeTransport()
        self.connection = Connection(self.host)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        self.connection.get_buffer(0)[: len(data)] = data
        self.connection.buffer_updated(len(data))

    def feed(self, count: int) -> None:
        """Bytes of a body, wherever the connection wants them."""
        while count:
            taken = min(len(self.connection.get_buffer(0)), count)
            self.connection.buffer_updated(taken)
            count -= taken

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.host.now_s += 1
            if not self.transport.ended:
                self.connection.check(self.host.now_s)


def test_the_time_of_a_head_begins_with_its_first_byte() -> None:
    """A head in two pieces on a connection that was idle for long is in time; one that stops half-way is not."""
    talk = Talk()
    talk.wait(100)
    talk.send(HEAD[:20])
    talk.wait(14)
    assert not talk.transport.ended
    talk.wait(3)
    assert talk.transport.written.startswith(b"HTTP/1.1 408") and talk.transport.ended == "eof"


def test_a_small_body_may_be_slow_but_not_silent() -> None:
    """A body of 100 kB that trickles in over minutes is served; one that stops is broken off."""
    talk = Talk()
    talk.wait(100)
    talk.send(HEAD)
    for _ in range(50):
        talk.wait(5)
        talk.send(bytes(2000))
    assert talk.host.bodies == [bytes(100_000)] and talk.transport.written.startswith(b"HTTP/1.1 200")
    talk.send(HEAD + bytes(5000))
    talk.wait(40)
    assert talk.transport.ended == "aborted"


def test_an_idle_connection_is_closed_in_the_end() -> None:
    """A connection on which nothing is asked is closed after the idle timeout and not before."""
    talk = Talk()
    talk.wait(119)
    assert not talk.transport.ended
    talk.wait(3)
    assert talk.transport.ended == "closed"


def test_a_client_that_closes_is_not_lingered_for() -> None:
    """Once an answer that ends its connection is sent, the client's end ends it at once, not after the linger time."""
    talk = Talk()

    async def answer(request: Any) -> Response:
        return Response(200, [], b"")

    talk.host.handler = answer  # type: ignore[method-assign]
    talk.send(b"GET /b/k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert talk.transport.ended == "eof"
    assert not talk.connection.eof_received()  # the transport then closes itself


def test_a_peer_that_does_not_answer_the_end_is_left() -> None:
    """TLS waits for the peer's end of a connection that was idle; a peer that says nothing is not waited for long."""
    talk = Talk()
    talk.connection.close_if_idle()
    assert talk.transport.ended == "closed"
    for _ in range(5):
        talk.connection.close_if_idle()
        talk.host.now_s += 1
        talk.connection.check(talk.host.now_s)
    assert talk.transport.ended == "aborted"


def test_what_was_answered_is_sent_before_a_connection_ends() -> None:
    """A client that takes its answer slowly gets all of it, however long; one that takes none is left in the end."""
    talk = Talk()
    talk.transport.unsent = 1000
    for left in range(999, 0, -100):
        talk.connection.close_if_idle()
        talk.wait(25)
        assert not talk.transport.ended
        talk.transport.unsent = left
    talk.wait(25)
    assert not talk.transport.ended
    talk.wait(10)
    assert talk.transport.ended == "aborted"


class Slow(FakeHost):
    """A host whose handler reads the body, and then answers with a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []
        self.quick = None  # type: ignore[assignment]

    async def handler(self, request: Any) -> Response:
        try:
            await request.body.read_into(memoryview(bytearray(1 << 20)))
        except Exception as error:
            self.errors.append(error)
            return Response(400, [], b"", close=True)
        return Response(200, [], b"")


def slow_upload(short: bool, rate: int, seconds: int) -> Slow:
    """An upload of 1 MiB that trickles in, while others wait for memory or not."""
    loop = asyncio.new_event_loop()
    host = Slow()

    async def talk() -> None:
        talking = Talk(host)
        host.short = short
        talking.send(b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n")
        for _ in range(seconds):
            talking.feed(rate)
            talking.wait(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    try:
        loop.run_until_complete(talk())
    finally:
        loop.close()
    return host


def test_a_slow_upload_is_ended_only_while_others_wait() -> None:
    """A trickle is told so once memory is short, a fair rate never, and nobody is while there is enough."""
    assert not slow_upload(short=False, rate=2000, seconds=8).errors
    assert not slow_upload(short=True, rate=80_000, seconds=8).errors
    assert [type(error) for error in slow_upload(short=True, rate=2000, seconds=8).errors] == [BodyTooSlow]


def test_many_requests_in_one_burst_leave_others_their_turn() -> None:
    """A connection answers a few requests, lets everything else go on, and answers the next few: all in the end."""

    async def main() -> None:
        host, transport = FakeHost(), FakeTransport()
        connection = Connection(host)  # type: ignore[arg-type]
        connection.connection_made(transport)  # type: ignore[arg-type]
        burst = b"GET /b/k HTTP/1.1\r\nHost: a\r\n\r\n" * 100
        host.receive_buffer[: len(burst)] = burst
        turns: list[int] = []
        asyncio.get_running_loop().call_soon(lambda: turns.append(len(host.bodies)))
        connection.buffer_updated(len(burst))
        assert len(host.bodies) == host.limits.requests_at_once
        while len(host.bodies) < 100:
            await asyncio.sleep(0)
            turns.append(len(host.bodies))
        assert turns[0] == host.limits.requests_at_once, "somebody else had a turn before the next few"
        assert all(later - earlier <= host.limits.requests_at_once for earlier, later in itertools.pairwise(turns))
        assert transport.written.count(b"HTTP/1.1 200") == 100 and not transport.ended

    asyncio.run(main())


class Failing(FakeHost):
    """A host in which something is defective: its quick way, or its handler after it has waited."""

    def __init__(self, quick: bool) -> None:
        super().__init__()
        self.crashes: list[BaseException] = []
        self.may_go_on = asyncio.Event()
        if not quick:
            self.quick = None  # type: ignore[assignment]

    def quick(self, head: Any, body: bytes) -> Response:
        raise ValueError("a defect of the quick way")

    async def handler(self, request: Any) -> Response:
        if self.quick is None:
            await self.may_go_on.wait()
            raise RuntimeError("a defect of the handler")
        return Response(200, [], b"from the handler")

    def on_crash(self, error: BaseException) -> None:
        self.crashes.append(error)


def test_a_defect_of_the_quick_way_is_one_there_alone() -> None:
    """It is told, and the request is answered by the handler."""

    async def main() -> None:
        host = Failing(quick=True)
        talk = Talk(host)
        talk.send(b"GET /b/k HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [type(error) for error in host.crashes] == [ValueError]
        assert talk.transport.written.endswith(b"from the handler") and not talk.transport.ended

    asyncio.run(main())


def test_a_request_that_fails_after_it_waited_ends_its_connection() -> None:
    """Nobody waits for an answer that does not come: the defect is told, and the client sees the end."""

    async def main() -> None:
        host = Failing(quick=False)
        talk = Talk(host)
        talk.send(b"GET /b/k HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0)
        assert not host.crashes and not talk.transport.ended
        host.may_go_on.set()
        while not host.crashes:
            await asyncio.sleep(0)
        assert [type(error) for error in host.crashes] == [RuntimeError]
        assert talk.transport.ended == "aborted"

    asyncio.run(main())


class Sending(FakeHost):
    """A host that answers with a stream, of which the client's system takes a little at a time."""

    def __init__(self, short: bool) -> None:
        super().__init__()
        self.quick = None  # type: ignore[assignment]
        self.short = short

    async def handler(self, request: Any) -> Response:
        async def blocks() -> Any:
            while True:
                yield [memoryview(bytes(1 << 20))]

        return Response(200, [], blocks(), length=1 << 40)


def slow_download(short: bool, rate: int, seconds: int) -> str:
    """How a connection ended ("": not) whose client took `rate` bytes of an answer each second."""

    async def talk() -> str:
        talking = Talk(Sending(short))
        connection, transport = talking.connection, talking.transport

        def stall(views: Any) -> None:
            transport.unsent += sum(map(len, views))
            connection.pause_writing()

        transport.writelines = stall  # type: ignore[attr-defined]
        talking.send(b"GET /b/k HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(seconds):
            await asyncio.sleep(0)
            transport.unsent = max(transport.unsent - rate, 0)
            if not transport.unsent:
                connection.resume_writing()
            talking.wait(1)
        connection.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        return transport.ended

    return asyncio.run(talk())


def test_a_slow_download_is_ended_only_while_others_wait() -> None:
    """A client that takes a trickle of a large answer loses it once memory is short, as one that sends a trickle does."""
    assert slow_download(short=False, rate=2000, seconds=8) == ""
    assert slow_download(short=True, rate=80_000, seconds=8) == ""
    assert slow_download(short=True, rate=2000, seconds=8) == "aborted"
