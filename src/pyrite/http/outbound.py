"""Owns requests that the store itself makes to places that tenants name: the one way out, and its guard.

The address is checked when it is connected to, and that very address is used: a name that resolves differently a
moment later cannot lead anywhere else. No redirect is followed, no proxy is used, no credential is sent.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore

from pyrite.core.errors import PyriteError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TIMEOUT_S = 5.0
RESPONSE_MAX_BYTES = 512 * 1024


class OutboundError(PyriteError):
    """A request that the store made was refused by its guard, failed, or was not answered with success."""


def is_permitted(address: str, allowed: Iterable[Network]) -> bool:
    """Whether the store may connect to `address`: one of the public Internet, or of a network that is allowed."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    parsed = mapped or parsed
    if any(parsed in network for network in allowed):
        return True
    return parsed.is_global and not parsed.is_multicast


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        refused = [address for address in addresses if not is_permitted(address, self._allowed)]
        if refused or not addresses:
            raise OutboundError(
                f"{host} is at {', '.join(refused) or 'no address'}, where the store does not connect to unless its "
                "operator allows the network (pyrite serve --outbound NETWORK)"
            )
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def _resolve(self, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise OutboundError(f"{host} cannot be resolved: {error}") from error
        return [str(entry[4][0]) for entry in found]

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise OutboundError("the store connects to no sockets of the machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Outbound:
    """Fetches documents. `allowed` are networks beyond the public Internet that the operator lets it reach.

    Plain http is spoken only to allowed networks.
    """

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    async def get(self, url: str) -> bytes:
        """The body of a successful answer to GET. Raises OutboundError."""
        ask = self._ask("GET", url, {"Accept": "application/json"}, b"")
        return await asyncio.create_task(ask)  # a handler need not run in a task, time limits have to

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The body of a successful answer to POST. Raises OutboundError."""
        return await asyncio.create_task(self._ask("POST", url, headers, body))

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        parsed = httpcore.URL(url)
        if parsed.scheme not in (b"https", b"http") or (parsed.scheme == b"http" and not self._allowed):
            raise OutboundError("only https is spoken to places that no network allowed by the operator holds")
        backend = _GuardedBackend(self._allowed)
        if parsed.scheme == b"http":
            backend = _PlainBackend(self._allowed)
        try:
            async with (
                asyncio.timeout(2 * TIMEOUT_S),
                httpcore.AsyncConnectionPool(
                    ssl_context=ssl.create_default_context(), max_connections=1, network_backend=backend
                ) as pool,
            ):
                timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
                async with pool.stream(
                    method, url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}
                ) as response:
                    return await _read(response)
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            TimeoutError,
            OSError,
        ) as error:
            raise OutboundError(f"{url} could not be reached: {type(error).__name__} {error}") from error


class _PlainBackend(_GuardedBackend):
    """As the other, for http: only networks that were allowed by name."""

    async def _resolve(self, host: str, port: int) -> list[str]:
        addresses = await super()._resolve(host, port)
        if not all(any(ipaddress.ip_address(a.partition("%")[0]) in n for n in self._allowed) for a in addresses):
            raise OutboundError(f"plain http is not spoken to {host}")
        return addresses


async def _read(response: httpcore.Response) -> bytes:
    if not 200 <= response.status < 300:
        raise OutboundError(f"the answer was {response.status}")
    blocks, size = [], 0
    async for block in response.aiter_stream():
        size += len(block)
        if size > RESPONSE_MAX_BYTES:
            raise OutboundError(f"the answer has more than {RESPONSE_MAX_BYTES} bytes")
        blocks.append(block)
    return b"".join(blocks)
