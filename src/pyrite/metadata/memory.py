"""Owns the in-memory engine: the oracle of the contract suite and the engine of simulations. Not durable."""

from bisect import bisect_left, insort

from pyrite.metadata.kv import ABSENT, Batch, CeilingExceeded, Conflict, Entry, Row, decode_counter, encode_counter
from pyrite.metadata.priors import apply_after_priors


class MemoryEngine:
    """A sorted list of keys beside a dictionary; every commit is one step."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._entries: dict[bytes, Entry] = {}
        self._sequence = 0

    async def get(self, key: bytes) -> Entry | None:
        return self._entries.get(key)

    async def scan(self, start: bytes, end: bytes, limit: int, reverse: bool = False) -> list[Row]:
        low, high = bisect_left(self._keys, start), bisect_left(self._keys, end)
        keys = self._keys[low:high]
        chosen = keys[::-1][:limit] if reverse else keys[:limit]
        return [Row(key, *self._entries[key]) for key in chosen]

    async def commit(self, batch: Batch) -> None:
        for outcome in apply_after_priors([batch], self._apply):
            if outcome is not None:
                raise outcome

    def _apply(self, batches: list[Batch]) -> list[BaseException | None]:
        return [self._apply_one(batch) for batch in batches]

    def _apply_one(self, batch: Batch) -> Conflict | CeilingExceeded | None:
        for key, version in batch.expectations.items():
            entry = self._entries.get(key)
            if (entry.version if entry else ABSENT) != version:
                return Conflict(key)
        for key, most in batch.ceilings.items():
            entry, delta = self._entries.get(key), batch.increments.get(key, 0)
            if delta > 0 and decode_counter(entry.value if entry else None) + delta > most:
                return CeilingExceeded(key, most)
        self._sequence += 1
        for key, value in batch.writes.items():
            if value is None:
                self._remove(key)
            else:
                self._store(key, value)
        for key, delta in batch.increments.items():
            entry = self._entries.get(key)
            self._store(key, encode_counter(decode_counter(entry.value if entry else None) + delta))
        return None

    async def close(self) -> None:
        """Nothing to release."""

    def _store(self, key: bytes, value: bytes) -> None:
        if key not in self._entries:
            insort(self._keys, key)
        self._entries[key] = Entry(value, self._sequence)

    def _remove(self, key: bytes) -> None:
        if self._entries.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
