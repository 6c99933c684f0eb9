"""The power goes under load, on real file systems: no acknowledged write is lost, and `check` is clean.

Each drive is an image mounted through a loop device. The shutdown ioctl of ext4 and XFS stops the file system where it
stands, without a flush of its journal; after the mount that follows, only what was synced is there.
"""

import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.test_kills import Load, finish
from tests.server import Server, wait_until

IOC_SHUTDOWN = 0x8004587D
NO_FLUSH = struct.pack("I", 2)
IMAGE_BYTES = 320 << 20  # the least that mkfs.xfs takes is 300 MiB


class Mounts:
    """File systems that can be cut off and mounted again."""

    def __init__(self, folder: Path, kind: str, count: int) -> None:
        self.places: dict[Path, Path] = {}
        self.mounted: list[Path] = []
        for number in range(count):
            image, place = folder / f"image{number}", folder / f"d{number}"
            place.mkdir()
            with image.open("wb") as file:
                file.truncate(IMAGE_BYTES)
            _quietly(f"mkfs.{kind}", "-q", str(image))
            self.places[place] = image

    def mount(self) -> None:
        for place, image in self.places.items():
            _quietly("mount", "-o", "loop", str(image), str(place))
            self.mounted.append(place)

    def cut(self) -> None:
        """Stop every file system where it stands."""
        for place in self.places:
            descriptor = os.open(place, os.O_RDONLY)
            fcntl.ioctl(descriptor, IOC_SHUTDOWN, NO_FLUSH)
            os.close(descriptor)

    def unmount(self, lazily: bool = False) -> None:
        """Take all of them away; whoever still uses one is waited for, or not, `lazily`."""
        while self.mounted:
            if lazily:
                _quietly("umount", "-l", str(self.mounted.pop()))
            elif wait_until(lambda: _succeeds("umount", str(self.mounted[-1]))):
                self.mounted.pop()


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _quietly(*command: str) -> None:
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.decode()}")


@pytest.fixture
def mounts(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mounts]:
    """Mounted file systems, of a kind and count that the test gives; skipped where that is not allowed."""
    kind, count = request.param
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    made = Mounts(tmp_path, kind, count)
    try:
        made.mount()
    except OSError as error:
        made.unmount(lazily=True)
        pytest.skip(f"mounting is not allowed here: {error}")
    yield made
    made.unmount(lazily=True)


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
    finish(server, load)
    return load.acknowledged


@pytest.mark.parametrize("mounts", [("ext4", 1), ("ext4", 3), ("xfs", 3)], indirect=True)
def test_a_few_power_cuts(mounts: Mounts) -> None:
    """A few power cuts lose nothing that was acknowledged."""
    assert run_cuts(mounts, 4, 1) > 20


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mounts", [("ext4", 1), ("ext4", 4), ("xfs", 1), ("xfs", 4)], indirect=True)
def test_a_thousand_power_cuts(mounts: Mounts) -> None:
    """A thousand power cuts, over two file systems and two layouts, lose nothing that was acknowledged."""
    assert run_cuts(mounts, int(os.environ.get("POWER_CUTS", "250")), 2) > 1000
