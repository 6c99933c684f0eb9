"""Owns the request head: parsing it with httptools and refusing every ambiguous framing. Pure.

Framing is decided here once (RFC 9112 section 6.3), by rules stricter than the RFC's: what two parsers could
read in two ways is refused, so that no request can be smuggled.
"""

import httptools

from pyrite.core.counts import parse_count
from pyrite.http.errors import HttpError
from pyrite.http.limits import Limits

_NO_BODY_METHODS_OK = frozenset((b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"OPTIONS", b"PATCH"))


class RequestHead:
    """The first line and the fields of a request, as they were sent.

    `target` is the raw request target; `headers` keeps order and duplicates with names in lower case; `fields`
    maps a name to its value, duplicates joined by a comma. `length` is the declared length of the body in
    bytes (0 without a body), None when it is chunked.
    """

    __slots__ = ("expect_continue", "fields", "headers", "keep_alive", "length", "method", "target", "version")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.fields: dict[bytes, bytes] = {}
        self.length: int | None = 0
        self.keep_alive = True
        self.expect_continue = False

    def is_plain(self, body_bytes: int) -> bool:
        """Whether a body of at most `body_bytes` follows without ceremony, on a connection that goes on."""
        return self.length is not None and self.length <= body_bytes and self.keep_alive and not self.expect_continue

    # Callbacks of httptools.

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def parse_head(raw: bytes, limits: Limits) -> RequestHead:
    """The head in `raw`, which ends in an empty line. Raises HttpError."""
    head = RequestHead()
    _check_bytes(raw)
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # an upgrade is not taken; the request is served as it is
    except httptools.HttpParserError as error:
        raise HttpError(400, f"malformed request: {error}") from error
    head.method = parser.get_method()
    head.version = parser.get_http_version()
    _check_head(head, limits)
    _decide_framing(head)
    connection = head.fields.get(b"connection")
    if connection is not None or head.version == "1.0":
        options = {option.strip() for option in (connection or b"").lower().split(b",")}
        head.keep_alive = b"close" not in options and (head.version == "1.1" or b"keep-alive" in options)
    expect = head.fields.get(b"expect")
    head.expect_continue = expect is not None and expect.lower() == b"100-continue"
    return head


def head_end(data: bytes, limits: Limits) -> tuple[int, int]:
    """Where the head that `data` begins with starts and ends; it ends at -1 while it is incomplete.

    Raises:
        HttpError: It is too long.
    """
    start = 2 if data.startswith(b"\r\n") else 0  # RFC 9112 section 2.2
    end = data.find(b"\r\n\r\n", start)
    if end > limits.head_bytes or (end < 0 and len(data) > limits.head_bytes):
        raise HttpError(431, "the request head is too long")
    return start, end + 4 if end >= 0 else -1


def _check_bytes(raw: bytes) -> None:
    lines = raw.count(b"\r\n")
    if raw.count(b"\n") != lines or raw.count(b"\r") != lines:
        raise HttpError(400, "a line of the request head does not end in CRLF")
    if b"\r\n " in raw or b"\r\n\t" in raw:
        raise HttpError(400, "folded header fields are not accepted")
    if b"\0" in raw:
        raise HttpError(400, "the request head contains a NUL byte")


def _check_head(head: RequestHead, limits: Limits) -> None:
    if head.method not in _NO_BODY_METHODS_OK:
        raise HttpError(501, "the method is not implemented")
    if head.version not in ("1.1", "1.0"):
        raise HttpError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if not head.target or len(head.target) > limits.target_bytes:
        raise HttpError(414, "the request target is too long")
    if len(head.headers) > limits.header_count:
        raise HttpError(431, "too many header fields")
    fields = head.fields = dict(head.headers)
    if len(fields) < len(head.headers):
        if sum(name == b"host" for name, _ in head.headers) > 1:
            raise HttpError(400, "exactly one Host field is needed")
        fields.clear()
        for name, value in head.headers:
            fields[name] = fields[name] + b"," + value if name in fields else value
    if b"host" not in fields and head.version == "1.1":
        raise HttpError(400, "exactly one Host field is needed")


def _decide_framing(head: RequestHead) -> None:
    length, coding = head.fields.get(b"content-length"), head.fields.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise HttpError(400, "Content-Length and Transfer-Encoding together are ambiguous")
        if coding.lower() != b"chunked" or head.version == "1.0":
            raise HttpError(400, "the only transfer coding accepted is chunked, on HTTP/1.1")
        head.length = None
    elif length is not None:
        head.length = parse_count(length)
        if head.length is None:
            raise HttpError(400, "Content-Length is not one decimal number")
