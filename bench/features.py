"""`python -m bench.features`: what versioning, a bucket policy and encryption at rest cost, beside a plain bucket.

The servers run side by side and take turns, so that all meet the same noise; the ratios of medians are what counts.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import large, load, peers

KEYS = 2000
CONNECTIONS = 32
_VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_POLICY = {
    "Effect": "Deny",
    "Principal": {"Service": "backup.amazonaws.com"},
    "Action": "s3:*",
    "Resource": "arn:aws:s3:::bench/*",
}


def prepare(port: int, kind: str, body: bytes) -> None:
    """A bucket of that kind, and objects to read."""
    sign = load.Signer(port)
    large.send(port, [sign.request("PUT", "/bench")])
    if kind == "versioning":
        large.send(port, [sign.request("PUT", "/bench", "versioning=", _VERSIONING)])
    if kind == "policy":
        policy = json.dumps({"Statement": [_POLICY]}).encode()
        large.send(port, [sign.request("PUT", "/bench", "policy=", policy)])
    large.send(port, [sign.request("PUT", f"/bench/k{n:07d}", body=body) for n in range(KEYS)], 8)


def measure(folder: Path, port: int, seconds: float, body: bytes) -> dict[str, float]:
    """One round of one server: requests a second of small ones, MiB a second of large ones."""
    sign = load.Signer(port)
    gets = [sign.request("GET", f"/bench/k{n * 7919 % KEYS:07d}") for n in range(KEYS)]
    puts = [sign.request("PUT", f"/bench/p{n:07d}", body=body) for n in range(KEYS)]
    small = {}
    for name, requests in (("GET 4 KiB", gets), ("PUT 4 KiB", puts)):
        result = load.run(folder, port, requests, seconds, CONNECTIONS)
        if result.failed:
            raise RuntimeError(f"{result.failed} requests failed")
        small[name] = result.rate
    return {**small, "PUT 64 MiB": large.put(port, seconds), "GET 64 MiB": large.get(port, seconds, 8)}


def main() -> None:
    """Run it all and print the table."""
    parser = argparse.ArgumentParser(prog="bench.features", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=Path.cwd()))
    body = os.urandom(4096)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        with ExitStack() as stack:
            ports = {}
            for kind in ("plain", "versioning", "policy", "encryption"):
                options = ("--keyring", str(folder / "keyring")) if kind == "encryption" else ()
                ports[kind] = stack.enter_context(peers.pyrite(folder / kind, 1, *options))
                prepare(ports[kind], kind, body)
            kinds = list(ports)
            for turn in range(arguments.rounds):  # each begins with another one
                for kind in kinds[turn % len(kinds) :] + kinds[: turn % len(kinds)]:
                    for name, figure in measure(folder / kind, ports[kind], arguments.seconds, body).items():
                        found[name][kind].append(figure)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = Table("", "plain", "versioning", "policy", "encryption", box=None)
    for name, figures in found.items():
        plain = statistics.median(figures["plain"])
        ratios = (f"{statistics.median(figures[kind]) / plain:.2f}" for kind in ("versioning", "policy", "encryption"))
        table.add_row(name, f"{plain:,.0f}", *ratios)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
