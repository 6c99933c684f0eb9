"""Owns SelectObjectContent: a query over one object, answered as a stream of events."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import structlog

from pyrite.aws import eventstream, xml
from pyrite.core.errors import PyriteError
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.query.jobs import Counts, QueryFailure
from pyrite.query.processes import Output, installed
from pyrite.s3.codes import CODES
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.handlers.reads import check_restored
from pyrite.s3.held import HeldBody
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.selectrequest import Selection, parse
from pyrite.s3.service import Service

_STREAM = (b"Content-Type", b"application/vnd.amazon.eventstream")


async def select_content(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if request.parameter(b"select-type") != "2":
        raise S3Error("InvalidRequest", "select-type has to be 2")
    if not installed():
        raise S3Error("NotImplemented", "Queries need an extra that is not installed: pip install 'pyrite[select]'")
    hold = service.reading.hold()
    try:
        outputs, selection = await _begun(service, request, bucket)
    except BaseException:
        hold.release()
        raise
    return Response(200, [_STREAM], HeldBody(_events(outputs, selection), hold, outputs), None)


async def _begun(
    service: Service, request: S3Request, bucket: Bucket
) -> tuple[AsyncGenerator[Output, None], Selection]:
    """A query that was understood. Raises S3Error."""
    record = await find_judged(service, request, bucket)
    check_restored(record, service.clock.now_ms())
    key = await service.encryptor.open(request, record.encryption)
    now = datetime.fromtimestamp(service.clock.now_ms() / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    root = parse_document(await read_document(request))
    selection = parse(root, record.size_bytes, now, service.compat.loose_select)

    def read(start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        return service.reading.stream(record, start, stop, key)

    outputs = service.queries.run(selection.job, read)
    try:
        await anext(outputs)  # so that an expression that means nothing is an error and no stream
    except QueryFailure as failure:
        raise S3Error(failure.code if failure.code in CODES else "InvalidRequest", failure.message) from None
    return outputs, selection


async def _events(
    outputs: AsyncGenerator[Output, None], selection: Selection
) -> AsyncGenerator[list[memoryview], None]:
    async with aclosing(outputs):
        try:
            async for output in outputs:
                for message in _messages(output, selection):
                    yield [memoryview(message)]
        except QueryFailure as failure:
            yield [memoryview(eventstream.error(failure.code, failure.message))]
        except PyriteError as error:  # the object cannot be read
            structlog.get_logger(component="select").error("unreadable", error=str(error))
            yield [memoryview(eventstream.error("InternalError", CODES["InternalError"][1]))]


def _messages(output: Output, selection: Selection) -> list[bytes]:
    if output.records:
        return [eventstream.event("Records", output.records, "application/octet-stream")]
    if output.counts is None:
        return []
    progress = _counted("Progress", output.counts) if selection.tells_progress else eventstream.event("Cont")
    if not output.done:
        return [progress]
    stats = _counted("Stats", output.counts)
    return [*([progress] if selection.tells_progress else []), stats, eventstream.event("End")]


def _counted(kind: str, counts: Counts) -> bytes:
    content = (
        f"<BytesScanned>{counts.scanned}</BytesScanned><BytesProcessed>{counts.processed}</BytesProcessed>"
        f"<BytesReturned>{counts.returned}</BytesReturned>"
    )
    return eventstream.event(kind, f'{xml.DECLARATION}<{kind} xmlns="">{content}</{kind}>'.encode(), "text/xml")
