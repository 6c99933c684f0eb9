"""Every operation that takes a body gives it back: in every framing, at every size around a limit, however it arrives."""

import base64
import hashlib
import hmac
import itertools
import re
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.server import ACCESS_KEY, SECRET_KEY, Server

KIB = 1024
SIZES = (0, 1, 3000, *(limit * KIB + d for limit in (128, 256, 512) for d in (-1, 0, 1)), 700 * KIB, 1100 * KIB + 1)
FRAMINGS = ("length", "chunked", "unsigned", "unsigned chunked", "signed", "signed trailer")
ARRIVALS = ("burst", "pipelined", "pieces", "continued", "bytes")
OPERATIONS = ("put", "part", "append", "annotation", "form", "document")
BYTE_BY_BYTE_MAX = 4000
ANNOTATION_MAX = 1 << 20
BUCKET = "bodies"


class Signed(NamedTuple):
    """The head of a request, its signature and the key that made it."""

    head: list[tuple[str, str]]
    signature: str
    key: bytes
    date: str
    scope: str


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sign(method: str, path: str, query: str, headers: dict[str, str], payload: str) -> Signed:
    """Signature Version 4 as AWS documents it, made without the project's own code."""
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    fields = {**{k.lower(): v for k, v in headers.items()}, "x-amz-date": date, "x-amz-content-sha256": payload}
    names = ";".join(sorted(fields))
    lines = [method, path, query, *(f"{name}:{fields[name]}" for name in sorted(fields)), "", names, payload]
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(chr(10).join(lines).encode())}"
    key = b"AWS4" + SECRET_KEY.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
    return Signed([*fields.items(), ("authorization", authorization)], signature, key, date, scope)


def chunks_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def transfer_chunked(data: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks_of(data, 100_000)) + b"0\r\n\r\n"


def aws_chunked(data: bytes, signed: Signed | None, trailer: bool) -> bytes:
    """The payload in chunks of 64 KiB, with signatures and a trailing CRC32 where they are asked for."""
    out, previous = [], signed.signature if signed is not None else ""
    for one in [*chunks_of(data, 65_536), b""]:
        extension = b""
        if signed is not None:
            text = f"AWS4-HMAC-SHA256-PAYLOAD\n{signed.date}\n{signed.scope}\n{previous}\n{sha256(b'')}\n{sha256(one)}"
            previous = hmac.digest(signed.key, text.encode(), "sha256").hex()
            extension = b";chunk-signature=" + previous.encode()
        out.append(b"%x%b\r\n" % (len(one), extension) + (one + b"\r\n" if one else b""))
    if trailer:
        value = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        out.append(f"x-amz-checksum-crc32:{value}\r\n".encode())
        if signed is not None:
            canonical = sha256(f"x-amz-checksum-crc32:{value}\n".encode())
            text = f"AWS4-HMAC-SHA256-TRAILER\n{signed.date}\n{signed.scope}\n{previous}\n{canonical}"
            out.append(b"x-amz-trailer-signature:" + hmac.digest(signed.key, text.encode(), "sha256").hex().encode())
            out.append(b"\r\n")
    return b"".join(out) + b"\r\n"


def request(
    method: str, path: str, query: str, headers: dict[str, str], data: bytes, framing: str
) -> tuple[bytes, bytes]:
    """Head and body of a signed request in a framing."""
    headers = {"Host": "localhost", **headers}
    streaming = "signed" in framing
    trailer = streaming and framing != "signed"
    payload = "UNSIGNED-PAYLOAD"
    if streaming:
        headers |= {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data))}
        kind = "UNSIGNED-PAYLOAD" if framing.startswith("unsigned") else "AWS4-HMAC-SHA256-PAYLOAD"
        payload = f"STREAMING-{kind}{'-TRAILER' if trailer else ''}"
        if trailer:
            headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    signed = sign(method, path, query, headers, payload)
    body = aws_chunked(data, None if framing.startswith("unsigned") else signed, trailer) if streaming else data
    length = f"content-length: {len(body)}"
    if framing.endswith("chunked"):
        body, length = transfer_chunked(body), "transfer-encoding: chunked"
    fields = "".join(f"{name}: {value}\r\n" for name, value in signed.head)
    target = f"{path}?{query}" if query else path
    return f"{method} {target} HTTP/1.1\r\n{fields}{length}\r\n\r\n".encode(), body


class Wire:
    """A connection on which requests arrive as a test wants them to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = self._socket.makefile("rb")

    def close(self) -> None:
        self._read.close()
        self._socket.close()

    def answer(self, method: str = "PUT") -> tuple[int, dict[str, str], bytes]:
        status = int(self._read.readline().split()[1])
        fields: dict[str, str] = {}
        while (line := self._read.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        length = 0 if method == "HEAD" or status in (100, 204) else int(fields.get("content-length", "0"))
        return status, fields, self._read.read(length)

    def send(self, head: bytes, body: bytes, arrival: str) -> tuple[int, dict[str, str], bytes]:
        """Send a request in a way; its answer."""
        if arrival == "pipelined":  # the one in front takes a while, and the body is here before its handler asks
            first = request("PUT", f"/{BUCKET}/first", "", {}, b"f" * 200_000, "length")
            self._socket.sendall(first[0] + first[1] + head + body)
            assert self.answer()[0] == 200
        elif arrival == "pieces":
            self._socket.sendall(head)
            for piece in chunks_of(body, 50_021):
                self._socket.sendall(piece)
        elif arrival == "bytes" and len(body) <= BYTE_BY_BYTE_MAX:
            for at in range(len(head + body)):
                self._socket.sendall((head + body)[at : at + 1])
        elif arrival == "continued":
            self._socket.sendall(head.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"))
            status = self.answer()
            if status[0] != 100:
                return status
            self._socket.sendall(body)
        else:
            self._socket.sendall(head + body)
        return self.answer()

    def call(self, method: str, path: str, query: str = "", data: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """A plain request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self._socket.sendall(b"".join(request(method, path, query, sent, data, "length")))
        status, _, content = self.answer(method)
        return status, content


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over three drives, which is checked at the end."""
    folder: Path = tmp_path_factory.mktemp("bodies")
    with Server([folder / f"d{number}" for number in range(3)]) as running:
        wire = Wire(running.port)
        assert wire.call("PUT", f"/{BUCKET}")[0] == 200
        wire.close()
        yield running


def payload_of(size: int) -> bytes:
    """Text that repeats nowhere at a distance that a fragment could have."""
    return b"".join(b"%07d," % number for number in range(size // 8 + 1))[:size]


def form_of(key: str, data: bytes) -> tuple[bytes, str]:
    """A form, whose policy allows everything, and its type."""
    policy = base64.b64encode(
        b'{"expiration": "2100-01-01T00:00:00Z", "conditions": [["starts-with", "$key", ""], {"bucket": "bodies"}]}'
    )
    signature = base64.b64encode(hmac.digest(SECRET_KEY.encode(), policy, "sha1")).decode()
    fields = {"key": key, "AWSAccessKeyId": ACCESS_KEY, "policy": policy.decode(), "signature": signature}
    text = "".join(f'--limit\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
    text += '--limit\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return text.encode() + data + b"\r\n--limit--\r\n", "multipart/form-data; boundary=limit"


class Round:
    """One body by one operation: where it is sent, and what has to be there afterwards."""

    def __init__(self, wire: Wire, operation: str, size: int) -> None:
        self.wire, self.operation = wire, operation
        self.data = payload_of(size)
        self.path, self.query, self.headers = f"/{BUCKET}/{operation}", "", {}
        if operation == "part":
            content = wire.call("POST", self.path, "uploads=")[1]
            self.upload = re.findall(rb"<UploadId>(.*)</UploadId>", content)[0].decode()
            self.query = f"partNumber=1&uploadId={self.upload}"
        elif operation == "append":
            assert wire.call("PUT", self.path, "", b"old")[0] == 200
            self.headers["x-amz-write-offset-bytes"] = "3"
        elif operation == "annotation":
            assert wire.call("PUT", self.path, "", b"old")[0] == 200
            self.query = "annotation=&annotationName=name"

    def send(self, framing: str, arrival: str) -> tuple[int, dict[str, str], bytes]:
        if self.operation == "form":
            return self._send_form(framing, arrival)
        data = self.data
        if self.operation == "document":
            self.path, self.query = f"/{BUCKET}", "tagging="
            pad = max(len(data) - 100, 0)
            data = b"<Tagging><TagSet><Tag><Key>k</Key><Value>%d</Value></Tag></TagSet><!--%b--></Tagging>" % (
                len(data),
                b"-x" * (pad // 2),
            )
            self.headers["content-md5"] = base64.b64encode(hashlib.md5(data).digest()).decode()
        head, body = request("PUT", self.path, self.query, self.headers, data, framing)
        return self.wire.send(head, body, arrival)

    def _send_form(self, framing: str, arrival: str) -> tuple[int, dict[str, str], bytes]:
        body, kind = form_of(self.operation, self.data)
        length = f"Content-Length: {len(body)}"
        if framing == "chunked":
            body, length = transfer_chunked(body), "Transfer-Encoding: chunked"
        head = f"POST /{BUCKET} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{length}\r\n\r\n"
        return self.wire.send(head.encode(), body, arrival)

    def found(self) -> bytes:
        """What the store gives back."""
        if self.operation == "part":
            etag = hashlib.md5(self.data).hexdigest()
            part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
            document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
            status, content = self.wire.call("POST", self.path, f"uploadId={self.upload}", document)
            assert status == 200, content
        if self.operation == "document":
            return self.wire.call("GET", self.path, self.query)[1]
        return self.wire.call("GET", self.path, self.query if self.operation == "annotation" else "")[1]

    def expected(self) -> bytes:
        return b"old" + self.data if self.operation == "append" else self.data


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_sent_is_what_is_read(store: Server, operation: str, framing: str) -> None:
    """Each size is answered and read back, or refused by its limit; the connection goes on after it."""
    if operation == "form" and "signed" in framing:
        return  # a form has no payload hash
    wire = Wire(store.port)
    ways = itertools.cycle(ARRIVALS)
    for size in SIZES:
        for arrival in ARRIVALS[:4] if operation == "put" else (next(ways), "pipelined"):
            one = Round(wire, operation, size)
            status, _, content = one.send(framing, arrival)
            where = (operation, framing, size, arrival, content[:400])
            if operation == "annotation" and not 0 < size <= ANNOTATION_MAX:
                assert status == 400, where
                wire.close()
                wire = Wire(store.port)
                continue
            assert status in (200, 204), where
            if operation == "document":
                assert f"<Value>{size}</Value>".encode() in one.found(), where
            else:
                assert one.found() == one.expected(), where
    wire.close()


def test_many_in_one_burst(store: Server) -> None:
    """Three chunked bodies that come in one burst are each stored whole, whatever the handlers were busy with."""
    wire = Wire(store.port)
    for size in (300 * KIB, 600 * KIB):
        data = payload_of(size)
        for _ in range(4):
            bursts = [request("PUT", f"/{BUCKET}/burst{n}", "", {}, data, "chunked") for n in range(3)]
            wire._socket.sendall(b"".join(head + body for head, body in bursts))
            assert [wire.answer()[0] for _ in range(3)] == [200, 200, 200]
            for n in range(3):
                assert wire.call("GET", f"/{BUCKET}/burst{n}")[1] == data
    wire.close()
