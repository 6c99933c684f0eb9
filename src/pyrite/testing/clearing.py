"""Owns emptying a simulated bucket: nothing in it may stay behind."""

import msgspec

from pyrite.metadata.keyspaces import VERSIONS
from pyrite.metadata.kv import after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import ALWAYS
from pyrite.objects.errors import NoSuchUpload
from pyrite.objects.records import ObjectRecord, decode_object
from pyrite.objects.versionids import NULL
from pyrite.testing.world import Process


def _freed(record: ObjectRecord) -> ObjectRecord:
    return msgspec.structs.replace(record, lock=None)


async def clear(process: Process, bucket: Bucket) -> None:
    """Lift every hold, delete every version of every object and abort every upload."""
    for space in (keys.objects(bucket.id), keys.versions(bucket.id)):
        for row in await process.engine.scan(space, after_prefix(space), 1_000_000):
            record = decode_object(row.value)
            if record.lock is not None:
                key = keys.split_version(row.key)[0] if space[:1] == VERSIONS else row.key[len(space) :]
                await process.naming.amend(bucket, key, record.version, _freed)
    prefix = keys.objects(bucket.id)
    for row in await process.engine.scan(prefix, after_prefix(prefix), 1_000_000):
        record = decode_object(row.value)
        stamp = record.version if record.versioned else NULL
        await process.naming.delete_version(bucket, row.key[len(prefix) :], stamp, ALWAYS)
    while rows := await process.engine.scan(keys.versions(bucket.id), after_prefix(keys.versions(bucket.id)), 1):
        key, record = keys.split_version(rows[0].key)[0], decode_object(rows[0].value)
        await process.naming.delete_version(bucket, key, record.version if record.versioned else NULL, ALWAYS)
    for row in await process.engine.scan(prefix, after_prefix(prefix), 1_000_000):  # what has risen from behind
        record = decode_object(row.value)
        stamp = record.version if record.versioned else NULL
        await process.naming.delete_version(bucket, row.key[len(prefix) :], stamp, ALWAYS)
    prefix = keys.uploads(bucket.id)
    for row in await process.engine.scan(prefix, after_prefix(prefix), 1_000_000):
        key, upload_id = keys.split_upload(row.key)
        try:
            await process.uploads.abort(bucket, key, upload_id)
        except NoSuchUpload:
            continue
