"""The names come back: from the drives alone, from a backup, and onto a drive that takes a lost mirror's place."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.drives.load import Load, folders
from tests.server import PYRITE, Server, wait_until


def run(*words: object) -> dict:
    done = subprocess.run([PYRITE, *map(str, words)], capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout) if "--json" in words else {}


def forget_metadata(drives: list[Path]) -> None:
    for path in drives:
        shutil.rmtree(path / "metadata", ignore_errors=True)
        (path / "mirrors.json").unlink(missing_ok=True)


def has_dump(server: Server) -> bool:
    return "names_dumped" in server.log.read_text()


@pytest.mark.parametrize("count", [1, 4])
def test_names_come_back_from_the_drives_alone(tmp_path: Path, count: int) -> None:
    """With every file of metadata deleted, recover brings back each acknowledged object, its metadata and no other."""
    drives = folders(tmp_path, count)
    with Server(drives) as server:
        load = Load(server)
        load.put(40)
        wait_until(lambda: has_dump(server))
        load.put(40)
        load.delete(15)
        load.s3.put_object(Bucket="data", Key="tagged", Body=b"x", Metadata={"a": "b"}, ContentType="text/plain")
        upload = load.s3.create_multipart_upload(Bucket="data", Key="parts")
        name = {"Bucket": "data", "Key": "parts", "UploadId": upload["UploadId"]}
        etag = load.s3.upload_part(**name, PartNumber=1, Body=b"p" * 300_000)["ETag"]
        listed = [*sorted(load.expected), "tagged"]
        server.kill()  # whatever was acknowledged is in the journal
        forget_metadata(drives)
        gone: list[str] = []
        if count > 1:
            gone = ["--without", json.loads((drives[1] / "pyrite.json").read_text())["drive"]]
            shutil.rmtree(drives[1])
            drives.pop(1)
            server.drives = drives
        found = run("recover", *drives, "--json", *gone)
        assert found["objects"] == len(listed) and found["buckets"] == 1
        server.start()
        load.s3 = server.client()
        pages = load.s3.get_paginator("list_objects_v2").paginate(Bucket="data")
        assert [item["Key"] for page in pages for item in page.get("Contents", [])] == sorted(listed)
        load.verify()
        tagged = load.s3.head_object(Bucket="data", Key="tagged")
        assert tagged["Metadata"] == {"a": "b"} and tagged["ContentType"] == "text/plain"
        load.s3.complete_multipart_upload(**name, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        load.put(10)
        load.verify()


def test_a_store_that_has_its_names_is_not_recovered_by_mistake(tmp_path: Path) -> None:
    """Recover refuses where metadata is there, and says what to do."""
    drives = folders(tmp_path, 2)
    with Server(drives) as server:
        Load(server).put(3)
        server.stop()
        refused = subprocess.run([PYRITE, "recover", *map(str, drives)], capture_output=True)
        assert refused.returncode == 2 and b"--discard" in refused.stderr


def test_drives_that_were_not_named_are_not_forgotten(tmp_path: Path) -> None:
    """Neither recover nor restore goes on without a drive of the store that is not given up by its id."""
    drives = folders(tmp_path, 4)
    with Server(drives) as server:
        load = Load(server)
        load.put(20)
        wait_until(lambda: has_dump(server))
        file = tmp_path / "names.backup"
        run("metadata", "backup", file, *[word for path in drives for word in ("--store", path)])
        load.put(5)
        server.stop()
        for words in (("recover", drives[3]), ("metadata", "restore", file, "--store", drives[3])):
            refused = subprocess.run([PYRITE, *map(str, words)], capture_output=True)
            assert refused.returncode == 2 and b"name all drives" in refused.stderr
            known = b"holds a whole dump" not in refused.stderr  # where it has none, it does not know the others
            assert not known or all(str(path).encode() in refused.stderr for path in drives[:3])
        server.start()
        load.s3 = server.client()
        load.verify()


def test_a_backup_is_restored_with_and_without_what_came_after(tmp_path: Path) -> None:
    """A backup taken online brings the names of its moment back exactly, or all of them with the journal."""
    drives = folders(tmp_path, 2)
    file = tmp_path / "names.backup"
    with Server(drives) as server:
        load = Load(server)
        load.put(20)
        stores = [word for path in drives for word in ("--store", path)]
        run("metadata", "backup", file, *stores)
        then = dict(load.expected)
        load.put(20)
        server.stop()
        forget_metadata(drives)
        found = run("metadata", "restore", file, *stores, "--json")
        assert found["objects"] == len(load.expected) and not found["missing"]
        server.start()
        load.s3 = server.client()
        load.verify()
        server.stop()
        found = run("metadata", "restore", file, *stores, "--exactly", "--json")
        assert found["objects"] == len(then)
        damaged = bytearray(file.read_bytes())
        for key in then:
            at = -1
            while (at := damaged.find(key.encode(), at + 1)) >= 0:
                damaged[at] ^= 1
        file.write_bytes(damaged)
        refused = subprocess.run([PYRITE, "metadata", "restore", str(file), *map(str, stores)], capture_output=True)
        assert refused.returncode == 2 and b"not a good backup" in refused.stderr
        server.start()
