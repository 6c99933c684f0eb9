"""Unit tests of sign-in by a directory's passwords."""

import asyncio
from types import SimpleNamespace
from typing import Any

from pyrite.core.errors import PyriteError
from pyrite.iam.errors import RejectedIdentity
from pyrite.iamapi.actions.ldapidentity import Limiter, assume_role_with_ldap_identity


class _Clock:
    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


class _Directory:
    account, roles = "", {}

    def __init__(self, right: str) -> None:
        self.right, self.asked = right, 0

    async def sign_in(self, name: str, password: str) -> object:
        self.asked += 1
        await asyncio.sleep(0)
        if password != self.right:
            raise RejectedIdentity("wrong")
        raise LookupError("signed in")  # what comes next is of no interest here


def _guesses(words: list[str], at_once: bool) -> tuple[int, list[str]]:
    directory = _Directory("right")
    identities = SimpleNamespace(directory=directory, limiter=Limiter(_Clock()), own_account="1")  # type: ignore[arg-type]

    async def guess(word: str) -> str:
        params = SimpleNamespace(get={"LDAPUsername": "ada", "LDAPPassword": word}.get)
        call: Any = SimpleNamespace(identities=identities, params=params, keys={"aws:sourceip": ("::1",)})
        try:
            await assume_role_with_ldap_identity(call)
        except Exception as error:
            return "signed in" if not isinstance(error, PyriteError) else type(error).__name__
        return "signed in"

    async def main() -> list[str]:
        if at_once:
            return list(await asyncio.gather(*map(guess, words)))
        return [await guess(word) for word in words]

    told = asyncio.run(main())
    return directory.asked, told


def test_guesses_at_once_are_counted() -> None:
    """A hundred passwords that are tried at once are five: they count before the directory is asked."""
    assert _guesses(["wrong"] * 100, at_once=True)[0] == 5
