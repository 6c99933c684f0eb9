"""Real clients, unchanged: AWS CLI, s5cmd, rclone, minio-py, s3fs, obstore, pyarrow; over http and https."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ACCESS_KEY, SECRET_KEY, Server

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory tree of files of many sizes and odd names."""
    root = tmp_path_factory.mktemp("tree")
    for number, size in enumerate([0, 1, 100, 4096, 131072, 131073, 1_000_000, 9 * 1024 * 1024]):
        folder = root / f"folder {number % 3}" / "ünder"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file+{number}&x.bin").write_bytes(os.urandom(size))
    for number in range(30):  # more than any client has connections: each is used again after an empty body
        (root / f"empty{number}").write_bytes(b"")
    return root


def run(server: Server, *command: str, **extra: str) -> str:
    """Run a client of the virtual environment; its output. Fails the test when it fails."""
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        timeout=120,
        env=server.client_environment() | extra,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def same(one: Path, other: Path) -> None:
    """Both trees hold the same files with the same bytes."""

    def listing(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    assert listing(one) == listing(other)


def test_aws_cli(server: Server, tree: Path, tmp_path: Path) -> None:
    """`aws s3` makes a bucket, syncs a tree up and down, lists and removes it."""
    run(server, "aws", "s3", "mb", "s3://cli")
    run(server, "aws", "s3", "sync", "--quiet", str(tree), "s3://cli/tree")
    run(server, "aws", "s3", "sync", "--quiet", "s3://cli/tree", str(tmp_path / "back"))
    same(tree, tmp_path / "back")
    assert "PRE tree/" in run(server, "aws", "s3", "ls", "s3://cli")
    assert run(server, "aws", "s3", "sync", "s3://cli/tree", str(tmp_path / "back")) == ""
    run(server, "aws", "s3", "rm", "--quiet", "--recursive", "s3://cli")
    run(server, "aws", "s3", "rb", "s3://cli")


def test_s5cmd(server: Server, tree: Path, tmp_path: Path) -> None:
    """s5cmd copies a tree up and down, lists it, and removes it."""
    flags = ["--no-verify-ssl"] if server.tls else []
    endpoint = ["--endpoint-url", server.endpoint, *flags]
    run(server, "s5cmd", *endpoint, "mb", "s3://s5bucket")
    run(server, "s5cmd", *endpoint, "cp", f"{tree}/", "s3://s5bucket/tree/")
    run(server, "s5cmd", *endpoint, "cp", "s3://s5bucket/tree/*", f"{tmp_path}/back/")
    same(tree, tmp_path / "back")
    assert len(run(server, "s5cmd", *endpoint, "ls", "s3://s5bucket/*").splitlines()) == 38
    run(server, "s5cmd", *endpoint, "rm", "s3://s5bucket/*")
    run(server, "s5cmd", *endpoint, "rb", "s3://s5bucket")


def test_rclone(server: Server, tree: Path, tmp_path: Path) -> None:
    """rclone copies a tree, checks every hash, and copies it on the server side."""
    remote = (
        f":s3,provider=Other,access_key_id={ACCESS_KEY},secret_access_key={SECRET_KEY},"
        f"endpoint='{server.endpoint}',region=us-east-1:"
    )
    flags = ["--config", "/dev/null", "--no-check-certificate"]
    run(server, "rclone", *flags, "mkdir", f"{remote}rclone")
    run(server, "rclone", *flags, "copy", str(tree), f"{remote}rclone/tree")
    run(server, "rclone", *flags, "check", "--download", str(tree), f"{remote}rclone/tree")
    run(server, "rclone", *flags, "copy", f"{remote}rclone/tree", f"{remote}rclone/copy")
    run(server, "rclone", *flags, "copy", f"{remote}rclone/copy", str(tmp_path / "back"))
    same(tree, tmp_path / "back")
    run(server, "rclone", *flags, "purge", f"{remote}rclone")


def test_minio_py(server: Server) -> None:
    """minio-py puts with and without a known length, stats, reads, lists and removes."""
    import urllib3
    from minio import Minio
    from minio.deleteobjects import DeleteObject

    http = urllib3.PoolManager(cert_reqs="CERT_NONE") if server.tls else None
    client = Minio(
        f"127.0.0.1:{server.port}",
        ACCESS_KEY,
        SECRET_KEY,
        secure=bool(server.tls),
        http_client=http,
        region="us-east-1",
    )
    client.make_bucket("minio-py")
    body = os.urandom(6 * 1024 * 1024)
    client.put_object("minio-py", "known/ü", io.BytesIO(body), len(body), metadata={"x-amz-meta-a": "b"})
    client.put_object("minio-py", "unknown", io.BytesIO(body), -1, part_size=5 * 1024 * 1024)
    for name in ("known/ü", "unknown"):
        assert client.get_object("minio-py", name).read() == body
    assert client.stat_object("minio-py", "known/ü").metadata["x-amz-meta-a"] == "b"
    assert [item.object_name for item in client.list_objects("minio-py", recursive=True)] == ["known/ü", "unknown"]
    assert list(client.remove_objects("minio-py", [DeleteObject("known/ü"), DeleteObject("unknown")])) == []
    client.remove_bucket("minio-py")


def test_s3fs(server: Server) -> None:
    """s3fs writes, globs, seeks and removes like a file system."""
    import s3fs

    options = {"endpoint_url": server.endpoint, "verify": str(server.tls[0]) if server.tls else None}
    files = s3fs.S3FileSystem(key=ACCESS_KEY, secret=SECRET_KEY, client_kwargs=options, skip_instance_cache=True)
    files.mkdir("s3fs-bucket")
    body = os.urandom(12 * 1024 * 1024)
    with files.open("s3fs-bucket/a/b.bin", "wb") as out:
        out.write(body)
    with files.open("s3fs-bucket/a/b.bin", "rb") as back:
        back.seek(5_000_000)
        assert back.read(100) == body[5_000_000:5_000_100]
    assert files.cat("s3fs-bucket/a/b.bin") == body
    assert files.glob("s3fs-bucket/*/*.bin") == ["s3fs-bucket/a/b.bin"]
    assert not files.exists("s3fs-bucket/none")
    files.rm("s3fs-bucket", recursive=True)


def test_obstore(server: Server) -> None:
    """obstore puts conditionally, reads ranges, lists and deletes."""
    import obstore
    from obstore.exceptions import AlreadyExistsError
    from obstore.store import S3Store

    server.client().create_bucket(Bucket="obstore")
    store = S3Store(
        "obstore",
        endpoint=server.endpoint,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "allow_invalid_certificates": True},
    )
    body = os.urandom(11 * 1024 * 1024)
    obstore.put(store, "dir/x", body)
    obstore.put(store, "once", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "once", b"2", mode="create")
    assert bytes(obstore.get_range(store, "dir/x", start=1000, length=50)) == body[1000:1050]
    assert bytes(obstore.get(store, "dir/x").bytes()) == body
    assert sorted(meta["path"] for page in obstore.list(store) for meta in page) == ["dir/x", "once"]
    obstore.copy(store, "dir/x", "copy")
    obstore.delete(store, ["dir/x", "once", "copy"])
    assert [meta for page in obstore.list(store) for meta in page] == []


def test_pyarrow(server: Server) -> None:
    """pyarrow writes a partitioned Parquet data set and reads it back."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import fs

    options = {"tls_ca_file_path": str(server.tls[0])} if server.tls else {}
    files = fs.S3FileSystem(
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        endpoint_override=f"127.0.0.1:{server.port}",
        scheme="https" if server.tls else "http",
        region="us-east-1",
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
        **options,
    )
    files.create_dir("pyarrow-bucket")
    table = pa.table({"part": [n % 3 for n in range(30_000)], "value": list(range(30_000))})
    ds.write_dataset(table, "pyarrow-bucket/set", filesystem=files, format="parquet", partitioning=["part"])
    back = ds.dataset("pyarrow-bucket/set", filesystem=files, format="parquet", partitioning=["part"]).to_table()
    assert sorted(back["value"].to_pylist()) == list(range(30_000))
    files.delete_dir("pyarrow-bucket/set")


def test_virtual_host_style(tmp_path: Path) -> None:
    """Buckets below a configured domain are served by host name, beside path style, signed either way."""
    import http.client

    import boto3
    from botocore.config import Config

    with Server([tmp_path / "drive"], "--domain", "s3.test") as server:
        client = server.client()
        client.create_bucket(Bucket="dotted.bucket")
        client.put_object(Bucket="dotted.bucket", Key="k y", Body=b"x")
        virtual = boto3.client(
            "s3", endpoint_url=f"http://s3.test:{server.port}", aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY, region_name="us-east-1",
            config=Config(s3={"addressing_style": "virtual"}, signature_version="s3v4"),
        )  # fmt: skip
        for params in ({"Bucket": "dotted.bucket", "Key": "k y"},):
            url = virtual.generate_presigned_url("get_object", params)
            assert url.startswith("http://dotted.bucket.s3.test")
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            host, _, target = url.removeprefix("http://").partition("/")
            connection.request("GET", "/" + target, headers={"Host": host})
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"x")
            connection.request("GET", f"http://{host}/{target}", headers={"Host": host})
            assert connection.getresponse().read() == b"x"
