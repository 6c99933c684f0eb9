"""New volumes and moving shards go to drives that can take them, apart from each other."""

import itertools

import pytest

from pyrite.blobs.placement import Candidate, choose, choose_one, spread
from pyrite.core.errors import OutOfSpace, Unavailable


def drives(count: int, domains: int = 0) -> list[Candidate]:
    return [Candidate(f"d{n}", 1000 + n, f"rack{n * domains // count}" if domains else "") for n in range(count)]


@pytest.mark.parametrize(("count", "turn"), list(itertools.product(range(1, 20), (0, 1, 7))))
def test_a_volume_stands_on_different_drives(count: int, turn: int) -> None:
    """However many drives there are, no volume has two shards on one of them."""
    for purpose in ("small", "large"):
        layout, chosen = choose(drives(count), count, None, purpose, turn)  # type: ignore[arg-type]
        assert len(set(chosen)) == len(chosen) == layout.width


def test_failure_domains_share_a_volume_evenly() -> None:
    """Of six drives in three racks, a volume of three shards takes one from each."""
    for turn in range(6):
        _, chosen = choose(drives(6, 3), 6, 2, "small", turn)
        assert {int(name[1]) // 2 for name in chosen} == {0, 1, 2}
    taken = spread(drives(8, 4), 6)
    assert sorted([one.domain for one in taken].count(f"rack{n}") for n in range(4)) == [1, 1, 2, 2]
    assert len({one.drive for one in taken}) == 6


def test_too_few_or_full_drives_are_told_apart() -> None:
    """Drives that are missing may come back; drives that are full need more drives."""
    with pytest.raises(Unavailable):
        choose(drives(2), 6, 2, "small", 0)
    with pytest.raises(OutOfSpace):
        choose([Candidate(f"d{n}", 0) for n in range(6)], 6, 2, "large", 0)


def test_a_shard_moves_to_another_domain_first() -> None:
    """The drive in a domain that holds none of the volume is chosen, then the freest with room."""
    candidates = [Candidate("a", 9000, "x"), Candidate("b", 5000, "y"), Candidate("c", 7000, "y")]
    assert choose_one(candidates, 1000, ["x"]) == "c"
    assert choose_one(candidates, 8000, ["x"]) == "a"
    assert choose_one(candidates, 10_000, []) is None
