"""Owns what decisions about objects were made on, so that nothing else is served on them."""

from collections.abc import Callable, Mapping

from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import Guard
from pyrite.objects.records import ObjectRecord
from pyrite.s3.errors import S3Error

Again = Callable[[ObjectRecord | None], None]
"""Decides again, about what stands there now. Raises S3Error where that may not be done."""

Place = tuple[int, bytes, bytes | None]


class Judged:
    """The objects that decisions of one request looked at: their owners and access control lists, and their tags.

    Owners and lists have to be the same when the request is served. Where tags counted, it is decided again.
    """

    __slots__ = ("_again", "_seen")

    def __init__(self) -> None:
        self._seen: dict[Place, ObjectRecord | None] | None = None
        self._again: dict[Place, list[Again]] = {}

    def note(self, bucket: Bucket, key: bytes, version: bytes | None, record: ObjectRecord | None) -> None:
        """A decision about a version (None: the current one) was made on this; None where nothing was there."""
        if self._seen is None:
            self._seen = {}
        self._seen.setdefault((bucket.id, key, version), record)

    def note_again(self, bucket: Bucket, key: bytes, version: bytes | None, again: Again) -> None:
        """A decision that allowed something depends on the tags of what stands there."""
        self._again.setdefault((bucket.id, key, version), []).append(again)

    def check(self, bucket: Bucket, key: bytes, version: bytes | None, record: ObjectRecord) -> None:
        """Raises S3Error where what a decision was made on has been exchanged for something else since."""
        if not self._seen:
            return
        place = (bucket.id, key, version)
        if place in self._seen and _basis(self._seen[place]) != _basis(record):
            raise _changed()
        for again in self._again.get(place, ()):
            again(record)

    def guard(self, bucket: Bucket, key: bytes, version: bytes | None) -> Guard | None:
        """What a write or a delete has to be asked about what it replaces; None where that does not matter to it."""
        decisions = self._again.get((bucket.id, key, version))
        if not decisions:
            return None

        def check(found: ObjectRecord | None) -> None:
            for again in decisions:
                again(found)

        return check


def same_tags(decided: ObjectRecord | None, found: ObjectRecord | None) -> None:
    """Raises S3Error where what stands there has other tags than what was decided about."""
    if _tags(decided) != _tags(found):
        raise _changed()


def _tags(record: ObjectRecord | None) -> Mapping[str, str]:
    return {} if record is None else record.attributes.tags


def _changed() -> S3Error:
    return S3Error("OperationAborted", "The object was changed while the request was decided. Please try again.")


def _basis(record: ObjectRecord | None) -> object:
    return None if record is None else (record.owner, record.acl)
