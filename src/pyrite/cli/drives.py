"""Owns `pyrite drive`: list, add, drain, remove, replace."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from pyrite.cli.arguments import AsJson, Store, console, store_drives
from pyrite.core.units import format_size
from pyrite.node import drivecommands as commands
from pyrite.node.drivecommands import DriveStatus, LiveStore
from pyrite.node.registry import DriveRecord
from pyrite.services.upkeep import DriveUse

app = typer.Typer(help="List, add, drain, remove and replace drives, while the store runs.", no_args_is_help=True)

Wait = Annotated[bool, typer.Option(help="Wait until it is done, showing progress.")]
_LOOK_S = 0.5


@app.command("list")
def list_(store: Store = None, as_json: AsJson = False) -> None:
    """Show every drive: state, use, and what waits for repair."""
    found = commands.with_live_store(store_drives(store), commands.list_drives)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    table = Table(
        "drive", "path", "state", "role", "domain", "used", "free", "total", "shards", "metadata", "repair", box=None
    )
    for drive in found:
        table.add_row(*_cells(drive))
    console().print(table)


def _cells(drive: DriveStatus) -> tuple[str, ...]:
    return (
        drive.id,
        drive.path,
        drive.state,
        drive.role,
        drive.domain,
        format_size(drive.used_bytes),
        format_size(drive.free_bytes),
        format_size(drive.total_bytes),
        f"{drive.shards} ({format_size(drive.shard_bytes)})",
        "yes" if drive.holds_metadata else "",
        str(drive.volumes_waiting_for_repair or ""),
    )


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="An empty directory on the new drive.")],
    store: Store = None,
    domain: Annotated[str, typer.Option(help="What fails together with it: a shelf, a rack.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add a drive; data evens out over it by itself."""
    made = commands.with_live_store(
        store_drives(store), lambda live: commands.add(live, path.absolute(), domain), sys.argv[1:]
    )
    _say(made, f"drive {made.id} at {made.path} belongs to the store", as_json)


@app.command()
def drain(
    drive: Annotated[str, typer.Argument(help="Its id or path.")],
    store: Store = None,
    wait: Wait = True,
    undo: Annotated[bool, typer.Option("--undo", help="Take a drain back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move everything off a drive, so that it can be removed."""

    async def body(live: LiveStore) -> DriveRecord:
        if undo:
            return await commands.activate(live, drive)
        found = await commands.drain(live, drive)
        if wait:
            await _watch(live, found, "draining", as_json)
        return found

    done = commands.with_live_store(store_drives(store), body, sys.argv[1:])
    _say(done, f"drive {done.id}: {'stays' if undo else 'drained' if wait else 'is draining'}", as_json)


@app.command()
def remove(
    drive: Annotated[str, typer.Argument(help="Its id or path.")],
    store: Store = None,
    lost: Annotated[bool, typer.Option("--lost", help="It will not come back: make its data again elsewhere.")] = False,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Take a drained drive out of the store, or give up a lost one."""

    async def body(live: LiveStore) -> DriveRecord:
        found = await commands.remove(live, drive, lost)
        if wait and lost:
            await _watch(live, found, "repairing", as_json)
        return found

    done = commands.with_live_store(store_drives(store), body, sys.argv[1:])
    _say(done, f"drive {done.id} does not belong to the store any more", as_json)


@app.command()
def replace(
    drive: Annotated[str, typer.Argument(help="The id or path of the old drive; it need not be there.")],
    path: Annotated[Path, typer.Argument(help="An empty directory on the new drive.")],
    store: Store = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Put a new drive in the place of another."""
    where = path.absolute()

    async def body(live: LiveStore) -> DriveRecord:
        old, new = await commands.replace(live, drive, where)
        if wait:
            await _watch(live, old, "rebuilding", as_json)
        return new

    done = commands.with_live_store(store_drives(store), body, sys.argv[1:])
    _say(done, f"drive {done.id} at {done.path} has taken over", as_json)


async def _watch(live: LiveStore, drive: DriveRecord, verb: str, as_json: bool) -> None:
    """Show how what stands on `drive` becomes less, until it is nothing. Interrupting stops the watching alone."""
    total = (await live.uses()).get(drive.id, DriveUse()).shard_bytes
    columns = (TextColumn(verb), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=as_json) as progress:
        task = progress.add_task(verb, total=total)
        while True:
            use = (await live.uses()).get(drive.id)
            progress.update(task, completed=total - (use.shard_bytes if use else 0))
            if use is None:
                return
            await asyncio.sleep(_LOOK_S)


def _say(drive: DriveRecord, text: str, as_json: bool) -> None:
    print(msgspec.json.encode(msgspec.structs.asdict(drive)).decode() if as_json else text)
