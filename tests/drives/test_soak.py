"""A store works for an hour while everything goes on at once: no request fails, memory stays flat, all is clean."""

import os
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.drives.load import QUICK, drive, folders, nothing_waits
from tests.server import Server, wait_until

MIB = 1024 * 1024
SIZES = (0, 10, 4096, 100_000, 200_000, 2 * MIB)
KEYS = 60
GROWTH_MAX = 1.2
"""How much more memory the last quarter may take than the second: the first fills caches and pools."""


class Client:
    """One client with keys of its own: it knows what each of them must hold."""

    def __init__(self, server: Server, number: int, stop: threading.Event) -> None:
        self._s3 = server.client(retries={"max_attempts": 0}, read_timeout=60)
        self._rng = random.Random(number)
        self._prefix = f"c{number}-"
        self._stop = stop
        self._known: dict[str, bytes] = {}
        self.done = 0
        self.failures: list[str] = []

    def run(self) -> None:
        actions = (
            [self.put] * 4 + [self.get] * 6 + [self.range] * 2 + [self.delete] * 2 + [self.upload, self.copy, self.list]
        )
        while not self._stop.wait(0.01):
            try:
                self._rng.choice(actions)(f"{self._prefix}{self._rng.randrange(KEYS)}")
                self.done += 1
            except (ClientError, BotoCoreError, OSError, AssertionError) as error:
                self.failures.append(repr(error))

    def _body(self) -> bytes:
        return self._rng.randbytes(self._rng.choice(SIZES))

    def put(self, key: str) -> None:
        body = self._body()
        self._s3.put_object(Bucket="soak", Key=key, Body=body)
        self._known[key] = body

    def get(self, key: str) -> None:
        if key in self._known:
            assert self._s3.get_object(Bucket="soak", Key=key)["Body"].read() == self._known[key], key

    def range(self, key: str) -> None:
        body = self._known.get(key, b"")
        if len(body) > 1:
            first = self._rng.randrange(len(body) - 1)
            got = self._s3.get_object(Bucket="soak", Key=key, Range=f"bytes={first}-{first + 99_999}")
            assert got["Body"].read() == body[first : first + 100_000], key

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket="soak", Key=key)
        self._known.pop(key, None)

    def upload(self, key: str) -> None:
        where = {"Bucket": "soak", "Key": key}
        upload = {**where, "UploadId": self._s3.create_multipart_upload(**where)["UploadId"]}
        bodies = [self._rng.randbytes(5 * MIB), self._body()]
        etags = [self._s3.upload_part(**upload, PartNumber=n, Body=b)["ETag"] for n, b in enumerate(bodies, 1)]
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        self._known[key] = b"".join(bodies)

    def copy(self, key: str) -> None:
        source = self._rng.choice(sorted(self._known) or [""])
        if source and source != key:
            self._s3.copy_object(Bucket="soak", Key=key, CopySource={"Bucket": "soak", "Key": source})
            self._known[key] = self._known[source]

    def list(self, key: str) -> None:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket="soak", Prefix=self._prefix)
        assert {entry["Key"] for page in pages for entry in page.get("Contents", [])} == self._known.keys()


class Operator:
    """What happens to the drives meanwhile: they are added, drained, removed, taken away, and rot."""

    def __init__(self, server: Server, folder: Path, rng: random.Random) -> None:
        self._server = server
        self._folder = folder
        self._rng = rng
        self._made = 0
        self.did: dict[str, int] = {}

    def act(self) -> None:
        actions: list[Callable[[], None]] = [self.exchange, self.flap, self.rot]
        action = self._rng.choice(actions)
        action()
        self.did[action.__name__] = self.did.get(action.__name__, 0) + 1
        wait_until(lambda: nothing_waits(self._server), 600, 1.0)

    def exchange(self) -> None:
        """A drive more, then one less."""
        self._made += 1
        new = self._folder / f"more{self._made}"
        new.mkdir()
        drive(self._server, "add", str(new))
        self._server.drives.append(new)
        old = self._rng.choice(self._server.drives[:-1])
        drive(self._server, "drain", str(old))
        drive(self._server, "remove", str(old))
        self._server.drives.remove(old)

    def flap(self) -> None:
        """A drive is away for some seconds."""
        place = self._rng.choice(self._server.drives)
        away = place.with_name(place.name + "-away")
        place.rename(away)
        threading.Event().wait(5)  # what is tested is the absence, not its end
        away.rename(place)

    def rot(self) -> None:
        """Some pages of some files of a drive rot."""
        place = self._rng.choice(self._server.drives)
        for path in [path for path in (place / "volumes").iterdir() if "." in path.name][:5]:
            size = path.stat().st_size
            if size:
                with path.open("r+b") as file:
                    file.seek(self._rng.randrange(size))
                    file.write(b"\x55")


def memory_bytes(server: Server) -> int:
    """Memory of the server's processes that is not mapped from files."""
    total = 0
    assert server.process is not None
    for pid in (server.process.pid, *server.children()):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))
    return total


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_soak(tmp_path: Path) -> None:
    """An hour (SOAK_MINUTES) of mixed load with scrub, repair, compaction, and drives that come, go and rot."""
    seconds = float(os.environ.get("SOAK_MINUTES", "60")) * 60
    quick = {"PYRITE_VOLUME_MIB": "64", "PYRITE_COMPACT_INTERVAL_S": "2"}
    drives = folders(tmp_path, 6)
    with Server(drives, *QUICK, "--parity", "2", "--scrub-period", "0.0007", environment=quick) as server:
        server.client().create_bucket(Bucket="soak")
        stop, operator = threading.Event(), Operator(server, tmp_path, random.Random(5))
        clients = [Client(server, number, stop) for number in range(6)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        ends, samples = time.monotonic() + seconds, [memory_bytes(server)]
        watching = threading.Thread(target=_watch, args=(server, samples, stop))
        watching.start()
        try:
            while time.monotonic() < ends:
                operator.act()
                stop.wait(10)
        finally:
            stop.set()
            for thread in (*threads, watching):
                thread.join()
        failures = [failure for client in clients for failure in client.failures]
        assert not failures, failures[:5]
        quarter = len(samples) // 4
        second, last = (statistics.median(part) for part in (samples[quarter : 2 * quarter], samples[3 * quarter :]))
        print(
            f"{sum(client.done for client in clients)} requests, {operator.did}, {second / MIB:.0f} to {last / MIB:.0f} MiB"
        )
        assert last <= GROWTH_MAX * second
        log = server.log.read_text()
        assert "process_died" not in log and "process_stands_still" not in log
        wait_until(lambda: nothing_waits(server), 120, 1.0)
    assert not subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True).stdout


def _watch(server: Server, samples: list[int], stop: threading.Event) -> None:
    while not stop.wait(5):
        samples.append(memory_bytes(server))
