"""Owns calling a declared function, of whichever kind, and reading its answer in a task of its own."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Self

from pyrite.core.entropy import Entropy
from pyrite.functions.calls import Answer, Call, FunctionFailure, Head, Read, check_headers, check_status
from pyrite.functions.declared import Declaration, Function
from pyrite.functions.processes import PythonFunctions
from pyrite.functions.rendezvous import Told, deliver
from pyrite.functions.webhooks import WebhookFunctions
from pyrite.http.outbound import Outbound

_AHEAD_BLOCKS = 4


class Functions:
    """The functions of a store."""

    def __init__(
        self,
        declaration: Declaration,
        endpoint: str,
        outbound: Outbound,
        entropy: Entropy,
        folder: Path,
        hidden: tuple[str, ...] = (),
    ) -> None:
        """`endpoint` is where webhooks reach the store unless the declaration says otherwise; `folder` is where its
        processes meet; `hidden` are the files and folders of the store, which no function may read.
        """
        self._folder = folder
        self.endpoint = declaration.endpoint or endpoint
        self._declared = {function.name: function for function in declaration.functions}
        self._python = PythonFunctions(hidden)
        self._webhooks = WebhookFunctions(outbound, entropy, folder)

    def find(self, name: str) -> Function | None:
        """The function of that name."""
        return self._declared.get(name)

    async def deliver(self, headers: Mapping[str, str], blocks: AsyncIterator[bytes]) -> None:
        """Hand an answer that a webhook gives by WriteGetObjectResponse to who waits for it. Raises Undelivered."""
        await deliver(self._folder, headers, blocks)

    async def call(self, function: Function, call: Call, read: Read, input_url: Callable[[], str]) -> Answer:
        """The answer, once it has begun. `input_url` makes the URL at which a webhook can read the object.

        Raises FunctionFailure; so does the body, where the function fails later, and what `read` raises.
        """
        if function.kind == "python":
            telling = self._python.call(function, call, read)
        else:
            telling = self._webhooks.call(function, call, input_url())
        reading = _Reading(telling)
        try:
            head = await reading.next()
            if not isinstance(head, Head):
                raise FunctionFailure("LambdaResponseNotReceived", "The function ended without an answer.")
            head = Head(check_status(head.status), check_headers(head.headers), head.length)
        except BaseException:
            await reading.close()
            raise
        return Answer(head, _Blocks(reading))


class _Reading:
    """What a function tells, read ahead by a task: it is begun and ended there, whoever asks for what it said."""

    def __init__(self, telling: AsyncGenerator[Told, None]) -> None:
        self._queue: asyncio.Queue[Told | BaseException | None] = asyncio.Queue(_AHEAD_BLOCKS)
        self._task = asyncio.create_task(self._run(telling))

    async def _run(self, telling: AsyncGenerator[Told, None]) -> None:
        try:
            async with contextlib.aclosing(telling):
                async for told in telling:
                    await self._queue.put(told)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is read
            await self._queue.put(error)
        else:
            await self._queue.put(None)

    async def next(self) -> Told | None:
        """The next thing told; None at the end."""
        told = await self._queue.get()
        if isinstance(told, BaseException):
            raise told
        return told

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class _Blocks:
    """The body of an answer. An object and no generator: one that was never begun has to end the function, too."""

    def __init__(self, reading: _Reading) -> None:
        self._reading = reading

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[memoryview]:
        while (told := await self._reading.next()) is not None:
            if isinstance(told, bytes) and told:
                return [memoryview(told)]
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the function."""
        await self._reading.close()
