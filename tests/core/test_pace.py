"""Drives that are much slower than the others are told apart, on a clock that the test moves."""

from collections.abc import Sequence

import pytest

from pyrite.core.pace import SAMPLES_MIN, SLOW_MIN_S, STUCK_S, WINDOW_S, Pace, slow_drives


class Clock:
    now_s = 100.0


def paces(clock: Clock, taken: Sequence[float]) -> dict[str, Pace]:
    """Drives of which each call took so long."""
    made = {}
    for number, seconds in enumerate(taken):
        pace = made[f"d{number}"] = Pace(lambda: clock.now_s)
        for _ in range(SAMPLES_MIN):
            token = pace.begin()
            clock.now_s += seconds
            pace.end(token, "sync")
    return made


@pytest.mark.parametrize(
    ("taken", "slow"),
    [
        ([0.001, 0.001, 0.001, 0.5], {"d3"}),
        ([0.001, 0.5], {"d1"}),
        ([0.001, 0.001, 0.001, SLOW_MIN_S / 2], set()),  # slower, and quick enough
        ([0.2, 0.2, 0.2, 0.5], set()),  # all are slow
        ([0.001, 0.001, 0.5, 0.5], set()),  # half of them: it is not the drives
        ([0.5], set()),
    ],
)
def test_a_drive_is_slow_beside_the_others(taken: list[float], slow: set[str]) -> None:
    """A drive that takes eight times as long as the others is slow, unless it is quick or half of them are slow."""
    assert slow_drives(paces(Clock(), taken)) == slow


def test_what_is_long_ago_is_forgotten() -> None:
    """A slow drive that nobody has used for a while is not slow any more."""
    clock = Clock()
    made = paces(clock, [0.001, 0.001, 0.001, 0.5])
    clock.now_s += WINDOW_S + 1
    assert slow_drives(made) == set()


def test_a_call_that_does_not_come_back() -> None:
    """A drive in which a call is stuck is slow at once, and no longer when the call has come back."""
    clock = Clock()
    made = paces(clock, [0.001] * 4)
    token = made["d2"].begin()
    assert slow_drives(made) == set()
    clock.now_s += STUCK_S
    assert slow_drives(made) == {"d2"} and made["d2"].stuck
    made["d2"].end(token, "sync")
    assert slow_drives(made) == set() and not made["d2"].stuck
