"""Owns looking at a store from outside: its drives found, its newest metadata opened, nothing changed."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import lmdb

from pyrite.blobs.drive import Drive, DriveState
from pyrite.core.errors import ConfigError, Unavailable
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet
from pyrite.metadata.kv import Engine
from pyrite.metadata.lmdb import LmdbEngine
from pyrite.metadata.mirror import Mirror
from pyrite.metadata.opening import choose_source
from pyrite.node import drives as identities
from pyrite.node.drives import METADATA, FoundDrive
from pyrite.node.opening import OpenDrive, make_drives
from pyrite.node.registry import StoreRecord, load_drives, load_store

T = TypeVar("T")
_PAUSES_S = (0.1, 0.3, 1.0)


class Located(NamedTuple):
    """Where the drives of a store are, and on which of them its newest metadata is."""

    places: dict[str, Path]
    announced: MirrorSet
    source: str
    found: list[FoundDrive]

    @property
    def metadata(self) -> Path:
        """The directory of the newest metadata."""
        return self.places[self.source] / METADATA


def locate(paths: tuple[Path, ...]) -> Located:
    """The store on `paths`. Raises ConfigError when there is none, Unavailable when its metadata is not there."""
    found = identities.inspect(paths)
    usable = [drive for drive in found if drive.state is DriveState.ONLINE and drive.identity is not None]
    places = {drive.identity.drive: drive.path for drive in usable if drive.identity is not None}
    announced = identities.read_announced(list(places.values()))
    if announced is None:
        raise ConfigError("there is no store on these drives")
    source = choose_source({name: path / METADATA for name, path in places.items()}, announced)
    return Located(places, announced, source, found)


def patiently(look: Callable[[], T]) -> T:
    """What `look` returns. While the server moves the names to other drives it may fail; then it is done again."""
    for pause_s in _PAUSES_S:
        with contextlib.suppress(Unavailable):
            return look()
        time.sleep(pause_s)
    return look()


class OfflineStore(NamedTuple):
    """A store opened for looking."""

    record: StoreRecord
    engine: Engine
    drives: dict[str, Drive]
    located: Located


def with_store(paths: tuple[Path, ...], body: Callable[[OfflineStore], Awaitable[T]]) -> T:
    """What `body` returns of the store on `paths`. Raises ConfigError when there is none.

    The metadata is read from a snapshot, so that a running server is not held up and nothing is written.
    """
    folder = Path(tempfile.mkdtemp(prefix="pyrite-look-"))

    def take() -> Located:
        found = locate(paths)
        shutil.rmtree(folder)  # with what an attempt has left there
        folder.mkdir(mode=0o700)
        snapshot(found.metadata, folder)
        return found

    try:
        located = patiently(take)
        return asyncio.run(_run(folder, located, body))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def snapshot(metadata: Path, folder: Path) -> None:
    """Copy the metadata at `metadata` into the empty `folder`, consistently. Raises Unavailable."""
    try:
        environment = LmdbEnvironment(metadata)
    except lmdb.Error as error:
        raise Unavailable(f"the metadata at {metadata} cannot be opened: {error}") from error
    try:
        environment.copy_to(folder)
    except lmdb.Error as error:
        raise Unavailable(f"the metadata at {metadata} cannot be read: {error}") from error
    finally:
        environment.close()


async def _run(folder: Path, located: Located, body: Callable[[OfflineStore], Awaitable[T]]) -> T:
    mirror = Mirror(located.source, LmdbEnvironment(folder))
    engine = LmdbEngine([mirror], located.announced, lambda _: None)
    try:
        record = await load_store(engine)
        if record is None:
            raise ConfigError("the store was never completed; start it once with pyrite serve")
        known = []
        for drive in await load_drives(engine):
            path = located.places.get(drive.id)
            if path is None and identities.is_drive(Path(drive.path), record.id, drive.id):
                path = Path(drive.path)  # added while the store ran: known from its record
            known.append(OpenDrive(drive.id, path, DriveState.ONLINE if path else DriveState.MISSING))
        drives = make_drives(record.id, tuple(known))
        return await body(OfflineStore(record, engine, drives, located))
    finally:
        await engine.close()
