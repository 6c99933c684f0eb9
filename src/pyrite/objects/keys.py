"""Owns the keys of objects, and of the records of this layer. Pure."""

import hashlib

from pyrite.metadata.keyspaces import (
    ANNOTATIONS,
    BUCKETS,
    GARBAGE,
    HEADS,
    OBJECTS,
    PAGES,
    PARTS,
    REFERENCES,
    UPLOADS,
    USAGE,
    USAGE_BYTES,
    USAGE_OBJECTS,
    USAGE_VERSIONS,
    VERSIONS,
    escape,
    number,
    unescape,
)
from pyrite.objects.errors import InvalidKey, KeyTooLong

UPLOAD_ID_BYTES = ANNOTATIONS_ID_BYTES = 16
UPLOAD_RANDOM_BYTES = 12
KEY_MAX_BYTES = 1024
_INVERTED = (1 << 64) - 1


def check_key(key: bytes) -> None:
    """Raises KeyTooLong or InvalidKey."""
    if len(key) > KEY_MAX_BYTES:
        raise KeyTooLong(str(len(key)))
    if not key.isascii():
        try:
            key.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidKey(repr(key)) from error


def bucket(name: str) -> bytes:
    return BUCKETS + name.encode()


def object_(bucket_id: int, key: bytes) -> bytes:
    return OBJECTS + number(bucket_id) + key


def objects(bucket_id: int) -> bytes:
    """The prefix of all objects of a bucket."""
    return OBJECTS + number(bucket_id)


def version(bucket_id: int, key: bytes, stamp: int) -> bytes:
    """A version behind the current one. Newer ones sort first."""
    return VERSIONS + number(bucket_id) + escape(key) + number(_INVERTED - stamp)


def versions_of(bucket_id: int, key: bytes) -> bytes:
    """The prefix of all versions behind the current one of a key."""
    return VERSIONS + number(bucket_id) + escape(key)


def versions(bucket_id: int) -> bytes:
    """The prefix of all versions behind the current ones of a bucket."""
    return VERSIONS + number(bucket_id)


def split_version(stored: bytes) -> tuple[bytes, int]:
    """The object's key and the stamp in a key of a version."""
    key, end = unescape(stored, len(VERSIONS) + 8)
    return key, _INVERTED - int.from_bytes(stored[end:], "big")


def head(bucket_id: int, key: bytes) -> bytes:
    """What is known of the versions behind the current one of a key."""
    return HEADS + number(bucket_id) + key


def upload(bucket_id: int, key: bytes, upload_id: bytes) -> bytes:
    return UPLOADS + number(bucket_id) + escape(key) + upload_id


def upload_id(bucket_id: int, key: bytes, random: bytes) -> bytes:
    """An id for an upload: random bytes, and a few that tell whether it is one of this key."""
    return random + _mark(bucket_id, key, random)


def is_upload_id(bucket_id: int, key: bytes, upload_id: bytes) -> bool:
    """Whether an id was made for an upload of this key. Of ids of earlier versions, which say nothing, it is not."""
    random = upload_id[:UPLOAD_RANDOM_BYTES]
    return upload_id == random + _mark(bucket_id, key, random)


def _mark(bucket_id: int, key: bytes, random: bytes) -> bytes:
    length = UPLOAD_ID_BYTES - UPLOAD_RANDOM_BYTES
    return hashlib.blake2b(number(bucket_id) + random + key, digest_size=length).digest()


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


def annotation(annotations_id: bytes, name: bytes) -> bytes:
    return ANNOTATIONS + annotations_id + name


def annotations(annotations_id: bytes) -> bytes:
    """The prefix of all annotations of a version."""
    return ANNOTATIONS + annotations_id


def references(blob: bytes) -> bytes:
    """The counter of references beyond the first to a blob."""
    return REFERENCES + blob


def garbage(stamp: int, nonce: bytes) -> bytes:
    return GARBAGE + number(stamp) + nonce


def usage_objects(bucket_id: int) -> bytes:
    return USAGE + number(bucket_id) + USAGE_OBJECTS


def usage_versions(bucket_id: int) -> bytes:
    return USAGE + number(bucket_id) + USAGE_VERSIONS


def usage_bytes(bucket_id: int) -> bytes:
    return USAGE + number(bucket_id) + USAGE_BYTES
