"""Group commit shares flushes, keeps order, and gives everybody the outcome that is theirs."""

import asyncio
from collections.abc import Sequence

import pytest

from pyrite.core.groupcommit import GroupCommit
from pyrite.core.offload import InlineOffload, ThreadOffload


class Recorder:
    """A flush that remembers its groups and fails the items named."""

    def __init__(self, *bad: str) -> None:
        self.groups: list[list[str]] = []
        self._bad = bad

    def __call__(self, items: list[str]) -> Sequence[BaseException | None]:
        self.groups.append(items)
        return [OSError(item) if item in self._bad else None for item in items]


def test_what_arrives_together_is_flushed_together() -> None:
    """Items of one turn of the loop share a flush, in order of arrival."""
    recorder = Recorder()

    async def main() -> None:
        group: GroupCommit[str] = GroupCommit(recorder, InlineOffload())
        await asyncio.gather(*(group.submit(item) for item in "abc"))

    asyncio.run(main())
    assert recorder.groups == [["a", "b", "c"]]


def test_each_item_gets_its_own_outcome() -> None:
    """A failed item raises where it is awaited; its neighbours succeed."""
    recorder = Recorder("b")

    async def main() -> None:
        group: GroupCommit[str] = GroupCommit(recorder, InlineOffload())
        first, second, third = (group.submit(item) for item in "abc")
        await first
        with pytest.raises(OSError, match="b"):
            await second
        await third

    asyncio.run(main())


def test_a_flush_that_raises_fails_its_whole_group_and_no_other() -> None:
    """The error of a flush reaches everybody who shared it, and the next group is flushed as ever."""
    calls = 0

    def flush(items: list[str]) -> Sequence[BaseException | None]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("the disk is gone")
        return [None] * len(items)

    async def main() -> None:
        group: GroupCommit[str] = GroupCommit(flush, InlineOffload())
        outcomes = await asyncio.gather(group.submit("a"), group.submit("b"), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError]
        await group.submit("c")

    asyncio.run(main())


def test_nothing_is_lost_or_done_twice_under_load() -> None:
    """Hundreds of writers over a real thread: every item is flushed exactly once, in groups within the limit."""
    recorder = Recorder()

    async def main() -> None:
        offload = ThreadOffload(1)
        group: GroupCommit[str] = GroupCommit(recorder, offload, max_items=7)

        async def write(number: int) -> None:
            for turn in range(5):
                await group.submit(f"{number}-{turn}")

        await asyncio.gather(*map(write, range(60)))
        offload.close()

    asyncio.run(main())
    flushed = [item for items in recorder.groups for item in items]
    assert sorted(flushed) == sorted(f"{number}-{turn}" for number in range(60) for turn in range(5))
    assert max(map(len, recorder.groups)) <= 7


def test_a_waiter_that_gave_up_does_not_harm_the_rest() -> None:
    """A cancelled submission is flushed all the same, and its neighbours hear of theirs."""
    recorder = Recorder()

    async def main() -> None:
        group: GroupCommit[str] = GroupCommit(recorder, InlineOffload())
        given_up, kept = group.submit("a"), group.submit("b")
        given_up.cancel()
        await kept

    asyncio.run(main())
    assert recorder.groups == [["a", "b"]]
