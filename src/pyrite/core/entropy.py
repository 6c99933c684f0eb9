"""Owns randomness: the only module that makes random bytes."""

import os
from typing import Protocol


class Entropy(Protocol):
    """A source of unpredictable bytes."""

    def bytes(self, count: int) -> bytes:
        """`count` random bytes."""
        ...


class SystemEntropy:
    """The operating system's generator."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)  # noqa: TID251 - this is the one place


def random_id(entropy: Entropy) -> int:
    """A random, non-zero 63-bit identifier."""
    return (int.from_bytes(entropy.bytes(8), "big") >> 1) or 1
