"""Bits flip on the drives of a real store: no read is wrong, scrub finds all of it, repair mends it."""

import hashlib
import json
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


@pytest.mark.parametrize("bad", [(0,), (1, 4), (0, 5)])
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
        wait_until(lambda: is_clean(server), 60, 1.0)
        load.verify()


def is_clean(server: Server) -> bool:
    """Whether every byte has been verified, and nothing waits for repair."""
    return scrubbed_all(server) and mended(server)


def scrubbed_all(server: Server) -> bool:
    """Whether every byte has been verified since the server started."""
    report = subprocess.run([PYRITE, "info", "--json", *map(str, server.drives)], capture_output=True, check=True)
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
