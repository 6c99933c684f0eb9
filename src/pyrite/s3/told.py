"""Owns bodies whose end is told of: how many bytes of them were handed out, and whether those were all."""

from collections.abc import Callable
from typing import Self

from pyrite.http.response import BodyStream

OnEnd = Callable[[int, bool], None]


class ToldBody:
    """A stream that calls `on_end` once when it is closed, also where it was never begun."""

    def __init__(self, body: BodyStream, on_end: OnEnd) -> None:
        self._body = body
        self._blocks = aiter(body)
        self._on_end: OnEnd | None = on_end
        self._sent = 0
        self._is_whole = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[memoryview]:
        try:
            block = await anext(self._blocks)
        except StopAsyncIteration:
            self._is_whole = True
            raise
        self._sent += sum(map(len, block))
        return block

    async def aclose(self) -> None:
        """End it."""
        on_end, self._on_end = self._on_end, None
        try:
            closer = getattr(self._body, "aclose", None)
            if closer is not None:
                await closer()
        finally:
            if on_end is not None:
                on_end(self._sent, self._is_whole)


class BegunBody:
    """A stream of which the first block has been taken. An object and no generator: that is ended where it began."""

    def __init__(self, first: list[memoryview], rest: BodyStream) -> None:
        self._first: list[memoryview] | None = first
        self._rest = rest

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[memoryview]:
        first, self._first = self._first, None
        return first if first is not None else await anext(self._rest)

    async def aclose(self) -> None:
        """End it."""
        self._first = None
        await self._rest.aclose()  # type: ignore[attr-defined]
