"""Owns AssumeRoleWithLDAPIdentity: from a name and a password of a directory to the session of a role.

AWS has no such action; its name and parameters are those that SDKs of other stores send.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from pyrite.aws.arns import iam_arn
from pyrite.core.clock import Clock
from pyrite.core.lru import LruMap
from pyrite.iam.errors import AccessRefused
from pyrite.iamapi.actions.sts import assumed_role_user, find_role
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.errors import QueryError
from pyrite.iamapi.sessions import DURATION_MIN_S, Wanted, Who, begin, session_policies

FAILURES_MAX = 5
FAILURES_S = 60

_KEPT = 10_000
_SESSION_NAME_MAX = 64


class Person(NamedTuple):
    """Somebody of a directory: the DN, and the DNs of the groups."""

    dn: str
    groups: tuple[str, ...]


class Directory(Protocol):
    """A directory that people sign in with."""

    @property
    def account(self) -> str:
        """The account whose roles are given; "" for the store's own."""
        ...

    @property
    def roles(self) -> Mapping[str, str]:
        """Which role a group gives, by the group's DN."""
        ...

    async def sign_in(self, name: str, password: str) -> Person:
        """Who signs in with this name and password. Raises RejectedIdentity."""
        ...


class Attempt(NamedTuple):
    """A password that somebody tried, for a name and from an address; `mark` tells it from others of the moment."""

    names: tuple[str, ...]
    begun_s: float
    mark: object


class Limiter:
    """Counts failures by name and by address; after some within a minute nobody is asked any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: LruMap[str, list[Attempt]] = LruMap(_KEPT)

    def check(self, *names: str) -> None:
        """Raises AccessRefused when one of `names` has failed too often."""
        for name in names:
            if len(self._recent(name)) >= FAILURES_MAX:
                raise AccessRefused("Too many failed attempts; try again in a minute.")

    def begin(self, *names: str) -> Attempt:
        """Count an attempt for each of `names` as a failure, which it is until it succeeds."""
        attempt = Attempt(names, self._clock.monotonic_s(), object())
        for name in names:
            self._failures.put(name, [*self._recent(name), attempt])
        return attempt

    def succeed(self, attempt: Attempt) -> None:
        """Take an attempt back."""
        for name in attempt.names:
            self._failures.put(name, [one for one in self._recent(name) if one is not attempt])

    def _recent(self, name: str) -> list[Attempt]:
        since = self._clock.monotonic_s() - FAILURES_S
        return [attempt for attempt in self._failures.get(name) or [] if attempt.begun_s > since]


async def assume_role_with_ldap_identity(call: Call) -> Result:
    directory, limiter = call.identities.directory, call.identities.limiter
    if directory is None:
        raise QueryError("InvalidAction", "No LDAP directory is configured")
    name, password = call.params.get("LDAPUsername") or "", call.params.get("LDAPPassword") or ""
    digest = hashlib.sha256(name.lower().encode("utf-8", "replace")).hexdigest()  # a name may be long
    limited = (f"name {digest}", f"address {call.keys['aws:sourceip'][0]}")
    limiter.check(*limited)
    attempt = limiter.begin(*limited)  # it counts before it is known how it ends: many may be made at once
    person = await directory.sign_in(name, password)
    limiter.succeed(attempt)
    account = directory.account or call.identities.own_account
    role = await find_role(call, _role_of(directory, person, account))
    if role is None:
        raise AccessRefused("The role that the groups give does not exist.")
    duration_s = call.params.number(
        "DurationSeconds", min(3600, role.max_session_s), DURATION_MIN_S, role.max_session_s
    )
    policies, arns = await session_policies(call, role.account)
    session_name = "".join(c if c.isascii() and (c.isalnum() or c in "+=,.@-_") else "-" for c in name)[
        :_SESSION_NAME_MAX
    ]
    keys = {"ldap:username": (name,), "ldap:user": (person.dn,), "ldap:groups": person.groups or ("",)}
    wanted = Wanted(session_name, duration_s, policies, arns, {}, provider="ldap", keys=keys)
    _, credentials = await begin(call, Who("role", role.account, role.name, role.id), wanted)
    return {"Credentials": credentials, "AssumedRoleUser": assumed_role_user(role, session_name), "PackedPolicySize": 0}


def _role_of(directory: Directory, person: Person, account: str) -> str:
    """The ARN of the role that the person's groups give. Raises AccessRefused when none of them gives one."""
    groups = {group.lower() for group in person.groups}
    for group, role in directory.roles.items():
        if group.lower() in groups:
            return role if role.startswith("arn:") else iam_arn(account, f"role/{role}")
    raise AccessRefused("None of the groups gives a role.")


HANDLERS: dict[str, Handler] = {"AssumeRoleWithLDAPIdentity": assume_role_with_ldap_identity}
