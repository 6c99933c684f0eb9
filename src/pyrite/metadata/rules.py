"""Owns knowing that what decides who may do what has changed: identities, policies, the access of buckets.

A change adds to the counter RULES in its own transaction. Within a server, whoever made it marks a number that its
processes share, before the change is acknowledged: with the next request all of them know. Changes that others made,
like commands beside the server, are found by reading the counter, which every process does once a second.
"""

import mmap

from pyrite.core.entropy import Entropy
from pyrite.metadata.keyspaces import RULES
from pyrite.metadata.kv import Batch, Engine

_BYTES = 8


class SharedMark:
    """Eight bytes that forked processes have in common."""

    def __init__(self) -> None:
        self._number = memoryview(mmap.mmap(-1, _BYTES)).cast("Q")

    def read(self) -> int:
        """The number that was written last."""
        return self._number[0]

    def write(self, number: int) -> None:
        """Write another number."""
        self._number[0] = number


class Rules:
    """The state of the rules as this process knows it."""

    def __init__(self, engine: Engine, entropy: Entropy, shared: SharedMark | None = None) -> None:
        self._engine = engine
        self._entropy = entropy
        self._shared = shared or SharedMark()
        self._counted: bytes | None = b"?"

    @property
    def mark(self) -> int:
        """A number that is another one after every change."""
        return self._shared.read()

    @staticmethod
    def note(batch: Batch) -> None:
        """Have `batch` count as a change of the rules; `tell` has to follow its commit."""
        batch.add(RULES, 1)

    def tell(self) -> None:
        """A change was committed: every process of the server looks anew. Marks are random, so that none is missed."""
        self._shared.write(int.from_bytes(self._entropy.bytes(_BYTES), "big"))

    async def follow(self) -> None:
        """Notice changes that were made outside of the server."""
        entry = await self._engine.get(RULES)
        counted = entry.value if entry is not None else None
        if counted != self._counted:
            self._counted = counted
            self.tell()
