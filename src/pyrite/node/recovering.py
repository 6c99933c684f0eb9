"""Owns getting the names back: from the drives alone when every database is gone, or from a backup.

Runs offline. The newest whole dump on the drives, or the backup, is loaded; the journal behind it is replayed; what is
counted (the use of buckets) is counted again.
"""

import asyncio
import contextlib
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import lmdb
import msgspec

from pyrite.blobs.drive import Drive, DriveState
from pyrite.blobs.drivelog import DriveLog, find_segments, read_entries
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.local import LocalDrive
from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.errors import ConfigError, Unavailable
from pyrite.core.offload import ThreadWorkforce
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet
from pyrite.metadata.journal import Journal, decode_entry, load, order, replay
from pyrite.metadata.keyspaces import (
    BUCKETS,
    DRIVES,
    OBJECTS,
    USAGE,
    USAGE_BYTES,
    USAGE_OBJECTS,
    USAGE_VERSIONS,
    VERSIONS,
    number,
)
from pyrite.metadata.kv import Batch, MetadataCorrupt, Row, after_prefix, encode_counter
from pyrite.metadata.lmdb import LmdbEngine
from pyrite.metadata.mirror import Mirror
from pyrite.metadata.opening import choose_source, settle_environment, sync_directory
from pyrite.node import drives as identities
from pyrite.node.drives import METADATA, DriveLocks
from pyrite.node.dumping import DUMP, newest_dump
from pyrite.node.offline import locate, snapshot
from pyrite.node.registry import drives_in
from pyrite.node.storeprocess import JOURNAL
from pyrite.objects.records import decode_bucket, decode_object

_SCAN_ROWS = 1000


class Recovered(msgspec.Struct):
    """What came back. `missing` counts transactions between the source and the end that no drive has.

    None of those was ever acknowledged, unless more drives are missing than the store can lose.
    """

    buckets: int
    objects: int
    object_bytes: int
    dump_rows: int
    replayed: int
    missing: int


def recover(paths: tuple[Path, ...], discard: bool, without: Collection[str] = ()) -> Recovered:
    """Rebuild the metadata of the store on `paths` from dump and journal; `without` names drives that are given up.

    Raises ConfigError when metadata is there and `discard` is not set or a drive is missing that is not given up,
    Unavailable when there is no dump.
    """
    places, drives, locks = _open(paths)
    try:
        announced = identities.read_announced(list(places.values()))
        if not discard and announced is not None and _has_metadata(places, announced):
            raise ConfigError("this store has its metadata; say --discard to rebuild it all the same")
        whole = newest_dump(find_segments(drives, DUMP))
        if whole is None:
            raise Unavailable("no drive holds a whole dump of the names; name all drives of the store")
        with _staged(places) as staging:
            environment = LmdbEnvironment(staging, create=True)
            load(environment, whole.pieces())
            _require_all(environment, places, announced, without)
            return _complete(environment, places, drives, announced, whole.rows)
    finally:
        locks.release()


def restore(paths: tuple[Path, ...], backup: Path, exactly: bool, without: Collection[str] = ()) -> Recovered:
    """Put a backup in the place of the metadata of the store on `paths`; with `exactly`, without what came after it.

    Raises ConfigError when the backup is none, or is damaged, or a drive is missing that is not given up by `without`.
    """
    places, drives, locks = _open(paths)
    try:
        announced = identities.read_announced(list(places.values()))
        with _staged(places) as staging:
            shutil.copyfile(backup, staging / "data.mdb")
            try:
                environment = LmdbEnvironment(staging)
                rows = _verify(environment)
            except (lmdb.Error, MetadataCorrupt, OSError) as error:
                raise ConfigError(f"{backup} is not a good backup: {error}") from error
            _require_all(environment, places, announced, without)
            if exactly:
                _forget_journal(drives)
            return _complete(environment, places, drives, announced, rows)
    finally:
        locks.release()


def back_up(paths: tuple[Path, ...], target: Path) -> int:
    """Write a consistent copy of the metadata to the file `target`; its bytes. The store may be running."""
    located = locate(paths)
    folder = target.with_name(target.name + ".new")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        snapshot(located.metadata, folder)
        settle_environment(folder)
        os.replace(folder / "data.mdb", target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target.stat().st_size


def _open(paths: tuple[Path, ...]) -> tuple[dict[str, Path], dict[str, Drive], DriveLocks]:
    found = [d for d in identities.inspect(paths) if d.state is DriveState.ONLINE and d.identity is not None]
    if not found:
        raise ConfigError("there is no store on these drives")
    places = {drive.identity.drive: drive.path for drive in found if drive.identity is not None}
    locks = DriveLocks(list(places.values()))
    return places, {name: LocalDrive(name, path) for name, path in places.items()}, locks


def _has_metadata(places: dict[str, Path], announced: MirrorSet) -> bool:
    try:
        choose_source({name: path / METADATA for name, path in places.items()}, announced)
    except Unavailable:
        return False
    return True


def _require_all(
    environment: LmdbEnvironment, places: dict[str, Path], announced: MirrorSet | None, without: Collection[str]
) -> None:
    """Raises ConfigError where a drive of the store was not named: what it alone remembers would be thrown away."""
    records = {record.id: record for record in drives_in(environment.scan(DRIVES, after_prefix(DRIVES), 1000, False))}
    known = {name for name, record in records.items() if record.role != "lost"}
    known |= set(announced.members if announced is not None else ()) - records.keys()
    told = []
    for name in sorted(known - places.keys()):
        if any(len(word) >= 4 and name.startswith(word) for word in without):
            continue
        path = records[name].path if name in records else ""
        there = bool(path) and any(
            identities.is_drive(Path(path), found.identity.store, name)
            for found in identities.inspect(tuple(places.values()))[:1]
            if found.identity is not None
        )
        told.append(f"{path} (drive {name})" if there else f"drive {name}, last at {path or 'an unknown place'}")
    if told:
        raise ConfigError(
            f"name all drives of the store; these were not: {'; '.join(told)}. "
            "One that is lost for good is given up with --without ID"
        )


@contextlib.contextmanager
def _staged(places: dict[str, Path]) -> Iterator[Path]:
    """An empty directory beside the metadata of the first drive; removed at the end if it is still there."""
    staging = next(iter(places.values())) / (METADATA + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _complete(
    environment: LmdbEnvironment,
    places: dict[str, Path],
    drives: dict[str, Drive],
    announced: MirrorSet | None,
    rows: int,
) -> Recovered:
    """Replay the journal, count anew, and put the database in its place as the only mirror; others follow at start."""
    before = environment.read_state()[0]
    segments = find_segments(drives, JOURNAL)
    stored = (entry for name, holders in segments.items() for entry in read_entries(name, holders))
    entries = order(map(decode_entry, stored), before)
    last = replay(environment, entries)
    first = next(iter(places))
    mirrors = MirrorSet(announced.epoch + 1 if announced is not None else 1, (first,))
    workforce = ThreadWorkforce(len(drives))
    hybrid = HybridClock(SystemClock())
    log = DriveLog(JOURNAL, "recovery", DriveSet(drives), hybrid, lambda: len(drives), workforce)
    engine = LmdbEngine([Mirror(first, environment)], mirrors, lambda _: None, Journal(log.append, hybrid.next))
    found = asyncio.run(_recount(engine))
    workforce.close()
    target = places[first] / METADATA
    settle_environment(environment.path)
    shutil.rmtree(target, ignore_errors=True)
    environment.path.rename(target)
    sync_directory(places[first])
    identities.announce_on(list(places.values()), mirrors)
    return Recovered(*found, rows, len(entries), last - before - len(entries))


async def _recount(engine: LmdbEngine) -> tuple[int, int, int]:
    """Count what buckets hold and store it where it is not what was counted; buckets, objects and their bytes."""
    try:
        ids = {decode_bucket(row.value).id async for row in _rows(engine, BUCKETS)}
        counted: dict[bytes, Counter[bytes]] = defaultdict(Counter)
        for space, counter in ((OBJECTS, USAGE_OBJECTS), (VERSIONS, USAGE_VERSIONS)):
            async for row in _rows(engine, space):
                use = counted[row.key[1:9]]
                use[counter] += 1
                use[USAGE_BYTES] += decode_object(row.value).weight_bytes
        batch = Batch()
        async for row in _rows(engine, USAGE):
            batch.delete(row.key)
        for bucket in ids:
            for counter in (USAGE_OBJECTS, USAGE_VERSIONS, USAGE_BYTES):
                batch.put(USAGE + number(bucket) + counter, encode_counter(counted[number(bucket)][counter]))
        await engine.commit(batch)
        objects, size = (sum(use[kind] for use in counted.values()) for kind in (USAGE_OBJECTS, USAGE_BYTES))
        return len(ids), objects, size
    finally:
        await engine.close()


async def _rows(engine: LmdbEngine, space: bytes) -> AsyncIterator[Row]:
    start = space
    while rows := await engine.scan(start, after_prefix(space), _SCAN_ROWS):
        for row in rows:
            yield row
        start = rows[-1].key + b"\0"


def _verify(environment: LmdbEnvironment) -> int:
    """Read every row; how many there are. Raises MetadataCorrupt."""
    count, start = 0, b"\0"
    while rows := environment.scan(start, b"\xff" * 8, _SCAN_ROWS, False):
        count += len(rows)
        start = rows[-1].key + b"\0"
    return count


def _forget_journal(drives: dict[str, Drive]) -> None:
    """What came after an exact backup is not to come back: the journal goes, and dumps with it."""
    for prefix in (JOURNAL, DUMP):
        for name, holders in find_segments(drives, prefix).items():
            for drive in holders:
                drive.unlink(name.text)
