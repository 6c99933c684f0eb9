"""Owns the Principal element: whom a statement of a resource's or a role's policy speaks of. Pure.

Source: AWS, "AWS JSON policy elements: Principal" and "NotPrincipal".
"""

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from pyrite.aws.arns import MalformedArn, iam_arn, parse_arn
from pyrite.iam.caller import Caller
from pyrite.iam.errors import MalformedPolicy

_ACCOUNT = re.compile(r"\d{12}\Z")
_UNIQUE_ID = re.compile(r"A(IDA|ROA)[A-Z0-9]{12,}\Z")
_SESSION = "arn:aws:sts:"
_UNBOUND: Mapping[str, str] = {}
_KINDS = ("AWS", "Federated", "Service", "CanonicalUser")


class Match(IntEnum):
    """How a principal names a caller, in the order of what a grant to it is worth.

    A grant to an account is the least: the policies of its identities have to allow the same.
    """

    NONE = 0
    ACCOUNT = 1
    ANYONE = 2
    ROLE = 3
    CALLER = 4


class Named(NamedTuple):
    """One principal: its kind, and an ARN, an id, or "*"; `unique` is the id of the one user or role that is meant."""

    kind: str
    value: str
    unique: str = ""

    def match(self, caller: Caller) -> Match:
        """How closely this names `caller`."""
        if self.value == "*":
            return Match.ANYONE if self.kind == "AWS" else Match.NONE
        if self.kind == "CanonicalUser":
            return _of_account(caller) if caller.owner and self.value == caller.owner else Match.NONE
        if self.kind != "AWS":
            return Match.CALLER if caller.provider and self.value == caller.provider else Match.NONE
        if self.unique and self.unique != caller.unique:
            return Match.NONE
        if self.value in (caller.arn, caller.id) and self.value:
            return Match.CALLER
        if self.value in (caller.principal_arn, caller.unique) and self.value:
            return Match.ROLE
        if self.unique and not self.value.startswith(_SESSION):
            return Match.CALLER if caller.kind == "User" else Match.ROLE  # its name has changed
        if caller.account and self.value in (caller.account, iam_arn(caller.account, "root")):
            return _of_account(caller)
        return Match.NONE


def _of_account(caller: Caller) -> Match:
    """An account's root is named by its account; a session of the root is named as a role names its sessions."""
    if not caller.is_root:
        return Match.ACCOUNT
    return Match.CALLER if caller.kind != "FederatedUser" else Match.ROLE


class Principals(NamedTuple):
    """The principals of a statement; `negated` for NotPrincipal."""

    named: tuple[Named, ...]
    negated: bool

    def match(self, caller: Caller) -> Match:
        """How closely the statement speaks of `caller`."""
        found = [named.match(caller) for named in self.named]
        if not self.negated:
            return max(found)
        return Match.NONE if self._excepts(caller, found) else Match.ANYONE

    def _excepts(self, caller: Caller, found: Iterable[Match]) -> bool:
        """Whether NotPrincipal leaves a caller out: only one that it names itself, and none that has a boundary.

        The account's ARN, which has to be there beside the ARN of a user, leaves out the account's root alone; that of
        a role none of its sessions. Source: AWS, "AWS JSON policy elements: NotPrincipal".
        """
        return not caller.boundary and any(match in (Match.CALLER, Match.ANYONE) for match in found)

    @property
    def is_public(self) -> bool:
        """Whether it speaks of everybody."""
        return self.negated or any(named.value == "*" and named.kind == "AWS" for named in self.named)


def parse_principals(element: object, negated: bool, bound: Mapping[str, str] = _UNBOUND) -> Principals:
    """The principals of an element; `bound` has the ids of those that it names. Raises MalformedPolicy."""
    if element == "*":
        return Principals((Named("AWS", "*"),), negated)
    if not isinstance(element, dict) or not element:
        raise MalformedPolicy("Invalid principal in policy")
    named: list[Named] = []
    for kind, values in element.items():
        if kind not in _KINDS:
            raise MalformedPolicy(f"Invalid principal in policy: {kind} is not a kind of principal")
        listed = values if isinstance(values, list) else [values]
        if not listed:
            raise MalformedPolicy("Invalid principal in policy: it is empty")
        named += [_parse(kind, value, bound) for value in listed]
    return Principals(tuple(named), negated)


def _parse(kind: str, value: object, bound: Mapping[str, str]) -> Named:
    if not isinstance(value, str) or not value.strip():
        raise MalformedPolicy("Invalid principal in policy: a principal is a string")
    if kind != "AWS" or value == "*" or _ACCOUNT.match(value) or _UNIQUE_ID.match(value):
        return Named(kind, value)
    try:
        arn = parse_arn(value)
    except MalformedArn:
        raise MalformedPolicy(f"Invalid principal in policy: {value!r}") from None
    if arn.service == "iam" and arn.resource.startswith("assumed-role/"):
        arn = arn._replace(service="sts")  # as Ceph writes it
        value = str(arn)
    if arn.service not in ("iam", "sts") or not arn.resource or "*" in value or "?" in value:
        raise MalformedPolicy(f"Invalid principal in policy: {value!r}")
    return Named(kind, value, bound.get(value, ""))
