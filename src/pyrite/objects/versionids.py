"""Owns the ids of versions as clients know them. Pure."""

import re

from pyrite.objects.errors import InvalidVersionId
from pyrite.objects.records import ObjectRecord

NULL = 0
"""The stamp that stands for the null version: the one that was written while versioning was not enabled."""

_ID = re.compile(r"[0-9a-f]{16}\Z")


def id_of(record: ObjectRecord) -> str:
    """The id of a version."""
    return f"{record.version:016x}" if record.versioned else "null"


def parse_id(text: str) -> int:
    """The stamp of the version called `text`; NULL for `null`. Raises InvalidVersionId."""
    if text == "null":
        return NULL
    if not _ID.match(text) or int(text, 16) == NULL:
        raise InvalidVersionId(text)
    return int(text, 16)
