"""Owns turning batches into physical changes inside one LMDB write transaction."""

from pyrite.metadata.envelope import seal, unseal
from pyrite.metadata.environment import Changes, WriteTransaction
from pyrite.metadata.kv import ABSENT, Batch, Conflict, decode_counter, encode_counter
from pyrite.metadata.longkeys import DATA, SEGMENT_BYTES, STUB, Place, child_prefix, locate


class Applier:
    """Applies batches one after the other to `txn`; `changes` is what they come to, for the mirrors."""

    def __init__(self, txn: WriteTransaction, sequence: int) -> None:
        self._txn = txn
        self._sequence = sequence
        self.changes: Changes = {}

    def apply(self, batch: Batch) -> Conflict | None:
        """Apply `batch` whole, or return the Conflict that stopped it before its first change."""
        for key, version in batch.expectations.items():
            if self._version(key) != version:
                return Conflict(key)
        for key, value in batch.writes.items():
            if value is None:
                self._remove(key)
            else:
                self._store(key, seal(key, value, self._sequence))
        for key, delta in batch.increments.items():
            stored = self._txn.stored(self._place(key))
            current = decode_counter(unseal(key, stored).value) if stored is not None else 0
            self._store(key, seal(key, encode_counter(current + delta), self._sequence))
        return None

    def _place(self, key: bytes) -> Place:
        return Place(DATA, key) if len(key) < SEGMENT_BYTES else locate(key)[1]

    def _version(self, key: bytes) -> int:
        stored = self._txn.stored(self._place(key))
        return ABSENT if stored is None else unseal(key, stored).version

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
