"""Owns the record of a volume, and the catalog protocol through which records are kept."""

from typing import Literal, Protocol

import msgspec

from pyrite.blobs.layout import Layout
from pyrite.core.counts import parse_count

VolumeState = Literal["open", "sealed"]
Purpose = Literal["small", "large"]


class VolumeRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the store knows of a volume. `drives[i]` holds shard i; `length` is final once it is sealed.

    `degraded` lists shards that missed a write and wait for repair; `generation` grows with every change.
    """

    format: int
    id: int
    layout: Layout
    drives: tuple[str, ...]
    purpose: Purpose
    state: VolumeState
    owner: str
    length: int = 0
    generation: int = 1
    degraded: tuple[int, ...] = ()
    live_bytes: int = -1  # bytes of each shard that acknowledged writes took; -1: not known
    sealed_ms: int = 0


class VolumeCatalog(Protocol):
    """Where volume records are kept: metadata, seen from below."""

    async def load(self, volume: int) -> VolumeRecord | None:
        """The record of `volume`, or None."""
        ...

    async def create(self, record: VolumeRecord) -> bool:
        """Store a new record; False when the id is taken."""
        ...

    async def update(self, record: VolumeRecord) -> bool:
        """Replace the record of the generation before `record`; False when there is another one."""
        ...


def shard_name(volume: int, shard: int) -> str:
    """The file name of a shard."""
    return f"{volume:016x}.{shard:02d}"


def parse_shard_name(name: str) -> int | None:
    """The volume to which a file of this name belongs; None when it is no shard."""
    volume, dot, shard = name.partition(".")
    if len(volume) != 16 or not dot or parse_count(shard) is None:
        return None
    try:
        return int(volume, 16)
    except ValueError:
        return None
