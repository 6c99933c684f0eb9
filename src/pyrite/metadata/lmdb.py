"""Owns the LMDB engine: reads from the first mirror, commits in groups to all of them.

See docs/formats/metadata.md; `metadata/mirroring.py` has the protocol between the mirrors.
"""

import asyncio
from collections.abc import Sequence

import lmdb

from pyrite.core.groupcommit import GroupCommit
from pyrite.core.offload import ThreadOffload
from pyrite.metadata.kv import Batch, Entry, MetadataCorrupt, Row
from pyrite.metadata.mirror import Mirror
from pyrite.metadata.mirroring import Announce, MirroredCommitter
from pyrite.metadata.priors import apply_after_priors


class LmdbEngine:
    """Metadata on one to three drives of this machine; several processes may open the same drives."""

    def __init__(self, mirrors: Sequence[Mirror], epoch: int, announce: Announce) -> None:
        self._all = list(mirrors)
        self._committer = MirroredCommitter(mirrors, epoch, announce)
        self._offload = ThreadOffload(1, "metadata")
        self._group: GroupCommit[Batch] = GroupCommit(self._flush, self._offload)

    def condemn(self, drive: str) -> None:
        """The drive called `drive` is gone: go on without the mirror on it, if there is another."""
        self._committer.condemn(drive)

    async def get(self, key: bytes) -> Entry | None:
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
        for mirror in self._all:
            mirror.close()

    def reap_readers(self) -> int:
        """Free the reader slots that killed processes left, on every mirror; how many there were."""
        return sum(mirror.environment.reap_readers() for mirror in self._committer.mirrors)
