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
    the user or session itself, `principal_arn` the user or role behind it; `id` is what aws:userid says. `policies`
    are all that grant to the identity; `boundary` limits them where there is one, and so does each set
    of `sessions`: the policies of a session, or of the access key that it was begun with. `is_root` stands
    for an identity that needs no grant within what it owns. `keys` are the condition keys that speak of the caller.
    `expires_s` is when its credentials end, in seconds since the epoch; 0 when they do not.
    """

    kind: Kind
    access_key: str = ""
    account: str = ""
    owner: str = ""
    arn: str = ""
    principal_arn: str = ""
    id: str = ""
    name: str = ""
    provider: str = ""
    is_root: bool = False
    policies: tuple[Policy, ...] = ()
    boundary: tuple[Policy, ...] = ()
    sessions: tuple[tuple[Policy, ...], ...] = ()
    keys: Mapping[str, Values] = {}
    expires_s: int = 0

    @property
    def all_policies(self) -> tuple[Policy, ...]:
        """Every policy that speaks of the caller, whether it grants or limits."""
        return (*self.policies, *self.boundary, *(policy for policies in self.sessions for policy in policies))

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody signed."""
        return self.kind == "Anonymous"

    @property
    def is_temporary(self) -> bool:
        """Whether it signed with credentials of a session."""
        return bool(self.expires_s) and self.kind != "User"


ANONYMOUS = Caller(kind="Anonymous", keys={"aws:principaltype": ("Anonymous",)})
