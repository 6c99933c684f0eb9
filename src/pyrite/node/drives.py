"""Owns telling drives apart: identity files, who belongs to which store, what a directory is taken for.

A drive is never written to unless its identity says that it belongs here, or the whole store is new.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64_hexdigest

from pyrite.blobs.drive import DriveState
from pyrite.blobs.local import TRIAL
from pyrite.core.entropy import Entropy
from pyrite.core.errors import ConfigError, Unavailable
from pyrite.core.offload import ThreadWorkforce
from pyrite.metadata.environment import MirrorSet

IDENTITY = "pyrite.json"
MIRRORS = "mirrors.json"
METADATA = "metadata"
CREDENTIALS = "root-credentials.json"
_IGNORED = frozenset(("lost+found",))
_FORMAT = 1
_BLOCK_BYTES = 512  # of st_blocks, on every file system
LOCK_TIMEOUT_S = 3.0


class Identity(msgspec.Struct, frozen=True):
    """What a drive's identity file says. `check` sums up the rest; "" in files of the first versions."""

    format: int
    store: str
    drive: str
    check: str = ""


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """A MirrorSet as it stands in a file, and a sum of it; "" in files of the first versions."""

    epoch: int
    members: tuple[str, ...]
    check: str = ""


class RootCredentials(msgspec.Struct, frozen=True):
    """The generated root credential, kept on every drive, readable by its owner alone."""

    access_key: str
    secret_key: str


class FoundDrive(NamedTuple):
    """A directory that was named, and what it is."""

    path: Path
    state: DriveState
    identity: Identity | None


def inspect(paths: tuple[Path, ...]) -> list[FoundDrive]:
    """What each directory is. Raises ConfigError when a directory holds something else, or two stores mix evenly."""
    found = [_inspect(path) for path in paths]
    stores = Counter(drive.identity.store for drive in found if drive.identity is not None)
    if not stores:
        return found
    ranked = stores.most_common(2)
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        raise ConfigError("the drives belong to different stores; name the drives of one store")
    seen: set[str] = set()
    judged = []
    for drive in found:
        state = drive.state
        if drive.identity is not None and (drive.identity.store != ranked[0][0] or drive.identity.drive in seen):
            state = DriveState.FOREIGN  # of another store, or a copy of a drive that is here already
        elif drive.identity is not None:
            seen.add(drive.identity.drive)
        judged.append(FoundDrive(drive.path, state, drive.identity))
    return judged


def _inspect(path: Path) -> FoundDrive:
    try:
        content = (path / IDENTITY).read_bytes()
    except FileNotFoundError:
        if not path.exists():
            return FoundDrive(path, DriveState.MISSING, None)
        return _inspect_without_identity(path)
    except OSError:
        return FoundDrive(path, DriveState.MISSING, None)
    try:
        identity = msgspec.json.decode(content, type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return FoundDrive(path, DriveState.FOREIGN, None)
    if identity.check and identity.check != _sum(identity.store, identity.drive):
        return FoundDrive(path, DriveState.FOREIGN, None)
    if identity.format > _FORMAT:
        raise ConfigError(f"{path} was written by a newer version of Pyrite (format {identity.format})")
    return FoundDrive(path, DriveState.ONLINE, identity)


def is_drive(path: Path, store: str, drive: str) -> bool:
    """Whether `path` is this very drive of this store."""
    try:
        found = _inspect(path)
    except ConfigError:
        return False
    return found.identity is not None and (found.identity.store, found.identity.drive) == (store, drive)


def state_of(path: Path, store: str, drive: str) -> DriveState:
    """What stands at the place of a drive: the drive itself (ONLINE), nothing, a blank or a foreign one."""
    try:
        found = _inspect(path)
    except ConfigError:
        return DriveState.FOREIGN
    if found.identity is None:
        return found.state
    return DriveState.ONLINE if is_drive(path, store, drive) else DriveState.FOREIGN


def _inspect_without_identity(path: Path) -> FoundDrive:
    try:
        entries = [name for name in os.listdir(path) if name not in _IGNORED]
    except OSError:
        return FoundDrive(path, DriveState.MISSING, None)
    if entries:
        raise ConfigError(f"{path} is neither empty nor a Pyrite drive; name an empty directory")
    return FoundDrive(path, DriveState.BLANK, None)


def format_drive(path: Path, store: str, entropy: Entropy) -> Identity:
    """Make a directory a drive of `store`. The identity file is the last thing written."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    drive = entropy.bytes(8).hex()
    identity = Identity(_FORMAT, store, drive, _sum(store, drive))
    (path / "volumes").mkdir(mode=0o700, exist_ok=True)
    write_durably(path / IDENTITY, msgspec.json.encode(identity), 0o600)
    return identity


def close_to_others(path: Path) -> None:
    """Have nobody but the server's user read a drive, or lock it: drives of earlier versions were open to all."""
    for name, mode in ((IDENTITY, 0o600), (METADATA, 0o700), ("volumes", 0o700)):
        with contextlib.suppress(OSError):
            os.chmod(path / name, mode)
    for file in (path / METADATA).glob("*.mdb"):
        with contextlib.suppress(OSError):
            file.chmod(0o600)


def used_bytes(path: Path) -> int:
    """Bytes that everything of the store takes on the drive at `path`. Raises OSError."""
    total = path.stat().st_blocks * _BLOCK_BYTES
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # it went in this very moment
                total += os.lstat(os.path.join(folder, name)).st_blocks * _BLOCK_BYTES
    return total


def erase_drive(path: Path) -> None:
    """Make a drive that has left its store a blank directory again. Its identity goes first."""
    (path / IDENTITY).unlink()
    for name in (MIRRORS, CREDENTIALS, TRIAL):
        (path / name).unlink(missing_ok=True)
    for name in (METADATA, METADATA + ".new", "volumes"):
        shutil.rmtree(path / name, ignore_errors=True)


def write_durably(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a small file so that after a crash there is the old or the new content."""
    staging = path.with_name(path.name + ".new")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:  # which writes all of it, or raises
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)  # noqa: TID251 - identity files are this layer's own
    os.replace(staging, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)  # noqa: TID251 - identity files are this layer's own
    finally:
        os.close(directory)


def _lock(descriptor: int) -> bool:
    """Lock a file, waiting a moment for the processes of a server that was killed to be gone."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


class DriveLocks:
    """Holds every drive for this server: two servers never write to one drive. Freed when all processes end.

    Processes that are forked have the same hold, and know of it.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._descriptors: list[int] = []
        try:
            for path in paths:
                self.add(path)
        except BaseException:
            self.release()
            raise

    def add(self, path: Path) -> None:
        """Hold one more drive, if it is not held already. Raises ConfigError when another server has it."""
        descriptor = os.open(path / IDENTITY, os.O_RDONLY | os.O_CLOEXEC)
        if any(os.path.sameopenfile(descriptor, held) for held in self._descriptors):
            os.close(descriptor)
            return
        if not _lock(descriptor):
            os.close(descriptor)
            raise ConfigError(f"{path} is in use by another Pyrite process")
        self._descriptors.append(descriptor)

    def release(self) -> None:
        """Let go."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


def read_announced(paths: list[Path]) -> MirrorSet | None:
    """The newest mirror set that any drive knows of."""
    newest: MirrorSet | None = None
    for path in paths:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            known = msgspec.json.decode((path / MIRRORS).read_bytes(), type=Announcement)
            good = not known.check or known.check == _sum(str(known.epoch), *known.members)
            if good and (newest is None or known.epoch > newest.epoch):
                newest = MirrorSet(known.epoch, known.members)
    return newest


def announce_on(paths: list[Path], mirrors: MirrorSet) -> None:
    """Record a mirror set on every drive that takes it; one that hangs is not waited for. Raises Unavailable."""
    check = _sum(str(mirrors.epoch), *mirrors.members)
    content = msgspec.json.encode(Announcement(mirrors.epoch, mirrors.members, check))
    jobs = [partial(_try_to_announce, path, mirrors.epoch, content) for path in paths]
    if not jobs or True not in ThreadWorkforce(len(jobs)).most(jobs, 1, bool):
        raise Unavailable("no drive takes the list of metadata mirrors")


def _sum(*parts: str) -> str:
    return xxh3_64_hexdigest(" ".join(parts).encode())


def _try_to_announce(path: Path, epoch: int, content: bytes) -> bool:
    """Whether a drive has the announcement, or a newer one. Processes that announce at once take turns."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        known = read_announced([path])
        if known is None or known.epoch <= epoch:
            write_durably(path / MIRRORS, content)
    except OSError:
        return False
    finally:
        os.close(folder)
    return True


def load_credentials(paths: list[Path]) -> RootCredentials | None:
    """The generated root credential, as most drives that have it say."""
    found: Counter[RootCredentials] = Counter()
    for path in paths:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            found[msgspec.json.decode((path / CREDENTIALS).read_bytes(), type=RootCredentials)] += 1
    return found.most_common(1)[0][0] if found else None


def generate_credentials(paths: list[Path], entropy: Entropy) -> RootCredentials:
    """Make a random root credential and keep it on every drive, readable by its owner alone."""
    made = RootCredentials("PYRITE" + entropy.bytes(7).hex().upper(), entropy.bytes(20).hex())
    for path in paths:
        write_durably(path / CREDENTIALS, msgspec.json.encode(made), 0o600)
    return made
