"""What a command is told wrongly is refused with what to do, and changes nothing."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.server import ACCESS_KEY, PYRITE, SECRET_KEY, Server, free_port, wait_until


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYRITE_")}
    signed = {"PYRITE_ACCESS_KEY": ACCESS_KEY, "PYRITE_SECRET_KEY": SECRET_KEY}
    return subprocess.run(
        [PYRITE, *map(str, words)], capture_output=True, env={**kept, **signed, **environment}, timeout=300
    )


def refused(*words: object, **environment: str) -> str:
    """What is said of a command that is refused."""
    done = run(*words, **environment)
    said = done.stderr.decode()
    assert done.returncode == 2 and "Traceback" not in said, said
    return said


def serve(*words: object) -> tuple[object, ...]:
    return "serve", "--address", f"127.0.0.1:{free_port()}", *words


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    """Each is said before anything is made."""
    drive, none = tmp_path / "d", tmp_path / "none" / "x"
    assert "4 drives" in refused(*serve(f"{tmp_path}/p{{1...3}}", "--parity", 3))
    assert "is at most 8" in refused(*serve(drive), PYRITE_PARITY="20")
    assert "positive" in refused(*serve(drive), PYRITE_SCRUB_PERIOD="0")
    assert "positive" in refused(*serve(drive), PYRITE_WATCHDOG_S="nan")
    assert str(none) in refused(*serve(drive, "--access-log", none))
    assert str(none) in refused(*serve(drive, "--tls-certificate", none, "--tls-key", none))
    assert "separated by spaces" in refused(*serve(f"{tmp_path}/q{{1..}}"))
    assert "separated by spaces" in refused(*serve(), PYRITE_DRIVES=f"{tmp_path}/a,{tmp_path}/b")
    assert "--existing" in refused(*serve(drive, "--existing"))
    assert run(*serve(drive, "--log-level", "loud")).returncode == 2
    (tmp_path / "file").write_text("x")
    refused(*serve(tmp_path / "file"))
    assert not drive.exists() and sorted(os.listdir(tmp_path)) == ["file"]


def test_a_new_store_says_so(tmp_path: Path) -> None:
    """Whoever serves an empty directory by mistake can see it."""
    server = Server([tmp_path / "d"])
    with server:
        wait_until(lambda: "new, empty store" in server.log.read_text())
    server.log.unlink()
    server.options.append("--existing")
    with server:
        wait_until(lambda: "Pyrite serves" in server.log.read_text())
        assert "new, empty store" not in server.log.read_text()


def test_a_worker_that_cannot_start_ends_the_server(tmp_path: Path) -> None:
    """A certificate that is none is told by a server that ends, and does not wait for ever."""
    broken = tmp_path / "broken.pem"
    broken.write_text("this is no certificate")
    done = run(*serve(tmp_path / "d", "--tls-certificate", broken, "--tls-key", broken, "--workers", 2))
    assert done.returncode == 1 and b"server_not_started" in done.stderr


def test_an_access_log_that_goes_takes_nothing_with_it(tmp_path: Path) -> None:
    """Requests are answered, and what was lost is logged."""
    logs = tmp_path / "logs"
    logs.mkdir()
    with Server([tmp_path / "d"], "--access-log", str(logs / "access"), "--workers", "1") as server:
        before = server.children()
        shutil.rmtree(logs)
        server.client().list_buckets()
        wait_until(lambda: "access_log_not_written" in server.log.read_text())
        assert server.client().list_buckets()["Buckets"] == [] and server.children() == before


def test_nobody_else_reads_a_drive(tmp_path: Path) -> None:
    """Names, secrets and bytes are for the user of the server alone; also those that others could read before."""
    drive, backup = tmp_path / "d", tmp_path / "backup"
    server = Server([drive])
    with server:
        assert run("metadata", "backup", backup, "--store", drive).returncode == 0
    for path, mode in (
        (drive / "pyrite.json", 0o644),
        (drive / "metadata", 0o755),
        (drive / "metadata/data.mdb", 0o644),
    ):
        path.chmod(mode)
    with server:
        server.client().create_bucket(Bucket="some")
    places = list((drive / "metadata").rglob("*"))
    for path in (drive, drive / "pyrite.json", drive / "metadata", drive / "volumes", backup, *places):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_keyrings_of_other_stores(tmp_path: Path) -> None:
    """No key is retired for a store that is not encrypted with it, and nothing is written past a store's keyring."""
    own, other, plain = tmp_path / "own", tmp_path / "other", tmp_path / "plain"
    with Server([tmp_path / "a"], "--keyring", str(own)) as server:
        server.client().create_bucket(Bucket="some")
        server.client().put_object(Bucket="some", Key="k", Body=b"x")
    with Server([plain]):
        pass
    assert run("keyring", "create", other).returncode == 0
    assert run("keyring", "rotate", own).returncode == 0
    before = own.read_bytes()
    assert "not encrypted" in refused("keyring", "retire", own, "--store", plain)
    assert "not encrypted" in refused("keyring", "list", own, "--store", plain)
    assert "not the keyring" in refused("keyring", "retire", other, "--store", tmp_path / "a")
    assert own.read_bytes() == before
    making = ("iam", "create-user", "carl", "--store", tmp_path / "a")
    assert "PYRITE_KEYRING" in refused(*making)
    assert "is not there" in refused(*making, PYRITE_KEYRING=str(tmp_path / "nowhere"))
    assert "not the keyring" in refused(*making, PYRITE_KEYRING=str(other))
    assert run(*making, PYRITE_KEYRING=str(own)).returncode == 0
    with Server([plain]):
        pass
    with Server([tmp_path / "a"], "--keyring", str(own)) as server:
        assert server.client().get_object(Bucket="some", Key="k")["Body"].read() == b"x"


def test_identities_are_applied_whole_or_not_at_all(tmp_path: Path) -> None:
    """A KMS key that cannot be made, an empty secret and an account that is not there leave nothing behind."""
    drive, file = tmp_path / "d", tmp_path / "identities.toml"
    with Server([drive]):
        pass
    user = '[[account]]\n[[account.user]]\nname = "ada"\n'
    file.write_text(user + '[[account.kms_key]]\nid = "one"\n')
    for dry in ((), ("--dry-run",)):
        assert "no keyring" in refused("iam", "apply", file, "--store", drive, *dry)
    file.write_text(user + 'key = [{ access_key = "ADA00000", secret_key = "" }]\n')
    assert "at least 8" in refused("iam", "apply", file, "--store", drive)
    refused("iam", "create-user", "bob", "--account", "123456789012", "--store", drive)
    assert run("iam", "users", "--store", drive, "--json").stdout.strip() == b"[]"
    good = 'key = [{ access_key = "ADA00000", secret_key = "a-good-secret", active = false }]\n'
    file.write_text(user + good)
    assert b"+ user" in run("iam", "apply", file, "--store", drive).stdout
    assert b"nothing to change" in run("iam", "apply", file, "--store", drive).stdout
    file.write_text(user + good.replace("a-good-secret", ""))
    assert "at least 8" in refused("iam", "apply", file, "--store", drive)


def test_the_last_drive_is_not_given_up(tmp_path: Path) -> None:
    """A store whose only drive is called lost could be written to no more."""
    with Server([tmp_path / "d"]) as server:
        server.client().create_bucket(Bucket="some")
        server.client().put_object(Bucket="some", Key="k", Body=b"x" * 200_000)
        said = refused("drive", "remove", tmp_path / "d", "--lost", "--no-wait", "--store", tmp_path / "d")
        assert "only one" in said
        server.client().put_object(Bucket="some", Key="l", Body=b"x" * 200_000)


@pytest.mark.parametrize("count", [6])
def test_check_and_info_see_drives_that_were_added(tmp_path: Path, count: int) -> None:
    """Drives that joined later are read although the command names those of the beginning."""
    drives = [tmp_path / f"d{number}" for number in range(3)]
    server = Server(drives, check=False)
    with server:
        s3 = server.client()
        s3.create_bucket(Bucket="some")
        assert run("drive", "add", tmp_path / "new", "--store", drives[0]).returncode == 0
        wait_until(lambda: "new" in run("drive", "list", "--store", drives[0]).stdout.decode())
        for number in range(count):
            s3.put_object(Bucket="some", Key=str(number), Body=bytes([number]) * 300_000)
    done = run("check", *drives)
    told = done.stdout.decode()
    assert done.returncode == 0 and not re.search(r"is missing|missing +[1-9]", told), told
