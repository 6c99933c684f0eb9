"""Where answers of functions arrive, and who takes them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyrite.functions.calls import FunctionFailure, Head
from pyrite.functions.rendezvous import ROUTE, TOKEN, Handover, Undelivered, deliver, meeting


@pytest.mark.parametrize("turns", range(6))
def test_who_takes_an_answer_can_be_cancelled(turns: int) -> None:
    """At any moment, also in that in which something arrives: nobody goes on for a client that has gone."""

    async def main() -> None:
        handover, taken = Handover(), list[object]()

        async def take() -> None:
            async for told in handover.tell(100.0):
                taken.append(told)

        taking = asyncio.create_task(take())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await handover.put(b"arrives")
        for _ in range(turns):
            await asyncio.sleep(0)
        taking.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert taking.cancelled(), taken

    asyncio.run(main())


def test_a_function_that_says_nothing_is_given_up() -> None:
    """Each piece of an answer has its time; what has arrived is told before."""

    async def main() -> None:
        handover = Handover()
        await handover.put(b"something")
        telling = handover.tell(0.01)
        assert await anext(telling) == b"something"
        with pytest.raises(FunctionFailure) as failed:
            await anext(telling)
        assert failed.value.code == "LambdaTimeout"

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(12))
def test_a_client_that_leaves_ends_the_delivery(tmp_path: Path, turns: int) -> None:
    """At whatever moment the client leaves, the function that still answers is told that nobody waits."""

    async def main() -> None:
        async def blocks() -> AsyncIterator[bytes]:
            for _ in range(8):  # more than is kept for a client
                yield b"x" * 65536

        async with meeting(tmp_path, "0" * 16, "token", Handover(), lambda _: Head(200, {})):
            headers = {ROUTE: "0" * 16, TOKEN: "token"}
            delivering = asyncio.create_task(deliver(tmp_path, headers, blocks()))
            for _ in range(turns):
                await asyncio.sleep(0)
        with pytest.raises(Undelivered):
            async with asyncio.timeout(10):
                await delivering

    asyncio.run(main())
