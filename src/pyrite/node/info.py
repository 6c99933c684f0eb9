"""Owns `pyrite info`: what a store holds and how it is set up."""

import contextlib
from pathlib import Path

import msgspec

from pyrite.blobs.drive import DriveError, DriveState
from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.node.offline import OfflineStore, with_store
from pyrite.node.warnings import load_warnings
from pyrite.objects.buckets import Buckets
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.repairs import RepairQueue
from pyrite.services.scrub import oldest_unverified_ms


class DriveInfo(msgspec.Struct):
    """A drive. `holds_metadata` tells whether a metadata mirror is on it."""

    id: str
    path: str
    state: str
    total_bytes: int
    free_bytes: int
    holds_metadata: bool


class Info(msgspec.Struct):
    """A store. Sizes in bytes; `volumes` counts them by layout.

    `oldest_unverified_ms` is when the bytes were written or verified that were not verified for longest; 0: none.
    """

    store: str
    drives: list[DriveInfo]
    buckets: int
    objects: int
    object_bytes: int
    volumes: dict[str, int]
    degraded_volumes: int
    waiting_for_repair: int
    lost_stripes: int
    oldest_unverified_ms: int
    durability: str
    warnings: list[str]


def read_info(paths: tuple[Path, ...]) -> Info:
    """Read it from the drives; a server may be running on them. Raises ConfigError when there is no store."""
    return with_store(paths, _read)


async def _read(store: OfflineStore) -> Info:
    drives = []
    for drive in store.drives.values():
        total = free = 0
        if drive.state is DriveState.ONLINE:
            with contextlib.suppress(DriveError):
                total, free = drive.space()
        path = store.located.places.get(drive.id)
        mirrored = drive.id in store.located.announced.members
        drives.append(DriveInfo(drive.id, str(path or ""), drive.state.value, total, free, mirrored))
    clock = HybridClock(SystemClock())
    catalog = Buckets(store.engine, clock, SystemEntropy())
    buckets = await catalog.list("", "", 1_000_000)
    usages = [await catalog.usage(bucket.id) for bucket in buckets]
    volumes: dict[str, int] = {}
    degraded = 0
    for record in await MetadataCatalog(store.engine).all():
        volumes[record.layout.name] = volumes.get(record.layout.name, 0) + 1
        degraded += bool(record.degraded)
    queue = await RepairQueue(store.engine).all()
    return Info(
        store.record.id,
        drives,
        len(buckets),
        sum(usage.objects for usage in usages),
        sum(usage.size_bytes for usage in usages),
        volumes,
        degraded,
        len(queue),
        sum(queued.record.lost_stripes for queued in queue),
        await oldest_unverified_ms(store.engine) or 0,
        "acknowledged writes are on stable storage (fsync of data and metadata)",
        await load_warnings(store.engine),
    )
