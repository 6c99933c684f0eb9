"""Owns the listening side: sockets, TLS, the connections of this process, their deadlines, a graceful stop."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from pyrite.core.clock import Clock
from pyrite.core.units import KIB
from pyrite.http.connection import Connection
from pyrite.http.errors import HttpError
from pyrite.http.hosting import Handler, Hosted, Quick
from pyrite.http.limits import Limits
from pyrite.http.response import Response, http_date

_RECEIVE_BYTES = 256 * KIB
_TICK_S = 1.0


class HttpServer:
    """Serves `handler` on sockets that the caller has bound."""

    def __init__(
        self,
        handler: Handler,
        on_http_error: Callable[[HttpError], Response],
        on_crash: Callable[[BaseException], None],
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.handler = handler
        self.quick: Quick | None = None
        self.is_short: Callable[[], bool] = lambda: False  # whether requests wait for memory that bodies take
        self.on_http_error = on_http_error
        self.on_crash = on_crash
        self.limits = limits
        self.receive_buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self.draining = False
        self.now_s = clock.monotonic_s()
        self._clock = clock
        self._connections: set[Hosted] = set()
        self._servers: list[asyncio.Server] = []
        self._ticker: asyncio.TimerHandle | None = None
        self._date_second = -1
        self._date = b""

    @property
    def connection_count(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serve on `listener`."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self),
            sock=listener,
            backlog=1024,
            ssl=tls,
            ssl_handshake_timeout=self.limits.head_timeout_s if tls else None,
        )
        self._servers.append(server)
        if self._ticker is None:
            self._tick()

    async def stop(self, grace_s: float) -> None:
        """Take no new connections; finish requests under way for `grace_s` seconds, then break them off."""
        self.draining = True
        for server in self._servers:
            server.close()
        deadline = self._clock.monotonic_s() + grace_s
        while self._connections and self._clock.monotonic_s() < deadline:
            for connection in list(self._connections):
                connection.close_if_idle()
            await asyncio.sleep(0.05)
        for connection in list(self._connections):
            connection.abort()
        if self._ticker is not None:
            self._ticker.cancel()

    def date(self) -> bytes:
        """The current HTTP date, made once a second."""
        second = self._clock.now_ms() // 1000
        if second != self._date_second:
            self._date_second, self._date = second, http_date(second)
        return self._date

    def opened(self, connection: Hosted) -> bool:
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections

    def closed(self, connection: Hosted) -> None:
        self._connections.discard(connection)

    def _tick(self) -> None:
        self.now_s = self._clock.monotonic_s()
        for connection in list(self._connections):
            connection.check(self.now_s)
        self._ticker = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
