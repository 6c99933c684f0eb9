"""Owns renames: an object's current version gets another key, in one step that nobody sees half of."""

from collections.abc import Callable

from pyrite.metadata.kv import Conflict
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import ConditionalConflict, NoSuchKey, VersionsKept
from pyrite.objects.events import SILENT, Cause
from pyrite.objects.locking import check_removal
from pyrite.objects.naming import ATTEMPTS, Naming
from pyrite.objects.records import ObjectRecord
from pyrite.objects.standing import Change, above

Check = Callable[[ObjectRecord | None], None]


async def rename(
    naming: Naming,
    bucket: Bucket,
    source: bytes,
    target: bytes,
    source_check: Check,
    check: Check,
    causes: tuple[Cause, Cause] = (SILENT, SILENT),
) -> None:
    """Give the current object of `source` the key `target`; no byte moves, and nobody sees both or neither.

    The checks see what stands under each key, None for nothing; `causes` are those of the name that goes and of the
    one that comes. Raises NoSuchKey, VersionsKept where the bucket
    keeps versions, what the checks raise, and as `put`.
    """
    for _ in range(ATTEMPTS):
        if bucket.record.versioning:
            raise VersionsKept(bucket.record.name)
        old, new = await naming.standing(bucket, source), await naming.standing(bucket, target)
        source_check(old.current.record if old.current is not None else None)
        check(new.current.record if new.current is not None else None)
        if old.current is None:
            raise NoSuchKey(source.decode("utf-8", "replace"))
        check_removal(old.current.record, naming.now_ms(), bypass=False)
        batch, leaving = naming.begin(bucket, source, old)
        leaving.hand_over()
        arriving = Change(batch, bucket.id, target, new)
        await naming.displace(bucket, target, new, arriving)
        record = above(old.current.record, new, versioned=False)
        arriving.set_current(record)
        naming.tell(batch, bucket, source, old.current.record, causes[0], old)
        naming.tell(batch, bucket, target, record, causes[1], new)
        if not old.current.record.upload:  # pages stay where they are
            arriving.name_twice(old.current.record)
        leaving.finish()
        try:
            if await naming.commit(batch, arriving, bucket, target):
                return
        except Conflict as conflict:
            if conflict.key != keys.object_(bucket.id, source):
                raise
        bucket = await naming.again(bucket)
    raise ConditionalConflict(target.decode("utf-8", "replace"))
