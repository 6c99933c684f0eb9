"""Requests that the store makes to where tenants say: never to where they must not go."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from pyrite.http.outbound import RESPONSE_MAX_BYTES, Outbound, OutboundError, is_permitted

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Place(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/secret")
            self.end_headers()
            return
        body = b"x" * (RESPONSE_MAX_BYTES + 1) if self.path == "/large" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def place() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Place)
    Place.asked.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(outbound: Outbound, url: str) -> bytes:
    return asyncio.run(outbound.get(url))


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1 255.255.255.255 ::1 :: "
    "fe80::1 fc00::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 2002:7f00:1:: ff02::1 64:ff9b::a9fe:a9fe "
    "64:ff9b:1::7f00:1 ::7f00:1 ::ffff:0:7f00:1 fec0::1".split(),
)  # fmt: skip
def test_places_inside_are_not_permitted(address: str) -> None:
    """Addresses of this machine, this network and of cloud metadata are refused, however they are written."""
    assert not is_permitted(address, ())


def test_places_outside_and_allowed_ones_are() -> None:
    """The public Internet is permitted, and what the operator names."""
    assert is_permitted("93.184.216.34", ()) and is_permitted("2606:2800:220:1::1", ())
    assert is_permitted("127.0.0.1", LOOPBACK) and is_permitted("::ffff:127.0.0.1", LOOPBACK)
    assert not is_permitted("10.0.0.1", LOOPBACK)
    assert is_permitted("::1", (ipaddress.ip_network("::1/128"),)) and is_permitted("64:ff9b::808:808", ())


def test_the_guard_is_where_the_connection_is_made(place: str) -> None:
    """GHSA-m479: without leave nothing is connected to, whatever form the host has; with leave it is fetched."""
    port = place.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"):
        for scheme in ("http", "https"):
            with pytest.raises(OutboundError):
                fetch(Outbound(), f"{scheme}://{host}:{port}/")
    assert Place.asked == []
    assert fetch(Outbound(LOOPBACK), place + "/") == b"{}"


def test_a_name_that_resolves_otherwise_later(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the address that was checked is the one that is connected to; a mixed answer is refused."""
    port = int(place.rpartition(":")[2])
    answers = [["93.184.216.34", "127.0.0.1"], ["127.0.0.1"]]

    async def resolve(*_: object, **__: object) -> list[tuple]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in answers.pop(0)]

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        for _ in range(2):
            with pytest.raises(OutboundError):
                await Outbound().get(f"https://rebind.example:{port}/")

    asyncio.run(run())
    assert Place.asked == [] and answers == []


def test_redirects_are_not_followed(place: str) -> None:
    """An answer that leads elsewhere is an error."""
    with pytest.raises(OutboundError, match="302"):
        fetch(Outbound(LOOPBACK), place + "/redirect")
    assert Place.asked == ["/redirect"]


def test_answers_are_limited(place: str) -> None:
    """An endless answer is cut off."""
    with pytest.raises(OutboundError, match="more than"):
        fetch(Outbound(LOOPBACK), place + "/large")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b", "gopher://a", "unix:///run/x", "//a", "a", "http://"]
)
def test_other_schemes(url: str) -> None:
    """Nothing but http and https is spoken, and garbage is refused."""
    with pytest.raises(OutboundError):
        fetch(Outbound(LOOPBACK), url)
