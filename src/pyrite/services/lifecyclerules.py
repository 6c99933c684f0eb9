"""Owns lifecycle rules: the document, which objects a rule speaks of, and when what it says is due. Pure.

Source: AWS, "Managing the lifecycle of objects" and "Lifecycle configuration elements" in the Amazon S3 User Guide.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from pyrite.aws import xml
from pyrite.aws.dates import format_pacific, parse_iso
from pyrite.aws.xml import Element
from pyrite.core.errors import PyriteError
from pyrite.core.lru import remembered

RULES_MAX = 1000
DAYS_MAX = 1_000_000
"""More days than years have four digits for: no date of a header could tell."""
ID_MAX_CHARS = 255
DAY_S = 86_400
CLASSES = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
"""The storage classes from the warmest to the coldest: a transition only ever goes on in this order."""

NEWER_MAX = 100


class BadRule(PyriteError):
    """The document is no lifecycle configuration; `argument`: it is one, but with a value that is not allowed. `about`
    is its name and how it is shown.
    """

    def __init__(self, message: str = "", argument: bool = False, about: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.argument = argument
        self.about = about


class When(NamedTuple):
    """When something is due: `days` after what it counts from, or at a date; None where it is never."""

    days: int | None = None
    date_ms: int | None = None

    def due_ms(self, from_ms: int, day_s: float) -> int | None:
        """The moment, in ms; with days of their real length it is the first midnight (UTC) after them."""
        if self.date_ms is not None:
            return self.date_ms
        if self.days is None:
            return None
        due = from_ms + int(self.days * day_s * 1000)
        return due if day_s != DAY_S else -(-due // (DAY_S * 1000)) * DAY_S * 1000


NEVER = When()


class Filter(NamedTuple):
    """Which objects a rule speaks of. Sizes in bytes: greater than, and less than."""

    prefix: str = ""
    tags: Mapping[str, str] = {}
    greater: int | None = None
    less: int | None = None

    def matches(self, key: str, size: int, tags: Mapping[str, str]) -> bool:
        """Whether an object is one of them."""
        return (
            key.startswith(self.prefix)
            and all(tags.get(name) == value for name, value in self.tags.items())
            and (self.greater is None or size > self.greater)
            and (self.less is None or size < self.less)
        )

    @property
    def is_by_content(self) -> bool:
        """Whether it asks for more than the key, which delete markers and uploads do not have."""
        return bool(self.tags) or self.greater is not None or self.less is not None

    @property
    def is_by_size(self) -> bool:
        """Whether it says how large objects are."""
        return self.greater is not None or self.less is not None


class Transition(NamedTuple):
    """A change of storage class, and when; of noncurrent versions, `newer` of them are left alone."""

    when: When
    storage_class: str
    newer: int = 0


class Rule(NamedTuple):
    """A rule. `noncurrent_newer` noncurrent versions are kept whatever their age."""

    id: str
    enabled: bool
    filter: Filter
    expiration: When = NEVER
    expires_markers: bool = False
    noncurrent_expiration: When = NEVER
    noncurrent_newer: int = 0
    abort_after_days: int | None = None
    transitions: tuple[Transition, ...] = ()
    noncurrent_transitions: tuple[Transition, ...] = ()


MINIMUM = "lifecycle-minimum"
"""The configuration of a bucket that says how large objects have to be for transitions."""

ALL_LARGE, VARIES = "all_storage_classes_128K", "varies_by_storage_class"
MINIMUMS = (ALL_LARGE, VARIES)
MINIMUM_BYTES = 128 * 1024
_SIZE_DIGITS_MAX = 18
_FOR_SMALL = frozenset(("GLACIER", "DEEP_ARCHIVE"))


def moving(rule: Rule, transitions: tuple[Transition, ...], size: int, minimum: str) -> list[Transition]:
    """Those of a rule's transitions that an object of a size makes; `minimum` is one of MINIMUMS, or "" for none.

    Source: AWS, "Constraints and considerations for transitions" in the Amazon S3 User Guide.
    """
    if not minimum or size >= MINIMUM_BYTES or rule.filter.is_by_size:
        return list(transitions)
    return [one for one in transitions if minimum == VARIES and one.storage_class in _FOR_SMALL]


@remembered
def rules_in(text: str) -> tuple[Rule, ...]:
    """The rules of a document that was accepted."""
    return parse(xml.parse(text.encode()), lenient=True)


def parse(root: Element, lenient: bool = False) -> tuple[Rule, ...]:
    """The rules of a LifecycleConfiguration. `lenient` takes several conditions of a filter as if And held them.

    Raises BadRule.
    """
    if root.name not in ("LifecycleConfiguration", "BucketLifecycleConfiguration"):
        raise BadRule
    items = [child for child in root.children if child.name == "Rule"]
    if not 1 <= len(items) <= RULES_MAX or len(items) != len(root.children):
        raise BadRule
    rules = tuple(_parse_rule(item, lenient) for item in items)
    ids = [rule.id for rule in rules if rule.id]
    if len(set(ids)) != len(ids):
        raise BadRule("Rule ID must be unique. Found same ID for more than one rule", argument=True)
    return rules


def _one(element: Element, name: str) -> Element | None:
    found = [child for child in element.children if child.name == name]
    if len(found) > 1:
        raise BadRule
    return found[0] if found else None


def _parse_rule(item: Element, lenient: bool) -> Rule:
    status, name = item.find("Status"), (item.find("ID") or "").strip()
    if status not in ("Enabled", "Disabled"):
        raise BadRule
    if len(name) > ID_MAX_CHARS:
        raise BadRule(f"ID length should not exceed allowed limit of {ID_MAX_CHARS}", argument=True)
    expiration, markers = _parse_expiration(_one(item, "Expiration"))
    noncurrent = _one(item, "NoncurrentVersionExpiration")
    abort = _one(item, "AbortIncompleteMultipartUpload")
    rule = Rule(
        name,
        status == "Enabled",
        _parse_filter(item, lenient),
        expiration,
        markers,
        When(_days(noncurrent, "NoncurrentDays")) if noncurrent is not None else NEVER,
        _newer(noncurrent),
        _days(abort, "DaysAfterInitiation") if abort is not None else None,
        tuple(_transition(one) for one in item.children if one.name == "Transition"),
        tuple(_noncurrent_transition(one) for one in item.children if one.name == "NoncurrentVersionTransition"),
    )
    if not lenient and any(_is_late(expiration, one.when) for one in rule.transitions):
        raise BadRule("The Expiration action must come later than the Transition action", argument=True)
    acts = (expiration != NEVER, markers, noncurrent, abort, rule.transitions, rule.noncurrent_transitions)
    if not any(acts):
        raise BadRule("At least one action needs to be specified in a rule", argument=True)
    if rule.filter.is_by_content and (abort is not None or markers):
        raise BadRule("The rule's filter cannot be used with what it does", argument=True)
    return rule


def _is_late(expiration: When, transition: When) -> bool:
    """Whether objects would move when they are gone, or at once."""
    days = expiration.days is not None and transition.days is not None and expiration.days <= transition.days
    dates = expiration.date_ms is not None and transition.date_ms is not None
    return days or (dates and (expiration.date_ms or 0) <= (transition.date_ms or 0))


def _number(text: str | None, digits_max: int = 10) -> int:
    if text is None or not re.fullmatch(rf"-?[0-9]{{1,{digits_max}}}", text.strip()):
        raise BadRule
    return int(text)


def _days(element: Element, name: str, least: int = 1) -> int:
    days = _number(element.find(name))
    if days > DAYS_MAX:
        raise BadRule(f"'{name}' must be at most {DAYS_MAX}", argument=True)
    if days < least:
        what = "a positive integer" if least else "a nonnegative integer"
        raise BadRule(f"'{name}' must be {what}", argument=True)
    return days


def _newer(element: Element | None) -> int:
    if element is None or element.find("NewerNoncurrentVersions") is None:
        return 0
    number = _number(element.find("NewerNoncurrentVersions"))
    if not 1 <= number <= NEWER_MAX:
        raise BadRule(f"'NewerNoncurrentVersions' must be from 1 to {NEWER_MAX}", argument=True)
    return number


def _date(text: str) -> int:
    moment = parse_iso(text) if re.match(r"\d{4}-\d{2}-\d{2}", text.strip()) else None
    if moment is None:
        raise BadRule
    if moment % (DAY_S * 1000):
        raise BadRule("'Date' must be at midnight GMT", argument=True, about=("Date", format_pacific(moment)))
    return moment


def _parse_expiration(element: Element | None) -> tuple[When, bool]:
    if element is None:
        return NEVER, False
    names = [child.name for child in element.children]
    if len(names) != 1 or names[0] not in ("Days", "Date", "ExpiredObjectDeleteMarker"):
        raise BadRule
    if names[0] == "ExpiredObjectDeleteMarker":
        return NEVER, element.children[0].text.strip() == "true"
    if names[0] == "Days":
        return When(_days(element, "Days")), False
    return When(None, _date(element.children[0].text)), False


def _class(element: Element) -> str:
    name = (element.find("StorageClass") or "").strip()
    if name not in CLASSES:
        raise BadRule
    return name


def _transition(element: Element) -> Transition:
    days, date = element.find("Days"), element.find("Date")
    if (days is None) == (date is None):
        raise BadRule
    when = When(_days(element, "Days", 0)) if days is not None else When(None, _date(date or ""))
    return Transition(when, _class(element))


def _noncurrent_transition(element: Element) -> Transition:
    return Transition(When(_days(element, "NoncurrentDays", 0)), _class(element), _newer(element))


def _parse_filter(item: Element, lenient: bool) -> Filter:
    prefix, found = _one(item, "Prefix"), _one(item, "Filter")
    if found is None:
        if prefix is None and not lenient:
            raise BadRule
        return Filter(prefix.text if prefix is not None else "")
    if prefix is not None:
        raise BadRule
    conditions = found.children
    if len(conditions) == 1 and conditions[0].name == "And":
        conditions = conditions[0].children
        if len(conditions) < 2 and not lenient:
            raise BadRule
    elif lenient:
        conditions = [one for part in conditions for one in (part.children if part.name == "And" else [part])]
    elif len(conditions) > 1:
        raise BadRule
    return _conditions(conditions, lenient)


def _conditions(conditions: list[Element], lenient: bool) -> Filter:
    tags: dict[str, str] = {}
    made = Filter(tags=tags)
    for one in conditions:
        if one.name == "Prefix":
            made = made._replace(prefix=one.text)
        elif one.name == "Tag":
            key, value = one.find("Key"), one.find("Value")
            if not key or value is None:
                raise BadRule
            if key in tags and not lenient:
                raise BadRule("Duplicate Tag Keys are not allowed.")
            tags[key] = value
        elif one.name == "ObjectSizeGreaterThan":
            made = made._replace(greater=_number(one.text, _SIZE_DIGITS_MAX))
        elif one.name == "ObjectSizeLessThan":
            made = made._replace(less=_number(one.text, _SIZE_DIGITS_MAX))
        else:
            raise BadRule
    if made.greater is not None and made.less is not None and made.greater >= made.less:
        raise BadRule("'ObjectSizeLessThan' has to be greater than 'ObjectSizeGreaterThan'", argument=True)
    return made


def expiry_of(
    rules: tuple[Rule, ...], key: str, size: int, tags: Mapping[str, str], modified_ms: int
) -> tuple[int, str] | None:
    """When a current object expires, in ms, and the rule that says so; None where none does."""
    found: tuple[int, str] | None = None
    for rule in rules:
        if rule.enabled and rule.expiration != NEVER and rule.filter.matches(key, size, tags):
            due = rule.expiration.due_ms(modified_ms, DAY_S)
            if due is not None and (found is None or due < found[0]):
                found = (due, rule.id)
    return found


def abort_of(rules: tuple[Rule, ...], key: str, begun_ms: int) -> tuple[int, str] | None:
    """When an upload is aborted, in ms, and the rule that says so; None where none does."""
    dues = [
        (When(rule.abort_after_days).due_ms(begun_ms, DAY_S) or 0, rule.id)
        for rule in rules
        if rule.enabled and rule.abort_after_days is not None and key.startswith(rule.filter.prefix)
    ]
    return min(dues, default=None)


def class_at(
    transitions: list[Transition], now: str, from_ms: int, now_ms: int, day_s: float, newer: int = NEWER_MAX + 1
) -> str:
    """The storage class that an object should have by now: the coldest that is due."""
    best = now
    for transition in transitions:
        due = transition.when.due_ms(from_ms, day_s)
        if (
            due is not None
            and due <= now_ms
            and newer >= transition.newer
            and _rank(transition.storage_class) > _rank(best)
        ):
            best = transition.storage_class
    return best


def _rank(storage_class: str) -> int:
    return CLASSES.index(storage_class) if storage_class in CLASSES else -1
