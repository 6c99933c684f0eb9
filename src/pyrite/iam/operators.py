"""Owns the comparisons behind condition operators: one value of a request against the values of a policy. Pure.

Source: AWS, "IAM JSON policy elements: Condition operators".
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.patterns import Context, Pattern

Test = Callable[[str, Context], bool]
"""Whether a value of the request is what one value of the policy says."""


class Operator(NamedTuple):
    """A comparison, and whether the operator says that it must not hold."""

    compile: Callable[[str, bool], Test]
    negated: bool


def _like(text: str, variables: bool) -> Test:
    return Pattern(text, variables).matches


def _arn(text: str, variables: bool) -> Test:
    if text != "*" and text.count(":") < 5 and "${" not in text:
        raise MalformedPolicy(f"{text!r} is not an ARN")
    return Pattern(text, variables, is_arn=True).matches


def _equals(text: str, variables: bool) -> Test:
    pattern = Pattern(text, variables)
    if pattern.is_fixed and "${" not in text:
        return lambda value, _: value == text
    return lambda value, context: value == pattern.plain(context)


def _equals_ignoring_case(text: str, variables: bool) -> Test:
    pattern = Pattern(text, variables)

    def test(value: str, context: Context) -> bool:
        wanted = pattern.plain(context)
        return wanted is not None and value.casefold() == wanted.casefold()

    return test


def _compared(parse: Callable[[str], Any], what: str, holds: Callable[[Any, Any], bool]) -> Callable[[str, bool], Test]:
    """A comparison of parsed values; a value of the request that cannot be parsed is unlike every other."""

    def compile_(text: str, _: bool) -> Test:
        wanted = parse(text)
        if wanted is None:
            raise MalformedPolicy(f"{text!r} is not {what}")

        def test(value: str, _: Context) -> bool:
            parsed = parse(value)
            return parsed is not None and holds(parsed, wanted)

        return test

    return compile_


def parse_number(text: str) -> Decimal | None:
    """A number, or None."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def parse_date(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 date or of a number of seconds, or None."""
    number = parse_number(text)
    if number is not None and abs(number) < 10**12:
        return float(number)
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()


def _parse_bool(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.strip().lower())


def _parse_binary(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _in_network(text: str, _: bool) -> Test:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise MalformedPolicy(f"{text!r} is not an IP address or a CIDR block") from None

    def test(value: str, _: Context) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address) in network

    return test


def _family(name: str, compile_: Callable[[str, bool], Test], negated: str) -> dict[str, Operator]:
    return {name: Operator(compile_, False), negated: Operator(compile_, True)}


def _ordered(prefix: str, parse: Callable[[str], Any], what: str) -> dict[str, Operator]:
    return {
        **_family(prefix + "Equals", _compared(parse, what, lambda a, b: a == b), prefix + "NotEquals"),
        prefix + "LessThan": Operator(_compared(parse, what, lambda a, b: a < b), False),
        prefix + "LessThanEquals": Operator(_compared(parse, what, lambda a, b: a <= b), False),
        prefix + "GreaterThan": Operator(_compared(parse, what, lambda a, b: a > b), False),
        prefix + "GreaterThanEquals": Operator(_compared(parse, what, lambda a, b: a >= b), False),
    }


OPERATORS: dict[str, Operator] = {
    **_family("StringEquals", _equals, "StringNotEquals"),
    **_family("StringEqualsIgnoreCase", _equals_ignoring_case, "StringNotEqualsIgnoreCase"),
    **_family("StringLike", _like, "StringNotLike"),
    **_ordered("Numeric", parse_number, "a number"),
    **_ordered("Date", parse_date, "a date"),
    "Bool": Operator(_compared(_parse_bool, "true or false", lambda a, b: a is b), False),
    "BinaryEquals": Operator(_compared(_parse_binary, "base64", lambda a, b: a == b), False),
    **_family("IpAddress", _in_network, "NotIpAddress"),
    **_family("ArnEquals", _arn, "ArnNotEquals"),
    **_family("ArnLike", _arn, "ArnNotLike"),
}
