"""Owns what the commands `pyrite iam ...` share: opening the store's identities, changing them, and showing them."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.table import Table

from pyrite.aws.arns import iam_arn
from pyrite.cli.arguments import console, store_drives
from pyrite.core.errors import ConfigError
from pyrite.iam import accounts
from pyrite.iam.changing import Change
from pyrite.node.iamcommands import with_identities
from pyrite.node.identities import Identities

T = TypeVar("T")
Account = Annotated[str | None, typer.Option("--account", help="The account's id; by default the store's own.")]
Name = Annotated[str, typer.Argument(help="Its name.")]
PolicyName = Annotated[str, typer.Argument(help="The ARN of a managed policy, or the name of one of the account.")]


def run(store: list[str] | None, body: Callable[[Identities], Awaitable[T]], noted: bool = False) -> T:
    """What `body` returns of a store's identities; `noted`: the audit log tells of the command."""
    return with_identities(store_drives(store), body, sys.argv[1:] if noted else ())


async def account_of(identities: Identities, account: str | None) -> str:
    """The account that is asked for, by default the store's own. Raises NoSuchEntity."""
    chosen = identities.own_account if account is None else account
    await accounts.find(identities.changes.view, chosen)
    return chosen


def make_change(store: list[str] | None, account: str | None, body: Callable[[Change, str], Awaitable[T]]) -> T:
    """Make one change in an account."""

    async def make(identities: Identities) -> T:
        chosen = await account_of(identities, account)
        return await identities.changes.make(lambda change: body(change, chosen))

    return run(store, make, noted=True)


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows as a table for people or as JSON for programs."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    table = Table(*(rows[0] if rows else ["nothing"]), box=None)
    for row in rows:
        table.add_row(*(", ".join(value) if isinstance(value, list) else str(value) for value in row.values()))
    console().print(table)


def when(milliseconds: int) -> str:
    """A moment for people; empty for none."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(" ", "seconds") if milliseconds else ""


def arn_of(account: str, policy: str) -> str:
    """The ARN of a managed policy that is named by it or, where it is the account's, by its name."""
    return policy if policy.startswith("arn:") else iam_arn(account, f"policy/{policy}")


def read_document(file: Path) -> str:
    """A policy that stands in a file. Raises ConfigError."""
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
