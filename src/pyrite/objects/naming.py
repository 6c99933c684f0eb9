"""Owns the one place where objects get and lose their names: the transaction behind every visible change."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pyrite.core.clock import HybridClock
from pyrite.core.entropy import Entropy
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, Prior
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.errors import ConditionalConflict, InvalidKey, KeyTooLong, NoSuchBucket, NoSuchKey
from pyrite.objects.records import FORMAT, GarbageRecord, ObjectRecord, decode_object, encode

KEY_MAX_BYTES = 1024
_ATTEMPTS = 64


class Found(NamedTuple):
    """A current object and the version of its record."""

    record: ObjectRecord
    version: int


Extra = Callable[[Batch], None]


def check_key(key: bytes) -> None:
    """Raises KeyTooLong or InvalidKey."""
    if len(key) > KEY_MAX_BYTES:
        raise KeyTooLong(str(len(key)))
    if not key.isascii():
        try:
            key.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidKey(repr(key)) from error


class Naming:
    """Names objects: puts, replaces and deletes current versions with their counters and garbage."""

    def __init__(self, engine: Engine, buckets: Buckets, clock: HybridClock, entropy: Entropy) -> None:
        self._engine = engine
        self._buckets = buckets
        self._clock = clock
        self._entropy = entropy

    async def current(self, bucket: Bucket, key: bytes) -> Found | None:
        """The current object of `key`, or None."""
        entry = await self._engine.get(keys.object_(bucket.id, key))
        return None if entry is None else Found(decode_object(entry.value), entry.version)

    async def put(
        self,
        bucket: Bucket,
        key: bytes,
        record: ObjectRecord,
        conditions: WriteConditions,
        extra: Extra | None = None,
        prior: Prior | None = None,
    ) -> None:
        """Make `record` the current object of `key`; what it replaces becomes garbage.

        `extra` adds to the same transaction; an expectation that it adds and that fails raises Conflict. `prior`
        stores the bytes that the record names. Raises NoSuchBucket when the bucket is gone, PreconditionFailed,
        NoSuchKey, ConditionalConflict, and what `prior` raises.
        """
        await self._change(bucket, key, record, conditions, extra, prior)

    async def delete(self, bucket: Bucket, key: bytes, conditions: WriteConditions) -> bool:
        """Delete the current object of `key`; False when there was none. Raises as `put`."""
        return await self._change(bucket, key, None, conditions, None, None)

    async def retag(self, bucket: Bucket, key: bytes, tags: dict[str, str]) -> None:
        """Replace the tags of the current object of `key`, and nothing else. Raises NoSuchKey or NoSuchBucket."""
        object_key, bucket_key = keys.object_(bucket.id, key), keys.bucket(bucket.record.name)
        for _ in range(_ATTEMPTS):
            entry = await self._engine.get(object_key)
            if entry is None:
                raise NoSuchKey(key.decode("utf-8", "replace"))
            record = decode_object(entry.value)
            attributes = msgspec.structs.replace(record.attributes, tags=tags)
            batch = Batch()
            batch.expect(object_key, entry.version)
            batch.expect(bucket_key, bucket.version)  # a bucket that goes takes its objects with it
            batch.put(object_key, encode(msgspec.structs.replace(record, attributes=attributes)))
            try:
                await self._engine.commit(batch)
                return
            except Conflict as conflict:
                if conflict.key == bucket_key:
                    bucket = await self._again(bucket)
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    async def _change(
        self,
        bucket: Bucket,
        key: bytes,
        record: ObjectRecord | None,
        conditions: WriteConditions,
        extra: Extra | None,
        prior: Prior | None,
    ) -> bool:
        object_key = keys.object_(bucket.id, key)
        bucket_key = keys.bucket(bucket.record.name)
        for _ in range(_ATTEMPTS):
            entry = await self._engine.get(object_key)
            old = decode_object(entry.value) if entry is not None else None
            if old is None:
                conditions.check(None)
                if record is None:
                    return False
            else:
                conditions.check(old.etag, old.modified_ms, old.size_bytes)
            batch = Batch()
            batch.prior = prior
            batch.expect(bucket_key, bucket.version)
            batch.expect(object_key, entry.version if entry is not None else ABSENT)
            if extra is not None:
                extra(batch)
            self._describe(batch, bucket, object_key, old, record)
            try:
                await self._engine.commit(batch)
                return old is not None
            except Conflict as conflict:
                prior = None  # it is done: conflicts are found after it
                if conflict.key == bucket_key:
                    bucket = await self._again(bucket)
                elif conflict.key != object_key:
                    raise
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    async def _again(self, bucket: Bucket) -> Bucket:
        """The bucket's record of now. Raises NoSuchBucket when it was deleted, even if made again since."""
        found = await self._buckets.find(bucket.record.name)
        if found.id != bucket.id:
            raise NoSuchBucket(bucket.record.name)
        return found

    def _describe(
        self, batch: Batch, bucket: Bucket, object_key: bytes, old: ObjectRecord | None, new: ObjectRecord | None
    ) -> None:
        if new is not None:
            batch.put(object_key, encode(new))
        else:
            batch.delete(object_key)
        if old is not None:
            self.discard(batch, garbage_of(old))
        count = (new is not None) - (old is not None)
        size = (new.size_bytes if new is not None else 0) - (old.size_bytes if old is not None else 0)
        batch.add(keys.usage_objects(bucket.id), count)
        batch.add(keys.usage_bytes(bucket.id), size)

    def discard(self, batch: Batch, garbage: GarbageRecord | None) -> None:
        """Have `garbage` freed after the transaction."""
        if garbage is not None:
            batch.put(keys.garbage(self._clock.next(), self._entropy.bytes(4)), encode(garbage))


def garbage_of(record: ObjectRecord) -> GarbageRecord | None:
    """What has to be freed when `record` loses its name; None when it holds no bytes."""
    if record.upload:
        return GarbageRecord(FORMAT, upload=record.upload, page_count=len(record.pages))
    if record.extents:
        return GarbageRecord(FORMAT, extents=record.extents)
    return None


def blob_id(garbage: GarbageRecord) -> bytes:
    """Under which id references to these bytes are counted: the pages' upload, or where the blob begins."""
    if garbage.upload:
        return garbage.upload
    first = garbage.extents[0]
    return first.volume.to_bytes(8, "big") + first.offset.to_bytes(8, "big")
