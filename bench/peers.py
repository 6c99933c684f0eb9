"""The servers under test: Pyrite with its defaults, SeaweedFS with its defaults, and a bare responder as the floor."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCESS_KEY, SECRET_KEY = "benchaccess", "benchsecretkey"
_BIN = Path(sys.executable).parent


def free_port() -> int:
    """A port on which nobody listens, with room for SeaweedFS's gRPC port 10,000 above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 50_000:
            return port


def _await(port: int, path: str, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing answers on port {port}")


@contextmanager
def _running(command: list[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ) | environment, cwd=folder)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def pyrite(folder: Path, drives: int = 1, *options: str) -> Iterator[int]:
    """The port of a Pyrite server on `drives` folders."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    paths = [str(folder / f"d{n}") for n in range(drives)]
    command = [str(_BIN / "pyrite"), "serve", *paths, "--address", f"127.0.0.1:{port}", *options]
    with _running(command, folder, PYRITE_ACCESS_KEY=ACCESS_KEY, PYRITE_SECRET_KEY=SECRET_KEY):
        _await(port, "/health/ready")
        yield port


@contextmanager
def seaweedfs(folder: Path) -> Iterator[int]:
    """The port of SeaweedFS's S3 gateway, all of its services in one process, as `weed server -s3` starts them."""
    folder.mkdir(parents=True)
    (folder / "data").mkdir()
    ports = [free_port() for _ in range(4)]
    config = folder / "s3.json"
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    config.write_text(json.dumps({"identities": [{"name": "bench", "credentials": credentials, "actions": ["Admin"]}]}))
    names = ("master", "volume", "filer", "s3")
    options = [f"-{name}.port={port}" for name, port in zip(names, ports, strict=True)]
    command = [
        str(_BIN / "weed"),
        "server",
        "-s3",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        *options,
        f"-s3.config={config}",
    ]
    with _running(command, folder):
        _await(ports[3], "/")
        time.sleep(6)  # the master needs a moment until volumes can be assigned
        yield ports[3]


@contextmanager
def bare(folder: Path, body_bytes: int) -> Iterator[int]:
    """The port of a responder that parses nothing and answers `body_bytes`: what the loop and the kernel allow."""
    folder.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "bench.responder", str(port), str(body_bytes)]
    with _running(command, folder, PYTHONPATH=str(Path(__file__).parent.parent)):
        _await(port, "/")
        yield port


def clear(folder: Path) -> None:
    """Remove what a server left."""
    shutil.rmtree(folder, ignore_errors=True)
