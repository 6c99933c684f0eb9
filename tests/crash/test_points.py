"""Processes die at every named point: nothing acknowledged is lost, `check` is clean."""

import contextlib
import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.crash.points import BACKGROUND, POINTS, Point, Trigger
from tests.crash.test_kills import Load, finish
from tests.server import Server, wait_until

FIRE_TIMEOUT_S = 600
_SOON_S = 1.5
QUICK = {"PYRITE_COMPACT_INTERVAL_S": "0.2", "PYRITE_REBUILD_AFTER": "0.005"}
# Passed only after a mirror's commit was cut off: a kill there is the way to them.
_AFTER_A_CUT = {"about to bring mirrors together", "mirror about to replay", "mirror replayed"}
_CUT = next(point for point in POINTS if point.name == "a mirror committed, the first not")


def fire(server: Server, trigger: Trigger, point: Point, passes: int) -> None:
    """Have a process die at `point`, then wait until the server answers again."""
    before = trigger.fired
    deadline = time.monotonic() + FIRE_TIMEOUT_S
    if point.name in _AFTER_A_CUT:
        fire_cut(server, trigger)
        before, passes = trigger.fired, 0
    trigger.arm(point, passes)
    while trigger.fired == before:
        assert time.monotonic() < deadline, f"no process came to {point.name!r}"
        if _fired_soon(trigger, before) or point.name not in _AFTER_A_CUT:
            continue
        trigger.disarm()
        if trigger.fired == before:  # a worker that survived the cut has healed it already
            fire_cut(server, trigger)
            before = trigger.fired
            trigger.arm(point)
    wait_until(server._is_up)


def _fired_soon(trigger: Trigger, before: int) -> bool:
    """Whether the point is reached within a moment."""
    try:
        wait_until(lambda: trigger.fired > before, _SOON_S, 0.005)
    except AssertionError:
        return False
    return True


def fire_cut(server: Server, trigger: Trigger) -> None:
    """Leave the mirrors one transaction apart."""
    before = trigger.fired
    trigger.arm(_CUT)
    wait_until(lambda: trigger.fired > before, FIRE_TIMEOUT_S, 0.001)


class Mischief:
    """Makes work for the background: drives that come and go, and tiny objects that live on in every volume."""

    def __init__(self, server: Server, seed: int) -> None:
        self._server = server
        self._rng = random.Random(seed)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._scatter, daemon=True)]
        if len(server.drives) > 1:
            self._threads.append(threading.Thread(target=self._flap, daemon=True))

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _flap(self) -> None:
        while not self._stop.is_set():
            drive = self._rng.choice(self._server.drives)
            away = drive.with_name(drive.name + "-away")
            drive.rename(away)
            self._stop.wait(self._rng.uniform(1.5, 3))
            away.rename(drive)
            self._stop.wait(self._rng.uniform(2, 5))

    def _scatter(self) -> None:
        client = self._server.client(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=20)
        while not self._stop.wait(0.02):
            key = f"tiny-{self._rng.randrange(300)}"
            with contextlib.suppress(ClientError, BotoCoreError, OSError):
                client.put_object(Bucket="tiny", Key=key, Body=key.encode())

    def verify(self) -> None:
        """Every tiny object is what its key says."""
        client = self._server.client()
        for entry in client.list_objects_v2(Bucket="tiny").get("Contents", []):
            assert client.get_object(Bucket="tiny", Key=entry["Key"])["Body"].read() == entry["Key"].encode()


def run_points(folder: Path, drives: int, rounds: int, seed: int, kinds: Sequence[Point] = POINTS) -> int:
    """Every point of `kinds` that a store of `drives` passes fires `rounds` times under load; how many processes died.

    For points of background work drives come and go.
    """
    rng = random.Random(seed)
    trigger = Trigger(folder / "trigger")
    server = Server(
        [folder / f"d{n}" for n in range(drives)],
        "--workers",
        "2",
        command=[sys.executable, "-m", "tests.crash.points", str(folder / "trigger")],
        environment=QUICK,
    )
    server.start()
    for bucket in ("crash", "tiny"):
        server.client().create_bucket(Bucket=bucket)
    load = Load(server, 6, seed)
    load.start()
    points = [point for point in kinds if point.drives <= drives]
    mischief = Mischief(server, seed)
    with mischief if kinds is BACKGROUND else contextlib.nullcontext():
        for turn in range(rounds):
            for point in rng.sample(points, len(points)):
                fire(server, trigger, point, rng.randrange(20) if turn and kinds is POINTS else 0)
    trigger.disarm()
    mischief.verify()
    finish(server, load, least=30)
    assert trigger.fired >= rounds * len(points)
    return load.acknowledged


@pytest.mark.timeout(3600)
def test_every_point_once(tmp_path: Path) -> None:
    """A process dies once at each named point of a store of four drives with three mirrors; nothing is lost."""
    assert run_points(tmp_path, 4, 1, 21) > 30


@pytest.mark.timeout(3600)
def test_every_point_of_background_work_once(tmp_path: Path) -> None:
    """A process dies once at each named point of repair, compaction, dumps and mirrors; nothing is lost."""
    assert run_points(tmp_path, 4, 1, 22, BACKGROUND) > 30


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("drives", "seed"), [(1, 31), (4, 32), (6, 33)])
def test_every_point_many_times(tmp_path: Path, drives: int, seed: int) -> None:
    """Processes die five times at each named point, the first time they pass it or later; nothing is lost."""
    assert run_points(tmp_path, drives, 5, seed) > 100


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("drives", "seed"), [(1, 41), (4, 42), (6, 43)])
def test_every_point_of_background_work_many_times(tmp_path: Path, drives: int, seed: int) -> None:
    """Processes die ten times at each named point of background work; nothing is lost."""
    assert run_points(tmp_path, drives, 10, seed, BACKGROUND) > 100
