"""Owns applying a file of declared identities to a store."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyrite.core.errors import ConfigError
from pyrite.iam.applying import Applier
from pyrite.iam.changing import Change, Changes
from pyrite.iam.declared import Declaration, read_declaration
from pyrite.iam.errors import IamError


class Identities(NamedTuple):
    """The identities of a store, and the id of its own account."""

    changes: Changes
    own_account: str


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors of identities as errors that the user of a command can mend."""
    try:
        yield
    except IamError as error:
        raise ConfigError(str(error)) from None


def read_file(path: Path) -> Declaration:
    """The declaration in a file. Raises ConfigError."""
    try:
        with told():
            return read_declaration(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the identities in {path} cannot be read: {error}") from None


async def apply_identities(changes: Changes, own_account: str, path: Path) -> list[str]:
    """Make the store's identities what a file declares; what changed. Raises ConfigError."""
    return await apply(Identities(changes, own_account), read_file(path))


async def apply(identities: Identities, declared: Declaration, prune: bool = False, dry_run: bool = False) -> list[str]:
    """Apply a declaration, or only tell what would change. Raises ConfigError."""

    async def body(change: Change) -> list[str]:
        return await Applier(change, identities.own_account, prune).apply(declared)

    with told():
        return await (identities.changes.try_out(body) if dry_run else identities.changes.make(body))
