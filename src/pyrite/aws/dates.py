"""Owns the date forms of AWS requests and responses. Pure. Times are whole seconds or ms since the epoch."""

import calendar
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_tz
from functools import lru_cache

_BASIC = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z\Z")


@lru_cache(maxsize=1024)
def parse_basic(text: str) -> int | None:
    """Seconds of `20130524T000000Z`, or None."""
    match = _BASIC.match(text)
    if match is None:
        return None
    parts = tuple(int(group) for group in match.groups())
    if not (1 <= parts[1] <= 12 and 1 <= parts[2] <= 31 and parts[3] < 24 and parts[4] < 60 and parts[5] < 61):
        return None
    return calendar.timegm((*parts, 0, 0, 0))


def format_basic(seconds: int) -> str:
    """`20130524T000000Z`."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def parse_http(text: str) -> int | None:
    """Seconds of an HTTP date in any of its three forms (RFC 9110 section 5.6.7), or None."""
    parsed = parsedate_tz(text)
    if parsed is None:
        return None
    try:
        return calendar.timegm((*parsed[:6], 0, 0, 0)) - (parsed[9] or 0)
    except (ValueError, OverflowError):
        return None


def parse_iso(text: str) -> int | None:
    """Milliseconds of an ISO 8601 date or time, taken as UTC where it names no zone; None when it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def _format_iso_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def format_iso_ms(milliseconds: int) -> str:
    """As `format_iso`, to the millisecond."""
    return _format_iso_second(milliseconds // 1000)[:-4] + f"{milliseconds % 1000:03d}Z"


def format_iso(milliseconds: int) -> str:
    """`2009-10-12T17:50:30.000Z`: whole seconds, so that it agrees with Last-Modified headers."""
    return _format_iso_second(milliseconds // 1000)
