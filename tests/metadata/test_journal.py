"""The journal and dumps are the names: whatever was acknowledged comes back from them, and nothing else."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import lmdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrite.core.errors import OutcomeUnknown, OutOfSpace, Unavailable
from pyrite.metadata import journal
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet, WriteTransaction, encode_redo
from pyrite.metadata.journal import Entry, Journal, decode_entry, decode_piece, load, order, replay
from pyrite.metadata.kv import Batch, Engine
from pyrite.metadata.lmdb import LmdbEngine
from pyrite.metadata.longkeys import DATA, Place
from pyrite.metadata.mirror import Mirror

LONG_KEY = b"k" * 1020


def environment(path: Path) -> LmdbEnvironment:
    path.mkdir()
    return LmdbEnvironment(path, create=True)


def put(**values: bytes) -> Batch:
    batch = Batch()
    for key, value in values.items():
        batch.put(key.encode(), value)
    return batch


class Kept:
    """An engine whose journal is a list; `broken` makes the journal fail."""

    def __init__(self, path: Path) -> None:
        self.environment = environment(path)
        self.entries: list[Entry] = []
        self.broken = False
        stamps = count(1)
        mirror = Mirror("a", self.environment)
        self.engine = LmdbEngine(
            [mirror], MirrorSet(1, ("a",)), lambda _: None, Journal(self._append, lambda: next(stamps))
        )

    def _append(self, payload: bytes) -> None:
        if self.broken:
            raise Unavailable("the journal's drives are gone")
        self.entries.append(decode_entry(payload))


def rows(env: LmdbEnvironment) -> list[tuple[bytes, bytes]]:
    return [(row.key, row.value) for row in env.scan(b"\0", b"\xff" * 4, 10_000, False)]


def test_every_transaction_is_in_the_journal_once_acknowledged(tmp_path: Path) -> None:
    """Puts, deletes, counters and long keys come back from the journal alone, byte for byte."""
    kept = Kept(tmp_path / "a")

    async def body(engine: Engine) -> None:
        for number in range(40):
            batch = put(**{f"key{number % 7}": b"%d" % number})
            batch.add(b"counter", number)
            if number % 5 == 0:
                batch.delete(b"key3")
            if number % 9 == 0:
                batch.put(LONG_KEY + b"%d" % number, b"long")
            await engine.commit(batch)
            assert kept.entries[-1].sequence == kept.environment.read_state()[0]

    asyncio.run(body(kept.engine))
    again = environment(tmp_path / "b")
    replay(again, order(kept.entries, 0))
    assert rows(again) == rows(kept.environment)
    assert again.read_state()[0] == kept.environment.read_state()[0]
    asyncio.run(kept.engine.close())


def test_a_journal_that_fails_is_counted(tmp_path: Path) -> None:
    """A transaction that the journal missed is acknowledged all the same, and counted, so that a dump follows."""
    kept = Kept(tmp_path / "a")

    async def body() -> None:
        kept.broken = True
        await kept.engine.commit(put(a=b"1"))
        kept.broken = False
        await kept.engine.commit(put(b=b"1"))
        assert kept.engine.journal_failures == 1
        await kept.engine.close()

    asyncio.run(body())


@pytest.mark.parametrize("moment", ["apply", "commit"])
def test_a_transaction_in_the_journal_is_not_said_to_have_failed(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without space a change has failed for certain until it is in the journal, from which a recovery brings it back."""
    kept = Kept(tmp_path / "a")

    def fail(*_: object) -> None:
        raise lmdb.MapFullError("no space")

    async def body() -> None:
        await kept.engine.commit(put(before=b"1"))  # what became of an earlier one does not count
        monkeypatch.setattr(WriteTransaction, "write" if moment == "apply" else "commit", fail)
        with pytest.raises(Unavailable) as failed:
            await kept.engine.commit(put(a=b"1"))
        assert type(failed.value) is (OutOfSpace if moment == "apply" else OutcomeUnknown)
        assert len(kept.entries) == 1 + (moment == "commit")
        monkeypatch.undo()
        await kept.engine.commit(put(b=b"1"))
        await kept.engine.close()

    asyncio.run(body())


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 99)), unique_by=lambda pair: pair[1]), st.integers(0, 9))
def test_of_two_entries_of_one_number_the_later_counts(pairs: list[tuple[int, int]], after: int) -> None:
    """Entries come in order of their numbers, each once, the one with the greatest stamp, and none that is known."""
    found = order([Entry(sequence, stamp, b"") for sequence, stamp in pairs], after)
    wanted: dict[int, int] = {}
    for sequence, stamp in pairs:
        if sequence > after:
            wanted[sequence] = max(wanted.get(sequence, 0), stamp)
    assert [(entry.sequence, entry.stamp) for entry in found] == sorted(wanted.items())


@pytest.mark.parametrize("dump_rows", [1, 3, 1000])
def test_a_dump_taken_while_writers_go_on(tmp_path: Path, dump_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dump under which the database changes, with the journal behind its number, is the database."""
    monkeypatch.setattr(journal, "DUMP_ROWS", dump_rows)
    kept = Kept(tmp_path / "a")
    pieces: list[bytes] = []

    async def body(engine: Engine) -> None:
        for number in range(10):
            await engine.commit(put(**{f"key{number}": b"old"}))
        dumping: Iterator[bytes] = journal.dump(kept.environment)
        for number, piece in enumerate(dumping):
            pieces.append(piece)
            batch = put(**{f"key{number % 10}": b"new%d" % number, f"more{number}": b"x"})
            batch.delete(b"key%d" % ((number + 3) % 10))
            await engine.commit(batch)

    asyncio.run(body(kept.engine))
    again = environment(tmp_path / "b")
    decoded = [decode_piece(piece) for piece in pieces]
    load(again, decoded)
    replay(again, order(kept.entries, decoded[-1].sequence))
    assert rows(again) == rows(kept.environment)
    assert decoded[-1].total == sum(len(piece.rows) for piece in decoded) and not decoded[-1].rows
    asyncio.run(kept.engine.close())


def test_what_is_no_entry_is_refused() -> None:
    """Bytes that are not an entry raise a DecodeError instead of becoming one."""
    with pytest.raises(msgspec.DecodeError):
        decode_entry(b"\xc1\xff")
    changes = {Place(DATA, b"k"): b"stored", Place(DATA, b"gone"): None}
    assert Entry(1, 1, encode_redo(changes)).rows() == [(DATA, b"k", b"stored"), (DATA, b"gone", None)]
