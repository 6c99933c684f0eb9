"""A refusal reaches its client although that is still sending a body which nobody reads."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from pyrite.core.clock import SystemClock
from pyrite.core.units import MIB
from pyrite.http.limits import Limits
from pyrite.http.response import Response
from pyrite.http.server import HttpServer

HEADS = {
    "length": b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 * MIB),
    "chunked": b"PUT /b/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (64 * MIB),
}


async def refuse_late(request: Any) -> Response:
    """Refuse a request once so much of its body is here that no more is received."""
    while not request.body._paused:
        await asyncio.sleep(0)
    return Response(403, [], b"not for you", close=True)


async def answer_of(head: bytes, tls: tuple[Path, Path] | None) -> bytes:
    """What a client that sends all of its body before it reads is told."""
    clock, crashes = SystemClock(), list[BaseException]()
    limits = Limits(linger_timeout_s=60.0)
    server = HttpServer(refuse_late, lambda error: Response(error.status, [], b""), crashes.append, clock, limits)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
    await server.start(listener, context)
    trusting = ssl._create_unverified_context() if tls is not None else None
    reader, writer = await asyncio.open_connection(*listener.getsockname(), ssl=trusting)
    writer.write(head)
    for _ in range(64):
        writer.write(bytes(MIB))
        await writer.drain()
    try:
        return await reader.readuntil(b"not for you")
    finally:
        writer.close()
        await server.stop(0.0)
        assert not crashes


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("head", HEADS)
def test_a_refusal_is_read(head: str, scheme: str, certificate: tuple[Path, Path]) -> None:
    """Whoever sends a large body first and reads then gets the answer, in any framing, and no broken connection."""
    tls = certificate if scheme == "https" else None
    answer = asyncio.run(asyncio.wait_for(answer_of(HEADS[head], tls), 50))
    assert answer.startswith(b"HTTP/1.1 403 ") and b"\r\nConnection: close\r\n" in answer
