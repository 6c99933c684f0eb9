"""Owns following the store's drives while a process runs: drives that join, leave, vanish and come back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from pyrite.blobs.drive import AbsentDrive, DriveState
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.local import LocalDrive
from pyrite.blobs.volumes import Volumes
from pyrite.core.errors import PyriteError
from pyrite.metadata.keyspaces import PLACEMENT
from pyrite.metadata.kv import Engine
from pyrite.node import drives as identities
from pyrite.node.registry import DriveRecord, load_drives

LOOK_MAX_S = 1.0
"""How long a look at the place of a drive that is away is waited for."""


class Membership:
    """Keeps a process's set of drives as the store's records say. `hold` locks a drive for this server."""

    def __init__(
        self,
        engine: Engine,
        store: str,
        drives: DriveSet,
        volumes: Volumes,
        hold: Callable[[Path], None] | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._drives = drives
        self._volumes = volumes
        self._hold = hold
        self._looks: dict[str, asyncio.Future[LocalDrive | AbsentDrive]] = {}
        self._held = {drive_id for drive_id, drive in drives.items() if drive.state is DriveState.ONLINE}
        self._version = -1
        self.records: dict[str, DriveRecord] = {}
        self._log = structlog.get_logger(component="drives")

    async def follow(self) -> bool:
        """Take note of what has changed; whether anything has."""
        entry = await self._engine.get(PLACEMENT)
        version = entry.version if entry is not None else 0
        changed = version != self._version
        if changed:
            await self._load()
            self._version = version
        changed |= await self._look_for_absent()
        if changed:
            self._volumes.forget_all()
        return changed

    def places(self) -> dict[str, Path]:
        """Where the drives are that can be used, by id."""
        usable = [drive for drive in self._drives.values() if drive.state is DriveState.ONLINE]
        return {drive.id: drive.path for drive in usable if isinstance(drive, LocalDrive)}

    def whereabouts(self) -> dict[str, str]:
        """Where every drive of the store is, or was last seen, by id; empty until the records are loaded."""
        seen = {record.id: record.path for record in self.records.values()}
        return seen | {name: str(path) for name, path in self.places().items() if name in seen}

    async def _load(self) -> None:
        self.records = {record.id: record for record in await load_drives(self._engine)}
        for drive_id in set(self._drives) - self.records.keys():
            self._log.info("drive_left", drive=drive_id)
            self._drives.drop(drive_id)
        for record in self.records.values():
            if record.id not in self._drives:
                self._drives.put(AbsentDrive(record.id, DriveState.MISSING))
            self._drives.describe(record.id, record.role == "active", record.domain, record.condition == "slow")

    async def _look_for_absent(self) -> bool:
        """Open drives that are where they belong again; never one that is another's or blank."""
        found = False
        for record in list(self.records.values()):
            drive = self._drives[record.id]
            if drive.state in (DriveState.ONLINE, DriveState.FENCED, DriveState.READ_ONLY):
                continue
            path = drive.path if isinstance(drive, LocalDrive) else Path(record.path)
            try:
                opened = await self._look(record.id, path)
            except (PyriteError, OSError) as error:
                self._log.error("drive_not_opened", drive=record.id, path=str(path), reason=str(error))
                continue
            if isinstance(opened, LocalDrive):
                self._log.info("drive_online", drive=record.id, path=str(path))
                found = True
            elif opened.state is drive.state:
                continue
            else:
                self._log.warning("drive_not_usable", drive=record.id, path=str(path), state=opened.state.value)
            self._drives.put(opened)
        return found

    async def _look(self, drive_id: str, path: Path) -> LocalDrive | AbsentDrive:
        """What stands at the place of a drive. A look that hangs is waited for by later ones, never by requests."""
        if self._looks.get(drive_id) is None:
            lane = self._volumes.workforce.lane(f"look {drive_id}")
            self._looks[drive_id] = lane.start(self._open, drive_id, path)
        done, _ = await asyncio.wait((self._looks[drive_id],), timeout=LOOK_MAX_S)
        if not done:
            return AbsentDrive(drive_id, DriveState.MISSING)
        return self._looks.pop(drive_id).result()

    def _open(self, drive_id: str, path: Path) -> LocalDrive | AbsentDrive:
        """Open a drive that is where it belongs. Blocks. Raises PyriteError or OSError."""
        state = identities.state_of(path, self._store, drive_id)
        if state is not DriveState.ONLINE:
            return AbsentDrive(drive_id, state)
        if self._hold is not None and drive_id not in self._held:
            self._hold(path)
            self._held.add(drive_id)
        return LocalDrive(drive_id, path)
