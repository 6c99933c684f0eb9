"""Owns a call: who calls which action with what, and what the action works with."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pyrite.core.clock import Clock
from pyrite.core.entropy import Entropy
from pyrite.iam import entities
from pyrite.iam.caller import Caller
from pyrite.iam.callers import Callers
from pyrite.iam.changing import Changes, View
from pyrite.iam.errors import NoSuchEntity
from pyrite.iam.records import EntityKind, EntityRecord
from pyrite.iamapi.errors import QueryError
from pyrite.iamapi.issuers import Issuers
from pyrite.iamapi.wire import Params

if TYPE_CHECKING:
    from pyrite.iamapi.actions.ldapidentity import Directory, Limiter

Result = Mapping[str, object] | None


class Identities(NamedTuple):
    """The store's identities as actions see them.

    `limiter` counts failed sign-ins, `directory` is where people sign in with names and passwords. `like_rgw`: the
    switch `rgw_identities` of compatibility.
    """

    changes: Changes
    callers: Callers
    clock: Clock
    entropy: Entropy
    issuers: Issuers
    limiter: "Limiter"
    own_account: str
    directory: "Directory | None" = None
    like_rgw: bool = False
    region: str = "us-east-1"

    @property
    def view(self) -> View:
        """Identities as they are now."""
        return self.changes.view


class Call(NamedTuple):
    """One call. `keys` are the condition keys of the request itself, `certificate` the verified one of the client."""

    action: str
    params: Params
    caller: Caller
    identities: Identities
    keys: Mapping[str, tuple[str, ...]]
    certificate: bytes = b""

    @property
    def account(self) -> str:
        """The account in which the call works: the caller's."""
        return self.caller.account

    @property
    def view(self) -> View:
        """Identities as they are now."""
        return self.identities.view

    def user_name(self) -> str:
        """The parameter UserName, or the caller's own name; "" for the root. Raises QueryError."""
        given = self.params.get("UserName")
        if given:
            return given
        if self.caller.kind == "User":
            return self.caller.name
        if self.caller.kind == "Account":
            return ""
        raise QueryError("ValidationError", "Must specify userName when calling with non-User credentials")

    async def entity(self, kind: EntityKind, name: str) -> EntityRecord:
        """A user, group or role of the account. Raises NoSuchEntity."""
        return await entities.find(self.view, kind, self.account, name)

    async def entity_or_none(self, kind: EntityKind, name: str) -> EntityRecord | None:
        """As `entity`, None when there is none."""
        try:
            return await self.entity(kind, name)
        except NoSuchEntity:
            return None


Handler = Callable[[Call], Awaitable[Result]]
