"""A few processes for many clients: one that takes nothing holds no place that others wait for."""

import asyncio
from typing import Any

import pytest

from pyrite.core import piped
from pyrite.core.piped import Places
from pyrite.core.tasks import begin


class Process:
    """A process that notes its end."""

    is_killed = False

    def kill(self) -> None:
        """It is ended."""
        self.is_killed = True


async def handed_out(places: Places, process: Any, taken: asyncio.Event) -> bool:
    """Whether a client that takes something once it is told to has lost its place."""
    async with places.one() as place:
        assert place.is_given
        with place.handing_out(process):
            await taken.wait()
        return place.is_lost


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_a_slow_client_loses_its_place_to_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is ended and the next one begins at once; the slow one learns of it when it goes on."""
    monkeypatch.setattr(piped, "SLOW_S", 0.01)

    async def main() -> None:
        places, process, taken = Places(1, 8), Process(), asyncio.Event()
        slow = asyncio.create_task(handed_out(places, process, taken))
        await asyncio.sleep(0)
        async with places.one() as place:
            assert place.is_given and process.is_killed
        taken.set()
        assert await slow, "it has lost its place"
        async with places.one() as one:
            assert one.is_given
            assert not places.are_wanted

    asyncio.run(main())


def test_a_slow_client_keeps_its_place_where_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes, it is let be; and a quick one is while others wait."""
    monkeypatch.setattr(piped, "SLOW_S", 0.001)

    async def main() -> None:
        places, process, taken = Places(1, 8), Process(), asyncio.Event()
        looks = 0
        loop, call_later = asyncio.get_running_loop(), asyncio.get_running_loop().call_later

        def counted(delay: float, callback: Any, *args: Any) -> Any:
            nonlocal looks
            looks += 1
            return call_later(delay, callback, *args)

        monkeypatch.setattr(loop, "call_later", counted)
        slow = asyncio.create_task(handed_out(places, process, taken))
        await until(lambda: looks >= 4)
        taken.set()
        assert not await slow and not process.is_killed

    asyncio.run(main())


def test_places_are_few() -> None:
    """Who comes when too many wait gets none, and a place that was lost is put back once."""

    async def main() -> None:
        places = Places(1, 0)
        async with places.one() as none:
            assert not none.is_given
        places = Places(1, 1)
        async with places.one() as place:
            assert place.is_given
            place.release()
            place.release()
            async with places.one() as other:
                assert other.is_given
        assert places._free._value == 1

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(8))
def test_who_is_cancelled_holds_no_place(turns: int) -> None:
    """A client that leaves while it waits, or in the very moment in which it gets a place, leaves it to the next."""

    async def main() -> None:
        places = Places(1, 8)

        async def wait() -> None:
            async with places.one():
                await asyncio.Event().wait()

        tasks: list[asyncio.Task[None]] = []

        def start() -> None:  # as a connection begins a request: in a callback, outside of any task
            task = begin(wait())
            assert task is not None
            tasks.append(task)
            if not turns:
                task.cancel()

        async with places.one():
            asyncio.get_running_loop().call_soon(start)
            await until(lambda: tasks)
            if turns >= 4:
                await until(lambda: places.are_wanted)
        (waiting,) = tasks
        for _ in range(turns % 4):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled() and not places.are_wanted
        async with places.one() as place:
            assert place.is_given

    asyncio.run(main())
