"""Owns what `pyrite bucket` does with a store, which may be running."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import ConfigError
from pyrite.node.drivecommands import LiveStore, with_live_store
from pyrite.objects.buckets import QUOTA, Buckets
from pyrite.objects.errors import NoSuchBucket

_SIZE = re.compile(r"(\d+)\s*([KMGTP]i?)?B?\Z", re.IGNORECASE)
_POWERS = "KMGTP"
_PAGE = 1000


class BucketUse(msgspec.Struct, frozen=True):
    """What a bucket holds, and what it may hold."""

    name: str
    objects: int
    versions: int
    size_bytes: int
    quota_bytes: int | None
    versioning: str


def parse_size(text: str) -> int | None:
    """Bytes of `500GiB`, `5GB` or `1000`; None for `none`. Raises ConfigError."""
    if text == "none":
        return None
    match = _SIZE.match(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a size like 500GiB, 5GB or 1000000, nor none")
    number, unit = int(match.group(1)), (match.group(2) or "").upper()
    base = 1024 if unit.endswith("I") else 1000
    return number * base ** (_POWERS.index(unit[0]) + 1) if unit else number


def _buckets(live: LiveStore) -> Buckets:
    return Buckets(live.engine, HybridClock(SystemClock()), SystemEntropy())


def list_buckets(paths: tuple[Path, ...]) -> list[BucketUse]:
    """All buckets of the store, by name. Raises ConfigError."""

    async def run(live: LiveStore) -> list[BucketUse]:
        buckets, found, after = _buckets(live), list[BucketUse](), ""
        while records := await buckets.list("", after, _PAGE):
            for record in records:
                use, quota = await buckets.usage(record.id), record.configurations.get(QUOTA)
                limit = int(quota) if quota is not None else None
                found.append(
                    BucketUse(record.name, use.objects, use.versions, use.size_bytes, limit, record.versioning)
                )
            after = records[-1].name
        return found

    return with_live_store(paths, run)


def set_quota(paths: tuple[Path, ...], name: str, quota_bytes: int | None, words: Sequence[str] = ()) -> None:
    """Say how many bytes a bucket may hold; None lifts it. Raises ConfigError."""

    async def run(live: LiveStore) -> None:
        buckets = _buckets(live)
        try:
            bucket = await buckets.find(name)
        except NoSuchBucket:
            raise ConfigError(f"there is no bucket {name}") from None
        await buckets.configure(bucket, QUOTA, None if quota_bytes is None else str(quota_bytes))

    with_live_store(paths, run, words)
