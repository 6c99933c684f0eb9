"""`make bench`: the performance table, Pyrite beside SeaweedFS in the same run, medians of at least three.

Pyrite runs with its defaults (every acknowledged write on stable storage), SeaweedFS with its own (no fsync).
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import large, load, peers

GOALS = {
    "GET 4 KiB": 4.0,
    "PUT 4 KiB": 3.0,
    "HEAD": 4.0,
    "LIST 1,000 of many": 3.0,
    "DELETE": 3.0,
    "GET 64 MiB": 1.5,
    "PUT 64 MiB": 1.2,
    "GET 64 MiB, 4+2": 1.0,
    "PUT 64 MiB, 4+2": 1.0,
}
KEYS = 10_000
CONNECTIONS = 32
DELETED = 40_000
DELETE_SECONDS = 2


class Small:
    """The small requests against one server. Each is measured `rounds` times."""

    def __init__(self, folder: Path, port: int, seconds: float, listed: int, connections: int) -> None:
        self._folder = folder
        self._port = port
        self._seconds = seconds
        self._listed = listed
        self._connections = connections
        self._body = os.urandom(4096)

    def _run(self, requests: list[bytes], connections: int = 0) -> float:
        result = load.run(self._folder, self._port, requests, self._seconds, connections or self._connections)
        if result.failed:
            raise RuntimeError(f"{result.failed} requests failed")
        return result.rate

    def prepare(self) -> None:
        """One bucket (SeaweedFS needs volumes of its own for each) with objects to read, empty ones, and many to list."""
        sign = load.Signer(self._port)
        large.send(self._port, [sign.request("PUT", "/bench")])
        large.send(self._port, [sign.request("PUT", f"/bench/k{n:07d}", body=self._body) for n in range(KEYS)], 8)
        large.send(self._port, [sign.request("PUT", f"/bench/e{n:07d}") for n in range(KEYS)], 8)
        large.send(self._port, [sign.request("PUT", f"/bench/l/{n:07d}") for n in range(self._listed)], 16)

    def get(self) -> float:
        """GETs a second of 4 KiB objects."""
        sign = load.Signer(self._port)
        return self._run([sign.request("GET", f"/bench/k{n * 7919 % KEYS:07d}") for n in range(KEYS)])

    def put(self) -> float:
        """PUTs a second of 4 KiB objects, new keys and replaced ones."""
        sign = load.Signer(self._port)
        return self._run([sign.request("PUT", f"/bench/p{n:07d}", body=self._body) for n in range(KEYS)])

    def head(self) -> float:
        """HEADs a second; of empty objects, because wrk waits for a body where a length is told."""
        sign = load.Signer(self._port)
        return self._run([sign.request("HEAD", f"/bench/e{n * 7919 % KEYS:07d}") for n in range(KEYS)])

    def list(self) -> float:
        """Pages a second of 1,000 keys."""
        sign = load.Signer(self._port)
        starts = [n * 7919 % max(self._listed - 1000, 1) for n in range(500)]
        return self._run(
            [sign.request("GET", "/bench", f"list-type=2&prefix=l%2F&start-after=l%2F{n:07d}") for n in starts], 8
        )

    def delete(self) -> float:
        """DELETEs a second, of objects that are there: each key once."""
        sign = load.Signer(self._port)
        names = [f"/bench/p{n:07d}" for n in range(DELETED)]
        large.send(self._port, [sign.request("PUT", name, body=self._body) for name in names], 8)
        requests = [sign.request("DELETE", name) for name in names]
        result = load.run(self._folder, self._port, requests, DELETE_SECONDS, self._connections)
        if result.rate * DELETE_SECONDS > DELETED or result.failed:
            raise RuntimeError("keys ran out or requests failed: raise DELETED")
        return result.rate


def measure(folder: Path, port: int, arguments: argparse.Namespace) -> dict[str, float]:
    """All small and large figures of one server: medians."""
    folder.mkdir(parents=True, exist_ok=True)
    small = Small(folder, port, arguments.seconds, arguments.keys, arguments.connections)
    small.prepare()
    runs: dict[str, Callable[[], float]] = {
        "GET 4 KiB": small.get,
        "PUT 4 KiB": small.put,
        "HEAD": small.head,
        "LIST 1,000 of many": small.list,
        "DELETE": small.delete,
        "PUT 64 MiB": lambda: large.put(port, arguments.seconds),
        "GET 64 MiB": lambda: large.get(port, arguments.seconds),
    }
    figures = {}
    for name, run in runs.items():
        figures[name] = median(run, arguments.rounds)
        print(f"{folder.name} {name}: {figures[name]:,.0f}", file=sys.stderr, flush=True)
    return figures


def median(run: Callable[[], float], rounds: int) -> float:
    """The median of `rounds` measurements."""
    return statistics.median(run() for _ in range(rounds))


def main() -> None:
    """Run it all and print the table."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--keys", type=int, default=100_000, help="objects in the bucket that is listed")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of small requests")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=Path.cwd()))
    try:
        with peers.pyrite(folder / "pyrite") as port:
            ours = measure(folder / "load-p", port, arguments)
        with peers.pyrite(folder / "pyrite6", 6, "--parity", "2") as port:
            large.prepare(port)
            for name, run in (("PUT 64 MiB", large.put), ("GET 64 MiB", large.get)):
                ours[f"{name}, 4+2"] = median(lambda run=run: run(port, arguments.seconds), arguments.rounds)  # type: ignore[misc]
        peers.clear(folder / "pyrite")
        with peers.seaweedfs(folder / "weed") as port:
            theirs = measure(folder / "load-w", port, arguments)
        for name in ("PUT 64 MiB", "GET 64 MiB"):
            theirs[f"{name}, 4+2"] = theirs[name]
        with peers.bare(folder / "bare", 4096) as port:
            sign = load.Signer(port)
            requests = [sign.request("GET", f"/x/{n}") for n in range(1000)]
            floor = median(
                lambda: load.run(folder / "load-p", port, requests, arguments.seconds, arguments.connections).rate,
                arguments.rounds,
            )
        report(ours, theirs, {"GET 4 KiB": floor, "GET 64 MiB": large.loopback()}, arguments.json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(ours: dict[str, float], theirs: dict[str, float], limits: dict[str, float], path: Path | None) -> None:
    """Print the table; large figures are MiB a second, the others requests a second."""
    table = Table("", "Pyrite", "SeaweedFS", "ratio", "goal", "physical limit", box=None)
    for name, goal in GOALS.items():
        ratio = ours[name] / theirs[name]
        limit = f"{limits[name]:,.0f}" if name in limits else ""
        mark = "" if ratio >= goal else " (short)"
        table.add_row(name, f"{ours[name]:,.0f}", f"{theirs[name]:,.0f}", f"{ratio:.2f}{mark}", f"{goal:.1f}", limit)
    Console(width=110).print(table)
    if path is not None:
        path.write_text(json.dumps({"pyrite": ours, "seaweedfs": theirs, "limits": limits}, indent=1))


if __name__ == "__main__":
    main()
