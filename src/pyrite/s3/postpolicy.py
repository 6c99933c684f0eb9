"""Owns the policy of a browser's form: parsing it strictly, and holding a form against it. Pure.

Source: AWS, "Creating a POST policy" in the Amazon S3 API Reference.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pyrite.aws.dates import parse_iso
from pyrite.s3.errors import S3Error

# Fields of which the policy need not speak.
_FREE = frozenset(("policy", "signature", "x-amz-signature", "awsaccesskeyid", "file"))
_FREE_PREFIXES = ("x-ignore-", "x-amz-checksum-")
_OPERATORS = ("eq", "starts-with")


class Condition(NamedTuple):
    """A condition on a field: that it is, or begins with, a value."""

    operator: str
    field: str
    value: str

    def holds(self, found: str) -> bool:
        """Whether a field with this value is what the policy wants."""
        if self.operator == "eq":
            return found == self.value
        if self.field == "content-type":
            return all(one.strip().startswith(self.value) for one in found.split(","))
        return found.startswith(self.value)


class PostPolicy(NamedTuple):
    """A policy: until when it is good, its conditions, and how many bytes the file may have."""

    expires_ms: int
    conditions: tuple[Condition, ...]
    size_range: tuple[int, int] | None


def parse(encoded: bytes) -> PostPolicy:
    """The policy in a form's field. Raises S3Error."""
    try:
        document = json.loads(base64.b64decode(encoded, validate=True))
    except (ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict) or set(document) - {"expiration", "conditions"}:
        raise _invalid("Unexpected element.")
    expires = document.get("expiration")
    if not isinstance(expires, str):
        raise _invalid("Policy missing expiration.")
    expires_ms = parse_iso(expires) if expires.endswith("Z") else None
    if expires_ms is None:
        raise _invalid(f"Invalid 'expiration' value: '{expires}'")
    listed = document.get("conditions")
    if not isinstance(listed, list) or not listed:
        raise _invalid("Policy missing conditions.")
    conditions: list[Condition] = []
    size_range: tuple[int, int] | None = None
    for item in listed:
        if isinstance(item, list) and item and item[0] == "content-length-range":
            low, high = _size_range(item)
            if size_range is not None:  # both hold
                low, high = max(low, size_range[0]), min(high, size_range[1])
            size_range = low, high
        else:
            conditions += _conditions(item)
    return PostPolicy(expires_ms, tuple(conditions), size_range)


def _conditions(item: Any) -> list[Condition]:
    if isinstance(item, dict):
        if len(item) != 1:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        if not all(isinstance(value, str) for value in item.values()):
            raise _invalid("Invalid Simple-Condition: value must be a string.")
        return [Condition("eq", name.lower(), value) for name, value in item.items()]
    if not isinstance(item, list) or len(item) != 3 or not all(isinstance(part, str) for part in item):
        raise _invalid("Invalid Condition: it needs an operator, a field and a value.")
    operator, field, value = item[0].lower(), item[1], item[2]
    if operator not in _OPERATORS:
        raise _invalid(f"Invalid Condition: {operator!r} with {field!r}")
    if not field.startswith("$"):
        raise _failed(item)  # of what is no field nothing holds
    return [Condition(operator, field[1:].lower(), value)]


def _size_range(item: list[Any]) -> tuple[int, int]:
    try:
        _, least, most = item
        low, high = int(least), int(most)
    except (ValueError, TypeError, OverflowError):
        if len(item) == 3 and all(isinstance(part, (str, int)) for part in item):
            raise _failed(item) from None
        raise _invalid("Invalid content-length-range: it needs two numbers.") from None
    if isinstance(least, bool) or isinstance(most, bool) or low < 0 or high < low:
        raise _invalid("Invalid content-length-range.")
    return low, high


def check(policy: PostPolicy, fields: Mapping[str, str], now_ms: int) -> None:
    """Raises S3Error unless a form, whose bucket counts as one of its `fields`, is what the policy allows."""
    if policy.expires_ms <= now_ms:
        raise S3Error("AccessDenied", "Invalid according to Policy: Policy expired.")
    covered = set()
    for condition in policy.conditions:
        covered.add(condition.field)
        if not condition.holds(fields.get(condition.field, "")):
            raise _failed([condition.operator, f"${condition.field}", condition.value])
    extra = [
        name for name in fields if name not in covered and name not in _FREE and not name.startswith(_FREE_PREFIXES)
    ]
    if extra:
        raise S3Error("AccessDenied", f"Invalid according to Policy: Extra input fields: {extra[0]}")


def check_size(policy: PostPolicy | None, size: int) -> None:
    """Raises S3Error unless the file is as long as the policy allows."""
    if policy is None or policy.size_range is None:
        return
    low, high = policy.size_range
    if size > high:
        raise S3Error("EntityTooLarge", None, (("ProposedSize", str(size)), ("MaxSizeAllowed", str(high))))
    if size < low:
        raise S3Error("EntityTooSmall", None, (("ProposedSize", str(size)), ("MinSizeAllowed", str(low))))


def _failed(condition: list[Any]) -> S3Error:
    """The refusal of a form for which a condition of its policy does not hold."""
    return S3Error("AccessDenied", f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)}")


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}")
