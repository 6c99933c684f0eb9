"""`python -m bench.rebuild`: how fast a lost drive is made again, beside a plain copy of its files.

Six drives, 4+2. Making one shard again reads four others, so on one device, where all six folders are, the copy
has it easier by five transfers to two.
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
from bench.load import Signer
from bench.peers import pyrite

MIB = 1024 * 1024
OBJECT_BYTES = 32 * MIB
_GOAL = 0.5
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


def rebuilt_mib_s(folder: Path, new: Path) -> float:
    """MiB a second of `pyrite drive replace` for the first of the drives in `folder`, from the command to its end."""
    lost = folder / "d0"
    volumes = [path for path in (lost / "volumes").iterdir() if "." in path.name]
    total = sum(path.stat().st_size for path in volumes)
    for number in range(6):
        for path in (folder / f"d{number}" / "volumes").iterdir():
            _forget(path)
    shutil.rmtree(lost)
    new.mkdir()
    stores = [word for number in range(1, 6) for word in ("--store", str(folder / f"d{number}"))]
    began = time.monotonic()
    subprocess.run(
        [_PYRITE, "drive", "replace", str(lost), str(new), *stores, "--json"], check=True, capture_output=True
    )
    return total / MIB / (time.monotonic() - began)


def measure(folder: Path, size_mib: int) -> tuple[float, float]:
    """The rates of a rebuild and of a copy, MiB a second."""
    store = folder / "store"
    with pyrite(store, 6, "--parity", "2") as port:
        large.prepare(port)
        sign, body = Signer(port), os.urandom(OBJECT_BYTES)
        count = size_mib * MIB // OBJECT_BYTES
        large.send(port, [sign.request("PUT", f"/bench/object-{n}", body=body) for n in range(count)], 2)
        copied = copied_mib_s(store / "d0" / "volumes", folder / "copy")
        return rebuilt_mib_s(store, folder / "new"), copied


def main() -> None:
    """Print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size-mib", type=int, default=1024, help="of objects, on all drives together")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the drives are; a temporary folder if not given"
    )
    given = parser.parse_args()
    rates = []
    for _ in range(given.rounds):
        folder = Path(tempfile.mkdtemp(prefix="bench-rebuild-", dir=given.folder))
        try:
            rates.append(measure(folder, given.size_mib))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    rebuilt, copied = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"rebuild {rebuilt:.0f} MiB/s, plain copy {copied:.0f} MiB/s, ratio {rebuilt / copied:.2f} (goal {_GOAL})")


if __name__ == "__main__":
    main()
