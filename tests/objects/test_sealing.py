"""Sealed bytes: every range opens to what was sealed, and nothing that was altered, moved or cut off opens at all."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrite.core.errors import Corrupt
from pyrite.objects.sealing import (
    FRAME_BYTES,
    TAG_BYTES,
    Cipher,
    open_stream,
    open_whole,
    part_key,
    sealed_length,
    sealed_range,
)

KEY = bytes(range(32))
PLAIN = bytes(n * 7 % 251 for n in range(3 * FRAME_BYTES + 100))
SEALED_FRAME = FRAME_BYTES + TAG_BYTES
sizes = st.sampled_from([1, 100, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, len(PLAIN)])


async def blocks_of(data: bytes, step: int) -> AsyncIterator[list[memoryview]]:
    for start in range(0, len(data), 3 * step):
        block = memoryview(data)[start : start + 3 * step]
        yield [block[n : n + step] for n in range(0, len(block), step)]


def streamed(sealed: bytes, size: int, start: int, stop: int, step: int) -> bytes:
    wanted = sealed_range(size, start, stop)

    async def run() -> bytes:
        blocks = blocks_of(sealed[wanted.start : wanted.stop], step)
        return b"".join([bytes(view) async for block in open_stream(Cipher(KEY), blocks, wanted) for view in block])

    return asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(size=sizes, data=st.data(), step=st.sampled_from([1000, 65_536, 65_552, 200_000]))
def test_every_range_opens(size: int, data: st.DataObject, step: int) -> None:
    """Whole and in any range, however the sealed bytes come in."""
    plain = PLAIN[:size]
    sealed = bytes(Cipher(KEY).seal(plain))
    assert len(sealed) == sealed_length(size)
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    assert streamed(sealed, size, start, stop, step) == plain[start:stop]
    wanted = sealed_range(size, start, stop)
    assert open_whole(Cipher(KEY), memoryview(sealed[wanted.start : wanted.stop]), wanted) == plain[start:stop]


def test_what_is_altered_does_not_open() -> None:
    """A bit changed, frames exchanged, a frame left out, the end cut off, another key: each is noticed."""
    size = len(PLAIN)
    sealed = bytes(Cipher(KEY).seal(PLAIN))
    first, second = sealed[:SEALED_FRAME], sealed[SEALED_FRAME : 2 * SEALED_FRAME]
    exchanged = second + first + sealed[2 * SEALED_FRAME :]
    for wrong in (sealed[:500] + bytes([sealed[500] ^ 1]) + sealed[501:], exchanged):
        with pytest.raises(Corrupt):
            streamed(wrong, size, 0, size, 65_536)
    shorter = 2 * FRAME_BYTES  # whoever cuts whole frames off and says that this is all
    with pytest.raises(Corrupt):
        streamed(sealed[: sealed_length(shorter)], shorter, 0, shorter, 65_536)
    with pytest.raises(Corrupt):
        streamed(sealed[: sealed_length(size) - 1], size, 0, size, 65_536)
    with pytest.raises(Corrupt):
        Cipher(bytes(32)).open_into(memoryview(first), memoryview(bytearray(FRAME_BYTES)), 0, 3)


def test_blocks_are_sealed_as_the_whole_is() -> None:
    """Sealing block by block gives what sealing at once gives."""
    cipher, whole = Cipher(KEY), bytes(Cipher(KEY).seal(PLAIN))
    head = bytes(cipher.seal(PLAIN[: 2 * FRAME_BYTES], 0, is_end=False))
    assert head + bytes(cipher.seal(PLAIN[2 * FRAME_BYTES :], 2, is_end=True)) == whole


def test_parts_have_keys_of_their_own() -> None:
    """Two parts of one object, and one part put twice, are sealed with different keys."""
    assert len({part_key(KEY, b"a" * 16), part_key(KEY, b"b" * 16), KEY}) == 3
