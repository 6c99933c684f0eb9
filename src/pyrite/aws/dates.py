"""Owns the date forms of AWS requests and responses. Pure. Times are whole seconds or ms since the epoch."""

import calendar
import re
import time
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_tz
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z\Z")
_BASIC_CHARACTERS = len("20130524T000000Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HTTP_CHARACTERS_MAX = 128
"""No date is longer; the parser of dates takes time in proportion to what it is given."""


def parse_basic(text: str) -> int | None:
    """Seconds of `20130524T000000Z`, or None."""
    return _parse_basic(text) if len(text) == _BASIC_CHARACTERS else None


@lru_cache(maxsize=1024)
def _parse_basic(text: str) -> int | None:
    match = _BASIC.match(text)
    if match is None:
        return None
    try:
        moment = datetime(*map(int, match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return int(moment.timestamp())


def format_basic(seconds: int) -> str:
    """`20130524T000000Z`."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def parse_http(text: str) -> int | None:
    """Seconds of an HTTP date in any of its three forms (RFC 9110 section 5.6.7), or None."""
    try:
        parsed = parsedate_tz(text) if len(text) <= _HTTP_CHARACTERS_MAX else None
        if parsed is None:
            return None
        return calendar.timegm((*parsed[:6], 0, 0, 0)) - (parsed[9] or 0)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def parse_iso(text: str) -> int | None:
    """Milliseconds of an ISO 8601 date or time, taken as UTC where it names no zone; None when it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
        universal = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        return (universal - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def _format_iso_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def format_iso_ms(milliseconds: int) -> str:
    """As `format_iso`, to the millisecond."""
    return _format_iso_second(milliseconds // 1000)[:-4] + f"{milliseconds % 1000:03d}Z"


def format_pacific(milliseconds: int) -> str:
    """`Tue Dec 31 16:00:00 PST 2019`, as AWS's errors show dates; in UTC where the machine knows no zones."""
    try:
        zone: tzinfo = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        zone = UTC
    try:
        return datetime.fromtimestamp(milliseconds / 1000, zone).strftime("%a %b %d %H:%M:%S %Z %Y")
    except (ValueError, OverflowError, OSError):
        return format_iso(milliseconds)


def format_iso(milliseconds: int) -> str:
    """`2009-10-12T17:50:30.000Z`: whole seconds, so that it agrees with Last-Modified headers."""
    return _format_iso_second(milliseconds // 1000)
