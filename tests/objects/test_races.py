"""Whoever loses a race is told so, overwrites nothing and leaves no bytes behind."""

from typing import Any

import pytest

from pyrite.aws.checksums import CRC64NVME
from pyrite.metadata.keyspaces import GARBAGE, OBJECTS, PAGES, PARTS, REFERENCES, UPLOADS
from pyrite.metadata.kv import Batch, after_prefix
from pyrite.objects import keys
from pyrite.objects.assembling import CompletePart
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.errors import (
    ConditionalConflict,
    InvalidPart,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    ObjectsError,
    PreconditionFailed,
)
from pyrite.objects.listing import list_versions
from pyrite.objects.objects import Copied
from pyrite.objects.records import Attributes
from pyrite.objects.renaming import rename
from pyrite.objects.standing import Found, Standing
from pyrite.objects.uploads import Completion, Upload
from pyrite.objects.versionids import parse_id
from pyrite.testing.workload import Body
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, append, get, make_hashers, put, settle

ONLY_IF_NEW = WriteConditions(if_none_match="*")
SIZES = [1000, 300_000]  # a small blob, whose bytes are the prior of its name, and a large one


async def begin(process: Process, bucket: Bucket, key: bytes, data: bytes) -> tuple[Upload, CompletePart]:
    uploads = process.uploads
    upload_id = await uploads.create(bucket, key, Attributes(), "owner", "", "")
    upload = await uploads.find(bucket, key, upload_id)
    hashers = make_hashers()
    part = await uploads.put_part(
        bucket, upload, 1, Body(data, True), hashers, lambda digests, size: None, CRC64NVME.name
    )
    return upload, CompletePart(1, part.etag, {})


async def rows(process: Process, *spaces: bytes) -> int:
    return sum([len(await process.engine.scan(space, after_prefix(space), 100)) for space in spaces])


async def bytes_left(process: Process) -> int:
    """What the shards take once background work has freed everything that lost its name."""
    await process.volumes.close()
    await settle(process)
    await process.world.settle(process)
    return sum(len(file.seen) for disk in process.world.disks for file in disk.files.values())


@pytest.mark.parametrize("size", SIZES)
def test_a_bucket_deleted_meanwhile(size: int) -> None:
    """A put into a bucket that was deleted before it committed is NoSuchBucket and leaves neither name nor bytes."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        store.meddle(lambda: process.buckets.delete("bucket"))
        with pytest.raises(NoSuchBucket):
            await put(process, bucket, b"k", b"x" * size)
        assert await rows(process, OBJECTS) == 0
        assert await bytes_left(process) == 0

    store.run(body)


@pytest.mark.parametrize("size", SIZES)
def test_two_create_one_key(size: int) -> None:
    """Of two that create a key at once, the later is refused, and the bytes that it sent are given back."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        store.meddle(lambda: put(process, bucket, b"k", b"first"))
        freed = []
        free = process.blobs.free

        async def noted(extents: Any) -> Any:
            freed.extend(extents)
            return await free(extents)

        process.blobs.free = noted  # type: ignore[method-assign]
        with pytest.raises(PreconditionFailed):
            await put(process, bucket, b"k", b"x" * size, ONLY_IF_NEW)
        assert sum(extent.length for extent in freed) == size
        assert await get(process, bucket, b"k") == b"first"

    store.run(body)


def test_the_last_writer_frees_what_the_other_wrote() -> None:
    """Two plain puts at once: the later one is the object, the earlier one's bytes become garbage."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        store.meddle(lambda: put(process, bucket, b"k", b"first"))
        await put(process, bucket, b"k", b"second")
        assert await get(process, bucket, b"k") == b"second"
        assert await rows(process, GARBAGE) == 1
        usage = await process.buckets.usage(bucket.id)
        assert (usage.objects, usage.size_bytes) == (1, 6)

    store.run(body)


def test_completing_what_is_aborted_meanwhile() -> None:
    """An upload aborted while it was completed is NoSuchUpload, names nothing and keeps no part."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, part = await begin(process, bucket, b"k", b"p" * 2000)
        store.meddle(lambda: process.uploads.abort(bucket, b"k", upload.id))
        with pytest.raises(NoSuchUpload):
            await process.uploads.complete(bucket, b"k", upload.id, Completion([part]))
        with pytest.raises(NoSuchKey):
            await process.objects.find(bucket, b"k")
        assert await bytes_left(process) == 0
        assert await rows(process, UPLOADS, PARTS, PAGES, GARBAGE) == 0

    store.run(body)


def test_completing_twice_at_once() -> None:
    """Two completions of one upload at once both succeed with the same object."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, part = await begin(process, bucket, b"k", b"p" * 2000)
        completion = Completion([part])
        store.meddle(lambda: process.uploads.complete(bucket, b"k", upload.id, completion))
        record = await process.uploads.complete(bucket, b"k", upload.id, completion)
        assert record == await process.objects.find(bucket, b"k")
        assert await get(process, bucket, b"k") == b"p" * 2000

    store.run(body)


def test_a_part_put_into_an_aborted_upload() -> None:
    """A part whose upload was aborted meanwhile is NoSuchUpload, and its bytes do not stay."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, _ = await begin(process, bucket, b"k", b"p" * 2000)
        hashers = make_hashers()
        store.meddle(lambda: process.uploads.abort(bucket, b"k", upload.id))
        with pytest.raises(NoSuchUpload):
            await process.uploads.put_part(
                bucket, upload, 2, Body(b"q" * 2000, True), hashers, lambda digests, size: None, CRC64NVME.name
            )
        assert await bytes_left(process) == 0

    store.run(body)


@pytest.mark.parametrize("change", ["delete", "replace"])
def test_copying_what_changes_meanwhile(change: str) -> None:
    """A copy whose source is deleted or replaced before it commits is refused, and counts no reference."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"source", b"s" * 2000)
        source = await process.naming.current(bucket, b"source")
        assert source is not None
        if change == "delete":
            store.meddle(lambda: process.objects.delete(bucket, b"source"))
        else:
            store.meddle(lambda: put(process, bucket, b"source", b"other"))
        with pytest.raises(ObjectsError):
            await process.objects.copy(bucket, b"source", source, bucket, b"copy", Copied(Attributes(), "owner"))
        with pytest.raises(NoSuchKey):
            await process.objects.find(bucket, b"copy")
        assert await rows(process, REFERENCES) == 0

    store.run(body)


def test_parts_that_are_not_wanted_are_freed() -> None:
    """A part that is replaced, and one that the completion does not list, leave no bytes behind."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, _ = await begin(process, bucket, b"k", b"a" * 2000)
        uploads = process.uploads
        parts = []
        for number, data in ((1, b"b" * 2000), (2, b"c" * 2000)):
            hashers, source = make_hashers(), Body(data, True)
            parts.append(
                await uploads.put_part(
                    bucket, upload, number, source, hashers, lambda digests, size: None, CRC64NVME.name
                )
            )
        assert await rows(process, GARBAGE) == 1
        await uploads.complete(bucket, b"k", upload.id, Completion([CompletePart(1, parts[0].etag, {})]))
        assert await rows(process, GARBAGE) == 2
        assert await get(process, bucket, b"k") == b"b" * 2000

    store.run(body)


async def versioned(process: Process, bucket: Bucket) -> Bucket:
    return await process.buckets.change(bucket, versioning="Enabled")


def test_two_put_versions_at_once() -> None:
    """Of two versions that are put at once both are kept, in one order, each with a stamp of its own."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await versioned(process, bucket)
        await put(process, bucket, b"k", b"zero")
        stamps = iter([2**62, 2**62, 2**62 + 5, 2**62])
        process.objects._clock.next = lambda: next(stamps)  # type: ignore[attr-defined]
        store.meddle(lambda: put(process, bucket, b"k", b"first"))
        await put(process, bucket, b"k", b"second")
        listed, _ = await list_versions(process.engine, bucket, b"", b"", (b"", None), 10)
        assert [row.record.size_bytes for row in listed] == [6, 5, 4]
        assert len({row.record.version for row in listed}) == 3

    store.run(body)


def test_a_marker_and_a_removal_at_once() -> None:
    """Where a marker is put while the newest version is removed, the marker stays in front and nothing rises past it."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await versioned(process, bucket)
        await put(process, bucket, b"k", b"old")
        first = await process.objects.delete(bucket, b"k")
        store.meddle(lambda: process.objects.delete(bucket, b"k"))
        await process.naming.delete_version(bucket, b"k", parse_id(first.version_id), WriteConditions())
        listed, _ = await list_versions(process.engine, bucket, b"", b"", (b"", None), 10)
        assert [(row.record.marker, row.is_latest) for row in listed] == [(True, True), (False, False)]
        assert await process.naming.current(bucket, b"k") is None

    store.run(body)


def test_a_rename_and_a_put_at_once() -> None:
    """A rename takes what stands under the key when it commits, and is refused when that is gone."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"from", b"old")
        store.meddle(lambda: put(process, bucket, b"from", b"newer"))
        await rename(process.naming, bucket, b"from", b"to", lambda found: None, lambda found: None)
        assert await get(process, bucket, b"to") == b"newer"
        store.meddle(lambda: process.objects.delete(bucket, b"to"))
        with pytest.raises(NoSuchKey):
            await rename(process.naming, bucket, b"to", b"from", lambda found: None, lambda found: None)
        assert await rows(process, OBJECTS) == 0

    store.run(body)


@pytest.mark.parametrize("size", SIZES)
def test_what_rises_keeps_its_bytes(size: int) -> None:
    """A version that becomes current again is read after everything was reaped, and its bytes go when it goes."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await versioned(process, bucket)
        await put(process, bucket, b"k", b"a" * size)
        await put(process, bucket, b"k", b"b" * size)
        for expected in (b"a" * size, None):
            found = await process.naming.current(bucket, b"k")
            assert found is not None
            await process.naming.delete_version(bucket, b"k", found.record.version, WriteConditions())
            await settle(process)
            await process.world.settle(process)
            left = await process.naming.current(bucket, b"k")
            assert (left is None) == (expected is None)
            if expected is not None:
                assert await get(process, bucket, b"k") == expected
        assert await bytes_left(process) == 0
        assert await rows(process, OBJECTS, REFERENCES) == 0

    store.run(body)


def test_an_append_yields_to_a_replacement() -> None:
    """Nothing is appended to an object that has taken the place of the one that was meant, be it as long as that."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"k", b"old")
        store.meddle(lambda: put(process, bucket, b"k", b"new"))
        with pytest.raises(ConditionalConflict):
            await append(process, bucket, b"k", b"more")
        assert await get(process, bucket, b"k") == b"new"

    store.run(body)


def test_an_append_yields_to_a_copy() -> None:
    """An object that is copied while it grows in its own pages grows in others, and the copy stays what it is."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"k", b"one")
        await append(process, bucket, b"k", b"two")
        found = await process.naming.current(bucket, b"k")
        assert found is not None
        copied = Copied(Attributes(), "owner")
        store.meddle(lambda: process.objects.copy(bucket, b"k", found, bucket, b"copy", copied))
        await append(process, bucket, b"k", b"three")
        await process.world.settle(process)
        assert await get(process, bucket, b"copy") == b"onetwo"
        assert await get(process, bucket, b"k") == b"onetwothree"

    store.run(body)


async def send_part(process: Process, bucket: Bucket, upload: Upload, number: int, data: bytes) -> None:
    body, kind = Body(data, True), CRC64NVME.name
    await process.uploads.put_part(bucket, upload, number, body, make_hashers(), lambda digests, size: None, kind)


def test_a_part_that_is_sent_again_while_its_upload_is_completed() -> None:
    """A late part of the same bytes takes nothing from the object that is made of the one before it."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, part = await begin(process, bucket, b"k", b"A" * 300_000)
        store.meddle(lambda: send_part(process, bucket, upload, 1, b"A" * 300_000))
        await process.uploads.complete(bucket, b"k", upload.id, Completion([part]))
        assert await bytes_left(process) > 0
        assert await get(process, bucket, b"k") == b"A" * 300_000
        await process.objects.delete(bucket, b"k")
        assert await bytes_left(process) == 0 and await rows(process, PARTS, PAGES, UPLOADS, REFERENCES) == 0

    store.run(body)


def test_another_part_while_its_upload_is_completed() -> None:
    """A part that is replaced by other bytes is not the one that was listed any more."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, part = await begin(process, bucket, b"k", b"A" * 300_000)
        store.meddle(lambda: send_part(process, bucket, upload, 1, b"B" * 300_000))
        with pytest.raises(InvalidPart):
            await process.uploads.complete(bucket, b"k", upload.id, Completion([part]))
        assert [one.number for one in await process.uploads.parts(upload, 0, 10)] == [1]

    store.run(body)


def test_a_new_part_while_its_upload_is_completed() -> None:
    """A part that nobody listed, however late it comes, is freed."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, part = await begin(process, bucket, b"k", b"A" * 300_000)
        store.meddle(lambda: send_part(process, bucket, upload, 2, b"B" * 300_000))
        await process.uploads.complete(bucket, b"k", upload.id, Completion([part]))
        await process.objects.delete(bucket, b"k")
        assert await bytes_left(process) == 0 and await rows(process, PARTS, PAGES, UPLOADS, REFERENCES) == 0

    store.run(body)


async def rewrap(process: Process, bucket: Bucket, key: bytes, upload_id: bytes) -> None:
    """Write an upload's record again, as where its key is wrapped under a newer one."""
    name = keys.upload(bucket.id, key, upload_id)
    entry = await process.engine.get(name)
    assert entry is not None
    batch = Batch()
    batch.expect(name, entry.version)
    batch.put(name, entry.value)
    await process.engine.commit(batch)


def test_a_part_of_an_upload_that_is_wrapped_anew() -> None:
    """A part is stored although the record of its upload was written again meanwhile, and so is the whole."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, _ = await begin(process, bucket, b"k", b"one")
        store.meddle(lambda: rewrap(process, bucket, b"k", upload.id))
        await send_part(process, bucket, upload, 2, b"two")
        listed = [CompletePart(part.number, part.etag, {}) for part in await process.uploads.parts(upload, 0, 10)]
        assert len(listed) == 2
        store.meddle(lambda: rewrap(process, bucket, b"k", upload.id))
        await process.uploads.complete(bucket, b"k", upload.id, Completion(tuple(listed[:1])))
        assert await get(process, bucket, b"k") == b"one"
        assert await rows(process, UPLOADS) == 0

    store.run(body)


def test_a_version_that_rises_while_it_is_deleted() -> None:
    """A version that becomes the current one between two looks at its key is removed, or found, all the same."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        bucket = await versioned(process, bucket)
        older = (await put(process, bucket, b"k", b"old")).version
        finding = process.naming._of

        async def looked_at_late(at: Bucket, key: bytes, version: int, standing: Standing) -> Found | None:
            nonlocal newer
            if newer:
                gone, newer = newer, 0
                await process.naming.delete_version(at, key, gone, WriteConditions())
            return await finding(at, key, version, standing)

        process.naming._of = looked_at_late  # type: ignore[method-assign]
        newer = (await put(process, bucket, b"k", b"new")).version
        assert (await process.naming.find(bucket, b"k", older)).record.version == older
        newer = (await put(process, bucket, b"k", b"new")).version
        assert (await process.naming.delete_version(bucket, b"k", older, WriteConditions())).existed
        assert await rows(process, OBJECTS) == 0

    store.run(body)


def test_an_append_to_the_copy_of_an_upload() -> None:
    """A copy that shares the parts of an upload grows in pages of its own, also once it is the only one left."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        upload, first = await begin(process, bucket, b"k", b"a" * (5 << 20))
        await send_part(process, bucket, upload, 2, b"b" * 1000)
        parts = [CompletePart(part.number, part.etag, {}) for part in await process.uploads.parts(upload, 0, 10)]
        await process.uploads.complete(bucket, b"k", upload.id, Completion(tuple(parts)))
        found = await process.naming.current(bucket, b"k")
        assert found is not None and parts[0] == first
        await process.objects.copy(bucket, b"k", found, bucket, b"copy", Copied(Attributes(), "owner"))
        await process.objects.delete(bucket, b"k")
        await process.world.settle(process)
        await append(process, bucket, b"copy", b"c" * 10)
        await process.world.settle(process)
        assert await get(process, bucket, b"copy") == b"a" * (5 << 20) + b"b" * 1000 + b"c" * 10
        await process.objects.delete(bucket, b"copy")
        assert await bytes_left(process) == 0

    store.run(body)
