"""Owns WriteGetObjectResponse: the call with which a webhook answers the read that it was called for.

Source: AWS, WriteGetObjectResponse in the Amazon S3 API Reference.
"""

from collections.abc import AsyncIterator

from pyrite.core.units import KIB
from pyrite.functions.rendezvous import Undelivered
from pyrite.http.response import Response
from pyrite.s3.documents import empty
from pyrite.s3.errors import S3Error
from pyrite.s3.integrity import Integrity
from pyrite.s3.payload import Source, open_source
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service

_BLOCK_BYTES = 256 * KIB


async def write_response(service: Service, request: S3Request) -> Response:
    integrity = Integrity(request.headers, request.payload.sha256)
    headers = {text_of(name): text_of(value) for name, value in request.headers.items() if name.startswith(b"x-amz-")}
    source = open_source(request, integrity)
    if source.length is not None:
        headers["content-length"] = str(source.length)
    try:
        await service.functions.deliver(headers, _blocks(source, integrity))
    except Undelivered as error:
        raise S3Error("InvalidRequest", str(error)) from None
    return empty(200)


async def _blocks(source: Source, integrity: Integrity) -> AsyncIterator[bytes]:
    """The payload. Raises S3Error where it is not what it was said to be."""
    hashers, buffer, size = integrity.hashers(), memoryview(bytearray(_BLOCK_BYTES)), 0
    while count := await source.read_into(buffer):
        block = bytes(buffer[:count])
        for hasher in hashers.values():
            hasher.update(block)
        size += count
        yield block
    integrity.check({name: hasher.digest() for name, hasher in hashers.items()}, size)
