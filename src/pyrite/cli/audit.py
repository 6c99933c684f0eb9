"""Owns the commands `pyrite audit verify` and `pyrite audit accept`."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pyrite.cli.arguments import AsJson, Store, store_drives
from pyrite.node.auditverifying import accept_begins, verify_logs

app = typer.Typer(no_args_is_help=True, help="The audit log.")


@app.callback()
def _group() -> None:
    """The audit log."""


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of the log, rotated files in it too.")],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Verify that no record was changed, removed or put in. The exit code tells: 0, or 1 for faults."""
    found = verify_logs(folder, store_drives(store))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode([one._asdict() for one in found])).decode())
    else:
        for one in found:
            print(f"{one.slot}: {one.records} records from number {one.first}: {'; '.join(one.faults) or 'genuine'}")
        if not found:
            print("no records")
    raise typer.Exit(1 if any(one.faults for one in found) else 0)


@app.command()
def accept(
    folder: Annotated[Path, typer.Argument(help="The folder of the log, rotated files in it too.")],
    store: Store = None,
) -> None:
    """Say that records older than those in FOLDER were removed on purpose: `verify` does not miss them any more."""
    begins = accept_begins(folder, store_drives(store), ("audit", "accept", str(folder)))
    for slot, number in sorted(begins.items()):
        print(f"{slot}: begins with record {number}")
