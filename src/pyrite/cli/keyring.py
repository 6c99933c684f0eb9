"""Owns the commands `pyrite keyring ...`: the file of the master keys."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from pyrite.cli.arguments import AsJson, Store, console, store_drives
from pyrite.node.keyringcommands import describe_keys, retire
from pyrite.node.keyringfile import create_file, rewrap_file, rotate_file
from pyrite.node.vault import parse_transit

app = typer.Typer(no_args_is_help=True, help="The file of the master keys, under which everything is encrypted.")

File = Annotated[Path, typer.Argument(help="The keyring's file, as for serve --keyring.")]


@app.command()
def create(
    file: File,
    vault: Annotated[
        str | None,
        typer.Option(help="Seal its keys under this transit key of Vault or OpenBao: https://HOST/MOUNT/KEY."),
    ] = None,
) -> None:
    """Make a keyring with one key. What is encrypted with it is lost without it: keep a copy."""
    create_file(file, parse_transit(vault) if vault is not None else None)
    print(f"made {file}; keep a copy in another place")


@app.command()
def rotate(file: File) -> None:
    """Add a key, which encrypts from now on. A running server takes it within a second, and moves to it what older keys
    hold; no byte of an object is written anew.
    """
    print(f"the newest key is {rotate_file(file)}; keep a copy of {file}")


@app.command()
def rewrap(file: File) -> None:
    """Seal the keys of a file under the newest version of its transit key; the keys stay what they are."""
    rewrap_file(file)
    print(f"sealed the keys in {file} anew")


@app.command("list")
def list_(file: File, store: Store = None, as_json: AsJson = False) -> None:
    """The keys, with how much is wrapped under each."""
    rows = describe_keys(file, store_drives(store))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    table = Table("id", "created", "uses", box=None)
    for row in rows:
        table.add_row(row.id, row.created, str(row.uses))
    console().print(table)


@app.command("retire")
def retire_(file: File, store: Store = None) -> None:
    """Remove older keys from the file under which nothing is wrapped any more."""
    gone = retire(file, store_drives(store), sys.argv[1:])
    print(f"removed {', '.join(gone)}" if gone else "there is no older key that nothing is wrapped under")
