"""Owns what stands under one key, and how a change moves it: the current version, and those behind it. Pure.

A version that is replaced moves behind the current one; one that is removed makes room for the newest behind it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pyrite.metadata.kv import ABSENT, Batch
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.records import FORMAT, GarbageRecord, HeadRecord, ObjectRecord, encode


class Found(NamedTuple):
    """A version of an object, under which key its record stands, and the version of that."""

    record: ObjectRecord
    version: int
    name: bytes


class Standing(NamedTuple):
    """What stands under a key: its current version, and the record of those behind it with its version."""

    current: Found | None
    head: HeadRecord | None = None
    head_version: int = ABSENT

    @property
    def floor(self) -> int:
        """The stamp of the newest version; a new one gets a greater one."""
        current = self.current.record.version if self.current is not None else 0
        return max(current, self.head.newest if self.head is not None else 0)


class Change:
    """A change of what stands under `key`, written into `batch`; `finish` concludes it.

    It collects in `garbage` what loses its name.
    """

    def __init__(self, batch: Batch, bucket_id: int, key: bytes, standing: Standing) -> None:
        self._batch = batch
        self._bucket_id = bucket_id
        self._key = key
        self._standing = standing
        head = standing.head
        self._newest, self._null = (head.newest, head.null) if head is not None else (0, 0)
        self._objects = self._versions = self._bytes = 0
        self._object_key = keys.object_(bucket_id, key)
        batch.expect(self._object_key, standing.current.version if standing.current is not None else ABSENT)
        self.garbage: list[GarbageRecord] = []

    def watch_versions(self) -> None:
        """Apply only if nobody adds or removes a version behind the current one at the same time."""
        self._batch.expect(keys.head(self._bucket_id, self._key), self._standing.head_version)

    def set_current(self, record: ObjectRecord) -> None:
        """Make `record` the current version; the one before has to be retired or removed in the same change."""
        self._batch.put(self._object_key, encode(record))
        self._objects += 1
        self._bytes += record.weight_bytes

    def retire(self) -> None:
        """Move the current version behind the one that follows."""
        old = self._current.record
        self._clear_current()
        self._add(old)

    def remove_current(self) -> None:
        """Remove the current version."""
        old = self._current.record
        self._clear_current()
        self._discard(old)

    def give_up_bytes(self) -> None:
        """Take the current version's name away, and its bytes; its annotations get another name in the same batch."""
        old = self._current.record
        self._clear_current()
        self._discard_bytes(old)

    def hand_over(self) -> None:
        """Take the current version's name away; its bytes get another one in the same batch."""
        self._clear_current()

    @property
    def _current(self) -> Found:
        assert self._standing.current is not None
        return self._standing.current

    def _clear_current(self) -> None:
        self._batch.writes.setdefault(self._object_key, None)
        self._objects -= 1
        self._bytes -= self._current.record.weight_bytes

    def add_marker(self, marker: ObjectRecord) -> None:
        """Put a delete marker in front of all versions; there is no current one then."""
        self._add(marker)

    def _add(self, record: ObjectRecord) -> None:
        name = keys.version(self._bucket_id, self._key, record.version)
        self._batch.expect(name, ABSENT)
        self._batch.put(name, encode(record))
        self._versions += 1
        self._bytes += record.weight_bytes
        self._newest = record.version
        if not record.versioned:
            self._null = record.version

    def remove(self, found: Found) -> None:
        """Remove a version behind the current one."""
        self._take(found)
        self._discard(found.record)

    def _take(self, found: Found) -> None:
        self._batch.expect(found.name, found.version)
        self._batch.delete(found.name)
        self._versions -= 1
        self._bytes -= found.record.weight_bytes
        if found.record.version == self._null:
            self._null = 0

    def settle(self, newest: Sequence[Found], has_current: bool) -> None:
        """Say which are the `newest` two versions that are left behind; without a current one, the newest steps up."""
        left = list(newest)
        if not has_current and left and not left[0].record.marker:
            risen = left.pop(0)
            self._take(risen)
            self.set_current(risen.record)
            self.name_twice(risen.record)
        self._newest = left[0].record.version if left else 0

    def name_twice(self, record: ObjectRecord) -> None:
        """Give the bytes of `record`, whose name moves back in the order of names, another one that is given up.

        So whoever walks through all names meanwhile, first to last, finds them in one place or the other.
        """
        held = garbage_of(record)
        if held is not None:
            self._batch.add(keys.references(blob_id(held)), 1)
            self.garbage.append(held)

    def _discard(self, record: ObjectRecord) -> None:
        self._discard_bytes(record)
        if record.annotations is not None:
            self.garbage.append(GarbageRecord(FORMAT, annotations=record.annotations.id))

    def _discard_bytes(self, record: ObjectRecord) -> None:
        held = garbage_of(record)
        if held is not None:
            self.garbage.append(held)

    def finish(self, quota_bytes: int | None = None) -> None:
        """Write counters, which `quota_bytes` limits, and the record of the versions behind."""
        batch, bucket_id = self._batch, self._bucket_id
        if quota_bytes is not None:
            batch.limit(keys.usage_bytes(bucket_id), quota_bytes)
        batch.add(keys.usage_objects(bucket_id), self._objects)
        batch.add(keys.usage_versions(bucket_id), self._versions)
        batch.add(keys.usage_bytes(bucket_id), self._bytes)
        before = self._standing.head
        changed = (self._newest, self._null) != ((before.newest, before.null) if before is not None else (0, 0))
        if not changed and not self._versions:
            return
        name = keys.head(bucket_id, self._key)
        self.watch_versions()
        if self._newest:
            batch.put(name, encode(HeadRecord(FORMAT, self._newest, self._null)))
        else:
            batch.delete(name)


def above(record: ObjectRecord, standing: Standing, versioned: bool) -> ObjectRecord:
    """`record` with a stamp greater than that of every version of its key."""
    version = max(record.version, standing.floor + 1)
    if version == record.version and record.versioned == versioned:
        return record
    return msgspec.structs.replace(record, version=version, versioned=versioned)


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


def is_same(one: Standing, other: Standing) -> bool:
    """Whether nothing has changed under a key between two looks."""
    versions = [standing.current.version if standing.current is not None else ABSENT for standing in (one, other)]
    return versions[0] == versions[1] and one.head_version == other.head_version


def is_as_seen(found: Found | None, only: int, begun: int, bucket: Bucket) -> bool:
    """Whether the record of a version has the version `only` still, and that of its bucket the one that it had."""
    return found is not None and found.version == only and bucket.version == begun


def check_conditions(conditions: WriteConditions, found: Found | None) -> None:
    """Raises PreconditionFailed or NoSuchKey unless what stands there is as a write wants it."""
    conditions.check_found(found.record if found is not None else None)
