"""Copies of the names that are damaged are given up, as long as there is a good one."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyrite.metadata.examining import Examined
from pyrite.node.mirrors import MirrorKeeper
from pyrite.telemetry.status import StatusBoard

GOOD, BAD = Examined(5, 9, 1, 0), Examined(5, 9, 1, 2)


@pytest.mark.parametrize(
    ("results", "given_up"),
    [
        ({"a": GOOD, "b": GOOD}, []),
        ({"a": GOOD, "b": BAD}, ["b"]),
        ({"a": None, "b": GOOD, "c": GOOD}, ["a"]),
        ({"a": BAD}, []),  # the only one: most of it can still be served
        ({"a": BAD, "b": None}, []),
    ],
)
def test_the_last_copy_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: dict[str, Examined | None], given_up: list[str]
) -> None:
    """Damaged copies are condemned for every process, but never all of them: nobody could open the names again."""
    condemned: list[str] = []

    async def follow() -> None:
        """Nothing to follow."""

    async def look(keeper: MirrorKeeper) -> dict[str, Examined | None]:
        return results

    monkeypatch.setattr(MirrorKeeper, "_look_at_all", look)
    store = SimpleNamespace(
        clock=SimpleNamespace(monotonic_s=lambda: 1000.0),
        opened=SimpleNamespace(examined=False),
        engine=SimpleNamespace(condemn=condemned.append, follow=follow),
    )
    board = StatusBoard(tmp_path)
    keeper = MirrorKeeper(store, board, 1000.0)  # type: ignore[arg-type]
    good = asyncio.run(keeper.examine())
    assert good == all(found is GOOD for found in results.values())
    assert sorted(condemned) == board.condemned() == given_up
