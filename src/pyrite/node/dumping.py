"""Owns dumps of the names onto the drives: with the journal behind the newest one, they outlive every database.

A dump is taken when the journal has grown as long as the last dump, so that what is written for it stays within a
constant of what was written anyway. What it makes superfluous is removed afterwards.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import structlog

from pyrite.blobs.drive import Drive
from pyrite.blobs.drivelog import SEGMENT_BYTES, DriveLog, SegmentName, find_segments, read_entries
from pyrite.core.clock import stamp_ms
from pyrite.core.errors import Unavailable
from pyrite.metadata.journal import DumpPiece, decode_entry, decode_piece, dump
from pyrite.node.storeprocess import JOURNAL, StoreProcess

DUMP = "dump"
CLOSED_AFTER_MS = 3_600_000
_SERVING = ("worker", "housekeeper")


class Dumper:
    """Takes dumps of one store."""

    def __init__(self, store: StoreProcess) -> None:
        self._store = store
        self._due = False
        self._looked = False
        self._log = structlog.get_logger(component="dumps")

    def ask(self) -> None:
        """Take one with the next step: the drives have changed, or the journal misses something."""
        self._due = True

    async def step(self) -> bool:
        """Take a dump if one is due; whether it was."""
        return await self._store.offload.run(self._step)

    def _step(self) -> bool:
        drives = self._store.drives
        dumps, journal = find_segments(drives, DUMP), find_segments(drives, JOURNAL)
        if not self._due and newest_dump(dumps) is not None:
            longest = max(SEGMENT_BYTES, _bytes(dumps))
            if _bytes(_closed(journal)) <= longest:
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
        _unlink({name: drives for name, drives in dumps.items() if name.owner != owner})
        _unlink(superfluous(journal, sequence, store.clock.now_ms()))
        self._log.info("names_dumped", rows=rows, sequence=sequence, written_bytes=log.appended_bytes)


def superfluous(
    journal: Mapping[SegmentName, Sequence[Drive]], sequence: int, now_ms: int
) -> dict[SegmentName, Sequence[Drive]]:
    """The closed segments of which every transaction is in the dump that began after `sequence`."""
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
                old = now_ms - stamp_ms(name.stamp) > CLOSED_AFTER_MS
                closed = old and not owner.startswith(_SERVING) and _last(name, journal[name]) <= sequence
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


def _closed(journal: Mapping[SegmentName, Sequence[Drive]]) -> dict[SegmentName, Sequence[Drive]]:
    """All but the newest segment of each owner."""
    newest = {name.owner: name for name in sorted(journal, key=lambda name: name.stamp)}
    return {name: drives for name, drives in journal.items() if newest[name.owner] != name}


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
