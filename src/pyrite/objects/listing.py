"""Owns listings: keys in byte order, groups under a delimiter, where to go on. Pure but for the scan."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pyrite.metadata.kv import Engine, Row, after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import ListedObject, UploadRecord, decode_listed, decode_upload

_SCAN_MAX_ROWS = 1001
_SCAN_MIN_ROWS = 16


class ListedKey(NamedTuple):
    """An object of a listing."""

    key: bytes
    object: ListedObject


class ListedUpload(NamedTuple):
    """An upload of a listing."""

    key: bytes
    id: bytes
    record: UploadRecord


class Listing(NamedTuple):
    """A page: entries and common prefixes, each in order; `last` is the key or prefix to go on after."""

    rows: list[Row]
    prefixes: list[bytes]
    truncated: bool
    last: bytes
    last_is_prefix: bool


Scan = Callable[[bytes, bytes, int], Awaitable[list[Row]]]
KeyOf = Callable[[Row], bytes]


async def list_objects(
    engine: Engine, bucket: Bucket, prefix: bytes, delimiter: bytes, after: bytes, limit: int
) -> tuple[list[ListedKey], Listing]:
    """At most `limit` objects and common prefixes greater than `after`. A group that `after` is in is left out."""
    base = keys.objects(bucket.id)
    skip = len(base)
    start = max(base + prefix, base + after + b"\0" if after else b"")
    page = await _walk(
        engine.scan,
        start,
        after_prefix(base + prefix),
        lambda row: row.key[skip:],
        base,
        prefix,
        delimiter,
        after,
        limit,
    )
    return [ListedKey(row.key[skip:], decode_listed(row.value)) for row in page.rows], page


async def list_uploads(
    engine: Engine,
    bucket: Bucket,
    prefix: bytes,
    delimiter: bytes,
    after: tuple[bytes, bytes],
    limit: int,
) -> tuple[list[ListedUpload], Listing]:
    """At most `limit` uploads and common prefixes behind `after`: a key, and an id or nothing for all of the key."""
    base = keys.uploads(bucket.id)
    after_key, after_id = after
    start = base + _escaped(prefix)
    if after_key:
        behind = keys.upload(bucket.id, after_key, after_id)
        start = max(start, behind + b"\0" if after_id else after_prefix(behind))

    def key_of(row: Row) -> bytes:
        return keys.split_upload(row.key)[0]

    marker = after_key if not after_id else b""
    page = await _walk(
        engine.scan, start, after_prefix(base + _escaped(prefix)), key_of, base, prefix, delimiter, marker, limit
    )
    found = [ListedUpload(*keys.split_upload(row.key), decode_upload(row.value)) for row in page.rows]
    return found, page


def _escaped(raw: bytes) -> bytes:
    return raw.replace(b"\0", b"\0\xff")


async def _walk(
    scan: Scan,
    start: bytes,
    end: bytes,
    key_of: KeyOf,
    base: bytes,
    prefix: bytes,
    delimiter: bytes,
    after: bytes,
    limit: int,
) -> Listing:
    rows: list[Row] = []
    prefixes: list[bytes] = []
    last, last_is_prefix = b"", False
    group: bytes | None = None
    size = min(limit + 1, _SCAN_MAX_ROWS) if not delimiter else min(limit + 1, 128)
    while limit > 0:
        batch = await scan(start, end, size)
        for row in batch:
            key = key_of(row)
            if group is not None and key.startswith(group):
                continue
            found = key.find(delimiter, len(prefix)) if delimiter else -1
            group = key[: found + len(delimiter)] if found >= 0 else None
            if group is not None and group <= after:
                continue
            if len(rows) + len(prefixes) >= limit:
                return Listing(rows, prefixes, True, last, last_is_prefix)
            if group is not None:
                prefixes.append(group)
                last, last_is_prefix = group, True
            else:
                rows.append(row)
                last, last_is_prefix = key, False
        if len(batch) < size:
            break
        in_group = group is not None and key_of(batch[-1]).startswith(group)
        start = after_prefix(base + _group_key(group, base)) if in_group and group else batch[-1].key + b"\0"
        size = _SCAN_MIN_ROWS if in_group else min(size * 4, _SCAN_MAX_ROWS)
    return Listing(rows, prefixes, False, last, last_is_prefix)


def _group_key(group: bytes, base: bytes) -> bytes:
    """A group as it stands in stored keys: uploads escape theirs."""
    return _escaped(group) if base.startswith(keys.UPLOADS) else group
