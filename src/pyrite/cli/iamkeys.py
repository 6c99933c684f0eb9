"""Owns the commands `pyrite iam ...` about access keys."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from pyrite.cli.arguments import AsJson, Store
from pyrite.cli.identities import Account, account_of, make_change, read_document, run, show, when
from pyrite.iam import accesskeys
from pyrite.iam.changing import Change
from pyrite.node.identities import Identities

_HOURS_MAX = 1_000_000
_Key = Annotated[str, typer.Argument(help="The access key id.")]


def list_keys(
    user: Annotated[str, typer.Argument(help="The user; without one the account's root.")] = "",
    store: Store = None,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """List access keys."""

    async def body(identities: Identities) -> list[dict[str, Any]]:
        chosen = await account_of(identities, account)
        view = identities.changes.view
        rows = []
        for record in await accesskeys.list_all(view, chosen, user):
            use = await accesskeys.last_use(view, record.id)
            rows.append(
                {
                    "access_key": record.id,
                    "state": "active" if record.active else "inactive",
                    "limited": bool(record.policy),
                    "expires": when(record.expires_ms),
                    "last_used": when(use.used_ms if use is not None else 0),
                    "made": when(record.created_ms),
                    "description": record.description,
                }
            )
        return rows

    show(run(store, body), as_json)


def create_key(
    user: Annotated[str, typer.Argument(help="The user; without one the account's root.")] = "",
    store: Store = None,
    account: Account = None,
    policy: Annotated[Path | None, typer.Option(help="A policy that limits what the key may do.")] = None,
    expires_in: Annotated[float, typer.Option(min=0, max=_HOURS_MAX, help="Hours until it ends; 0 for never.")] = 0,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an access key, which is shown once; with --policy and --expires-in a service account's."""
    text = read_document(policy) if policy is not None else ""
    expires_ms = int((datetime.now(UTC) + timedelta(hours=expires_in)).timestamp() * 1000) if expires_in else 0

    async def body(change: Change, chosen: str) -> dict[str, Any]:
        made = await accesskeys.create(
            change, chosen, user, policy=text, expires_ms=expires_ms, description=description
        )
        return {"access_key": made.id, "secret_key": made.secret}

    show([make_change(store, account, body)], as_json)


def delete_key(key: _Key, store: Store = None, account: Account = None) -> None:
    """Delete an access key; it stops working within a second."""

    async def body(change: Change, chosen: str) -> None:
        record = await accesskeys.find_any(change, key)
        await accesskeys.delete(change, chosen if account is not None else record.account, record.user, key)

    make_change(store, account, body)
    print(f"access key {key} is deleted")


def _set_active(key: str, store: list[str] | None, account: str | None, active: bool) -> None:
    async def body(change: Change, chosen: str) -> None:
        record = await accesskeys.find_any(change, key)
        owner = chosen if account is not None else record.account
        await accesskeys.set_active(change, owner, record.user, key, active)

    make_change(store, account, body)
    print(f"access key {key} is {'active' if active else 'inactive'}")


def activate_key(key: _Key, store: Store = None, account: Account = None) -> None:
    """Let an access key work again."""
    _set_active(key, store, account, True)


def deactivate_key(key: _Key, store: Store = None, account: Account = None) -> None:
    """Stop an access key from working, until it is activated again."""
    _set_active(key, store, account, False)


COMMANDS: dict[str, Callable[..., None]] = {
    "keys": list_keys,
    "create-key": create_key,
    "delete-key": delete_key,
    "activate-key": activate_key,
    "deactivate-key": deactivate_key,
}
