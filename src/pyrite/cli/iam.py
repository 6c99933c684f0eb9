"""Owns the commands `pyrite iam ...` about accounts, users, groups and roles."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pyrite.cli import iamkeys, iampolicies
from pyrite.cli.arguments import AsJson, Store
from pyrite.cli.identities import (
    Account,
    Name,
    PolicyName,
    account_of,
    arn_of,
    make_change,
    read_document,
    run,
    show,
    when,
)
from pyrite.core.errors import ConfigError
from pyrite.iam import accesskeys, accounts, entities, policies
from pyrite.iam.changing import Change
from pyrite.iam.records import EntityKind
from pyrite.node.identities import Identities, apply, read_file

app = typer.Typer(no_args_is_help=True, help="Accounts, users, groups, roles, policies and access keys.")

_NOTHING = "nothing to change"


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
    lines = run(store, lambda identities: apply(identities, declared, prune, dry_run), not dry_run)
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
                "made": when(record.created_ms),
            }
            for record in await accounts.list_all(identities.changes.view)
        ]

    show(run(store, body), as_json)


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

    show([make_change(store, None, body)], as_json)


@app.command("delete-account")
def delete_account(account: Annotated[str, typer.Argument(help="Its id.")], store: Store = None) -> None:
    """Delete an account that has no identities and no keys; the keys of its root go with it."""

    async def body(change: Change, own: str) -> None:
        if account == own:
            raise ConfigError("the store's own account cannot be deleted")
        for key in (await accounts.find(change, account)).keys:
            await accesskeys.delete(change, account, "", key)
        await accounts.delete(change, account)

    make_change(store, None, body)
    print(f"account {account} is deleted")


def _entity_commands(kind: EntityKind) -> None:
    """The commands that users, groups and roles have in common."""

    @app.command(f"{kind}s", help=f"List the {kind}s of an account.")
    def list_(store: Store = None, account: Account = None, as_json: AsJson = False) -> None:
        async def body(identities: Identities) -> list[dict[str, Any]]:
            chosen = await account_of(identities, account)
            found = await entities.list_all(identities.changes.view, kind, chosen)
            return [
                {
                    kind: record.name,
                    "arn": record.arn,
                    "policies": [*record.inline, *record.attached],
                    "members" if kind == "group" else "groups": list(record.members or record.groups),
                    "keys": list(record.keys),
                    "made": when(record.created_ms),
                }
                for record in found
            ]

        show(run(store, body), as_json)

    @app.command(f"delete-{kind}", help=f"Delete a {kind} that nothing depends on.")
    def delete(name: Name, store: Store = None, account: Account = None) -> None:
        make_change(store, account, lambda change, chosen: policies.delete_entity(change, kind, chosen, name))
        print(f"{kind} {name} is deleted")

    @app.command(f"attach-{kind}-policy", help=f"Attach a managed policy to a {kind}.")
    def attach(
        name: Name,
        policy: PolicyName,
        store: Store = None,
        account: Account = None,
    ) -> None:
        make_change(
            store,
            account,
            lambda change, chosen: policies.attach(change, kind, chosen, name, arn_of(chosen, policy)),
        )
        print(f"{policy} is attached to {kind} {name}")

    @app.command(f"detach-{kind}-policy", help=f"Detach a managed policy from a {kind}.")
    def detach(name: Name, policy: PolicyName, store: Store = None, account: Account = None) -> None:
        make_change(
            store,
            account,
            lambda change, chosen: policies.detach(change, kind, chosen, name, arn_of(chosen, policy)),
        )
        print(f"{policy} is detached from {kind} {name}")


def _inline_commands(kind: EntityKind) -> None:
    """The commands about policies that belong to one user, group or role."""

    @app.command(f"put-{kind}-policy", help=f"Give a {kind} an inline policy, or replace it.")
    def put(
        name: Name,
        policy: Annotated[str, typer.Argument(help="The policy's name.")],
        file: Annotated[Path, typer.Argument(help="The file of its JSON document.")],
        store: Store = None,
        account: Account = None,
    ) -> None:
        document = read_document(file)
        make_change(
            store,
            account,
            lambda change, chosen: entities.put_inline(change, kind, chosen, name, policy, document),
        )
        print(f"{kind} {name} has the policy {policy}")

    @app.command(f"delete-{kind}-policy", help=f"Take an inline policy from a {kind}.")
    def delete(
        name: Name,
        policy: Annotated[str, typer.Argument(help="The policy's name.")],
        store: Store = None,
        account: Account = None,
    ) -> None:
        make_change(store, account, lambda change, chosen: entities.delete_inline(change, kind, chosen, name, policy))
        print(f"{kind} {name} has the policy {policy} no more")


for _kind in ("user", "group", "role"):
    _entity_commands(_kind)
    _inline_commands(_kind)
for _name, _command in {**iamkeys.COMMANDS, **iampolicies.COMMANDS}.items():
    app.command(_name)(_command)


@app.command("create-user")
def create_user(
    name: Name,
    store: Store = None,
    account: Account = None,
    group: Annotated[list[str] | None, typer.Option(help="A group to join; may be repeated.")] = None,
    policy: Annotated[
        list[str] | None, typer.Option(help="The ARN or name of a managed policy to attach; may be repeated.")
    ] = None,
    key: Annotated[bool, typer.Option(help="Make an access key, which is shown once.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make a user."""

    async def body(change: Change, chosen: str) -> dict[str, Any]:
        user = await entities.create(change, "user", chosen, name)
        for label in group or ():
            await entities.add_to_group(change, chosen, label, name)
        for arn in policy or ():
            await policies.attach(change, "user", chosen, name, arn_of(chosen, arn))
        shown: dict[str, Any] = {"user": user.name, "arn": user.arn}
        if key:
            made = await accesskeys.create(change, chosen, name)
            shown |= {"access_key": made.id, "secret_key": made.secret}
        return shown

    show([make_change(store, account, body)], as_json)


@app.command("create-group")
def create_group(name: Name, store: Store = None, account: Account = None) -> None:
    """Make a group."""
    make_change(store, account, lambda change, chosen: entities.create(change, "group", chosen, name))
    print(f"group {name} is made")


@app.command("join-group")
def join_group(
    user: Annotated[str, typer.Argument(help="The user.")],
    group: Annotated[str, typer.Argument(help="The group.")],
    store: Store = None,
    account: Account = None,
) -> None:
    """Make a user a member of a group."""
    make_change(store, account, lambda change, chosen: entities.add_to_group(change, chosen, group, user))
    print(f"user {user} is in group {group}")


@app.command("leave-group")
def leave_group(
    user: Annotated[str, typer.Argument(help="The user.")],
    group: Annotated[str, typer.Argument(help="The group.")],
    store: Store = None,
    account: Account = None,
) -> None:
    """End a user's membership of a group."""
    make_change(store, account, lambda change, chosen: entities.remove_from_group(change, chosen, group, user))
    print(f"user {user} is in group {group} no more")


@app.command("create-role")
def create_role(
    name: Name,
    trust: Annotated[Path, typer.Argument(help="The file of the JSON document that says who may assume it.")],
    store: Store = None,
    account: Account = None,
    policy: Annotated[
        list[str] | None, typer.Option(help="The ARN or name of a managed policy to attach; may be repeated.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a role."""
    document = read_document(trust)

    async def body(change: Change, chosen: str) -> dict[str, Any]:
        role = await entities.create_role(change, chosen, name, document, description=description, strict=True)
        for one in policy or ():
            await policies.attach(change, "role", chosen, name, arn_of(chosen, one))
        return {"role": role.name, "arn": role.arn}

    show([make_change(store, account, body)], as_json)
