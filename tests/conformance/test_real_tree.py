"""Real input at size: a Python environment twice over through three clients, and a 5 GiB object; run by name."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from tests.conformance.test_clients import BIN
from tests.server import ACCESS_KEY, SECRET_KEY, Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
GIB = 1 << 30
FILES_MIN, BYTES_MIN = 20_000, 2 * GIB


def hashes(root: Path) -> dict[str, str]:
    """The SHA-256 of every file below `root`, by relative path."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                found[str(path.relative_to(root))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of this environment until there are FILES_MIN files and BYTES_MIN bytes, links left out."""
    root = tmp_path_factory.mktemp("tree")

    def ignore_links(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if os.path.islink(os.path.join(folder, name))}

    files = size = copies = 0
    while files < FILES_MIN or size < BYTES_MIN:
        shutil.copytree(sys.prefix, root / f"environment-{copies}", ignore=ignore_links)
        copies += 1
        paths = [path for path in root.rglob("*") if path.is_file()]
        files, size = len(paths), sum(path.stat().st_size for path in paths)
    return root


def client(server: Server, *command: str) -> str:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        timeout=1800,
        env=server.client_environment(),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def remote(server: Server) -> str:
    return (
        f":s3,provider=Other,access_key_id={ACCESS_KEY},secret_access_key={SECRET_KEY},"
        f"endpoint='{server.endpoint}',region=us-east-1:"
    )


def lose_two(drives: list[Path]) -> None:
    """Remove the first two drives from under the server."""
    for drive in drives[:2]:
        shutil.move(drive, drive.with_name("gone-" + drive.name))


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("tool", ["aws", "s5cmd", "rclone"])
def test_tree(tmp_path: Path, tree: Path, tool: str, count: int) -> None:
    """A tree of 20,000 files and 2 GiB goes up, lists and comes back with every hash; on six drives two go half-way."""
    drives = [tmp_path / f"d{n}" for n in range(count)]
    options = ["--parity", "2"] if count == 6 else []
    wanted = hashes(tree)
    assert len(wanted) >= FILES_MIN
    with Server(drives, *options, check=count == 1) as server:
        boto = server.client(retries={"max_attempts": 5})
        boto.create_bucket(Bucket="tree")
        halves = sorted(path.name for path in tree.iterdir())
        for index, name in enumerate(halves):
            if index == 1 and count == 6:
                lose_two(drives)
            source, target = str(tree / name), f"tree/{name}"
            if tool == "aws":
                client(server, "aws", "s3", "sync", "--quiet", source, f"s3://{target}")
            elif tool == "s5cmd":
                client(server, "s5cmd", "--endpoint-url", server.endpoint, "sync", source + "/", f"s3://{target}/")
            else:
                client(
                    server,
                    "rclone",
                    "--config",
                    "/dev/null",
                    "--transfers",
                    "8",
                    "copy",
                    source,
                    remote(server) + target,
                )
        pages = boto.get_paginator("list_objects_v2").paginate(Bucket="tree")
        listed = [entry["Key"] for page in pages for entry in page["Contents"]]
        assert listed == sorted(wanted, key=str.encode)
        back = str(tmp_path / "back")
        if tool == "aws":
            client(server, "aws", "s3", "sync", "--quiet", "s3://tree", back)
        elif tool == "s5cmd":
            client(server, "s5cmd", "--endpoint-url", server.endpoint, "cp", "s3://tree/*", back + "/")
        else:
            client(server, "rclone", "--config", "/dev/null", "--transfers", "8", "copy", remote(server) + "tree", back)
        assert hashes(Path(back)) == wanted


@pytest.mark.parametrize("count", [1, 6])
def test_five_gibibytes(tmp_path: Path, count: int) -> None:
    """boto3's transfer manager stores 5 GiB and reads the same hash back; on six drives two go half-way."""
    drives = [tmp_path / f"d{n}" for n in range(count)]
    file, back = tmp_path / "in", tmp_path / "out"
    digest = hashlib.sha256()
    with file.open("wb") as out:
        block = os.urandom(64 << 20)
        for number in range(80):
            piece = number.to_bytes(8, "big") + block[8:]
            digest.update(piece)
            out.write(piece)
    with Server(drives, *(["--parity", "2"] if count == 6 else []), check=count == 1) as server:
        boto = server.client(retries={"max_attempts": 8})
        boto.create_bucket(Bucket="huge")
        seen = 0

        def progress(sent: int) -> None:
            nonlocal seen
            before, seen = seen, seen + sent
            if count == 6 and before < 5 * GIB // 2 <= seen:
                lose_two(drives)

        config = TransferConfig(multipart_chunksize=64 << 20, max_concurrency=4)
        boto.upload_file(str(file), "huge", "five", Callback=progress, Config=config)
        file.unlink()
        boto.download_file("huge", "five", str(back), Config=config)
        with back.open("rb") as file_back:
            assert hashlib.file_digest(file_back, "sha256").digest() == digest.digest()
