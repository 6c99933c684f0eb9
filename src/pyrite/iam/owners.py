"""Owns looking up whom a canonical id belongs to: its account and its name. What was found is kept."""

from pyrite.core.lru import LruMap
from pyrite.iam import accounts
from pyrite.iam.changing import View
from pyrite.iam.errors import NoSuchEntity
from pyrite.iam.records import OwnerRecord
from pyrite.metadata.kv import Engine

NOBODY = "-"
"""What stands for an account that does not exist; no account has this id."""

_KEPT = 1024


class Owners:
    """The owners of buckets and objects. A canonical id belongs to one account for ever; its name may be old."""

    def __init__(self, engine: Engine) -> None:
        self.view = View(engine)
        self._known: LruMap[str, OwnerRecord] = LruMap(_KEPT)

    async def find(self, canonical_id: str) -> OwnerRecord | None:
        """Whom a canonical id belongs to, or None."""
        known = self._known.get(canonical_id)
        if known is None:
            try:
                known = await accounts.by_canonical_id(self.view, canonical_id)
            except NoSuchEntity:
                return None
            self._known.put(canonical_id, known)
        return known

    async def account_of(self, canonical_id: str) -> str:
        """The id of the account; NOBODY when it does not exist any more.

        Nobody in particular owns what roles outside of accounts make.
        """
        if not canonical_id:
            return ""
        found = await self.find(canonical_id)
        return found.account if found is not None else NOBODY

    async def name_of(self, canonical_id: str) -> str:
        """The display name, "" when there is none."""
        found = await self.find(canonical_id)
        return found.display_name if found is not None else ""

    async def by_email(self, email: str) -> str | None:
        """The canonical id behind an e-mail address, or None."""
        try:
            return (await accounts.by_email(self.view, email)).canonical_id
        except NoSuchEntity:
            return None
