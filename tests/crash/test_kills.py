"""Processes are killed under load: no acknowledged write is lost, nothing is half visible, `check` is clean."""

import contextlib
import hashlib
import os
import random
import signal
import threading
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from tests.server import Server, wait_until

MIB = 1024 * 1024


class Load:
    """Threads that put, overwrite, copy, complete and delete, and remember what was acknowledged.

    Each thread owns its keys. `certain[key]` is the acknowledged content (None: deleted); a request that failed
    leaves both contents possible.
    """

    def __init__(self, server: Server, threads: int, seed: int, patience_s: float = 20) -> None:
        """`patience_s`: how long a request may take before it counts as failed."""
        self._patience_s = patience_s
        self._server = server
        self._seed = seed
        self._stop = threading.Event()
        self.certain: dict[str, bytes | None] = {}
        self.possible: dict[str, set[str | None]] = {}
        self._late: dict[str, set[str | None]] = {}
        self.acknowledged = 0
        self.failures: list[Exception] = []
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(600)
            assert not thread.is_alive()

    def _run(self, number: int) -> None:
        rng = random.Random(self._seed * 1000 + number)
        client = self._server.client(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=self._patience_s)
        while not self._stop.is_set():
            key = f"t{number}-{rng.randrange(12)}"
            size = rng.choice([0, 10, 4096, 100_000, 200_000, 2 * MIB])
            kind = rng.choice(["put", "put", "put", "delete", "multipart"])
            body = None if kind == "delete" else rng.randbytes(size)
            before = self.possible.get(key, {_digest(self.certain.get(key))})
            self.possible[key] = before | {_digest(body)}
            try:
                self._do(client, kind, key, body)
            except (ClientError, BotoCoreError, OSError) as error:
                if isinstance(error, ReadTimeoutError):  # it may still be done, after what is acknowledged next
                    self._late.setdefault(key, set()).add(_digest(body))
                self.failures.append(error)
                self._stop.wait(0.02)
                continue
            self.certain[key] = body
            self.possible[key] = {_digest(body)} | self._late.get(key, set())
            self.acknowledged += 1
            if rng.random() < 0.3:
                self._read(client, f"t{number}-{rng.randrange(12)}")

    def _read(self, client, key: str) -> None:
        """Read a key of this thread: its content may not be another than it was given."""
        try:
            found = _digest(client.get_object(Bucket="crash", Key=key)["Body"].read())
        except (ClientError, BotoCoreError, OSError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            if code != "NoSuchKey":
                self.failures.append(error)
                return
            found = None
        if found not in self.possible.get(key, {None}):
            self.wrong.append(key)

    def _do(self, client, kind: str, key: str, body: bytes | None) -> None:
        if kind == "delete":
            client.delete_object(Bucket="crash", Key=key)
        elif kind == "put":
            client.put_object(Bucket="crash", Key=key, Body=body)
        else:
            upload = client.create_multipart_upload(Bucket="crash", Key=key)["UploadId"]
            where = {"Bucket": "crash", "Key": key, "UploadId": upload}
            etag = client.upload_part(PartNumber=1, Body=body, **where)["ETag"]
            client.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **where)

    def verify(self, client) -> None:
        """Every key reads, and has read, as one of the contents it may have, and the listing agrees."""
        assert not self.wrong, "these keys have read as neither of what they may be"
        listed = _listed(client)
        for key, digests in self.possible.items():
            found = _found(client, key)
            assert found in digests, f"{key} reads as neither of what it may be"
            if (found is not None) != (key in listed):  # what was never answered may be done between the two
                wait_until(lambda key=key: (_found(client, key) is not None) == (key in _listed(client)))
                assert _found(client, key) in digests, f"{key} reads as neither of what it may be"


def _listed(client) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="crash")
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def _found(client, key: str) -> str | None:
    """The digest of what a key reads as; None where it is not there."""
    try:
        return _digest(client.get_object(Bucket="crash", Key=key)["Body"].read())
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey", error
        return None


def _digest(body: bytes | None) -> str | None:
    return None if body is None else hashlib.sha256(body).hexdigest()


def run_kills(folder: Path, drives: int, kills: int, seed: int, *options: str) -> int:
    """Kill a random process at a random time, `kills` times; how many writes were acknowledged."""
    rng = random.Random(seed)
    server = Server([folder / f"d{n}" for n in range(drives)], "--workers", "2", *options)
    server.start()
    server.client().create_bucket(Bucket="crash")
    load = Load(server, 6, seed)
    load.start()
    for _ in range(kills):
        load._stop.wait(rng.uniform(0.05, 0.6))
        if rng.random() < 0.3:
            server.kill()
            server.start()
        else:
            victims = server.children()
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(victims), signal.SIGKILL)
            wait_until(server._is_up)
    finish(server, load, least=30)
    return load.acknowledged


def finish(server: Server, load: Load, least: int = 0) -> None:
    """End the load, once more than `least` writes are acknowledged; nothing is lost, now and after another kill."""
    wait_until(lambda: load.acknowledged > least)
    load.stop()
    load.verify(server.client())
    server.kill()
    server.check()
    server.start()
    load.verify(server.client())
    server.stop()
    server.check()


@pytest.mark.parametrize("drives", [1, 4])
def test_a_few_kills(tmp_path: Path, drives: int) -> None:
    """A dozen kills on one drive and on four lose nothing."""
    assert run_kills(tmp_path, drives, 12, drives) > 30


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("drives", "seed"), [(1, 11), (4, 12), (6, 13)])
def test_twelve_hundred_kills(tmp_path: Path, drives: int, seed: int) -> None:
    """Twelve hundred kills over three layouts lose nothing."""
    assert run_kills(tmp_path, drives, int(os.environ.get("KILLS", "400")), seed) > 300
