"""The audit log: complete, without secrets, and no change of it goes unnoticed."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.security.conftest import client_of
from tests.security.people import OWNER, SECRET, document, write_identities
from tests.server import PYRITE, Server, wait_until


def verify(folder: Path, server: Server) -> subprocess.CompletedProcess[bytes]:
    stores = [word for path in server.drives for word in ("--store", str(path))]
    return subprocess.run([PYRITE, "audit", "verify", str(folder), *stores, "--json"], capture_output=True)


def records_in(folder: Path) -> list[dict]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl*")) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Server]:
    """A log with requests of all kinds, over a worker that was killed and a restart, and the store that it is of."""
    folder = tmp_path_factory.mktemp("audit")
    log = folder / "log"
    server = Server(
        [folder / "drive"], "--identities", str(write_identities(folder)), "--audit-log", str(log), "--workers", "2"
    )
    with server:
        s3, iam = client_of(server, "s3", "admin"), client_of(server, "iam", "admin")
        s3.create_bucket(Bucket="audited")
        for number in range(20):
            s3.put_object(Bucket="audited", Key=f"k{number}", Body=b"x" * number)
        with pytest.raises(ClientError):
            client_of(server, "s3", "nobody").get_object(Bucket="audited", Key="k1")
        with pytest.raises(ClientError):
            client_of(server, "s3", "admin", "a-wrong-secret-of-somebody").list_buckets()
        iam.create_user(UserName="made")
        iam.put_user_policy(
            UserName="made", PolicyName="p", PolicyDocument=document({"Effect": "Deny", "Action": "*", "Resource": "*"})
        )
        server.made = iam.create_access_key(UserName="made")["AccessKey"]["SecretAccessKey"]  # type: ignore[attr-defined]
        wait_until(lambda: len(records_in(log)) >= 26)
        before = set(server.children())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(server.children()) - before) == len(before) and _lists(server))
        for number in range(20):
            s3.head_object(Bucket="audited", Key=f"k{number}")
        assert verify(log, server).returncode == 0
    for path in log.glob("*.jsonl"):
        path.rename(path.with_name(path.name + ".1"))
    with server:
        s3.delete_object(Bucket="audited", Key="k3")
    return log, server


def _lists(server: Server) -> bool:
    try:
        client_of(server, "s3", "admin").list_buckets()
    except (ClientError, BotoCoreError):
        return False
    return True


def test_every_request_is_there(audited: tuple[Path, Server]) -> None:
    """Each request and call stands there once, with who made it, on what, and how it ended."""
    records = records_in(audited[0])
    seen = [(r["operation"], r.get("key", ""), r["status"]) for r in records]
    assert all(seen.count(("PutObject", f"k{n}", 200)) == 1 for n in range(20))
    assert all(seen.count(("HeadObject", f"k{n}", 200)) == 1 for n in range(20))
    denied = next(r for r in records if r["operation"] == "GetObject")
    assert (denied["status"], denied["error"]) == (403, "AccessDenied")
    assert denied["caller"] == f"arn:aws:iam::{OWNER}:user/nobody" and denied["source"] == "127.0.0.1"
    made = next(r for r in records if r["operation"] == "CreateUser")
    assert made["kind"] == "call" and made["parameters"]["UserName"] == "made" and made["access_key"] == "admin"
    assert any(r.get("error") == "SignatureDoesNotMatch" for r in records)


def test_no_secret_is_there(audited: tuple[Path, Server]) -> None:
    """Neither the secrets that sign nor those that were made."""
    log, server = audited
    for path in log.iterdir():
        text = path.read_text()
        assert SECRET not in text and "a-wrong-secret" not in text and server.made not in text  # type: ignore[attr-defined]


def test_a_genuine_log_verifies(audited: tuple[Path, Server]) -> None:
    """Over killed processes, a restart and rotation, the chains hold."""
    done = verify(*audited)
    assert done.returncode == 0, done.stdout
    chains = json.loads(done.stdout)
    assert len(chains) == 2 and all(chain["first"] == 1 for chain in chains)
    assert sum(chain["records"] for chain in chains) == len(records_in(audited[0]))


def change(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"status":200', b'"status":403') for line in lines]


def hide(lines: list[bytes]) -> list[bytes]:
    return lines[:3] + lines[4:]


def swap(lines: list[bytes]) -> list[bytes]:
    return [lines[1], lines[0], *lines[2:]]


def repeat(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[1], *lines[2:]]


def insert(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b'{"number":3,"forged":true}', *lines[2:]]


@pytest.mark.parametrize("forge", [change, hide, swap, repeat, insert])
def test_every_change_is_noticed(
    audited: tuple[Path, Server], tmp_path: Path, forge: Callable[[list[bytes]], list[bytes]]
) -> None:
    """A record that is changed, hidden, moved, repeated or put in shows."""
    log, server = audited
    copy = tmp_path / "log"
    shutil.copytree(log, copy)
    path = max(copy.glob("*.jsonl.1"), key=lambda p: p.stat().st_size)
    path.write_bytes(b"\n".join(forge(path.read_bytes().splitlines())) + b"\n")
    assert verify(copy, server).returncode == 1


def test_a_missing_end_is_noticed(audited: tuple[Path, Server], tmp_path: Path) -> None:
    """The store knows how far each chain went: without its last records, or the whole file, a log is not genuine."""
    log, server = audited
    for name, cut in (("tail", True), ("file", False)):
        copy = tmp_path / name
        shutil.copytree(log, copy)
        files = sorted(copy.iterdir(), key=lambda p: p.stat().st_mtime)
        last = next(p for p in reversed(files) if p.name.endswith(".jsonl"))
        if cut:
            last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-1]))
        else:
            last.unlink()
        assert verify(copy, server).returncode == 1, name


def test_the_log_is_sent_on(tmp_path: Path) -> None:
    """Every record reaches the webhook, in order for each chain, though it was down for a while and the server killed."""
    received: list[dict] = []
    broken = True

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if not broken:
                assert self.headers["authorization"] == "Bearer word"
                received.extend(json.loads(line) for line in body.splitlines())
            self.send_response(503 if broken else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    sink = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    log = tmp_path / "log"
    options = ("--audit-log", str(log), "--audit-webhook", f"http://127.0.0.1:{sink.server_port}/", "--workers", "2")
    server = Server([tmp_path / "d"], *options, environment={"PYRITE_AUDIT_WEBHOOK_TOKEN": "word"})
    with server:
        s3 = server.client()
        s3.create_bucket(Bucket="sent-on")
        for number in range(30):
            s3.put_object(Bucket="sent-on", Key=f"k{number}", Body=b"")
        wait_until(lambda: len(records_in(log)) >= 31)
        server.kill()
        server.start()
        broken = False
        wait_until(lambda: {f"k{n}" for n in range(30)} <= {record.get("key") for record in received}, 60)
        written = {(record["hash"]) for record in records_in(log)}
        wait_until(lambda: written <= {record["hash"] for record in received}, 60)
        chains: dict[str, list[dict]] = {}
        for record in {record["hash"]: record for record in received}.values():
            chains.setdefault(record["prev"], []).append(record)
        assert all(len(following) == 1 for prev, following in chains.items() if prev != "0" * 64)
    sink.shutdown()
