"""Owns the key-value interface that every metadata engine implements, and the batch it commits.

Keys are bytes ordered byte by byte, at most MAX_KEY_BYTES long; values are bytes. Every stored value has a
version, a number that changes with every write of its key and is never used for that key again.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

from pyrite.core.errors import Corrupt, PyriteError

MAX_KEY_BYTES = 4096
ABSENT = 0
"""The version that stands for "there is no such key" in an expectation."""


class Conflict(PyriteError):
    """An expectation of the batch does not hold; nothing of the batch was applied."""

    def __init__(self, key: bytes) -> None:
        super().__init__(f"expectation failed on key {key!r}")
        self.key = key


class CeilingExceeded(PyriteError):
    """A counter would have grown beyond its ceiling; nothing of the batch was applied."""

    def __init__(self, key: bytes, most: int) -> None:
        super().__init__(f"the counter {key!r} may not exceed {most}")
        self.key = key
        self.most = most


class MetadataCorrupt(Corrupt):
    """A stored value does not match its checksum on any mirror."""


class Entry(NamedTuple):
    """A value and the version under which it is stored."""

    value: bytes
    version: int


class Row(NamedTuple):
    """A key of a scan with its value and version."""

    key: bytes
    value: bytes
    version: int


class Prior(NamedTuple):
    """Something outside the engine that has to be done, durably, before a batch may be applied.

    `flush` blocks. It gets the items of all batches of a group that share it, and returns for each of them None or
    the error that stops its batch.
    """

    flush: Callable[[list[Any]], Sequence[BaseException | None]]
    item: Any


class Batch:
    """Changes that are applied whole or not at all.

    `prior` is done first, if there is one. Then `expect` and `limit` are checked, in the transaction; then puts,
    deletes and increments are applied. A key may be put, deleted or incremented once in a batch.
    """

    __slots__ = ("ceilings", "expectations", "increments", "prior", "writes")

    def __init__(self) -> None:
        self.expectations: dict[bytes, int] = {}
        self.writes: dict[bytes, bytes | None] = {}
        self.increments: dict[bytes, int] = {}
        self.ceilings: dict[bytes, int] = {}
        self.prior: Prior | None = None

    def expect(self, key: bytes, version: int) -> None:
        """Apply only if `key` is stored under `version` (ABSENT: not stored)."""
        self.expectations[key] = version

    def put(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`."""
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove `key`; removing an absent key is no error."""
        self.writes[key] = None

    def add(self, key: bytes, delta: int) -> None:
        """Add `delta` to the counter at `key`; an absent counter counts as 0."""
        if delta:
            self.increments[key] = self.increments.get(key, 0) + delta

    def limit(self, key: bytes, most: int) -> None:
        """Apply only if what is added to the counter at `key` leaves it at `most` or less."""
        self.ceilings[key] = most


class Engine(Protocol):
    """What metadata needs of a database. All implementations pass tests/metadata/contract.py."""

    async def get(self, key: bytes) -> Entry | None:
        """The entry at `key`, or None. Raises MetadataCorrupt."""
        ...

    async def scan(self, start: bytes, end: bytes, limit: int, reverse: bool = False) -> list[Row]:
        """At most `limit` rows with start <= key < end, ascending (descending with `reverse`)."""
        ...

    def commit(self, batch: Batch) -> Awaitable[None]:
        """Apply `batch` durably, after its prior.

        Raises what the prior came to; Conflict when an expectation fails; CeilingExceeded; Unavailable when it cannot.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and release resources."""
        ...


def encode_counter(value: int) -> bytes:
    """The stored form of a counter: eight bytes, signed, big-endian."""
    return value.to_bytes(8, "big", signed=True)


def decode_counter(value: bytes | None) -> int:
    """The number in a stored counter; an absent counter is 0."""
    return int.from_bytes(value, "big", signed=True) if value else 0


def after_prefix(prefix: bytes) -> bytes:
    """The least key that is greater than every key that starts with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        raise ValueError("no key is greater than every key of this prefix")
    return stripped[:-1] + bytes([stripped[-1] + 1])
