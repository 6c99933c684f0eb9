"""Owns the LMDB engine: reads from the first mirror, commits in groups to all of them.

See docs/formats/metadata.md; `metadata/mirroring.py` has the protocol between the mirrors.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from threading import Event

import lmdb

from pyrite.core.groupcommit import GroupCommit
from pyrite.core.offload import ThreadOffload
from pyrite.core.pace import Pace
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet
from pyrite.metadata.epoch import SharedEpoch
from pyrite.metadata.journal import Journal
from pyrite.metadata.kv import Batch, Entry, MetadataCorrupt, Row
from pyrite.metadata.mirror import Mirror, MirrorBehind
from pyrite.metadata.mirroring import Announce, CatchUp, MirroredCommitter, OpenMirror
from pyrite.metadata.priors import apply_after_priors

HOLD_MAX_S = 2.0
"""The longest that all writers wait so that the mirrors can be looked at in one state."""


_LOOKS_BEFORE_CLOSING = 30


class LmdbEngine:
    """Metadata on one to three drives of this machine; several processes may open the same drives."""

    def __init__(
        self,
        mirrors: Sequence[Mirror],
        announced: MirrorSet,
        announce: Announce,
        journal: Journal | None = None,
        open_mirror: OpenMirror | None = None,
        shared: SharedEpoch | None = None,
    ) -> None:
        self._shared = shared if shared is not None else SharedEpoch()
        self._opened = list(mirrors)
        self._given_up: dict[Mirror, int] = {}
        self._journal = journal
        self._open_mirror = open_mirror
        self._committer = MirroredCommitter(mirrors, announced, self._announcing(announce), journal, self._open)
        self._offload = ThreadOffload(1, "metadata")
        self._group: GroupCommit[Batch] = GroupCommit(self._flush, self._offload)

    def _announcing(self, announce: Announce) -> Announce:
        def announce_to_all(mirrors: MirrorSet) -> None:
            announce(mirrors)
            self._shared.raise_to(mirrors.epoch)

        return announce_to_all

    async def follow(self) -> None:
        """Take note of mirrors that other processes, or this one's `condemn`, have given up."""
        await self._offload.run(self._committer.follow)
        self._close_given_up()

    def _close_given_up(self) -> None:
        """Close mirrors that have been out of the set for a while: each of them takes much of the address space.

        Reads are made on this thread and end before they return; commits are over when `follow` of the committer is.
        """
        for mirror in [one for one in self._opened if one not in self._committer.mirrors]:
            looks = self._given_up[mirror] = self._given_up.get(mirror, 0) + 1
            if looks >= _LOOKS_BEFORE_CLOSING and mirror.close_when_idle():
                self._opened.remove(mirror)
                del self._given_up[mirror]

    def condemn(self, drive: str) -> None:
        """The drive called `drive` is gone: go on without the mirror on it, if there is another."""
        self._committer.condemn(drive)

    async def get(self, key: bytes) -> Entry | None:
        if self._shared.value > self._committer.epoch:
            await self.follow()  # the first mirror may not be written any more
        try:
            return self._committer.mirrors[0].environment.get(key)
        except (MetadataCorrupt, lmdb.Error):
            return self._get_elsewhere(key)

    def _get_elsewhere(self, key: bytes) -> Entry | None:
        for mirror in self._committer.mirrors[1:]:
            try:
                return mirror.environment.get(key)
            except (MetadataCorrupt, lmdb.Error):
                continue
        raise MetadataCorrupt(f"no mirror has a good value for {key!r}")

    async def scan(self, start: bytes, end: bytes, limit: int, reverse: bool = False) -> list[Row]:
        if self._shared.value > self._committer.epoch:
            await self.follow()
        for mirror in list(self._committer.mirrors):
            try:
                return mirror.environment.scan(start, end, limit, reverse)
            except (MetadataCorrupt, lmdb.Error):
                continue
        raise MetadataCorrupt(f"no mirror can be scanned from {start!r}")

    def commit(self, batch: Batch) -> "asyncio.Future[None]":
        return self._group.submit(batch)

    def _flush(self, batches: list[Batch]) -> list[BaseException | None]:
        return apply_after_priors(batches, self._committer.flush)

    async def close(self) -> None:
        self._offload.close()
        if self._journal is not None:
            self._journal.close()
        for mirror in self._opened:
            mirror.close()

    def _open(self, name: str) -> Mirror:
        if self._open_mirror is None:
            raise OSError(f"the mirror on drive {name} cannot be opened here")
        mirror = self._open_mirror(name)
        self._opened.append(mirror)
        return mirror

    @property
    def mirrors(self) -> list[str]:
        """The drives that hold the metadata, as this process knows them."""
        return [mirror.name for mirror in self._committer.mirrors]

    @property
    def paces(self) -> dict[str, Pace]:
        """How quickly the drives that hold the metadata commit it."""
        return {mirror.name: mirror.pace for mirror in self._committer.mirrors}

    @property
    def environment(self) -> LmdbEnvironment:
        """The database that is read."""
        return self._committer.mirrors[0].environment

    @property
    def journal_failures(self) -> int:
        """How many transactions of this process are not in the journal."""
        return self._committer.journal_failures

    async def enlist(self, name: str, path: Path, catch_up: CatchUp) -> bool:
        """Make the empty directory `path`, on the drive called `name`, hold the metadata too; False when it failed."""
        return await self._offload.run(self._enlist, name, path, catch_up)

    def _enlist(self, name: str, path: Path, catch_up: CatchUp) -> bool:
        copy = LmdbEnvironment(path)
        taken_in = False
        try:
            with contextlib.suppress(MirrorBehind):  # another process exchanges mirrors now: the next attempt follows
                taken_in = self._committer.enlist(name, copy, catch_up)
        finally:
            if taken_in:
                self._opened.append(self._committer.mirrors[-1])
            else:
                copy.close()
        return taken_in

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """While this is open, though for HOLD_MAX_S at most, no process commits anything. Raises lmdb.Error."""
        loop, release = asyncio.get_running_loop(), Event()
        begun: asyncio.Future[None] = loop.create_future()

        def hold() -> None:
            txn = self._committer.mirrors[0].environment.begin()
            try:
                loop.call_soon_threadsafe(begun.set_result, None)
                release.wait(HOLD_MAX_S)
            finally:
                txn.abort()

        holding = self._offload.start(hold)
        try:
            await asyncio.wait((begun, holding), return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            release.set()
            await holding

    def reap_readers(self) -> int:
        """Free the reader slots that killed processes left, on every mirror; how many there were."""
        return sum(mirror.environment.reap_readers() for mirror in self._committer.mirrors)
