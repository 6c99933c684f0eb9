"""Owns the choice of layout and drives for a new volume. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from pyrite.blobs.layout import SHARDS_MAX, Layout, default_parity
from pyrite.blobs.volume import Purpose
from pyrite.core.errors import OutOfSpace, Unavailable


class Candidate(NamedTuple):
    """A drive that may take a shard."""

    drive: str
    free_bytes: int


def choose(
    candidates: Sequence[Candidate], registered: int, parity: int | None, purpose: Purpose, turn: int
) -> tuple[Layout, tuple[str, ...]]:
    """The layout and the drives, by shard, of a new volume.

    `registered` drives belong to the store, of which `candidates` are online. A store that has lost drives
    keeps its parity and narrows its data. `turn` rotates the drives, so that the first shard, which is read
    first, moves around. Raises Unavailable when too few drives are online, OutOfSpace when they are full.
    """
    m = default_parity(registered) if parity is None else parity
    roomy = [candidate for candidate in candidates if candidate.free_bytes > 0]
    least = m + 1
    if len(candidates) < least:
        raise Unavailable(f"{least} drives are needed for parity {m}, {len(candidates)} are online")
    if len(roomy) < least:
        raise OutOfSpace(f"{least} drives with free space are needed for parity {m}, {len(roomy)} have any")
    count = least if purpose == "small" else min(len(roomy), SHARDS_MAX)
    freest = sorted(roomy, key=lambda candidate: (-candidate.free_bytes, candidate.drive))
    pool = sorted(candidate.drive for candidate in (roomy if purpose == "small" else freest[:count]))
    start = turn % len(pool)
    return Layout(count - m, m), tuple((pool[start:] + pool[:start])[:count])
