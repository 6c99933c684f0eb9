"""Buckets that are made, deleted and configured at once, and how much may be configured."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.metadata.keyspaces import BUCKETS
from pyrite.metadata.kv import Batch, Conflict
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects import buckets
from pyrite.objects.buckets import RECORD_MAX_BYTES, Buckets
from pyrite.objects.errors import BucketExists, NoSuchBucket, TooMuchConfigured

Step = Callable[[], Awaitable[object]]


class Interrupted(MemoryEngine):
    """Does `before`, once, before the next change of a bucket, and `after` behind it."""

    before: Step | None = None
    after: Step | None = None

    async def commit(self, batch: Batch) -> None:
        about_bucket = any(key[:1] == BUCKETS for key in batch.writes)
        before, after = (self.before, self.after) if about_bucket else (None, None)
        if about_bucket:
            self.before = self.after = None
        if before is not None:
            await before()
        await super().commit(batch)
        if after is not None:
            await after()


def store() -> tuple[Interrupted, Buckets, Buckets]:
    """The names, and the buckets as two processes see them."""
    engine = Interrupted()
    clock = HybridClock(SystemClock())
    return engine, Buckets(engine, clock, SystemEntropy()), Buckets(engine, clock, SystemEntropy())


def test_a_bucket_that_another_made_and_deleted_can_be_made() -> None:
    """Who loses to somebody whose bucket is gone already makes it, instead of telling that it is not there."""
    engine, mine, _ = store()

    async def lose() -> None:
        raise Conflict(BUCKETS + b"bucket")  # made and deleted by another, between two looks

    async def main() -> None:
        engine.before = lose
        made = await mine.create("bucket", "me", "")
        assert (await mine.find("bucket")).id == made.id

    asyncio.run(main())


def test_a_bucket_that_another_made_first_exists() -> None:
    """Who loses to somebody whose bucket stays is told so, and whether it is the own one."""
    engine, mine, others = store()

    async def main() -> None:
        engine.before = lambda: others.create("bucket", "they", "")
        with pytest.raises(BucketExists):
            await mine.create("bucket", "me", "")
        assert (await mine.find("bucket")).record.owner == "they"

    asyncio.run(main())


def test_a_bucket_that_is_deleted_at_once_was_made() -> None:
    """That another deletes a bucket as soon as it is there is no failure of who made it."""
    engine, mine, others = store()

    async def main() -> None:
        engine.after = lambda: others.delete("bucket")
        assert (await mine.create("bucket", "me", "")).record.owner == "me"
        with pytest.raises(NoSuchBucket):
            await mine.find("bucket")

    asyncio.run(main())


def test_what_is_configured_for_a_bucket_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record grows to a limit and no further; what is too large already may be made smaller, never larger."""
    _, mine, _ = store()

    async def main() -> None:
        bucket = await mine.create("bucket", "me", "")
        full = await mine.configure(bucket, "one", "x" * (RECORD_MAX_BYTES - 2000))
        with pytest.raises(TooMuchConfigured):
            await mine.configure(full, "two", "y" * 2000)
        assert (await mine.find("bucket")).record.configurations.keys() == {"one"}
        monkeypatch.setattr(buckets, "RECORD_MAX_BYTES", 1000)  # as if it was made under another limit
        less = await mine.configure(full, "one", "x" * 5000)
        with pytest.raises(TooMuchConfigured):
            await mine.configure(less, "one", "x" * 5001)

    asyncio.run(main())
