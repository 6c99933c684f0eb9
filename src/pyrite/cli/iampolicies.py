"""Owns the commands `pyrite iam ...` about managed policies."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pyrite.cli.arguments import AsJson, Store
from pyrite.cli.identities import Account, Name, PolicyName, account_of, arn_of, make_change, read_document, run, show
from pyrite.iam import policies
from pyrite.iam.changing import Change
from pyrite.node.identities import Identities


def list_policies(store: Store = None, account: Account = None, as_json: AsJson = False) -> None:
    """List the managed policies of an account."""

    async def body(identities: Identities) -> list[dict[str, Any]]:
        chosen = await account_of(identities, account)
        found = await policies.list_all(identities.changes.view, chosen)
        return [
            {"policy": record.name, "arn": record.arn, "version": f"v{record.default}", "attached": record.attachments}
            for record in found
        ]

    show(run(store, body), as_json)


_File = Annotated[Path, typer.Argument(help="The file of its JSON document.")]


def create_policy(
    name: Name,
    file: _File,
    store: Store = None,
    account: Account = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a managed policy."""
    document = read_document(file)

    async def body(change: Change, chosen: str) -> dict[str, Any]:
        made = await policies.create(change, chosen, name, document, description=description)
        return {"policy": made.name, "arn": made.arn}

    show([make_change(store, account, body)], as_json)


def update_policy(policy: PolicyName, file: _File, store: Store = None, account: Account = None) -> None:
    """Give a managed policy a new version, which is what counts from now on; the oldest version makes room for it."""
    document = read_document(file)

    async def body(change: Change, chosen: str) -> str:
        arn = arn_of(chosen, policy)
        record = await policies.find(change, chosen, arn)
        old = [version.number for version in record.versions if version.number != record.default]
        if len(record.versions) >= policies.VERSIONS_MAX:
            await policies.delete_version(change, chosen, arn, f"v{min(old)}")
        return f"v{(await policies.add_version(change, chosen, arn, document, True)).default}"

    print(f"{policy} is at {make_change(store, account, body)}")


def delete_policy(policy: PolicyName, store: Store = None, account: Account = None) -> None:
    """Delete a managed policy that is attached to nobody, with its versions."""

    async def body(change: Change, chosen: str) -> None:
        arn = arn_of(chosen, policy)
        record = await policies.find(change, chosen, arn)
        for version in record.versions:
            if version.number != record.default:
                await policies.delete_version(change, chosen, arn, f"v{version.number}")
        await policies.delete(change, chosen, arn)

    make_change(store, account, body)
    print(f"policy {policy} is deleted")


def show_policy(policy: PolicyName, store: Store = None, account: Account = None) -> None:
    """Print the document of a managed policy."""

    async def body(identities: Identities) -> str:
        chosen = await account_of(identities, account)
        record = await policies.find(identities.changes.view, chosen, arn_of(chosen, policy))
        return policies.version_of(record, f"v{record.default}").document

    print(run(store, body))


COMMANDS: dict[str, Callable[..., None]] = {
    "policies": list_policies,
    "policy": show_policy,
    "create-policy": create_policy,
    "update-policy": update_policy,
    "delete-policy": delete_policy,
}
