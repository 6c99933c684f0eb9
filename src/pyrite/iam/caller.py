"""Owns the caller: who a request comes from, with all that decides what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from pyrite.iam.patterns import Values

if TYPE_CHECKING:
    from pyrite.iam.policy import Policy

Kind = Literal["Anonymous", "Account", "User", "AssumedRole", "FederatedUser"]


class Caller(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A principal at the moment of a request.

    `account` is the 12-digit account id and `owner` the canonical id that owns what the caller makes. `arn` names
    the user or session itself, `principal_arn` the user or role behind it, and `unique` is the id of that; `id` is
    what aws:userid says. `policies` are all that grant to the identity; `boundary` limits them where there is one,
    and so does each set of `sessions`, the policies of a session of a role or of federation, and of `limits`: those of
    an access key, also of the one that a session was begun with, and of a user's own session. What names a session by
    its ARN is not limited by `sessions`; `limits` always hold. `is_root` stands for an identity that needs no grant
    within what it owns. `keys` are the condition keys that speak of the caller. `expires_s` is when its credentials
    end, in seconds since the epoch; 0 when they do not. `passed_on` are the session tags that the sessions of roles get
    which it assumes.
    """

    kind: Kind
    access_key: str = ""
    account: str = ""
    owner: str = ""
    arn: str = ""
    principal_arn: str = ""
    id: str = ""
    unique: str = ""
    name: str = ""
    provider: str = ""
    is_root: bool = False
    policies: tuple[Policy, ...] = ()
    boundary: tuple[Policy, ...] = ()
    sessions: tuple[tuple[Policy, ...], ...] = ()
    limits: tuple[tuple[Policy, ...], ...] = ()
    keys: Mapping[str, Values] = {}
    expires_s: int = 0
    passed_on: Mapping[str, str] = {}

    @property
    def all_policies(self) -> tuple[Policy, ...]:
        """Every policy that speaks of the caller, whether it grants or limits."""
        more = (policy for policies in (*self.sessions, *self.limits) for policy in policies)
        return (*self.policies, *self.boundary, *more)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody signed."""
        return self.kind == "Anonymous"

    @property
    def is_temporary(self) -> bool:
        """Whether it signed with credentials of a session."""
        return bool(self.expires_s) and self.kind != "User"


ANONYMOUS = Caller(kind="Anonymous", keys={"aws:principaltype": ("Anonymous",)})
