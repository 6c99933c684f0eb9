"""Owns a bounded least-recently-used map."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruMap(Generic[K, V]):
    """At most `capacity` entries; the one used longest ago leaves first, through `on_evict`."""

    def __init__(self, capacity: int, on_evict: Callable[[V], None] | None = None) -> None:
        self._capacity = capacity
        self._on_evict = on_evict
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value of `key`, now the most recently used, or None."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Store `value`; evict the oldest entry when there are too many."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            _, evicted = self._entries.popitem(last=False)
            if self._on_evict is not None:
                self._on_evict(evicted)

    def pop(self, key: K) -> V | None:
        """Remove `key` and return its value, or None; `on_evict` is not called."""
        return self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything; `on_evict` is not called."""
        self._entries.clear()

    def values(self) -> list[V]:
        """All values, oldest first."""
        return list(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)
