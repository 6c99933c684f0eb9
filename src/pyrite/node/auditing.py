"""Owns what the store keeps of audit chains, their key and their heads: nobody else adds to them or cuts them off."""

import contextlib
import fcntl
import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pyrite.core.entropy import Entropy, SystemEntropy
from pyrite.core.errors import ConfigError
from pyrite.metadata.keyspaces import STORE
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, after_prefix
from pyrite.telemetry.audit import START, AuditLog, AuditRecord, ChainKey, Head

_HEADS = STORE + b"audit/"
_BEGINS = STORE + b"audit-begins/"
_KEY = STORE + b"audit-key"
_FOLDER = STORE + b"audit-folder"
_COMMANDS = "commands"
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


async def keep_begins(engine: Engine, begins: Mapping[str, int]) -> None:
    """Remember with which record each chain may begin, by slot: older ones were removed on purpose."""
    batch = Batch()
    for slot, number in begins.items():
        batch.put(_BEGINS + slot.encode(), str(number).encode())
    await engine.commit(batch)


async def load_begins(engine: Engine) -> dict[str, int]:
    """With which records chains may begin, by slot; where nothing is known that is the first."""
    rows = await engine.scan(_BEGINS, after_prefix(_BEGINS), 10_000)
    return {row.key[len(_BEGINS) :].decode(): int(row.value) for row in rows}


async def load_key(engine: Engine) -> ChainKey | None:
    """The key of the chains, if one was made."""
    entry = await engine.get(_KEY)
    return ChainKey(*msgspec.msgpack.decode(entry.value, type=tuple[bytes, dict[str, int]])) if entry else None


async def make_key(engine: Engine, entropy: Entropy) -> ChainKey:
    """The key of the chains, made if need be: what stands in them until then has hashes without one."""
    while True:
        found = await load_key(engine)
        if found is not None:
            return found
        made = ChainKey(entropy.bytes(32), {slot: head.number for slot, head in (await load_heads(engine)).items()})
        batch = Batch()
        batch.expect(_KEY, ABSENT)
        batch.put(_KEY, _encode(tuple(made)))
        with contextlib.suppress(Conflict):  # another process has made it
            await engine.commit(batch)


async def keep_folder(engine: Engine, folder: Path | None) -> None:
    """Remember where the log is, an absolute path, for commands; None where there is none."""
    entry, text = await engine.get(_FOLDER), str(folder).encode() if folder is not None else b""
    if (entry.value if entry is not None else b"") != text:
        batch = Batch()
        batch.put(_FOLDER, text)
        await engine.commit(batch)


async def note_command(engine: Engine, words: Sequence[str]) -> None:
    """Write down what a command has changed, if the store keeps an audit log. Raises ConfigError where that fails."""
    entry = await engine.get(_FOLDER)
    if entry is None or not entry.value:
        return
    folder = Path(entry.value.decode())
    try:
        with (folder / "commands.lock").open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            head = (await load_heads(engine)).get(_COMMANDS, Head(0, START))
            log = AuditLog(folder, _COMMANDS, head, await make_key(engine, SystemEntropy()))
            log.write(
                AuditRecord(
                    time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                    kind="command",
                    request_id=f"command-{os.getpid()}",
                    source=socket.gethostname(),
                    caller=getpass.getuser(),
                    operation=" ".join(words[:2]),
                    parameters={"words": " ".join(words)},
                    status=0,
                )
            )
            log.flush()
            await keep_head(engine, _COMMANDS, log.head)
    except OSError as error:
        raise ConfigError(f"it is done, but the audit log in {folder} could not be written: {error}") from None
