"""Owns blob files: the only module that opens, writes and syncs them. See docs/formats/volumes.md."""

import contextlib
import ctypes
import errno
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyrite.blobs.buffers import Scratch
from pyrite.blobs.drive import Buffer, DriveError, DriveFull, DriveState, Space, WouldBlock
from pyrite.core.lru import LruMap
from pyrite.core.pace import Kind, Pace
from pyrite.core.units import GIB, MIB

VOLUMES = "volumes"
TRIAL = "trial"  # a file that is written and read to see whether a slow drive is quick again
OPEN_FILES_MAX = 1024
IOV_MAX = 1024
DIRECT_ALIGN = 4096
"""Offsets, lengths and memory of direct reads are multiples of it: no file system asks for more."""

_PUNCH_HOLE_KEEP_SIZE = 0x03
_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def reserve_of(total_bytes: int) -> int:
    """Bytes of a drive that blobs leave free, so that metadata can still commit deletes on a full store."""
    return min(GIB, max(total_bytes // 50, 8 * MIB))


class _ShardFile:
    """An open descriptor; it is closed when its last user lets go of it, never while a thread reads."""

    __slots__ = ("descriptor",)

    def __init__(self, path: Path, flags: int) -> None:
        self.descriptor = os.open(path, flags | os.O_CLOEXEC, 0o640)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.close(self.descriptor)


class LocalDrive:
    """A directory on a local file system."""

    def __init__(self, drive_id: str, path: Path) -> None:
        self._id = drive_id
        self.path = path
        self._volumes = path / VOLUMES
        self._volumes.mkdir(exist_ok=True)
        status = os.stat(self._volumes)
        self._place = (status.st_dev, status.st_ino)
        self._files: LruMap[str, _ShardFile] = LruMap(OPEN_FILES_MAX)
        self._state = DriveState.ONLINE
        self.reason = ""
        self.pace = Pace()

    @property
    def id(self) -> str:
        return self._id

    @property
    def state(self) -> DriveState:
        return self._state

    @property
    def readable(self) -> bool:
        return self._state in (DriveState.ONLINE, DriveState.READ_ONLY)

    @property
    def stuck(self) -> bool:
        return self.pace.stuck

    def fence(self, reason: str) -> None:
        if self._state is DriveState.ONLINE:
            self._state = DriveState.FENCED
            self.reason = reason

    def create(self, name: str) -> None:
        with self._guard("create", name), self._paced("create"):
            self._files.put(name, _ShardFile(self._volumes / name, os.O_RDWR | os.O_CREAT | os.O_EXCL))
            directory = _ShardFile(self._volumes, os.O_RDONLY)
            os.fsync(directory.descriptor)  # noqa: TID251 - this is the one place

    def write(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        with self._guard("write", name), self._paced("write"):
            descriptor = self._open(name).descriptor
            for start in range(0, len(buffers), IOV_MAX):
                offset = _write_all(descriptor, offset, buffers[start : start + IOV_MAX])

    def sync(self, name: str) -> None:
        with self._guard("sync", name), self._paced("sync"):
            os.fdatasync(self._open(name).descriptor)  # noqa: TID251 - this is the one place

    def read_into(self, name: str, offset: int, target: memoryview, wait: bool) -> int:
        if not self.readable:
            raise DriveError(f"drive {self._id} is {self._state.value}")
        if not wait:
            return self._read_into(name, offset, target, False)
        with self._paced("read"):
            return self._read_into(name, offset, target, True)

    def _read_into(self, name: str, offset: int, target: memoryview, wait: bool) -> int:
        try:
            file = self._files.get(name) or self._open(name)
            count = os.preadv(file.descriptor, [target], offset, 0 if wait else os.RWF_NOWAIT)
            if count < len(target):
                if not wait:
                    raise WouldBlock  # the rest is not in memory, or not there at all
                count = _read_rest(file, offset, target, count)
            return count
        except BlockingIOError as error:
            raise WouldBlock from error
        except OSError as error:
            if not wait and error.errno == errno.EOPNOTSUPP:
                raise WouldBlock from error
            raise DriveError(f"cannot read {name} of drive {self._id}: {error}") from error

    def read_stored(self, name: str, offset: int, length: int, scratch: Scratch) -> memoryview:
        if not self.readable:
            raise DriveError(f"drive {self._id} is {self._state.value}")
        first = offset - offset % DIRECT_ALIGN
        whole = -(-(offset + length - first) // DIRECT_ALIGN) * DIRECT_ALIGN
        target = scratch.take(whole)[:whole]
        try:
            with self._paced("stored"):
                count = _read_direct(self._volumes / name, first, target)
        except OSError as error:
            raise DriveError(f"cannot read {name} of drive {self._id}: {error}") from error
        return target[offset - first : min(count, offset - first + length)]

    def punch(self, name: str, offset: int, length: int) -> None:
        with self._guard("punch", name):
            descriptor = self._open(name).descriptor
            if _libc.fallocate(descriptor, _PUNCH_HOLE_KEEP_SIZE, offset, length) != 0:
                code = ctypes.get_errno()
                if code not in (errno.EOPNOTSUPP, errno.ENOSYS):
                    raise OSError(code, os.strerror(code))

    def unlink(self, name: str) -> None:
        self._files.pop(name)
        with self._guard("unlink", name):
            (self._volumes / name).unlink(missing_ok=True)

    def size(self, name: str) -> int | None:
        try:
            return (self._volumes / name).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DriveError(f"cannot stat {name} of drive {self._id}: {error}") from error

    def allocated(self, name: str) -> int:
        try:
            return (self._volumes / name).stat().st_blocks * 512
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise DriveError(f"cannot stat {name} of drive {self._id}: {error}") from error

    def names(self) -> list[str]:
        entries: list[os.DirEntry[str]] = []
        with self._guard("list", VOLUMES):
            entries += os.scandir(self._volumes)
        return sorted(entry.name for entry in entries)

    def space(self) -> Space:
        total = free = 0
        with self._guard("stat", VOLUMES):
            status = os.statvfs(self._volumes)
            total = status.f_blocks * status.f_frsize
            free = status.f_bavail * status.f_frsize - reserve_of(total)
        return Space(total, max(0, free))

    def probe(self) -> bool:
        """Whether the directory is still the one that was opened; a drive that is gone is fenced."""
        try:
            status = os.stat(self._volumes)
        except OSError as error:
            return self._lose(f"the drive is gone: {error}")
        if (status.st_dev, status.st_ino) != self._place:
            return self._lose("another directory stands where the drive was")
        return self._state is DriveState.ONLINE

    def try_out(self) -> float:
        """Seconds that a small write, its sync and a read of it from the drive take. Raises DriveError."""
        path, block = self.path / TRIAL, memoryview(mmap.mmap(-1, DIRECT_ALIGN))
        began = time.monotonic()
        with self._guard("try", TRIAL):
            file = _ShardFile(path, os.O_RDWR | os.O_CREAT)
            _write_all(file.descriptor, 0, [block])
            os.fdatasync(file.descriptor)  # noqa: TID251 - this is the one place
            _read_direct(path, 0, block)
        return time.monotonic() - began

    def _lose(self, reason: str) -> bool:
        if self._state is not DriveState.FENCED:
            self._state, self.reason = DriveState.MISSING, reason
        return False

    def close(self) -> None:
        self._files = LruMap(OPEN_FILES_MAX)

    def _open(self, name: str) -> _ShardFile:
        file = self._files.get(name)
        if file is None:
            flags = os.O_RDWR if self._state is DriveState.ONLINE else os.O_RDONLY
            file = _ShardFile(self._volumes / name, flags)
            self._files.put(name, file)
        return file

    @contextlib.contextmanager
    def _paced(self, kind: Kind) -> Iterator[None]:
        token = self.pace.begin()
        try:
            yield
        finally:
            self.pace.end(token, kind)

    @contextlib.contextmanager
    def _guard(self, verb: str, name: str) -> Iterator[None]:
        """Refuse a fenced drive; turn system errors into ours, and fence where writes may be lost."""
        if self._state is not DriveState.ONLINE:
            raise DriveError(f"drive {self._id} is {self._state.value}")
        try:
            yield
        except OSError as error:
            if error.errno in _FULL_ERRNOS and verb != "sync":
                raise DriveFull(f"drive {self._id} is full") from error
            if error.errno == errno.EROFS:
                self._state, self.reason = DriveState.READ_ONLY, f"{verb} of {name} failed: {error}"
            elif error.errno == errno.ENOENT:
                self.probe()  # the drive, or a file of it, is not there: that is no failure of what is
            elif verb in ("write", "sync", "create"):
                self.fence(f"{verb} of {name} failed: {error}")
            raise DriveError(f"cannot {verb} {name} of drive {self._id}: {error}") from error


def _read_rest(file: _ShardFile, offset: int, target: memoryview, count: int) -> int:
    """Go on after a short read until `target` is full or the file ends; how many bytes there were."""
    while count < len(target):
        more = os.preadv(file.descriptor, [target[count:]], offset + count)
        if not more:
            break
        count += more
    return count


def _read_direct(path: Path, offset: int, target: memoryview) -> int:
    """Fill `target` past the page cache, or after it was dropped where the file system knows no direct reads."""
    try:
        file, count, more = _ShardFile(path, os.O_RDONLY | os.O_DIRECT), 0, 1
        while more and count < len(target) and count % DIRECT_ALIGN == 0:  # else the file ends within a block
            more = os.preadv(file.descriptor, [target[count:]], offset + count)
            count += more
        return count
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    file = _ShardFile(path, os.O_RDONLY)
    os.posix_fadvise(file.descriptor, offset, len(target), os.POSIX_FADV_DONTNEED)
    return _read_rest(file, offset, target, 0)


def _write_all(descriptor: int, offset: int, buffers: Sequence[Buffer]) -> int:
    """Write all of `buffers`, going on after short writes; the offset behind the last byte."""
    views = [memoryview(buffer) for buffer in buffers]
    while views:
        written = os.pwritev(descriptor, views, offset)  # noqa: TID251 - this is the one place
        offset += written
        while views and written >= len(views[0]):
            written -= len(views[0])
            views.pop(0)
        if views and written:
            views[0] = views[0][written:]
    return offset
