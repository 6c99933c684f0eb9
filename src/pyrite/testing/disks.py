"""Owns simulated disks: what survives a crash or a power cut, and the faults that real drives have.

A `SimDisk` is the medium, which outlives processes. A `SimDrive` is a process's view of it, as `LocalDrive` is. Bytes
that were not synced when the power goes may be there, be gone, or be there in part, sector by sector.
"""

import random
from collections.abc import Callable, Sequence

import msgspec

from pyrite.blobs.buffers import Scratch
from pyrite.blobs.drive import Buffer, DriveError, DriveFull, DriveState, Space
from pyrite.core.units import GIB, MIB

SECTOR_BYTES = 512
PAGE_BYTES = 4096
TOTAL_BYTES = 4 * GIB


class Faults(msgspec.Struct):
    """How often a disk fails, as a chance for each call; `lies` syncs nothing and says that it did."""

    rot: float = 0.0
    misdirected: float = 0.0
    lost_write: float = 0.0
    write_error: float = 0.0
    sync_error: float = 0.0
    read_error: float = 0.0
    full: float = 0.0
    lies: bool = False

    def none(self) -> None:
        """Fail no more."""
        self.rot = self.misdirected = self.lost_write = self.write_error = 0.0
        self.sync_error = self.read_error = self.full = 0.0
        self.lies = False


class SimFile:
    """A file: its bytes as processes see them, and the writes that a power cut may undo."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes]] = []

    def put(self, offset: int, data: bytes) -> None:
        """Write, not durably."""
        _put(self.seen, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        """Make every write durable."""
        for offset, data in self.pending:
            _put(self.durable, offset, data)
        self.pending.clear()

    def cut(self, rng: random.Random) -> None:
        """The power goes: of each write that was not synced, any of its sectors may have reached the medium."""
        for offset, data in self.pending:
            fate = rng.random()
            if fate < 0.3:
                continue
            for start in range(0, len(data), SECTOR_BYTES):
                if fate > 0.6 or rng.random() < 0.5:
                    _put(self.durable, offset + start, data[start : start + SECTOR_BYTES])
        self.pending.clear()
        self.seen = bytearray(self.durable)


def _put(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset:
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


class SimDisk:
    """A medium with files. `faults` are drawn from `rng`."""

    def __init__(self, disk_id: str, rng: random.Random) -> None:
        self.id = disk_id
        self.rng = rng
        self.files: dict[str, SimFile] = {}
        self.faults = Faults()
        self.present = True
        self.slow = False

    def cut(self) -> None:
        """The power goes."""
        for name in sorted(self.files):
            self.files[name].cut(self.rng)

    def happens(self, chance: float) -> bool:
        """Whether something of this chance happens now."""
        return chance > 0 and self.rng.random() < chance


Hook = Callable[[str, str], None]
"""Called before every call of a drive with its verb and the file's name; may raise SimulatedCrash."""


class SimDrive:
    """A process's drive on a disk. `hook` sees every call."""

    def __init__(self, disk: SimDisk, hook: Hook) -> None:
        self._disk = disk
        self._hook = hook
        self._state = DriveState.ONLINE

    @property
    def id(self) -> str:
        return self._disk.id

    @property
    def state(self) -> DriveState:
        if self._state is DriveState.ONLINE and not self._disk.present:
            return DriveState.MISSING
        return self._state

    @property
    def readable(self) -> bool:
        return self.state is DriveState.ONLINE

    @property
    def stuck(self) -> bool:
        return self._disk.slow

    def fence(self, reason: str) -> None:
        self._state = DriveState.FENCED

    def create(self, name: str) -> None:
        self._enter("create", name)
        if name in self._disk.files:
            raise DriveError(f"{name} is there already")
        self._disk.files[name] = SimFile()

    def write(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        self._enter("write", name)
        disk, file = self._disk, self._file(name)
        data = b"".join(bytes(buffer) for buffer in buffers)
        if disk.happens(disk.faults.full):
            raise DriveFull(f"drive {self.id} is full")
        if disk.happens(disk.faults.write_error):
            file.put(offset, data[: disk.rng.randrange(len(data) + 1)])
            self.fence("write error")
            raise DriveError(f"cannot write {name} of drive {self.id}")
        if disk.happens(disk.faults.lost_write):
            return
        if disk.happens(disk.faults.misdirected):
            offset = max(0, offset + disk.rng.choice((-PAGE_BYTES, -SECTOR_BYTES, SECTOR_BYTES, PAGE_BYTES)))
        file.put(offset, data)

    def sync(self, name: str) -> None:
        self._enter("sync", name)
        disk, file = self._disk, self._file(name)
        if disk.happens(disk.faults.sync_error):
            file.cut(disk.rng)  # the pages are gone, whatever a second sync would say
            self.fence("sync error")
            raise DriveError(f"cannot sync {name} of drive {self.id}")
        if not disk.faults.lies:
            file.sync()

    def read_into(self, name: str, offset: int, target: memoryview, wait: bool) -> int:
        if wait:
            self._hook("read", name)
        if not self.readable:
            raise DriveError(f"drive {self.id} is {self.state.value}")
        disk, file = self._disk, self._file(name)
        if disk.happens(disk.faults.read_error):
            raise DriveError(f"cannot read {name} of drive {self.id}")
        if file.seen and disk.happens(disk.faults.rot):
            place = disk.rng.randrange(len(file.seen))
            bit = 1 << disk.rng.randrange(8)
            file.seen[place] ^= bit
            if place < len(file.durable):
                file.durable[place] ^= bit
        data = file.seen[offset : offset + len(target)]
        target[: len(data)] = data
        return len(data)

    def read_stored(self, name: str, offset: int, length: int, scratch: Scratch) -> memoryview:
        target = memoryview(bytearray(length))
        return target[: self.read_into(name, offset, target, wait=True)]

    def punch(self, name: str, offset: int, length: int) -> None:
        self._enter("punch", name)
        file = self._file(name)
        length = min(length, len(file.seen) - offset)
        if length > 0:
            file.put(offset, bytes(length))
            file.sync()  # a hole may become durable by itself: the worst case for whoever punched too much

    def unlink(self, name: str) -> None:
        self._enter("unlink", name)
        self._disk.files.pop(name, None)

    def size(self, name: str) -> int | None:
        if not self.readable:
            raise DriveError(f"drive {self.id} is {self.state.value}")
        file = self._disk.files.get(name)
        return len(file.seen) if file is not None else None

    def allocated(self, name: str) -> int:
        if not self.readable:
            raise DriveError(f"drive {self.id} is {self.state.value}")
        file = self._disk.files.get(name)
        if file is None:
            return 0
        empty = bytes(PAGE_BYTES)
        pages = (file.seen[start : start + PAGE_BYTES] for start in range(0, len(file.seen), PAGE_BYTES))
        return sum(PAGE_BYTES for page in pages if page != empty[: len(page)])

    def names(self) -> list[str]:
        if not self.readable:
            raise DriveError(f"drive {self.id} is {self.state.value}")
        return sorted(self._disk.files)

    def space(self) -> Space:
        if not self.readable:
            raise DriveError(f"drive {self.id} is {self.state.value}")
        used = sum(len(file.seen) for file in self._disk.files.values())
        return Space(TOTAL_BYTES, max(0, TOTAL_BYTES - used - MIB))

    def close(self) -> None:
        """Nothing is open."""

    def _enter(self, verb: str, name: str) -> None:
        self._hook(verb, name)
        if self.state is not DriveState.ONLINE:
            raise DriveError(f"drive {self.id} is {self.state.value}")

    def _file(self, name: str) -> SimFile:
        file = self._disk.files.get(name)
        if file is None:
            raise DriveError(f"there is no {name} on drive {self.id}")
        return file
