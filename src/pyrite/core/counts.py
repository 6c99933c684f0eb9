"""Parses counts: numbers as headers, queries and documents spell them. Pure.

`int` takes more than digits (signs, spaces, underscores, digits of other scripts), `str.isdigit` more than `int` (²),
and both take thousands of characters. Text from outside is parsed here.
"""

from typing import overload

DIGITS_MAX = 18
"""The most digits of a count: what fits into 63 bits."""


@overload
def parse_count(text: None, digits_max: int = ...) -> None: ...
@overload
def parse_count(text: str | bytes | None, digits_max: int = ...) -> int | None: ...
def parse_count(text: str | bytes | None, digits_max: int = DIGITS_MAX) -> int | None:
    """The number that 1 to `digits_max` digits from 0 to 9 spell, else None."""
    if text is None or not 1 <= len(text) <= digits_max or not text.isascii() or not text.isdigit():
        return None
    return int(text)


def parse_clamped(digits: str) -> int:
    """The number that a text of digits from 0 to 9 spells; at most 10^18 however many they are."""
    return int(digits) if len(digits) <= DIGITS_MAX else 10**DIGITS_MAX
