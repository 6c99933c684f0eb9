"""Owns what `pyrite drive` does: lists, adds, drains, removes and replaces drives of a store that may be running.

A command changes the drive's record in metadata, as one more process of the store; the server sees it within a
second and does the work. So a command that is cut short loses nothing, and nothing has to be told to go on.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from pyrite.blobs.drive import DriveError, DriveState
from pyrite.blobs.drivelog import DriveLog
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.layout import default_parity
from pyrite.blobs.local import LocalDrive
from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import ConfigError
from pyrite.core.offload import ThreadWorkforce
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet
from pyrite.metadata.journal import Journal
from pyrite.metadata.lmdb import LmdbEngine
from pyrite.metadata.mirror import Mirror
from pyrite.node import drives as identities
from pyrite.node.auditing import note_command
from pyrite.node.drives import METADATA
from pyrite.node.offline import Located, locate, patiently
from pyrite.node.opening import open_engine
from pyrite.node.registry import (
    DriveRecord,
    StoreRecord,
    add_drive,
    change_drive,
    drop_drive,
    load_drives,
    load_store,
)
from pyrite.node.storeprocess import JOURNAL
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.repairs import RepairQueue
from pyrite.services.upkeep import DriveUse, use_of

T = TypeVar("T")
FOLLOWED_S = 3.0
"""Within this time, in seconds, every process of a store has seen that a drive is to be left."""
_FORMAT = 1


class DriveStatus(msgspec.Struct):
    """A drive as `pyrite drive list` shows it. Sizes in bytes.

    `state` is what stands at its place, or else what the server sees of it: "online", "missing", "blank", "foreign",
    "suspect" (it failed; everything on it is still to be verified), "failing", "read-only", "slow" or "full".
    `shard_bytes` are those of the volumes' records, `used_bytes` what the store's files take on the drive.
    """

    id: str
    path: str
    state: str
    role: str
    domain: str
    total_bytes: int
    free_bytes: int
    used_bytes: int
    shards: int
    shard_bytes: int
    holds_metadata: bool
    volumes_waiting_for_repair: int


class LiveStore(NamedTuple):
    """A store opened beside the processes that serve it."""

    record: StoreRecord
    engine: LmdbEngine
    drives: list[DriveRecord]
    mirrors: MirrorSet
    places: dict[str, Path]

    def find(self, name: str) -> DriveRecord:
        """The drive called `name`: its id, the beginning of its id, or its path. Raises ConfigError."""
        exact = [drive for drive in self.drives if name == drive.id or Path(name).absolute() == Path(drive.path)]
        found = exact or [drive for drive in self.drives if drive.id.startswith(name)]
        if len(found) != 1:
            raise ConfigError(f"{name!r} names {len(found)} drives of the store; see pyrite drive list")
        return found[0]

    async def uses(self) -> dict[str, DriveUse]:
        """What stands on each drive."""
        return use_of(await MetadataCatalog(self.engine).all())


def with_live_store(paths: tuple[Path, ...], body: Callable[[LiveStore], Awaitable[T]], words: Sequence[str] = ()) -> T:
    """What `body` returns of the store to which the drives at `paths` belong. Raises ConfigError.

    The `words` of a command that changes something are noted in the audit log, if the store keeps one.
    """

    async def run(live: LiveStore) -> T:
        done = await body(live)
        if words:
            await note_command(live.engine, words)
        return done

    return asyncio.run(_run(patiently(lambda: locate(paths)), run))


async def _run(located: Located, body: Callable[[LiveStore], Awaitable[T]]) -> T:
    places, announced = located.places, located.announced
    first = open_engine(MirrorSet(announced.epoch, (located.source,)), places, list)
    try:
        store, drives = await load_store(first), await load_drives(first)
    finally:
        await first.close()
    if store is None:
        raise ConfigError("the store was never completed; start it once with pyrite serve")
    for drive in drives:
        if drive.id not in places and identities.is_drive(Path(drive.path), store.id, drive.id):
            places[drive.id] = Path(drive.path)
    hybrid, workforce = HybridClock(SystemClock()), ThreadWorkforce(2)
    members = DriveSet({name: LocalDrive(name, path) for name, path in places.items()})
    log = DriveLog(JOURNAL, f"cli{os.getpid()}", members, hybrid, lambda: default_parity(len(members)) + 1, workforce)

    def open_mirror(name: str) -> Mirror:
        if name not in places:
            raise FileNotFoundError(f"the place of drive {name} is not known")
        return Mirror(name, LmdbEnvironment(places[name] / METADATA))

    journal = Journal(log.append, hybrid.next)
    engine = open_engine(announced, places, lambda: list(places.values()), journal, open_mirror)
    try:
        return await body(LiveStore(store, engine, drives, announced, places))
    finally:
        await engine.close()
        workforce.close()


async def list_drives(store: LiveStore) -> list[DriveStatus]:
    """Every drive of the store."""
    uses, records = await store.uses(), {r.id: r for r in await MetadataCatalog(store.engine).all()}
    waiting: dict[str, int] = {}
    for queued in await RepairQueue(store.engine).all():
        volume = records.get(queued.record.volume)
        for shard in queued.record.shards if volume is not None else ():
            assert volume is not None
            waiting[volume.drives[shard]] = waiting.get(volume.drives[shard], 0) + 1
    return [_status(store, drive, uses.get(drive.id, DriveUse()), waiting.get(drive.id, 0)) for drive in store.drives]


def _status(store: LiveStore, drive: DriveRecord, use: DriveUse, waiting: int) -> DriveStatus:
    path = Path(drive.path)
    found = identities.state_of(path, store.record.id, drive.id)
    total = free = used = 0
    if found is DriveState.ONLINE:
        try:
            total, free = LocalDrive(drive.id, path).space()
            used = identities.used_bytes(path)
        except (DriveError, OSError):
            found = DriveState.MISSING
    return DriveStatus(
        drive.id,
        drive.path,
        found.value if found is not DriveState.ONLINE else _condition(drive, free),
        drive.role,
        drive.domain,
        total,
        free,
        used,
        use.shards,
        use.shard_bytes,
        drive.id in store.mirrors.members,
        waiting,
    )


def _condition(drive: DriveRecord, free_bytes: int) -> str:
    """What is to be said of a drive that is where it belongs."""
    if drive.condition:
        return drive.condition
    if drive.suspect_ms:
        return "suspect"
    return DriveState.ONLINE.value if free_bytes else "full"


async def add(store: LiveStore, path: Path, domain: str) -> DriveRecord:
    """Make an empty directory, given by its absolute path, a drive of the store. Raises ConfigError when it is none."""
    (found,) = identities.inspect((path,))
    if found.identity is not None:
        raise ConfigError(f"{path} is a Pyrite drive already")
    identity = identities.format_drive(path, store.record.id, SystemEntropy())
    identities.announce_on([path], store.mirrors)
    record = DriveRecord(_FORMAT, identity.drive, str(path), SystemClock().now_ms(), domain=domain)
    store.places[identity.drive] = path  # the server may make it a mirror before this process is done
    await add_drive(store.engine, record)
    return record


async def drain(store: LiveStore, name: str) -> DriveRecord:
    """Have everything move off a drive. Raises ConfigError when the others could not hold the store's parity.

    Volumes with more shards than there will be drives are written anew.
    """
    drive = store.find(name)
    others = sum(other.role == "active" and other.id != drive.id for other in store.drives)
    on_it = [record for record in await MetadataCatalog(store.engine).all() if drive.id in record.drives]
    needed = max((record.layout.parity + 1 for record in on_it), default=0)
    if others < needed:
        raise ConfigError(
            f"volumes on drive {drive.id} need {needed} drives, and {others} others are active; add a drive first"
        )
    await change_drive(store.engine, drive.id, role="draining")
    return drive


async def activate(store: LiveStore, name: str) -> DriveRecord:
    """Take a drain back."""
    drive = store.find(name)
    await change_drive(store.engine, drive.id, role="active", successor="")
    return drive


async def remove(store: LiveStore, name: str, lost: bool) -> DriveRecord:
    """Take an empty drive out of the store and leave its directory blank. With `lost`, give up one that is gone.

    Raises ConfigError when something stands on it and it is not lost.
    """
    drive = store.find(name)
    use = (await store.uses()).get(drive.id, DriveUse())
    if use.shards and not lost:
        raise ConfigError(
            f"{use.shards} shards stand on drive {drive.id}; drain it first, or say --lost when it will not come back"
        )
    if use.shards:
        if not any(other.role == "active" and other.id != drive.id for other in store.drives):
            raise ConfigError(f"drive {drive.id} is the only one that is active; add another first")
        await change_drive(store.engine, drive.id, role="lost")
        return drive
    if drive.role == "active":  # until every process has seen it, one may still open a volume there
        await change_drive(store.engine, drive.id, role="draining")
        await asyncio.sleep(FOLLOWED_S)
        if (await store.uses()).get(drive.id, DriveUse()).shards:
            raise ConfigError(f"drive {drive.id} was written to meanwhile; it is drained: remove it once it is empty")
    await store.engine.follow()
    if store.engine.mirrors == [drive.id]:
        raise ConfigError(
            f"the only copy of the names is on drive {drive.id}; wait until another has one too (pyrite drive list)"
        )
    store.engine.condemn(drive.id)
    await drop_drive(store.engine, drive.id)
    path = Path(drive.path)
    if identities.is_drive(path, store.record.id, drive.id):
        identities.erase_drive(path)
    return drive


async def replace(store: LiveStore, name: str, path: Path) -> tuple[DriveRecord, DriveRecord]:
    """Put a new drive in the place of another; the old and the new one. Raises ConfigError."""
    old = store.find(name)
    if path == Path(old.path) and identities.is_drive(path, store.record.id, old.id):
        raise ConfigError(f"{path} is the old drive itself; name the directory of the new one")
    new = await add(store, path, old.domain)
    await change_drive(store.engine, old.id, role="lost", successor=new.id)
    return old, new
