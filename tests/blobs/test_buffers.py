"""The buffers of large bodies: bounded, waited for within a limit, and never lost."""

import asyncio
import random

import pytest

from pyrite.blobs.buffers import WAIT_MAX_S, BufferPool, BuffersLent
from pyrite.core.units import MIB
from pyrite.testing.loop import VirtualLoop, run


def on_virtual_time(body):  # type: ignore[no-untyped-def]
    """Run a coroutine on time that passes as soon as everybody waits."""
    return run(VirtualLoop(random.Random(1), 0.0), body, lambda: None)


def test_who_waits_too_long_is_told_so() -> None:
    """While all buffers are lent a request waits for a while, then it is refused; the pool says that it is short."""

    async def body() -> float:
        pool = BufferPool(2 * MIB)
        lent = await pool.acquire(MIB)
        began_s = asyncio.get_running_loop().time()
        waiting = asyncio.ensure_future(pool.acquire(MIB))
        await asyncio.sleep(1)
        assert pool.is_short
        with pytest.raises(BuffersLent):
            await waiting
        assert not pool.is_short
        pool.release(lent)
        pool.release(await pool.acquire(MIB))
        return asyncio.get_running_loop().time() - began_s

    assert on_virtual_time(body()) == pytest.approx(WAIT_MAX_S)


@pytest.mark.parametrize("seed", range(8))
def test_a_turn_that_is_cancelled_is_passed_on(seed: int) -> None:
    """A request that is cancelled just when it gets a buffer leaves it to the next one, whoever runs first."""

    async def body() -> None:
        pool = BufferPool(2 * MIB)
        lent = await pool.acquire(MIB)
        first = asyncio.ensure_future(pool.acquire(MIB))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(pool.acquire(MIB))
        await asyncio.sleep(0)
        pool.release(lent)
        first.cancel()
        pool.release(await second)

    run(VirtualLoop(random.Random(seed), 0.0), body(), lambda: None)
