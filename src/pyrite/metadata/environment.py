"""Owns one LMDB environment: opening it, reading it, and applying physical changes in one transaction.

It knows tables and places, not mirrors: several environments are kept alike by `metadata/lmdb.py`.
"""

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from pyrite.core.units import TIB
from pyrite.metadata.envelope import unseal, unseal_rows
from pyrite.metadata.kv import Entry, Row
from pyrite.metadata.longkeys import DATA, LONG, SEGMENT_BYTES, STUB, Place, child_prefix, locate

MAP_SIZE_BYTES = 4 * TIB
MAX_READERS = 1022

Changes = dict[Place, bytes | None]
"""Physical changes: what to store at each place, None to remove it."""

_BEHIND_ALL = b"\xff" * 8
_SEQUENCE, _REDO, _MIRRORS = b"sequence", b"redo", b"mirrors"


class MirrorSet(msgspec.Struct, frozen=True, array_like=True):
    """Which environments hold the current metadata. A greater epoch is newer."""

    epoch: int
    members: tuple[str, ...]


class LmdbEnvironment:
    """One directory with an LMDB database. Write transactions stay on one thread."""

    def __init__(self, path: Path, create: bool = False, readonly: bool = False) -> None:
        self.path = path
        self.copies = 0
        """How many copies of it are being written just now: it must not be closed then."""
        self._env = lmdb.open(
            str(path),
            map_size=MAP_SIZE_BYTES,
            max_dbs=3,
            max_readers=MAX_READERS,
            max_spare_txns=4,
            create=create,
            readonly=readonly,
            readahead=False,
            meminit=False,
            mode=0o600,
        )
        self._env.reader_check()
        self._tables = [
            self._env.open_db(b"data", create=create),
            self._env.open_db(b"long", create=create),
        ]
        self._engine = self._env.open_db(b"engine", create=create)

    def get(self, key: bytes) -> Entry | None:
        """The entry at `key`. Raises MetadataCorrupt."""
        place = Place(DATA, key) if len(key) < SEGMENT_BYTES else locate(key)[1]
        with self._env.begin(db=self._tables[place.table]) as txn:
            stored = txn.get(place.key)
        return None if stored is None else unseal(key, stored)

    def scan(self, start: bytes, end: bytes, limit: int, reverse: bool) -> list[Row]:
        """Rows of start <= key < end in order, at most `limit`."""
        rows: list[Row] = []
        with self._env.begin() as txn:
            if not reverse and 0 < len(start) < SEGMENT_BYTES:
                found = self._scan_short(txn, start, end, limit, rows)
                if found is None:
                    return rows
                start = found
            for key, stored in self._walk(txn, DATA, b"", b"", start, end, reverse):
                if len(rows) >= limit:
                    break
                rows.append(Row(key, *unseal(key, stored)))
        return rows

    def _scan_short(self, txn: Any, start: bytes, end: bytes, limit: int, rows: list[Row]) -> bytes | None:
        """Scan forwards while keys are short; where a long one begins is returned, None when the scan is done."""
        cursor = txn.cursor(db=self._tables[DATA])
        if not cursor.set_range(start):
            return None
        pairs = list(islice(cursor.iternext(), limit))
        if pairs and pairs[-1][0] >= end:
            del pairs[bisect_left(pairs, end, key=itemgetter(0)) :]
        found, long_key = unseal_rows(pairs, STUB)
        rows += found
        return long_key

    def _walk(
        self, txn: Any, table: int, base: bytes, prefix: bytes, start: bytes, end: bytes, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and stored values whose place in `table` starts with `base`; `prefix` is its logical form."""
        skip, cut = len(base), len(prefix)
        low = start[cut : cut + SEGMENT_BYTES] if start.startswith(prefix) else b""
        cursor = txn.cursor(db=self._tables[table])
        if reverse:
            high = end[cut:] if end.startswith(prefix) else b"\xff" * SEGMENT_BYTES
            found = cursor.set_range(base + high[: SEGMENT_BYTES + 1])
            if not found or cursor.key() > base + high:
                found = cursor.prev() if found else cursor.last()
            steps = cursor.iterprev(keys=True, values=True)
        else:
            found = cursor.set_range(base + low) if base + low else cursor.first()
            steps = cursor.iternext(keys=True, values=True)
        if not found:
            return
        for physical, stored in steps:
            if not physical.startswith(base):
                return
            key = prefix + physical[skip:]
            if stored == STUB:
                child = child_prefix(Place(table, physical))
                yield from self._walk(txn, LONG, child, key, start, end, reverse)
            elif start <= key < end:
                yield key, stored
            elif (key < start) if reverse else (key >= end):
                return

    def begin(self) -> "WriteTransaction":
        """Take the writer's lock, shared by all processes; it is held until commit or abort."""
        return WriteTransaction(self._env.begin(write=True), self._tables, self._engine)

    def read_state(self) -> tuple[int, MirrorSet | None, Changes]:
        """The sequence number, the mirror set, and the changes of the last transaction if it kept them."""
        with self._env.begin(db=self._engine) as txn:
            sequence = int(txn.get(_SEQUENCE, b"0"))
            mirrors = txn.get(_MIRRORS)
            redo = txn.get(_REDO)
        members = msgspec.msgpack.decode(mirrors, type=MirrorSet) if mirrors else None
        return sequence, members, _decode_redo(redo)

    def read_mirrors(self) -> MirrorSet | None:
        """The mirror set as it was recorded here last; None where it never changed."""
        with self._env.begin(db=self._engine) as txn:
            stored = txn.get(_MIRRORS)
        return msgspec.msgpack.decode(stored, type=MirrorSet) if stored else None

    def rows(self, table: int, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` physical rows of a table from `start` on, as they are stored."""
        with self._env.begin() as txn:
            cursor = txn.cursor(db=self._tables[table])
            if not (cursor.set_range(start) if start else cursor.first()):
                return []
            return list(islice(cursor.iternext(), limit))

    @contextlib.contextmanager
    def snapshot(self) -> "Iterator[Snapshot]":
        """The database as it is now, for as long as this is open."""
        with self._env.begin() as txn:
            yield Snapshot(txn, self._engine, lambda: self._walk(txn, DATA, b"", b"", b"", _BEHIND_ALL, False))

    def copy_to(self, target: Path) -> None:
        """Write a compact, consistent copy into the empty directory `target`."""
        self.copies += 1
        try:
            self._env.copy(str(target), compact=True)
            (target / "data.mdb").chmod(0o600)
            self._env.sync(True)
        finally:
            self.copies -= 1

    def reap_readers(self) -> int:
        """Free the reader slots of processes that have died; how many there were."""
        return int(self._env.reader_check())

    def size_bytes(self) -> int:
        """Bytes of the database file."""
        return (self.path / "data.mdb").stat().st_size

    def close(self) -> None:
        """Close the environment; nothing may use it afterwards."""
        self._env.close()


class Snapshot:
    """A database at one moment."""

    def __init__(self, txn: Any, engine: Any, walk: Callable[[], Iterator[tuple[bytes, bytes]]]) -> None:
        self._txn = txn
        self._engine = engine
        self._walk = walk

    def sequence(self) -> int:
        """The number of the last transaction."""
        return int(self._txn.get(_SEQUENCE, b"0", db=self._engine))

    def engine_rows(self) -> list[tuple[bytes, bytes]]:
        """Everything in the engine's own table."""
        return list(self._txn.cursor(db=self._engine).iternext())

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its stored value, in order."""
        return self._walk()


class WriteTransaction:
    """The one write transaction of an environment, on the thread that began it."""

    def __init__(self, txn: Any, tables: list[Any], engine: Any) -> None:
        self._txn = txn
        self._tables = tables
        self._engine = engine

    def stored(self, place: Place) -> bytes | None:
        """What stands at `place` within the transaction."""
        value: bytes | None = self._txn.get(place.key, db=self._tables[place.table])
        return value

    def has_children(self, prefix: bytes) -> bool:
        """Whether anything in the `long` table starts with `prefix`."""
        cursor = self._txn.cursor(db=self._tables[LONG])
        return bool(cursor.set_range(prefix)) and bool(cursor.key().startswith(prefix))

    def write(self, place: Place, stored: bytes | None) -> None:
        """Store at `place`, or remove what stands there when `stored` is None."""
        table = self._tables[place.table]
        if stored is None:
            self._txn.delete(place.key, db=table)
        else:
            self._txn.put(place.key, stored, db=table)

    @property
    def sequence(self) -> int:
        """The number of the last committed transaction."""
        return int(self._txn.get(_SEQUENCE, b"0", db=self._engine))

    @property
    def redo(self) -> bytes:
        """The changes of the last committed transaction, or nothing where it kept none."""
        return self._txn.get(_REDO, b"", db=self._engine)  # type: ignore[no-any-return]

    @property
    def mirrors(self) -> MirrorSet | None:
        """The mirror set as this environment knows it."""
        stored = self._txn.get(_MIRRORS, db=self._engine)
        return msgspec.msgpack.decode(stored, type=MirrorSet) if stored else None

    def set_mirrors(self, mirrors: MirrorSet) -> None:
        """Record the mirror set."""
        self._txn.put(_MIRRORS, msgspec.msgpack.encode(mirrors), db=self._engine)

    def finish(self, sequence: int, redo: bytes | None) -> None:
        """Stamp the transaction with its number and, where mirrors exist, with its changes."""
        self._txn.put(_SEQUENCE, b"%d" % sequence, db=self._engine)
        if redo is not None:
            self._txn.put(_REDO, redo, db=self._engine)

    def commit(self) -> None:
        """Make the transaction durable. Raises lmdb.Error."""
        self._txn.commit()

    def abort(self) -> None:
        """Undo everything and free the writer's lock."""
        self._txn.abort()


def encode_redo(changes: Changes) -> bytes:
    """The changes of a transaction as a mirror that is one behind replays them."""
    return msgspec.msgpack.encode([(place.table, place.key, stored) for place, stored in changes.items()])


def _decode_redo(redo: bytes | None) -> Changes:
    if not redo:
        return {}
    rows = msgspec.msgpack.decode(redo, type=list[tuple[int, bytes, bytes | None]])
    return {Place(table, key): stored for table, key, stored in rows}
