"""Drives of their own on one machine: file systems on loop devices, each of which moves so many bytes a second.

Needs root, loop devices, and control groups for block devices (version 1). The images stand in memory, so that the
limit, not the machine's device, is what is measured.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_BLKIO = Path("/sys/fs/cgroup/blkio")
_MEMORY = Path("/dev/shm")
MIB = 1024 * 1024


@contextmanager
def throttled_drives(folder: Path, count: int, size_mib: int, mib_s: int) -> Iterator[list[Path]]:
    """Mounted file systems of `size_mib`, each of which reads and writes `mib_s` for this process and its children."""
    group = _BLKIO / f"pyrite-bench-{os.getpid()}"
    group.mkdir()
    home = (_BLKIO / "cgroup.procs", group / "cgroup.procs")
    with ExitStack() as stack:
        stack.callback(lambda: group.rmdir())
        images = Path(tempfile.mkdtemp(prefix="pyrite-bench-", dir=_MEMORY))
        stack.callback(lambda: shutil.rmtree(images))
        places = []
        for number in range(count):
            places.append(_mount(stack, images / f"image{number}", folder / f"d{number}", size_mib))
            device = os.stat(places[-1]).st_dev
            for verb in ("read", "write"):
                limit = f"{os.major(device)}:{os.minor(device)} {mib_s * MIB}"
                (group / f"blkio.throttle.{verb}_bps_device").write_text(limit)
        home[1].write_text(str(os.getpid()))
        stack.callback(lambda: home[0].write_text(str(os.getpid())))
        yield places


def _mount(stack: ExitStack, image: Path, place: Path, size_mib: int) -> Path:
    place.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size_mib * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    stack.callback(lambda: subprocess.run(["umount", "-l", str(place)], check=True))
    return place
