"""Owns bringing a store up before any worker runs: formatting, locking, mirrors, sealing what a crash left open."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import lmdb
import msgspec

from pyrite.blobs.drive import AbsentDrive, Drive, DriveState
from pyrite.blobs.local import LocalDrive
from pyrite.blobs.volume import VolumeRecord, shard_name
from pyrite.core.clock import SystemClock
from pyrite.core.entropy import Entropy, SystemEntropy
from pyrite.core.errors import ConfigError, Unavailable
from pyrite.core.keyring import Keyring
from pyrite.iam import accounts
from pyrite.iam.changing import Changes
from pyrite.kms.keys import KmsKeys
from pyrite.metadata import opening as mirrors
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet
from pyrite.metadata.epoch import SharedEpoch
from pyrite.metadata.examining import tell_damaged
from pyrite.metadata.journal import Journal
from pyrite.metadata.kv import Engine
from pyrite.metadata.lmdb import LmdbEngine
from pyrite.metadata.mirror import Mirror
from pyrite.metadata.rules import SharedMark
from pyrite.node import drives as identities
from pyrite.node.auditing import keep_folder, note_command
from pyrite.node.config import Config
from pyrite.node.drives import METADATA, DriveLocks, FoundDrive, RootCredentials
from pyrite.node.examining import examine_in_forks
from pyrite.node.identities import Identities, apply_identities
from pyrite.node.keyringfile import check_keyring, open_keyring
from pyrite.node.registry import StoreRecord, create_store, load_drives, load_store
from pyrite.node.tiering import mark_tiers, read_tiers
from pyrite.node.warnings import keep_warnings
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.repairs import RepairQueue


class OpenDrive(NamedTuple):
    """A drive of the store: where it is if it is here, and in which state."""

    id: str
    path: Path | None
    state: DriveState


class Opened(NamedTuple):
    """What a worker needs to know to open the store for itself, and the epoch that all of them share.

    `examined` tells whether every copy of the names was read and found good before the start at `opened_ms`.
    """

    store: StoreRecord
    drives: tuple[OpenDrive, ...]
    mirrors: MirrorSet
    credentials: RootCredentials
    generated: bool
    notes: tuple[str, ...]
    epoch: SharedEpoch
    rules: SharedMark
    opened_ms: int
    examined: bool
    keyring: Keyring | None = None

    @property
    def online(self) -> list[Path]:
        """Where the drives are that can be used."""
        return [drive.path for drive in self.drives if drive.path is not None and drive.state is DriveState.ONLINE]


def open_store(config: Config) -> tuple[Opened, DriveLocks]:
    """Bring the store on the drives of `config` up; a store that does not exist is made.

    Raises ConfigError or Unavailable with what to do about it.
    """
    found = identities.inspect(config.drives)
    entropy = SystemEntropy()
    is_new = identities.read_announced([drive.path for drive in found]) is None
    if is_new:
        if config.existing:
            raise ConfigError("there is no store on these drives, and --existing makes none: are they mounted?")
        found = _format(config, found, entropy)  # new, or its making was cut short before anything was stored
    usable = [drive for drive in found if drive.state is DriveState.ONLINE and drive.identity is not None]
    if not usable:
        raise ConfigError("none of the drives can be used")
    locks = DriveLocks([drive.path for drive in usable])
    for drive in usable:
        identities.close_to_others(drive.path)
    try:
        opened = _bring_up(config, found, usable)
        if is_new:
            opened = opened._replace(notes=("this is a new, empty store", *opened.notes))
        for path in set(opened.online) - {drive.path for drive in usable}:
            locks.add(path)  # added while the store ran: known from its record, not from the command line
        return opened, locks
    except BaseException:
        locks.release()
        raise


def _format(config: Config, found: list[FoundDrive], entropy: Entropy) -> list[FoundDrive]:
    """Make drives of all directories that are not drives yet."""
    for drive in found:
        if drive.state is DriveState.FOREIGN:
            raise ConfigError(f"{drive.path} is a drive whose identity cannot be read; name an empty directory")
    known = [drive.identity.store for drive in found if drive.identity is not None]
    store = known[0] if known else entropy.bytes(16).hex()
    for drive in found:
        if drive.identity is None:
            identities.format_drive(drive.path, store, entropy)
    return identities.inspect(config.drives)


def _bring_up(config: Config, found: list[FoundDrive], usable: list[FoundDrive]) -> Opened:
    opened_ms = SystemClock().now_ms()
    paths = [drive.path for drive in usable]
    keyring, made = open_keyring(config.keyring, config.drives) if config.keyring is not None else (None, False)
    mirror_set, damaged, examined = _arrange(usable, paths)
    engine = open_engine(mirror_set, {_id(drive): drive.path for drive in usable}, lambda: paths)
    try:
        store, drives, applied = asyncio.run(_load(config, engine, usable, keyring, made))
    finally:
        asyncio.run(engine.close())
    credentials = RootCredentials(config.access_key, config.secret_key)
    generated = not config.access_key
    if generated:
        credentials = identities.load_credentials(paths) or identities.generate_credentials(paths, SystemEntropy())
    notes = (*applied, *_notes(found, drives), *(f"the names on drive {name} were damaged" for name in sorted(damaged)))
    return Opened(
        store,
        tuple(drives),
        mirror_set,
        credentials,
        generated,
        notes,
        SharedEpoch(),
        SharedMark(),
        opened_ms,
        examined,
        keyring,
    )


def _arrange(usable: list[FoundDrive], paths: list[Path]) -> tuple[MirrorSet, set[str], bool]:
    """The mirrors that are trusted from now on, those that were damaged, and whether all of them have been read.

    Raises Unavailable when no copy of the names can be trusted.
    """
    places = {_id(drive): drive.path / METADATA for drive in usable}

    def announce(mirror_set: MirrorSet) -> None:
        identities.announce_on(paths, mirror_set)

    announced = identities.read_announced(paths)
    if announced is None:
        return mirrors.create_first(places, announce), set(), True
    present = {name: places[name] for name in announced.members if (places.get(name, Path()) / "data.mdb").exists()}
    found = examine_in_forks(present)
    damaged = tell_damaged(found)
    if present and damaged >= present.keys():
        damaged = {name for name in damaged if found[name] is None}  # what some rows have lost, the others have not
        if damaged >= present.keys():
            raise Unavailable("every copy of the names is damaged; pyrite recover --discard makes them again")
    arranged = mirrors.arrange_mirrors(places, announced, announce, damaged)
    return arranged, damaged, len(found) == len(present)


async def _load(
    config: Config, engine: Engine, usable: list[FoundDrive], keyring: Keyring | None, made: bool
) -> tuple[StoreRecord, list[OpenDrive], list[str]]:
    store = await load_store(engine)
    if store is None:
        identity = usable[0].identity
        assert identity is not None
        joined = {_id(drive): str(drive.path) for drive in usable}
        store = await create_store(engine, identity.store, joined, SystemClock(), SystemEntropy())
    account, canonical_id = store.account_id, store.canonical_id
    clock, entropy = SystemClock(), SystemEntropy()
    changes = Changes(engine, clock, entropy, keyring=keyring)
    keys = KmsKeys(engine, keyring, clock, entropy, config.region)
    await changes.make(lambda change: accounts.ensure_first(change, account, canonical_id))
    await keep_warnings(engine, config)
    await check_keyring(engine, keyring, config.keyring, made)
    applied = [f"the keyring {config.keyring} was made: what is stored is lost without it; keep a copy"] if made else []
    await keep_folder(engine, config.audit_log)
    if config.identities is not None:
        changed = await apply_identities(Identities(changes, account, keys), config.identities)
        if changed:
            await note_command(engine, ("serve", "--identities", *changed))
        applied += changed
    if config.tiers is not None:
        applied += await mark_tiers(engine, read_tiers(config.tiers), store.id)
    here = {_id(drive): drive.path for drive in usable}
    drives = []
    for record in await load_drives(engine):
        path = here.get(record.id) or Path(record.path)
        state = identities.state_of(path, store.id, record.id)
        drives.append(OpenDrive(record.id, path if state is DriveState.ONLINE else None, state))
    opened = make_drives(store.id, tuple(drives))
    await seal_left_open(MetadataCatalog(engine), RepairQueue(engine), opened, None, SystemClock().now_ms())
    return store, drives, applied


def _id(drive: FoundDrive) -> str:
    assert drive.identity is not None
    return drive.identity.drive


def _notes(found: list[FoundDrive], drives: list[OpenDrive]) -> list[str]:
    """What the operator should know."""
    notes = []
    for drive in found:
        if drive.state is DriveState.FOREIGN:
            reason = "belongs to another store or is a copy of another drive"
            notes.append(f"{drive.path} {reason if drive.identity else 'has an unreadable identity'}; it is not used")
        elif drive.state is DriveState.BLANK:
            notes.append(f"{drive.path} is empty and does not belong to the store; it is not used")
        elif drive.state is DriveState.MISSING:
            notes.append(f"{drive.path} is missing")
    missing = [drive.id for drive in drives if drive.state is not DriveState.ONLINE]
    if missing:
        notes.append(f"{len(missing)} of {len(drives)} drives are missing: {', '.join(missing)}")
    return notes


def open_engine(
    mirror_set: MirrorSet,
    places: Mapping[str, Path],
    online: Callable[[], list[Path]],
    journal: Journal | None = None,
    open_mirror: Callable[[str], Mirror] | None = None,
    shared: SharedEpoch | None = None,
) -> LmdbEngine:
    """The metadata engine on the mirrors of `mirror_set`; changes of the set are announced on what is `online`.

    Mirrors that cannot be opened are left out. Raises Unavailable when none can.
    """
    opened = []
    for name in mirror_set.members:
        with contextlib.suppress(lmdb.Error):
            if name in places:
                opened.append(Mirror(name, LmdbEnvironment(places[name] / METADATA)))
    if not opened:
        raise Unavailable("no drive with metadata is present")
    return LmdbEngine(
        opened, mirror_set, lambda changed: identities.announce_on(online(), changed), journal, open_mirror, shared
    )


def as_of_now(opened: Opened, places: Mapping[str, str]) -> Opened:
    """`opened` with the drives where they are now: `places` by id, or those of then when nothing is told."""
    if not places:
        return opened
    drives = []
    for name, text in places.items():
        state = identities.state_of(Path(text), opened.store.id, name)
        drives.append(OpenDrive(name, Path(text) if state is DriveState.ONLINE else None, state))
    return opened._replace(drives=tuple(drives))


def newest_set(opened: Opened) -> MirrorSet:
    """The set of mirrors as the drives announce it now: it may have changed since the server was started."""
    announced = identities.read_announced(opened.online)
    return announced if announced is not None and announced.epoch > opened.mirrors.epoch else opened.mirrors


def make_drives(store: str, drives: tuple[OpenDrive, ...]) -> dict[str, Drive]:
    """The drives of the store by id, for this process: those that are still where they were found."""
    made: dict[str, Drive] = {}
    for drive in drives:
        state = drive.state
        if drive.path is not None and state is DriveState.ONLINE:
            state = identities.state_of(drive.path, store, drive.id)
        made[drive.id] = AbsentDrive(drive.id, DriveState.MISSING if state is DriveState.ONLINE else state)
        if drive.path is not None and state is DriveState.ONLINE:
            with contextlib.suppress(OSError):  # it went in this very moment
                made[drive.id] = LocalDrive(drive.id, drive.path)
    return made


async def seal_left_open(
    catalog: MetadataCatalog, queue: RepairQueue, drives: Mapping[str, Drive], owner: str | None, now_ms: int
) -> int:
    """Seal the volumes that `owner` (None: anybody) left open when it died; how many there were.

    Which shard missed a write it may not have told any more, so all that was written to is queued to be verified.
    """
    sealed = 0
    for record in await catalog.all():
        if record.state == "open" and owner in (None, record.owner):
            length = max((_shard_size(drives, record, index) for index in range(record.layout.width)), default=0)
            changed = msgspec.structs.replace(
                record, state="sealed", length=length, generation=record.generation + 1, sealed_ms=now_ms
            )
            if length:
                await queue.put(record.id, tuple(range(record.layout.width)), "was open in a crash", now_ms)
            await catalog.update(changed)
            sealed += 1
    return sealed


def _shard_size(drives: Mapping[str, Drive], record: VolumeRecord, index: int) -> int:
    drive = drives.get(record.drives[index])
    if drive is None or drive.state is not DriveState.ONLINE:
        return 0
    return drive.size(shard_name(record.id, index)) or 0
