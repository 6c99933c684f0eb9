"""Owns conditional requests: what they compare, in which order, for reads and for writes. Pure.

Sources: RFC 9110 section 13.2.2; AWS, "Conditional requests" in the S3 User Guide. Times compare in seconds.
"""

from collections.abc import Callable

import msgspec

from pyrite.objects.errors import ConditionalConflict, NoSuchKey, PreconditionFailed
from pyrite.objects.records import ObjectRecord

Guard = Callable[[ObjectRecord | None], None]
"""Is given what stands where something is written, None for nothing; raises what the write is refused with."""


class NotModified(Exception):
    """The client's copy is current."""


class ReadConditions(msgspec.Struct, frozen=True):
    """Conditions of a read, or on the source of a copy. ETags are lists as sent; times in seconds."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since_s: int | None = None
    if_unmodified_since_s: int | None = None

    def check(self, etag: str, modified_ms: int) -> None:
        """Raises PreconditionFailed or NotModified."""
        modified_s = modified_ms // 1000
        if self.if_match is not None:
            if not etag_matches(self.if_match, etag):
                raise PreconditionFailed("If-Match")
        elif self.if_unmodified_since_s is not None and modified_s > self.if_unmodified_since_s:
            raise PreconditionFailed("If-Unmodified-Since")
        if self.if_none_match is not None:
            if etag_matches(self.if_none_match, etag):
                raise NotModified
        elif self.if_modified_since_s is not None and modified_s <= self.if_modified_since_s:
            raise NotModified


class WriteConditions(msgspec.Struct, frozen=True):
    """Conditions of a write or delete on the current object; checked in the transaction that changes it.

    `guard` is asked beside them. `seen` is the stamp of what stood there when the request began, 0 for nothing: where
    the conditions hold and something else stands there now, the write meets a conflict. None: whatever does.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    modified_s: int | None = None
    size_bytes: int | None = None
    guard: Guard | None = None
    seen: int | None = None

    def check_found(self, found: ObjectRecord | None) -> None:
        """`found` is what stands there, None for nothing. Raises as `check` and the guard, and ConditionalConflict."""
        if self.guard is not None:
            self.guard(found)
        if found is None or found.marker:
            self.check(None)
        else:
            self.check(found.etag, found.modified_ms, found.size_bytes)
        if self.seen is not None and self.seen != (found.version if found is not None else 0):
            raise ConditionalConflict("it was written meanwhile", "If-Match" if self.if_match else "If-None-Match")

    def check(self, etag: str | None, modified_ms: int = 0, size_bytes: int = 0) -> None:
        """`etag` is None when there is no object. Raises PreconditionFailed or NoSuchKey."""
        if self.if_match is not None:
            if etag is None:
                raise NoSuchKey(self.if_match)
            if not etag_matches(self.if_match, etag):
                raise PreconditionFailed("If-Match")
        if self.if_none_match is not None and etag is not None and etag_matches(self.if_none_match, etag):
            raise PreconditionFailed("If-None-Match")
        if etag is None:
            return
        if self.modified_s is not None and self.modified_s != modified_ms // 1000:
            raise PreconditionFailed("x-amz-if-match-last-modified-time")
        if self.size_bytes is not None and self.size_bytes != size_bytes:
            raise PreconditionFailed("x-amz-if-match-size")


ALWAYS = WriteConditions()


def etag_matches(wanted: str, etag: str) -> bool:
    """Whether a list of ETags, quoted or not, or `*`, names `etag`."""
    return any(strip_etag(one) in ("*", etag) for one in wanted.split(","))


def strip_etag(text: str) -> str:
    """An ETag without its quotes and weakness."""
    return text.strip().removeprefix("W/").strip('"')
