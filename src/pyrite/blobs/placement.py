"""Owns the choice of layout and drives for a new volume, and of a drive for a shard that moves. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pyrite.blobs.layout import SHARDS_MAX, Layout, default_parity
from pyrite.blobs.volume import Purpose
from pyrite.core.errors import OutOfSpace, Unavailable


class Candidate(NamedTuple):
    """A drive that may take a shard. `domain` is what fails together with it; "" is a domain of its own.

    A `slow` one is taken only where the others are too few.
    """

    drive: str
    free_bytes: int
    domain: str = ""
    slow: bool = False


def choose(
    candidates: Sequence[Candidate], registered: int, parity: int | None, purpose: Purpose, turn: int
) -> tuple[Layout, tuple[str, ...]]:
    """The layout and the drives, by shard, of a new volume.

    `registered` drives belong to the store, of which `candidates` are online. A store that has lost drives
    keeps its parity and narrows its data. `turn` rotates the drives, so that the first shard, which is read
    first, moves around. Raises Unavailable when too few drives are online, OutOfSpace when they are full.
    """
    m = default_parity(registered) if parity is None else parity
    least = m + 1
    roomy = [candidate for candidate in candidates if candidate.free_bytes > 0]
    quick = [candidate for candidate in roomy if not candidate.slow]
    if len(quick) >= least:
        roomy = quick
    if len(candidates) < least:
        raise Unavailable(f"{least} drives are needed for parity {m}, {len(candidates)} are online")
    if len(roomy) < least:
        raise OutOfSpace(f"{least} drives with free space are needed for parity {m}, {len(roomy)} have any")
    count = least if purpose == "small" else min(len(roomy), SHARDS_MAX)
    order = sorted(roomy, key=lambda candidate: candidate.drive)
    start = turn % len(order)
    order = order[start:] + order[:start]
    if purpose == "large":
        order.sort(key=lambda candidate: -candidate.free_bytes)
    chosen = {candidate.drive for candidate in spread(order, count)}
    names = sorted(chosen) if purpose == "large" else [one.drive for one in order if one.drive in chosen]
    first = turn % len(names) if purpose == "large" else 0
    return Layout(count - m, m), tuple(names[first:] + names[:first])


def spread(order: Sequence[Candidate], count: int) -> list[Candidate]:
    """The first `count` of `order`, taken evenly from as many failure domains as there are."""
    taken: list[Candidate] = []
    used: Counter[str] = Counter()
    left = list(order)
    while left and len(taken) < count:
        best = min(left, key=lambda candidate: used[candidate.domain or candidate.drive])  # the first of the least
        left.remove(best)
        taken.append(best)
        used[best.domain or best.drive] += 1
    return taken


def choose_one(candidates: Sequence[Candidate], needed_bytes: int, domains: Sequence[str]) -> str | None:
    """The drive for a shard of `needed_bytes` beside shards in `domains`: quick, of another domain, the freest."""
    used = Counter(domains)
    roomy = [candidate for candidate in candidates if candidate.free_bytes > needed_bytes]
    best = min(roomy, key=lambda one: _rank(one, used), default=None)
    return best.drive if best is not None else None


def _rank(one: Candidate, used: Counter[str]) -> tuple[bool, int, int, str]:
    return one.slow, used[one.domain or one.drive], -one.free_bytes, one.drive
