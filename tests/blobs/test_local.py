"""A local drive does what the protocol says, and says the truth when the system does not."""

import errno
import os
from pathlib import Path

import pytest

from pyrite.blobs import local
from pyrite.blobs.buffers import Scratch
from pyrite.blobs.drive import DriveError, DriveFull, DriveState
from pyrite.blobs.local import LocalDrive


@pytest.fixture
def drive(tmp_path: Path) -> LocalDrive:
    return LocalDrive("d", tmp_path)


def read(drive: LocalDrive, name: str, offset: int, length: int) -> bytes:
    target = bytearray(length)
    return bytes(target[: drive.read_into(name, offset, memoryview(target), wait=True)])


def stored(drive: LocalDrive, name: str, offset: int, length: int) -> bytes:
    return bytes(drive.read_stored(name, offset, length, Scratch()))


def knows_direct_reads(folder: Path) -> bool:
    (folder / "probe").touch()
    try:
        os.close(os.open(folder / "probe", os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def failing(code: int):
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


def test_what_was_written_is_read(drive: LocalDrive) -> None:
    """Buffers stand one after the other at their offset."""
    drive.create("a")
    drive.write("a", 4096, [b"one", memoryview(b"two")])
    drive.sync("a")
    assert read(drive, "a", 4096, 6) == b"onetwo"
    assert read(drive, "a", 4100, 100) == b"wo"
    assert drive.size("a") == 4102 and drive.size("b") is None
    assert drive.names() == ["a"]


@pytest.mark.parametrize("direct", [True, False])
def test_what_is_stored_is_read_past_the_memory(
    drive: LocalDrive, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    """Any range of any length comes back, up to the end of the file, also where direct reads are not known."""
    if not direct:
        real = os.open

        def refuse(path: str, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_DIRECT:
                raise OSError(errno.EINVAL, "no direct reads here")
            return real(path, flags, mode)

        monkeypatch.setattr(local.os, "open", refuse)
    elif knows_direct_reads(drive.path):
        monkeypatch.delattr(local.os, "posix_fadvise")  # the way around is not taken, not even at the file's end
    content = os.urandom(3 * 4096 + 77)
    drive.create("a")
    drive.write("a", 0, [content])
    for offset, length in ((0, 1), (0, 4096), (4095, 2), (5000, 4096), (1, len(content)), (12300, 500)):
        assert stored(drive, "a", offset, length) == content[offset : offset + length]
    assert not stored(drive, "a", len(content), 10) and not stored(drive, "a", 99999, 10)
    with pytest.raises(DriveError):
        stored(drive, "b", 0, 1)


def test_short_writes_go_on(drive: LocalDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call that writes less than it was given is followed by another."""
    real = os.pwritev
    monkeypatch.setattr(local.os, "pwritev", lambda fd, views, at: real(fd, [bytes(views[0][:3])], at))
    drive.create("a")
    drive.write("a", 0, [b"0123456", b"89"])
    assert read(drive, "a", 0, 20) == b"012345689"


def test_a_failed_sync_fences_the_drive_for_good(drive: LocalDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error of fdatasync nothing is read or written any more, although the next one would succeed."""
    drive.create("a")
    with monkeypatch.context() as patched:
        patched.setattr(local.os, "fdatasync", failing(errno.EIO))
        with pytest.raises(DriveError):
            drive.sync("a")
    assert drive.state is DriveState.FENCED and not drive.readable
    for use in (lambda: drive.sync("a"), lambda: drive.write("a", 0, [b"x"]), lambda: read(drive, "a", 0, 1)):
        with pytest.raises(DriveError):
            use()


def test_a_full_drive_is_told_apart_from_a_broken_one(drive: LocalDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC is DriveFull, and the drive can still be read and written afterwards."""
    drive.create("a")
    with monkeypatch.context() as patched:
        patched.setattr(local.os, "pwritev", failing(errno.ENOSPC))
        with pytest.raises(DriveFull):
            drive.write("a", 0, [b"x"])
    assert drive.state is DriveState.ONLINE
    drive.write("a", 0, [b"y"])
    assert read(drive, "a", 0, 1) == b"y"


def test_a_read_only_drive_is_still_read(drive: LocalDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that was remounted after errors takes no writes, and its bytes are used."""
    drive.create("a")
    drive.write("a", 0, [b"bytes"])
    with monkeypatch.context() as patched:
        patched.setattr(local.os, "pwritev", failing(errno.EROFS))
        with pytest.raises(DriveError):
            drive.write("a", 0, [b"x"])
    assert drive.state is DriveState.READ_ONLY
    assert read(drive, "a", 0, 5) == b"bytes"
    with pytest.raises(DriveError):
        drive.write("a", 0, [b"x"])


def test_a_drive_that_is_swapped_is_noticed(drive: LocalDrive, tmp_path: Path) -> None:
    """Another directory in the drive's place is not written to; a directory that is gone is missing."""
    drive.create("a")
    assert drive.probe()
    (tmp_path / "volumes").rename(tmp_path / "elsewhere")
    (tmp_path / "volumes").mkdir()
    assert not drive.probe()
    assert drive.state is DriveState.MISSING
    with pytest.raises(DriveError):
        drive.create("b")
    assert not list((tmp_path / "volumes").iterdir())


def test_a_new_shard_is_durable(drive: LocalDrive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Creating a shard syncs the directory that it stands in."""
    synced = []
    real = os.fsync
    monkeypatch.setattr(local.os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd)))
    drive.create("a")
    assert str(tmp_path / "volumes") in synced


def test_a_hole_is_as_long_as_asked(drive: LocalDrive) -> None:
    """Punching frees pages inside the range and changes no byte outside it."""
    drive.create("a")
    data = bytes(range(1, 251)) * 200
    drive.write("a", 0, [data])
    drive.sync("a")
    before = drive.allocated("a")
    drive.punch("a", 5000, 20_000)
    assert read(drive, "a", 0, len(data)) == data[:5000] + bytes(20_000) + data[25_000:]
    assert drive.allocated("a") < before
    drive.unlink("a")
    drive.unlink("a")
    assert drive.size("a") is None and drive.allocated("a") == 0


def test_a_drive_that_went_is_missing_not_failing(drive: LocalDrive, tmp_path: Path) -> None:
    """A write that finds no directory, or no file, does not fence a drive: it may come back, and be used again."""
    with pytest.raises(DriveError):
        drive.write("0000000000000001.00", 0, [b"x"])
    assert drive.state is DriveState.ONLINE
    (tmp_path / "volumes").rename(tmp_path / "away")
    with pytest.raises(DriveError):
        drive.create("0000000000000002.00")
    assert drive.state is DriveState.MISSING
