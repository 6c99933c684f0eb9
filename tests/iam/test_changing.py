"""Changes of identities at once: none is made on what another has undone, and no process goes by what was before."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pyrite.iam import accesskeys, accounts, entities
from pyrite.iam.errors import DeleteConflict, NoSuchEntity
from pyrite.iam.records import EntityRecord, named
from pyrite.metadata.kv import Batch, Entry
from tests.iam.test_applying import OWN, Store

OTHER = "210987654321"
Step = Callable[[], Awaitable[object]]


def before_commit(store: Store, step: Step) -> None:
    """Let another change be made between the reads of the next one and its commit."""
    commit = store.engine.commit

    async def commit_after(batch: Batch) -> None:
        store.engine.commit = commit  # type: ignore[method-assign]
        await step()
        await commit(batch)

    store.engine.commit = commit_after  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", ["user", "role"])
def test_nobody_is_made_in_an_account_while_it_is_deleted(kind: str) -> None:
    """An account is not deleted when a user or role is made in it between the check and the commit."""

    async def main() -> None:
        store = Store()
        await store.changes.make(lambda change: accounts.create(change, "other", OTHER))
        before_commit(
            store,
            lambda: store.changes.make(lambda change: entities.create(change, kind, OTHER, "ada")),  # type: ignore[arg-type]
        )
        with pytest.raises(DeleteConflict):
            await store.changes.make(lambda change: accounts.delete(change, OTHER))
        assert [one.name for one in await store.changes.view.scan(EntityRecord, named(kind, OTHER))] == ["ada"]

    asyncio.run(main())


def test_nobody_is_made_in_an_account_that_was_just_deleted() -> None:
    """Who is made in an account that goes meanwhile is not left behind without one."""

    async def main() -> None:
        store = Store()
        await store.changes.make(lambda change: accounts.create(change, "other", OTHER))

        async def make(change: entities.Change) -> EntityRecord:
            await accounts.find(change, OTHER)
            return await entities.create(change, "user", OTHER, "ada")

        before_commit(store, lambda: store.changes.make(lambda change: accounts.delete(change, OTHER)))
        with pytest.raises(NoSuchEntity):
            await store.changes.make(make)
        assert not await store.changes.view.scan(EntityRecord, named("user", OTHER))

    asyncio.run(main())


def test_a_caller_that_was_read_before_a_change_is_not_kept() -> None:
    """A key that is switched off while its caller is loaded is known for that request at most."""

    async def main() -> None:
        store = Store()
        await store.apply(
            "[[account]]\n[[account.user]]\nname = 'a'\nkey = [{ access_key = 'AKIAAAAA', secret_key = 'long-enough' }]"
        )
        get = store.engine.get
        looks = []

        async def get_before(key: bytes) -> Entry | None:
            found = await get(key)
            if not looks:  # the record of the key has been read, as it was
                looks.append(key)
                await store.changes.make(lambda change: accesskeys.set_active(change, OWN, "a", "AKIAAAAA", False))
                assert store.callers.known("AKIAAAAA") is None, "another request has seen that the rules changed"
            return found

        store.engine.get = get_before  # type: ignore[method-assign]
        assert await store.callers.find("AKIAAAAA") is not None
        assert store.callers.known("AKIAAAAA") is None
        assert await store.callers.find("AKIAAAAA") is None

    asyncio.run(main())
