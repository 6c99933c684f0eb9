"""Whole stores live through crashes, power cuts and faulty disks on virtual time, and break no promise."""

import gc
import itertools
import os
import random

import pytest

from pyrite.testing.linearizability import ANY, KEEP, SOMETHING, Operation, judge
from pyrite.testing.simulation import Life, simulate

SEEDS_AT_A_TIME = 50


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_lives_break_no_promise(first: int) -> None:
    """A few dozen seeds of three hundred operations each, with every kind of fault."""
    for seed in range(first, first + 20):
        simulate(seed, 300)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, int(os.environ.get("SIMULATION_SEEDS", "10000")), SEEDS_AT_A_TIME))
def test_ten_thousand_lives(first: int) -> None:
    """Ten thousand seeds of a thousand operations each."""
    for seed in range(first, first + SEEDS_AT_A_TIME):
        simulate(seed, 1000)


def test_one_seed_is_one_life() -> None:
    """Two runs of one seed make the same calls of drives and metadata in the same order."""
    traces = []
    gc.collect()
    gc.disable()  # what it finalizes, at moments of its own, may ask the loop for something
    try:
        for _ in range(2):
            life = Life(7, 400)
            life.world.trace = []
            life.run()
            traces.append(life.world.trace)
    finally:
        gc.enable()
    assert len(traces[0]) > 1000
    assert traces[0] == traces[1]


def test_faults_do_happen() -> None:
    """The lives are not quiet ones: processes crash, damage is seen, and repaired."""
    lives = [simulate(seed, 300) for seed in range(100, 125)]
    assert sum(life.crashes for life in lives) > 5
    assert sum(life.damage for life in lives) > 5
    assert sum(life.repaired for life in lives) > 5
    assert sum(life.acknowledged for life in lives) > 500


def write(value: str | None, called: float, returned: float) -> Operation:
    return Operation(ANY, value, called, returned)


def read(value: str | None, called: float, returned: float) -> Operation:
    return Operation(value, KEEP, called, returned)


@pytest.mark.parametrize(
    ("history", "good"),
    [
        ([write("a", 0, 1), read("a", 2, 3)], True),
        ([write("a", 0, 1), read(None, 2, 3)], False),  # an acknowledged write is lost
        ([write("a", 0, 3), read(None, 1, 2)], True),
        ([write("a", 0, 3), read("a", 1, 2), read(None, 2.5, 2.7)], False),  # seen, then unseen
        ([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)], False),  # an old value comes back
        ([write("a", 0, 1), write(None, 2, 3), read("a", 4, 5)], False),  # a deleted one comes back
        ([write("a", 0, float("inf")), read(None, 1, 2), read("a", 3, 4)], True),  # it took effect late
        ([Operation(None, "a", 0, 1), Operation(None, "b", 2, 3)], False),  # two creations
        ([write("a", 0, 1), Operation(SOMETHING, KEEP, 2, 3)], True),
        ([Operation(SOMETHING, KEEP, 2, 3)], False),
    ],
)
def test_the_judge(history: list[Operation], good: bool) -> None:
    """Small histories are judged as anyone would."""
    assert judge(history, [None]).good == good


def brute(history: list[Operation], initial: str | None) -> bool:
    """Whether some order of the operations, without any of those of unknown outcome, explains the history."""
    certain = [one for one in history if one.returned_s < float("inf")]
    unknown = [one for one in history if one.returned_s == float("inf")]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            for order in itertools.permutations([*certain, *chosen]):
                if any(b.returned_s < a.called_s for a, b in itertools.combinations(order, 2)):
                    continue
                state, fits = initial, True
                for operation in order:
                    fits = fits and operation.fits(state)
                    state = operation.after(state)
                if fits:
                    return True
    return False


def test_the_judge_agrees_with_trying_everything() -> None:
    """On thousands of tiny random histories, half of them impossible, the judge says what trying every order says."""
    rng, bad = random.Random(9), 0
    for _ in range(4000):
        history = []
        for _ in range(rng.randint(2, 5)):
            called = rng.randrange(20)
            returned = float("inf") if rng.random() < 0.4 else called + rng.randrange(1, 8)
            found, left = rng.choice(
                [(ANY, "abc"), (ANY, None), (SOMETHING, KEEP), ("abc", KEEP), (None, KEEP), (None, "abc")]
            )
            name = rng.choice("abc")
            found = name if found == "abc" else found
            history.append(Operation(found, name if left == "abc" else left, called + rng.random() / 9, returned))
        wanted = brute(history, None)
        bad += not wanted
        assert judge(history, (None,)).good == wanted, history
    assert 500 < bad < 3500


def test_the_judge_is_quick_with_many_unknown_outcomes() -> None:
    """Hundreds of writes of which nobody knows whether they happened do not make the judge try all their subsets."""
    history = [Operation(ANY, f"lost-{n}", n) for n in range(300)]
    history += [Operation(SOMETHING, KEEP, 300 + n, 301 + n) for n in range(20)]
    history += [Operation(None, KEEP, 400, 401)]
    assert not judge(history, (None,)).good
    assert judge(history[:-1], (None,)).good
