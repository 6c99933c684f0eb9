"""Owns the arguments and options that several commands share."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pyrite.node.config import Environment, expand_drives

_WIDE = 240

Drives = Annotated[list[str] | None, typer.Argument(help="Directories, one for each drive; /data{1...4} means four.")]
Store = Annotated[
    list[str] | None,
    typer.Option("--store", help="Drives of the store, as for serve; PYRITE_DRIVES names them too. May be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def store_drives(given: list[str] | None) -> tuple[Path, ...]:
    """The drives that were named, or those that the environment names. Raises ConfigError when there are none."""
    return expand_drives(given or (Environment().get("DRIVES") or "").split())


def console() -> Console:
    """Where tables are printed; into a file or a pipe they are as wide as they need to be."""
    return Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
