"""Owns buckets: creating, finding, listing and deleting them."""

import contextlib
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.entropy import Entropy, random_id
from pyrite.core.lru import LruMap
from pyrite.metadata.keyspaces import BUCKETS
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, after_prefix, decode_counter
from pyrite.metadata.rules import Rules
from pyrite.objects import keys
from pyrite.objects.errors import (
    BucketExists,
    BucketNotEmpty,
    ConditionalConflict,
    InvalidBucketName,
    NoSuchBucket,
    TooMuchConfigured,
)
from pyrite.objects.records import FORMAT, BucketRecord, GarbageRecord, Grant, decode_bucket, encode

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_DECODED_KEPT = 1024
RECORD_MAX_BYTES = 1 << 20
"""The largest record of a bucket, with all that is configured for it: every request to the bucket reads it."""
_SCAN_ROWS = 1000
DECODED_BYTES_MAX = 3 << 20
"""How much a process remembers of buckets."""
_ATTEMPTS = 64
_FORBIDDEN_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_FORBIDDEN_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class Bucket(NamedTuple):
    """A bucket and the version of its record, on which every write to the bucket depends."""

    id: int
    record: BucketRecord
    version: int

    @property
    def weight(self) -> int:
        """About how many bytes it takes, with what is configured for it."""
        record = self.record
        return 1024 + len(record.policy) + sum(map(len, record.configurations.values()))


QUOTA = "quota"
"""The configuration of a bucket that says how many bytes it may hold, in decimal."""


class Access(NamedTuple):
    """What a bucket says from the start of who may use it."""

    acl: tuple[Grant, ...] | None
    ownership: str
    public_block: int


CLOSED = Access(None, "BucketOwnerEnforced", 15)
"""What AWS makes of a new bucket: no access control lists, and nothing public."""


class Usage(NamedTuple):
    """What a bucket holds: current objects, the bytes of all versions, and the versions behind the current ones."""

    objects: int
    size_bytes: int
    versions: int = 0


def check_name(name: str) -> None:
    """Raises InvalidBucketName unless `name` follows AWS's rules for general purpose buckets."""
    if not _NAME.match(name) or ".." in name or ".-" in name or "-." in name:
        raise InvalidBucketName(name)
    if name.startswith(_FORBIDDEN_PREFIXES) or name.endswith(_FORBIDDEN_SUFFIXES):
        raise InvalidBucketName(name)
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return
    raise InvalidBucketName(name)


class Buckets:
    """The buckets of the store."""

    def __init__(self, engine: Engine, clock: HybridClock, entropy: Entropy, rules: Rules | None = None) -> None:
        self._engine = engine
        self._rules = rules or Rules(engine, entropy)
        self._clock = clock
        self._entropy = entropy
        self._decoded: LruMap[bytes, Bucket] = LruMap(_DECODED_KEPT, weight_max=DECODED_BYTES_MAX)

    async def find(self, name: str) -> Bucket:
        """The bucket called `name`. Raises NoSuchBucket."""
        raw = name.encode()
        entry = await self._engine.get(BUCKETS + raw)
        if entry is None:
            self._decoded.pop(raw)
            raise NoSuchBucket(name)
        known = self._decoded.get(raw)
        if known is not None and known.version == entry.version:
            return known
        record = decode_bucket(entry.value)
        bucket = Bucket(record.id, record, entry.version)
        self._decoded.put(raw, bucket, bucket.weight)
        return bucket

    def is_outdated(self, bucket: Bucket) -> bool:
        """Whether this process has seen another record of the bucket since."""
        known = self._decoded.get(bucket.record.name.encode())
        return known is not None and known.version != bucket.version

    async def create(
        self,
        name: str,
        owner: str,
        location: str,
        access: Access = CLOSED,
        lock: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> Bucket:
        """Make a bucket; with `lock` one that keeps versions, which can be locked.

        Raises InvalidBucketName or BucketExists.
        """
        check_name(name)
        key = keys.bucket(name)
        created_ms = stamp_ms(self._clock.next())
        record = BucketRecord(
            FORMAT,
            random_id(self._entropy),
            name,
            owner,
            created_ms,
            location,
            "",
            access.acl,
            access.ownership,
            access.public_block,
            dict(tags or {}),
            versioning="Enabled" if lock else "",
            lock=lock,
        )
        for _ in range(_ATTEMPTS):
            batch = Batch()
            batch.expect(key, ABSENT)
            batch.put(key, encode(record))
            self._rules.note(batch)
            try:
                await self._engine.commit(batch)
                self._rules.tell()
                return await self._made(record)
            except Conflict:
                with contextlib.suppress(NoSuchBucket):  # deleted again: then it can be made
                    existing = await self.find(name)
                    raise BucketExists(existing.record.owner == owner) from None
        raise ConditionalConflict(name)

    async def _made(self, record: BucketRecord) -> Bucket:
        """The bucket that was just made, also where somebody has deleted it already."""
        with contextlib.suppress(NoSuchBucket):
            found = await self.find(record.name)
            if found.id == record.id:
                return found
        return Bucket(record.id, record, ABSENT)

    async def change(self, bucket: Bucket, **fields: object) -> Bucket:
        """Replace fields of a bucket's record. Raises NoSuchBucket when it was deleted meanwhile."""
        return await self.edit(bucket, lambda record: msgspec.structs.replace(record, **fields))

    async def configure(self, bucket: Bucket, name: str, text: str | None, decides: bool = True) -> Bucket:
        """Keep the configuration called `name`, or none. Raises NoSuchBucket when the bucket was deleted meanwhile.

        `decides` as for `edit`.
        """

        def edit(record: BucketRecord) -> BucketRecord:
            kept = {key: value for key, value in record.configurations.items() if key != name}
            if text is not None:
                kept[name] = text
            return msgspec.structs.replace(record, configurations=kept)

        return await self.edit(bucket, edit, decides)

    async def edit(self, bucket: Bucket, edit: Callable[[BucketRecord], BucketRecord], decides: bool = True) -> Bucket:
        """Replace a bucket's record by what `edit` makes of it. Raises as `change`, and what `edit` raises.

        What `decides` who may do what makes every process forget what it has decided.
        """
        for _ in range(_ATTEMPTS):
            batch = Batch()
            key = keys.bucket(bucket.record.name)
            batch.expect(key, bucket.version)
            record = encode(edit(bucket.record))
            if len(record) > RECORD_MAX_BYTES and len(record) > len(encode(bucket.record)):
                raise TooMuchConfigured(f"what is configured for a bucket has at most {RECORD_MAX_BYTES} bytes")
            batch.put(key, record)
            if decides:
                self._rules.note(batch)
            try:
                await self._engine.commit(batch)
                if decides:
                    self._rules.tell()
                return await self._same(bucket)
            except Conflict:
                bucket = await self._same(bucket)
        raise ConditionalConflict(bucket.record.name)

    async def _same(self, bucket: Bucket) -> Bucket:
        found = await self.find(bucket.record.name)
        if found.id != bucket.id:
            raise NoSuchBucket(bucket.record.name)
        return found

    async def delete(self, name: str, bucket_id: int | None = None) -> None:
        """Delete an empty bucket; uploads under way in it are aborted. Raises NoSuchBucket, BucketNotEmpty.

        With `bucket_id`, only if it is still this one.
        """
        for _ in range(_ATTEMPTS):
            bucket = await self.find(name)
            if bucket_id not in (None, bucket.id):
                raise NoSuchBucket(name)
            batch = Batch()
            batch.expect(keys.bucket(name), bucket.version)
            batch.delete(keys.bucket(name))
            for counter in (keys.usage_objects(bucket.id), keys.usage_versions(bucket.id)):
                count = await self._engine.get(counter)
                if decode_counter(count.value if count else None):
                    raise BucketNotEmpty(name, bool(bucket.record.versioning))
                batch.expect(counter, count.version if count else ABSENT)
                batch.delete(counter)
            batch.delete(keys.usage_bytes(bucket.id))
            garbage = GarbageRecord(FORMAT, bucket=bucket.id)
            batch.put(keys.garbage(self._clock.next(), self._entropy.bytes(4)), encode(garbage))
            self._rules.note(batch)
            try:
                await self._engine.commit(batch)
                self._rules.tell()
                return
            except Conflict:
                continue
        raise ConditionalConflict(name)

    async def list(self, prefix: str, after: str, limit: int, owner: str | None = None) -> list[BucketRecord]:
        """At most `limit` buckets (of `owner`, if given) whose names start with `prefix` and come after `after`."""
        start = max(keys.bucket(prefix), keys.bucket(after) + b"\0" if after else b"")
        found: list[BucketRecord] = []
        while len(found) < limit:
            rows = await self._engine.scan(start, after_prefix(keys.bucket(prefix)), _SCAN_ROWS)
            records = [decode_bucket(row.value) for row in rows]
            found += [record for record in records if owner is None or record.owner == owner]
            if len(rows) < _SCAN_ROWS:
                break
            start = rows[-1].key + b"\0"
        return found[:limit]

    async def usage(self, bucket_id: int) -> Usage:
        """How many objects and bytes a bucket holds, exactly."""
        objects = await self._engine.get(keys.usage_objects(bucket_id))
        size = await self._engine.get(keys.usage_bytes(bucket_id))
        versions = await self._engine.get(keys.usage_versions(bucket_id))
        return Usage(*(decode_counter(entry.value if entry else None) for entry in (objects, size, versions)))
