"""Clients of a real server that write down what they did and saw, for the judge of linearizability."""

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from pyrite.testing.linearizability import ANY, KEEP, SOMETHING, Operation
from tests.server import ACCESS_KEY, SECRET_KEY

TIMEOUT_S = 30
_REGION = "us-east-1"
_SIGNED = "host;x-amz-content-sha256;x-amz-date"
_UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


class Answer(NamedTuple):
    """A response: its status, its ETag without quotes, its body."""

    status: int
    etag: str
    body: bytes


class Connection:
    """One connection that is opened anew when it breaks. Requests are signed; bodies are not."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, query: str = "", body: bytes = b"", headers: str = "") -> Answer:
        """One request. Raises OSError, TimeoutError or asyncio.IncompleteReadError; then nobody knows what it did."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(self._request(method, path, query, body, headers))
                return await self._answer(reader, method)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    def _request(self, method: str, path: str, query: str, body: bytes, headers: str) -> bytes:
        date, host = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), f"127.0.0.1:{self._port}"
        scope = f"{date[:8]}/{_REGION}/s3/aws4_request"
        fields = f"host:{host}\nx-amz-content-sha256:{_UNSIGNED_PAYLOAD}\nx-amz-date:{date}\n"
        canonical = f"{method}\n{quote(path)}\n{query}\n{fields}\n{_SIGNED}\n{_UNSIGNED_PAYLOAD}"
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = b"AWS4" + SECRET_KEY.encode()
        for part in (date[:8], _REGION, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        target = quote(path) + (f"?{query}" if query else "")
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nx-amz-date: {date}\r\n"
            f"x-amz-content-sha256: {_UNSIGNED_PAYLOAD}\r\nContent-Length: {len(body)}\r\n{headers}"
            f"Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={_SIGNED}, "
            f"Signature={signature}\r\n\r\n"
        )
        return head.encode() + body

    async def _answer(self, reader: asyncio.StreamReader, method: str) -> Answer:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = int(headers.get("content-length", 0)) if method != "HEAD" else 0
        body = await reader.readexactly(length)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(lines[0].split()[1]), headers.get("etag", "").strip('"'), body)


class Recorder:
    """One client: random operations on a few keys of a bucket, and what came of them."""

    def __init__(self, port: int, bucket: str, rng: random.Random, note: Callable[[str, Operation], None]) -> None:
        self.connection = Connection(port)
        self._bucket = bucket
        self._rng = rng
        self._note = note
        self._seen: dict[str, str] = {}
        self.done = 0

    async def work(self, keys: list[str], count: int) -> None:
        """`count` operations, one after the other."""
        actions = [self.put] * 7 + [self.get] * 7 + [self.delete] * 2 + [self.create] * 2 + [self.replace] * 2
        for _ in range(count):
            try:
                await self._rng.choice(actions)(self._rng.choice(keys))
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.02)
            self.done += 1

    async def put(self, key: str) -> None:
        """Put whatever is there."""
        await self._write(key, ANY, "")

    async def create(self, key: str) -> None:
        """Put where nothing is."""
        await self._write(key, None, "If-None-Match: *\r\n")

    async def replace(self, key: str) -> None:
        """Put where still stands what was seen last."""
        seen = self._seen.get(key)
        if seen is not None:
            await self._write(key, seen, f'If-Match: "{seen}"\r\n')

    async def _write(self, key: str, found: str | None, headers: str) -> None:
        body = self._rng.randbytes(24)
        value = hashlib.md5(body, usedforsecurity=False).hexdigest()
        operation = Operation(found, value, time.monotonic())
        answer = await self._change("PUT", key, operation, body, headers)
        if answer is not None and answer.status == 200:
            assert answer.etag == value
            self._seen[key] = value

    async def delete(self, key: str) -> None:
        """Delete it, there or not."""
        await self._change("DELETE", key, Operation(ANY, None, time.monotonic()), b"", "")

    async def _change(self, method: str, key: str, operation: Operation, body: bytes, headers: str) -> Answer | None:
        """Do and note it: with an answer what it says, without one that it may have happened at any time since."""
        try:
            answer = await self.connection.ask(method, f"/{self._bucket}/{key}", "", body, headers)
        except ConnectionRefusedError:
            raise  # nobody has heard of it
        except BaseException:
            self._note(key, operation)
            raise
        now = time.monotonic()
        if answer.status in (200, 204):
            self._note(key, operation._replace(returned_s=now))
        elif answer.status == 412 and operation.found is None:
            self._note(key, Operation(SOMETHING, KEEP, operation.called_s, now))
        elif answer.status == 404:
            self._note(key, Operation(None, KEEP, operation.called_s, now))
        elif answer.status != 412:  # a condition that was not met changes nothing
            assert answer.status in (409, 500, 503), answer
            self._note(key, operation)
        return answer

    async def get(self, key: str) -> str | None:
        """Read it; its value. Raises AssertionError when the bytes are not those of the ETag."""
        called_s = time.monotonic()
        answer = await self.connection.ask("GET", f"/{self._bucket}/{key}")
        if answer.status == 404:
            self._note(key, Operation(None, KEEP, called_s, time.monotonic()))
            return None
        if answer.status != 200:
            assert answer.status == 503, answer
            raise ConnectionError("refused for now")
        value = hashlib.md5(answer.body, usedforsecurity=False).hexdigest()
        assert value == answer.etag, f"{key} has other bytes than its ETag says"
        self._note(key, Operation(value, KEEP, called_s, time.monotonic()))
        self._seen[key] = value
        return value
