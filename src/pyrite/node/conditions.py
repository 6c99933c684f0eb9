"""Owns the condition of drives: what the processes of a server see of a drive, kept in its record for all to know.

A drive that fails writes is verified as a whole once it is back. One that is slow is worked around until small trials
are quick again, because what is worked around is hardly measured.
"""

import asyncio
import statistics
from collections import deque
from collections.abc import Callable

import structlog

from pyrite.blobs.drive import DriveState
from pyrite.blobs.local import LocalDrive
from pyrite.core.offload import Offload
from pyrite.core.pace import SLOW_MIN_S, WINDOW_S
from pyrite.node.registry import Condition, DriveRecord, change_drive
from pyrite.node.storeprocess import SLOW, StoreProcess
from pyrite.services.upkeep import Upkeep
from pyrite.telemetry.status import StatusBoard

TRIAL_EVERY_S = 3.0
_TRIALS = int(WINDOW_S / TRIAL_EVERY_S) + 1
"""So many trials in a row have to be quick: what made the drive slow is forgotten by then."""

_SEEN: dict[str, Condition] = {
    DriveState.FENCED.value: "failing",
    DriveState.READ_ONLY.value: "read-only",
    SLOW: "slow",
}


class Conditions:
    """Keeps the conditions in the records of the drives of one store."""

    def __init__(self, store: StoreProcess, board: StatusBoard, upkeep: Upkeep) -> None:
        self._store = store
        self._board = board
        self._upkeep = upkeep
        self._trials: dict[str, Trials] = {}
        self._log = structlog.get_logger(component="drives")

    async def step(self) -> None:
        """Compare what is seen with what is recorded."""
        seen = self._seen()
        for record in list(self._store.membership.records.values()):
            condition = seen.get(record.id, "")
            if record.condition == "slow" and condition == "" and not self._is_quick_again(record):
                condition = "slow"
            changes: dict[str, object] = {}
            if condition != record.condition:
                changes["condition"] = condition
                self._trials.pop(record.id, None)
                self._log.warning("drive_condition", drive=record.id, condition=condition or "good")
            if condition == "failing" and not record.suspect_ms:
                changes["suspect_ms"] = self._store.clock.now_ms()
            elif record.suspect_ms and condition != "failing" and await self._verify(record):
                changes["suspect_ms"] = 0
            if changes:
                await change_drive(self._store.engine, record.id, **changes)

    def _seen(self) -> dict[str, Condition]:
        """The worst that any process sees of each drive."""
        found: dict[str, Condition] = {}
        order = list(_SEEN.values())
        for status in self._board.read():
            for drive, state in status.drives.items():
                condition = _SEEN.get(state)
                if condition and (drive not in found or order.index(condition) < order.index(found[drive])):
                    found[drive] = condition
        return found

    async def _verify(self, record: DriveRecord) -> bool:
        """Have all that stands on a drive that failed and is back verified; whether it is back."""
        drive = self._store.drives.get(record.id)
        if drive is None or drive.state is not DriveState.ONLINE:
            return False
        await self._upkeep.verify_drive(record.id)
        return True

    def _is_quick_again(self, record: DriveRecord) -> bool:
        drive = self._store.drives.get(record.id)
        if not isinstance(drive, LocalDrive):
            return False
        if record.id not in self._trials:
            lane = self._store.volumes.workforce.lane(f"trial-{record.id}")
            self._trials[record.id] = Trials(drive, lane, self._store.clock.monotonic_s)
        return self._trials[record.id].step()


class Trials:
    """Tries a slow drive out, one small write and read at a time, without ever waiting for it."""

    def __init__(self, drive: LocalDrive, lane: Offload, now_s: Callable[[], float]) -> None:
        self._drive = drive
        self._lane = lane
        self._now_s = now_s
        self._began_s = -TRIAL_EVERY_S
        self._running: asyncio.Future[float] | None = None
        self._taken: deque[float] = deque(maxlen=_TRIALS)

    def step(self) -> bool:
        """Whether the drive was quick for long enough; starts the next trial when it is time for it."""
        if self._running is not None and self._running.done():
            running, self._running = self._running, None
            if running.exception() is None:
                self._taken.append(running.result())
            else:
                self._taken.clear()
        if self._running is None and self._now_s() - self._began_s >= TRIAL_EVERY_S:
            self._began_s = self._now_s()
            self._running = self._lane.start(self._drive.try_out)
        return len(self._taken) == _TRIALS and statistics.median(self._taken) < SLOW_MIN_S
