"""Owns what a connection, a handler and a server are to one another: the request and two protocols."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from pyrite.http.body import RequestBody
from pyrite.http.errors import HttpError
from pyrite.http.head import RequestHead
from pyrite.http.limits import Limits
from pyrite.http.outlet import Outlet
from pyrite.http.response import Response


class Peer(NamedTuple):
    """Who is at the other end: the address, whether TLS is used, and a verified client certificate (DER; b"": none).

    `tls_version` is "1.2" or "1.3".
    """

    address: str = ""
    secure: bool = False
    certificate: bytes = b""
    tls_version: str = ""


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """The peer of a connection that was just made."""
    address, tls = transport.get_extra_info("peername"), transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    secure = transport.get_extra_info("sslcontext") is not None
    version = (tls.version() or "").removeprefix("TLSv") if tls is not None else ""
    return Peer(address[0] if address else "", secure, certificate or b"", version)


class Request:
    """What a handler gets. `peer` is the client's address, `secure` whether TLS was used."""

    __slots__ = ("body", "certificate", "head", "peer", "secure", "tls_version")

    def __init__(self, head: RequestHead, body: RequestBody, peer: Peer) -> None:
        self.head = head
        self.body = body
        self.peer, self.secure, self.certificate, self.tls_version = peer

    @property
    def is_near(self) -> bool:
        """Whether the client is on this machine, so that what it sends crosses no network."""
        return self.peer.startswith("127.") or self.peer in ("::1", "::ffff:127.0.0.1")


Answer = Response | Coroutine[Any, Any, Response | None] | None
Quick = Callable[[RequestHead, bytes], Answer]
"""Answers a request whose small body is here, at once or after a wait; None leaves it to the handler."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Hosted(Protocol):
    """What a server asks of its connections."""

    def check(self, now_s: float) -> None:
        """End what is idle, slow or silent for too long."""
        ...

    def close_if_idle(self) -> None:
        """Close unless a request is under way."""
        ...

    def abort(self) -> None:
        """Break the connection off."""
        ...


class Host(Protocol):
    """What a connection needs of its server."""

    limits: Limits
    handler: Handler
    quick: Quick | None
    on_http_error: Callable[[HttpError], Response]
    receive_buffer: memoryview
    is_short: Callable[[], bool]
    draining: bool
    now_s: float

    def date(self) -> bytes:
        """The current HTTP date."""
        ...

    def opened(self, connection: Hosted) -> bool:
        """Take note of a new connection; False when there are too many."""
        ...

    def closed(self, connection: Hosted) -> None:
        """Take note that a connection is gone."""
        ...

    def on_crash(self, error: BaseException) -> None:
        """A handler raised what it should have answered."""
        ...


def may_be_quick(host: Host, head: RequestHead, outlet: Outlet | None) -> bool:
    """Whether to try the quick way: on a connection that goes on and has nothing queued."""
    return (
        host.quick is not None
        and head.is_plain(host.limits.quick_body_bytes)
        and not host.draining
        and outlet is not None
        and not outlet.paused
    )
