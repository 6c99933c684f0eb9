"""Owns the Condition element: which keys are compared how, with IfExists, ForAllValues, ForAnyValue and Null. Pure.

Source: AWS, "IAM JSON policy elements: Condition" and "Set operators for multi-valued context keys".
"""

from typing import Literal, NamedTuple

from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.operators import OPERATORS, Test
from pyrite.iam.patterns import Context

Quantifier = Literal["", "all", "any"]

_QUANTIFIERS: dict[str, Quantifier] = {"forallvalues": "all", "foranyvalue": "any"}
_IF_EXISTS = "IfExists"
_BY_LOWER = {name.lower(): operator for name, operator in OPERATORS.items()}


class Comparison(NamedTuple):
    """One key compared with the values of a policy."""

    key: str
    operator: str
    values: tuple[str, ...]
    tests: tuple[Test, ...]
    negated: bool
    quantifier: Quantifier
    if_exists: bool

    def holds(self, context: Context) -> bool:
        """Whether the request meets it.

        A key without values meets ForAllValues and IfExists, and every negated operator but ForAnyValue. With
        a quantifier, a value "matches" a negated operator when it is none of the policy's values.
        """
        values = context.get(self.key)
        if not values:
            return self.if_exists or self.quantifier == "all" or (self.negated and self.quantifier != "any")
        if self.quantifier == "all":
            return all(self._matches(value, context) for value in values)
        if self.quantifier == "any" or not self.negated:
            return any(self._matches(value, context) for value in values)
        return all(self._matches(value, context) for value in values)

    def _matches(self, value: str, context: Context) -> bool:
        return any(test(value, context) for test in self.tests) != self.negated


class Presence(NamedTuple):
    """The Null operator: whether a key must be absent."""

    key: str
    absent: bool
    values: tuple[str, ...] = ()

    def holds(self, context: Context) -> bool:
        return (not context.get(self.key)) == self.absent


Condition = Comparison | Presence


def compile_conditions(block: object, variables: bool) -> tuple[Condition, ...]:
    """The conditions of a statement, all of which have to hold. Raises MalformedPolicy."""
    if not isinstance(block, dict):
        raise MalformedPolicy("Condition must be an object")
    compiled: list[Condition] = []
    for name, keys in block.items():
        if not isinstance(keys, dict) or not keys:
            raise MalformedPolicy(f"Condition {name} must name the keys that it compares")
        for key, values in keys.items():
            compiled.append(_compile(name, key, _texts(key, values), variables))
    return tuple(compiled)


def _texts(key: str, values: object) -> list[str]:
    listed = values if isinstance(values, list) else [values]
    if not listed:
        raise MalformedPolicy(f"Condition key {key} has no values")
    texts = []
    for value in listed:
        if isinstance(value, bool):
            texts.append(str(value).lower())
        elif isinstance(value, str | int | float):
            texts.append(str(value))
        else:
            raise MalformedPolicy(f"Condition key {key} must have strings as values")
    return texts


def _compile(name: str, key: str, values: list[str], variables: bool) -> Condition:
    prefix, colon, rest = name.rpartition(":")
    quantifier = _QUANTIFIERS.get(prefix.lower()) if colon else ""
    if quantifier is None or not key.strip():
        raise MalformedPolicy(f"Condition {name} is not known")
    lower = key.strip().lower()
    if rest.lower() == "null" and not quantifier:
        if len(values) != 1 or values[0].lower() not in ("true", "false"):
            raise MalformedPolicy("Null compares with true or false")
        return Presence(lower, values[0].lower() == "true")
    if_exists = rest.lower().endswith(_IF_EXISTS.lower())
    word = (rest[: -len(_IF_EXISTS)] if if_exists else rest).lower()
    operator = _BY_LOWER.get(word)
    if operator is None:
        raise MalformedPolicy(f"Condition operator {name} is not known")
    tests = tuple(operator.compile(value, variables) for value in values)
    return Comparison(lower, word, tuple(values), tests, operator.negated, quantifier, if_exists)
