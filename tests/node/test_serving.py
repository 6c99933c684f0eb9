"""The server as an operator runs it: first start, restart, lost drives, a full disk, wrong drives, health, metrics."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.server import PYRITE, Server, wait_until

MIB = 1024 * 1024


def pyrite(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYRITE, *arguments], capture_output=True, text=True, timeout=300, env=dict(os.environ) | environment
    )


def fetch(server: Server, path: str) -> tuple[int, str]:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(server.endpoint + path, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""  # it does not answer just now


def test_generated_credentials(tmp_path: Path) -> None:
    """Without configured credentials a pair is made once, printed, and kept readable by its owner alone."""
    nothing = {"PYRITE_ACCESS_KEY": "", "PYRITE_SECRET_KEY": ""}
    with Server([tmp_path / "d"], environment=nothing) as server:
        wait_until(lambda: "secret key" in server.log.read_text())
        file = tmp_path / "d" / "root-credentials.json"
        assert file.stat().st_mode & 0o777 == 0o600
        kept = json.loads(file.read_text())
        assert kept["access_key"] in server.log.read_text() and kept["secret_key"] in server.log.read_text()
    with Server([tmp_path / "d"], environment=nothing):
        assert json.loads(file.read_text()) == kept


def test_credentials_from_files_and_aliases(tmp_path: Path) -> None:
    """`_FILE` variables and the names of other servers are understood; half a pair is an error that says so."""
    secret = tmp_path / "secret"
    secret.write_text("filesecretkey\n")
    environment = {
        "PYRITE_ACCESS_KEY": "", "PYRITE_SECRET_KEY": "", "MINIO_ROOT_USER": "miniouser", "PYRITE_SECRET_KEY_FILE": str(secret),
    }  # fmt: skip
    import boto3

    with Server([tmp_path / "d"], environment=environment) as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id="miniouser",
            aws_secret_access_key="filesecretkey",
            region_name="us-east-1",
        )
        assert client.list_buckets()["Buckets"] == []
    done = pyrite("serve", str(tmp_path / "x"), PYRITE_ACCESS_KEY="only", PYRITE_SECRET_KEY="")
    assert done.returncode == 2 and "PYRITE_SECRET_KEY" in done.stderr


def test_drive_patterns(tmp_path: Path) -> None:
    """`{1...4}` and `{1..4}` name four drives, the order of which does not matter later."""
    with Server([tmp_path / "d{1...4}"], check=False) as server:
        server.client().create_bucket(Bucket="pattern")
    drives = [str(tmp_path / f"d{n}") for n in (4, 2, 3, 1)]
    assert pyrite("check", *drives).returncode == 0
    listed = json.loads(pyrite("info", "--json", str(tmp_path / "d{1..4}")).stdout)
    assert len(listed["drives"]) == 4 and sum(drive["holds_metadata"] for drive in listed["drives"]) == 3


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Objects, metadata and uploads under way are there after a restart with other numbers of workers."""
    drives = [tmp_path / f"d{n}" for n in range(3)]
    body = os.urandom(7 * MIB)
    with Server(drives, "--workers", "2") as server:
        client = server.client()
        client.create_bucket(Bucket="restart")
        client.put_object(Bucket="restart", Key="k", Body=body, Metadata={"a": "b"})
        upload = client.create_multipart_upload(Bucket="restart", Key="m")["UploadId"]
        etag = client.upload_part(Bucket="restart", Key="m", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    with Server(drives, "--workers", "0") as server:
        client = server.client()
        got = client.get_object(Bucket="restart", Key="k")
        assert got["Body"].read() == body and got["Metadata"] == {"a": "b"}
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        client.complete_multipart_upload(Bucket="restart", Key="m", UploadId=upload, MultipartUpload=parts)
        assert client.get_object(Bucket="restart", Key="m")["Body"].read() == b"part"


def test_two_of_six_drives_lost_while_serving(tmp_path: Path) -> None:
    """With 4+2, two drives vanish under a running server: reads and writes go on, also after a restart without them."""
    drives = [tmp_path / f"d{n}" for n in range(6)]
    bodies = {f"k{n}": os.urandom(size) for n, size in enumerate([10, 4096, 200_000, 3 * MIB, 9 * MIB])}
    with Server(drives, "--parity", "2", check=False) as server:
        client = server.client(retries={"max_attempts": 6})
        client.create_bucket(Bucket="six")
        for key, body in bodies.items():
            client.put_object(Bucket="six", Key=key, Body=body)
        for name in ("d0", "d1"):
            shutil.move(tmp_path / name, tmp_path / f"gone-{name}")
        wait_until(lambda: fetch(server, "/metrics")[1].count("pyrite_drive_online{") == 6
                   and sum(line.endswith(" 0.0") for line in fetch(server, "/metrics")[1].splitlines() if line.startswith("pyrite_drive_online{")) == 2)  # fmt: skip
        for key, body in list(bodies.items()):
            assert client.get_object(Bucket="six", Key=key)["Body"].read() == body
            client.put_object(Bucket="six", Key="after-" + key, Body=body)
            bodies["after-" + key] = body
        assert fetch(server, "/health/ready")[0] == 200
    left = drives[2:]
    with Server([*left], "--parity", "2", check=False) as server:
        client = server.client()
        for key, body in bodies.items():
            assert client.get_object(Bucket="six", Key=key)["Body"].read() == body
    report = json.loads(pyrite("check", "--json", *map(str, left)).stdout)
    assert report["unreadable_stripes"] == 0 and report["missing_fragments"] > 0 and report["clean"]


def test_foreign_blank_and_full_directories(tmp_path: Path) -> None:
    """A drive of another store, an empty directory beside a store, and a directory with other files are not written to."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with Server([tmp_path / name / f"d{n}" for n in range(2)]):
            pass
    (tmp_path / "blank").mkdir()
    foreign = tmp_path / "two" / "d0"
    before = sorted(p.name for p in foreign.rglob("*"))
    drives = [tmp_path / "one" / "d0", tmp_path / "one" / "d1", foreign, tmp_path / "blank"]
    with Server(drives, check=False) as server:
        wait_until(lambda: "does not belong" in server.log.read_text())
        assert "belongs to another store" in server.log.read_text()
    assert list((tmp_path / "blank").iterdir()) == [] and sorted(p.name for p in foreign.rglob("*")) == before
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "thesis.tex").write_text("mine")
    done = pyrite("serve", str(tmp_path / "files"))
    assert done.returncode == 2 and "neither empty nor a Pyrite drive" in done.stderr


def test_two_servers_never_share_a_drive(tmp_path: Path) -> None:
    """A second server, and a check, on drives in use are refused."""
    with Server([tmp_path / "d"]):
        done = pyrite("serve", str(tmp_path / "d"), "--address", "127.0.0.1:0")
        assert done.returncode == 2 and "in use" in done.stderr
        assert pyrite("check", str(tmp_path / "d")).returncode == 2
        assert pyrite("info", str(tmp_path / "d")).returncode == 0


def test_check_finds_damage(tmp_path: Path) -> None:
    """Flipped bytes in a volume are reported with the object they belong to, and the exit code is 1."""
    with Server([tmp_path / "d"], check=False) as server:
        server.client().create_bucket(Bucket="rot")
        server.client().put_object(Bucket="rot", Key="victim", Body=b"v" * 1000)
    shard = next(path for path in (tmp_path / "d" / "volumes").iterdir() if b"v" * 1000 in path.read_bytes())
    content = bytearray(shard.read_bytes())
    content[content.index(b"v" * 1000) + 500] ^= 1
    shard.write_bytes(content)
    done = pyrite("check", str(tmp_path / "d"))
    assert done.returncode == 1 and "victim" in done.stdout and "unreadable" in done.stdout
    with Server([tmp_path / "d"], check=False) as server:
        with pytest.raises(ClientError) as caught:
            server.client().get_object(Bucket="rot", Key="victim")
        assert caught.value.response["Error"]["Code"] == "InternalError"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB; the test is skipped where mounting is not allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_clear_error_and_recovers(small_disk: Path) -> None:
    """On a full disk writes are StorageFull, reads and deletes work, and writes work again once there is space."""
    with Server([small_disk / "d"]) as server:
        client = server.client()
        client.create_bucket(Bucket="full")
        kept = {}
        with pytest.raises(ClientError) as caught:
            for n in range(40):
                kept[f"k{n}"] = os.urandom(2 * MIB)
                client.put_object(Bucket="full", Key=f"k{n}", Body=kept[f"k{n}"])
        assert caught.value.response["Error"]["Code"] == "StorageFull"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
        kept.popitem()
        with pytest.raises(ClientError):
            for n in range(20_000):
                client.put_object(Bucket="full", Key=f"small{n}", Body=b"s" * 4096)
                kept[f"small{n}"] = b"s" * 4096
        for key, body in kept.items():
            assert client.get_object(Bucket="full", Key=key)["Body"].read() == body
        for key in [key for key in kept if key.startswith("k")]:
            client.delete_object(Bucket="full", Key=key)

        def works_again() -> bool:
            try:
                client.put_object(Bucket="full", Key="again", Body=b"a" * MIB)
            except ClientError:
                return False
            return True

        wait_until(works_again)


def test_health_metrics_and_access_log(tmp_path: Path) -> None:
    """The health aliases answer, metrics count over all workers, and the access log holds every request and no secret."""
    log = tmp_path / "access.jsonl"
    with Server([tmp_path / "d"], "--workers", "2", "--access-log", str(log)) as server:
        for path in ("/health", "/health/live", "/health/ready", "/minio/health/live", "/minio/health/cluster"):
            assert fetch(server, path)[0] == 200
        clients = [server.client(retries={"max_attempts": 0}, read_timeout=200) for _ in range(6)]
        clients[0].create_bucket(Bucket="metrics")  # a bucket may be called like a path
        for client in clients:
            client.put_object(Bucket="metrics", Key="k", Body=b"12345")
        assert clients[0].list_objects_v2(Bucket="metrics")["KeyCount"] == 1

        def counted() -> bool:
            return 'pyrite_s3_requests_total{operation="PutObject",status="200"} 6.0' in fetch(server, "/metrics")[1]

        wait_until(counted)
        assert 'pyrite_bucket_objects{bucket="metrics"} 1.0' in fetch(server, "/metrics")[1]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line["operation"] == "PutObject" for line in lines) == 6
    assert all(line["request_id"] and line["access_key"] == "testaccess" for line in lines)
    assert "testsecretkey" not in log.read_text() and "Signature" not in log.read_text()


def test_a_new_certificate_is_taken_without_a_restart(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """When the certificate files change, new connections see the new certificate."""
    import ssl

    import trustme

    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(certificate[0], chain)
    shutil.copy(certificate[1], key)
    with Server([tmp_path / "d"], tls=(chain, key)) as server:
        first = ssl.get_server_certificate(("127.0.0.1", server.port))
        issued = trustme.CA().issue_cert("127.0.0.1")
        key.write_bytes(issued.private_key_pem.bytes())
        chain.write_bytes(issued.cert_chain_pems[0].bytes())
        wait_until(lambda: ssl.get_server_certificate(("127.0.0.1", server.port)) != first)


def test_deleted_space_comes_back(tmp_path: Path) -> None:
    """Space of deleted and replaced objects and of aborted uploads is given back within seconds."""
    with Server([tmp_path / "d"]) as server:
        client = server.client()
        client.create_bucket(Bucket="space")
        client.put_object(Bucket="space", Key="k", Body=bytes(20 * MIB))
        client.put_object(Bucket="space", Key="k", Body=bytes(20 * MIB))
        upload = client.create_multipart_upload(Bucket="space", Key="m")["UploadId"]
        client.upload_part(Bucket="space", Key="m", UploadId=upload, PartNumber=1, Body=bytes(20 * MIB))
        client.copy_object(Bucket="space", Key="copy", CopySource="space/k")
        client.delete_object(Bucket="space", Key="k")
        client.abort_multipart_upload(Bucket="space", Key="m", UploadId=upload)

        def used() -> int:
            total = 0
            for path in (tmp_path / "d" / "volumes").iterdir():
                with contextlib.suppress(FileNotFoundError):  # a volume that has just been removed
                    total += path.stat().st_blocks * 512
            return total

        wait_until(lambda: used() < 21 * MIB)
        assert client.get_object(Bucket="space", Key="copy")["Body"].read() == bytes(20 * MIB)
        client.delete_object(Bucket="space", Key="copy")
        wait_until(lambda: used() < MIB)


def test_idle_memory(tmp_path: Path) -> None:
    """Idle, the default processes take at most 150 MiB together, and a single one at most 64 MiB."""
    for options, limit in ((("--workers", "2"), 150), (("--workers", "0"), 64)):
        with Server([tmp_path / options[1]], *options) as server:
            wait_until(lambda server=server, limit=limit: _total(server) < limit * MIB, 60, 1.0)


def _total(server: Server) -> int:
    assert server.process is not None
    return sum(_proportional(pid) for pid in [server.process.pid, *server.children()])


def _proportional(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def test_a_stop_right_after_the_start(tmp_path: Path) -> None:
    """A server that is told to end while its processes are just being made ends, with all of them."""
    for turn in range(6):
        server = Server([tmp_path / f"d{turn}"], "--workers", "2")
        server.start()
        children = server.children()
        assert server.stop() == 0
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
