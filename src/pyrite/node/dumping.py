"""Owns dumps of the names onto the drives: with the journal behind the newest one, they outlive every database.

A dump is taken when the journal has grown as long as the last dump, so that what is written for it stays within a
constant of what was written anyway. What it makes superfluous is removed afterwards. Once in the period of scrub every
copy of what nobody appends to any more is read; where one is damaged, a new dump takes the place of all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import structlog

from pyrite.blobs.drive import Drive
from pyrite.blobs.drivelog import SEGMENT_BYTES, DriveLog, SegmentName, find_segments, read_entries, whole_bytes
from pyrite.core.clock import stamp_ms
from pyrite.core.errors import Unavailable
from pyrite.metadata.journal import DumpPiece, decode_entry, decode_piece, dump
from pyrite.node.storeprocess import JOURNAL, StoreProcess

DUMP = "dump"
CLOSED_AFTER_MS = 3_600_000
_SERVING = ("worker", "housekeeper")
_PART_OF_PERIOD = 0.5


class Dumper:
    """Takes dumps of one store."""

    def __init__(self, store: StoreProcess, period_s: float) -> None:
        self._store = store
        self._period_s = period_s
        self._examined_s = -period_s
        self._due = False
        self._looked = False
        self._log = structlog.get_logger(component="dumps")

    def ask(self) -> None:
        """Take one with the next step: the drives have changed, or the journal misses something."""
        self._due = True

    async def examine(self) -> bool:
        """Read every closed segment on every drive if it is time to; whether all are whole. Else a dump is due."""
        now_s = self._store.clock.monotonic_s()
        if now_s - self._examined_s < self._period_s * _PART_OF_PERIOD:
            return False
        self._examined_s = now_s
        damaged = await self._store.offload.run(self._find_damaged)
        if damaged:
            self._log.warning("log_damaged", copies=damaged)
            self.ask()
        return not damaged

    def _find_damaged(self) -> int:
        """How many copies are shorter than another one of their segment, or than their file."""
        drives, opened_ms = self._store.drives, self._store.opened.opened_ms
        segments = find_segments(drives, DUMP) | _closed(find_segments(drives, JOURNAL), opened_ms)
        damaged = 0
        for name, holders in segments.items():
            for drive in holders:
                try:
                    damaged += whole_bytes(name, drive) < (drive.size(name.text) or 0)
                except Unavailable:
                    damaged += 1
        return damaged

    async def step(self) -> bool:
        """Take a dump if one is due; whether it was."""
        return await self._store.offload.run(self._step)

    def _step(self) -> bool:
        drives = self._store.drives
        dumps, journal = find_segments(drives, DUMP), find_segments(drives, JOURNAL)
        if not self._due and newest_dump(dumps) is not None:
            longest = max(SEGMENT_BYTES, _bytes(dumps))
            if _bytes(_closed(journal, self._store.opened.opened_ms)) <= longest:
                return False
        self._due = False
        self._take(dumps, journal)
        return True

    def _take(self, dumps: Mapping[SegmentName, Sequence[Drive]], journal: Mapping[SegmentName, list[Drive]]) -> None:
        store = self._store
        owner = f"{store.hybrid.next():x}"
        log = DriveLog(
            DUMP, owner, store.drives, store.hybrid, lambda: store.volumes.drives_needed, store.volumes.workforce
        )
        sequence = rows = 0
        for piece in dump(store.engine.environment):
            log.append(piece, sync=False)
            head = decode_piece(piece)
            sequence, rows = head.sequence, head.total
        log.sync()
        made = newest_dump(find_segments(store.drives, DUMP))
        if made is None or made.segments[0][0].owner != owner:
            raise Unavailable("the dump of the names is not whole: a drive failed meanwhile")
        _unlink({name: drives for name, drives in dumps.items() if name.owner != owner})
        _unlink(superfluous(journal, sequence, store.clock.now_ms(), store.opened.opened_ms))
        self._log.info("names_dumped", rows=rows, sequence=sequence, written_bytes=log.appended_bytes)


def superfluous(
    journal: Mapping[SegmentName, Sequence[Drive]], sequence: int, now_ms: int, opened_ms: int
) -> dict[SegmentName, Sequence[Drive]]:
    """The closed segments of which every transaction is in the dump that began after `sequence`.

    What the server's processes began before it was opened at `opened_ms`, they do not append to.
    """
    by_owner: dict[str, list[SegmentName]] = {}
    for name in journal:
        by_owner.setdefault(name.owner, []).append(name)
    found: dict[SegmentName, Sequence[Drive]] = {}
    for owner, names in by_owner.items():
        names.sort(key=lambda name: name.stamp)
        for name, following in zip(names, [*names[1:], None], strict=True):
            if following is not None:
                first = next(read_entries(following, journal[following]), None)
                closed = first is not None and decode_entry(first).sequence <= sequence + 1
            else:
                serving = owner.startswith(_SERVING)
                old = stamp_ms(name.stamp) < (opened_ms if serving else now_ms - CLOSED_AFTER_MS)
                closed = old and _last(name, journal[name]) <= sequence
            if closed:
                found[name] = journal[name]
    return found


class Dump(NamedTuple):
    """A whole dump: its segments in order, the number of the transaction it began after, and how many rows it has."""

    segments: list[tuple[SegmentName, Sequence[Drive]]]
    sequence: int
    rows: int

    def pieces(self) -> Iterator[DumpPiece]:
        """What it consists of."""
        for name, drives in self.segments:
            yield from map(decode_piece, read_entries(name, drives))


def newest_dump(dumps: Mapping[SegmentName, Sequence[Drive]]) -> Dump | None:
    """The newest dump that is whole, or None when there is none."""
    for owner in sorted({name.owner for name in dumps}, key=lambda owner: int(owner, 16), reverse=True):
        found = Dump([(name, drives) for name, drives in dumps.items() if name.owner == owner], 0, 0)
        count, last = 0, None
        for last in found.pieces():
            count += len(last.rows)
        if last is not None and not last.rows and last.total == count:
            return found._replace(sequence=last.sequence, rows=count)
    return None


def _closed(journal: Mapping[SegmentName, Sequence[Drive]], opened_ms: int) -> dict[SegmentName, Sequence[Drive]]:
    """All but the newest segment of each owner, and that too if it is from before the server was opened."""
    newest = {name.owner: name for name in sorted(journal, key=lambda name: name.stamp)}
    return {
        name: drives
        for name, drives in journal.items()
        if newest[name.owner] != name or (name.owner.startswith(_SERVING) and stamp_ms(name.stamp) < opened_ms)
    }


def _last(name: SegmentName, drives: Sequence[Drive]) -> int:
    return max((decode_entry(stored).sequence for stored in read_entries(name, drives)), default=0)


def _bytes(segments: Mapping[SegmentName, Sequence[Drive]]) -> int:
    total = 0
    for name, drives in segments.items():
        try:
            total += drives[0].size(name.text) or 0
        except Unavailable:
            continue
    return total


def _unlink(segments: Mapping[SegmentName, Sequence[Drive]]) -> None:
    for name, drives in segments.items():
        for drive in drives:
            try:
                drive.unlink(name.text)
            except Unavailable:
                continue
