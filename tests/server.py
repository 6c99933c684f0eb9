"""A real `pyrite serve` on loopback for tests: started, killed, stopped and checked."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import boto3
from botocore.config import Config

ACCESS_KEY, SECRET_KEY = "testaccess", "testsecretkey"
PYRITE = str(Path(sys.executable).parent / "pyrite")
START_TIMEOUT_S = 120


def free_port() -> int:
    """A port that nobody listens on: below those that the system gives to connections, and another for each test worker."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000, 8) + worker % 8
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition, timeout_s: float = 120.0, pause_s: float = 0.02):
    """What `condition` returns once it is true. Raises AssertionError when it never is."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(pause_s)
    raise AssertionError("it did not happen in time")


class Server:
    """A server process over `drives`. Use as a context manager; leaving it checks the store."""

    def __init__(
        self,
        drives: Sequence[Path],
        *options: str,
        tls: tuple[Path, Path] | None = None,
        environment: dict[str, str] | None = None,
        check: bool = True,
        command: Sequence[str] = (PYRITE,),
    ) -> None:
        self.drives = [Path(drive) for drive in drives]
        self.port = free_port()
        self.options = list(options)
        self.tls = tls
        self.environment = environment or {}
        self.check_at_end = check
        self.command = list(command)
        self.process: subprocess.Popen[bytes] | None = None
        self.started_ms = 0
        self.log = self.drives[0].parent / f"server-{self.port}.log"

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        command = [*self.command, "serve", *map(str, self.drives), "--address", f"127.0.0.1:{self.port}", *self.options]
        if self.tls:
            command += ["--tls-certificate", str(self.tls[0]), "--tls-key", str(self.tls[1])]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYRITE_", "MINIO_"))}
        environment |= {"PYRITE_ACCESS_KEY": ACCESS_KEY, "PYRITE_SECRET_KEY": SECRET_KEY, **self.environment}
        self.started_ms = time.time_ns() // 1_000_000
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            wait_until(self._is_up, START_TIMEOUT_S)
        except BaseException:
            self.process.kill()  # or it would run on beside all later tests
            raise
        return self

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.log.read_text()[-2000:]}")
        try:
            context = None
            if self.tls:
                import ssl

                context = ssl._create_unverified_context()
            with urllib.request.urlopen(self.endpoint + "/health/live", timeout=2, context=context) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def children(self) -> list[int]:
        """The process ids of workers and housekeeper."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def kill(self) -> None:
        """SIGKILL the supervisor; its children follow it."""
        assert self.process is not None
        children = self.children()
        self.process.kill()
        self.process.wait(120)
        wait_until(lambda: not any(_is_running(pid) for pid in children))

    def check(self) -> dict:
        """The report of `pyrite check`; the store must be clean."""
        command = [PYRITE, "check", "--json", *map(str, self.drives)]
        done = subprocess.run(command, capture_output=True, timeout=600)
        assert done.stdout, done.stderr.decode()
        report = json.loads(done.stdout)
        assert report["clean"] and done.returncode == 0, report
        return report

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.stop()
        if self.check_at_end and kind is None:
            self.check()

    def client(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, service: str = "s3", **config: object):
        """A boto3 client; `config` goes to botocore."""
        settings = {"retries": {"max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name="us-east-1",
            config=Config(**settings),
            verify=str(self.tls[0]) if self.tls else None,
        )

    def client_environment(self) -> dict[str, str]:
        """What command line clients need in their environment."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        kept |= {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if self.tls:
            kept |= {"AWS_CA_BUNDLE": str(self.tls[0]), "SSL_CERT_FILE": str(self.tls[0])}
        return kept


def _is_running(pid: int) -> bool:
    """Whether any thread of it is left: the first may be gone while another still holds locks."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        states = [(one / "stat").read_text().rpartition(")")[2].split()[0] for one in threads]
    except OSError:
        return Path(f"/proc/{pid}").exists()  # a thread has just gone: look again
    return any(state not in ("Z", "X") for state in states)
