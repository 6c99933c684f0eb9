"""Owns the question whether a policy is public: grants to everybody, not narrowed to anybody in particular. Pure.

Source: AWS, "The meaning of public" in "Blocking public access to your Amazon S3 storage".
"""

import ipaddress

from pyrite.iam.conditions import Comparison, Condition
from pyrite.iam.policy import Policy, Statement

_NARROWING_KEYS = frozenset(
    (
        "aws:sourceip",
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceowner",
        "aws:sourceaccount",
        "aws:userid",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principalaccount",
        "aws:principalarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
    )
)
_NARROWING_OPERATORS = frozenset("stringequals stringequalsignorecase stringlike arnequals arnlike ipaddress".split())
_WIDEST_PREFIX = {4: 8, 6: 32}


def is_public(policy: Policy) -> bool:
    """Whether any statement of a resource's policy grants to everybody."""
    return any(_grants_to_all(statement) for statement in policy.statements)


def _grants_to_all(statement: Statement) -> bool:
    if not statement.allows or statement.principals is None or not statement.principals.is_public:
        return False
    return not any(_narrows(condition) for condition in statement.conditions)


def _narrows(condition: Condition) -> bool:
    if not isinstance(condition, Comparison) or condition.if_exists or condition.quantifier == "all":
        return False
    if condition.key not in _NARROWING_KEYS or condition.operator not in _NARROWING_OPERATORS:
        return False
    return all(_is_fixed(condition, value) for value in condition.values)


def _is_fixed(condition: Comparison, value: str) -> bool:
    if condition.operator == "ipaddress":
        network = ipaddress.ip_network(value.strip(), strict=False)
        return network.prefixlen >= _WIDEST_PREFIX[network.version]
    if "${" in value:
        return False
    if condition.key == "aws:userid" and value.endswith(":*"):
        value = value[:-2]  # every session of one role is somebody in particular
    return "*" not in value and "?" not in value
