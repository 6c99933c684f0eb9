"""Counts from outside are digits and nothing else, and few of them."""

import pytest

from pyrite.core.counts import DIGITS_MAX, parse_clamped, parse_count

NONE = [
    "",
    " 1",
    "1 ",
    "+1",
    "-1",
    "1_0",
    "0x1",
    "1.0",
    "²",
    "1²",
    "٣",
    "\uff11",
    "1\n",
    "\x00",
    "9" * (DIGITS_MAX + 1),
    "9" * 5000,
]


@pytest.mark.parametrize("text", NONE, ids=repr)
def test_what_is_no_count(text: str) -> None:
    """Signs, spaces, digits of other scripts, superscripts and endless numbers are none, and raise nothing."""
    assert parse_count(text) is None
    assert parse_count(text.encode()) is None


def test_counts() -> None:
    """Digits are read as they stand, leading zeros too, as text and as bytes."""
    assert [parse_count(text) for text in ("0", "007", b"42", "9" * DIGITS_MAX)] == [0, 7, 42, 10**DIGITS_MAX - 1]
    assert parse_count(None) is None and parse_count("100", digits_max=2) is None
    assert parse_clamped("9" * 5000) == 10**DIGITS_MAX and parse_clamped("12") == 12
