"""Unit tests of the limits of policies, and of what a policy says that it looks at."""

import json
from collections.abc import Callable

import pytest

from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.patterns import Pattern, TooLongForPolicy
from pyrite.iam.policy import Use, parse_policy


def test_limits_of_patterns_and_values() -> None:
    """Patterns, what variables make of them, and the values they are held against have limits."""
    with pytest.raises(MalformedPolicy):
        Pattern("a" * 2049, True)
    with pytest.raises(TooLongForPolicy):
        Pattern("b*", True).matches("a" * 2049, {})
    with pytest.raises(TooLongForPolicy):
        Pattern("${aws:username}" * 30, True).matches("a", {"aws:username": ("u" * 100,)})


def _policy(**fields: object) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", **fields}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_policy_may_have_so_much_behind_its_stars() -> None:
    """A policy whose patterns would take long is refused when it is put."""
    values = {"StringLike": {"aws:Referer": ["*" + "a" * 1400] * 3}}
    with pytest.raises(MalformedPolicy):
        parse_policy(_policy(Condition=values), Use.RESOURCE)


TAG = "s3:existingobjecttag"


def solidus_escaped(text: str) -> str:
    return text.replace("/", "\\/")


def letters_escaped(text: str) -> str:
    return text.replace("O", "\\u004f")


@pytest.mark.parametrize(
    "fields",
    [
        {"Condition": {"StringEquals": {"s3:ExistingObjectTag/class": "secret"}}},
        {"Condition": {"StringEquals": {"aws:username": "${s3:ExistingObjectTag/owner, 'nobody'}"}}},
        {"Resource": "arn:aws:s3:::b/${s3:ExistingObjectTag/owner}/*"},
        {"Condition": {"Null": {"s3:ExistingObjectTag/class": "true"}}},
    ],
)
@pytest.mark.parametrize("escape", [str, solidus_escaped, letters_escaped])
def test_a_policy_mentions_what_it_looks_at(fields: dict[str, object], escape: Callable[[str], str]) -> None:
    """A policy says that it looks at tags wherever it names them, and however JSON writes the name."""
    assert parse_policy(escape(_policy(**fields)), Use.RESOURCE).mentions(TAG)
    assert not parse_policy(_policy(Sid="ExistingObjectTag"), Use.RESOURCE).mentions(TAG)


@pytest.mark.parametrize("fields", [{"Resource": "a\0b"}, {"Condition": {"StringEquals": {"aws:\0": "x"}}}])
def test_a_policy_has_no_nul(fields: dict[str, object]) -> None:
    """A NUL in a policy is refused."""
    with pytest.raises(MalformedPolicy):
        parse_policy(_policy(**fields), Use.RESOURCE)
