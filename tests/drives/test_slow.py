"""Drives that are slow, processes that stand still, stores that are full: everything else goes on."""

import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.crash.test_kills import Load as KilledLoad
from tests.crash.test_kills import finish
from tests.drives.load import QUICK, Load, drive, folders, nothing_waits, state_of
from tests.mounts import Mounts
from tests.mounts import mounts as mounts
from tests.server import PYRITE, Server, wait_until

BLKIO = Path("/sys/fs/cgroup/blkio")
MIB = 1024 * 1024


class Throttle:
    """Makes a block device slow for those who are in a control group of their own."""

    def __init__(self, group: Path) -> None:
        self._group = group

    def limit(self, place: Path, per_second: int) -> None:
        """So many reads and writes a second of the file system at `place`; 0: any number."""
        device = os.stat(place).st_dev
        for verb in ("read", "write"):
            file = self._group / f"blkio.throttle.{verb}_iops_device"
            file.write_text(f"{os.major(device)}:{os.minor(device)} {per_second}")

    def command(self) -> list[str]:
        """`pyrite` in the group."""
        return ["sh", "-c", f'echo $$ > {self._group}/cgroup.procs && exec "$@"', "sh", PYRITE]


@pytest.fixture
def throttle() -> Iterator[Throttle]:
    """A control group; skipped where there is none to be had."""
    group = BLKIO / f"pyrite-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group for block devices: {error}")
    yield Throttle(group)
    wait_until(lambda: _removed(group))


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("mounts", [("ext4", 1)], indirect=True)
def test_a_slow_drive_is_worked_around(tmp_path: Path, mounts: Mounts, throttle: Throttle) -> None:
    """A drive that becomes slow is said to be, holds neither new data nor names, and nothing is read from it."""
    (slow,) = mounts.places
    drives = [slow, *folders(tmp_path / "others", 5)]
    with Server(drives, *QUICK, "--parity", "2", command=throttle.command()) as server:
        load = Load(server)
        load.put(30)
        throttle.limit(slow, 2)
        wait_until(lambda: load.put(2) or state_of(server, slow) == "slow", 300, 0)
        wait_until(lambda: not _of(server, slow)["holds_metadata"])
        shards = _of(server, slow)["shards"]
        load.put(60)
        load.delete(20)
        assert _of(server, slow)["shards"] <= shards
        load.verify()
        throttle.limit(slow, 0)
        wait_until(lambda: state_of(server, slow) == "online", 300, 1.0)
        load.put(20)
        wait_until(lambda: nothing_waits(server))
        load.verify()


def _of(server: Server, path: Path) -> dict:
    return next(one for one in drive(server, "list") if one["path"] == str(path))


def test_a_process_that_stands_still_is_ended(tmp_path: Path) -> None:
    """A worker that is stopped, perhaps with the writers' lock, is replaced; nothing acknowledged is lost."""
    server = Server(folders(tmp_path, 3), "--workers", "2", environment={"PYRITE_WATCHDOG_S": "6"})
    server.start()
    server.client().create_bucket(Bucket="crash")
    load = KilledLoad(server, 6, 3)
    load.start()
    for _ in range(2):
        for victim in server.children():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the watchdog was quicker
                if "python" in Path(f"/proc/{victim}/cmdline").read_text():
                    os.kill(victim, signal.SIGSTOP)
                    wait_until(lambda victim=victim: victim not in server.children())
    assert "process_stands_still" in server.log.read_text()
    before = load.acknowledged
    wait_until(lambda: load.acknowledged > before + 20)
    load.stop()
    server.stop()
    server.environment.clear()  # what follows is not about the watchdog
    server.start()
    finish(server, load)


@pytest.mark.parametrize("mounts", [("ext4", 4)], indirect=True)
def test_a_full_store_can_be_emptied(mounts: Mounts) -> None:
    """A store that is full to its reserve still deletes, compacts and keeps its journal, and then takes data again."""
    quick = {"PYRITE_VOLUME_MIB": "16", "PYRITE_COMPACT_INTERVAL_S": "1"}
    with Server(list(mounts.places), *QUICK, environment=quick) as server:
        load = Load(server)
        count = _fill(load)
        assert count > 50
        for _ in range(3):  # what is full stays full, whatever is tried
            with pytest.raises(ClientError) as caught:
                load.s3.put_object(Bucket="data", Key="more", Body=b"m" * MIB * 4)
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
        wait_until(lambda: "full" in {one["state"] for one in drive(server, "list")})
        load.verify()
        load.delete(len(load.expected) * 2 // 3)
        wait_until(lambda: _takes(load, "again"), 300, 0.5)
        load.verify()
        wait_until(lambda: max(_of(server, path)["used_bytes"] for path in mounts.places) < 160 * MIB, 300, 0.5)
        again = _fill(load)
        assert again > count // 4
        load.verify()


def _fill(load: Load) -> int:
    """Put objects until the store is full; how many there was room for."""
    count = 0
    while _takes(load, f"fill-{len(load.expected)}-{count}"):
        count += 1
    return count


def _takes(load: Load, key: str) -> bool:
    body = load.rng.randbytes(4 * MIB)
    try:
        load.s3.put_object(Bucket="data", Key=key, Body=body)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 507, error
        return False
    load.expected[key] = hashlib.sha256(body).hexdigest()
    return True


def test_what_was_deleted_while_a_drive_was_away_is_freed(tmp_path: Path) -> None:
    """A drive that returns gives back what was deleted without it, and files of volumes that are gone."""
    drives = folders(tmp_path, 4)
    quick = {"PYRITE_COMPACT_INTERVAL_S": "1"}
    with Server(drives, environment=quick) as server:
        load = Load(server)
        for number in range(30):
            load.s3.put_object(Bucket="data", Key=f"large-{number}", Body=os.urandom(2 * MIB))
        server.stop()
        server.start()  # so that the volumes are sealed
        load.s3 = server.client()
        drives[1].rename(tmp_path / "away")
        wait_until(lambda: state_of(server, drives[1]) == "missing")
        for number in range(29):
            load.s3.delete_object(Bucket="data", Key=f"large-{number}")
        wait_until(lambda: _of(server, drives[2])["used_bytes"] < 8 * MIB)
        assert _used(tmp_path / "away") > 20 * MIB
        (tmp_path / "away").rename(drives[1])
        wait_until(lambda: _used(drives[1]) < 8 * MIB, 300, 0.5)


def _used(path: Path) -> int:
    """Bytes on the drive, as the system says; files that go meanwhile make it complain, and are not counted."""
    return int(subprocess.run(["du", "-s", "-B1", str(path)], capture_output=True).stdout.split()[0])


def _agree(server: Server, path: Path) -> bool:
    used = _used(path)
    return abs(_of(server, path)["used_bytes"] - used) <= 0.01 * used


def test_use_is_told_as_it_is(tmp_path: Path) -> None:
    """What `drive list` says that a drive takes is within one per cent of what the system says."""
    drives = folders(tmp_path, 3)
    with Server(drives) as server:
        load = Load(server)
        load.put(60)
        load.delete(20)
        wait_until(lambda: nothing_waits(server))
        for path in drives:  # services still write and free in between: the two have to agree once they rest
            wait_until(lambda path=path: _agree(server, path))
