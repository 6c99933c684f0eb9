"""Owns verifying an audit log against the store that it is of."""

from collections.abc import Sequence
from pathlib import Path

from pyrite.node.auditing import keep_begins, load_begins, load_heads, load_key
from pyrite.node.drivecommands import LiveStore, with_live_store
from pyrite.node.offline import OfflineStore, with_store
from pyrite.telemetry.audit import ChainKey, Head, Verified, chains_in, verify_chain


def verify_logs(folder: Path, drives: tuple[Path, ...]) -> list[Verified]:
    """Verify every chain in `folder` against the store on `drives`. Raises ConfigError when there is no store."""

    async def body(store: OfflineStore) -> tuple[dict[str, Head], ChainKey | None, dict[str, int]]:
        engine = store.engine
        return await load_heads(engine), await load_key(engine), await load_begins(engine)

    heads, found, begins = with_store(drives, body)
    key = found or ChainKey(b"", {slot: head.number for slot, head in heads.items()})
    chains = chains_in(folder)
    return [
        verify_chain(slot, chains.get(slot, []), heads.get(slot), key, begins.get(slot, 1))
        for slot in sorted({*chains, *heads})
    ]


def accept_begins(folder: Path, drives: tuple[Path, ...], words: Sequence[str] = ()) -> dict[str, int]:
    """Have chains begin with the first records in `folder`, by slot. Raises ConfigError when there is no store."""
    chains = {slot: verify_chain(slot, files, None, ChainKey(b"")).first for slot, files in chains_in(folder).items()}
    begins = {slot: first for slot, first in chains.items() if first}

    async def body(live: LiveStore) -> None:
        await keep_begins(live.engine, begins)

    with_live_store(drives, body, words)
    return begins
