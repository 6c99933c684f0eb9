"""Owns following the store's drives while a process runs: drives that join, leave, vanish and come back."""

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


class Membership:
    """Keeps a process's set of drives as the store's records say. `hold` locks a drive for this server."""

    def __init__(
        self, engine: Engine, store: str, drives: DriveSet, volumes: Volumes, hold: Callable[[Path], None] | None = None
    ) -> None:
        self._engine = engine
        self._store = store
        self._drives = drives
        self._volumes = volumes
        self._hold = hold
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
        changed |= self._look_for_absent()
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

    def _look_for_absent(self) -> bool:
        """Open drives that are where they belong again; never one that is another's or blank."""
        found = False
        for record in self.records.values():
            drive = self._drives[record.id]
            if drive.state in (DriveState.ONLINE, DriveState.FENCED, DriveState.READ_ONLY):
                continue
            path = drive.path if isinstance(drive, LocalDrive) else Path(record.path)
            state = identities.state_of(path, self._store, record.id)
            if state is not DriveState.ONLINE:
                if state is not drive.state:
                    self._log.warning("drive_not_usable", drive=record.id, path=str(path), state=state.value)
                    self._drives.put(AbsentDrive(record.id, state))
                continue
            try:
                if self._hold is not None and record.id not in self._held:
                    self._hold(path)
                    self._held.add(record.id)
                self._drives.put(LocalDrive(record.id, path))
            except (PyriteError, OSError) as error:
                self._log.error("drive_not_opened", drive=record.id, path=str(path), reason=str(error))
                continue
            self._log.info("drive_online", drive=record.id, path=str(path))
            found = True
        return found
