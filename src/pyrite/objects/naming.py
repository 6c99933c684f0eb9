"""Owns the one place where objects get and lose their names: the transaction behind every visible change."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pyrite.core.clock import HybridClock, stamp_ms
from pyrite.core.entropy import Entropy
from pyrite.metadata.kv import Batch, CeilingExceeded, Conflict, Engine, Prior, after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import QUOTA, Bucket, Buckets
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.errors import ConditionalConflict, NoSuchBucket, Outdated, QuotaExceeded
from pyrite.objects.events import SILENT, Cause, encode_event, event_key, events_of, tells_anybody
from pyrite.objects.finding import Finding
from pyrite.objects.locking import check_removal
from pyrite.objects.records import FORMAT, Attributes, GarbageRecord, ObjectRecord, decode_object, encode
from pyrite.objects.standing import Change, Found, Standing, above, check_conditions, is_as_seen, is_same
from pyrite.objects.versionids import id_of

ATTEMPTS = 64

Extra = Callable[[Batch], None]
Amend = Callable[[ObjectRecord], ObjectRecord]
Grow = Callable[[Batch, Change, Found | None, bool], Awaitable[ObjectRecord]]


class Removed(NamedTuple):
    """What a delete did: whether anything was there, the version that it made or removed, and whether that is a marker.

    `version_id` is "" where the bucket has no versions.
    """

    existed: bool
    version_id: str = ""
    marker: bool = False


class Naming(Finding):
    """Names objects: puts, replaces and deletes versions with their counters and garbage."""

    def __init__(self, engine: Engine, buckets: Buckets, clock: HybridClock, entropy: Entropy) -> None:
        super().__init__(engine)
        self._buckets = buckets
        self._clock = clock
        self._entropy = entropy

    def stamp(self) -> int:
        """A stamp greater than all before."""
        return self._clock.next()

    async def put(
        self,
        bucket: Bucket,
        key: bytes,
        record: ObjectRecord,
        conditions: WriteConditions,
        extra: Extra | None = None,
        prior: Prior | None = None,
        cause: Cause = SILENT,
    ) -> ObjectRecord:
        """Make `record` the current version of `key`, as which it is returned; what it replaces becomes garbage, or
        stands behind it where the bucket keeps versions.

        `extra` adds to the same transaction; an expectation that it adds and that fails raises Conflict. `prior`
        stores the bytes that the record names. Raises NoSuchBucket when the bucket is gone, PreconditionFailed,
        NoSuchKey, Locked, ConditionalConflict, and what `prior` raises.
        """
        for _ in range(ATTEMPTS):
            standing = await self.standing(bucket, key)
            check_conditions(conditions, standing.current)
            batch, change = self.begin(bucket, key, standing)
            batch.prior = prior
            if extra is not None:
                extra(batch)
            record = above(record, standing, bucket.record.versioning == "Enabled")
            await self.displace(bucket, key, standing, change)
            change.set_current(record)
            self.tell(batch, bucket, key, record, cause, standing)
            if await self.commit(batch, change, bucket, key):
                return record
            prior = None  # it is done: conflicts are found after it
            bucket = await self.again(bucket)
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    async def grow(
        self, bucket: Bucket, key: bytes, grow: Grow, conditions: WriteConditions, cause: Cause = SILENT
    ) -> ObjectRecord:
        """Put in place of the current version of `key` what `grow` makes of it.

        `grow` is given the batch, the change, the current version, and whether that one stays behind the new one; it
        says in the change what becomes of it. It is asked again when something that it expects has changed. Raises as
        `put`, and what `grow` raises.
        """
        for _ in range(ATTEMPTS):
            standing = await self.standing(bucket, key)
            current = standing.current
            check_conditions(conditions, current)
            batch, change = self.begin(bucket, key, standing)
            enabled = bucket.record.versioning == "Enabled"
            stays = current is not None and (enabled or current.record.versioned)
            if current is not None and not stays:
                check_removal(current.record, self.now_ms(), bypass=False)
            record = above(await grow(batch, change, current, stays), standing, enabled)
            await self._displace_null(bucket, key, standing, change)
            change.set_current(record)
            self.tell(batch, bucket, key, record, cause, standing)
            try:
                if await self.commit(batch, change, bucket, key):
                    return record
            except Conflict:
                pass
            bucket = await self.again(bucket)
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    async def delete(
        self,
        bucket: Bucket,
        key: bytes,
        conditions: WriteConditions,
        owner: str = "",
        only: int | None = None,
        cause: Cause = SILENT,
    ) -> Removed:
        """Delete the current version of `key`, or put a delete marker of `owner` in front of it. Raises as `put`.

        With `only`, nothing is done unless that is the version of the current one's record, and the bucket is as given.
        """
        begun = bucket.version
        for _ in range(ATTEMPTS):
            standing = await self.standing(bucket, key)
            if only is not None and not is_as_seen(standing.current, only, begun, bucket):
                return Removed(False)
            check_conditions(conditions, standing.current)
            if standing.current is None and not bucket.record.versioning:
                return Removed(False)
            batch, change = self.begin(bucket, key, standing)
            await self.displace(bucket, key, standing, change)
            removed = Removed(standing.current is not None)
            if bucket.record.versioning:
                marker = above(self._marker(owner), standing, bucket.record.versioning == "Enabled")
                change.add_marker(marker)
                removed = Removed(standing.current is not None, id_of(marker), True)
                self.tell(batch, bucket, key, marker, _of_removal(cause, "DeleteMarkerCreated"), standing)
            elif standing.current is not None:
                self.tell(batch, bucket, key, standing.current.record, _of_removal(cause, "Delete"), standing)
            if await self.commit(batch, change, bucket, key):
                return removed
            bucket = await self.again(bucket)
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    async def delete_version(
        self,
        bucket: Bucket,
        key: bytes,
        version: int,
        conditions: WriteConditions,
        bypass: bool = False,
        only: int | None = None,
        cause: Cause = SILENT,
    ) -> Removed:
        """Remove the version of that stamp, if it is there. `bypass` lifts governance retention. Raises as `put`.

        With `only`, nothing is done unless that is the version of its record, and the bucket is as given.
        """
        begun = bucket.version
        for _ in range(ATTEMPTS):
            standing = await self.standing(bucket, key)
            found = await self._of(bucket, key, version, standing)
            if found is None and not is_same(standing, await self.standing(bucket, key)):
                continue  # it may have risen, or moved back, between two looks
            check_conditions(conditions, found)
            if found is None or (only is not None and not is_as_seen(found, only, begun, bucket)):
                return Removed(False)
            check_removal(found.record, self.now_ms(), bypass)
            batch, change = self.begin(bucket, key, standing)
            is_current = found is standing.current
            if is_current:
                change.remove_current()
            else:
                change.remove(found)
            if standing.head is not None:
                change.watch_versions()
                has_current = standing.current is not None and not is_current
                change.settle(await self._newest(bucket, key, found), has_current)
            self.tell(batch, bucket, key, found.record, _of_removal(cause, "Delete"), standing)
            if await self.commit(batch, change, bucket, key):
                versioned = id_of(found.record) if bucket.record.versioning else ""
                return Removed(True, versioned, found.record.marker)
            bucket = await self.again(bucket)
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    async def amend(
        self,
        bucket: Bucket,
        key: bytes,
        version: int | None,
        amend: Amend,
        cause: Cause = SILENT,
        extra: Extra | None = None,
        only: int | None = None,
    ) -> ObjectRecord:
        """Change what a version's record says; `extra`, called after `amend`, adds to the same transaction.

        Nothing is done where `amend` gives back the very record that it was given. With `only`, raises Outdated unless
        that is the version of the record, and the bucket is as given. Raises as `find`, and what `amend` raises.
        """
        begun = bucket.version
        for _ in range(ATTEMPTS):
            found = await self.find(bucket, key, version)
            if only is not None and not is_as_seen(found, only, begun, bucket):
                raise Outdated(key.decode("utf-8", "replace"))
            changed = amend(found.record)
            if changed is found.record:
                return changed
            batch = Batch()
            batch.expect(found.name, found.version)
            batch.expect(keys.bucket(bucket.record.name), bucket.version)  # who deletes it takes its objects with it
            batch.put(found.name, encode(changed))
            if extra is not None:
                extra(batch)
            self.tell(batch, bucket, key, changed, cause, Standing(found))
            try:
                await self._engine.commit(batch)
                return changed
            except Conflict:
                bucket = await self.again(bucket)
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    def begin(self, bucket: Bucket, key: bytes, standing: Standing) -> tuple[Batch, Change]:
        """A batch that depends on the bucket, and in it a change of what stands under `key`."""
        batch = Batch()
        batch.expect(keys.bucket(bucket.record.name), bucket.version)
        change = Change(batch, bucket.id, key, standing)
        if bucket.record.versioning:
            change.watch_versions()
        return batch, change

    async def displace(self, bucket: Bucket, key: bytes, standing: Standing, change: Change) -> None:
        """Move the current version out of the way, and remove the null version where a new one takes its place."""
        enabled, current = bucket.record.versioning == "Enabled", standing.current
        if current is not None:
            if enabled or current.record.versioned:
                change.retire()
            else:
                check_removal(current.record, self.now_ms(), bypass=False)
                change.remove_current()
        await self._displace_null(bucket, key, standing, change)

    async def _displace_null(self, bucket: Bucket, key: bytes, standing: Standing, change: Change) -> None:
        """Remove a null version behind the current one where a new one takes its place."""
        head = standing.head
        if head is not None and head.null and bucket.record.versioning != "Enabled":
            null = await self._found(keys.version(bucket.id, key, head.null))
            if null is not None:
                check_removal(null.record, self.now_ms(), bypass=False)
                change.remove(null)
                if standing.current is None and head.newest == head.null:  # a delete marker stood in front
                    change.settle(await self._newest(bucket, key, null), has_current=True)

    async def _newest(self, bucket: Bucket, key: bytes, removed: Found) -> list[Found]:
        """The two newest versions behind the current one, but for the one that is being removed."""
        prefix = keys.versions_of(bucket.id, key)
        rows = await self._engine.scan(prefix, after_prefix(prefix), 3)
        found = [Found(decode_object(row.value), row.version, row.key) for row in rows if row.key != removed.name]
        return found[:2]

    def _marker(self, owner: str) -> ObjectRecord:
        version = self._clock.next()
        modified_ms = stamp_ms(version)
        return ObjectRecord(FORMAT, 0, "", modified_ms, "", None, version, (), Attributes(), owner, marker=True)

    async def commit(self, batch: Batch, change: Change, bucket: Bucket, key: bytes) -> bool:
        """Whether it was committed; False where somebody changed the bucket or the key. Raises Conflict for others."""
        quota = bucket.record.configurations.get(QUOTA)
        change.finish(int(quota) if quota is not None else None)
        for garbage in change.garbage:
            self.discard(batch, garbage)
        try:
            await self._engine.commit(batch)
        except CeilingExceeded as error:
            raise QuotaExceeded(error.most) from None
        except Conflict as conflict:
            own = (keys.bucket(bucket.record.name), keys.object_(bucket.id, key), keys.head(bucket.id, key))
            if conflict.key not in own and not conflict.key.startswith(keys.versions_of(bucket.id, key)):
                raise
            return False
        return True

    def tell(
        self, batch: Batch, bucket: Bucket, key: bytes, record: ObjectRecord, cause: Cause, standing: Standing
    ) -> None:
        """Have the event that a change makes commit with it, where the bucket tells anybody."""
        if not cause.event or not tells_anybody(bucket):
            return
        self._clock.observe(max(standing.floor, record.version))  # events of a key have the order of its changes
        stamp = self._clock.next()
        for target, event in events_of(bucket, key, record, cause, stamp, stamp_ms(stamp)):
            batch.put(event_key(target, stamp, self._entropy.bytes(4)), encode_event(event))

    async def again(self, bucket: Bucket) -> Bucket:
        """The bucket's record of now. Raises NoSuchBucket when it was deleted, even if made again since."""
        found = await self._buckets.find(bucket.record.name)
        if found.id != bucket.id:
            raise NoSuchBucket(bucket.record.name)
        return found

    def now_ms(self) -> int:
        """The time, as the clock of stamps tells it."""
        return stamp_ms(self._clock.next())

    def discard(self, batch: Batch, garbage: GarbageRecord | None) -> None:
        """Have `garbage` freed after the transaction."""
        if garbage is not None:
            batch.put(keys.garbage(self._clock.next(), self._entropy.bytes(4)), encode(garbage))


def _of_removal(cause: Cause, kind: str) -> Cause:
    """The cause of a removal, whose event depends on what it does."""
    return cause._replace(event=f"{cause.event}:{kind}") if cause.event else cause
