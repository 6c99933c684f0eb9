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


class Model:
    """Buckets of keys with their bytes and ETags, and uploads under way."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[bytes, tuple[bytes, str]]] = {}
        self.uploads: dict[bytes, tuple[str, bytes, dict[int, bytes]]] = {}

    def put(self, bucket: str, key: bytes, data: bytes) -> str:
        etag = hashlib.md5(data).hexdigest()
        self.buckets[bucket][key] = (data, etag)
        return etag

    def complete(self, upload: bytes, numbers: list[int]) -> None:
        bucket, key, parts = self.uploads.pop(upload)
        digests = b"".join(hashlib.md5(parts[number]).digest() for number in numbers)
        etag = f"{hashlib.md5(digests).hexdigest()}-{len(numbers)}"
        self.buckets[bucket][key] = (b"".join(parts[number] for number in numbers), etag)

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
