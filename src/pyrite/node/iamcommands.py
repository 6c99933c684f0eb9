"""Owns what `pyrite iam` does with the identities of a store that may be running.

A command changes records in metadata, as one more process of the store; the server takes them into account with the
next request.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pyrite.core.clock import SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import ConfigError
from pyrite.iam.changing import Changes
from pyrite.kms.keys import KmsKeys
from pyrite.node.config import Environment
from pyrite.node.drivecommands import LiveStore, with_live_store
from pyrite.node.identities import Identities, told
from pyrite.node.keyringfile import check_is_of, open_keyring, require_no_keyring

T = TypeVar("T")


def with_identities(
    paths: tuple[Path, ...], body: Callable[[Identities], Awaitable[T]], words: Sequence[str] = ()
) -> T:
    """What `body` returns of the identities of the store on these drives; `words` as for `with_live_store`.

    Raises ConfigError.
    """
    path = Environment().get("KEYRING")
    if path and not Path(path).exists():
        raise ConfigError(f"the keyring {path} (PYRITE_KEYRING) is not there")
    file = Path(path) if path else None
    keyring = open_keyring(file, paths)[0] if file is not None else None

    async def run(live: LiveStore) -> T:
        if file is None:
            await require_no_keyring(live.engine)
        else:
            await check_is_of(live.engine, file)
        clock, entropy = SystemClock(), SystemEntropy()
        changes = Changes(live.engine, clock, entropy, keyring=keyring)
        keys = KmsKeys(live.engine, keyring, clock, entropy, Environment().get("REGION") or "us-east-1")
        return await body(Identities(changes, live.record.account_id, keys))

    with told():
        return with_live_store(paths, run, words)
