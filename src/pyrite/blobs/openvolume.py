"""Owns an open volume: handing out ranges of it, writing to its shards, making them durable.

One worker owns an open volume. Offsets are handed out once and never again, so that a volume and an offset
name the same bytes for ever.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from pyrite.blobs.drive import Buffer, Drive, DriveError, DriveFull, DriveState
from pyrite.blobs.layout import Extent
from pyrite.blobs.volume import VolumeRecord, shard_name
from pyrite.core.errors import OutOfSpace, Unavailable
from pyrite.core.groupcommit import GroupCommit
from pyrite.core.offload import LATE, Workforce


class Append(NamedTuple):
    """A write to all shards alike at `offset`, or (without buffers) only the wish for durability."""

    offset: int
    buffers: Sequence[Buffer]


NOTHING = Append(0, ())


class OpenVolume:
    """The volume of `record` on `drives`, by shard; None where a drive is missing."""

    def __init__(
        self,
        record: VolumeRecord,
        drives: Sequence[Drive | None],
        capacity_bytes: int,
        workforce: Workforce,
    ) -> None:
        self.record = record
        self.drives = list(drives)
        self._capacity_bytes = capacity_bytes
        self._workforce = workforce
        self._next = 0
        self.live_bytes = 0
        self.failed: set[int] = {index for index, drive in enumerate(drives) if drive is None}
        self.full = False
        self._group: GroupCommit[Append] = GroupCommit(
            self.flush, workforce.lane(f"flush-{record.purpose}"), max_items=256
        )

    @property
    def usable(self) -> bool:
        """Whether new ranges may be taken: no shard has failed, no drive is full."""
        if self.failed or self.full or self._next >= self._capacity_bytes:
            return False
        return all(drive is not None and drive.state is DriveState.ONLINE for drive in self.drives)

    @property
    def length(self) -> int:
        """Bytes of each shard that have been handed out."""
        return self._next

    def reserve(self, length: int) -> Extent:
        """A range for up to `length` logical bytes: as many as fit, in whole stripes if not all."""
        layout = self.record.layout
        offset = layout.align(self._next, length)
        stripes = (self._capacity_bytes - offset) // layout.span(layout.stripe_bytes)
        granted = min(length, max(stripes, 1) * layout.stripe_bytes)
        self._next = offset + layout.span(granted)
        return Extent(self.record.id, offset, granted)

    def give_back(self, extent: Extent, used: int) -> None:
        """Return what a writer reserved and did not use, when nothing was reserved behind it."""
        layout = self.record.layout
        if self._next == extent.offset + layout.span(extent.length):
            self._next = extent.offset + (layout.span(used) if used else 0)

    def write_shards(self, offset: int, shards: Sequence[Sequence[Buffer]]) -> None:
        """Write `shards[i]` to shard i at `offset`. Blocks. Raises when fewer than the quorum are good."""
        self._on_good_shards(lambda index, drive, name: drive.write(name, offset, shards[index]))

    def commit(self, append: Append = NOTHING) -> "asyncio.Future[None]":
        """Write `append` to every shard and make all that was written before durable."""
        return self._group.submit(append)

    def flush(self, appends: list[Append]) -> list[BaseException | None]:
        """Write `appends` to every shard and make them durable, with one sync for all; an outcome each. Blocks."""
        runs = _runs(appends)
        try:
            self._on_good_shards(lambda _, drive, name: _write_and_sync(drive, name, runs))
        except Unavailable as error:
            return [error] * len(appends)
        return [None] * len(appends)

    def _on_good_shards(self, work: Callable[[int, Drive, str], None]) -> None:
        """Do `work` on every shard that has not failed, in parallel; note those that fail, or are much too slow."""
        good = [
            (index, drive) for index, drive in enumerate(self.drives) if drive is not None and index not in self.failed
        ]
        jobs = [partial(self._attempt, work, index, drive, shard_name(self.record.id, index)) for index, drive in good]
        quorum = self.record.layout.write_quorum
        outcomes = self._workforce.most(jobs, quorum, lambda error: error is None)
        self.failed |= {index for (index, _), outcome in zip(good, outcomes, strict=True) if outcome is LATE}
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if sum(outcome is None for outcome in outcomes) < quorum:
            space = [error for error in errors if isinstance(error, OutOfSpace)]
            raise (space or errors or [DriveError("too few drives take a write in time")])[0]

    def _attempt(
        self, work: Callable[[int, Drive, str], None], index: int, drive: Drive, name: str
    ) -> BaseException | None:
        try:
            work(index, drive, name)
        except DriveFull as error:
            self.full = True
            self.failed.add(index)
            return error
        except Unavailable as error:
            self.failed.add(index)
            return error
        return None


def _runs(appends: list[Append]) -> list[tuple[int, list[Buffer]]]:
    """Neighbouring appends joined, so that each run is one vectored write."""
    runs: list[tuple[int, list[Buffer]]] = []
    end = -1
    for append in appends:
        if not append.buffers:
            continue
        if append.offset != end:
            runs.append((append.offset, []))
            end = append.offset
        runs[-1][1].extend(append.buffers)
        end += sum(len(buffer) for buffer in append.buffers)
    return runs


def _write_and_sync(drive: Drive, name: str, runs: list[tuple[int, list[Buffer]]]) -> None:
    for offset, buffers in runs:
        drive.write(name, offset, buffers)
    drive.sync(name)
