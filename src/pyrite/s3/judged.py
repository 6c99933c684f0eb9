"""Owns what decisions about objects were made on, so that nothing else is served on them."""

from collections.abc import Mapping

from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import Guard
from pyrite.objects.records import ObjectRecord
from pyrite.s3.errors import S3Error

_CHANGED = "The object was changed while the request was decided. Please try again."


class Judged:
    """The objects that decisions of one request looked at: their tags, owners and access control lists."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[tuple[int, bytes, bytes | None], ObjectRecord | None] | None = None

    def note(self, bucket: Bucket, key: bytes, version: bytes | None, record: ObjectRecord | None) -> None:
        """A decision about a version (None: the current one) was made on this; None where nothing was there."""
        if self._seen is None:
            self._seen = {}
        self._seen.setdefault((bucket.id, key, version), record)

    def check(self, bucket: Bucket, key: bytes, version: bytes | None, record: ObjectRecord) -> None:
        """Raises S3Error where what a decision was made on has been exchanged for something else since."""
        if not self._seen:
            return
        place = (bucket.id, key, version)
        if place in self._seen and _basis(self._seen[place]) != _basis(record):
            raise S3Error("OperationAborted", _CHANGED)

    def guard(self, bucket: Bucket, key: bytes, version: bytes | None) -> Guard | None:
        """What a write or a delete has to be asked that was decided on what it replaces; None where it was not.

        Writes depend on its tags alone: who owns it and may read it does not matter to them.
        """
        place = (bucket.id, key, version)
        if not self._seen or place not in self._seen:
            return None
        tags = _tags(self._seen[place])

        def check(found: ObjectRecord | None) -> None:
            if _tags(found) != tags:
                raise S3Error("OperationAborted", _CHANGED)

        return check


def _tags(record: ObjectRecord | None) -> Mapping[str, str]:
    return {} if record is None else record.attributes.tags


def _basis(record: ObjectRecord | None) -> object:
    return None if record is None else (record.owner, record.acl, record.attributes.tags)
