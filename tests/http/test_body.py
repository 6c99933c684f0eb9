"""The body of a request between the wire and its handler: whatever is taken out of it, the wire goes on."""

import asyncio
from collections.abc import Callable

import pytest

from pyrite.http.body import RequestBody

KIB = 1024
BUFFER_BYTES = 512 * KIB


class FakeWire:
    """Remembers whether it was paused."""

    def __init__(self) -> None:
        self.paused = False

    def send_continue(self) -> None:
        """Nobody waits for it."""

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def filled(size: int, chunked: bool) -> tuple[RequestBody, FakeWire]:
    """A body that has come in before anybody asked for it."""
    wire = FakeWire()
    body = RequestBody(wire, None if chunked else size, False, BUFFER_BYTES)
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size) if chunked else b"x" * size
    for at in range(0, len(sent), 64 * KIB):
        body.feed(memoryview(sent)[at : at + 64 * KIB])
    assert body.received
    return body, wire


def take_all(body: RequestBody) -> int:
    return len(body.take_all() or b"")


def read_all(body: RequestBody) -> int:
    return len(asyncio.run(body.read_all(1 << 30)))


def read_into(body: RequestBody) -> int:
    return asyncio.run(body.read_into(memoryview(bytearray(1 << 20))))


def drop(body: RequestBody) -> int:
    return (1 << 20) * asyncio.run(body.drop(1 << 20))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("take", [take_all, read_all, read_into, drop])
@pytest.mark.parametrize("size", [1, 511 * KIB, 513 * KIB, 1024 * KIB])
def test_the_wire_goes_on_once_a_body_is_taken(size: int, take: Callable[[RequestBody], int], chunked: bool) -> None:
    """However a handler takes a body that is here as a whole, a wire that was paused for it is resumed."""
    body, wire = filled(size, chunked)
    assert wire.paused == (size > BUFFER_BYTES)
    assert take(body) in (size, 1 << 20)
    assert not wire.paused
