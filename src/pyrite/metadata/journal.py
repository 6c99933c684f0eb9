"""Owns the journal of the names: every transaction's changes, kept apart from the databases that hold them.

If every copy of the database is lost, the newest dump and the journal behind it are the names (`pyrite recover`).
An entry is on stable storage before its transaction is acknowledged. One that was never acknowledged may be in the
journal or not; two entries of one number are told apart by their stamps: the later one was applied.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from pyrite.metadata.environment import Changes, LmdbEnvironment, encode_redo
from pyrite.metadata.longkeys import DATA, LONG, Place

DUMP_ROWS = 2000

Rows = list[tuple[int, bytes, bytes | None]]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A transaction: its number, when it was written, and what it stores at each place (None: removes)."""

    sequence: int
    stamp: int
    redo: bytes

    def rows(self) -> Rows:
        """Table, key and stored value of every change."""
        return msgspec.msgpack.decode(self.redo, type=Rows)


class DumpPiece(msgspec.Struct, frozen=True, array_like=True):
    """Rows of a database; the last piece has none, and says how many there were.

    `sequence` is the number of the last transaction when the dump began: later ones may be in it in part.
    """

    sequence: int
    rows: list[tuple[int, bytes, bytes]]
    total: int = 0


class Journal:
    """Writes entries with `append`, which blocks, on a thread of its own."""

    def __init__(self, append: Callable[[bytes], None], stamp: Callable[[], int]) -> None:
        self._append = append
        self._stamp = stamp
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    def start(self, sequence: int, redo: bytes) -> "Future[None]":
        """Write a transaction down; the future ends when it is on stable storage, or fails with Unavailable."""
        return self._thread.submit(self._append, msgspec.msgpack.encode(Entry(sequence, self._stamp(), redo)))

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True)


def decode_entry(stored: bytes) -> Entry:
    """An entry of the journal. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(stored, type=Entry)


def decode_piece(stored: bytes) -> DumpPiece:
    """A piece of a dump. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(stored, type=DumpPiece)


def dump(environment: LmdbEnvironment) -> Iterator[bytes]:
    """A database in pieces. Writers go on: the journal from the dump's number on makes it whole."""
    sequence, total = environment.read_state()[0], 0
    for table in (DATA, LONG):
        start = b""
        while rows := environment.rows(table, start, DUMP_ROWS):
            total += len(rows)
            yield msgspec.msgpack.encode(DumpPiece(sequence, [(table, key, stored) for key, stored in rows]))
            start = rows[-1][0] + b"\0"
    yield msgspec.msgpack.encode(DumpPiece(sequence, [], total))


def order(entries: Iterable[Entry], after: int) -> list[Entry]:
    """The entries behind transaction `after`, in order, each number once: the one written last."""
    newest: dict[int, Entry] = {}
    for entry in entries:
        if entry.sequence > after:
            known = newest.get(entry.sequence)
            if known is None or entry.stamp > known.stamp:
                newest[entry.sequence] = entry
    return [newest[sequence] for sequence in sorted(newest)]


def replay(environment: LmdbEnvironment, entries: Iterable[Entry]) -> int:
    """Apply entries, in order, to a database that nobody else has open; the number of the last one."""
    last = environment.read_state()[0]
    for entry in entries:
        changes: Changes = {Place(table, key): stored for table, key, stored in entry.rows()}
        txn = environment.begin()
        try:
            for place, value in changes.items():
                txn.write(place, value)
            txn.finish(entry.sequence, encode_redo(changes))
            txn.commit()
        finally:
            txn.abort()
        last = entry.sequence
    return last


def load(environment: LmdbEnvironment, pieces: Iterable[DumpPiece]) -> None:
    """Fill an empty database with a dump."""
    for piece in pieces:
        txn = environment.begin()
        try:
            for table, key, stored in piece.rows:
                txn.write(Place(table, key), stored)
            txn.finish(piece.sequence, None)
            txn.commit()
        finally:
            txn.abort()
