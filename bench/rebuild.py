"""`python -m bench.rebuild`: how fast a lost drive is made again, beside a plain copy of its files.

Six drives, 4+2. Every byte that is made again is read four times (from other shards), written once and read back
once. On drives of their own that happens side by side. In folders on one device it makes six transfers, where the
copy makes two, so the bytes that the device moves are shown beside the ratio. With `--each MIB_S` every folder is a
file system on a device of its own that moves so many MiB a second (bench/devices.py; needs root).
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import large
from bench.devices import throttled_drives
from bench.load import Signer
from bench.peers import pyrite

MIB = 1024 * 1024
OBJECT_BYTES = 32 * MIB
_GOAL = 0.5
_REBUILD_TRANSFERS, _COPY_TRANSFERS = 6, 2
_PYRITE = str(Path(sys.executable).parent / "pyrite")


def copied_mib_s(source: Path, target: Path) -> float:
    """MiB a second of copying every file of `source` into the new folder `target`, synced, from cold files."""
    target.mkdir()
    total = 0
    for path in source.iterdir():
        _forget(path)
    began = time.monotonic()
    for path in source.iterdir():
        shutil.copyfile(path, target / path.name)
        total += path.stat().st_size
        with (target / path.name).open("rb") as file:
            os.fsync(file.fileno())
    return total / MIB / (time.monotonic() - began)


def _forget(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rebuilt_mib_s(folder: Path, new: Path) -> tuple[float, float]:
    """MiB a second of `pyrite drive replace` for the first of the drives in `folder`, and the seconds before its start.

    A volume is not touched before all that was being written to it has a name, or is given up: the store waits some
    seconds, which say nothing about its speed.
    """
    lost = folder / "d0"
    volumes = [path for path in (lost / "volumes").iterdir() if "." in path.name]
    total = sum(path.stat().st_size for path in volumes)
    for number in range(6):
        for path in (folder / f"d{number}" / "volumes").iterdir():
            _forget(path)
    shutil.rmtree(lost, ignore_errors=True)  # a mounted drive stays as an empty directory
    new.mkdir()
    stores = [word for number in range(1, 6) for word in ("--store", str(folder / f"d{number}"))]
    asked = time.monotonic()
    with subprocess.Popen(
        [_PYRITE, "drive", "replace", str(lost), str(new), *stores], stdout=subprocess.DEVNULL
    ) as run:
        while run.poll() is None and not _has_shards(new):
            time.sleep(0.05)
        began = time.monotonic()
    if run.returncode:
        raise SystemExit(f"pyrite drive replace ended with {run.returncode}")
    return total / MIB / (time.monotonic() - began), began - asked


def _has_shards(drive: Path) -> bool:
    volumes = drive / "volumes"
    return volumes.is_dir() and any("." in path.name for path in volumes.iterdir())


def measure(folder: Path, size_mib: int) -> tuple[float, float, float]:
    """The rates of a copy and of a rebuild, MiB a second, and the seconds before its start."""
    store = folder / "store"
    with pyrite(store, 6, "--parity", "2") as port:
        _fill(port, size_mib)
        copied = copied_mib_s(store / "d0" / "volumes", folder / "copy")
        return copied, *rebuilt_mib_s(store, folder / "new")


def measure_each(folder: Path, size_mib: int, each_mib_s: int) -> tuple[float, float, float]:
    """As `measure`, with a device of its own for each drive. The copy goes from the drive that is lost to the new one."""
    store = folder / "store"
    room = size_mib // 4 + 256  # 4+2: a quarter of the data on each, and metadata
    with throttled_drives(store, 7, room, each_mib_s) as places:
        new = places.pop()
        with pyrite(store, 6, "--parity", "2") as port:
            _fill(port, size_mib)
            copied = copied_mib_s(store / "d0" / "volumes", new / "copy")
            shutil.rmtree(new / "copy")
            return copied, *rebuilt_mib_s(store, new / "drive")


def _fill(port: int, size_mib: int) -> None:
    large.prepare(port)
    sign, body = Signer(port), os.urandom(OBJECT_BYTES)
    count = size_mib * MIB // OBJECT_BYTES
    large.send(port, [sign.request("PUT", f"/bench/object-{n}", body=body) for n in range(count)], 2)


def main() -> None:
    """Print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size-mib", type=int, default=6144, help="of objects, on all drives together")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the drives are; a temporary folder if not given"
    )
    parser.add_argument("--each", type=int, default=0, help="MiB a second of each drive; 0: folders on one device")
    given = parser.parse_args()
    rates = []
    for _ in range(given.rounds):
        folder = Path(tempfile.mkdtemp(prefix="bench-rebuild-", dir=given.folder))
        try:
            measured = (
                measure_each(folder, given.size_mib, given.each) if given.each else measure(folder, given.size_mib)
            )
            rates.append(measured)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    copied, rebuilt, waited = (statistics.median(column) for column in zip(*rates, strict=True))
    print(
        f"rebuild {rebuilt:.0f} MiB/s (begun after {waited:.1f} s), plain copy {copied:.0f} MiB/s, "
        f"ratio {rebuilt / copied:.2f} (goal on drives of their own: {_GOAL})"
    )
    if given.each:
        return
    moved = rebuilt * _REBUILD_TRANSFERS / (copied * _COPY_TRANSFERS)
    print(f"bytes moved on one device: {moved:.2f} of what the copy moves")


if __name__ == "__main__":
    main()
