"""Unit tests of sign-in by a directory's passwords."""

import asyncio
from types import SimpleNamespace
from typing import Any

from pyrite.iam.errors import AccessRefused, RejectedIdentity
from pyrite.iamapi.actions.ldapidentity import Limiter, Person, assume_role_with_ldap_identity


class _Clock:
    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


class _Directory:
    account, roles = "", {}

    def __init__(self, right: str) -> None:
        self.right, self.asked = right, 0

    async def sign_in(self, name: str, password: str) -> Person:
        self.asked += 1
        await asyncio.sleep(0)
        if password != self.right:
            raise RejectedIdentity("wrong")
        return Person("uid=ada", ())  # whose groups give no role: what comes next is of no interest here


def _guesses(words: list[str], at_once: bool) -> tuple[int, list[str]]:
    directory = _Directory("right")
    identities = SimpleNamespace(directory=directory, limiter=Limiter(_Clock()), own_account="1")  # type: ignore[arg-type]

    async def guess(word: str) -> str:
        params = SimpleNamespace(get={"LDAPUsername": "ada", "LDAPPassword": word}.get)
        call: Any = SimpleNamespace(identities=identities, params=params, keys={"aws:sourceip": ("::1",)})
        try:
            await assume_role_with_ldap_identity(call)
        except RejectedIdentity:
            return "wrong"
        except AccessRefused as error:
            return "not asked" if "Too many" in str(error) else "right"
        raise AssertionError("nobody has a role")

    async def main() -> list[str]:
        if at_once:
            return list(await asyncio.gather(*map(guess, words)))
        return [await guess(word) for word in words]

    told = asyncio.run(main())
    return directory.asked, told


def test_guesses_at_once_are_counted() -> None:
    """A hundred passwords that are tried at once are five: they count before the directory is asked."""
    assert _guesses(["wrong"] * 100, at_once=True)[0] == 5


def test_one_right_password_forgives_no_wrong_one() -> None:
    """Who knows one password, or the address of somebody who does, has no more guesses for it."""
    words = ["wrong", "wrong", "right", "wrong", "right", "wrong", "wrong", "right"]
    told = _guesses(words, at_once=False)[1]
    assert told[:7] == words[:7]
    assert told[7] == "not asked", "five were wrong"


def test_right_passwords_are_no_failures() -> None:
    """However often somebody signs in, nobody is kept out."""
    assert set(_guesses(["right"] * 20, at_once=False)[1]) == {"right"}
