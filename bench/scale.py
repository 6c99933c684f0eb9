"""`python -m bench.scale`: does a bucket of a million objects stay as quick as one of ten thousand?

Two stores stand side by side, and every round measures one and then the other, so that a machine whose speed
changes by the minute changes both.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import large, load, peers

SMALL_COUNT = 10_000
TOUCHED = 10_000
_BATCH = 20_000
_GOAL = 0.85


class Store:
    """A server whose one bucket holds `count` objects of 1 KiB."""

    def __init__(self, folder: Path, port: int, count: int) -> None:
        self._folder = folder
        self._port = port
        self._count = count
        self._body = os.urandom(1024)
        self._rng = random.Random(count)
        folder.mkdir(exist_ok=True)

    def fill(self) -> None:
        sign = load.Signer(self._port)
        large.send(self._port, [sign.request("PUT", "/scale")])
        for start in range(0, self._count, _BATCH):
            sign = load.Signer(self._port)
            numbers = range(start, min(start + _BATCH, self._count))
            large.send(self._port, [sign.request("PUT", self._path(n), body=self._body) for n in numbers], 16)

    def _path(self, number: int) -> str:
        return f"/scale/shard-{number % 100:02d}/sample-{number:08d}"

    def _run(self, method: str, seconds: float, body: bytes = b"") -> float:
        sign = load.Signer(self._port)
        numbers = [self._rng.randrange(self._count) for _ in range(TOUCHED)]
        requests = [sign.request(method, self._path(number), body=body) for number in numbers]
        result = load.run(self._folder, self._port, requests, seconds, 32)
        if result.failed:
            raise RuntimeError(f"{result.failed} requests failed")
        return result.rate

    def get(self, seconds: float) -> float:
        """GETs a second of random objects."""
        return self._run("GET", seconds)

    def put(self, seconds: float) -> float:
        """PUTs a second over random objects."""
        return self._run("PUT", seconds, self._body)

    def memory_mib(self) -> float:
        """Memory of the server's processes that is theirs alone: pages of files that are mapped do not count."""
        pids = subprocess.run(
            ["pgrep", "-f", f"pyrite serve.*127.0.0.1:{self._port}"], capture_output=True, text=True, check=True
        ).stdout.split()
        total = 0
        for pid in pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1])
        return total / 1024


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=Path.cwd()))
    try:
        with peers.pyrite(folder / "few") as few_port, peers.pyrite(folder / "many") as many_port:
            few = Store(folder / "load-few", few_port, SMALL_COUNT)
            many = Store(folder / "load-many", many_port, arguments.objects)
            few.fill()
            idle = many.memory_mib()
            many.fill()
            figures = {
                "GET": [(few.get(arguments.seconds), many.get(arguments.seconds)) for _ in range(arguments.rounds)],
                "PUT": [(few.put(arguments.seconds), many.put(arguments.seconds)) for _ in range(arguments.rounds)],
            }
            report(arguments.objects, figures)
            print(f"memory of the server with {arguments.objects:,}: {many.memory_mib():.0f} MiB, empty {idle:.0f} MiB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(objects: int, figures: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians and the median of the rounds' ratios."""
    table = Table("", f"{SMALL_COUNT:,} objects", f"{objects:,} objects", "ratio", "goal", box=None)
    for name, rounds in figures.items():
        few, many = (statistics.median(side) for side in zip(*rounds, strict=True))
        ratio = statistics.median(second / first for first, second in rounds)
        mark = "" if ratio >= _GOAL else " (short)"
        table.add_row(name, f"{few:,.0f}", f"{many:,.0f}", f"{ratio:.2f}{mark}", f"{_GOAL}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
