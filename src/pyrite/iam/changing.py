"""Owns how identities are read and changed: a change reads and writes as if it were alone, or is done again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyrite.core.clock import Clock
from pyrite.core.entropy import Entropy
from pyrite.core.keyring import Keyring
from pyrite.iam.errors import Unmodifiable
from pyrite.iam.records import Record, decode, encode
from pyrite.iam.secretrecords import sealed, unsealed
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, after_prefix
from pyrite.metadata.rules import Rules

T = TypeVar("T")
_ATTEMPTS = 32
_SCAN_ROWS = 1000


class View:
    """Reads records as they are now."""

    def __init__(self, engine: Engine, keyring: Keyring | None = None) -> None:
        self._engine = engine
        self._keyring = keyring

    def _decode(self, kind: type[Record], key: bytes, value: bytes) -> Record:
        return decode(kind, unsealed(key, value, self._keyring))

    async def get(self, kind: type[Record], key: bytes) -> Record | None:
        """The record at `key`, or None."""
        entry = await self._engine.get(key)
        return None if entry is None else self._decode(kind, key, entry.value)

    async def scan(self, kind: type[Record], prefix: bytes) -> list[Record]:
        """All records whose keys start with `prefix`, in order."""
        found: list[Record] = []
        start, end = prefix, after_prefix(prefix)
        while True:
            rows = await self._engine.scan(start, end, _SCAN_ROWS)
            found += [self._decode(kind, row.key, row.value) for row in rows]
            if len(rows) < _SCAN_ROWS:
                return found
            start = rows[-1].key + b"\0"


class Change(View):
    """One change: what it read must still stand when it is applied, and what it wrote is applied whole."""

    def __init__(self, engine: Engine, now_ms: int, entropy: Entropy, keyring: Keyring | None = None) -> None:
        super().__init__(engine, keyring)
        self.batch = Batch()
        self.now_ms = now_ms
        self.entropy = entropy

    async def get(self, kind: type[Record], key: bytes) -> Record | None:
        """The record at `key` as this change sees it, or None."""
        if key in self.batch.writes:
            value = self.batch.writes[key]
            return None if value is None else self._decode(kind, key, value)
        entry = await self._engine.get(key)
        self.batch.expect(key, ABSENT if entry is None else entry.version)
        return None if entry is None else self._decode(kind, key, entry.value)

    def put(self, key: bytes, record: object) -> None:
        """Store a record. It should have been read, unless what stood there does not matter."""
        self.batch.put(key, sealed(key, encode(record), self._keyring))

    def erase(self, key: bytes) -> None:
        """Remove a record."""
        self.batch.delete(key)


class Changes:
    """Makes changes. Every one of them tells all processes that the rules have changed."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        entropy: Entropy,
        rules: Rules | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self._engine = engine
        self._rules = rules or Rules(engine, entropy)
        self._clock = clock
        self._entropy = entropy
        self._keyring = keyring
        self.view = View(engine, keyring)

    async def try_out(self, body: Callable[[Change], Awaitable[T]]) -> T:
        """Run `body` and apply nothing. Raises what `body` raises."""
        return await body(Change(self._engine, self._clock.now_ms(), self._entropy, self._keyring))

    async def make(self, body: Callable[[Change], Awaitable[T]]) -> T:
        """Run `body` and apply what it wrote; again when something that it read was changed meanwhile.

        Raises what `body` raises, and Unmodifiable when others are always faster.
        """
        for _ in range(_ATTEMPTS):
            change = Change(self._engine, self._clock.now_ms(), self._entropy, self._keyring)
            result = await body(change)
            if not change.batch.writes:
                return result
            self._rules.note(change.batch)
            try:
                await self._engine.commit(change.batch)
                self._rules.tell()
                return result
            except Conflict:
                continue
        raise Unmodifiable("the entity is being changed by others; try again")
