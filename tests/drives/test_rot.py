"""Bits flip on the drives of a real store: no read is wrong, scrub finds all of it, repair mends it."""

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from tests.drives.load import QUICK, Load, drive, folders, nothing_waits
from tests.server import PYRITE, Server, wait_until

PAGE = 4096
SETTINGS = (*QUICK, "--parity", "2")
SCRUB_NOW = ("--scrub-period", "0.00005")  # days: about four seconds


def rot(path: Path, rng: random.Random) -> int:
    """Flip one bit in every page of a file; how many that were."""
    content = bytearray(path.read_bytes())
    for start in range(0, len(content), PAGE):
        content[rng.randrange(start, min(start + PAGE, len(content)))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return -(-len(content) // PAGE)


def mended(server: Server) -> bool:
    """Whether nothing waits, and what is read from the drives alone is good."""
    return nothing_waits(server) and all(found["volumes_waiting_for_repair"] == 0 for found in drive(server, "list"))


@pytest.mark.parametrize("bad", [(1, 4), *(pytest.param(one, marks=pytest.mark.long) for one in ((0,), (0, 5)))])
def test_a_bit_in_every_page_of_the_volumes(tmp_path: Path, bad: tuple[int, ...]) -> None:
    """With a bit flipped in every page of one or two of six drives every read is right, and scrub mends all of it."""
    drives = folders(tmp_path, 6)
    rng = random.Random(sum(bad))
    with Server(drives, *SETTINGS, check=False) as server:
        load = Load(server)
        load.put(40)
    flipped = sum(rot(path, rng) for n in bad for path in (drives[n] / "volumes").iterdir())
    assert flipped > 100
    report = subprocess.run([PYRITE, "check", "--json", *map(str, drives)], capture_output=True).stdout
    assert not json.loads(report)["clean"]
    with Server(drives, *SETTINGS, *SCRUB_NOW) as server:  # leaving it runs pyrite check
        load.s3 = server.client()
        load.verify()
        wait_until(lambda: is_clean(server), 600, 1.0)
        load.verify()


def is_clean(server: Server) -> bool:
    """Whether every byte has been verified, and nothing waits for repair."""
    return scrubbed_all(server) and mended(server)


def scrubbed_all(server: Server) -> bool:
    """Whether every byte has been verified since the server started."""
    report = subprocess.run([PYRITE, "info", "--json", *map(str, server.drives)], capture_output=True)
    if report.returncode:  # mirrors are being exchanged: ask again
        return False
    return bool(json.loads(report.stdout)["oldest_unverified_ms"] > server.started_ms + 1000)


def test_more_rot_than_the_parity_names_what_is_lost(tmp_path: Path) -> None:
    """With three of six drives rotten reads are right or an error, the lost objects are named, and the rest serves."""
    drives = folders(tmp_path, 6)
    rng = random.Random(7)
    with Server(drives, *SETTINGS, check=False) as server:
        load = Load(server)
        load.put(40)
    for n in (0, 2, 4):
        for path in (drives[n] / "volumes").iterdir():
            rot(path, rng)
    with Server(drives, *SETTINGS, check=False) as server:
        load.s3 = server.client()
        wrong = set()
        for key, digest in load.expected.items():
            try:
                body = load.s3.get_object(Bucket="data", Key=key)["Body"].read()
            except ClientError as error:
                assert error.response["Error"]["Code"] == "InternalError"
                wrong.add(key)
            except (BotoCoreError, HTTPError):  # the body ends before its announced length
                wrong.add(key)
            else:
                assert hashlib.sha256(body).hexdigest() == digest
        assert wrong and len(wrong) < len(load.expected)
        load.put(5)
    report = json.loads(subprocess.run([PYRITE, "check", "--json", *map(str, drives)], capture_output=True).stdout)
    said = json.dumps(report)
    assert all(key in said for key in wrong)


NAMES = ("metadata/data.mdb", "metadata/lock.mdb", "mirrors.json")


@pytest.mark.parametrize("bad", [(0, 2), pytest.param((0,), marks=pytest.mark.long)])
def test_a_bit_in_every_page_of_every_file(tmp_path: Path, bad: tuple[int, ...]) -> None:
    """With a bit flipped in every page of every file of one or two of six drives, names too, all is right and mended."""
    drives = folders(tmp_path, 6)
    rng = random.Random(11 + sum(bad))
    with Server(drives, *SETTINGS, check=False) as server:
        load = Load(server)
        load.put(40)
        for number in range(300):
            load.s3.put_object(Bucket="data", Key=f"small-{number:03d}", Body=b"%d" % number)
    for n in bad:
        assert all((drives[n] / name).exists() for name in NAMES)
        for path in (*(drives[n] / name for name in NAMES), *(drives[n] / "volumes").iterdir()):
            rot(path, rng)
    with Server(drives, *SETTINGS, *SCRUB_NOW) as server:
        load.s3 = server.client()
        load.verify()
        listed = {
            entry["Key"]
            for page in load.s3.get_paginator("list_objects_v2").paginate(Bucket="data")
            for entry in page.get("Contents", [])
        }
        assert listed == {*load.expected, *(f"small-{number:03d}" for number in range(300))}
        for number in range(300):
            body = load.s3.get_object(Bucket="data", Key=f"small-{number:03d}")["Body"].read()
            assert body == b"%d" % number
        wait_until(lambda: is_clean(server), 600, 1.0)
        wait_until(lambda: sum(one["holds_metadata"] for one in drive(server, "list")) == 3)
        load.verify()


def test_a_rotten_identity_costs_one_drive(tmp_path: Path) -> None:
    """A drive whose identity file has rotted is not used and not written to; the rest of the store serves."""
    drives = folders(tmp_path, 4)
    with Server(drives, *QUICK, check=False) as server:
        load = Load(server)
        load.put(20)
    rot(drives[1] / "pyrite.json", random.Random(3))
    before = sorted((path.name, path.stat().st_size) for path in (drives[1] / "volumes").iterdir())
    with Server(drives, *QUICK) as server:
        load.s3 = server.client()
        load.verify()
        load.put(10)
        assert "unreadable identity" in server.log.read_text()
        load.verify()
    assert sorted((path.name, path.stat().st_size) for path in (drives[1] / "volumes").iterdir()) == before


def test_names_that_rot_under_a_running_server(tmp_path: Path) -> None:
    """A mirror that shrinks to nothing under the processes that read it costs them their lives, and no name."""
    drives = folders(tmp_path, 4)
    with Server(drives, *QUICK, "--workers", "2") as server:
        load = Load(server)
        load.put(20)
        first = json.loads((drives[0] / "mirrors.json").read_bytes())[1][0]
        place = Path(next(one["path"] for one in drive(server, "list") if one["id"] == first))
        os.truncate(place / "metadata" / "data.mdb", 0)  # what is mapped and gone ends a process with SIGBUS
        wait_until(lambda: serves(load))
        load.put(20)
        load.verify()
        wait_until(lambda: sum(one["holds_metadata"] for one in drive(server, "list")) == 3)
        assert "mirror_damaged" in server.log.read_text()
        load.verify()


def serves(load: Load) -> bool:
    try:
        load.s3.list_objects_v2(Bucket="data")
    except (BotoCoreError, ClientError):
        return False
    return True
