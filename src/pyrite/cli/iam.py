"""Owns the commands `pyrite iam ...`: accounts, users, groups, roles, policies and keys of a store."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.table import Table

from pyrite.cli.arguments import AsJson, Store, console, store_drives
from pyrite.core.errors import ConfigError
from pyrite.iam import accesskeys, accounts, entities, policies
from pyrite.iam.changing import Change
from pyrite.iam.records import EntityKind
from pyrite.node.iamcommands import with_identities
from pyrite.node.identities import Identities, apply, read_file

app = typer.Typer(no_args_is_help=True, help="Accounts, users, groups, roles, policies and access keys.")

T = TypeVar("T")
Account = Annotated[str | None, typer.Option("--account", help="The account's id; by default the store's own.")]
Name = Annotated[str, typer.Argument(help="Its name.")]
_NOTHING = "nothing to change"


def _run(store: list[str] | None, body: Callable[[Identities], Awaitable[T]], noted: bool = False) -> T:
    return with_identities(store_drives(store), body, sys.argv[1:] if noted else ())


def _change(store: list[str] | None, account: str | None, body: Callable[[Change, str], Awaitable[T]]) -> T:
    """Make one change in an account."""

    async def run(identities: Identities) -> T:
        chosen = identities.own_account if account is None else account
        await accounts.find(identities.changes.view, chosen)
        return await identities.changes.make(lambda change: body(change, chosen))

    return _run(store, run, noted=True)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows as a table for people or as JSON for programs."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    table = Table(*(rows[0] if rows else ["nothing"]), box=None)
    for row in rows:
        table.add_row(*(", ".join(value) if isinstance(value, list) else str(value) for value in row.values()))
    console().print(table)


def _when(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(" ", "seconds") if milliseconds else ""


@app.command("apply")
def apply_(
    file: Annotated[Path, typer.Argument(help="The TOML file that declares identities.")],
    store: Store = None,
    prune: Annotated[bool, typer.Option(help="Delete what is not declared, in the accounts that are.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Tell what would change, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make identities what a file declares, all of it or nothing."""
    declared = read_file(file)
    lines = _run(store, lambda identities: apply(identities, declared, prune, dry_run), not dry_run)
    if as_json:
        print(msgspec.json.encode({"changes": lines, "applied": not dry_run}).decode())
        return
    print("\n".join(lines) or _NOTHING)


@app.command("accounts")
def list_accounts(store: Store = None, as_json: AsJson = False) -> None:
    """List the accounts."""

    async def body(identities: Identities) -> list[dict[str, Any]]:
        return [
            {
                "account": record.id,
                "name": record.name,
                "canonical_id": record.canonical_id,
                "email": record.email,
                "made": _when(record.created_ms),
            }
            for record in await accounts.list_all(identities.changes.view)
        ]

    _show(_run(store, body), as_json)


@app.command("create-account")
def create_account(
    name: Name,
    store: Store = None,
    account: Annotated[str, typer.Option("--id", help="12 digits; made if not given.")] = "",
    email: Annotated[str, typer.Option(help="For grants by e-mail address.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an account with an access key for its root user, which is shown once."""

    async def body(change: Change, _: str) -> dict[str, Any]:
        made = await accounts.create(change, name, account, "", email)
        key = await accesskeys.create(change, made.id, "")
        return {"account": made.id, "access_key": key.id, "secret_key": key.secret}

    _show([_change(store, None, body)], as_json)


@app.command("delete-account")
def delete_account(account: Annotated[str, typer.Argument(help="Its id.")], store: Store = None) -> None:
    """Delete an account that has no identities and no keys; the keys of its root go with it."""

    async def body(change: Change, own: str) -> None:
        if account == own:
            raise ConfigError("the store's own account cannot be deleted")
        for key in (await accounts.find(change, account)).keys:
            await accesskeys.delete(change, account, "", key)
        await accounts.delete(change, account)

    _change(store, None, body)
    print(f"account {account} is deleted")


def _entity_commands(kind: EntityKind) -> None:
    """The commands that users, groups and roles have in common."""

    @app.command(f"{kind}s", help=f"List the {kind}s of an account.")
    def list_(store: Store = None, account: Account = None, as_json: AsJson = False) -> None:
        async def body(identities: Identities) -> list[dict[str, Any]]:
            chosen = identities.own_account if account is None else account
            found = await entities.list_all(identities.changes.view, kind, chosen)
            return [
                {
                    kind: record.name,
                    "arn": record.arn,
                    "policies": [*record.inline, *record.attached],
                    "members" if kind == "group" else "groups": list(record.members or record.groups),
                    "keys": list(record.keys),
                    "made": _when(record.created_ms),
                }
                for record in found
            ]

        _show(_run(store, body), as_json)

    @app.command(f"delete-{kind}", help=f"Delete a {kind} that nothing depends on.")
    def delete(name: Name, store: Store = None, account: Account = None) -> None:
        _change(store, account, lambda change, chosen: policies.delete_entity(change, kind, chosen, name))
        print(f"{kind} {name} is deleted")

    @app.command(f"attach-{kind}-policy", help=f"Attach a managed policy to a {kind}.")
    def attach(
        name: Name,
        policy: Annotated[str, typer.Argument(help="The ARN of a policy.")],
        store: Store = None,
        account: Account = None,
    ) -> None:
        _change(store, account, lambda change, chosen: policies.attach(change, kind, chosen, name, policy))
        print(f"{policy} is attached to {kind} {name}")


for _kind in ("user", "group", "role"):
    _entity_commands(_kind)


@app.command("create-user")
def create_user(
    name: Name,
    store: Store = None,
    account: Account = None,
    group: Annotated[list[str] | None, typer.Option(help="A group to join; may be repeated.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="The ARN of a policy to attach; may be repeated.")] = None,
    key: Annotated[bool, typer.Option(help="Make an access key, which is shown once.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make a user."""

    async def body(change: Change, chosen: str) -> dict[str, Any]:
        user = await entities.create(change, "user", chosen, name)
        for label in group or ():
            await entities.add_to_group(change, chosen, label, name)
        for arn in policy or ():
            await policies.attach(change, "user", chosen, name, arn)
        shown: dict[str, Any] = {"user": user.name, "arn": user.arn}
        if key:
            made = await accesskeys.create(change, chosen, name)
            shown |= {"access_key": made.id, "secret_key": made.secret}
        return shown

    _show([_change(store, account, body)], as_json)


@app.command("create-group")
def create_group(name: Name, store: Store = None, account: Account = None) -> None:
    """Make a group."""
    _change(store, account, lambda change, chosen: entities.create(change, "group", chosen, name))
    print(f"group {name} is made")


@app.command("keys")
def list_keys(
    user: Annotated[str, typer.Argument(help="The user; without one the account's root.")] = "",
    store: Store = None,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """List access keys."""

    async def body(identities: Identities) -> list[dict[str, Any]]:
        chosen = identities.own_account if account is None else account
        view = identities.changes.view
        rows = []
        for record in await accesskeys.list_all(view, chosen, user):
            use = await accesskeys.last_use(view, record.id)
            rows.append(
                {
                    "access_key": record.id,
                    "state": "active" if record.active else "inactive",
                    "limited": bool(record.policy),
                    "expires": _when(record.expires_ms),
                    "last_used": _when(use.used_ms if use is not None else 0),
                    "made": _when(record.created_ms),
                    "description": record.description,
                }
            )
        return rows

    _show(_run(store, body), as_json)


@app.command("create-key")
def create_key(
    user: Annotated[str, typer.Argument(help="The user; without one the account's root.")] = "",
    store: Store = None,
    account: Account = None,
    policy: Annotated[Path | None, typer.Option(help="A policy that limits what the key may do.")] = None,
    expires_in: Annotated[float, typer.Option(min=0, help="Hours until it ends; 0 for never.")] = 0,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an access key, which is shown once; with --policy and --expires-in a service account's."""
    text = policy.read_text("utf-8") if policy is not None else ""
    expires_ms = int((datetime.now(UTC) + timedelta(hours=expires_in)).timestamp() * 1000) if expires_in else 0

    async def body(change: Change, chosen: str) -> dict[str, Any]:
        made = await accesskeys.create(
            change, chosen, user, policy=text, expires_ms=expires_ms, description=description
        )
        return {"access_key": made.id, "secret_key": made.secret}

    _show([_change(store, account, body)], as_json)


@app.command("delete-key")
def delete_key(
    key: Annotated[str, typer.Argument(help="The access key id.")], store: Store = None, account: Account = None
) -> None:
    """Delete an access key; it stops working within a second."""

    async def body(change: Change, chosen: str) -> None:
        record = await accesskeys.find_any(change, key)
        await accesskeys.delete(change, chosen if account is not None else record.account, record.user, key)

    _change(store, account, body)
    print(f"access key {key} is deleted")


@app.command("policies")
def list_policies(store: Store = None, account: Account = None, as_json: AsJson = False) -> None:
    """List the managed policies of an account."""

    async def body(identities: Identities) -> list[dict[str, Any]]:
        chosen = identities.own_account if account is None else account
        found = await policies.list_all(identities.changes.view, chosen)
        return [
            {"policy": record.name, "arn": record.arn, "version": f"v{record.default}", "attached": record.attachments}
            for record in found
        ]

    _show(_run(store, body), as_json)
