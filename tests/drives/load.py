"""Objects on a server and the hashes that they must keep, and what `pyrite drive` and `pyrite info` say of it."""

import hashlib
import json
import random
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.server import PYRITE, Server

KIB, MIB = 1024, 1024 * 1024
SIZES = [1, 100, 4096, 70_000, 128 * KIB, 300_000, MIB, 5 * MIB + 17]
QUICK = ("--rebuild-after", "0.01")


def folders(folder: Path, count: int) -> list[Path]:
    made = [folder / f"d{number}" for number in range(count)]
    for path in made:
        path.mkdir(parents=True)
    return made


def take_away(path: Path) -> None:
    """Remove a drive's folder at once: the server may be writing to it just now."""
    gone = path.with_name(path.name + ".gone")
    path.rename(gone)
    shutil.rmtree(gone)


def drive(server: Server, *command: str) -> Any:
    """What `pyrite drive ... --json` answers."""
    stores = [word for path in server.drives for word in ("--store", str(path))]
    done = subprocess.run([PYRITE, "drive", *command, *stores, "--json"], capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


class Load:
    """Objects of every size class, and the hashes that they must keep."""

    def __init__(self, server: Server, seed: int = 1) -> None:
        self.s3 = server.client()
        self.rng = random.Random(seed)
        self.expected: dict[str, str] = {}
        self.s3.create_bucket(Bucket="data")

    def put(self, count: int) -> None:
        for _ in range(count):
            body = self.rng.randbytes(self.rng.choice(SIZES))
            key = f"k{self.rng.randrange(10_000)}"
            self.s3.put_object(Bucket="data", Key=key, Body=body)
            self.expected[key] = hashlib.sha256(body).hexdigest()

    def delete(self, count: int) -> None:
        for key in self.rng.sample(sorted(self.expected), count):
            self.s3.delete_object(Bucket="data", Key=key)
            del self.expected[key]

    def verify(self) -> None:
        for key, digest in self.expected.items():
            body = self.s3.get_object(Bucket="data", Key=key)["Body"].read()
            assert hashlib.sha256(body).hexdigest() == digest, key


def nothing_waits(server: Server) -> bool:
    done = subprocess.run([PYRITE, "info", "--json", *map(str, server.drives)], capture_output=True)
    if done.returncode:  # mirrors are being exchanged: whoever waits asks again
        return False
    report = json.loads(done.stdout)
    return report["degraded_volumes"] == 0 and report["waiting_for_repair"] == 0


def state_of(server: Server, path: Path) -> str:
    return next(d["state"] for d in drive(server, "list") if d["path"] == str(path))


def metric(server: Server, name: str) -> float:
    """The sum of a metric; -1 where the server does not answer just now."""
    try:
        with urllib.request.urlopen(server.endpoint + "/metrics", timeout=60) as response:
            lines = response.read().decode().splitlines()
    except OSError:
        return -1.0
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
