"""The dumbest S3: dictionaries. What the real one is compared with."""

import hashlib
from typing import NamedTuple


class Body(NamedTuple):
    """Bytes told by how they repeat, so that failures print short."""

    seed: int
    size: int

    @property
    def data(self) -> bytes:
        block = bytes((self.seed + n * 7) % 256 for n in range(251))
        return (block * (self.size // 251 + 1))[: self.size]


class Version(NamedTuple):
    """A version: its id ("null" for the null version), bytes and ETag; a delete marker has no bytes."""

    id: str
    data: bytes | None
    etag: str
    annotations: dict[bytes, bytes]
    holds: set[str]

    @property
    def marker(self) -> bool:
        return self.data is None


class Model:
    """Buckets of keys with their versions, the newest last, and uploads under way."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[bytes, list[Version]]] = {}
        self.states: dict[str, str] = {}
        self.uploads: dict[bytes, tuple[str, bytes, dict[int, bytes]]] = {}

    @property
    def buckets(self) -> dict[str, dict[bytes, tuple[bytes, str]]]:
        """The current objects: bytes and ETag by key."""
        return {
            name: {key: (v[-1].data, v[-1].etag) for key, v in held.items() if v[-1].data is not None}
            for name, held in self.versions.items()
        }

    def create_bucket(self, bucket: str) -> None:
        self.versions[bucket], self.states[bucket] = {}, ""

    def delete_bucket(self, bucket: str) -> None:
        del self.versions[bucket], self.states[bucket]

    def add(self, bucket: str, key: bytes, version_id: str, data: bytes | None, etag: str = "") -> None:
        """A new version, or a delete marker; where versioning is not enabled it takes the place of the null one."""
        held = self.versions[bucket].setdefault(key, [])
        if self.states[bucket] != "Enabled":
            assert version_id == "null"
            held[:] = [version for version in held if version.id != "null"]
        assert version_id not in [version.id for version in held]
        held.append(Version(version_id, data, etag, {}, set()))

    def put(self, bucket: str, key: bytes, data: bytes, version_id: str = "null") -> str:
        etag = hashlib.md5(data).hexdigest()
        self.add(bucket, key, version_id, data, etag)
        return etag

    def append(self, bucket: str, key: bytes, data: bytes, version_id: str, etag: str) -> None:
        """The current version with `data` behind it, as a new one."""
        content, _ = self.buckets[bucket][key]
        held = self.versions[bucket][key]
        annotations = held.pop().annotations if held[-1].id == version_id else {}
        self.add(bucket, key, version_id, content + data, etag)
        held[-1].annotations.update(annotations)

    def is_frozen(self, bucket: str, key: bytes) -> bool:
        """Whether a write would take the place of a version under a legal hold."""
        held = self.versions[bucket].get(key, [])
        return self.states[bucket] != "Enabled" and any(version.id == "null" and version.holds for version in held)

    def expire(self, bucket: str, prefix: bytes) -> list[bytes]:
        """Remove delete markers that are alone; the keys whose current objects a rule for `prefix` removes, or covers
        with a delete marker.
        """
        for key, held in list(self.versions[bucket].items()):
            if key.startswith(prefix) and [version.marker for version in held] == [True]:
                del self.versions[bucket][key]
        return [
            key
            for key in sorted(self.buckets[bucket])
            if key.startswith(prefix)
            and not (self.states[bucket] != "Enabled" and self.versions[bucket][key][-1].holds)
        ]

    def expire_noncurrent(self, bucket: str, newer: int) -> None:
        """Remove versions behind the current one that `newer` others of those are newer than."""
        for key, held in list(self.versions[bucket].items()):
            for version in held[: max(len(held) - 1 - newer, 0)]:
                if not version.holds:
                    self.remove(bucket, key, version.id)

    def remove(self, bucket: str, key: bytes, version_id: str) -> Version | None:
        """Take a version away; None when it is not there."""
        held = self.versions[bucket].get(key, [])
        found = next((version for version in held if version.id == version_id), None)
        if found is not None:
            held.remove(found)
        if not held:
            self.versions[bucket].pop(key, None)
        return found

    def listing_of_versions(self, bucket: str, prefix: bytes) -> list[tuple[bytes, Version, bool]]:
        """Key, version, and whether it is the newest, as they are listed."""
        return [
            (key, version, version is held[-1])
            for key, held in sorted(self.versions[bucket].items())
            if key.startswith(prefix)
            for version in reversed(held)
        ]

    def complete(self, upload: bytes, numbers: list[int], version_id: str = "null") -> None:
        bucket, key, parts = self.uploads.pop(upload)
        digests = b"".join(hashlib.md5(parts[number]).digest() for number in numbers)
        etag = f"{hashlib.md5(digests).hexdigest()}-{len(numbers)}"
        self.add(bucket, key, version_id, b"".join(parts[number] for number in numbers), etag)

    def listing(
        self, bucket: str, prefix: bytes, delimiter: bytes, after: bytes, limit: int
    ) -> tuple[list[bytes], list[bytes], bool]:
        """Keys, common prefixes, and whether there is more: by the definition, not by an algorithm."""
        found: list[tuple[bytes, bool]] = []
        for key in sorted(self.buckets[bucket]):
            if not key.startswith(prefix) or key <= after:
                continue
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = (key, False) if cut < 0 else (key[: cut + len(delimiter)], True)
            if entry[1] and entry[0] <= after:
                continue
            if not found or found[-1] != entry:
                found.append(entry)
        page = found[:limit]
        keys = [name for name, group in page if not group]
        return keys, [name for name, group in page if group], len(found) > limit
