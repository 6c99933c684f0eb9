"""File systems of their own for tests: mounted through loop devices, and cut off as a power cut or a dead drive does.

The shutdown ioctl of ext4 and XFS stops a file system where it stands, without a flush of its journal: every call
fails with EIO, and after the mount that follows only what was synced is there.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.server import wait_until

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

    def cut(self, places: Iterable[Path] | None = None) -> None:
        """Stop every file system, or those at `places`, where it stands."""
        for place in self.places if places is None else places:
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
