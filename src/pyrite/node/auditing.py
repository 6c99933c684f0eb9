"""Owns the heads of audit chains in the store, so that a log that was cut off at its end is noticed."""

from pathlib import Path

import msgspec

from pyrite.metadata.keyspaces import STORE
from pyrite.metadata.kv import Batch, Engine, after_prefix
from pyrite.node.offline import OfflineStore, with_store
from pyrite.telemetry.audit import Head, Verified, chains_in, verify_chain

_HEADS = STORE + b"audit/"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, str]).decode


async def keep_head(engine: Engine, slot: str, head: Head) -> None:
    """Remember the head of a slot's chain."""
    batch = Batch()
    batch.put(_HEADS + slot.encode(), _encode(tuple(head)))
    await engine.commit(batch)


async def load_heads(engine: Engine) -> dict[str, Head]:
    """The heads of all chains, by slot."""
    rows = await engine.scan(_HEADS, after_prefix(_HEADS), 10_000)
    return {row.key[len(_HEADS) :].decode(): Head(*_decode(row.value)) for row in rows}


def verify_logs(folder: Path, drives: tuple[Path, ...]) -> list[Verified]:
    """Verify every chain in `folder` against the store on `drives`. Raises ConfigError when there is no store."""

    async def body(store: OfflineStore) -> dict[str, Head]:
        return await load_heads(store.engine)

    heads = with_store(drives, body)
    chains = chains_in(folder)
    return [verify_chain(slot, chains.get(slot, []), heads.get(slot)) for slot in sorted({*chains, *heads})]
