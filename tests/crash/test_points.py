"""Processes die at every named point of the commit path: nothing acknowledged is lost, `check` is clean."""

import random
import sys
import time
from pathlib import Path

import pytest

from tests.crash.points import POINTS, Point, Trigger
from tests.crash.test_kills import Load, finish
from tests.server import Server, wait_until

FIRE_TIMEOUT_S = 30
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
        if point.name in _AFTER_A_CUT and not _armed_soon(trigger, before):
            fire_cut(server, trigger)
            before = trigger.fired
            trigger.arm(point)
    wait_until(server._is_up)


def _armed_soon(trigger: Trigger, before: int) -> bool:
    """Whether the point is reached within a moment; a worker that survived the cut may have healed it already."""
    try:
        wait_until(lambda: trigger.fired > before, 1.0, 0.005)
    except AssertionError:
        trigger.disarm()
        return trigger.fired > before
    return True


def fire_cut(server: Server, trigger: Trigger) -> None:
    """Leave the mirrors one transaction apart."""
    before = trigger.fired
    trigger.arm(_CUT)
    wait_until(lambda: trigger.fired > before, FIRE_TIMEOUT_S, 0.001)


def run_points(folder: Path, drives: int, rounds: int, seed: int) -> int:
    """Every point that a store of `drives` passes fires `rounds` times under load; how many processes died."""
    rng = random.Random(seed)
    trigger = Trigger(folder / "trigger")
    server = Server(
        [folder / f"d{n}" for n in range(drives)],
        "--workers",
        "2",
        command=[sys.executable, "-m", "tests.crash.points", str(folder / "trigger")],
    )
    server.start()
    server.client().create_bucket(Bucket="crash")
    load = Load(server, 6, seed)
    load.start()
    points = [point for point in POINTS if point.drives <= drives]
    for turn in range(rounds):
        for point in rng.sample(points, len(points)):
            fire(server, trigger, point, rng.randrange(20) if turn else 0)
    trigger.disarm()
    finish(server, load)
    assert trigger.fired >= rounds * len(points)
    return load.acknowledged


def test_every_point_once(tmp_path: Path) -> None:
    """A process dies once at each named point of a store of four drives with three mirrors; nothing is lost."""
    assert run_points(tmp_path, 4, 1, 21) > 30


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("drives", "seed"), [(1, 31), (4, 32), (6, 33)])
def test_every_point_many_times(tmp_path: Path, drives: int, seed: int) -> None:
    """Processes die five times at each named point, the first time they pass it or later; nothing is lost."""
    assert run_points(tmp_path, drives, 5, seed) > 100
