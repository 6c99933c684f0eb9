"""Owns bodies that read an object again and again while they are sent, which keeps the object's bytes."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, Self

from pyrite.objects.reading import Hold


class _Body(Protocol):
    def __aiter__(self) -> AsyncIterator[list[memoryview]]: ...

    async def aclose(self) -> None: ...


class HeldBody:
    """A body, and what it holds until it is ended. An object and no generator: it may be ended before it is begun."""

    def __init__(self, body: _Body, hold: Hold, source: AsyncGenerator[object, None] | None = None) -> None:
        """`source` is what `body` reads from, if that has to be ended, too."""
        self._body = body
        self._source = source
        self._blocks = aiter(body)
        self._hold = hold

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[memoryview]:
        return await anext(self._blocks)

    async def aclose(self) -> None:
        """End it."""
        try:
            await self._body.aclose()
            if self._source is not None:
                await self._source.aclose()
        finally:
            self._hold.release()
