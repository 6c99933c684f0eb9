"""HTTP/1.1 over raw sockets: framing, pipelining, early answers, limits, and connections left in a defined state."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import load

from tests.server import ACCESS_KEY, SECRET_KEY, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server([tmp_path_factory.mktemp("wire") / "drive"]) as running:
        running.client().create_bucket(Bucket="wire")
        yield running


class Wire:
    """A raw connection."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        self._buffer = b""

    def send(self, data: bytes) -> "Wire":
        self.socket.sendall(data)
        return self

    def response(self, head_only: bool = False) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, fields and body of the next response; status 0 when the connection is closed."""
        while b"\r\n\r\n" not in self._buffer:
            chunk = self._receive()
            if not chunk:
                return 0, {}, b""
            self._buffer += chunk
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(b":") for line in lines[1:])}
        length = 0 if head_only else int(fields.get(b"content-length", b"0"))
        while len(self._buffer) < length:
            self._buffer += self._receive()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return int(lines[0].split(b" ")[1]), fields, body

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def is_closed(self) -> bool:
        """Whether the server has closed its side."""
        return not self._buffer and self._receive() == b""


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    made = Wire(server)
    yield made
    made.socket.close()


@pytest.fixture
def sign(server: Server, monkeypatch: pytest.MonkeyPatch) -> load.Signer:
    monkeypatch.setattr(load, "ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setattr(load, "SECRET_KEY", SECRET_KEY)
    return load.Signer(server.port)


AMBIGUOUS = {
    "length and chunked": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "negative length": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "signed length": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "hexadecimal length": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
    "empty length": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "obscured chunked": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding list": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked on 1.0": b"PUT /wire/k HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"PUT /wire/k HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
    "folded field": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "bare line feed": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare carriage return": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "field without colon": b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
}


@pytest.mark.parametrize("case", AMBIGUOUS, ids=str)
def test_ambiguous_framing_is_refused(wire: Wire, case: str) -> None:
    """What two parsers could read in two ways is a 4xx, and the connection is closed with nothing else on it."""
    status, fields, _ = wire.send(AMBIGUOUS[case] + b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").response()
    assert (
        (400 <= status < 500 or status == 505) and fields[b"connection"] == b"close" and b"x-amz-request-id" in fields
    )
    assert wire.is_closed()


def test_limits(server: Server) -> None:
    """Heads, targets and fields beyond their limits get their own statuses."""
    for request, expected in (
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 300 + b"\r\n", 431),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", 400),
    ):
        wire = Wire(server)
        assert wire.send(request).response()[0] == expected, request[:40]
        assert wire.is_closed()


def test_pipelining(wire: Wire, sign: load.Signer) -> None:
    """Many requests sent at once are answered in order, whatever lies between them."""
    requests = [sign.request("PUT", f"/wire/p{n}", body=b"%d" % n * 5000) for n in range(20)]
    requests += [sign.request("GET", f"/wire/p{n}") for n in range(20)]
    wire.send(b"".join(requests))
    assert [wire.response()[0] for _ in range(20)] == [200] * 20
    assert [wire.response()[2] for _ in range(20)] == [b"%d" % n * 5000 for n in range(20)]


def test_bytes_one_at_a_time(wire: Wire, sign: load.Signer) -> None:
    """A request that arrives byte by byte is the same request."""
    for request in (sign.request("PUT", "/wire/slow", body=b"hello"), sign.request("GET", "/wire/slow")):
        for index in range(len(request)):
            wire.send(request[index : index + 1])
        status, _, body = wire.response()
        assert status == 200
    assert body == b"hello"


def test_head_has_no_body(wire: Wire, sign: load.Signer) -> None:
    """HEAD tells the length and sends nothing, so that the next response follows at once; errors likewise."""
    wire.send(sign.request("PUT", "/wire/h", body=b"12345")).response()
    wire.send(sign.request("HEAD", "/wire/h") + sign.request("HEAD", "/wire/none") + sign.request("GET", "/wire/h"))
    assert wire.response(head_only=True)[1][b"content-length"] == b"5"
    assert wire.response(head_only=True)[0] == 404
    assert wire.response()[2] == b"12345"


def test_refused_body_is_drained_or_the_connection_closed(server: Server, wire: Wire, sign: load.Signer) -> None:
    """After a refused PUT a small unread body is skipped and the connection goes on; a large one ends it."""
    refused = sign.request("PUT", "/no-such-bucket/k", body=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
    wire.send(refused + sign.request("GET", "/wire/none"))
    assert wire.response()[0] == 404
    assert b"NoSuchKey" in wire.response()[2]
    big = Wire(server)
    head, _, body = sign.request("PUT", "/no-such-bucket/k", body=b"x" * 3_000_000).partition(b"\r\n\r\n")
    status, fields, _ = big.send(head + b"\r\n\r\n" + body[:1000]).response()
    assert status == 404 and fields[b"connection"] == b"close"


def test_continue_comes_after_the_checks(server: Server, sign: load.Signer) -> None:
    """100 Continue is sent once signature, bucket and conditions hold, and never before a refusal."""

    def ask(request: bytes) -> Wire:
        head, _, _ = request.partition(b"\r\n\r\n")
        return Wire(server).send(head + b"\r\nExpect: 100-continue\r\n\r\n")

    good = ask(sign.request("PUT", "/wire/c", body=b"hello"))
    assert good.response()[0] == 100
    assert good.send(b"hello").response()[0] == 200
    for request in (
        sign.request("PUT", "/no-such-bucket/c", body=b"hello"),
        sign.request("PUT", "/wire/c", body=b"hello").replace(b"Signature=", b"Signature=00"),
        sign.request("PUT", "/wire/c", body=b"hello").replace(b"Host:", b"If-None-Match: *\r\nHost:"),
    ):
        refused = ask(request)
        status, fields, _ = refused.response()
        assert status in (403, 404, 412) and fields[b"connection"] == b"close"
        assert refused.is_closed()


def test_a_small_body_may_come_in_pieces(wire: Wire, sign: load.Signer) -> None:
    """A head alone, then a body byte by byte, then pipelined requests in one piece: each gets its answer in order."""
    head, _, body = sign.request("PUT", "/wire/pieces", body=b"hello").partition(b"\r\n\r\n")
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.send(head + b"\r\n\r\n")
    for number in range(len(body)):
        wire.send(body[number : number + 1])
    assert wire.response()[0] == 200
    get, delete = sign.request("GET", "/wire/pieces"), sign.request("DELETE", "/wire/pieces")
    again = sign.request("PUT", "/wire/pieces", body=b"other")
    wire.send(get + again + get + delete + get[:40]).send(get[40:])
    assert wire.response()[2] == b"hello"
    assert wire.response()[0] == 200
    assert wire.response()[2] == b"other"
    assert wire.response()[0] == 204
    assert wire.response()[0] == 404


def test_a_body_half_sent_is_served_before_the_server_stops(tmp_path: Path, sign: load.Signer) -> None:
    """A graceful stop waits for a small body that is still coming, and answers its request."""
    with Server([tmp_path / "drive"], "--workers", "0") as server:
        server.client().create_bucket(Bucket="wire")
        request = load.Signer(server.port).request("PUT", "/wire/late", body=b"x" * 2000)
        wire = Wire(server).send(request[:-1000])
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(OSError):
            while True:  # until nobody listens any more
                socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
        assert wire.send(request[-1000:]).response()[0] == 200


def test_a_continue_that_was_asked_for_is_always_sent(wire: Wire, sign: load.Signer) -> None:
    """Also a request whose body is empty or already there gets its 100 first: botocore hangs without it."""
    for method, key, body, final in (
        ("PUT", "e0", b"", 200),
        ("PUT", "e1", b"hello", 200),
        ("GET", "none", b"", 404),
        ("PUT", "e2", b"", 200),
    ):
        head, _, body = sign.request(method, f"/wire/{key}", body=body).partition(b"\r\n\r\n")
        wire.send(head + b"\r\nExpect: 100-continue\r\n\r\n" + body)
        assert wire.response()[0] == 100
        assert wire.response()[0] == final


def test_other_expectations_are_ignored(wire: Wire, sign: load.Signer) -> None:
    """An Expect that is not 100-continue changes nothing."""
    for value in (b"200", b""):
        request = sign.request("PUT", "/wire/e", body=b"hello").replace(b"Host:", b"Expect: " + value + b"\r\nHost:")
        assert wire.send(request).response()[0] == 200


def test_absolute_targets(wire: Wire, sign: load.Signer) -> None:
    """A target in absolute form is served, signed over its path alone."""
    wire.send(sign.request("PUT", "/wire/abs", body=b"x")).response()
    request = sign.request("GET", "/wire/abs").replace(b"GET /wire", f"GET http://{sign.host}/wire".encode())
    assert wire.send(request).response()[2] == b"x"


def test_broken_off_uploads_leave_nothing(server: Server, sign: load.Signer) -> None:
    """A body that stops early, at any size, stores nothing and keeps what was there."""
    client = server.client()
    client.put_object(Bucket="wire", Key="keep", Body=b"old")
    for size in (10, 100_000, 5_000_000):
        head, _, body = sign.request("PUT", "/wire/keep", body=b"n" * size).partition(b"\r\n\r\n")
        for cut in (0, size // 2, size - 1):
            made = Wire(server).send(head + b"\r\n\r\n" + body[:cut])
            made.socket.close()
    assert client.get_object(Bucket="wire", Key="keep")["Body"].read() == b"old"


def test_wrong_digests_leave_nothing(server: Server, wire: Wire, sign: load.Signer) -> None:
    """A body that is not the one that was signed is XAmzContentSHA256Mismatch and not visible."""
    for size in (10, 300_000):
        request = sign.request("PUT", "/wire/digest", body=b"a" * size)
        status, _, body = wire.send(request[:-1] + b"b").response()
        assert status == 400 and b"XAmzContentSHA256Mismatch" in body
    assert b"NoSuchKey" in wire.send(sign.request("GET", "/wire/digest")).response()[2]


def test_unsigned_headers_are_refused(wire: Wire, sign: load.Signer) -> None:
    """An x-amz- header that is not part of the signature is refused, whatever it says."""
    for header in (b"x-amz-copy-source: wire/keep", b"x-amz-meta-a: b", b"x-amz-acl: private"):
        request = sign.request("PUT", "/wire/u", body=b"").replace(b"Host:", header + b"\r\nHost:")
        status, _, body = wire.send(request).response()
        assert status == 403 and b"HeadersNotSigned" in body


def test_unknown_subresources_never_fall_through(wire: Wire, sign: load.Signer) -> None:
    """PUT, POST, GET and DELETE with a sub-resource that is not implemented touch no object."""
    wire.send(sign.request("PUT", "/wire/sub", body=b"keep")).response()
    for method in ("PUT", "DELETE", "POST", "GET"):
        for query in ("append=", "torrents=", "website=", "unheard-of=", "replication="):
            if method == "GET" and query in ("torrents=", "unheard-of="):
                continue  # a read of an object is one, whatever stands behind it
            status, _, body = wire.send(
                sign.request(method, "/wire/sub", query, b"x" if method == "PUT" else b"")
            ).response()
            assert status == 501 and b"NotImplemented" in body, (method, query)
    assert wire.send(sign.request("GET", "/wire/sub")).response()[2] == b"keep"


def test_slow_readers_do_not_hold_memory(server: Server, sign: load.Signer) -> None:
    """Twenty clients that ask for 64 MiB and read nothing cost less than a few MiB each."""
    server.client().put_object(Bucket="wire", Key="big", Body=bytes(64 << 20))
    request = sign.request("GET", "/wire/big")
    before = _resident(server)
    wires = [Wire(server).send(request) for _ in range(20)]
    assert all(wire.socket.recv(100) for wire in wires)
    assert _resident(server) - before < 150 << 20
    for wire in wires:
        wire.socket.close()


def _resident(server: Server) -> int:
    total = 0
    for pid in server.children():
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        total += int(fields["RssAnon"].split()[0]) * 1024
    return total


def test_stop_finishes_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM lets an upload that is under way end well, and takes no new connections."""
    monkeypatch.setattr(load, "ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setattr(load, "SECRET_KEY", SECRET_KEY)
    with Server([tmp_path / "drive"]) as server:
        server.client().create_bucket(Bucket="drain")
        request = load.Signer(server.port).request("PUT", "/drain/k", body=b"x" * 1_000_000)
        wire = Wire(server).send(request[:500_000])
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            except OSError:
                break
        status, fields, _ = wire.send(request[500_000:]).response()
        assert status == 200 and fields[b"connection"] == b"close"
        stopping.join(120)
        assert not stopping.is_alive()


def test_a_missing_key_is_named_whatever_the_way(wire: Wire, sign: load.Signer) -> None:
    """The quick answer to a missing key says what the slow one says; a missing bucket is another error."""
    answers = []
    for path, query in (("/wire/none", ""), ("/wire/none", "x-id=GetObject"), ("/wire/none", "x-id=Other")):
        status, fields, body = wire.send(sign.request("GET", path, query)).response()
        assert status == 404 and b"<Code>NoSuchKey</Code>" in body and b"<Key>none</Key>" in body
        answers.append((sorted(fields), len(body)))
    assert answers[0] == answers[1] == answers[2]
    assert b"NoSuchBucket" in wire.send(sign.request("GET", "/no-such-bucket/none")).response()[2]
    assert wire.send(sign.request("HEAD", "/wire/none")).response(head_only=True)[0] == 404
    assert wire.send(sign.request("DELETE", "/wire/none")).response()[0] == 204


def test_a_bucket_made_anew_is_another(server: Server, wire: Wire, sign: load.Signer) -> None:
    """What a worker remembers of a bucket does not outlive it, whichever worker deleted it."""
    for turn in range(6):
        other = Wire(server)
        assert other.send(sign.request("PUT", "/phoenix")).response()[0] == 200
        assert wire.send(sign.request("GET", "/phoenix/k")).response()[0] == 404
        assert wire.send(sign.request("PUT", "/phoenix/k", body=b"%d" % turn)).response()[0] == 200
        assert other.send(sign.request("GET", "/phoenix/k")).response()[2] == b"%d" % turn
        assert other.send(sign.request("DELETE", "/phoenix/k")).response()[0] == 204
        assert other.send(sign.request("DELETE", "/phoenix")).response()[0] == 204
        assert b"NoSuchBucket" in wire.send(sign.request("GET", "/phoenix/k")).response()[2]
        assert wire.send(sign.request("PUT", "/phoenix/k", body=b"x")).response()[0] == 404
        assert wire.send(sign.request("DELETE", "/phoenix/k")).response()[0] == 404
        other.socket.close()
