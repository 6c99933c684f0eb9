"""Owns doing what lifecycle rules say: a walk over the versions of the buckets that have rules, a page at a time.

A walk remembers where it is, and goes on there. Whatever it decides is done only if what it saw still stands: an object
that was overwritten meanwhile is left alone. Locks hold.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pyrite.core.errors import Corrupt, OutOfSpace, PyriteError, Unavailable
from pyrite.metadata.kv import Engine, Row, after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.conditions import ALWAYS
from pyrite.objects.errors import Locked, NoSuchBucket, NoSuchUpload, ObjectsError
from pyrite.objects.events import SILENT, Cause
from pyrite.objects.listing import AllVersions
from pyrite.objects.naming import Naming
from pyrite.objects.records import ObjectRecord, decode_object, decode_upload
from pyrite.objects.uploads import Uploads
from pyrite.objects.versionids import NULL
from pyrite.services.lifecyclerules import DAY_S, MINIMUM, Rule, Transition, class_at, moving, rules_in
from pyrite.services.transitions import Mover, Route

PAGE_ROWS = 500
CONFIGURATION = "lifecycle"
EXPIRED, TRANSITIONED = Cause("s3:LifecycleExpiration", "lifecycle"), Cause("s3:LifecycleTransition", "lifecycle")


class Seen(NamedTuple):
    """The version before in the order of a walk: its key, when it was made, and how many of the key are newer."""

    key: bytes
    modified_ms: int
    newer: int


class Version(NamedTuple):
    """A version as a walk sees it: its key, its record, and the version of that, which tells whether it still is so."""

    key: bytes
    record: ObjectRecord
    row: int

    @property
    def stamp(self) -> int:
        """What names it among the versions of its key."""
        return self.record.version if self.record.versioned else NULL


class Walk(NamedTuple):
    """Where a walk through a bucket is."""

    bucket: str
    start: bytes
    seen: Seen | None
    uploads: bool = False


class Lifecycle:
    """Does what the rules of all buckets say. `day_s` is how long a day of theirs is."""

    def __init__(
        self,
        engine: Engine,
        buckets: Buckets,
        naming: Naming,
        uploads: Uploads,
        now_ms: Callable[[], int],
        day_s: float = DAY_S,
        mover: Mover | None = None,
    ) -> None:
        self._mover = mover
        self._engine = engine
        self._buckets = buckets
        self._naming = naming
        self._uploads = uploads
        self._now_ms = now_ms
        self._day_s = day_s
        self._walk: Walk | None = None
        self._next_ms = 0
        self._closed: set[Route] = set()
        self._trouble: PyriteError | None = None
        self.done: Counter[str] = Counter()

    @property
    def is_busy(self) -> bool:
        """Whether a walk is under way."""
        return self._walk is not None

    async def step(self) -> int:
        """One page of the walk, or the beginning of the next once it is time; how many things were done."""
        if self._walk is None:
            if self._now_ms() < self._next_ms:
                return 0
            self._next_ms = self._now_ms() + max(int(self._day_s * 1000 / 24), 1000)
            self._walk = await self._next_bucket("")
            self._closed, self._trouble = set(), None
            return 0
        walk = self._walk
        try:
            bucket = await self._buckets.find(walk.bucket)
            rules = tuple(rule for rule in _rules_of(bucket) if rule.enabled)
            done = await (self._uploads_page(walk, bucket, rules) if walk.uploads else self._page(walk, bucket, rules))
        except (ObjectsError, PyriteError):
            self._walk = await self._next_bucket(walk.bucket)
            raise
        if self._walk is None and self._trouble is not None:
            raise self._trouble
        return done

    async def _next_bucket(self, after: str) -> Walk | None:
        """Where the walk goes on behind the bucket called `after`."""
        while records := await self._buckets.list("", after, 100):
            for record in records:
                if CONFIGURATION in record.configurations or (self._mover is not None and self._mover.has_tiers):
                    return Walk(record.name, keys.versions(record.id), None)
            after = records[-1].name
        return None

    # ---- objects

    async def _page(self, walk: Walk, bucket: Bucket, rules: tuple[Rule, ...]) -> int:
        end = after_prefix(keys.versions(bucket.id))
        rows = await AllVersions(self._engine, bucket.id).scan(walk.start, end, PAGE_ROWS + 1)
        seen, done = walk.seen, 0
        for n, row in enumerate(rows[:PAGE_ROWS]):
            key, record = keys.split_version(row.key)[0], decode_object(row.value)
            version = Version(key, record, row.version)
            newer = seen.newer + 1 if seen is not None and seen.key == key else 0
            alone = newer == 0 and (n + 1 == len(rows) or keys.split_version(rows[n + 1].key)[0] != key)
            done += await self._try_to_look_at(bucket, rules, version, seen if newer else None, alone)
            seen = Seen(key, record.modified_ms, newer)
        if len(rows) > PAGE_ROWS:
            self._walk = Walk(walk.bucket, rows[PAGE_ROWS].key, seen)
        else:
            self._walk = Walk(walk.bucket, keys.uploads(bucket.id), None, uploads=True)
        return done

    async def _try_to_look_at(
        self, bucket: Bucket, rules: tuple[Rule, ...], version: Version, before: Seen | None, alone: bool
    ) -> int:
        """As `_look_at`; what is locked, damaged or not so any more is left alone, and holds up nothing else."""
        try:
            return await self._look_at(bucket, rules, version, before, alone)
        except NoSuchBucket:
            raise
        except Locked:
            self.done["locked"] += 1
        except Corrupt as error:
            self._trouble = error
            self.done["not_moved"] += 1
        except ObjectsError:
            self.done["changed_meanwhile"] += 1
        return 0

    async def _look_at(
        self, bucket: Bucket, rules: tuple[Rule, ...], version: Version, before: Seen | None, alone: bool
    ) -> int:
        """Do what the rules say of one version; `before` is the next newer one, None for the newest."""
        key, record, _ = version
        name, tags = key.decode("utf-8", "replace"), record.attributes.tags
        speaking = [rule for rule in rules if rule.filter.matches(name, record.size_bytes, tags)]
        if record.marker:
            speaking = [rule for rule in rules if name.startswith(rule.filter.prefix) and not rule.filter.is_by_content]
        if before is not None:
            return await self._look_at_noncurrent(bucket, speaking, version, before)
        if record.marker:
            return await self._expire_marker(bucket, speaking, version) if alone else 0
        if any(self._is_due(rule, record.modified_ms) for rule in speaking):
            owner = bucket.record.owner
            removed = await self._naming.delete(bucket, key, ALWAYS, owner, only=version.row, cause=EXPIRED)
            self.done["expired"] += removed.existed
            return int(removed.existed)
        least = bucket.record.configurations.get(MINIMUM, "")
        transitions = [one for rule in speaking for one in moving(rule, rule.transitions, record.size_bytes, least)]
        return await self._transition(bucket, version, transitions, record.modified_ms)

    def _is_due(self, rule: Rule, from_ms: int) -> bool:
        due = rule.expiration.due_ms(from_ms, self._day_s)
        return due is not None and due <= self._now_ms()

    async def _expire_marker(self, bucket: Bucket, rules: list[Rule], version: Version) -> int:
        """Remove a delete marker behind which nothing is left."""
        if not any(rule.expires_markers or self._is_due(rule, version.record.modified_ms) for rule in rules):
            return 0
        return await self._remove(bucket, version, "expired_markers")

    async def _look_at_noncurrent(self, bucket: Bucket, rules: list[Rule], version: Version, before: Seen) -> int:
        for rule in rules:
            due = rule.noncurrent_expiration.due_ms(before.modified_ms, self._day_s)
            if due is not None and due <= self._now_ms() and before.newer >= rule.noncurrent_newer:
                return await self._remove(bucket, version, "noncurrent_expired")
        if version.record.marker:
            return 0
        least, size = bucket.record.configurations.get(MINIMUM, ""), version.record.size_bytes
        transitions = [one for rule in rules for one in moving(rule, rule.noncurrent_transitions, size, least)]
        return await self._transition(bucket, version, transitions, before.modified_ms, before.newer)

    async def _remove(self, bucket: Bucket, version: Version, what: str) -> int:
        removed = await self._naming.delete_version(
            bucket, version.key, version.stamp, ALWAYS, only=version.row, cause=EXPIRED
        )
        self.done[what] += removed.existed
        return int(removed.existed)

    async def _transition(
        self,
        bucket: Bucket,
        version: Version,
        transitions: list[Transition],
        from_ms: int,
        newer: int | None = None,
    ) -> int:
        more = () if newer is None else (newer,)
        record = version.record
        wanted = class_at(transitions, record.storage_class, from_ms, self._now_ms(), self._day_s, *more)
        if wanted == record.storage_class:
            if self._mover is None or not await self._mover.is_misplaced(record):
                return 0
            return await self._move(self._mover, bucket, version, wanted)
        if self._mover is not None and self._mover.takes(wanted) and record.size_bytes:
            return await self._move(self._mover, bucket, version, wanted)

        def change(found: ObjectRecord) -> ObjectRecord:
            attributes = msgspec.structs.replace(found.attributes, storage_class=wanted)
            return msgspec.structs.replace(found, storage_class=wanted, attributes=attributes, restored_until_ms=0)

        stamp = version.stamp if bucket.record.versioning else None
        await self._naming.amend(bucket, version.key, stamp, change, TRANSITIONED, only=version.row)
        self.done["transitioned"] += 1
        return 1

    async def _move(self, mover: Mover, bucket: Bucket, version: Version, wanted: str) -> int:
        """Have the bytes where the class `wanted` has them. A place that fails is not asked again in this walk; what
        goes elsewhere is not held up.
        """
        route = await mover.route(version.record, wanted)
        if route in self._closed:
            return 0
        cause = SILENT if wanted == version.record.storage_class else TRANSITIONED
        stamp = version.stamp if bucket.record.versioning else None
        try:
            await mover.move(bucket, version.key, stamp, version.record, wanted, cause, version.row)
        except (Unavailable, OutOfSpace) as error:
            self._closed.add(route)
            self._trouble = error
            self.done["not_moved"] += 1
            return 0
        self.done["moved"] += 1
        return 1

    # ---- uploads

    async def _uploads_page(self, walk: Walk, bucket: Bucket, rules: tuple[Rule, ...]) -> int:
        aborting = [rule for rule in rules if rule.abort_after_days is not None]
        rows: list[Row] = []
        if aborting:
            rows = await self._engine.scan(walk.start, after_prefix(keys.uploads(bucket.id)), PAGE_ROWS)
        done = 0
        for row in rows:
            key, upload_id = keys.split_upload(row.key)
            begun_ms = decode_upload(row.value).initiated_ms
            if any(self._is_over(rule, key, begun_ms) for rule in aborting):
                try:
                    await self._uploads.abort(bucket, key, upload_id)
                    done += 1
                except NoSuchUpload:
                    continue
        self.done["aborted_uploads"] += done
        if len(rows) == PAGE_ROWS:
            self._walk = walk._replace(start=rows[-1].key + b"\0")
        else:
            self._walk = await self._next_bucket(walk.bucket)
        return done

    def _is_over(self, rule: Rule, key: bytes, begun_ms: int) -> bool:
        assert rule.abort_after_days is not None
        due_ms = begun_ms + int(rule.abort_after_days * self._day_s * 1000)
        return due_ms <= self._now_ms() and key.decode("utf-8", "replace").startswith(rule.filter.prefix)


def _rules_of(bucket: Bucket) -> tuple[Rule, ...]:
    text = bucket.record.configurations.get(CONFIGURATION)
    return () if text is None else rules_in(text)
