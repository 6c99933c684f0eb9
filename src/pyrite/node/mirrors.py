"""Owns keeping as many good copies of the metadata as there should be while the store runs.

A mirror that was lost with its drive is made again on another one: the database is copied while writers go on, and
what they did in the meantime is taken from the journal while they wait for a moment. Once in the period of scrub all
mirrors are read and compared, in processes apart; one that is damaged is given up, and made again like a lost one.
"""

import shutil
from pathlib import Path

import lmdb
import structlog

from pyrite.blobs.drivelog import find_segments, read_entries
from pyrite.core.errors import Unavailable
from pyrite.metadata.examining import Examined, tell_damaged
from pyrite.metadata.journal import Entry, decode_entry, order
from pyrite.metadata.opening import MIRRORS_MAX, copy_environment
from pyrite.node.drives import METADATA
from pyrite.node.examining import Examiner
from pyrite.node.storeprocess import JOURNAL, StoreProcess
from pyrite.telemetry.status import StatusBoard

_PART_OF_PERIOD = 0.5


class MirrorKeeper:
    """Makes missing mirrors of one store."""

    def __init__(self, store: StoreProcess, board: StatusBoard, period_s: float) -> None:
        self._store = store
        self._board = board
        self._period_s = period_s
        self._examined_s = store.clock.monotonic_s() if store.opened.examined else -period_s
        self._log = structlog.get_logger(component="mirrors")

    async def step(self) -> bool:
        """Make one mirror if one is missing; whether it was made."""
        store = self._store
        current = store.engine.mirrors
        spare = [
            (drive_id, path)
            for drive_id, path in store.membership.places().items()
            if drive_id not in current and store.drives.takes_data(drive_id) and not store.drives.is_slow(drive_id)
        ]
        if len(current) >= MIRRORS_MAX or not spare:
            return False
        name, path = spare[0]
        target = path / METADATA
        try:
            await store.offload.run(self._copy, target)
        except (lmdb.Error, OSError) as error:
            raise Unavailable(f"no mirror of the names can be made at {target}: {error}") from error
        self._board.absolve(name)
        try:
            made = await store.engine.enlist(name, target, self._catch_up)
        except (lmdb.Error, OSError) as error:  # the drive went in this very moment
            raise Unavailable(f"the mirror at {target} cannot be taken in: {error}") from error
        if made:
            self._log.info("mirror_made", drive=name)
        else:
            await store.offload.run(shutil.rmtree, target, True)
        return made

    async def examine(self) -> bool:
        """Read and compare all mirrors if it is time to; whether they are all good. Raises Unavailable.

        Where none is good all stay: what is left of them is still served.
        """
        now_s = self._store.clock.monotonic_s()
        if now_s - self._examined_s < self._period_s * _PART_OF_PERIOD:
            return False
        self._examined_s = now_s
        found = await self._look_at_all()
        damaged = tell_damaged(found)
        for name in damaged:
            self._log.error("mirror_damaged", drive=name)
            if len(damaged) < len(found):
                self._board.condemn(name)
                self._store.engine.condemn(name)
        await self._store.engine.follow()
        return not damaged

    async def _look_at_all(self) -> dict[str, Examined | None]:
        """What each mirror holds, all at one moment."""
        places = self._store.membership.places()
        names = [name for name in self._store.engine.mirrors if name in places]
        examiners = [await Examiner.start(name, places[name] / METADATA) for name in names]
        try:
            opened = [await examiner.ready() for examiner in examiners]
            able = [examiner for examiner, good in zip(examiners, opened, strict=True) if good]
            async with self._store.engine.held():
                for examiner in able:
                    await examiner.begin()
            return dict.fromkeys(names) | {one.name: await one.result() for one in able}
        except lmdb.Error as error:
            raise Unavailable(f"the mirrors of the names could not be held still: {error}") from error
        finally:
            for examiner in examiners:
                examiner.kill()

    def _copy(self, target: Path) -> None:
        copy_environment(self._store.engine.environment, target)

    def _catch_up(self, after: int) -> list[Entry]:
        """The journal behind transaction `after`."""
        segments = find_segments(self._store.drives, JOURNAL)
        stored = (entry for name, drives in segments.items() for entry in read_entries(name, drives))
        return order(map(decode_entry, stored), after)
