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
from pyrite.kms.declaring import apply_key
from pyrite.kms.errors import KmsError
from pyrite.kms.keys import KmsKeys


class Identities(NamedTuple):
    """The identities of a store, the id of its own account, and its KMS keys."""

    changes: Changes
    own_account: str
    keys: KmsKeys


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors of identities as errors that the user of a command can mend."""
    try:
        yield
    except (IamError, KmsError) as error:
        raise ConfigError(str(error)) from None


def read_file(path: Path) -> Declaration:
    """The declaration in a file. Raises ConfigError."""
    try:
        with told():
            return read_declaration(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the identities in {path} cannot be read: {error}") from None


async def apply_identities(identities: Identities, path: Path) -> list[str]:
    """Make the store's identities what a file declares; what changed. Raises ConfigError."""
    lines = await apply(identities, read_file(path))
    return [f"identities: {line}" for line in lines]


async def apply(identities: Identities, declared: Declaration, prune: bool = False, dry_run: bool = False) -> list[str]:
    """Apply a declaration, or only tell what would change. Raises ConfigError."""

    async def body(change: Change) -> list[str]:
        return await Applier(change, identities.own_account, prune).apply(declared)

    with told():
        for account in declared.accounts:  # what is wrong with a key is found before anything is changed
            for key in account.kms_keys:
                await apply_key(identities.keys, account.id or identities.own_account, key, dry_run=True)
        lines = await (identities.changes.try_out(body) if dry_run else identities.changes.make(body))
        for account in declared.accounts:
            name = identities.own_account if account.id is None else account.id
            for key in account.kms_keys:
                lines += await apply_key(identities.keys, name, key, dry_run)
        return lines
