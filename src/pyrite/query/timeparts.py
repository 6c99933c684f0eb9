"""Owns the parts and formats of timestamps in S3 Select. Pure.

Source: AWS, "Date functions" in the SQL reference for Amazon S3 Select.
"""

import re

from pyrite.query.jobs import QueryFailure

DATE_PARTS = frozenset(("year", "month", "day", "hour", "minute", "second"))
EXTRACTED = DATE_PARTS | {"timezone_hour", "timezone_minute"}

_FORMS = {
    "yyyy": "%Y", "y": "%Y", "yy": "%y", "M": "%-m", "MM": "%m", "MMM": "%b", "MMMM": "%B", "d": "%-d", "dd": "%d",
    "a": "%p", "h": "%-I", "hh": "%I", "H": "%-H", "HH": "%H", "m": "%-M", "mm": "%M", "s": "%-S", "ss": "%S",
    "SSS": "%g", "SSSSSS": "%f", "SSSSSSSSS": "%f000", "n": "%f000",
    "x": "+00", "xx": "+0000", "xxxx": "+0000", "xxx": "+00:00", "xxxxx": "+00:00",
    **{"X" * count: "Z" for count in range(1, 6)},  # of UTC, as every timestamp here is
}  # fmt: skip
_TOKEN = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']")


def strftime_of(pattern: str) -> str:
    """A pattern of TO_STRING as strftime writes it. Raises QueryFailure."""
    written, end = [], 0
    for match in _TOKEN.finditer(pattern):
        if match.start() != end:
            break
        end = match.end()
        if match.group(2) is None:
            plain = match.group(1) if match.group(1) is not None else match.group()
            written.append(plain.replace("%", "%%"))
        elif match.group() in _FORMS:
            written.append(_FORMS[match.group()])
        else:
            break
    else:
        if end == len(pattern):
            return "".join(written)
    raise QueryFailure("EvaluatorInvalidTimestampFormatPattern", f"{pattern!r} is not a format of timestamps.")
