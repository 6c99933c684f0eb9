"""Owns `pyrite metadata` (backup, restore) and `pyrite recover`."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pyrite.cli.arguments import AsJson, Drives, Store, store_drives
from pyrite.core.units import format_size
from pyrite.node import recovering
from pyrite.node.recovering import Recovered

app = typer.Typer(help="Back the names up, and put them back.", no_args_is_help=True)


Without = Annotated[
    list[str] | None, typer.Option("--without", help="The id of a drive that is lost for good; may be repeated.")
]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; one that is there is replaced.")],
    store: Store = None,
) -> None:
    """Write a consistent copy of all names to a file, while the store runs or not."""
    size = recovering.back_up(store_drives(store), file.absolute())
    print(f"{file}: {format_size(size)}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that pyrite metadata backup has written.")],
    store: Store = None,
    exactly: Annotated[bool, typer.Option("--exactly", help="Forget what was written after the backup.")] = False,
    without: Without = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the names, and replay what the drives remember of the time after it."""
    _say(recovering.restore(store_drives(store), file.absolute(), exactly, without or ()), as_json)


def recover(
    drives: Drives = None,
    discard: Annotated[bool, typer.Option("--discard", help="Rebuild even though metadata is there.")] = False,
    without: Without = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild all names from the drives alone, when every copy of the metadata is gone."""
    _say(recovering.recover(store_drives(drives), discard, without or ()), as_json)


def _say(found: Recovered, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    print(f"{found.buckets} buckets, {found.objects} objects, {format_size(found.object_bytes)} are back")
    print(f"from {found.dump_rows} rows and {found.replayed} transactions behind them")
    if found.missing:
        print(f"{found.missing} transactions are on no drive; none was acknowledged unless too many drives are missing")
    print("run pyrite check before serving it")
