"""Long work is done in turns, and never keeps everything else waiting."""

import asyncio

import pytest

from pyrite.core import turns
from pyrite.core.turns import Turns


def test_long_work_is_done_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other in the order in which they came, while others on the loop go on between the slices."""
    monkeypatch.setattr(turns, "SLICE_S", 0.0)
    seen: list[str] = []

    async def work(name: str, free: Turns) -> None:
        async with free.one() as turn:
            for step in range(3):
                seen.append(f"{name}{step}")
                await turn.pause()

    async def other() -> None:
        for _ in range(6):
            seen.append("other")
            await asyncio.sleep(0)

    async def main() -> None:
        free = Turns()
        await asyncio.gather(work("a", free), work("b", free), other())

    asyncio.run(main())
    assert [name for name in seen if name != "other"] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert "other" in seen[1:4], "nobody waits for all of it"


def test_a_turn_that_fails_is_given_on() -> None:
    """Whoever is cancelled or raises in its turn leaves it to the next."""

    async def main() -> None:
        free, stuck = Turns(), asyncio.Event()

        async def hold() -> None:
            async with free.one():
                await stuck.wait()

        holding = asyncio.create_task(hold())
        await asyncio.sleep(0)
        holding.cancel()
        async with free.one():
            pass
        assert holding.cancelled() or holding.done()

    asyncio.run(main())
