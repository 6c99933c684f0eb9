"""Coroutines that are begun by hand: without a task while they do not wait, in one as soon as they do."""

import asyncio
import contextlib

import pytest

from pyrite.core.tasks import begin, in_task


def test_what_does_not_wait_is_no_task() -> None:
    """A coroutine that ends at once leaves nothing behind."""

    async def main() -> None:
        seen = []

        async def work() -> None:
            seen.append(asyncio.current_task() is main_task)

        main_task = asyncio.current_task()
        assert begin(work()) is None
        assert seen == [True]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_what_waits_has_all_of_asyncio() -> None:
    """After its first wait a coroutine has a task of its own, with timeouts, groups and results."""

    async def main() -> None:
        async def work() -> str:
            await asyncio.sleep(0)
            assert asyncio.current_task() is not outer
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
            return await asyncio.wait_for(asyncio.sleep(0, "done"), 10)

        outer = asyncio.current_task()
        task = begin(work())
        assert task is not None
        assert await task == "done"

    asyncio.run(main())


def test_a_cancelled_task_reaches_the_coroutine() -> None:
    """Cancellation is raised where the coroutine waits, which may clean up or go on."""

    async def main() -> None:
        cleaned = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append(True)

        task = begin(work())
        assert task is not None
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == [True]

    asyncio.run(main())


def test_in_task_makes_sure_of_one() -> None:
    """Outside of any task, as where a connection begins a request, `in_task` is the first wait."""
    found = []

    async def work() -> None:
        assert asyncio.current_task() is None
        await in_task()
        async with asyncio.timeout(10):
            found.append(asyncio.current_task() is not None)

    loop = asyncio.new_event_loop()
    try:
        loop.call_later(10, loop.stop)  # where nothing would
        loop.call_soon(lambda: begin(work()).add_done_callback(lambda _: loop.stop()))  # type: ignore[union-attr]
        loop.run_forever()
    finally:
        loop.close()
    assert found == [True]


def test_what_is_cancelled_between_two_turns_is_told() -> None:
    """A cancellation reaches a coroutine that only lets others go on."""

    async def main() -> None:
        async def work() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        task = begin(work())
        assert task is not None
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("waits_for", ["a turn", "a future", "a task"])
def test_what_is_cancelled_before_its_task_begins_cleans_up(waits_for: str) -> None:
    """A cancellation in the very turn in which a coroutine became a task reaches it, and what it waits for."""

    async def main() -> None:
        ended: list[str] = []

        async def inner() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("inner")

        async def work() -> None:
            try:
                if waits_for == "a turn":
                    await asyncio.sleep(0)
                elif waits_for == "a future":
                    await asyncio.Event().wait()
                else:
                    await waited
            finally:
                ended.append("work")

        waited = asyncio.create_task(inner())
        await asyncio.sleep(0)
        task = begin(work())
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == (["inner", "work"] if waits_for == "a task" else ["work"])
        waited.cancel()

    asyncio.run(main())
