"""Documents in the bodies of requests: read once for all readers; each reader has its own limit of bytes."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pyrite.aws.sigv4 import UNSIGNED_PAYLOAD
from pyrite.s3.errors import S3Error
from pyrite.s3.payload import read_document


class Once:
    """A body that can be read once."""

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data

    async def read_all(self, limit_bytes: int) -> bytes:
        data, self.data = self.data, None
        assert data is not None and len(data) <= limit_bytes
        return data


def request(data: bytes) -> Any:
    payload = SimpleNamespace(mode=UNSIGNED_PAYLOAD, sha256="", signer=None)
    return SimpleNamespace(document=None, headers={}, payload=payload, body=Once(data))


def test_a_document_is_read_once_and_measured_each_time() -> None:
    """What was read under a large limit, to decide with, is refused by who takes less."""

    async def main() -> None:
        asked = request(b"x" * 1000)
        assert await read_document(asked, 2000) == b"x" * 1000
        assert await read_document(asked, 1000) == b"x" * 1000
        with pytest.raises(S3Error) as refused:
            await read_document(asked, 999)
        assert refused.value.code == "MaxMessageLengthExceeded"

    asyncio.run(main())
