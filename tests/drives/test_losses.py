"""Drives die under mixed load, and no request fails: what the server has to do again, it does itself."""

from pathlib import Path

import pytest

from tests.crash.test_kills import Load
from tests.drives.load import drive, folders, nothing_waits, take_away
from tests.mounts import Mounts
from tests.server import Server, wait_until

OPTIONS = ("--parity", "2", "--workers", "2", "--rebuild-after", "0.05")
SMALL_VOLUMES = {"PYRITE_VOLUME_MIB": "16"}


def goes_on(load: Load, more: int) -> None:
    """Wait until the load has done `more`; nothing failed."""
    target = load.acknowledged + more
    wait_until(lambda: load.acknowledged >= target or load.failures)
    assert not load.failures


def replace(server: Server, lost: Path, new: Path) -> None:
    drive(server, "replace", str(lost), str(new), "--no-wait")
    server.drives[server.drives.index(lost)] = new


@pytest.mark.parametrize("lost", [(0,), (2, 5), *(pytest.param(one, marks=pytest.mark.long) for one in ((5,), (0, 1)))])
def test_drives_vanish_under_load(tmp_path: Path, lost: tuple[int, ...]) -> None:
    """One or two of six folders are deleted at once under mixed load; none of the requests fails, and all is rebuilt."""
    drives = folders(tmp_path, 6)
    with Server(drives, *OPTIONS, environment=SMALL_VOLUMES) as server:
        server.client().create_bucket(Bucket="crash")
        load = Load(server, 4, seed=sum(lost), patience_s=200)
        load.start()
        goes_on(load, 60)
        for number in lost:
            take_away(drives[number])
        goes_on(load, 60)
        for number in lost:
            new = tmp_path / f"new{number}"
            new.mkdir()
            replace(server, drives[number], new)
        goes_on(load, 60)
        load.stop()
        assert not load.failures
        wait_until(lambda: len(drive(server, "list")) == 6, 300)
        wait_until(lambda: nothing_waits(server), 600)
        load.verify(server.client())


@pytest.mark.parametrize("mounts", [("ext4", 6)], indirect=True)
def test_drives_die_under_load(mounts: Mounts, tmp_path: Path) -> None:
    """Two file systems of six fail every call, one in the middle of the repair of the other; no request fails."""
    drives = list(mounts.places)
    with Server(drives, *OPTIONS, environment=SMALL_VOLUMES) as server:
        server.client().create_bucket(Bucket="crash")
        load = Load(server, 4, seed=3, patience_s=200)
        load.start()
        goes_on(load, 60)
        mounts.cut(drives[:1])
        goes_on(load, 20)
        new = tmp_path / "new"
        new.mkdir()
        replace(server, drives[0], new)
        mounts.cut(drives[3:4])  # while the first is made again
        goes_on(load, 60)
        second = tmp_path / "second"
        second.mkdir()
        replace(server, drives[3], second)
        load.stop()
        assert not load.failures
        wait_until(lambda: len(drive(server, "list")) == 6, 300)
        wait_until(lambda: nothing_waits(server), 600)
        load.verify(server.client())
