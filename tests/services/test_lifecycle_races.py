"""What lifecycle rules decide is done only while what they were decided on is still so."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from pyrite.metadata.keyspaces import VERSIONS
from pyrite.metadata.kv import after_prefix
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ALWAYS
from pyrite.objects.errors import NoSuchKey
from pyrite.objects.records import ObjectRecord, decode_object
from pyrite.objects.versionids import parse_id
from pyrite.testing.tiers import SHELVED
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, get, put

RULE = "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter>{}</Filter>{}</Rule></LifecycleConfiguration>"
NONCURRENT = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"
EXPIRE = "<Expiration><Days>1</Days></Expiration>"


def transition(storage_class: str) -> str:
    return f"<Transition><Days>1</Days><StorageClass>{storage_class}</StorageClass></Transition>"


async def with_rule(process: Process, bucket: Bucket, actions: str, condition: str = "<Prefix></Prefix>") -> Bucket:
    return await process.buckets.configure(bucket, "lifecycle", RULE.format(condition, actions))


async def walk(process: Process) -> None:
    """Let time pass, and the walk come to its end."""
    await asyncio.sleep(5000)
    await process.lifecycle.step()
    while process.lifecycle.is_busy:
        await process.lifecycle.step()


async def tag(process: Process, bucket: Bucket, key: bytes, tags: dict[str, str]) -> None:
    def change(record: ObjectRecord) -> ObjectRecord:
        return replace(record, attributes=replace(record.attributes, tags=tags))

    await process.naming.amend(bucket, key, None, change)


def before(process: Process, name: str, meddle: Callable[[], Awaitable[Any]]) -> None:
    """Do something before the next call of a method of the process's names, which is one of the walk."""
    naming: Any = process.naming
    real = getattr(naming, name)

    async def late(*arguments: Any, **more: Any) -> Any:
        setattr(naming, name, real)
        await meddle()
        return await real(*arguments, **more)

    setattr(naming, name, late)


def test_what_rises_is_not_removed_as_noncurrent() -> None:
    """A version that becomes the current one while the walk is about to remove it as a noncurrent one stays."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await process.buckets.change(bucket, versioning="Enabled")
        bucket = await with_rule(process, bucket, NONCURRENT)
        await put(process, bucket, b"k", b"precious")
        marker = await process.objects.delete(bucket, b"k")
        undelete = process.naming.delete_version
        before(process, "delete_version", lambda: undelete(bucket, b"k", parse_id(marker.version_id), ALWAYS))
        await walk(process)
        assert await get(process, bucket, b"k") == b"precious"
        await walk(process)
        assert await get(process, bucket, b"k") == b"precious"

    store.run(body)


@pytest.mark.parametrize("what", ["tag", "rule"])
def test_a_rule_that_speaks_of_it_no_more(what: str) -> None:
    """Neither an object whose tag was taken away nor one whose bucket has lost the rule is deleted by a page behind."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await with_rule(process, bucket, EXPIRE, "<Tag><Key>tmp</Key><Value>1</Value></Tag>")
        for key in (b"a", b"b"):
            await put(process, bucket, key, b"x")
            await tag(process, bucket, key, {"tmp": "1"})

        async def take_away() -> None:
            if what == "tag":
                await tag(process, bucket, b"b", {})
            else:
                await process.buckets.configure(await process.buckets.find("bucket"), "lifecycle", None)

        before(process, "delete", take_away)
        await walk(process)
        assert await get(process, bucket, b"b") == b"x"
        if what == "tag":
            with pytest.raises(NoSuchKey):
                await get(process, bucket, b"a")

    store.run(body)


def test_an_object_that_is_deleted_while_it_is_moved() -> None:
    """The walk goes on with the others, and what was written to the tier is freed."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await with_rule(process, bucket, transition(SHELVED))
        for key in (b"a", b"b", b"c"):
            await put(process, bucket, key, b"x" * 300_000)
        store.meddle(lambda: process.objects.delete(bucket, b"a"))
        await walk(process)
        for key in (b"b", b"c"):
            assert (await process.objects.find(bucket, key)).storage_class == SHELVED
            assert await get(process, bucket, key) == b"x" * 300_000
        assert len(process.world.shelf) == 2 and process.lifecycle.done["changed_meanwhile"] == 1

    store.run(body)


@pytest.mark.parametrize("storage_class", ["GLACIER", SHELVED])
def test_an_object_that_is_replaced_while_it_is_moved(storage_class: str) -> None:
    """The new object keeps its class, and nobody is told that it was moved."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await with_rule(process, bucket, transition(storage_class))
        await put(process, bucket, b"a", b"x" * 300)
        told: list[str] = []
        naming: Any = process.naming
        naming.tell = lambda batch, bucket, key, record, cause, standing: told.append(cause.event)
        before(process, "amend", lambda: put(process, bucket, b"a", b"newer"))
        await walk(process)
        assert (await process.objects.find(bucket, b"a")).storage_class == "STANDARD"
        assert "s3:LifecycleTransition" not in told
        assert process.lifecycle.done["transitioned"] == process.lifecycle.done["moved"] == 0
        assert len(process.world.shelf) == 0

    store.run(body)


def test_the_newest_version_behind_is_known_when_a_null_marker_goes() -> None:
    """Where a suspended bucket's null marker is replaced, the record of the versions names the next one."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await process.buckets.change(bucket, versioning="Enabled")
        await put(process, bucket, b"k", b"one")
        bucket = await process.buckets.change(bucket, versioning="Suspended")
        await process.objects.delete(bucket, b"k")
        await put(process, bucket, b"k", b"two")
        rows = await process.engine.scan(VERSIONS, after_prefix(VERSIONS), 10)
        behind = [decode_object(row.value).version for row in rows]
        standing = await process.naming.standing(bucket, b"k")
        assert standing.head is not None and [standing.head.newest] == behind and standing.head.null == 0

    store.run(body)
