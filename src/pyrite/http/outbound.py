"""Owns requests that the store itself makes to places that tenants name: the one way out, and its guard.

The address is checked when it is connected to, and that very address is used: a name that resolves differently a
moment later cannot lead anywhere else. No redirect is followed, no proxy is used, no credential is sent.
"""

import asyncio
import contextlib
import functools
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

import httpcore

from pyrite.core.errors import PyriteError
from pyrite.core.redaction import without_secrets

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TIMEOUT_S = 5.0
RESPONSE_MAX_BYTES = 512 * 1024
# RFC 4291 (IPv4-compatible), RFC 2765 (IPv4-translated), RFC 6052 and RFC 8215 (NAT64).
_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))


class OutboundError(PyriteError):
    """A request that the store made was refused by its guard, failed, or was not answered with success."""


def is_permitted(address: str, allowed: Iterable[Network]) -> bool:
    """Whether the store may connect to `address`: one of the public Internet, or of a network that is allowed."""
    named = ipaddress.ip_address(address.partition("%")[0])
    parsed = _led_to(named)
    if any(named in network or parsed in network for network in allowed):
        return True
    site_local = isinstance(parsed, ipaddress.IPv6Address) and parsed.is_site_local
    return parsed.is_global and not parsed.is_multicast and not site_local


def _led_to(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address to which packets to `address` may be translated: the one of IPv4 that is embedded in it, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


class Answered(NamedTuple):
    """An answer as it comes: its status, its fields by name in lower case, and the blocks of its body."""

    status: int
    headers: Mapping[str, str]
    blocks: AsyncIterable[bytes]


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
        for address in addresses[:-1]:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):  # the next one may answer
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

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

    @contextlib.asynccontextmanager
    async def stream(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> AsyncIterator["Answered"]:
        """The answer to POST as it comes, whatever its status; `timeout_s` is for each wait. Raises OutboundError.

        It is to be entered and left in one task.
        """
        async with self._asking("POST", url, headers, body, timeout_s) as response:
            fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            yield Answered(response.status, fields, response.aiter_stream())

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        try:
            async with (
                asyncio.timeout(2 * TIMEOUT_S),
                self._asking(method, url, headers, body, TIMEOUT_S) as response,
            ):
                return await _read(response)
        except TimeoutError as error:
            raise OutboundError(f"{without_secrets(url)} could not be reached: {type(error).__name__}") from error

    @contextlib.asynccontextmanager
    async def _asking(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> AsyncIterator[httpcore.Response]:
        parsed = httpcore.URL(url)
        if parsed.scheme not in (b"https", b"http") or (parsed.scheme == b"http" and not self._allowed):
            raise OutboundError("only https is spoken to places that no network allowed by the operator holds")
        backend = _GuardedBackend(self._allowed)
        if parsed.scheme == b"http":
            backend = _PlainBackend(self._allowed)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
        try:
            async with (
                httpcore.AsyncConnectionPool(ssl_context=_tls(), max_connections=1, network_backend=backend) as pool,
                pool.stream(
                    method, url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}
                ) as response,
            ):
                yield response
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            OSError,
        ) as error:
            raise OutboundError(f"{without_secrets(url)} could not be reached: {type(error).__name__}") from error


@functools.lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Whom the machine trusts, read once: a process that should see other authorities is started again."""
    return ssl.create_default_context()


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
