"""Owns the command line: serve, check, info."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pyrite import __version__
from pyrite.cli.arguments import AsJson, Drives, store_drives
from pyrite.cli.drives import app as drives_app
from pyrite.cli.iam import app as iam_app
from pyrite.cli.metadata import app as metadata_app
from pyrite.cli.metadata import recover
from pyrite.core.errors import ConfigError, PyriteError
from pyrite.core.units import MIB
from pyrite.node.config import (
    Config,
    Environment,
    check_credentials,
    default_workers,
    parse_address,
    parse_compat,
    parse_networks,
)

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
app.command("recover")(recover)


@app.command()
def serve(
    drives: Drives = None,
    address: Annotated[str | None, typer.Option(help="HOST:PORT to listen on (127.0.0.1:9000).")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0: everything in one process. One per core.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region that clients sign for (us-east-1).")] = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="Serve buckets as BUCKET.DOMAIN too; may be repeated.")
    ] = None,
    parity: Annotated[
        int | None, typer.Option(min=0, max=8, help="Drives that may be lost; by default by number of drives.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file of the certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the private key.")] = None,
    access_log: Annotated[Path | None, typer.Option(help="Append one JSON line for each request.")] = None,
    scrub_period: Annotated[
        float | None, typer.Option(min=0.00001, help="Days within which every byte is verified (14).")
    ] = None,
    rebuild_after: Annotated[
        float | None, typer.Option(min=0, help="Minutes that a drive may be away before it is rebuilt elsewhere (10).")
    ] = None,
    compat: Annotated[str | None, typer.Option(help="Whom to be like where clients disagree: aws or s3tests.")] = None,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(help="A proxy (address or CIDR) whose X-Forwarded-For is believed; repeatable.")
    ] = None,
    outbound: Annotated[
        list[str] | None,
        typer.Option(help="A network beyond the public Internet where identity providers may be; repeatable."),
    ] = None,
    identities: Annotated[
        Path | None, typer.Option(help="TOML file of accounts, users, keys, roles and policies to make at the start.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve S3 from drives. Makes the store if the drives are empty."""
    from pyrite.cli.banner import announce
    from pyrite.node.supervisor import serve as run
    from pyrite.telemetry.logs import configure

    environment = Environment()
    host, port = parse_address(address or environment.get("ADDRESS") or "127.0.0.1:9000")
    access_key, secret_key = check_credentials(environment.get("ACCESS_KEY"), environment.get("SECRET_KEY"))
    certificate = tls_certificate or _path(environment.get("TLS_CERTIFICATE"))
    key = tls_key or _path(environment.get("TLS_KEY"))
    if (certificate is None) != (key is None):
        raise ConfigError("TLS needs both --tls-certificate and --tls-key")
    domains = domain or (environment.get("DOMAIN") or "").split(",")
    given = environment.get("PARITY")
    configure(log_level)
    config = Config(
        drives=store_drives(drives),
        host=host,
        port=port,
        workers=_number("PYRITE_WORKERS", environment.get("WORKERS"), workers, default_workers()),
        access_key=access_key,
        secret_key=secret_key,
        region=region or environment.get("REGION") or "us-east-1",
        domains=tuple(name.strip().lower() for name in domains if name.strip()),
        parity=parity if parity is not None or given is None else _number("PYRITE_PARITY", given, None, 0),
        tls_certificate=certificate,
        tls_key=key,
        access_log=access_log or _path(environment.get("ACCESS_LOG")),
        log_level=log_level,
        compat=parse_compat(compat or environment.get("COMPAT") or "aws"),
        trusted_proxies=parse_networks(trusted_proxy or (environment.get("TRUSTED_PROXIES") or "").split(",")),
        outbound_networks=parse_networks(outbound or (environment.get("OUTBOUND") or "").split(",")),
        identities=identities or _path(environment.get("IDENTITIES")),
        scrub_period_s=_decimal("SCRUB_PERIOD", environment, scrub_period, 14) * 86_400,
        volume_shard_bytes=_number("PYRITE_VOLUME_MIB", environment.get("VOLUME_MIB"), None, 2048) * MIB,
        compact_interval_s=_decimal("COMPACT_INTERVAL_S", environment, None, 60),
        watchdog_s=_decimal("WATCHDOG_S", environment, None, 60),
        rebuild_after_s=_decimal("REBUILD_AFTER", environment, rebuild_after, 10) * 60,
    )
    raise typer.Exit(run(config, announce))


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


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _number(name: str, text: str | None, given: int | None, default: int) -> int:
    if given is not None:
        return given
    if text is None:
        return default
    if not text.isdigit():
        raise ConfigError(f"{name} is not a number: {text!r}")
    return int(text)


def _decimal(name: str, environment: Environment, given: float | None, default: float) -> float:
    text = environment.get(name)
    if given is not None or text is None:
        return default if given is None else given
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"PYRITE_{name} is not a number: {text!r}") from None


def main() -> None:
    """The entry point: errors that the user can mend are one line on standard error and exit code 2."""
    try:
        app()
    except PyriteError as error:
        print(f"pyrite: {error}", file=sys.stderr)
        sys.exit(2)
