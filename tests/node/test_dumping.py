"""Which dump is trusted, and which parts of the journal it makes superfluous."""

import asyncio
import itertools
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from pyrite.blobs import drivelog
from pyrite.blobs.drive import Drive
from pyrite.blobs.drivelog import DriveLog, find_segments, read_entries, whole_bytes
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.local import LocalDrive
from pyrite.core.clock import HybridClock, SystemClock, stamp_ms
from pyrite.core.errors import Unavailable
from pyrite.core.offload import InlineWorkforce
from pyrite.metadata.environment import LmdbEnvironment
from pyrite.metadata.journal import DumpPiece, Entry
from pyrite.metadata.longkeys import DATA, Place
from pyrite.node.dumping import CLOSED_AFTER_MS, DUMP, Dumper, newest_dump, superfluous
from pyrite.node.storeprocess import JOURNAL

CLOCK = HybridClock(SystemClock())


@pytest.fixture
def drives(tmp_path: Path) -> dict[str, Drive]:
    """Three drives."""
    made: dict[str, Drive] = {}
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        made[name] = LocalDrive(name, tmp_path / name)
    return made


def log(drives: dict[str, Drive], prefix: str, owner: str) -> DriveLog:
    return DriveLog(prefix, owner, DriveSet(drives), CLOCK, lambda: 2, InlineWorkforce())


def write_dump(drives: dict[str, Drive], owner: str, sequence: int, rows: int, total: int | None) -> None:
    made = log(drives, DUMP, owner)
    made.append(msgspec.msgpack.encode(DumpPiece(sequence, [(0, b"%d" % n, b"v") for n in range(rows)])), sync=False)
    if total is not None:
        made.append(msgspec.msgpack.encode(DumpPiece(sequence, [], total)), sync=False)
    made.sync()


def test_the_newest_whole_dump_counts(drives: dict[str, Drive]) -> None:
    """A dump that was cut short, or lacks rows, is passed over for an older one that is whole."""
    assert newest_dump(find_segments(drives, DUMP)) is None
    write_dump(drives, "1", 10, 3, 3)
    write_dump(drives, "2", 20, 4, 4)
    write_dump(drives, "a", 30, 5, None)
    write_dump(drives, "b", 40, 5, 6)
    found = newest_dump(find_segments(drives, DUMP))
    assert found is not None and (found.sequence, found.rows) == (20, 4)
    assert sum(len(piece.rows) for piece in found.pieces()) == 4


def test_a_dump_needs_one_of_its_drives(drives: dict[str, Drive]) -> None:
    """With all but one holder of a dump gone it still counts."""
    write_dump(drives, "1", 10, 3, 3)
    (holders,) = find_segments(drives, DUMP).values()
    assert len(holders) == 2
    left = {holders[1].id: holders[1]}
    found = newest_dump(find_segments(left, DUMP))
    assert found is not None and found.rows == 3


def test_only_segments_that_the_dump_covers_are_superfluous(
    drives: dict[str, Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment goes only if the next one of its owner begins at or before the transaction behind the dump."""
    monkeypatch.setattr(drivelog, "SEGMENT_BYTES", 100)
    writer = log(drives, JOURNAL, "worker-0")
    for sequence in range(1, 13):
        writer.append(msgspec.msgpack.encode(Entry(sequence, CLOCK.next(), b"x" * 40)))
    segments = find_segments(drives, JOURNAL)
    held = {
        name: [msgspec.msgpack.decode(e, type=Entry).sequence for e in read_entries(name, segments[name])]
        for name in segments
    }
    assert len(segments) > 3
    for dumped in range(14):
        gone = superfluous(segments, dumped, CLOCK.next() >> 16, 0)
        assert all(max(held[name]) <= dumped for name in gone)
        last = list(segments)[-1]
        assert last not in gone
        assert len(gone) == sum(max(held[name]) <= dumped for name in list(segments)[:-1])


def test_the_last_segment_of_a_process_that_is_gone(drives: dict[str, Drive]) -> None:
    """A command's only segment goes once it is old and covered; one of a worker, which may go on, never."""
    for owner in ("cli123", "worker-0"):
        log(drives, JOURNAL, owner).append(msgspec.msgpack.encode(Entry(5, CLOCK.next(), b"x")))
    segments = find_segments(drives, JOURNAL)
    now = stamp_ms(CLOCK.next())
    assert not superfluous(segments, 5, now, 0)
    assert not superfluous(segments, 4, now + 2 * CLOSED_AFTER_MS, 0)
    assert {name.owner for name in superfluous(segments, 5, now + 2 * CLOSED_AFTER_MS, 0)} == {"cli123"}
    of_an_earlier_server = superfluous(segments, 5, now, now + 1)
    assert of_an_earlier_server and all(name.owner.startswith("worker") for name in of_an_earlier_server)


def test_a_log_goes_on_when_a_drive_fails(drives: dict[str, Drive]) -> None:
    """When a drive of a segment fails, what was acknowledged is whole on the others, and a new segment begins."""

    async def body() -> None:
        writer = log(drives, JOURNAL, "worker-0")
        payloads = [msgspec.msgpack.encode(Entry(n, CLOCK.next(), b"x")) for n in range(1, 7)]
        for number, payload in enumerate(payloads):
            if number == 3:
                (first,) = find_segments(drives, JOURNAL).values()
                first[0].fence("removed by the test")  # type: ignore[attr-defined]
            writer.append(payload)
        left = {name: drive for name, drive in drives.items() if drive.readable and drive.state.value == "online"}
        segments = find_segments(left, JOURNAL)
        assert len(segments) == 2
        found = [entry for name, holders in segments.items() for entry in read_entries(name, holders)]
        assert set(payloads) <= set(found)

    asyncio.run(body())


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_copy_of_a_log_is_told(drives: dict[str, Drive], damage: str, tmp_path: Path) -> None:
    """A flipped bit in an entry, or entries that are cut off, make a copy shorter than a whole one."""
    made = log(drives, JOURNAL, "worker-0")
    for number in range(50):
        made.append(b"%d" % number * 300)
    assert made.segment is not None
    name = made.segment
    good, bad = find_segments(drives, JOURNAL)[name]
    size = bad.size(name.text)
    assert size is not None and whole_bytes(name, good) == whole_bytes(name, bad) == size
    path = tmp_path / bad.id / "volumes" / name.text
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    else:
        del content[-10:]
    path.write_bytes(content)
    assert whole_bytes(name, bad) < size == whole_bytes(name, good)


def test_an_entry_longer_than_what_is_read_at_a_time(drives: dict[str, Drive], monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of any length are verified, however little is read at a time."""
    monkeypatch.setattr(drivelog, "_WINDOW_BYTES", 64)
    made = log(drives, JOURNAL, "worker-0")
    for number in range(8):
        made.append(b"x" * (1 + 700 * number))
    assert made.segment is not None
    for drive in find_segments(drives, JOURNAL)[made.segment]:
        assert whole_bytes(made.segment, drive) == drive.size(made.segment.text)


def test_a_dump_that_is_not_whole_replaces_nothing(
    drives: dict[str, Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump is read back before what it replaces is removed: a piece that went with a drive leaves the old one."""
    environment = LmdbEnvironment(tmp_path / "db", create=True)
    txn = environment.begin()
    for number in range(10):
        txn.write(Place(DATA, b"k%d" % number), b"v" * 20)
    txn.finish(1, None)
    txn.commit()
    store = SimpleNamespace(
        drives=DriveSet(drives),
        hybrid=CLOCK,
        clock=SystemClock(),
        volumes=SimpleNamespace(drives_needed=2, workforce=InlineWorkforce()),
        engine=SimpleNamespace(environment=environment),
        opened=SimpleNamespace(opened_ms=0),
    )
    dumper = Dumper(store, 1000.0)  # type: ignore[arg-type]
    dumper._take({}, {})
    old = newest_dump(find_segments(drives, DUMP))
    assert old is not None and old.rows == 10
    append, count = DriveLog.append, itertools.count()

    def losing(log: DriveLog, payload: bytes, sync: bool = True) -> None:
        if next(count):  # the first piece is lost
            append(log, payload, sync)
        else:
            append(log, msgspec.msgpack.encode(DumpPiece(1, [])), sync)

    monkeypatch.setattr(DriveLog, "append", losing)
    with pytest.raises(Unavailable):
        dumper._take(find_segments(drives, DUMP), {})
    assert newest_dump(find_segments(drives, DUMP)) == old
    environment.close()
