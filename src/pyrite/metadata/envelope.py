"""Owns the stored form of a value: value, version, checksum. The checksum is bound to the key.

LMDB has no page checksums of its own; a value that was damaged, or that stands under another key, is
recognised here. See docs/formats/metadata.md.
"""

from collections.abc import Iterable
from struct import Struct

from xxhash import xxh3_64_intdigest

from pyrite.metadata.kv import Entry, MetadataCorrupt, Row

_TAIL = Struct(">QQ")
TAIL_BYTES = _TAIL.size


def seal(key: bytes, value: bytes, version: int) -> bytes:
    """The bytes to store for `value` under `key` at `version`."""
    return value + _TAIL.pack(version, xxh3_64_intdigest(value, xxh3_64_intdigest(key, version)))


def unseal(key: bytes, stored: bytes) -> Entry:
    """The entry in `stored`. Raises MetadataCorrupt when it was not sealed for this key."""
    split = len(stored) - TAIL_BYTES
    if split < 0:
        raise MetadataCorrupt(f"value of {key!r} is too short")
    value = stored[:split]
    version, checksum = _TAIL.unpack_from(stored, split)
    if xxh3_64_intdigest(value, xxh3_64_intdigest(key, version)) != checksum:
        raise MetadataCorrupt(f"value of {key!r} does not match its checksum")
    return Entry(value, version)


def unseal_rows(pairs: Iterable[tuple[bytes, bytes]], stop: bytes) -> tuple[list[Row], bytes | None]:
    """The rows in stored `pairs`; they end early at a pair whose value is `stop`, and its key is told.

    As `unseal` in a loop, without its calls: lists are made of this.
    """
    rows: list[Row] = []
    append, digest, tail = rows.append, xxh3_64_intdigest, _TAIL.unpack_from
    for key, stored in pairs:
        split = len(stored) - TAIL_BYTES
        if split < 0:
            if stored == stop:
                return rows, key
            raise MetadataCorrupt(f"value of {key!r} is too short")
        value = stored[:split]
        version, checksum = tail(stored, split)
        if digest(value, digest(key, version)) != checksum:
            raise MetadataCorrupt(f"value of {key!r} does not match its checksum")
        append(Row(key, value, version))
    return rows, None
