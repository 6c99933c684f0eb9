"""Mirrors hold the same, follow each other, and are never trusted once they have missed something."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import lmdb
import pytest

from pyrite.core.errors import Unavailable
from pyrite.metadata.environment import LmdbEnvironment, MirrorSet, WriteTransaction, encode_redo
from pyrite.metadata.epoch import SharedEpoch
from pyrite.metadata.journal import Entry, Journal, decode_entry, order
from pyrite.metadata.kv import Batch
from pyrite.metadata.lmdb import LmdbEngine
from pyrite.metadata.longkeys import Place
from pyrite.metadata.mirror import Mirror
from pyrite.metadata.opening import arrange_mirrors, choose_source, copy_environment

ALL = MirrorSet(1, ("a", "b", "c"))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mirror is given up because the machine is slow."""
    monkeypatch.setattr("pyrite.metadata.mirroring.MIRROR_PATIENCE_S", 100.0)


class BadMirror(Mirror):
    """A mirror whose drive fails when it is told to: at its preparation or at its commit."""

    fails = ""

    def _prepare(self, *given: Any) -> None:
        if self.fails == "prepare":
            raise lmdb.Error("the drive of this mirror is gone")
        super()._prepare(*given)

    def _commit(self) -> None:
        if self.fails == "commit":
            self._abort()
            raise lmdb.Error("the drive of this mirror is gone")
        super()._commit()


class Mirrored:
    """Three mirrors that a process has open; `announced` is what was told to the drives, in order."""

    def __init__(self, folder: Path, create: bool = True) -> None:
        self.folder = folder
        self.paths = {name: folder / name / "metadata" for name in "abc"}
        for path in self.paths.values() if create else ():
            path.mkdir(parents=True)
            LmdbEnvironment(path, create=True).close()
        self.announced: list[MirrorSet] = []
        self.entries: list[Entry] = []
        self.shared = SharedEpoch()
        self.mirrors = [BadMirror(name, LmdbEnvironment(path)) for name, path in self.paths.items()]
        journal = Journal(lambda payload: self.entries.append(decode_entry(payload)), lambda: len(self.entries))
        self.engine = LmdbEngine(self.mirrors, ALL, self.announced.append, journal, self.open_mirror, self.shared)

    def open_mirror(self, name: str) -> Mirror:
        return BadMirror(name, LmdbEnvironment(self.paths[name]))

    def newest(self) -> Mirror:
        """The mirror that was taken in last."""
        return self.engine._committer.mirrors[-1]

    def sequence(self, name: str) -> int:
        environment = LmdbEnvironment(self.paths[name])
        try:
            return environment.read_state()[0]
        finally:
            environment.close()

    def run(self, body: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            try:
                await body()
            finally:
                await self.engine.close()

        asyncio.run(main())


async def put(engine: LmdbEngine, key: bytes, value: bytes) -> None:
    batch = Batch()
    batch.put(key, value)
    await engine.commit(batch)


async def get(engine: LmdbEngine, key: bytes) -> bytes | None:
    entry = await engine.get(key)
    return entry.value if entry is not None else None


class Hesitant(LmdbEnvironment):
    """An environment whose first writer takes the lock only when the second one has had it."""

    asked, allowed = Event(), Event()

    def begin(self) -> WriteTransaction:
        if not self.asked.is_set():
            self.asked.set()
            assert self.allowed.wait(100)
            return super().begin()
        txn = super().begin()
        self.allowed.set()
        return txn


def test_processes_that_know_different_sets_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """One that writes to a, b and c and one that has given a up lock b and c in the same order."""
    store = Mirrored(tmp_path)
    second = store.mirrors[1]

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        second.environment.__class__ = Hesitant
        mine = asyncio.create_task(put(store.engine, b"k", b"2"))
        await asyncio.to_thread(Hesitant.asked.wait, 100)  # it holds a, and is about to take b
        other = Thread(target=commit_without_a, args=(store,), daemon=True)
        other.start()
        await asyncio.wait_for(mine, 100)
        await asyncio.to_thread(other.join, 100)
        assert not other.is_alive()
        assert store.engine.mirrors == ["b", "c"]
        assert await get(store.engine, b"k") == b"2" and await get(store.engine, b"other") == b"1"

    store.run(body)


def commit_without_a(store: Mirrored) -> None:
    """What another process does that has given up the mirror a."""

    async def main() -> None:
        mirrors = [Mirror(mirror.name, mirror.environment) for mirror in store.mirrors[1:]]
        await put(LmdbEngine(mirrors, MirrorSet(2, ("b", "c")), lambda _: None), b"other", b"1")

    asyncio.run(main())


@pytest.mark.parametrize("moment", ["_is_outdated", "_replay"])
def test_another_process_goes_on_while_mirrors_are_brought_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """One that has given up the first mirror is not kept out by a lock on it; what it does is not undone."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        txn = store.mirrors[1].environment.begin()  # the mirrors are a transaction apart
        txn.finish(2, encode_redo({Place(0, b"mark"): b"2"}))
        txn.commit()
        committer = store.engine._committer
        real = getattr(committer, moment)

        def meanwhile(*given: Any) -> Any:
            monkeypatch.setattr(committer, moment, real)
            other = Thread(target=commit_without_a, args=(store,), daemon=True)
            other.start()
            other.join(100)
            return real(*given)

        monkeypatch.setattr(committer, moment, meanwhile)
        await put(store.engine, b"k", b"3")
        assert store.engine.mirrors == ["b", "c"] and store.announced == []
        assert await get(store.engine, b"k") == b"3" and await get(store.engine, b"other") == b"1"

    store.run(body)


class DyingTransaction(WriteTransaction):
    """A transaction on a drive that fails before it is durable."""

    def commit(self) -> None:
        self.abort()
        raise lmdb.Error("Input/output error")


@pytest.mark.parametrize("behind", [0, 1])
def test_a_mirror_that_fails_while_it_is_brought_up_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    """A mirror that missed a commit because its drive died is not waited for, be it the first or another."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        ahead = [mirror for number, mirror in enumerate(store.mirrors) if number != behind]
        for mirror in ahead:  # what another process committed before its commit of the last mirror failed
            txn = mirror.environment.begin()
            txn.finish(2, encode_redo({Place(0, b"mark"): b"2"}))
            txn.commit()
        dying = store.mirrors[behind]
        real = dying.environment.begin

        def begin() -> WriteTransaction:
            txn = real()
            txn.__class__ = DyingTransaction
            return txn

        monkeypatch.setattr(dying.environment, "begin", begin)
        await put(store.engine, b"k", b"3")
        assert store.engine.mirrors == [mirror.name for mirror in ahead]
        assert store.announced[-1].members == tuple(mirror.name for mirror in ahead)
        assert await get(store.engine, b"k") == b"3"

    store.run(body)


@pytest.mark.parametrize("at", ["prepare", "commit"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_mirror_that_fails_is_announced_before_the_acknowledgement(tmp_path: Path, at: str, number: int) -> None:
    """When a commit on one mirror fails the others have it, and every drive was told not to trust that mirror."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        store.mirrors[number].fails = at
        await put(store.engine, b"k", b"2")
        left = tuple(name for index, name in enumerate("abc") if index != number)
        assert store.announced == [MirrorSet(2, left)]
        assert store.engine.mirrors == list(left)
        assert await get(store.engine, b"k") == b"2"

    store.run(body)
    failed = "abc"[number]
    assert store.sequence(failed) == 1
    assert choose_source(store.paths, store.announced[-1]) != failed


def test_the_stale_mirror_alone_is_not_the_truth(tmp_path: Path) -> None:
    """With only a mirror at hand that was dropped, the store does not open on it."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        store.mirrors[2].fails = "commit"
        await put(store.engine, b"k", b"2")

    store.run(body)
    with pytest.raises(Unavailable):
        choose_source({"c": store.paths["c"]}, store.announced[-1])


@pytest.mark.parametrize("behind", [["b"], ["c"], ["b", "c"], ["a"]])
def test_mirrors_one_transaction_apart_are_brought_together(tmp_path: Path, behind: list[str]) -> None:
    """A worker killed between the commits of one transaction leaves mirrors apart; the next commit mends them."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        for name in behind:
            copy_environment(store.mirrors["abc".index(name)].environment, tmp_path / f"{name}-before")
        await put(store.engine, b"k", b"2")

    store.run(body)
    for name in behind:
        (tmp_path / f"{name}-before" / "data.mdb").replace(store.paths[name] / "data.mdb")
    assert choose_source(store.paths, MirrorSet(1, ("a", "b", "c"))) not in behind
    again = Mirrored(tmp_path, create=False)

    async def after() -> None:
        await put(again.engine, b"other", b"3")
        assert again.engine.mirrors == ["a", "b", "c"]
        for mirror in again.mirrors:
            for key, value in ((b"k", b"2"), (b"other", b"3")):
                entry = mirror.environment.get(key)
                assert entry is not None and entry.value == value

    again.run(after)
    assert len({store.sequence(name) for name in "abc"}) == 1


def test_a_mirror_far_behind_is_dropped(tmp_path: Path) -> None:
    """A mirror that lacks more than the last transaction is not written to as if it were current."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        copy_environment(store.mirrors[1].environment, tmp_path / "before")
        await put(store.engine, b"k", b"2")
        await put(store.engine, b"l", b"3")

    store.run(body)
    (tmp_path / "before" / "data.mdb").replace(store.paths["b"] / "data.mdb")
    again = Mirrored(tmp_path, create=False)

    async def after() -> None:
        await put(again.engine, b"m", b"4")
        assert again.engine.mirrors == ["a", "c"]
        assert again.announced[-1].members == ("a", "c")

    again.run(after)


def test_another_process_follows_the_set(tmp_path: Path) -> None:
    """What one process drops and takes in, another drops and takes in with its next commit."""
    store = Mirrored(tmp_path)
    known: dict[str, Mirror] = {mirror.name: mirror for mirror in store.mirrors}
    other = LmdbEngine(store.mirrors, ALL, store.announced.append, None, lambda name: known[name], store.shared)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        store.engine.condemn("b")
        await put(store.engine, b"k", b"2")
        await put(other, b"k", b"3")
        assert other.mirrors == ["a", "c"]
        shutil.rmtree(store.paths.pop("b"))
        store.paths["new"] = tmp_path / "new" / "metadata"
        (tmp_path / "new").mkdir()
        copy_environment(store.engine.environment, store.paths["new"])
        await put(store.engine, b"k", b"4")
        await put(store.engine, b"k", b"5")
        assert await store.engine.enlist("new", store.paths["new"], lambda after: order(store.entries, after))
        assert store.engine.mirrors == ["a", "c", "new"]
        known["new"] = store.newest()
        await put(other, b"k", b"6")
        assert other.mirrors == ["a", "c", "new"]

    store.run(body)
    assert {store.sequence(name) for name in store.paths} == {6}
    assert store.announced[-1].members == ("a", "c", "new")


def test_a_copy_without_its_journal_is_not_taken_in(tmp_path: Path) -> None:
    """A new mirror that lacks transactions which nobody remembers is refused."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        store.engine.condemn("b")
        await put(store.engine, b"k", b"2")
        copy_environment(store.engine.environment, store.paths["b"])
        await put(store.engine, b"k", b"3")
        await put(store.engine, b"k", b"4")
        assert not await store.engine.enlist("b", store.paths["b"], lambda after: [])
        assert store.engine.mirrors == ["a", "c"]

    store.run(body)


def test_a_store_that_opens_makes_its_mirrors_alike(tmp_path: Path) -> None:
    """At the start a mirror that is behind, or was dropped, is replaced by a copy of the newest."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        store.mirrors[1].fails = "commit"
        await put(store.engine, b"k", b"2")

    store.run(body)
    chosen = arrange_mirrors(store.paths, store.announced[-1], store.announced.append)
    assert set(chosen.members) == set("abc") and chosen == store.announced[-1]
    assert {store.sequence(name) for name in "abc"} == {2}


def test_nobody_reads_a_mirror_that_another_process_gave_up(tmp_path: Path) -> None:
    """A process that commits nothing itself reads what another acknowledged after it had dropped the first mirror."""
    store = Mirrored(tmp_path)
    other = LmdbEngine(store.mirrors, ALL, store.announced.append, None, None, store.shared)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        assert await get(other, b"k") == b"1"
        store.engine.condemn("a")
        await put(store.engine, b"k", b"2")
        assert await get(other, b"k") == b"2"
        assert [row.value for row in await other.scan(b"k", b"l", 10)] == [b"2"]
        assert other.mirrors == ["b", "c"]

    store.run(body)


def test_a_condemned_mirror_is_given_up_without_a_commit(tmp_path: Path) -> None:
    """A process that only reads drops the mirror of a drive that is gone as soon as it looks."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        store.engine.condemn("a")
        await store.engine.follow()
        assert store.engine.mirrors == ["b", "c"] and store.announced == [MirrorSet(2, ("b", "c"))]
        assert await get(store.engine, b"k") == b"1"

    store.run(body)


def test_what_is_given_up_without_a_commit_is_told_to_the_others(tmp_path: Path) -> None:
    """A process that neither commits nor is told goes on without a mirror as soon as it looks, and tells every mirror."""
    store = Mirrored(tmp_path)
    other = LmdbEngine(store.mirrors, ALL, store.announced.append, None, None, store.shared)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        store.engine.condemn("b")
        await store.engine.follow()
        await other.follow()
        assert other.mirrors == store.engine.mirrors == ["a", "c"]
        assert store.announced == [MirrorSet(2, ("a", "c"))]
        assert {mirror.environment.read_mirrors() for mirror in (store.mirrors[0], store.mirrors[2])} == {
            MirrorSet(2, ("a", "c"))
        }

    store.run(body)


def test_two_processes_give_up_different_mirrors_at_once(tmp_path: Path) -> None:
    """Neither mirror is trusted by anybody afterwards: each may miss what the process that gave it up acknowledged."""
    store = Mirrored(tmp_path)
    other = LmdbEngine(store.mirrors, ALL, store.announced.append, None, None, store.shared)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        other._committer._drop([store.mirrors[1]])  # announced, and nothing committed yet
        store.engine.condemn("c")
        await put(store.engine, b"k", b"2")
        await put(other, b"k", b"3")
        await put(store.engine, b"k", b"4")
        assert other.mirrors == store.engine.mirrors == ["a"]
        assert store.announced[-1] == MirrorSet(3, ("a",))
        assert await get(other, b"k") == b"4"

    store.run(body)


def test_a_late_process_does_not_bring_an_old_set_back(tmp_path: Path) -> None:
    """Who drops a mirror that others dropped long ago takes their set over instead of announcing an older one."""
    store = Mirrored(tmp_path)
    other = LmdbEngine(store.mirrors, ALL, store.announced.append)

    async def body() -> None:
        store.engine.condemn("a")
        await put(store.engine, b"k", b"1")
        store.engine.condemn("b")
        await put(store.engine, b"k", b"2")
        other.condemn("a")
        await put(other, b"k", b"3")
        assert store.announced[-1] == MirrorSet(3, ("c",)) and len(store.announced) == 2
        assert other.mirrors == ["c"] and await get(store.engine, b"k") == b"3"

    store.run(body)


def test_a_process_that_starts_late_opens_what_it_can(tmp_path: Path) -> None:
    """A member of the announced set that cannot be opened is dropped, and announced, before the first commit."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"1")
        late = LmdbEngine(store.mirrors[1:], ALL, store.announced.append)
        await put(late, b"k", b"2")
        assert store.announced == [MirrorSet(2, ("b", "c"))]
        assert late.mirrors == ["b", "c"] and await get(late, b"k") == b"2"

    store.run(body)


def mapped(path: Path) -> bool:
    """Whether this process has a database mapped into memory."""
    return str(path) in Path("/proc/self/maps").read_text()


def test_mirrors_that_were_given_up_are_closed(tmp_path: Path) -> None:
    """A mirror takes address space as long as it is open: once it is given up, idle, and not copied from, it is closed."""
    store = Mirrored(tmp_path)

    async def body() -> None:
        await put(store.engine, b"k", b"v")
        store.engine.condemn("c")
        store.mirrors[2].environment.copies = 1
        for _ in range(50):
            await store.engine.follow()
        assert store.engine.mirrors == ["a", "b"] and mapped(store.paths["c"])
        store.mirrors[2].environment.copies = 0
        while mapped(store.paths["c"]):  # its thread has to have come to it
            await store.engine.follow()
        assert mapped(store.paths["b"])
        await put(store.engine, b"k", b"w")
        assert await get(store.engine, b"k") == b"w"

    store.run(body)


def test_a_newer_epoch_is_not_lost() -> None:
    """A process that writes the number it read a while ago does not take back a newer one."""
    epoch = SharedEpoch()
    epoch.raise_to(7)
    epoch._number[0] = 5  # another process has read 4 before, and writes now
    assert epoch.value == 7 and epoch._number[0] == 7
