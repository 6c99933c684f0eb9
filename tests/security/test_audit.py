"""The audit log: complete, without secrets, and no change of it goes unnoticed."""

import errno
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from pyrite.telemetry import audit
from tests.brokers import Kafka
from tests.security.conftest import client_of
from tests.security.people import OWNER, SECRET, document, write_identities
from tests.server import PYRITE, Server, wait_until


def verify(folder: Path, server: Server) -> subprocess.CompletedProcess[bytes]:
    stores = [word for path in server.drives for word in ("--store", str(path))]
    return subprocess.run([PYRITE, "audit", "verify", str(folder), *stores, "--json"], capture_output=True)


def records_in(folder: Path) -> list[dict]:
    lines = [line for path in sorted(folder.glob("*.jsonl*")) for line in path.read_bytes().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith(b"\n")]  # the last one may be half written just now


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
        wait_until(lambda: sum(record["kind"] != "command" for record in records_in(log)) >= 26)
        chains = [log / f"audit-worker-{number}.jsonl" for number in range(2)]
        wait_until(lambda: _lists(server) and all(chain.exists() for chain in chains), pause_s=0.1)
        before = set(server.children())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(server.children()) - before) == len(before) and _lists(server))
        for number in range(20):
            s3.head_object(Bucket="audited", Key=f"k{number}")
        wait_until(lambda: verify(log, server).returncode == 0)
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
    assert {chain["slot"] for chain in chains} == {"commands", "worker-0", "worker-1"}
    assert all(chain["first"] == 1 for chain in chains)
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


def test_a_missing_beginning_is_noticed(audited: tuple[Path, Server], tmp_path: Path) -> None:
    """A chain that lacks its first records is not genuine, until the operator says that they were removed on purpose."""
    log, server = audited
    copy = tmp_path / "log"
    shutil.copytree(log, copy)
    first = max(copy.glob("*.jsonl.1"), key=lambda p: p.stat().st_size)
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[3:]))
    done = verify(copy, server)
    assert done.returncode == 1 and b"the chain begins with record 4, those from 1 on are missing" in done.stdout
    stores = [word for path in server.drives for word in ("--store", str(path))]
    accepted = subprocess.run([PYRITE, "audit", "accept", str(copy), *stores], capture_output=True, check=True)
    assert b"begins with record 4" in accepted.stdout
    done = verify(copy, server)
    assert b"are missing" not in done.stdout, done.stdout
    subprocess.run([PYRITE, "audit", "accept", str(log), *stores], capture_output=True, check=True)
    assert verify(log, server).returncode == 0


def test_keys_and_sources_are_named(tmp_path: Path) -> None:
    """Deletes of many tell each key, copies their source, and a request whose client left is there, too."""
    log = tmp_path / "log"
    with Server([tmp_path / "d"], "--audit-log", str(log)) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="named")
        s3.put_object(Bucket="named", Key="a/b", Body=b"x")
        s3.copy_object(Bucket="named", Key="copy", CopySource="named/a/b")
        s3.delete_objects(Bucket="named", Delete={"Objects": [{"Key": "a/b"}, {"Key": "c", "VersionId": "null"}]})
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(b"PUT /named/gone HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nx")
        wait_until(lambda: any(record["status"] in (403, 499) for record in records_in(log)))
        wait_until(lambda: any(record["operation"] == "DeleteObjects" for record in records_in(log)))
        found = {record["operation"]: record for record in records_in(log)}
        assert found["DeleteObjects"]["keys"] == ["a/b", "c null"]
        assert found["CopyObject"]["copied_from"] == "named/a/b" and found["CopyObject"]["key"] == "copy"


def test_metrics_may_want_a_token(tmp_path: Path) -> None:
    """With PYRITE_METRICS_TOKEN nobody reads metrics without it; health is told to everybody."""
    server = Server([tmp_path / "d"], environment={"PYRITE_METRICS_TOKEN": "let-me-see"})
    with server:
        for token, wanted in (("", 403), ("another", 400), ("let-me-see", 200)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            asked = urllib.request.Request(f"{server.endpoint}/metrics", headers=headers)
            try:
                status = urllib.request.urlopen(asked).status
            except urllib.error.HTTPError as error:
                status = error.code
            assert (status == 200) == (wanted == 200), (token, status)
        assert urllib.request.urlopen(f"{server.endpoint}/health/ready").status == 200


def test_the_log_is_sent_on(tmp_path: Path) -> None:
    """Every record reaches the webhook, in order for each chain, though it was down for a while and the server killed."""
    received: list[dict] = []
    broken = True

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body, refuses = self.rfile.read(int(self.headers["content-length"])), broken
            if not refuses:
                assert self.headers["authorization"] == "Bearer word"
                received.extend(json.loads(line) for line in body.splitlines())
            self.send_response(503 if refuses else 204)
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
        wait_until(lambda: {f"k{n}" for n in range(30)} <= {record.get("key") for record in received})
        written = {(record["hash"]) for record in records_in(log)}
        wait_until(lambda: written <= {record["hash"] for record in received})
        chains: dict[str, list[dict]] = {}
        for record in {record["hash"]: record for record in received}.values():
            chains.setdefault(record["prev"], []).append(record)
        assert all(len(following) == 1 for prev, following in chains.items() if prev != "0" * 64)
    sink.shutdown()


def test_the_log_goes_to_kafka(tmp_path: Path) -> None:
    """Every record becomes a message, in order for each chain, under the chain's name."""
    with Kafka(tmp_path) as broker:
        options = ("--audit-log", str(tmp_path / "log"), "--audit-webhook", f"{broker.url}/audited")
        with Server([tmp_path / "d"], *options) as server:
            s3 = server.client()
            s3.create_bucket(Bucket="to-kafka")
            for number in range(20):
                s3.put_object(Bucket="to-kafka", Key=f"k{number}", Body=b"")

            def keys() -> list[str]:
                records = [json.loads(value) for _, value in broker.messages("audited")]
                return [record["key"] for record in records if record.get("key", "").startswith("k")]

            wait_until(lambda: len(set(keys())) == 20, pause_s=0.5)
            assert list(dict.fromkeys(keys())) == [f"k{n}" for n in range(20)]
            chains: dict[bytes, list[int]] = {}
            for key, value in broker.messages("audited"):
                chains.setdefault(key, []).append(json.loads(value)["number"])
            assert all(list(dict.fromkeys(numbers)) == sorted(set(numbers)) for numbers in chains.values())


def forged(line: bytes, number: int, previous: str) -> bytes:
    """A record as somebody would make it who has the log and not the store."""
    record = json.loads(line)
    record |= {"number": number, "prev": previous, "operation": "DeleteUser"}
    del record["hash"]
    body = json.dumps(record, separators=(",", ":")).encode()[:-1]
    return body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def test_what_others_add_is_noticed(tmp_path: Path) -> None:
    """Neither a record behind the last one nor a chain of its own passes, and no restart makes it genuine."""
    log = tmp_path / "log"
    server = Server([tmp_path / "drive"], "--audit-log", str(log), "--workers", "1")
    with server:
        server.client().list_buckets()
    path = log / "audit-worker-0.jsonl"
    last = path.read_bytes().splitlines()[-1]
    assert verify(log, server).returncode == 0
    more = forged(last, json.loads(last)["number"] + 1, json.loads(last)["hash"])
    whole = path.read_bytes()
    path.write_bytes(whole + more)
    assert verify(log, server).returncode == 1
    with server:
        server.client().list_buckets()
    assert verify(log, server).returncode == 1
    path.write_bytes(path.read_bytes().replace(more, b""))
    assert verify(log, server).returncode == 0
    (log / "audit-worker-9.jsonl").write_bytes(forged(last, 1, "0" * 64))
    assert verify(log, server).returncode == 1


def test_commands_are_there_too(tmp_path: Path) -> None:
    """What is changed on the command line, or by the file of identities at a start, has its record."""
    log, drive = tmp_path / "log", tmp_path / "drive"
    options = ("--identities", str(write_identities(tmp_path)), "--audit-log", str(log))
    with Server([drive], *options) as server:
        for words in (("iam", "create-user", "carl"), ("bucket", "list"), ("iam", "users")):
            subprocess.run([PYRITE, *words, "--store", str(drive)], check=True, capture_output=True)
        client_of(server, "sns", "admin").create_topic(
            Name="news", Attributes={"push-endpoint": "https://user:hunter2secret@example.com/x?api_key=alsosecret"}
        )
        with pytest.raises(ClientError):
            client_of(server, "s3", "somebody", "whatever").list_buckets()
    records = records_in(log)
    commands = [record["operation"] for record in records if record["kind"] == "command"]
    assert commands == ["serve --identities", "iam create-user"]
    assert verify(log, server).returncode == 0
    text = "".join(path.read_text() for path in log.iterdir())
    assert "hunter2secret" not in text and "alsosecret" not in text and "example.com" in text
    assert any(record.get("claimed_key") == "somebody" and record["status"] == 403 for record in records)


def test_a_short_write_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a disk takes a part of a line, the rest of it follows once there is space again."""
    log = audit.AuditLog.__new__(audit.AuditLog)
    log._path, log._lines, log._size = tmp_path / "log", [b"one\n", b"two\n"], 8
    write = os.write
    monkeypatch.setattr(audit.os, "write", lambda descriptor, block: write(descriptor, block[:5]))
    with pytest.raises(OSError) as caught:
        log.flush()
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    log.flush()
    assert log._path.read_bytes() == b"one\ntwo\n"
