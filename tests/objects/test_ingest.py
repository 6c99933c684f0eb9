"""Unit tests of taking in bodies: what is longer or shorter than it says is not taken."""

import asyncio
from typing import Any

import pytest

from pyrite.objects.errors import SizeMismatch
from pyrite.objects.ingest import accept, receive
from pyrite.testing.workload import Body


@pytest.mark.parametrize("size", [1, 4, 1000, 131_072])
def test_a_small_body_that_goes_on(size: int) -> None:
    """A body that comes in pieces and does not end where its length says is refused: nothing of it is stored."""
    body = Body(b"x" * (size + 1), whole=False)
    body.length = size
    blobs: Any = None  # a small body is not stored here
    with pytest.raises(SizeMismatch):
        asyncio.run(receive(blobs, body, {}, accept))


@pytest.mark.parametrize("size", [0, 1, 131_072])
@pytest.mark.parametrize("measured", [True, False])
def test_a_small_body_that_ends(size: int, measured: bool) -> None:
    """A body of the length that it says, or of none, is there as it was sent."""
    blobs: Any = None
    taken = asyncio.run(receive(blobs, Body(b"x" * size, False, measured), {}, accept))
    assert bytes(taken.data) == b"x" * size  # type: ignore[union-attr]
