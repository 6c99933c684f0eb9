"""Owns looking at the fragments of a volume and making missing ones again: what scrub, repair and moving share.

Everything here blocks. It works on runs: neighbouring stripes of live extents, a few MiB of each shard, so that
drives read and write sequentially.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from pyrite.blobs.buffers import Scratch
from pyrite.blobs.coding import Coders
from pyrite.blobs.drive import Buffer, Drive, DriveError
from pyrite.blobs.fragment import KIND_DATA, header, verify
from pyrite.blobs.layout import HEADER_BYTES, Extent, Layout
from pyrite.blobs.volume import VolumeRecord, shard_name
from pyrite.core.errors import Unavailable
from pyrite.core.offload import Workforce
from pyrite.core.units import KIB, MIB

RUN_BYTES = 2 * MIB
STRETCH_RUNS = 16
"""Runs that are made durable and verified together."""
_GAP_BYTES = 64 * KIB  # dead bytes between two stripes that are read rather than skipped


class Slot(NamedTuple):
    """Where one stripe stands in every shard, and the bytes of each of its fragments."""

    offset: int
    payload: int

    @property
    def end(self) -> int:
        """Behind the last byte of the fragment."""
        return self.offset + HEADER_BYTES + self.payload


class Fault(NamedTuple):
    """A fragment that is missing or wrong."""

    shard: int
    offset: int


class Findings:
    """What a look at a volume came to. `lost` are stripes with fewer good fragments than are needed."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.written_bytes = 0
        self.stripes = 0
        self.faults: list[Fault] = []
        self.lost: list[Slot] = []

    def add(self, more: "Findings") -> None:
        """Take in what was found elsewhere in the volume."""
        self.read_bytes += more.read_bytes
        self.written_bytes += more.written_bytes
        self.stripes += more.stripes
        self.faults += more.faults
        self.lost += more.lost


def slots(layout: Layout, extents: Iterable[Extent]) -> Iterator[Slot]:
    """The stripes of `extents` in order."""
    for extent in extents:
        for stripe in layout.stripes(extent, 0, extent.length):
            yield Slot(stripe.shard_offset, stripe.payload)


def runs(layout: Layout, extents: Sequence[Extent], run_bytes: int = RUN_BYTES) -> Iterator[list[Slot]]:
    """Neighbouring stripes of `extents`, which are sorted by offset, about `run_bytes` of each shard."""
    return _joined(slots(layout, extents), run_bytes)


def stretches(layout: Layout, extents: Sequence[Extent]) -> Generator[list[list[Slot]], None, None]:
    """The runs of `extents`, up to STRETCH_RUNS of them at a time."""
    every = runs(layout, extents)
    while stretch := list(islice(every, STRETCH_RUNS)):
        yield stretch


class Mender:
    """Looks at volumes on `drives` and makes fragments again."""

    def __init__(self, drives: Mapping[str, Drive], workforce: Workforce) -> None:
        self._drives = drives
        self._workforce = workforce
        self._coders = Coders()

    def inspect(self, record: VolumeRecord, run: Sequence[Slot], findings: Findings, scratch: Scratch) -> None:
        """Read and verify every fragment of `run` on every drive that can be read; note what is wrong."""
        scratch.reset()
        shards = [shard for shard in range(record.layout.width) if self._readable(record, shard)]
        found = self._read(record, run, shards, findings, scratch)
        for slot in run:
            good = 0
            for shard in shards:
                if found[shard].get(slot.offset) is not None:
                    good += 1
                elif shard not in record.degraded:
                    findings.faults.append(Fault(shard, slot.offset))
            if good < record.layout.data:
                findings.lost.append(slot)
        findings.stripes += len(run)

    def restore(
        self, record: VolumeRecord, stretch: Sequence[Sequence[Slot]], targets: Mapping[int, Drive]
    ) -> Findings:
        """Have the shards of `targets` hold good fragments of `stretch` on their drives, durable and verified.

        A fragment that is there and good is left as it is, or copied when its shard moves. The faults that are
        returned did not verify after they were written. Raises DriveFull or DriveError when a target fails.
        """
        findings, scratch, written = Findings(), Scratch(), dict[int, list[Slot]]()
        for run in stretch:
            scratch.reset()
            for shard, more in self._mend(record, run, targets, findings, scratch).items():
                written.setdefault(shard, []).extend(more)
        jobs = [partial(self._settle, record, shard, targets[shard], run) for shard, run in written.items()]
        for faults in self._workforce.together(jobs) if jobs else []:
            findings.faults += faults
        return findings

    def _mend(
        self,
        record: VolumeRecord,
        run: Sequence[Slot],
        targets: Mapping[int, Drive],
        findings: Findings,
        scratch: Scratch,
    ) -> dict[int, list[Slot]]:
        """Write what is missing of `run`, not yet synced; by shard, what was written."""
        there = [shard for shard in targets if self._readable(record, shard)]
        found = self._read(record, run, there, findings, scratch)
        missing: dict[Slot, list[int]] = {}
        for slot in run:
            gone = [shard for shard in targets if found.get(shard, {}).get(slot.offset) is None]
            if gone:
                missing[slot] = gone
        made = self._make(record, missing, found, findings, scratch) if missing else {}
        findings.stripes += len(run)
        return self._write(record, run, targets, found, made, findings)

    def _settle(self, record: VolumeRecord, shard: int, drive: Drive, written: Sequence[Slot]) -> list[Fault]:
        name = shard_name(record.id, shard)
        drive.sync(name)
        faults, scratch = list[Fault](), Scratch()
        for run in _joined(written):
            scratch.reset()
            good = _read_run(drive, record, shard, run, scratch)
            faults += [Fault(shard, slot.offset) for slot in run if good.get(slot.offset) is None]
        return faults

    def _readable(self, record: VolumeRecord, shard: int) -> bool:
        drive = self._drives.get(record.drives[shard])
        return drive is not None and drive.readable

    def _read(
        self, record: VolumeRecord, run: Sequence[Slot], shards: Sequence[int], findings: Findings, scratch: Scratch
    ) -> dict[int, dict[int, memoryview | None]]:
        """The good fragments of `run` (header and payload) by shard and offset."""
        if not shards:
            return {}
        jobs: list[Callable[[], dict[int, memoryview | None]]] = [
            partial(_read_run, self._drives[record.drives[shard]], record, shard, run, scratch) for shard in shards
        ]
        findings.read_bytes += len(shards) * (run[-1].end - run[0].offset)
        return dict(zip(shards, self._workforce.together(jobs), strict=True))

    def _make(
        self,
        record: VolumeRecord,
        missing: Mapping[Slot, list[int]],
        found: dict[int, dict[int, memoryview | None]],
        findings: Findings,
        scratch: Scratch,
    ) -> dict[int, dict[int, memoryview]]:
        """The payloads that are missing, from the good fragments of other shards, by shard and offset."""
        needed = list(missing)
        others = [shard for shard in range(record.layout.width) if self._readable(record, shard)]
        others = [shard for shard in others if shard not in found]
        while others and any(_count(found, slot) < record.layout.data for slot in needed):
            most = max(record.layout.data - _count(found, slot) for slot in needed)
            batch, others = others[:most], others[most:]
            for run in _joined(needed):
                for shard, more in self._read(record, run, batch, findings, scratch).items():
                    found.setdefault(shard, {}).update(more)
        made: dict[int, dict[int, memoryview]] = {}
        for slot, gone in missing.items():
            stored = {shard: by_offset.get(slot.offset) for shard, by_offset in found.items()}
            good = {shard: fragment[HEADER_BYTES:] for shard, fragment in stored.items() if fragment is not None}
            if len(good) < record.layout.data:
                findings.lost.append(slot)
                continue
            for shard, payload in self._rebuild(record.layout, slot, good, gone).items():
                made.setdefault(shard, {})[slot.offset] = payload
        return made

    def _rebuild(
        self, layout: Layout, slot: Slot, good: Mapping[int, memoryview], gone: list[int]
    ) -> Mapping[int, memoryview]:
        if layout.data == 1:
            return dict.fromkeys(gone, next(iter(good.values())))
        return self._coders.get(layout.data, layout.parity).rebuild(good, slot.payload, gone)

    def _write(
        self,
        record: VolumeRecord,
        run: Sequence[Slot],
        targets: Mapping[int, Drive],
        found: Mapping[int, Mapping[int, memoryview | None]],
        made: Mapping[int, Mapping[int, memoryview]],
        findings: Findings,
    ) -> dict[int, list[Slot]]:
        written: dict[int, list[Slot]] = {}
        jobs = []
        for shard, drive in targets.items():
            moves = drive.id != record.drives[shard]
            pieces: list[tuple[Slot, list[Buffer]]] = []
            for slot in run:
                stored = found.get(shard, {}).get(slot.offset)
                if stored is not None:
                    if moves:
                        pieces.append((slot, [stored]))
                    continue
                payload = made.get(shard, {}).get(slot.offset)
                if payload is not None:
                    index = record.layout.index_of(shard)
                    pieces.append((slot, [header(KIND_DATA, record.id, index, slot.offset, payload), payload]))
            if pieces:
                written[shard] = [slot for slot, _ in pieces]
                findings.written_bytes += sum(HEADER_BYTES + slot.payload for slot, _ in pieces)
                jobs.append(partial(_write_pieces, drive, shard_name(record.id, shard), pieces))
        if jobs:
            self._workforce.together(jobs)
        return written


def prepare(drive: Drive, name: str) -> None:
    """Have a shard file to write to on `drive`; one that is there stays. Raises DriveError or DriveFull."""
    if drive.size(name) is None:
        drive.create(name)


def _count(found: Mapping[int, Mapping[int, memoryview | None]], slot: Slot) -> int:
    return sum(by_offset.get(slot.offset) is not None for by_offset in found.values())


def _joined(taken: Iterable[Slot], run_bytes: int = RUN_BYTES) -> Iterator[list[Slot]]:
    """`taken`, in order of offset, as runs."""
    run: list[Slot] = []
    for slot in taken:
        if run and (slot.end - run[0].offset > run_bytes or slot.offset - run[-1].end > _GAP_BYTES):
            yield run
            run = []
        run.append(slot)
    if run:
        yield run


def _read_run(
    drive: Drive, record: VolumeRecord, shard: int, run: Sequence[Slot], scratch: Scratch
) -> dict[int, memoryview | None]:
    """The fragments of `run` on one drive by offset; None for one that is not good."""
    first = run[0].offset
    try:
        stored = drive.read_stored(shard_name(record.id, shard), first, run[-1].end - first, scratch)
        fragments = [stored[slot.offset - first : slot.end - first] for slot in run]
    except Unavailable:
        fragments = [_read_singly(drive, record, shard, slot, scratch) for slot in run]
    index = record.layout.index_of(shard)
    return {
        slot.offset: fragment if _is_good(fragment, record, index, slot) else None
        for slot, fragment in zip(run, fragments, strict=True)
    }


def _read_singly(drive: Drive, record: VolumeRecord, shard: int, slot: Slot, scratch: Scratch) -> memoryview:
    """One fragment by itself, because a bad sector spoils one, not the run; empty when it cannot be read."""
    try:
        return drive.read_stored(shard_name(record.id, shard), slot.offset, slot.end - slot.offset, scratch)
    except DriveError:
        return memoryview(b"")


def _is_good(fragment: memoryview, record: VolumeRecord, index: int, slot: Slot) -> bool:
    return len(fragment) == slot.end - slot.offset and verify(fragment, KIND_DATA, record.id, index, slot.offset)


def _write_pieces(drive: Drive, name: str, pieces: Sequence[tuple[Slot, list[Buffer]]]) -> None:
    """Write fragments; neighbours go together."""
    at, end, buffers = -1, -1, list[Buffer]()
    for slot, fragment in pieces:
        if slot.offset != end and buffers:
            drive.write(name, at, buffers)
            buffers = []
        if not buffers:
            at = slot.offset
        buffers += fragment
        end = slot.end
    if buffers:
        drive.write(name, at, buffers)
