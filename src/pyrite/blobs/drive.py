"""Owns what a drive is to the rest of the store: the protocol, its states and its errors.

All methods that touch bytes block; callers decide on which thread.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, NoReturn, Protocol

from pyrite.blobs.buffers import Scratch
from pyrite.core.errors import OutOfSpace, Unavailable

Buffer = bytes | bytearray | memoryview


class DriveError(Unavailable):
    """A drive did not do what was asked; it is fenced when it may have lost writes."""


class DriveFull(OutOfSpace):
    """The drive has no room beyond its reserve."""


class WouldBlock(Exception):
    """The bytes are not in memory, and the caller asked not to wait for the drive."""


class DriveState(Enum):
    """What may be done with a drive."""

    ONLINE = "online"
    FENCED = "fenced"  # failed a write or an fsync: not used again before a restart
    MISSING = "missing"
    FOREIGN = "foreign"  # belongs to another store
    BLANK = "blank"  # empty where an identity was expected
    READ_ONLY = "read-only"  # its file system was remounted after errors: reads go on, writes go elsewhere


class Space(NamedTuple):
    """Bytes of the file system and bytes that the store may still write."""

    total_bytes: int
    free_bytes: int


class Drive(Protocol):
    """Shard files on one drive, by name."""

    @property
    def id(self) -> str:
        """The identity that the drive was given when it joined the store."""
        ...

    @property
    def state(self) -> DriveState:
        """ONLINE, or why the drive is not used."""
        ...

    @property
    def readable(self) -> bool:
        """Whether shards can be read from it."""
        ...

    @property
    def stuck(self) -> bool:
        """Whether a call to it has not come back for long."""
        ...

    def fence(self, reason: str) -> None:
        """Stop using the drive for the life of the process."""
        ...

    def create(self, name: str) -> None:
        """Make an empty shard file, durably."""
        ...

    def write(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        """Write `buffers` one after the other from `offset`. Raises DriveFull or DriveError."""
        ...

    def sync(self, name: str) -> None:
        """Make everything written to the shard durable. A failure fences the drive: it is never retried."""
        ...

    def read_into(self, name: str, offset: int, target: memoryview, wait: bool) -> int:
        """Fill `target` from `offset`; how many bytes there were. Raises WouldBlock unless `wait`."""
        ...

    def read_stored(self, name: str, offset: int, length: int, scratch: Scratch) -> memoryview:
        """What the drive itself holds, not what memory remembers of it, in `scratch`; shorter where the file ends."""
        ...

    def punch(self, name: str, offset: int, length: int) -> None:
        """Give the space of a range back; it reads as zeros afterwards."""
        ...

    def unlink(self, name: str) -> None:
        """Remove a shard file; a missing one is no error."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of the shard file, or None when there is none."""
        ...

    def allocated(self, name: str) -> int:
        """Bytes that the shard file takes on the drive, without its holes; 0 when there is none."""
        ...

    def names(self) -> list[str]:
        """All shard files."""
        ...

    def space(self) -> Space:
        """How full the drive is."""
        ...

    def close(self) -> None:
        """Close all files."""
        ...


class AbsentDrive:
    """Stands for a drive that belongs to the store and cannot be used; everything but its name fails."""

    def __init__(self, drive_id: str, state: DriveState) -> None:
        self._id = drive_id
        self._state = state

    @property
    def id(self) -> str:
        return self._id

    @property
    def state(self) -> DriveState:
        return self._state

    @property
    def readable(self) -> bool:
        return False

    @property
    def stuck(self) -> bool:
        return False

    def fence(self, reason: str) -> None:
        """It is not used as it is."""

    def _refuse(self) -> NoReturn:
        raise DriveError(f"drive {self._id} is {self._state.value}")

    def create(self, name: str) -> None:
        self._refuse()

    def write(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        self._refuse()

    def sync(self, name: str) -> None:
        self._refuse()

    def read_into(self, name: str, offset: int, target: memoryview, wait: bool) -> int:
        self._refuse()

    def read_stored(self, name: str, offset: int, length: int, scratch: Scratch) -> memoryview:
        self._refuse()

    def punch(self, name: str, offset: int, length: int) -> None:
        self._refuse()

    def unlink(self, name: str) -> None:
        self._refuse()

    def size(self, name: str) -> int | None:
        self._refuse()

    def allocated(self, name: str) -> int:
        self._refuse()

    def names(self) -> list[str]:
        self._refuse()

    def space(self) -> Space:
        self._refuse()

    def close(self) -> None:
        """Nothing is open."""


def try_to_create(drive: Drive, name: str) -> bool:
    """Make an empty shard file, durably; whether the drive did it."""
    try:
        drive.create(name)
    except Unavailable:
        return False
    return True
