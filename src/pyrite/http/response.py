"""Owns responses and how their heads are written."""

import time
from collections.abc import AsyncIterator
from http import HTTPStatus

from pyrite.core.errors import PyriteError

Headers = list[tuple[bytes, bytes]]
BodyStream = AsyncIterator[list[memoryview]]

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_WITHOUT_LENGTH = frozenset((204, 304))

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


class UnsafeHeader(PyriteError):
    """A header field would have contained a line break."""


class Response:
    """A status, header fields and a body.

    `body` is bytes, a stream of blocks whose views last until the next block is asked for, or None. `length`
    is what Content-Length says: that of `body` where it is bytes; what a HEAD answer announces; None for a
    stream whose length is not known, which is sent chunked.
    """

    __slots__ = ("body", "close", "headers", "length", "status")

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: "bytes | memoryview | BodyStream | None" = b"",
        length: int | None = None,
        close: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.length = len(body) if isinstance(body, (bytes, memoryview)) and length is None else length
        self.close = close


def http_date(seconds: int) -> bytes:
    """`seconds` since the epoch as an HTTP date (RFC 9110 section 5.6.7)."""
    t = time.gmtime(seconds)
    return b"%b, %02d %b %d %02d:%02d:%02d GMT" % (
        _DAYS[t.tm_wday], t.tm_mday, _MONTHS[t.tm_mon - 1], t.tm_year, t.tm_hour, t.tm_min, t.tm_sec
    )  # fmt: skip


def render_head(response: Response, date: bytes, close: bool) -> bytes:
    """The head of `response`, up to and with the empty line. Raises UnsafeHeader."""
    lines = [_STATUS_LINES[response.status], b"Server: Pyrite\r\nDate: ", date, b"\r\n"]
    for name, value in response.headers:
        lines += (name, b": ", value, b"\r\n")
    count = len(response.headers) + 4
    if response.status in _WITHOUT_LENGTH:
        count -= 1
    elif response.length is not None:
        lines.append(b"Content-Length: %d\r\n" % response.length)
    else:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if close:
        lines.append(b"Connection: close\r\n")
        count += 1
    lines.append(b"\r\n")
    head = b"".join(lines)
    if head.count(b"\n") != count + 1 or head.count(b"\r") != count + 1:
        raise UnsafeHeader("a header field contains a line break")
    return head
