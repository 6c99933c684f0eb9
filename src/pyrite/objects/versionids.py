"""Owns the ids of versions as clients know them. Pure."""

import hashlib
import re

from pyrite.objects.errors import InvalidVersionId
from pyrite.objects.records import ObjectRecord

NULL = 0
"""The stamp that stands for the null version: the one that was written while versioning was not enabled."""

_ID = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?\Z")
_STAMP_CHARACTERS = 16


def id_of(record: ObjectRecord) -> str:
    """The id of a version: its stamp and a checksum of that, 32 characters as AWS's have."""
    return _id(f"{record.version:016x}") if record.versioned else "null"


def _id(stamp: str) -> str:
    return stamp + hashlib.blake2b(stamp.encode(), digest_size=8).hexdigest()


def parse_id(text: str) -> int:
    """The stamp of the version called `text`; NULL for `null`. Raises InvalidVersionId.

    The stamp alone is one, too: earlier versions told ids so.
    """
    if text == "null":
        return NULL
    stamp = text[:_STAMP_CHARACTERS]
    if not _ID.match(text) or text not in (stamp, _id(stamp)) or int(stamp, 16) == NULL:
        raise InvalidVersionId(text)
    return int(stamp, 16)
