"""Owns append-only logs on drives: entries in checksummed fragments, the same on several drives, in segments.

A segment is a file `PREFIX-OWNER-STAMP` beside the shards. One process writes it; a process that died leaves it, and
nobody appends to it again. What a log means is not known here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pyrite.blobs.buffers import Scratch
from pyrite.blobs.drive import Buffer, Drive, try_to_create
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.fragment import KIND_LOG, header, verify
from pyrite.blobs.layout import HEADER_BYTES
from pyrite.blobs.placement import spread
from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.errors import Unavailable
from pyrite.core.offload import LATE, Workforce
from pyrite.core.units import MIB

SEGMENT_BYTES = 64 * MIB
_WINDOW_BYTES = 4 * MIB
_LENGTH_AT = slice(4, 8)  # of the payload, in a fragment's header


class SegmentName(NamedTuple):
    """A segment: what kind of log, whose, and the stamp of its making."""

    prefix: str
    owner: str
    stamp: int

    @property
    def text(self) -> str:
        """The name of the file."""
        return f"{self.prefix}-{self.owner}-{self.stamp:016x}"


def parse_name(text: str) -> SegmentName | None:
    """The parts of a segment's file name; None for the name of a shard."""
    prefix, dash, rest = text.partition("-")
    owner, second, stamp = rest.rpartition("-")
    if not dash or not second or len(stamp) != 16:
        return None
    return SegmentName(prefix, owner, int(stamp, 16))


class DriveLog:
    """The log of one process: appends to its newest segment, and begins another when that is full or has failed."""

    def __init__(
        self,
        prefix: str,
        owner: str,
        drives: DriveSet,
        clock: HybridClock,
        copies: Callable[[], int],
        workforce: Workforce,
    ) -> None:
        self._prefix = prefix
        self._owner = owner
        self._drives = drives
        self._clock = clock
        self._copies = copies
        self._workforce = workforce
        self._segment: SegmentName | None = None
        self._holders: list[Drive] = []
        self._end = 0
        self.appended_bytes = 0

    @property
    def segment(self) -> SegmentName | None:
        """The segment that is being written."""
        return self._segment

    def append(self, payload: bytes, sync: bool = True) -> None:
        """Add an entry, durably. Blocks. Raises Unavailable when no drive takes it."""
        for _ in range(len(self._drives) + 1):
            if self._segment is None or self._end >= SEGMENT_BYTES or self._could_be_quicker():
                if not sync and self._segment is not None:
                    self.sync()
                self._begin()
            assert self._segment is not None
            name, at = self._segment.text, self._end
            buffers = [header(KIND_LOG, self._segment.stamp, 0, at, payload), payload]
            jobs = [partial(_write, drive, name, at, buffers, sync) for drive in self._holders]
            written = self._workforce.most(jobs, 1, lambda drive: drive is not None)
            good = [drive for drive in written if drive is not None and drive is not LATE]
            size = HEADER_BYTES + len(payload)
            self._end += size
            if len(good) == len(jobs) or (good and len(self._drives.candidates()) < self._copies()):
                self._holders = good
                self.appended_bytes += size
                return
            self._segment = None  # a copy is missing: the entry goes into a new segment, on drives that work
        raise Unavailable("no drive takes the log")

    def _could_be_quicker(self) -> bool:
        """Whether a drive that is slow holds the segment, although enough others are not."""
        return any(self._drives.is_slow(drive.id) for drive in self._holders) and self._drives.quick >= self._copies()

    def sync(self) -> None:
        """Make everything appended so far durable. Raises Unavailable."""
        for drive in self._holders:
            assert self._segment is not None
            drive.sync(self._segment.text)

    def _begin(self) -> None:
        segment = SegmentName(self._prefix, self._owner, self._clock.next())
        order = self._drives.candidates()  # full ones too: the reserve is there for names
        turn = stamp_ms(segment.stamp) % max(len(order), 1)
        order = sorted(order[turn:] + order[:turn], key=lambda candidate: candidate.slow)
        drives = [self._drives[candidate.drive] for candidate in spread(order, self._copies())]
        jobs = [partial(try_to_create, drive, segment.text) for drive in drives]
        made = self._workforce.most(jobs, 1, bool)
        holders = [drive for drive, done in zip(drives, made, strict=True) if done is True]
        if not holders:
            raise Unavailable("no drive takes a new segment of the log")
        self._segment, self._holders, self._end = segment, holders, 0


def _write(drive: Drive, name: str, offset: int, buffers: Sequence[Buffer], sync: bool) -> Drive | None:
    try:
        drive.write(name, offset, buffers)
        if sync:
            drive.sync(name)
    except Unavailable:
        return None
    return drive


def find_segments(drives: Mapping[str, Drive], prefix: str) -> dict[SegmentName, list[Drive]]:
    """The segments of a kind of log, oldest first, and the drives that hold them."""
    found: dict[SegmentName, list[Drive]] = {}
    for drive in drives.values():
        if not drive.readable:
            continue
        try:
            names = drive.names()
        except Unavailable:
            continue
        for text in names:
            name = parse_name(text)
            if name is not None and name.prefix == prefix:
                found.setdefault(name, []).append(drive)
    return dict(sorted(found.items(), key=lambda item: item[0].stamp))


def read_entries(segment: SegmentName, drives: Sequence[Drive]) -> Iterator[bytes]:
    """The entries of a segment in order, each from the first drive that has it whole. Ends where none has."""
    offset = 0
    while True:
        payload = next(filter(None, (_read_entry(segment, drive, offset) for drive in drives)), None)
        if payload is None:
            return
        yield bytes(payload)
        offset += HEADER_BYTES + len(payload)


def whole_bytes(segment: SegmentName, drive: Drive) -> int:
    """How many bytes of a drive's copy, from its beginning, are whole entries. Reads past the page cache.

    Raises Unavailable when the drive cannot be read.
    """
    size, offset, window = drive.size(segment.text) or 0, 0, _WINDOW_BYTES
    scratch = Scratch()
    while offset < size:
        scratch.reset()
        stored = drive.read_stored(segment.text, offset, min(window, size - offset), scratch)
        end = _whole_in(segment, stored, offset)
        if end == offset:
            if len(stored) < window or window > SEGMENT_BYTES:
                break
            window *= 2  # one entry is longer than what was read
        else:
            offset, window = end, _WINDOW_BYTES
    return offset


def _whole_in(segment: SegmentName, stored: memoryview, offset: int) -> int:
    """Where the whole entries end in `stored`, which stands at `offset`."""
    at = 0
    while at + HEADER_BYTES <= len(stored):
        end = at + HEADER_BYTES + int.from_bytes(stored[at:][_LENGTH_AT], "big")
        if end > len(stored) or not verify(stored[at:end], KIND_LOG, segment.stamp, 0, offset + at):
            break
        at = end
    return offset + at


def _read_entry(segment: SegmentName, drive: Drive, offset: int) -> memoryview | None:
    head = memoryview(bytearray(HEADER_BYTES))
    try:
        size = drive.size(segment.text) or 0
        if drive.read_into(segment.text, offset, head, wait=True) < HEADER_BYTES:
            return None
        length = int.from_bytes(head[_LENGTH_AT], "big")
        if not length or offset + HEADER_BYTES + length > size:
            return None
        whole = memoryview(bytearray(HEADER_BYTES + length))
        count = drive.read_into(segment.text, offset, whole, wait=True)
    except Unavailable:
        return None
    if count == len(whole) and verify(whole, KIND_LOG, segment.stamp, 0, offset):
        return whole[HEADER_BYTES:]
    return None
