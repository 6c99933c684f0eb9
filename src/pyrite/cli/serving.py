"""Owns `pyrite serve`: from flags and environment to the configuration of a server."""

import math
import os
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pyrite.cli.arguments import Drives, store_drives
from pyrite.core.counts import parse_count
from pyrite.core.errors import ConfigError
from pyrite.core.units import MIB
from pyrite.functions.declared import read_functions
from pyrite.node import kafka
from pyrite.node.config import (
    Config,
    Environment,
    check_credentials,
    default_workers,
    parse_address,
    parse_compat,
    parse_networks,
)
from pyrite.node.ldapdirectory import LdapDirectory, read_config
from pyrite.node.targets import read_targets
from pyrite.node.tiering import read_tiers

PARITY_MAX = 8
_MAY_BE_ZERO = frozenset(("REBUILD_AFTER", "LOG_ROLL_S", "COMPACT_INTERVAL_S"))


class LogLevel(StrEnum):
    """What is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    drives: Drives = None,
    address: Annotated[str | None, typer.Option(help="HOST:PORT to listen on (127.0.0.1:9000).")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0: everything in one process. One per core.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region that clients sign for (us-east-1).")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Serve buckets as BUCKET.DOMAIN too; repeatable.")] = None,
    website_domain: Annotated[
        list[str] | None, typer.Option(help="Serve buckets that are websites as BUCKET.DOMAIN; may be repeated.")
    ] = None,
    parity: Annotated[
        int | None, typer.Option(min=0, max=8, help="Drives that may be lost; by default by number of drives.")
    ] = None,
    existing: Annotated[
        bool, typer.Option("--existing", help="Serve a store that is there; make none where drives are not mounted.")
    ] = False,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file of the certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the private key.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="PEM file of authorities of client certificates.")] = None,
    access_log: Annotated[Path | None, typer.Option(help="Append one JSON line for each request.")] = None,
    audit_log: Annotated[Path | None, typer.Option(help="Keep a tamper-evident record of requests here.")] = None,
    audit_webhook: Annotated[str | None, typer.Option(help="Send it on to this URL of https or kafka.")] = None,
    scrub_period: Annotated[float | None, typer.Option(min=0.00001, help="Days until all is verified (14).")] = None,
    rebuild_after: Annotated[
        float | None, typer.Option(min=0, help="Minutes that a drive may be away before it is rebuilt elsewhere (10).")
    ] = None,
    compat: Annotated[str | None, typer.Option(help="Whom to be like (aws), and switches behind commas.")] = None,
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
    keyring: Annotated[
        Path | None,
        typer.Option(help="File of the master keys, outside of the drives; made if need be. Everything is encrypted."),
    ] = None,
    targets: Annotated[
        Path | None, typer.Option(help="TOML file of the webhooks and brokers that event notifications may go to.")
    ] = None,
    functions: Annotated[Path | None, typer.Option(help="TOML file of functions to read objects through.")] = None,
    tiers: Annotated[Path | None, typer.Option(help="TOML file of where storage classes have their bytes.")] = None,
    ldap: Annotated[Path | None, typer.Option(help="TOML file of an LDAP directory that people sign in with.")] = None,
    log_level: Annotated[LogLevel, typer.Option(help="How much is logged.")] = LogLevel.INFO,
) -> None:
    """Serve S3 from drives. Makes the store if the drives are empty."""
    given = dict(locals())
    from pyrite.cli.banner import announce
    from pyrite.node.supervisor import serve as run
    from pyrite.telemetry.logs import configure

    configure(log_level)
    raise typer.Exit(run(_config(given, Environment()), announce))


def _config(given: dict[str, Any], environment: Environment) -> Config:
    """The configuration that flags (`given`, None where not), then the environment, then defaults make."""

    def listed(flag: str, name: str) -> list[str]:
        return given[flag] or (environment.get(name) or "").split(",")

    def path(flag: str, name: str) -> Path | None:
        text = environment.get(name)
        return given[flag] or (Path(text) if text else None)

    host, port = parse_address(given["address"] or environment.get("ADDRESS") or "127.0.0.1:9000")
    access_key, secret_key = check_credentials(environment.get("ACCESS_KEY"), environment.get("SECRET_KEY"))
    certificate, key = path("tls_certificate", "TLS_CERTIFICATE"), path("tls_key", "TLS_KEY")
    if (certificate is None) != (key is None):
        raise ConfigError("TLS needs both --tls-certificate and --tls-key")
    drives, ldap = store_drives(given["drives"]), path("ldap", "LDAP")
    _check_readable(certificate, key, path("tls_client_ca", "TLS_CLIENT_CA"))
    audit_log = path("audit_log", "AUDIT_LOG")
    _check_writable(path("access_log", "ACCESS_LOG"), audit_log)
    if ldap is not None:
        LdapDirectory(read_config(ldap))  # so that what is wrong is said here, and not by each worker
    return Config(
        drives=drives,
        host=host,
        port=port,
        workers=_number("PYRITE_WORKERS", environment.get("WORKERS"), given["workers"], default_workers()),
        access_key=access_key,
        secret_key=secret_key,
        region=given["region"] or environment.get("REGION") or "us-east-1",
        domains=_names(listed("domain", "DOMAIN")),
        website_domains=_names(listed("website_domain", "WEBSITE_DOMAIN")),
        parity=_parity(given["parity"], environment, drives),
        existing=given["existing"] or (environment.get("EXISTING") or "").lower() in ("1", "true", "yes"),
        tls_certificate=certificate,
        tls_key=key,
        tls_client_ca=path("tls_client_ca", "TLS_CLIENT_CA"),
        access_log=path("access_log", "ACCESS_LOG"),
        audit_log=audit_log.absolute() if audit_log is not None else None,
        audit_webhook=_webhook(given["audit_webhook"] or environment.get("AUDIT_WEBHOOK"), audit_log),
        audit_webhook_token=environment.get("AUDIT_WEBHOOK_TOKEN") or "",
        metrics_token=environment.get("METRICS_TOKEN") or "",
        log_level=given["log_level"],
        compat=parse_compat(given["compat"] or environment.get("COMPAT") or "aws"),
        trusted_proxies=parse_networks(listed("trusted_proxy", "TRUSTED_PROXIES")),
        outbound_networks=parse_networks(listed("outbound", "OUTBOUND")),
        identities=path("identities", "IDENTITIES"),
        ldap=ldap,
        keyring=path("keyring", "KEYRING"),
        targets=_checked(path("targets", "TARGETS"), read_targets),
        functions=_checked(path("functions", "FUNCTIONS"), read_functions),
        tiers=_checked(path("tiers", "TIERS"), read_tiers),
        secret_files=environment.secret_files,
        scrub_period_s=_decimal("SCRUB_PERIOD", environment, given["scrub_period"], 14) * 86_400,
        volume_shard_bytes=_number("PYRITE_VOLUME_MIB", environment.get("VOLUME_MIB"), None, 2048) * MIB,
        compact_interval_s=_decimal("COMPACT_INTERVAL_S", environment, None, 60),
        watchdog_s=_decimal("WATCHDOG_S", environment, None, 60),
        log_roll_s=_decimal("LOG_ROLL_S", environment, None, 300),
        lifecycle_day_s=_decimal("LIFECYCLE_DAY_S", environment, None, 86_400),
        rebuild_after_s=_decimal("REBUILD_AFTER", environment, given["rebuild_after"], 10) * 60,
    )


def _parity(given: int | None, environment: Environment, drives: tuple[Path, ...]) -> int | None:
    """How many drives may be lost; None where their number decides. Raises ConfigError."""
    text = environment.get("PARITY")
    parity = given if text is None else _number("PYRITE_PARITY", text, given, 0)
    if parity is not None and not 0 <= parity <= min(PARITY_MAX, len(drives) - 1):
        raise ConfigError(f"--parity {parity} needs {parity + 1} drives, and is at most {PARITY_MAX}")
    return parity


def _check_readable(*paths: Path | None) -> None:
    for path in paths:
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _check_writable(log: Path | None, folder: Path | None) -> None:
    try:
        if log is not None:
            os.close(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640))
        if folder is not None:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def _names(listed: list[str]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in listed if name.strip())


def _checked(path: Path | None, read: Callable[[Path], object]) -> Path | None:
    """The path of a file that can be read, so that what is wrong is said here, and not by each worker."""
    if path is not None:
        read(path)
    return path


def _webhook(url: str | None, folder: Path | None) -> str:
    """Where the audit log is sent, or "". Raises ConfigError."""
    if not url:
        return ""
    if folder is None:
        raise ConfigError("--audit-webhook sends on what --audit-log keeps; name a folder for it")
    if url.startswith("kafka"):
        kafka.parse(url)
        kafka.check_installed("--audit-webhook")
    elif not url.startswith(("http://", "https://")):
        raise ConfigError(f"--audit-webhook is no URL of http, https or kafka: {url!r}")
    return url


def _number(name: str, text: str | None, given: int | None, default: int) -> int:
    if given is not None:
        return given
    if text is None:
        return default
    number = parse_count(text)
    if number is None:
        raise ConfigError(f"{name} is not a number: {text!r}")
    return number


def _decimal(name: str, environment: Environment, given: float | None, default: float) -> float:
    text = environment.get(name)
    if given is not None or text is None:
        return default if given is None else given
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value < math.inf) or (value == 0 and name not in _MAY_BE_ZERO):
        raise ConfigError(f"PYRITE_{name} is not a positive number: {text!r}")
    return value
