"""Identities that a file declares: applied whole, again without effect, and taken away when they are pruned."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyrite.core.clock import SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.iam import accesskeys, entities
from pyrite.iam.applying import Applier
from pyrite.iam.callers import Callers, RootKey
from pyrite.iam.changing import Changes
from pyrite.iam.declared import read_declaration
from pyrite.iam.errors import IamError, InvalidInput
from pyrite.iam.evaluate import Question, decide
from pyrite.iam.records import key_use_key
from pyrite.metadata.memory import MemoryEngine
from pyrite.metadata.rules import Rules, SharedMark

OWN = "123456789012"
DOCUMENT = Path(__file__).parents[2] / "docs" / "identities.md"


class Store:
    """Identities in memory."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.mark = SharedMark()
        self.changes = Changes(self.engine, SystemClock(), SystemEntropy(), self.rules())
        self.callers = self.another()

    def rules(self) -> Rules:
        """The rules as one more process of the server knows them."""
        return Rules(self.engine, SystemEntropy(), self.mark)

    def another(self) -> Callers:
        """The callers as one more process of the server knows them."""
        return Callers(self.engine, SystemClock(), RootKey("root", "rootsecret", OWN), self.rules())

    async def apply(self, text: str, prune: bool = False, dry_run: bool = False) -> list[str]:
        declared = read_declaration(text.encode())

        async def body(change: Any) -> list[str]:
            return await Applier(change, OWN, prune).apply(declared)

        return await (self.changes.try_out(body) if dry_run else self.changes.make(body))


def example() -> str:
    """The file that the documentation shows."""
    return DOCUMENT.read_text().partition("```toml\n")[2].partition("```")[0]


def test_the_documented_file() -> None:
    """The file of the documentation is one, gives what it says, and changes nothing when it is applied again."""

    async def run() -> None:
        store = Store()
        assert await store.apply(example(), dry_run=True)
        assert await store.callers.find("ADA0000000000001") is None
        lines = await store.apply(example())
        assert {"+ policy 123456789012/read-models", "+ user 123456789012/ada", "+ role 123456789012/trainer"} <= set(
            lines
        )
        assert await store.apply(example()) == []
        found = await store.callers.find("ADA0000000000001")
        assert found is not None and found.secret == "a secret of hers"
        for action, allowed in (("s3:GetObject", True), ("s3:PutObject", False)):
            question = Question(action, "arn:aws:s3:::models/x", {}, found.caller.owner, OWN)
            assert decide(found.caller, question).allowed is allowed
        assert found.caller.keys["aws:principaltag/team"] == ("vision",)

    asyncio.run(run())


def test_changes_and_pruning() -> None:
    """What differs is changed and told; what is not declared stays, or goes with --prune, keys and all."""
    first = """
    [[account]]
    [[account.group]]
    name = "g"
    [[account.user]]
    name = "a"
    groups = ["g"]
    key = [{ access_key = "AKIAAAAA", secret_key = "secret-of-a" }]
    [[account.user]]
    name = "b"
    policies = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    key = [{ access_key = "AKIABBBB", secret_key = "secret-of-b" }]
    """
    second = """
    [[account]]
    [[account.user]]
    name = "a"
    policies = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    key = [{ access_key = "AKIAAAAA", secret_key = "another-secret" }]
    """

    async def run() -> None:
        store = Store()
        await store.apply(first)
        lines = await store.apply(second)
        assert f"~ user {OWN}/a: attached" in lines and f"~ group {OWN}/g: - a" in lines
        assert f"~ key AKIAAAAA of {OWN}/a" in lines
        assert (await store.callers.find("AKIABBBB")) is not None
        lines = await store.apply(second, prune=True)
        assert {f"- user {OWN}/b", f"- group {OWN}/g", f"- key AKIABBBB of {OWN}/b"} <= set(lines)
        assert await store.callers.find("AKIABBBB") is None
        changed = await store.callers.find("AKIAAAAA")
        assert changed is not None and changed.secret == "another-secret"
        assert await store.apply(second, prune=True) == []

    asyncio.run(run())


@pytest.mark.parametrize(
    "text",
    [
        "[[account]]\nnonsense = 1",
        "[[account]]\n[[account.user]]\nname = 'a b'",
        "[[account]]\n[[account.user]]\nname = 'a'\npolicies = ['absent']",
        "[[account]]\n[[account.user]]\nname = 'a'\ngroups = ['absent']",
        "[[account]]\n[[account.policy]]\nname = 'p'\ndocument = '{}'",
        "[[account]]\n[[account.role]]\nname = 'r'\ntrust = '{}'",
        "[[account]]\n[[account.user]]\nname = 'a'\nkey = [{ access_key = 'ASIAxxxx', secret_key = 'long-enough' }]",
        "[[account]]\n[[account.user]]\nname = 'a'\nkey = [{ access_key = 'AKIAxxxx', secret_key = 'short' }]",
        "[[account]]\nid = '12'",
        "not toml at all [",
    ],
)
def test_wrong_files_change_nothing(text: str) -> None:
    """A file with anything wrong in it is refused as a whole."""

    async def run() -> None:
        store = Store()
        before = await store.engine.scan(b"", b"\xff", 1000)
        with pytest.raises(IamError):
            await store.apply("[[account]]\n[[account.group]]\nname = 'first'\n" + text if "account" in text else text)
        assert await store.engine.scan(b"", b"\xff", 1000) == before

    asyncio.run(run())


def test_keys_of_others_are_not_taken_over() -> None:
    """CVE-2023-27589: an access key id that somebody has stays his."""

    async def run() -> None:
        store = Store()
        key = "key = [{ access_key = 'AKIASAME', secret_key = 'long-enough' }]"
        await store.apply(f"[[account]]\n[[account.user]]\nname = 'a'\n{key}")
        with pytest.raises(InvalidInput):
            await store.apply(f"[[account]]\n[[account.user]]\nname = 'b'\n{key}")

    asyncio.run(run())


def test_changes_of_the_same_user_at_once() -> None:
    """Two changes of one user, made at the same time, both hold; a key more than the quota is refused."""

    async def run() -> None:
        store = Store()
        await store.apply("[[account]]\n[[account.user]]\nname = 'a'")
        makes = [store.changes.make(lambda change: accesskeys.create(change, OWN, "a")) for _ in range(6)]
        made = await asyncio.gather(*makes, return_exceptions=True)
        keys = {record.id for record in made if not isinstance(record, BaseException)}
        assert len(keys) == accesskeys.KEYS_MAX
        assert set((await entities.find(store.changes.view, "user", OWN, "a")).keys) == keys

    asyncio.run(run())


def test_every_process_sees_a_change_with_the_next_request() -> None:
    """What a caller is, is asked anew after any change of the rules; a key that is deleted stops at once."""

    async def run() -> None:
        store = Store()
        await store.apply(
            "[[account]]\n[[account.user]]\nname = 'a'\nkey = [{ access_key = 'AKIAAAAA', secret_key = 'long-enough' }]"
        )
        other = store.another()
        for callers in (store.callers, other):
            found = await callers.find("AKIAAAAA")
            assert found is not None and not found.caller.policies
        await store.changes.make(
            lambda change: entities.put_inline(
                change,
                "user",
                OWN,
                "a",
                "p",
                '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}',
            )
        )
        for callers in (store.callers, other):
            found = await callers.find("AKIAAAAA")
            assert found is not None and found.caller.policies
        await store.changes.make(lambda change: accesskeys.delete(change, OWN, "a", "AKIAAAAA"))
        for callers in (store.callers, other):
            assert await callers.find("AKIAAAAA") is None

    asyncio.run(run())


def test_changes_from_outside_are_followed() -> None:
    """What a command beside the server changes is seen when the process next looks at the counter."""

    async def run() -> None:
        store = Store()
        user = (
            "[[account]]\n[[account.user]]\nname = 'a'\nkey = [{ access_key = 'AKIAAAAA', secret_key = 'long-enough' }]"
        )
        await store.apply(user)
        assert await store.callers.find("AKIAAAAA") is not None
        rules = store.rules()
        await rules.follow()
        assert await store.callers.find("AKIAAAAA") is not None
        outside = Changes(store.engine, SystemClock(), SystemEntropy())
        await outside.make(lambda change: accesskeys.set_active(change, OWN, "a", "AKIAAAAA", False))
        assert await store.callers.find("AKIAAAAA") is not None
        await rules.follow()
        assert await store.callers.find("AKIAAAAA") is None

    asyncio.run(run())


def test_when_a_key_was_used_is_told_once_and_kept_within_bounds() -> None:
    """The use of a key is stored, not with every request; keys of sessions, which come without end, leave nothing."""

    async def run() -> None:
        store = Store()
        await store.apply(
            "[[account]]\n[[account.user]]\nname = 'a'\nkey = [{ access_key = 'AKIAAAAA', secret_key = 'long-enough' }]"
        )
        for number in range(10_000):
            store.callers.note_use(f"ASIA{number}", "s3", "us-east-1")
        store.callers.note_use("AKIAAAAA", "s3", "us-east-1")
        assert list(store.callers._uses) == ["AKIAAAAA"]
        await store.callers.tell_uses()
        use = await accesskeys.last_use(store.changes.view, "AKIAAAAA")
        assert use is not None and (use.service, use.region) == ("s3", "us-east-1")
        version = (await store.engine.get(key_use_key("AKIAAAAA"))).version
        store.callers.note_use("AKIAAAAA", "iam", "us-east-1")
        await store.callers.tell_uses()
        assert (await store.engine.get(key_use_key("AKIAAAAA"))).version == version

    asyncio.run(run())


def test_roles_are_bound_to_whom_they_trust() -> None:
    """Roles are bound to users and roles of the file, also to later ones, and to another user of the name when it is applied again."""
    trust = (
        'trust = { Statement = { Effect = "Allow", Action = "sts:AssumeRole", '
        'Principal = { AWS = "arn:aws:iam::123456789012:%s" } } }\n'
    )
    text = (
        '[[account]]\nname = "main"\n[[account.user]]\nname = "ada"\n'
        '[[account.role]]\nname = "a-later"\n'
        + trust % "role/b"
        + '[[account.role]]\nname = "b"\n'
        + trust % "user/ada"
    )

    async def run() -> None:
        store = Store()
        await store.apply(text)
        view = store.changes.view
        user = await entities.find(view, "user", OWN, "ada")
        role = await entities.find(view, "role", OWN, "b")
        assert role.bound == {user.arn: user.id}
        assert (await entities.find(view, "role", OWN, "a-later")).bound == {role.arn: role.id}
        assert await store.apply(text) == []
        await store.changes.make(lambda change: entities.delete(change, "user", OWN, "ada"))
        lines = await store.apply(text)
        assert lines == [f"+ user {OWN}/ada", f"~ role {OWN}/b: trusts others of the same names"]
        again = await entities.find(view, "user", OWN, "ada")
        assert (await entities.find(view, "role", OWN, "b")).bound == {again.arn: again.id} != role.bound
        assert await store.apply(text) == []

    asyncio.run(run())
