"""Master keys that are sealed under a transit key: opened at the start, and useless without the engine."""

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.server import PYRITE, Server


class Engine:
    """A transit engine as its documentation describes it: versions of one key, batches, and a login by role."""

    def __init__(self) -> None:
        self.keys = [AESGCM.generate_key(256)]
        self.asked: list[str] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                engine.asked.append(self.path)
                status, told = engine.answer(self.path, body, self.headers.get("X-Vault-Token"))
                text = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/team/transit/pyrite"

    def answer(self, path: str, body: dict, token: str | None) -> tuple[int, dict]:
        if path == "/v1/auth/approle/login":
            good = body == {"role_id": "store", "secret_id": "s3cret"}
            return (
                (200, {"auth": {"client_token": "good"}}) if good else (400, {"errors": ["invalid role or secret ID"]})
            )
        if token != "good":
            return 403, {"errors": ["permission denied"]}
        do = {"encrypt": self.encrypt, "decrypt": self.decrypt, "rewrap": self.rewrap}[path.split("/")[-2]]
        assert path.startswith("/v1/team/transit/") and path.endswith("/pyrite")
        return 200, {"data": {"batch_results": [do(one) for one in body["batch_input"]]}}

    def encrypt(self, one: dict) -> dict:
        nonce, version = os.urandom(12), len(self.keys)
        sealed = nonce + AESGCM(self.keys[-1]).encrypt(nonce, base64.b64decode(one["plaintext"]), None)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}"}

    def decrypt(self, one: dict) -> dict:
        _, version, text = one["ciphertext"].split(":")
        sealed = base64.b64decode(text)
        plain = AESGCM(self.keys[int(version[1:]) - 1]).decrypt(sealed[:12], sealed[12:], None)
        return {"plaintext": base64.b64encode(plain).decode()}

    def rewrap(self, one: dict) -> dict:
        return self.encrypt(self.decrypt(one))


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.server.shutdown()
    made.server.server_close()


def pyrite(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VAULT_")}
    return subprocess.run(
        [PYRITE, *arguments], capture_output=True, text=True, env={**clean, **environment}, timeout=300
    )


def read(server: Server, key: str) -> bytes:
    return server.client().get_object(Bucket="sealed", Key=key)["Body"].read()


def test_a_keyring_that_the_engine_seals(tmp_path: Path, engine: Engine) -> None:
    """The file holds no key; the store opens it once, goes on while the engine is away, and takes new keys of it."""
    keyring, token = tmp_path / "keyring", {"VAULT_TOKEN": "good"}
    made = pyrite("keyring", "create", str(keyring), "--vault", engine.url, **token)
    assert made.returncode == 0, made.stderr
    held = json.loads(keyring.read_text())
    assert held["format"] == 2 and held["keys"][0]["key"].startswith("vault:v1:")
    with Server([tmp_path / "d"], "--keyring", str(keyring), "--workers", "2", environment=token) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="sealed")
        s3.put_object(Bucket="sealed", Key="one", Body=b"first")
        assert s3.head_object(Bucket="sealed", Key="one")["ServerSideEncryption"] == "AES256"
        asked = len(engine.asked)
        assert pyrite("keyring", "rotate", str(keyring), **token).returncode == 0
        s3.put_object(Bucket="sealed", Key="two", Body=b"second")
        server.stop()
        engine.keys.append(AESGCM.generate_key(256))
        assert pyrite("keyring", "rewrap", str(keyring), **token).returncode == 0
        held = json.loads(keyring.read_text())
        assert [key["key"][:9] for key in held["keys"]] == ["vault:v2:"] * 2
        server.start()
        assert (read(server, "one"), read(server, "two")) == (b"first", b"second")
        assert len(engine.asked) > asked
        engine.server.shutdown()
        engine.server.server_close()
        server.client().put_object(Bucket="sealed", Key="three", Body=b"third")
        assert read(server, "three") == b"third"


def test_without_the_engine_nothing_opens(tmp_path: Path, engine: Engine) -> None:
    """No token, a wrong one, an engine that is away: each start says what is missing, and a role is as good as a token."""
    keyring, drive = tmp_path / "keyring", str(tmp_path / "d")
    role = {"VAULT_ROLE_ID": "store", "VAULT_SECRET_ID": "s3cret"}
    assert pyrite("keyring", "create", str(keyring), "--vault", engine.url, **role).returncode == 0
    secrets = {"PYRITE_ACCESS_KEY": "access-key", "PYRITE_SECRET_KEY": "secret-key-1"}
    serve = ("serve", "--address", "127.0.0.1:0", "--keyring", str(keyring), drive)
    for environment, said in (
        ({}, "set VAULT_TOKEN"),
        ({"VAULT_TOKEN": "bad"}, "permission denied"),
        ({**role, "VAULT_SECRET_ID": "x"}, "invalid role"),
    ):
        failed = pyrite(*serve, **secrets, **environment)
        assert failed.returncode != 0 and said in failed.stderr + failed.stdout
    engine.server.shutdown()
    engine.server.server_close()
    failed = pyrite(*serve, **secrets, VAULT_TOKEN="good")
    assert failed.returncode != 0 and "cannot be used" in failed.stderr + failed.stdout
    wrong = pyrite("keyring", "create", str(tmp_path / "other"), "--vault", "https://vault", VAULT_TOKEN="good")
    assert wrong.returncode != 0 and "MOUNT/KEY" in wrong.stderr + wrong.stdout
