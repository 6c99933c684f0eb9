"""Owns the quick way of a plain signed GET or HEAD of a small object: no coroutine, no request object, no waiting.

It answers only what it is certain of. Everything else (errors, conditions, ranges, queries, escapes in the path,
objects that are not at hand) it leaves to `s3/app.py`, which decides it alone.
"""

from collections.abc import Callable

from pyrite.aws.errors import AuthFault
from pyrite.core.atonce import Waits, at_once
from pyrite.core.errors import PyriteError
from pyrite.http.head import RequestHead
from pyrite.http.response import Headers, Response
from pyrite.s3.authentication import Authenticator
from pyrite.s3.headers import object_headers
from pyrite.s3.service import Service

_ELSEWHERE = frozenset(
    (
        b"range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"x-amz-expected-bucket-owner",
        b"x-amz-security-token",
        b"expect",
    )
)

OnQuick = Callable[[str, Response, float], None]
"""Hears of each answer: the operation, the response, and when the request was complete."""


class QuickReads:
    """Answers plain reads at once. `identify` of the authenticator is the same check as everywhere."""

    def __init__(
        self, service: Service, authenticator: Authenticator, id_headers: Callable[[], Headers], on_quick: OnQuick
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._id_headers = id_headers
        self._on_quick = on_quick

    def answer(self, head: RequestHead, now_s: Callable[[], float]) -> Response | None:
        """The response to `head`, or None when it is not for this way."""
        target, fields = head.target, head.fields
        if head.method not in (b"GET", b"HEAD"):
            return None
        if b"?" in target or b"%" in target or not target.startswith(b"/") or not _ELSEWHERE.isdisjoint(fields):
            return None
        name, _, key = target[1:].partition(b"/")
        if not key:
            return None
        started_s = now_s()
        try:
            if self._authenticator.identify(head) is None:
                return None
            response = self._read(name, key, fields, head.method == b"GET")
        except (AuthFault, PyriteError, Waits, UnicodeDecodeError):
            return None
        if response is not None:
            self._on_quick("GetObject" if response.body is not None else "HeadObject", response, started_s)
        return response

    def _read(self, name: bytes, key: bytes, fields: dict[bytes, bytes], with_body: bool) -> Response | None:
        service = self._service
        bucket = at_once(service.buckets.find(name.decode("ascii")))
        found = at_once(service.naming.current(bucket, key))
        if found is None:
            return None
        record = found.record
        headers = object_headers(record, fields.get(b"x-amz-checksum-mode", b"").upper() == b"ENABLED")
        headers += self._id_headers()
        if not with_body:
            return Response(200, headers, None, record.size_bytes)
        if not record.size_bytes:
            return Response(200, headers, b"")
        view = service.reading.now(record, 0, record.size_bytes)
        return None if view is None else Response(200, headers, view)
