"""Owns finding the versions of objects: the current one, one by its id, and what stands under a key as a whole."""

from pyrite.metadata.kv import Engine, Row, after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import ConditionalConflict, Deleted, IsDeleteMarker, NoSuchKey, NoSuchVersion
from pyrite.objects.records import ObjectRecord, decode_head, decode_object
from pyrite.objects.standing import Found, Standing, is_same
from pyrite.objects.versionids import NULL, id_of

ANNOTATIONS_MAX = 1000
_LOOKS_MAX = 64


class Finding:
    """Finds what has a name."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def current(self, bucket: Bucket, key: bytes) -> Found | None:
        """The current version of `key`, or None."""
        return await self._found(keys.object_(bucket.id, key))

    async def find(self, bucket: Bucket, key: bytes, version: int | None = None) -> Found:
        """The current version of `key`, or the one of that stamp (NULL: the null version).

        Raises NoSuchKey (Deleted where a delete marker is why), NoSuchVersion, IsDeleteMarker.
        """
        found = await self.current(bucket, key) if version is None else await self._version(bucket, key, version)
        if found is None and version is not None:
            raise NoSuchVersion(key.decode("utf-8", "replace"))
        if found is None:
            raise await self._absence(bucket, key)
        if found.record.marker:
            raise IsDeleteMarker(id_of(found.record), found.record.version, found.record.modified_ms)
        return found

    async def annotations(self, record: ObjectRecord) -> list[Row]:
        """The rows of all annotations of a version, by name."""
        if record.annotations is None:
            return []
        prefix = keys.annotations(record.annotations.id)
        return await self._engine.scan(prefix, after_prefix(prefix), ANNOTATIONS_MAX)

    async def _absence(self, bucket: Bucket, key: bytes) -> NoSuchKey:
        name = key.decode("utf-8", "replace")
        head = await self._engine.get(keys.head(bucket.id, key)) if bucket.record.versioning else None
        if head is not None:
            marker = await self._found(keys.version(bucket.id, key, decode_head(head.value).newest))
            if marker is not None and marker.record.marker:
                return Deleted(name, id_of(marker.record))
        return NoSuchKey(name)

    async def _found(self, name: bytes) -> Found | None:
        entry = await self._engine.get(name)
        return None if entry is None else Found(decode_object(entry.value), entry.version, name)

    async def _version(self, bucket: Bucket, key: bytes, version: int) -> Found | None:
        """The version of that stamp. Where it rises or moves back while it is looked for, it is looked for again."""
        standing = await self.standing(bucket, key)
        for _ in range(_LOOKS_MAX):
            found = await self._of(bucket, key, version, standing)
            seen, standing = standing, await self.standing(bucket, key) if found is None else standing
            if found is not None or is_same(seen, standing):
                return found
        raise ConditionalConflict(key.decode("utf-8", "replace"))

    async def _of(self, bucket: Bucket, key: bytes, version: int, standing: Standing) -> Found | None:
        """The version of that stamp, wherever it stands."""
        current = standing.current
        if current is not None and (current.record.version if current.record.versioned else NULL) == version:
            return current
        if standing.head is None or (version == NULL and not standing.head.null):
            return None
        found = await self._found(keys.version(bucket.id, key, standing.head.null if version == NULL else version))
        return found if found is not None and found.record.versioned == (version != NULL) else None

    async def standing(self, bucket: Bucket, key: bytes) -> Standing:
        """What stands under a key."""
        current = await self.current(bucket, key)
        if not bucket.record.versioning:
            return Standing(current)
        head = await self._engine.get(keys.head(bucket.id, key))
        return Standing(current) if head is None else Standing(current, decode_head(head.value), head.version)
