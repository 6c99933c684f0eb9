"""What many clients see of a real server whose processes are killed could have happened one after the other."""

import asyncio
import contextlib
import math
import os
import random
import re
import signal
from collections import defaultdict
from pathlib import Path

import pytest

from pyrite.testing.linearizability import Operation, judge
from tests.crash.histories import Recorder
from tests.server import Server, wait_until

BUCKET = "histories"
CLIENTS = 16
KEYS = 24


class Epochs:
    """Epochs of clients and kills; after each, when all is quiet, every key is read, listed and judged."""

    def __init__(self, server: Server, seed: int) -> None:
        self._server = server
        self._rng = random.Random(seed)
        self.operations = self.unknown = 0

    async def run(self, epoch: int, count: int) -> None:
        """`count` operations on keys of their own, and one kill among them. Raises AssertionError."""
        histories: dict[str, list[Operation]] = defaultdict(list)
        keys = [f"{epoch:05d}-{number}" for number in range(KEYS)]
        port = self._server.port
        recorders = [
            Recorder(port, BUCKET, random.Random(self._rng.random()), lambda key, one: histories[key].append(one))
            for _ in range(CLIENTS)
        ]
        killing = asyncio.ensure_future(self._kill(recorders, count))
        await asyncio.gather(*(recorder.work(keys, count // CLIENTS) for recorder in recorders))
        await killing
        await asyncio.to_thread(wait_until, self._server._is_up)
        await self._judge(recorders[0], f"{epoch:05d}-", keys, histories)
        for recorder in recorders:
            recorder.connection.close()
        self.operations += sum(len(history) for history in histories.values())
        self.unknown += sum(one.returned_s == float("inf") for history in histories.values() for one in history)

    async def _kill(self, recorders: list[Recorder], count: int) -> None:
        moment = self._rng.randrange(count)
        while sum(recorder.done for recorder in recorders) < moment:
            await asyncio.sleep(0.005)
        if self._rng.random() < 0.3:
            await asyncio.to_thread(self._server.kill)
            await asyncio.to_thread(self._server.start)
        else:
            victims = self._server.children()
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._rng.choice(victims), signal.SIGKILL)

    async def _judge(
        self, reader: Recorder, prefix: str, keys: list[str], histories: dict[str, list[Operation]]
    ) -> None:
        there = set()
        for key in keys:
            while True:
                try:
                    if await reader.get(key) is not None:
                        there.add(key)
                    break
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.05)
            judgement = judge(histories[key], (None,))
            assert judgement.good, f"{key} is not linearizable: {judgement.unexplained}"
        listed = await self._listed(reader, prefix)
        unknown = {key for key in keys if any(one.returned_s == math.inf for one in histories[key])}
        assert listed - unknown == there - unknown  # what was never answered may be done in between

    async def _listed(self, reader: Recorder, prefix: str) -> set[str]:
        while True:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                answer = await reader.connection.ask("GET", f"/{BUCKET}", f"list-type=2&prefix={prefix}")
                if answer.status == 200:
                    return set(re.findall(r"<Key>(.*?)</Key>", answer.body.decode()))
            await asyncio.sleep(0.05)


def run_histories(folder: Path, drives: int, operations: int, each: int, seed: int) -> Epochs:
    """About `operations` operations, in epochs of `each`, every one with a kill."""
    with Server([folder / f"d{n}" for n in range(drives)], "--workers", "2") as server:
        server.client().create_bucket(Bucket=BUCKET)
        epochs = Epochs(server, seed)
        for epoch in range(max(1, operations // each)):
            asyncio.run(epochs.run(epoch, each))
    return epochs


@pytest.mark.parametrize("drives", [1, 4])
def test_histories_under_kills(tmp_path: Path, drives: int) -> None:
    """Thousands of operations under a few kills are linearizable for each key, and listings agree with them."""
    done = run_histories(tmp_path, drives, 6000, 2000, drives)
    assert done.operations > 4000


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_million_operations(tmp_path: Path) -> None:
    """A million operations on four drives under hundreds of kills are linearizable for each key."""
    wanted = int(os.environ.get("HISTORY_OPERATIONS", "1000000"))
    done = run_histories(tmp_path, 4, wanted, 4000, 5)
    assert done.operations > wanted * 0.8 and done.unknown > 0


def test_the_judge_of_real_histories_is_not_blind(tmp_path: Path) -> None:
    """A read that misses an acknowledged write, and a lost create, are found in a history of real operations."""
    with Server([tmp_path / "d"], "--workers", "1") as server:
        server.client().create_bucket(Bucket=BUCKET)
        history: list[Operation] = []
        recorder = Recorder(server.port, BUCKET, random.Random(1), lambda _, operation: history.append(operation))

        async def body() -> None:
            for _ in range(5):
                await recorder.put("k")
                await recorder.get("k")
            await recorder.delete("k")
            await recorder.create("k")
            recorder.connection.close()

        asyncio.run(body())
    assert judge(history, (None,)).good
    stale = [*history, history[1]._replace(called_s=history[-1].returned_s + 1, returned_s=history[-1].returned_s + 2)]
    assert not judge(stale, (None,)).good
    assert not judge(history[:-2] + history[-1:], (None,)).good
