"""Owns verifying an audit log against the store that it is of."""

from pathlib import Path

from pyrite.node.auditing import load_heads, load_key
from pyrite.node.offline import OfflineStore, with_store
from pyrite.telemetry.audit import ChainKey, Head, Verified, chains_in, verify_chain


def verify_logs(folder: Path, drives: tuple[Path, ...]) -> list[Verified]:
    """Verify every chain in `folder` against the store on `drives`. Raises ConfigError when there is no store."""

    async def body(store: OfflineStore) -> tuple[dict[str, Head], ChainKey | None]:
        return await load_heads(store.engine), await load_key(store.engine)

    heads, found = with_store(drives, body)
    key = found or ChainKey(b"", {slot: head.number for slot, head in heads.items()})
    chains = chains_in(folder)
    return [verify_chain(slot, chains.get(slot, []), heads.get(slot), key) for slot in sorted({*chains, *heads})]
