"""The quick way of small requests: what it gives up is done again by the long way, so it gives up nothing done."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pyrite.core.errors import OutcomeUnknown, OutOfSpace, PyriteError, Unavailable
from pyrite.http.head import parse_head
from pyrite.http.limits import Limits
from pyrite.http.response import Response
from pyrite.iam.caller import Caller
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import ConditionalConflict, NoSuchBucket
from pyrite.objects.records import FORMAT, BucketRecord
from pyrite.s3.quick import QuickWay
from pyrite.s3.request import Place


def way_of(error: PyriteError, told: list[str]) -> QuickWay:
    """A quick way whose writes fail with `error`."""

    async def fail(*_: object) -> None:
        raise error

    async def find(name: str) -> Bucket:
        return Bucket(1, BucketRecord(FORMAT, 1, name, "owner", 0), 1)

    def failed(error: PyriteError, place: Place) -> Response:
        return Response(503, [], f"{type(error).__name__} {place.method}".encode())

    service: Any = SimpleNamespace(
        buckets=SimpleNamespace(find=find, is_outdated=lambda _: False),
        access=SimpleNamespace(allows_quickly=lambda *_: True, forget=lambda: None),
        objects=SimpleNamespace(put_small=fail, delete=fail),
        encryptor=SimpleNamespace(may_seal_quickly=lambda _: True, quick=lambda: None),
    )
    authenticator: Any = SimpleNamespace(mark=1, identify=lambda *_: Caller(kind="Account", owner="owner"))
    return QuickWay(service, authenticator, list, failed, lambda: 0.0, lambda operation, *_: told.append(operation))


def answer(way: QuickWay, method: str) -> Response | None:
    """What the quick way makes of a small request."""
    fields = "Host: h\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\nContent-Length: 1\r\n"
    head = parse_head(f"{method} /bucket/k HTTP/1.1\r\n{fields}\r\n".encode(), Limits())

    async def main() -> Response | None:
        found = way.answer(head, b"x")
        return await found if found is not None and not isinstance(found, Response) else found

    return asyncio.run(main())


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "error", [OutcomeUnknown("x"), Unavailable("x"), OutOfSpace("x")], ids=lambda e: type(e).__name__
)
def test_a_write_whose_outcome_is_unknown_is_not_repeated(method: str, error: PyriteError) -> None:
    """Where the store does not know whether a write was done, it says so and does not leave it to the long way."""
    told: list[str] = []
    response = answer(way_of(error, told), method)
    assert response is not None and (response.status, response.body) == (
        503,
        f"{type(error).__name__} {method}".encode(),
    )
    assert told == [{"PUT": "PutObject", "DELETE": "DeleteObject"}[method]]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("error", [NoSuchBucket("b"), ConditionalConflict("k")], ids=lambda e: type(e).__name__)
def test_a_write_that_was_not_done_is_left_to_the_long_way(method: str, error: PyriteError) -> None:
    """What is certain to have had no effect is decided by the long way alone."""
    told: list[str] = []
    assert answer(way_of(error, told), method) is None
    assert told == []
