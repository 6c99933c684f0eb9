"""Owns the command line: serve, check, info."""

import sys

import typer

from pyrite import __version__
from pyrite.cli.arguments import AsJson, Drives, store_drives
from pyrite.cli.audit import app as audit_app
from pyrite.cli.buckets import app as buckets_app
from pyrite.cli.drives import app as drives_app
from pyrite.cli.iam import app as iam_app
from pyrite.cli.keyring import app as keyring_app
from pyrite.cli.metadata import app as metadata_app
from pyrite.cli.metadata import recover
from pyrite.cli.serving import serve
from pyrite.core.errors import PyriteError

app = typer.Typer(
    name="pyrite",
    help="An S3-compatible object store for AI work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(drives_app, name="drive")
app.add_typer(metadata_app, name="metadata")
app.add_typer(iam_app, name="iam")
app.add_typer(audit_app, name="audit")
app.add_typer(buckets_app, name="bucket")
app.add_typer(keyring_app, name="keyring")
app.command("serve")(serve)
app.command("recover")(recover)


@app.command()
def check(drives: Drives = None, as_json: AsJson = False) -> None:
    """Verify a store that is not running: every name has its bytes, every fragment its checksum."""
    from pyrite.cli.reports import print_check
    from pyrite.node.check import check_store

    report = check_store(store_drives(drives))
    print_check(report, as_json)
    raise typer.Exit(0 if report.clean else 1)


@app.command()
def info(drives: Drives = None, as_json: AsJson = False) -> None:
    """Tell what a store holds and how it is set up. Reads only; the store may be running."""
    from pyrite.cli.reports import print_info
    from pyrite.node.info import read_info

    print_info(read_info(store_drives(drives)), as_json)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """The entry point: errors that the user can mend are one line on standard error and exit code 2."""
    try:
        app()
    except PyriteError as error:
        print(f"pyrite: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"pyrite: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
