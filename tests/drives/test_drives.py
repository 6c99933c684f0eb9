"""Drives are lost, replaced, added, drained and removed under a running server, and no byte is lost."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.drives.load import QUICK, Load, drive, folders, metric, nothing_waits, state_of, take_away
from tests.server import PYRITE, Server, wait_until


def test_a_lost_drive_is_replaced_and_rebuilt(tmp_path: Path) -> None:
    """A drive's folder is deleted under load; its replacement gets every byte again, and the old one is forgotten."""
    drives = folders(tmp_path, 6)
    with Server(drives, *QUICK) as server:
        load = Load(server)
        load.put(60)
        lost = next(d for d in drive(server, "list") if d["path"] == str(drives[2]))
        take_away(drives[2])
        load.put(40)
        load.delete(20)
        load.verify()
        new = tmp_path / "new"
        new.mkdir()
        drive(server, "replace", lost["id"], str(new))
        server.drives[2] = new
        listed = {d["path"]: d for d in wait_until(lambda: _without(server, lost["id"]))}
        assert listed[str(new)]["shards"] > 0
        wait_until(lambda: nothing_waits(server))
        load.verify()
        wait_until(lambda: sum(d["holds_metadata"] for d in drive(server, "list")) == 3)
        take_away(drives[0])  # with drive 2, these held the metadata when the store was made
        take_away(drives[1])
        load.verify()
        server.check_at_end = False
        server.stop()
    report = subprocess.run([PYRITE, "check", "--json", *map(str, server.drives[2:])], capture_output=True).stdout
    assert json.loads(report)["clean"], report


def _without(server: Server, drive_id: str) -> list[dict[str, Any]] | None:
    listed: list[dict[str, Any]] = drive(server, "list")
    return None if any(d["id"] == drive_id for d in listed) else listed


def test_a_drive_is_added_and_data_evens_out(tmp_path: Path) -> None:
    """One drive more is enough to grow: new data and shards of old volumes go to it, and everything stays readable."""
    drives = folders(tmp_path, 3)
    with Server(drives, *QUICK, "--parity", "1") as server:
        load = Load(server)
        load.put(80)
        server.stop()
        server.start()  # so that the volumes are sealed
        new = tmp_path / "new"
        new.mkdir()
        added = drive(server, "add", str(new), "--domain", "shelf-2")
        assert added["domain"] == "shelf-2"

        def evened() -> bool:
            return next(d for d in drive(server, "list") if d["id"] == added["id"])["shards"] > 0

        wait_until(evened)
        load.put(40)
        load.verify()
        server.stop()
        server.start()  # finds the new drive by its record
        load.s3 = server.client()
        load.verify()
        server.drives.append(new)


def test_a_drive_is_drained_and_removed(tmp_path: Path) -> None:
    """Draining moves everything off a drive while requests go on; it can then be removed, and not before."""
    drives = folders(tmp_path, 4)
    with Server(drives, *QUICK, "--parity", "1") as server:
        load = Load(server)
        load.put(60)
        stores = [word for path in drives for word in ("--store", str(path))]
        drives.append(tmp_path / "d4")
        drives[4].mkdir()
        drive(server, "add", str(drives[4]))
        refused = subprocess.run([PYRITE, "drive", "remove", str(drives[3]), *stores], capture_output=True)
        assert refused.returncode == 2 and b"drain it first" in refused.stderr
        drive(server, "drain", str(drives[3]))
        load.put(20)
        load.verify()
        drive(server, "remove", str(drives[3]))
        assert len(drive(server, "list")) == 4
        assert not list(drives[3].iterdir())
        load.verify()
        server.stop()
        take_away(drives.pop(3))
        server.drives = drives
        server.start()
        load.s3 = server.client()
        load.verify()


def test_a_drive_is_drained_onto_fewer_than_there_are_shards(tmp_path: Path) -> None:
    """Volumes as wide as the store are written anew, narrower, when a drive leaves; the last ones cannot leave."""
    drives = folders(tmp_path, 4)
    with Server(drives, *QUICK, "--parity", "1", environment={"PYRITE_COMPACT_INTERVAL_S": "1"}) as server:
        load = Load(server)
        load.put(60)
        for last in (3, 2):
            drive(server, "drain", str(drives[last]))
            drive(server, "remove", str(drives[last]))
            server.drives = drives[:last]
            load.put(10)
            load.verify()
        stores = [word for path in server.drives for word in ("--store", str(path))]
        full = subprocess.run([PYRITE, "drive", "drain", str(drives[1]), *stores], capture_output=True)
        assert full.returncode == 2 and b"add a drive first" in full.stderr
        load.verify()


def test_a_drive_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """A drive that vanishes and returns is noticed both times without a restart, and what it missed is made again."""
    drives = folders(tmp_path, 4)
    with Server(drives) as server:
        load = Load(server)
        load.put(40)
        drives[1].rename(tmp_path / "away")
        load.put(30)
        wait_until(lambda: state_of(server, drives[1]) == "missing")
        (tmp_path / "away").rename(drives[1])
        wait_until(lambda: metric(server, "pyrite_drive_online") == 4)
        load.put(30)
        wait_until(lambda: nothing_waits(server))
        load.verify()


def _copy(source: str, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # it went while the drive was copied
        shutil.copy2(source, target)


def test_a_blank_and_a_foreign_drive_are_never_written_to(tmp_path: Path) -> None:
    """An empty directory, or a drive of another store, in the place of a drive is recognised and left alone."""
    drives = folders(tmp_path, 4)
    with Server(drives) as server:
        load = Load(server)
        load.put(20)
        drives[1].rename(tmp_path / "away")
        drives[1].mkdir()
        load.put(20)
        wait_until(lambda: state_of(server, drives[1]) == "blank")
        assert not list(drives[1].iterdir())
        unfinished = shutil.ignore_patterns("*.new")
        shutil.copytree(
            drives[2], drives[1], ignore=unfinished, dirs_exist_ok=True, copy_function=_copy
        )  # of one that is here
        wait_until(lambda: state_of(server, drives[1]) == "foreign")
        load.put(20)
        load.verify()
        take_away(drives[1])
        (tmp_path / "away").rename(drives[1])
        wait_until(lambda: metric(server, "pyrite_drive_online") == 4)
        wait_until(lambda: nothing_waits(server))


def test_the_drive_that_everybody_reads_names_from_is_lost(tmp_path: Path) -> None:
    """Without the drive of the first mirror all processes, also one that starts later, see what is written now."""
    drives = folders(tmp_path, 4)
    with Server(drives, *QUICK, "--workers", "2") as server:
        load = Load(server)
        load.put(20)
        first = json.loads((drives[0] / "mirrors.json").read_bytes())[1][0]
        lost = next(d for d in drive(server, "list") if d["id"] == first)
        take_away(Path(lost["path"]))
        load.put(20)
        load.verify()
        os.kill(server.children()[0], signal.SIGKILL)  # it opens the names anew, without the lost drive
        wait_until(server._is_up)
        load.put(20)
        load.verify()
        new = tmp_path / "new"
        new.mkdir()
        drive(server, "replace", first, str(new))
        server.drives[drives.index(Path(lost["path"]))] = new
        assert len(wait_until(lambda: _without(server, first))) == 4
        load.verify()


def test_a_volume_left_open_in_a_crash_is_verified(tmp_path: Path) -> None:
    """A copy that a crash left unwritten, and that nobody could tell of, is made again after the restart by itself."""
    drives = folders(tmp_path, 4)
    with Server(drives) as server:
        load = Load(server)
        for number in range(20):
            load.s3.put_object(Bucket="data", Key=f"k{number}", Body=b"x" * 4096)
        server.kill()
        pattern = f"volumes/{16 * '?'}.0?"
        shards = [one for number in (3, 2) for one in drives[number].glob(pattern) if one.stat().st_size]
        shard = shards[0]
        shard.write_bytes(bytes(shard.stat().st_size))  # what was not synced when the power went
        server.start()
        wait_until(lambda: any(shard.read_bytes()) and nothing_waits(server))
        server.stop()
        server.check()


def test_processes_restart_when_every_first_drive_has_been_exchanged(tmp_path: Path) -> None:
    """A process made anew finds the store where it is now, not where it was when the server was started."""
    first = folders(tmp_path, 2)
    with Server(first, *QUICK) as server:
        s3 = server.client(retries={"max_attempts": 8})
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="key", Body=b"moved twice")
        for number, old in enumerate(first):
            new = tmp_path / f"new{number}"
            new.mkdir()
            drive(server, "add", str(new))
            server.drives.append(new)
            drive(server, "drain", str(old))
            wait_until(lambda: nothing_waits(server))
            drive(server, "remove", str(old))
            server.drives.remove(old)
            shutil.rmtree(old)
        before = set(server.children())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(server.children()) - before) == len(before) and _answers(server))
        assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"moved twice"
        third = tmp_path / "third"
        third.mkdir()
        drive(server, "add", str(third))
        server.drives.append(third)
        wait_until(lambda: nothing_waits(server) and (third / "metadata").exists())


def test_a_drive_that_was_away_when_processes_restarted_comes_back(tmp_path: Path) -> None:
    """The server knows its own hold on a drive that was away, and takes it for nobody else's."""
    drives = folders(tmp_path, 4)
    with Server(drives, "--rebuild-after", "60") as server:
        load = Load(server)
        load.put(10)
        away = tmp_path / "away"
        drives[2].rename(away)
        wait_until(lambda: state_of(server, drives[2]) == "missing")
        before = set(server.children())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(server.children()) - before) == len(before) and _answers(server))
        away.rename(drives[2])
        wait_until(lambda: server.log.read_text().count('"drive_online"') >= len(before))
        assert "drive_not_opened" not in server.log.read_text()
        load.put(10)
        wait_until(lambda: nothing_waits(server))
        load.verify()


def _answers(server: Server) -> bool:
    try:
        server.client().list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True


def test_the_only_copy_of_the_names_is_not_removed(tmp_path: Path) -> None:
    """A drive on which nothing stands but the names, and nowhere else, stays until another has them too."""
    drives = folders(tmp_path, 1)
    with Server(drives, *QUICK) as server:
        server.client().create_bucket(Bucket="bucket")
        stores = [word for path in server.drives for word in ("--store", str(path))]
        done = subprocess.run([PYRITE, "drive", "remove", str(drives[0]), *stores], capture_output=True)
        assert done.returncode == 2 and b"only copy of the names" in done.stderr
        assert server.client().list_buckets()["Buckets"]
