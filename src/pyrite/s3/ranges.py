"""Owns byte ranges as S3 reads them (RFC 9110 section 14, one range). Pure."""

import re
from typing import NamedTuple

from pyrite.core.counts import parse_clamped
from pyrite.s3.errors import S3Error, bad_argument

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)\Z")
_COPY_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)\Z")


class Range(NamedTuple):
    """Bytes start..stop (stop not included)."""

    start: int
    stop: int


def parse_range(text: str, size: int) -> Range | None:
    """The range that a Range header selects of `size` bytes; None where it is to be ignored.

    Several ranges and malformed ones select everything, as on AWS. Raises S3Error (InvalidRange) when none of
    the bytes exist.
    """
    match = _RANGE.match(text.strip())
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        count = parse_clamped(last)
        start, stop = max(size - count, 0), size
        if count == 0:
            raise unsatisfiable(text, size)
    else:
        start = parse_clamped(first)
        stop = min(parse_clamped(last) + 1, size) if last else size
        if last and parse_clamped(last) < start:
            return None
    if start >= size:
        raise unsatisfiable(text, size)
    return Range(start, stop)


def unsatisfiable(text: str, size: int) -> S3Error:
    """The refusal of a range that holds no byte."""
    return S3Error("InvalidRange", None, (("RangeRequested", text), ("ActualObjectSize", str(size))))


def parse_copy_range(text: str, size: int, is_range: bool = False) -> Range:
    """The range of x-amz-copy-source-range, which has one strict form. Raises S3Error; one that is not there is a wrong
    argument, unless it is a wrong range.
    """
    match = _COPY_RANGE.match(text)
    if match is None or parse_clamped(match.group(2)) < parse_clamped(match.group(1)):
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            (("ArgumentName", "x-amz-copy-source-range"), ("ArgumentValue", text)),
        )
    start, stop = parse_clamped(match.group(1)), parse_clamped(match.group(2)) + 1
    if stop > size and is_range:
        raise unsatisfiable(text, size)
    if start >= size:
        raise S3Error("InvalidRequest", "The specified copy range is invalid for the source object size")
    if stop > size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise bad_argument(message, "x-amz-copy-source-range", text)
    return Range(start, stop)
