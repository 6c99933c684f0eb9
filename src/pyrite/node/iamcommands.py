"""Owns what `pyrite iam` does with the identities of a store that may be running.

A command changes records in metadata, as one more process of the store; the server takes them into account with the
next request.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from pyrite.core.clock import SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.iam.changing import Changes
from pyrite.node.drivecommands import LiveStore, with_live_store
from pyrite.node.identities import Identities, told

T = TypeVar("T")


def with_identities(paths: tuple[Path, ...], body: Callable[[Identities], Awaitable[T]]) -> T:
    """What `body` returns of the identities of the store on these drives. Raises ConfigError."""

    async def run(live: LiveStore) -> T:
        changes = Changes(live.engine, SystemClock(), SystemEntropy())
        return await body(Identities(changes, live.record.account_id))

    with told():
        return with_live_store(paths, run)
