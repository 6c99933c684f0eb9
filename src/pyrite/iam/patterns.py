"""Owns the patterns of the policy language: wildcards, policy variables, and how ARNs are compared. Pure.

A pattern is compiled once. `*` and `?` become a regular expression without backtracking across stars, so that a
match costs at most the characters behind its stars times those of the value. All three are limited.
Source: AWS, "IAM policy elements: Variables and tags" and "IAM JSON policy elements: Resource".
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from pyrite.core.errors import PyriteError
from pyrite.iam.errors import MalformedPolicy

Values = tuple[str, ...]
Context = Mapping[str, Values]
"""The condition keys of a request, in lower case, with their values. A key that is not there has none."""

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"([^,]*),\s*+'([^']*)'\s*+\Z")
_SPECIAL = re.compile(r"[*?\x00]")
_STAR = re.compile(r"(?<!\x00)\*")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
_ARN_FIELDS = 5
PATTERN_MAX_CHARACTERS = 2048
"""The longest pattern, also with the values of its variables in it. No ARN of a key is longer."""
VALUE_MAX_CHARACTERS = 2048
"""The longest value of a request that a policy looks at."""
_COMPILED_MAX = 1024
_COMPILED_CHARACTERS_MAX = 256
"""How many patterns with variables in them are kept compiled, and how long they may be."""


class TooLongForPolicy(PyriteError):
    """A policy would have to look at more of a request than it may: it is refused, whatever the policy says."""


def variables_in(text: str) -> Iterator[str]:
    """The condition keys of the variables in a text, in lower case."""
    for match in _VARIABLE.finditer(text):
        yield match.group(1).partition(",")[0].strip().lower()


class _Variable(NamedTuple):
    """A variable of the request: its condition key in lower case, and what stands for it when it has no value."""

    key: str
    default: str | None


Part = str | _Variable
"""A piece of a pattern: text with wildcards, or a variable. A NUL (no policy contains one) marks what is literal."""


def _split(text: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    position = 0
    for match in _VARIABLE.finditer(text):
        parts.append(text[position : match.start()])
        position = match.end()
        name = match.group(1)
        if name in _LITERALS:
            parts.append("\0" + name)
            continue
        default = _DEFAULT.match(name)
        key = default.group(1) if default else name
        if not key.strip():
            raise MalformedPolicy(f"{match.group()} is not a policy variable")
        parts.append(_Variable(key.strip().lower(), default.group(2) if default else None))
    parts.append(text[position:])
    return tuple(part for part in parts if part != "")


def _merge(parts: tuple[Part, ...], context: Context | None) -> str | None:
    """The pattern with its variables replaced; None when one of them has no single value."""
    merged = []
    for part in parts:
        if isinstance(part, str):
            merged.append(part)
            continue
        values = context.get(part.key) if context is not None else None
        value = values[0] if values is not None and len(values) == 1 else part.default
        if value is None:
            return None
        merged.append(_SPECIAL.sub("\0\\g<0>", value) if _SPECIAL.search(value) else value)
    return "".join(merged)


@lru_cache(maxsize=_COMPILED_MAX)
def _compile_once(text: str, is_arn: bool, ignore_case: bool) -> re.Pattern[str]:
    return _compile(text, is_arn, ignore_case)


def _compile(text: str, is_arn: bool, ignore_case: bool) -> re.Pattern[str]:
    """A regular expression for a merged pattern. In ARNs no wildcard of the first fields matches a colon."""
    pieces: list[str] = []
    fixed: list[str] = []
    colons, position, anchored = 0, 0, True
    any_one, any_many = ("[^:]", "[^:]") if is_arn else (".", ".")
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\0" and position < len(text):
            fixed.append(re.escape(text[position]))
            position += 1
        elif character == "*":
            pieces.append(_piece(fixed, anchored, any_many))
            fixed, anchored = [], False
        elif character == "?":
            fixed.append(any_one)
        else:
            if is_arn and character == ":" and colons < _ARN_FIELDS:
                colons += 1
                pieces.append(_piece(fixed, anchored, any_many, ":"))
                fixed, anchored = [], True
                if colons == _ARN_FIELDS:
                    any_one, any_many = ".", "."
                continue
            fixed.append(re.escape(character))
    last = "".join(fixed)
    pieces.append(last if anchored else f"{any_many}*{last}" if not last else f"(?>{any_many}*?{last}\\Z)")
    return re.compile("".join(pieces) + r"\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _match_stars(merged: str, value: str, is_arn: bool, ignore_case: bool) -> bool:
    """Whether a value has the form of a merged pattern without question marks: as its expression, which costs more to
    make than to use once.
    """
    merged = merged.replace("\0\0", "\1")
    if ignore_case:
        merged, value = merged.lower(), value.lower()
    if not is_arn:
        return _has_form(merged, value)
    forms, fields = merged.split(":", _ARN_FIELDS), value.split(":", _ARN_FIELDS)
    return len(forms) == len(fields) and all(map(_has_form, forms, fields))


def _has_form(form: str, text: str) -> bool:
    first, *others = [piece.replace("\0", "").replace("\1", "\0") for piece in _STAR.split(form)]
    if not others:
        return text == first
    *middle, last = others
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for piece in middle:
        position = text.find(piece, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True


def _piece(fixed: list[str], anchored: bool, any_many: str, end: str = "") -> str:
    """What comes before a star or the end of an ARN's field: at once, or as early as possible after a star."""
    text = "".join(fixed) + end
    if anchored:
        return text
    return f"(?>{any_many}*?{text})" if text else ""


class Pattern:
    """A value of a policy that may contain wildcards and variables."""

    __slots__ = ("_always", "_ignore_case", "_is_arn", "_parts", "_ready", "text")

    def __init__(self, text: str, variables: bool, is_arn: bool = False, ignore_case: bool = False) -> None:
        if len(text) > PATTERN_MAX_CHARACTERS:
            raise MalformedPolicy(f"A value of a policy has at most {PATTERN_MAX_CHARACTERS} characters")
        self.text = text
        self._is_arn = is_arn
        self._ignore_case = ignore_case
        self._always = text == "*"
        self._parts = _split(text) if variables and "${" in text else (text,)
        merged = _merge(self._parts, None) if self.is_fixed else None
        self._ready = _compile(merged, is_arn, ignore_case) if merged is not None and not self._always else None

    @property
    def is_fixed(self) -> bool:
        """Whether it says the same for every request."""
        return all(isinstance(part, str) for part in self._parts)

    @property
    def asks_for_one(self) -> bool:
        """Whether a question mark in it stands for any character."""
        return any(isinstance(part, str) and "?" in part.replace("\0?", "") for part in self._parts)

    @property
    def is_always(self) -> bool:
        """Whether it matches everything."""
        return self._always

    def matches(self, value: str, context: Context | None) -> bool:
        """Whether `value` has this form; not when a variable of the pattern has no value."""
        if self._always:
            return True
        if len(value) > VALUE_MAX_CHARACTERS:
            raise TooLongForPolicy(f"a policy looks at no value of more than {VALUE_MAX_CHARACTERS} characters")
        ready = self._ready
        if ready is None:
            merged = _merge(self._parts, context)
            if merged is None:
                return False
            if len(merged) > PATTERN_MAX_CHARACTERS:
                raise TooLongForPolicy(f"a policy looks at no text of more than {PATTERN_MAX_CHARACTERS} characters")
            if len(merged) > _COMPILED_CHARACTERS_MAX and not self.asks_for_one:
                return _match_stars(merged, value, self._is_arn, self._ignore_case)
            keep = len(merged) <= _COMPILED_CHARACTERS_MAX
            ready = (_compile_once if keep else _compile)(merged, self._is_arn, self._ignore_case)
        return ready.match(value) is not None

    def plain(self, context: Context) -> str | None:
        """The text with its variables replaced and no wildcards; None when one of them has no value."""
        merged = _merge(self._parts, context)
        return None if merged is None else merged.replace("\0\0", "\1").replace("\0", "").replace("\1", "\0")
