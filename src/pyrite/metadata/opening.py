"""Owns which mirrors are trusted when a store opens, and copying the newest onto the others.

The newest announcement found on any drive names the mirrors that may be trusted; among those that are present
the one with the highest sequence number is the truth. Runs before any worker, in one process.
"""

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import lmdb
import msgspec

from pyrite.core.errors import ConfigError, Unavailable
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet
from pyrite.metadata.mirroring import Announce

MIRRORS_MAX = 3


def choose_source(places: Mapping[str, Path], announced: MirrorSet) -> str:
    """The drive, of those in `places`, that holds the newest trusted metadata.

    Raises Unavailable when none of the announced mirrors is present or readable.
    """
    newest: tuple[int, str] | None = None
    for name in announced.members:
        if name not in places:
            continue
        sequence = _sequence(places[name])
        if sequence is not None and (newest is None or sequence > newest[0]):
            newest = (sequence, name)
    if newest is None:
        raise Unavailable(
            "no current copy of the names is on the drives that were named; it is on drive(s) "
            f"{', '.join(announced.members)}. Name all drives of the store; if those are lost for good: pyrite recover"
        )
    return newest[1]


def arrange_mirrors(
    places: Mapping[str, Path], announced: MirrorSet, announce: Announce, damaged: Collection[str] = ()
) -> MirrorSet:
    """Make up to MIRRORS_MAX drives of `places` (in order of preference) hold the newest metadata.

    Announces and returns the resulting set. `places` maps a drive id to its metadata directory. Those that are
    `damaged` are made again.
    """
    source = choose_source({name: path for name, path in places.items() if name not in damaged}, announced)
    keep = [name for name in announced.members if name in places and name != source and name not in damaged]
    spare = [name for name in places if name not in announced.members or name in damaged]
    members = [source, *keep, *spare][:MIRRORS_MAX]
    truth = _sequence(places[source])
    copied = [name for name in members[1:] if name not in keep or _sequence(places[name]) != truth]
    if not copied and set(members) == set(announced.members):
        return announced
    for name in copied:
        _copy(places[source], places[name])
    chosen = MirrorSet(announced.epoch + 1, tuple(members))
    announce(chosen)
    return chosen


def create_first(places: Mapping[str, Path], announce: Announce) -> MirrorSet:
    """Make empty environments for a new store on up to MIRRORS_MAX drives, and announce them."""
    members = list(places)[:MIRRORS_MAX]
    for name in members:
        shutil.rmtree(places[name], ignore_errors=True)
        places[name].mkdir(mode=0o700, parents=True)
        LmdbEnvironment(places[name], create=True).close()
        sync_directory(places[name].parent)
    chosen = MirrorSet(1, tuple(members))
    announce(chosen)
    return chosen


def _sequence(path: Path) -> int | None:
    if not (path / "data.mdb").exists():
        return None
    try:
        environment = LmdbEnvironment(path)
    except lmdb.Error:
        return None
    try:
        return environment.read_state()[0]
    except (ValueError, msgspec.DecodeError, lmdb.Error):
        return None
    finally:
        environment.close()


def _copy(source: Path, target: Path) -> None:
    environment = LmdbEnvironment(source)
    try:
        copy_environment(environment, target)
    except (lmdb.Error, OSError) as error:
        raise ConfigError(f"cannot copy metadata to {target}: {error}") from error
    finally:
        environment.close()


def copy_environment(environment: LmdbEnvironment, target: Path) -> None:
    """Put a consistent copy of `environment` at `target`, in the place of what is there. Raises lmdb.Error, OSError."""
    staging = target.with_name(target.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)  # never the drive itself: where that is gone, nothing must stand in its place
    environment.copy_to(staging)
    settle_environment(staging)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    sync_directory(target.parent)


def settle_environment(path: Path) -> None:
    """Make the database in `path` durable."""
    _sync_file(path / "data.mdb")
    sync_directory(path)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # noqa: TID251 - metadata files are this layer's own
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    _sync_file(path)
