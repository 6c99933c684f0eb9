"""Owns turning a group of batches into the physical changes of one LMDB write transaction.

Values are kept in memory until `finish`: each key is read at most once and written at most once however many
batches of the group touch it. Every call into LMDB gives up the interpreter lock, so calls are what costs.
"""

from pyrite.metadata.envelope import seal, unseal
from pyrite.metadata.environment import Changes, WriteTransaction
from pyrite.metadata.kv import ABSENT, Batch, CeilingExceeded, Conflict, decode_counter, encode_counter
from pyrite.metadata.longkeys import DATA, SEGMENT_BYTES, STUB, Place, child_prefix, locate


class Applier:
    """Applies batches one after the other to `txn`; `changes` is what they come to, for the mirrors."""

    def __init__(self, txn: WriteTransaction, sequence: int) -> None:
        self._txn = txn
        self._sequence = sequence
        self._versions: dict[bytes, int] = {}
        self._writes: dict[bytes, bytes | None] = {}
        self._increments: dict[bytes, int] = {}
        self.changes: Changes = {}

    def apply(self, batch: Batch) -> Conflict | CeilingExceeded | None:
        """Take `batch` in whole, or return what stopped it before its first change."""
        for key, version in batch.expectations.items():
            if self._version(key) != version:
                return Conflict(key)
        for key, most in batch.ceilings.items():
            delta = batch.increments.get(key, 0)
            if delta > 0 and self._counter(key) + delta > most:
                return CeilingExceeded(key, most)
        for key, value in batch.writes.items():
            self._writes[key] = value
            self._versions[key] = ABSENT if value is None else self._sequence
            self._increments.pop(key, None)
        for key, delta in batch.increments.items():
            self._add(key, delta)
        return None

    def finish(self) -> None:
        """Write everything; `changes` is complete afterwards."""
        for key, delta in self._increments.items():
            stored = self._txn.stored(_place(key))
            current = decode_counter(unseal(key, stored).value) if stored is not None else 0
            self._store(key, seal(key, encode_counter(current + delta), self._sequence))
        for key, value in self._writes.items():
            if value is None:
                self._remove(key)
            else:
                self._store(key, seal(key, value, self._sequence))

    def _version(self, key: bytes) -> int:
        version = self._versions.get(key)
        if version is None:
            stored = self._txn.stored(_place(key))
            version = self._versions[key] = ABSENT if stored is None else unseal(key, stored).version
        return version

    def _counter(self, key: bytes) -> int:
        """What a counter stands at, with what earlier batches of the group add."""
        if key in self._writes:
            return decode_counter(self._writes[key])
        stored = self._txn.stored(_place(key))
        return decode_counter(unseal(key, stored).value if stored is not None else None) + self._increments.get(key, 0)

    def _add(self, key: bytes, delta: int) -> None:
        self._versions[key] = self._sequence
        if key in self._writes:  # put or deleted by an earlier batch of the group
            self._writes[key] = encode_counter(decode_counter(self._writes[key]) + delta)
        else:
            self._increments[key] = self._increments.get(key, 0) + delta

    def _store(self, key: bytes, stored: bytes) -> None:
        if len(key) < SEGMENT_BYTES:
            self._write(Place(DATA, key), stored)
            return
        stubs, place = locate(key)
        for stub in stubs:
            if self._txn.stored(stub) is None:
                self._write(stub, STUB)
        self._write(place, stored)

    def _remove(self, key: bytes) -> None:
        if len(key) < SEGMENT_BYTES:
            self._write(Place(DATA, key), None)
            return
        stubs, place = locate(key)
        if self._txn.stored(place) is None:
            return
        self._write(place, None)
        for stub in reversed(stubs):
            if self._txn.has_children(child_prefix(stub)):
                return
            self._write(stub, None)

    def _write(self, place: Place, stored: bytes | None) -> None:
        self._txn.write(place, stored)
        self.changes[place] = stored


def _place(key: bytes) -> Place:
    return Place(DATA, key) if len(key) < SEGMENT_BYTES else locate(key)[1]
