"""Owns what a server is run with that its operator should know of, told at the start and again by `pyrite info`."""

from pyrite.core.confine import landlock_version
from pyrite.metadata.keyspaces import STORE
from pyrite.metadata.kv import Batch, Engine
from pyrite.node.config import Config

_KEY = STORE + b"warnings"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PLAIN = "plain HTTP beyond this machine: anyone on the way can read and change data"
_LANDLOCK_WANTED = 6
_NO_LANDLOCK = (
    "the kernel has no Landlock of version 6: queries and functions are not kept from files, signals and the network"
)


def warnings_of(config: Config) -> list[str]:
    """The warnings that a configuration deserves."""
    found = [_PLAIN] if config.tls_certificate is None and config.host not in _LOOPBACK else []
    if landlock_version() < _LANDLOCK_WANTED:
        found.append(_NO_LANDLOCK)
    return found


async def keep_warnings(engine: Engine, config: Config) -> None:
    """Have the store remember the warnings of the server that is started on it."""
    content, entry = "\n".join(warnings_of(config)).encode(), await engine.get(_KEY)
    if (entry.value if entry is not None else b"") != content:
        batch = Batch()
        batch.put(_KEY, content)
        await engine.commit(batch)


async def load_warnings(engine: Engine) -> list[str]:
    """The warnings of the server that was started last."""
    entry = await engine.get(_KEY)
    return entry.value.decode().split("\n") if entry is not None and entry.value else []
