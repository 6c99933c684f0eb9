"""Damage of a database is found: what does not verify, what is missing, what is out of place."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrite.metadata.envelope import seal
from pyrite.metadata.environment import LmdbEnvironment, encode_redo
from pyrite.metadata.examining import Examined, examine, tell_damaged
from pyrite.metadata.longkeys import DATA, STUB, Place, locate
from pyrite.node.examining import examine_in_forks

PAGE = 4096


def fill(path: Path, rows: int) -> None:
    """A database with short and long keys, as commits would have made it."""
    path.mkdir()
    environment = LmdbEnvironment(path, create=True)
    changes: dict[Place, bytes | None] = {}
    for number in range(rows):
        key = b"o%06d" % number + (b"x" * 700 if number % 50 == 0 else b"")
        stubs, place = locate(key) if len(key) >= 480 else ([], Place(DATA, key))
        changes |= dict.fromkeys(stubs, STUB)
        changes[place] = seal(key, b"value %d" % number * 5, 1)
    txn = environment.begin()
    for place, stored in changes.items():
        txn.write(place, stored)
    txn.finish(1, encode_redo(changes))
    txn.commit()
    environment.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is given up because the machine is slow."""
    monkeypatch.setattr("pyrite.node.examining.START_TIMEOUT_S", 60.0)


def look(path: Path) -> Examined | None:
    return examine_in_forks({"x": path})["x"]


def test_two_equal_databases_are_good(tmp_path: Path) -> None:
    """Databases with the same rows have the same sum, and it counts all of them."""
    for name in ("a", "b"):
        fill(tmp_path / name, 500)
    found = {name: look(tmp_path / name) for name in ("a", "b")}
    assert found["a"] == found["b"] and found["a"] is not None
    assert (found["a"].rows, found["a"].damaged, found["a"].sequence) == (500, 0, 1)
    assert tell_damaged(found) == set()


def test_every_flipped_page_is_found(tmp_path: Path) -> None:
    """With a bit flipped in any page the copy is told from a good one, unless it holds exactly the same."""
    fill(tmp_path / "good", 2000)
    good = look(tmp_path / "good")
    content = (tmp_path / "good" / "data.mdb").read_bytes()
    rng = random.Random(5)
    caught = 0
    for page in range(len(content) // PAGE):
        for _ in range(3):
            changed = bytearray(content)
            changed[page * PAGE + rng.randrange(PAGE)] ^= 1 << rng.randrange(8)
            folder = tmp_path / "bad"
            folder.mkdir(exist_ok=True)
            (folder / "data.mdb").write_bytes(changed)
            (folder / "lock.mdb").unlink(missing_ok=True)
            found = look(folder)
            if found != good:
                caught += 1
                assert tell_damaged({"a": good, "b": found, "c": good}) == {"b"}
                assert found is None or found.damaged or tell_damaged({"a": good, "b": found}) == {"b"}
    assert caught > len(content) // PAGE


def test_a_number_that_the_last_changes_do_not_have(tmp_path: Path) -> None:
    """A database whose number is not that of its last changes is damaged, although every row verifies."""
    fill(tmp_path / "a", 10)
    environment = LmdbEnvironment(tmp_path / "a")
    txn = environment.begin()
    txn.finish(9, None)
    txn.commit()
    found = examine(environment)
    environment.close()
    assert found.damaged == 1


@pytest.mark.parametrize(
    ("results", "damaged"),
    [
        ({"a": Examined(5, 9, 1, 0), "b": Examined(5, 9, 1, 0)}, set()),
        ({"a": Examined(5, 9, 1, 0), "b": Examined(4, 8, 2, 0)}, set()),  # one transaction apart
        ({"a": Examined(5, 9, 1, 0), "b": Examined(5, 9, 2, 0), "c": Examined(5, 9, 2, 0)}, {"a"}),
        ({"a": Examined(5, 9, 1, 0), "b": Examined(5, 8, 2, 0)}, {"b"}),  # it lacks a row
        ({"a": Examined(5, 9, 1, 2), "b": Examined(5, 9, 1, 0)}, {"a"}),
        ({"a": None, "b": Examined(5, 9, 1, 0)}, {"a"}),
        ({"a": None}, {"a"}),
    ],
)
def test_which_copies_are_damaged(results: dict[str, Examined | None], damaged: set[str]) -> None:
    """Those that do not verify, that cannot be read, or that differ from what most say."""
    assert tell_damaged(results) == damaged


def test_a_database_that_is_cut_short(tmp_path: Path) -> None:
    """A file that is shorter than its tables, which ends whoever reads it, is damaged."""
    fill(tmp_path / "a", 2000)
    os.truncate(tmp_path / "a" / "data.mdb", 4 * PAGE)
    assert look(tmp_path / "a") is None


class Shown:
    """A database that shows these rows."""

    def __init__(self, keys: list[bytes]) -> None:
        self._keys = keys

    @contextlib.contextmanager
    def snapshot(self) -> Iterator["Shown"]:
        yield self

    def sequence(self) -> int:
        return 1

    def engine_rows(self) -> list[tuple[bytes, bytes]]:
        return []

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return ((key, seal(key, b"v", 1)) for key in self._keys)


def test_rows_out_of_order_are_damage() -> None:
    """Pages that lead back to where one has been, perhaps for ever, are noticed although every row verifies."""
    assert examine(Shown([b"a", b"b", b"c"])).damaged == 0  # type: ignore[arg-type]
    assert examine(Shown([b"a", b"b", b"a", b"b"])).damaged == 1  # type: ignore[arg-type]
    assert examine(Shown([b"a", b"a"])).damaged == 1  # type: ignore[arg-type]


def test_a_version_of_the_future_is_damage() -> None:
    """A row of a transaction that has not been is not of this database."""
    shown = Shown([b"a"])
    shown.sequence = lambda: 0  # type: ignore[method-assign]
    assert examine(shown).damaged == 1  # type: ignore[arg-type]
