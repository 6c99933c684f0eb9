"""Bodies that are ended wherever they are: begun or not, whole or broken off."""

import asyncio
from collections.abc import AsyncGenerator

from pyrite.s3.told import BegunBody, ToldBody


class Source:
    """Blocks, and whether what gave them was ended."""

    def __init__(self, *blocks: bytes) -> None:
        self.is_ended = False
        self._blocks = blocks

    async def blocks(self) -> AsyncGenerator[list[memoryview], None]:
        """Each block by itself."""
        try:
            for block in self._blocks:
                yield [memoryview(block)]
        finally:
            self.is_ended = True


def test_a_body_that_was_never_asked_for_is_ended() -> None:
    """What reads the object is closed though only its first block was taken: its buffer goes back at once."""

    async def main() -> None:
        source = Source(b"one", b"two")
        stream = source.blocks()
        body = BegunBody(await anext(stream), stream)
        await body.aclose()
        assert source.is_ended

    asyncio.run(main())


def test_a_begun_body_is_whole() -> None:
    """The block that was taken comes first, the others follow."""

    async def main() -> None:
        source = Source(b"one", b"two", b"three")
        stream = source.blocks()
        body = BegunBody(await anext(stream), stream)
        assert [bytes(view) async for views in body for view in views] == [b"one", b"two", b"three"]
        await body.aclose()
        assert source.is_ended

    asyncio.run(main())


def test_the_end_of_a_body_is_told_once() -> None:
    """With the bytes that went out and whether those were all: to the end, in the middle, and never begun."""

    async def main() -> None:
        told: list[tuple[int, bool]] = []
        for taken in (3, 1, 0):
            source = Source(b"one", b"four", b"sixsix")
            body = ToldBody(source.blocks(), lambda sent, whole: told.append((sent, whole)))
            for _ in range(taken):
                await anext(body)
            if taken == 3:
                assert [views async for views in body] == []
            await body.aclose()
            await body.aclose()
        assert told == [(13, True), (3, False), (0, False)]

    asyncio.run(main())
