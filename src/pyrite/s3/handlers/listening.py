"""Owns the live stream of a bucket's events over HTTP, as MinIO's clients ask for it."""

from typing import Self

from pyrite.core.errors import PyriteError
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.events import Listener, is_event
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service
from pyrite.services.listening import TooManyListeners

EVENTS_MAX = 50
DECIDED_FOR_MS = 5_000


async def listen(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    events = tuple(text_of(value) for name, value in request.target.query if name == b"events")
    if not events or len(events) > EVENTS_MAX or not all(map(is_event, events)):
        raise S3Error("InvalidArgument", "A specified event is not supported for notifications.")
    prefix, suffix = request.parameter(b"prefix") or "", request.parameter(b"suffix") or ""
    try:
        listener = await service.listeners.begin(bucket, events, prefix, suffix)
    except TooManyListeners:
        raise S3Error("SlowDown", "The bucket has as many listeners as it may have.") from None
    stream = _Stream(service, request, bucket, listener)
    return Response(200, [(b"Content-Type", b"text/event-stream")], stream, None)


class _Stream:
    """The lines for one listener. An object and no generator: one that was never begun has to be ended, too.

    Whether it may listen is decided again every few seconds, and with every change of who may do what.
    """

    def __init__(self, service: Service, request: S3Request, bucket: Bucket, listener: Listener) -> None:
        self._service = service
        self._request = request
        self._listeners = service.listeners
        self._bucket = bucket
        self._listener = listener
        self._lines = service.listeners.stream(bucket, listener)
        self._mark, self._decided_ms = service.authenticator.mark, service.clock.now_ms()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[memoryview]:
        line = await anext(self._lines)
        if not await self._may_go_on():
            raise StopAsyncIteration
        return [memoryview(line)]

    async def _may_go_on(self) -> bool:
        service, now_ms = self._service, self._service.clock.now_ms()
        mark = service.authenticator.mark
        if mark != self._mark or now_ms - self._decided_ms >= DECIDED_FOR_MS:
            try:
                await service.authenticator.again(self._request)
                await service.access.authorize(self._request)
            except PyriteError:
                return False
            self._mark, self._decided_ms = mark, now_ms
        return True

    async def aclose(self) -> None:
        """End it."""
        await self._lines.aclose()  # type: ignore[attr-defined]
        await self._listeners.end(self._bucket.record.name, self._listener.id)
