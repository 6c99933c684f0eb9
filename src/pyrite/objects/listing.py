"""Owns listings: keys in byte order, groups under a delimiter, where to go on. Pure but for the scan."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pyrite.metadata.keyspaces import OBJECTS, VERSIONS, unescape
from pyrite.metadata.kv import Engine, Row, after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import (
    ListedObject,
    ObjectRecord,
    UploadRecord,
    decode_listed,
    decode_object,
    decode_upload,
)

_SCAN_MAX_ROWS = 1001
_SCAN_MIN_ROWS = 16


ListedKey = tuple[bytes, ListedObject | ObjectRecord]
"""A key of a listing and what is shown of its object."""


class ListedUpload(NamedTuple):
    """An upload of a listing."""

    key: bytes
    id: bytes
    record: UploadRecord


class ListedVersion(NamedTuple):
    """A version of a listing; `is_latest`: it is the newest of its key."""

    key: bytes
    record: ObjectRecord
    is_latest: bool


class Scans(Protocol):
    """Where a walk gets its rows from."""

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[Row]:
        """At most `limit` rows with start <= key < end, ascending."""
        ...


class Listing(NamedTuple):
    """A page: entries and common prefixes, each in order; `last` is the key or prefix to go on after."""

    rows: list[Row]
    prefixes: list[bytes]
    truncated: bool
    last: bytes
    last_is_prefix: bool


KeyOf = Callable[[Row], bytes]


async def list_objects(
    engine: Engine, bucket: Bucket, prefix: bytes, delimiter: bytes, after: bytes, limit: int, whole: bool = False
) -> tuple[list[ListedKey], Listing]:
    """At most `limit` objects and common prefixes greater than `after`. A group that `after` is in is left out.

    With `whole`, their whole records, which takes longer.
    """
    base = keys.objects(bucket.id)
    skip = len(base)
    start = max(base + prefix, base + after + b"\0" if after else b"")
    walk = Walk(engine, base, lambda row: row.key[skip:], bytes, prefix, delimiter, after)
    page = await walk.run(start, limit)
    decode = decode_object if whole else decode_listed
    return [(key[skip:], decode(value)) for key, value, _ in page.rows], page


async def list_uploads(
    engine: Engine, bucket: Bucket, prefix: bytes, delimiter: bytes, after: tuple[bytes, bytes], limit: int
) -> tuple[list[ListedUpload], Listing]:
    """At most `limit` uploads and common prefixes behind `after`: a key, and an id or nothing for all of the key."""
    base = keys.uploads(bucket.id)
    after_key, after_id = after
    start = base + _escaped(prefix)
    if after_key:
        behind = keys.upload(bucket.id, after_key, after_id)
        start = max(start, behind + b"\0" if after_id else after_prefix(behind))
    marker = after_key if not after_id else b""
    walk = Walk(engine, base, lambda row: keys.split_upload(row.key)[0], _escaped, prefix, delimiter, marker)
    page = await walk.run(start, limit)
    found = [ListedUpload(*keys.split_upload(row.key), decode_upload(row.value)) for row in page.rows]
    return found, page


async def list_versions(
    engine: Engine, bucket: Bucket, prefix: bytes, delimiter: bytes, after: tuple[bytes, int | None], limit: int
) -> tuple[list[ListedVersion], Listing]:
    """At most `limit` versions and common prefixes behind `after`: a key, and the stamp of a version of it or None
    for all of them. Versions of one key are listed from the newest on.
    """
    base = keys.versions(bucket.id)
    after_key, after_stamp = after
    start = base + _escaped(prefix)
    if after_stamp is not None:
        start = max(start, keys.version(bucket.id, after_key, after_stamp) + b"\0")
    elif after_key:
        start = max(start, after_prefix(keys.versions_of(bucket.id, after_key)))
    marker = after_key if after_stamp is None else b""
    scans = AllVersions(engine, bucket.id)
    walk = Walk(scans, base, lambda row: keys.split_version(row.key)[0], _escaped, prefix, delimiter, marker)
    page = await walk.run(start, limit)
    found: list[ListedVersion] = []
    seen = after_key if after_stamp is not None and await _has_newer(scans, bucket, after_key, after_stamp) else None
    for row in page.rows:
        key = keys.split_version(row.key)[0]
        found.append(ListedVersion(key, decode_object(row.value), key != seen))
        seen = key
    return found, page


async def _has_newer(scans: "AllVersions", bucket: Bucket, key: bytes, stamp: int) -> bool:
    """Whether a key has a version that is `stamp` or newer: the one that a marker names may be gone."""
    return bool(await scans.scan(keys.versions_of(bucket.id, key), keys.version(bucket.id, key, stamp) + b"\0", 1))


class AllVersions:
    """The versions of a bucket, current and others, as if all stood in one key space: that of the others."""

    def __init__(self, engine: Engine, bucket_id: int) -> None:
        self._engine = engine
        self._bucket_id = bucket_id

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[Row]:
        """At most `limit` rows with start <= key < end. One that moves meanwhile from one space to the other is found
        once, or twice under the same key, which counts once.
        """
        found: dict[bytes, Row] = {}
        # One more, because the first may be before `start`: its key is known only with the stamp in its record.
        for row in await self._engine.scan(self._bound(start), self._bound(end, b"\0"), limit + 1):
            key = keys.version(self._bucket_id, row.key[9:], decode_object(row.value).version)
            if start <= key < end:
                found[key] = Row(key, row.value, row.version)
        for row in await self._engine.scan(start, end, limit):
            found[row.key] = row
        return [found[key] for key in sorted(found)[:limit]]

    def _bound(self, stored: bytes, behind: bytes = b"") -> bytes:
        """The least key of a current version that may not be before `stored`; with `behind` the least one behind it."""
        own = keys.versions(self._bucket_id)
        if not stored.startswith(own):
            return OBJECTS + stored[len(VERSIONS) :]  # the end of the bucket
        try:
            raw = unescape(stored, len(own))[0] + behind
        except (ValueError, IndexError):
            raw = stored[len(own) :].replace(b"\0\xff", b"\0")
        return keys.objects(self._bucket_id) + raw


def _escaped(raw: bytes) -> bytes:
    return raw.replace(b"\0", b"\0\xff")


class Walk:
    """A walk over rows whose stored keys begin with `base`.

    `key_of` gives a row's key as the client knows it, `stored` turns a prefix of such keys into one of stored keys.
    """

    def __init__(
        self,
        engine: Scans,
        base: bytes,
        key_of: KeyOf,
        stored: Callable[[bytes], bytes],
        prefix: bytes,
        delimiter: bytes,
        after: bytes,
    ) -> None:
        self._engine = engine
        self._base = base
        self._key_of = key_of
        self._stored = stored
        self._prefix = prefix
        self._delimiter = delimiter
        self._after = after
        self._rows: list[Row] = []
        self._prefixes: list[bytes] = []
        self._last = b""
        self._last_is_prefix = False
        self._group: bytes | None = None

    async def run(self, start: bytes, limit: int) -> Listing:
        """The page of at most `limit` rows and groups from stored key `start` on."""
        end = after_prefix(self._base + self._stored(self._prefix))
        size = min(limit + 1, 128 if self._delimiter else _SCAN_MAX_ROWS)
        while limit > 0:
            batch = await self._engine.scan(start, end, size)
            if self._take(batch, limit):
                return Listing(self._rows, self._prefixes, True, self._last, self._last_is_prefix)
            if len(batch) < size:
                break
            if self._group is not None and self._key_of(batch[-1]).startswith(self._group):
                start = after_prefix(self._base + self._stored(self._group))  # seek past the group
                size = _SCAN_MIN_ROWS
            else:
                start = batch[-1].key + b"\0"
                size = min(size * 4, _SCAN_MAX_ROWS)
        return Listing(self._rows, self._prefixes, False, self._last, self._last_is_prefix)

    def _take(self, batch: list[Row], limit: int) -> bool:
        """Add what `batch` holds to the page; True when there is more than the page has room for."""
        delimiter, cut = self._delimiter, len(self._prefix)
        if not delimiter:
            room = limit - len(self._rows)
            self._rows += batch[:room]
            if self._rows:
                self._last = self._key_of(self._rows[-1])
            return len(batch) > room
        for row in batch:
            key = self._key_of(row)
            if self._group is not None and key.startswith(self._group):
                continue
            found = key.find(delimiter, cut) if delimiter else -1
            self._group = key[: found + len(delimiter)] if found >= 0 else None
            if self._group is not None and self._group <= self._after:
                continue
            if len(self._rows) + len(self._prefixes) >= limit:
                return True
            if self._group is not None:
                self._prefixes.append(self._group)
                self._last, self._last_is_prefix = self._group, True
            else:
                self._rows.append(row)
                self._last, self._last_is_prefix = key, False
        return False
