"""Owns what `pyrite keyring` does with a store, which may be running."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from pyrite.node.drivecommands import LiveStore, with_live_store
from pyrite.node.keyringfile import check_is_of, read_file, retire_keys
from pyrite.services.rewrap import count_uses


class DescribedKey(msgspec.Struct, frozen=True):
    """A master key, and how many things of the store are wrapped under it."""

    id: str
    created: str
    uses: int


def describe_keys(file: Path, paths: tuple[Path, ...]) -> list[DescribedKey]:
    """The keys of a keyring. Raises ConfigError."""
    keys = read_file(file).keys

    async def run(live: LiveStore) -> list[DescribedKey]:
        await check_is_of(live.engine, file)
        uses = await count_uses(live.engine)
        return [DescribedKey(key.id, key.created, uses[key.id]) for key in keys]

    return with_live_store(paths, run)


def retire(file: Path, paths: tuple[Path, ...], words: Sequence[str] = ()) -> list[str]:
    """Remove the older keys that nothing is wrapped under; their ids. Raises ConfigError."""
    read_file(file)

    async def run(live: LiveStore) -> list[str]:
        await check_is_of(live.engine, file)
        return await retire_keys(live.engine, file, await count_uses(live.engine))

    return with_live_store(paths, run, words)
