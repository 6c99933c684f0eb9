"""Owns object lock on the wire: the bucket's configuration, retention and legal hold in headers and documents.

Source: AWS, "Locking objects with Object Lock" in the Amazon S3 User Guide.
"""

from typing import NamedTuple

from pyrite.aws import xml
from pyrite.aws.dates import format_iso_ms, format_pacific, parse_iso
from pyrite.aws.xml import Element, element
from pyrite.core.counts import parse_count
from pyrite.core.lru import remembered
from pyrite.http.response import Headers
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import Lock, LockMode
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.schemas import parse_document

MODES: tuple[LockMode, ...] = ("GOVERNANCE", "COMPLIANCE")
DAYS_MAX, YEARS_MAX = 36_500, 100
_DAY_MS = 86_400_000
_MODE, _UNTIL, _HOLD = (
    b"x-amz-object-lock-mode",
    b"x-amz-object-lock-retain-until-date",
    b"x-amz-object-lock-legal-hold",
)


LOCK_HEADERS = frozenset((_MODE, _UNTIL, _HOLD))


class DefaultRetention(NamedTuple):
    """What new objects of a bucket get where their requests say nothing."""

    mode: LockMode
    days: int


def parse_configuration(root: Element) -> DefaultRetention | None:
    """What an ObjectLockConfiguration says. Raises S3Error."""
    if root.name != "ObjectLockConfiguration" or root.find("ObjectLockEnabled") != "Enabled":
        raise S3Error("MalformedXML")
    rules = [child for child in root.children if child.name == "Rule"]
    if len(rules) > 1 or len(root.children) != 1 + len(rules):
        raise S3Error("MalformedXML")
    if not rules:
        return None
    defaults = [child for child in rules[0].children if child.name == "DefaultRetention"]
    if len(defaults) != 1:
        raise S3Error("MalformedXML")
    return _parse_default(defaults[0])


def _parse_default(default: Element) -> DefaultRetention:
    mode, days, years = (default.find(name) for name in ("Mode", "Days", "Years"))
    if mode not in MODES or (days is None) == (years is None):
        raise S3Error("MalformedXML")
    most = DAYS_MAX if days is not None else YEARS_MAX
    text = (days if days is not None else years or "").strip()
    number = parse_count(text.removeprefix("-"))
    if number is None:
        raise S3Error("MalformedXML")
    if text.startswith("-") or not 1 <= number <= most:
        raise S3Error("NoRetention", f"Default retention period must be a positive integer value of at most {most}")
    return DefaultRetention(mode, number if days is not None else number * 365)


def default_of(bucket: Bucket) -> DefaultRetention | None:
    """The retention that new objects of a bucket get."""
    text = bucket.record.configurations.get("object-lock") if bucket.record.lock else None
    return _stored(text) if text is not None else None


@remembered
def _stored(text: str) -> DefaultRetention | None:
    return parse_configuration(xml.parse(text.encode()))


def lock_of_new(request: S3Request, bucket: Bucket, now_ms: int) -> Lock | None:
    """How a new object is locked: as its request says, else as the bucket does. Raises S3Error."""
    mode, until, hold = (request.header(name) for name in (_MODE, _UNTIL, _HOLD))
    if mode is None and until is None and hold is None:
        return default_lock(bucket, now_ms)
    if not bucket.record.lock:
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    if hold is not None and hold not in ("ON", "OFF"):
        raise bad_argument("Legal Hold must be either of 'ON' or 'OFF'", text_of(_HOLD), hold)
    if (mode is None) != (until is None):
        raise bad_argument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            text_of(_UNTIL if until is None else _MODE),
        )
    if mode is None:
        default = default_lock(bucket, now_ms) or Lock()
        return Lock(default.mode, default.until_ms, hold or "")  # type: ignore[arg-type]
    return Lock(*_checked(mode, until or "", now_ms, text_of(_UNTIL)), hold or "")  # type: ignore[arg-type]


def default_lock(bucket: Bucket, now_ms: int) -> Lock | None:
    """The lock that a bucket puts on new objects; None where there is none."""
    default = default_of(bucket)
    return None if default is None else Lock(default.mode, now_ms + default.days * _DAY_MS)


def _checked(mode: str, until: str, now_ms: int, name: str) -> tuple[LockMode, int]:
    if mode not in MODES:
        raise bad_argument("Unknown wormMode directive.", text_of(_MODE), mode)
    until_ms = parse_iso(until)
    if until_ms is None:
        raise bad_argument("The retain until date must be provided in ISO 8601 format", name, until)
    if until_ms <= now_ms:
        raise bad_argument("The retain until date must be in the future!", name, format_pacific(until_ms))
    return mode, until_ms


def parse_retention(body: bytes, now_ms: int) -> tuple[LockMode, int]:
    """Mode and end of a Retention document; "" and 0 for one that takes retention away. Raises S3Error."""
    root = parse_document(body)
    if root.name != "Retention":
        raise S3Error("MalformedXML")
    mode, until = root.find("Mode"), root.find("RetainUntilDate")
    if mode is None and until is None:
        return "", 0
    if mode not in MODES or not until or parse_iso(until) is None:
        raise S3Error("MalformedXML")
    return _checked(mode, until, now_ms, "RetainUntilDate")


def parse_hold(body: bytes) -> str:
    """The status of a LegalHold document. Raises S3Error."""
    root = parse_document(body)
    status = root.find("Status")
    if root.name != "LegalHold" or status not in ("ON", "OFF"):
        raise S3Error("MalformedXML")
    return status


def retention_content(lock: Lock) -> str:
    """The content of a Retention document."""
    return element("Mode", lock.mode) + element("RetainUntilDate", format_iso_ms(lock.until_ms))


def lock_headers(lock: Lock | None) -> Headers:
    """The headers that tell how a version is locked."""
    told: Headers = []
    if lock is not None and lock.mode:
        told += [(_MODE, lock.mode.encode()), (_UNTIL, format_iso_ms(lock.until_ms).encode())]
    if lock is not None and lock.hold:
        told.append((_HOLD, lock.hold.encode()))
    return told
