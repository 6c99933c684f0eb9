"""The power goes under load, on real file systems: no acknowledged write is lost, and `check` is clean.

Each drive is an image mounted through a loop device (tests/mounts.py).
"""

import os
import random

import pytest

from tests.crash.test_kills import Load, finish
from tests.mounts import Mounts
from tests.server import Server


def run_cuts(mounts: Mounts, cuts: int, seed: int) -> int:
    """Cut the power `cuts` times under load; how many writes were acknowledged."""
    rng = random.Random(seed)
    quick = {"PYRITE_VOLUME_MIB": "8", "PYRITE_COMPACT_INTERVAL_S": "1"}  # small volumes, often compacted
    server = Server(list(mounts.places), "--workers", "2", environment=quick)
    server.start()
    server.client().create_bucket(Bucket="crash")
    load = Load(server, 6, seed)
    load.start()
    for _ in range(cuts):
        load._stop.wait(rng.uniform(0.05, 1.5))
        mounts.cut()
        server.kill()
        mounts.unmount()
        mounts.mount()
        server.start()
    finish(server, load, least=20)
    return load.acknowledged


@pytest.mark.parametrize("mounts", [("ext4", 3), ("xfs", 3)], indirect=True)
def test_a_few_power_cuts(mounts: Mounts) -> None:
    """A few power cuts lose nothing that was acknowledged."""
    assert run_cuts(mounts, 4, 1) > 20


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mounts", [("ext4", 1), ("ext4", 4), ("xfs", 1), ("xfs", 4)], indirect=True)
def test_a_thousand_power_cuts(mounts: Mounts) -> None:
    """A thousand power cuts, over two file systems and two layouts, lose nothing that was acknowledged."""
    assert run_cuts(mounts, int(os.environ.get("POWER_CUTS", "250")), 2) > 1000
