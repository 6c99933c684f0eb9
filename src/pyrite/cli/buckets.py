"""Owns the commands `pyrite bucket ...`: what buckets hold, and their quotas."""

import sys
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from pyrite.cli.arguments import AsJson, Store, console, store_drives
from pyrite.node.bucketcommands import list_buckets, parse_size, set_quota

app = typer.Typer(no_args_is_help=True, help="What buckets hold, and how much they may hold.")

Name = Annotated[str, typer.Argument(help="The bucket's name.")]


@app.command("list")
def list_(store: Store = None, as_json: AsJson = False) -> None:
    """The buckets with their use, exactly."""
    rows = list_buckets(store_drives(store))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    table = Table("name", "objects", "older versions", "bytes", "quota", "versioning", box=None)
    for row in rows:
        quota = str(row.quota_bytes) if row.quota_bytes is not None else ""
        table.add_row(row.name, str(row.objects), str(row.versions), str(row.size_bytes), quota, row.versioning)
    console().print(table)


@app.command()
def quota(
    name: Name,
    size: Annotated[str, typer.Argument(help="Bytes that the bucket may hold, as 500GiB or 1000000; none lifts it.")],
    store: Store = None,
) -> None:
    """Say how many bytes a bucket may hold, older versions with them. Deletes always work."""
    set_quota(store_drives(store), name, parse_size(size), sys.argv[1:])
    print(f"{name} may hold {size}" if size != "none" else f"{name} has no quota")
