"""Owns the keys of the records of this layer. Pure."""

from pyrite.metadata.keyspaces import (
    BUCKETS,
    GARBAGE,
    OBJECTS,
    PAGES,
    PARTS,
    REFERENCES,
    UPLOADS,
    USAGE,
    USAGE_BYTES,
    USAGE_OBJECTS,
    escape,
    number,
    unescape,
)

UPLOAD_ID_BYTES = 16


def bucket(name: str) -> bytes:
    return BUCKETS + name.encode()


def object_(bucket_id: int, key: bytes) -> bytes:
    return OBJECTS + number(bucket_id) + key


def objects(bucket_id: int) -> bytes:
    """The prefix of all objects of a bucket."""
    return OBJECTS + number(bucket_id)


def upload(bucket_id: int, key: bytes, upload_id: bytes) -> bytes:
    return UPLOADS + number(bucket_id) + escape(key) + upload_id


def uploads(bucket_id: int) -> bytes:
    """The prefix of all uploads of a bucket."""
    return UPLOADS + number(bucket_id)


def split_upload(stored: bytes) -> tuple[bytes, bytes]:
    """The object's key and the upload id in a key of an upload."""
    key, end = unescape(stored, len(UPLOADS) + 8)
    return key, stored[end:]


def part(upload_id: bytes, part_number: int) -> bytes:
    return PARTS + upload_id + part_number.to_bytes(4, "big")


def parts(upload_id: bytes) -> bytes:
    """The prefix of all parts of an upload."""
    return PARTS + upload_id


def page(upload_id: bytes, index: int) -> bytes:
    return PAGES + upload_id + index.to_bytes(4, "big")


def pages(upload_id: bytes) -> bytes:
    """The prefix of all pages of a completed multipart object."""
    return PAGES + upload_id


def references(blob: bytes) -> bytes:
    """The counter of references beyond the first to a blob."""
    return REFERENCES + blob


def garbage(stamp: int, nonce: bytes) -> bytes:
    return GARBAGE + number(stamp) + nonce


def usage_objects(bucket_id: int) -> bytes:
    return USAGE + number(bucket_id) + USAGE_OBJECTS


def usage_bytes(bucket_id: int) -> bytes:
    return USAGE + number(bucket_id) + USAGE_BYTES
