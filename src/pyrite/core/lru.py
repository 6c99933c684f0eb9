"""Owns memory that forgets: a bounded least-recently-used map, and functions of a text that remember what they made."""

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")

_COUNT = 1 << 62
_REMEMBERED_MAX = 1024
_REMEMBERED_CHARACTERS_MAX = 512 * 1024


class LruMap(Generic[K, V]):
    """At most `capacity` entries, which together weigh at most `weight_max`; the one used longest ago leaves first,
    through `on_evict`. One that is heavier by itself is kept as long as it is the newest.
    """

    def __init__(self, capacity: int, on_evict: Callable[[V], None] | None = None, weight_max: int = _COUNT) -> None:
        self._capacity = capacity
        self._on_evict = on_evict
        self._weight_max = weight_max
        self._weight = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value of `key`, now the most recently used, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, weight: int = 0) -> None:
        """Store `value`; evict the oldest entries when there are too many, or they are too heavy."""
        self.pop(key)
        self._entries[key] = value, weight
        self._weight += weight
        while len(self._entries) > self._capacity or (self._weight > self._weight_max and len(self._entries) > 1):
            _, (evicted, less) = self._entries.popitem(last=False)
            self._weight -= less
            if self._on_evict is not None:
                self._on_evict(evicted)

    def pop(self, key: K) -> V | None:
        """Remove `key` and return its value, or None; `on_evict` is not called."""
        value, weight = self._entries.pop(key, (None, 0))
        self._weight -= weight
        return value

    def clear(self) -> None:
        """Forget everything; `on_evict` is not called."""
        self._entries.clear()
        self._weight = 0

    def values(self) -> list[V]:
        """All values, oldest first."""
        return [value for value, _ in self._entries.values()]

    def __len__(self) -> int:
        return len(self._entries)


class CacheInfo(NamedTuple):
    """How often a function was asked what it remembered, and what it did not."""

    hits: int
    misses: int
    maxsize: int


class Remembered(Generic[P, V]):
    """A function of texts that remembers what it made of the last ones, as long as those are not too long together."""

    def __init__(self, function: Callable[P, V]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._hits = self._misses = 0
        self._known: LruMap[Any, tuple[V]] = LruMap(_REMEMBERED_MAX, weight_max=_REMEMBERED_CHARACTERS_MAX)

    def __call__(self, *args: P.args, **named: P.kwargs) -> V:
        known = self._known.get(args)
        if known is not None:
            self._hits += 1
            return known[0]
        self._misses += 1
        made = self._function(*args, **named)
        self._known.put(args, (made,), sum(len(arg) for arg in args if isinstance(arg, str)))
        return made

    def cache_info(self) -> CacheInfo:
        """As functools tells it."""
        return CacheInfo(self._hits, self._misses, _REMEMBERED_MAX)

    def cache_clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._hits = self._misses = 0


def remembered(function: Callable[P, V]) -> Remembered[P, V]:
    """Have a function of texts, such as a document that is stored, remember what it made of them."""
    return Remembered(function)
