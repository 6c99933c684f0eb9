"""Owns keeping as many copies of the metadata as there should be while the store runs.

A mirror that was lost with its drive is made again on another one: the database is copied while writers go on, and
what they did in the meantime is taken from the journal while they wait for a moment.
"""

import shutil
from pathlib import Path

import lmdb
import structlog

from pyrite.blobs.drivelog import find_segments, read_entries
from pyrite.core.errors import Unavailable
from pyrite.metadata.journal import Entry, decode_entry, order
from pyrite.metadata.opening import MIRRORS_MAX, copy_environment
from pyrite.node.drives import METADATA
from pyrite.node.storeprocess import JOURNAL, StoreProcess


class MirrorKeeper:
    """Makes missing mirrors of one store."""

    def __init__(self, store: StoreProcess) -> None:
        self._store = store
        self._log = structlog.get_logger(component="mirrors")

    async def step(self) -> bool:
        """Make one mirror if one is missing; whether it was made."""
        store = self._store
        current = store.engine.mirrors
        spare = [
            (drive_id, path)
            for drive_id, path in store.membership.places().items()
            if drive_id not in current and store.drives.takes_data(drive_id)
        ]
        if len(current) >= MIRRORS_MAX or not spare:
            return False
        name, path = spare[0]
        target = path / METADATA
        try:
            await store.offload.run(self._copy, target)
        except (lmdb.Error, OSError) as error:
            raise Unavailable(f"no mirror of the names can be made at {target}: {error}") from error
        made = await store.engine.enlist(name, target, self._catch_up)
        if made:
            self._log.info("mirror_made", drive=name)
        else:
            await store.offload.run(shutil.rmtree, target, True)
        return made

    def _copy(self, target: Path) -> None:
        copy_environment(self._store.engine.environment, target)

    def _catch_up(self, after: int) -> list[Entry]:
        """The journal behind transaction `after`."""
        segments = find_segments(self._store.drives, JOURNAL)
        stored = (entry for name, drives in segments.items() for entry in read_entries(name, drives))
        return order(map(decode_entry, stored), after)
