"""Owns configuration: flags over environment over defaults. The only module that reads the environment."""

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from pyrite.core.counts import parse_count
from pyrite.core.errors import ConfigError
from pyrite.core.units import MIB
from pyrite.http.proxies import Networks
from pyrite.s3.compat import PRESETS, SWITCHES, compat_of

_RANGE = re.compile(r"\{(\d+)\.\.\.?(\d+)\}")
_ALIASES = {
    "ACCESS_KEY": ("PYRITE_ACCESS_KEY", "MINIO_ROOT_USER", "RUSTFS_ACCESS_KEY", "MINIO_ACCESS_KEY"),
    "SECRET_KEY": ("PYRITE_SECRET_KEY", "MINIO_ROOT_PASSWORD", "RUSTFS_SECRET_KEY", "MINIO_SECRET_KEY"),
    "ADDRESS": ("PYRITE_ADDRESS", "RUSTFS_ADDRESS"),
    "DRIVES": ("PYRITE_DRIVES", "RUSTFS_VOLUMES", "MINIO_VOLUMES"),
    "REGION": ("PYRITE_REGION", "MINIO_SITE_REGION", "RUSTFS_REGION"),
    **{name: (f"PYRITE_{name}", name) for name in ("VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID")},
    **{name: (f"PYRITE_{name}", name) for name in ("VAULT_NAMESPACE", "VAULT_CACERT")},
    "DOMAIN": ("PYRITE_DOMAIN", "MINIO_DOMAIN", "RUSTFS_SERVER_DOMAINS"),
}
_FILE = "_FILE"
ACCESS_KEY_MIN = 3
SECRET_KEY_MIN = 8


class Config(msgspec.Struct, frozen=True):
    """Everything that decides how a server runs. Sizes in bytes, times in seconds."""

    drives: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 9000
    workers: int = 1
    access_key: str = ""
    secret_key: str = ""
    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    website_domains: tuple[str, ...] = ()
    parity: int | None = None
    existing: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    access_log: Path | None = None
    audit_log: Path | None = None
    audit_webhook: str = ""
    audit_webhook_token: str = ""
    metrics_token: str = ""
    log_level: str = "info"
    compat: str = "aws"
    trusted_proxies: Networks = ()
    outbound_networks: Networks = ()
    identities: Path | None = None
    ldap: Path | None = None
    keyring: Path | None = None
    targets: Path | None = None
    functions: Path | None = None
    tiers: Path | None = None
    secret_files: tuple[Path, ...] = ()
    drain_timeout_s: float = 25.0
    buffer_memory_bytes: int = 128 * MIB
    volume_shard_bytes: int = 2048 * MIB
    scrub_period_s: float = 14 * 86_400.0
    rebuild_after_s: float = 600.0
    compact_interval_s: float = 60.0
    watchdog_s: float = 60.0
    lifecycle_day_s: float = 86_400.0
    log_roll_s: float = 300.0


class Environment:
    """The environment with its aliases: `NAME`, `NAME_FILE`, and the names that other servers use."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables  # noqa: TID251 - this is the one place

    def get(self, name: str) -> str | None:
        """The value of a setting, from its first name that is set. Raises ConfigError for an unreadable file."""
        for alias in _ALIASES.get(name, (f"PYRITE_{name}",)):
            value = self._variables.get(alias)
            if value:
                return value
            file = self._variables.get(alias + _FILE)
            if file:
                return _read_secret(alias, Path(file))
        return None

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """Every file from which a setting is, or would be, read."""
        known = {alias for aliases in _ALIASES.values() for alias in aliases}
        named = [(name.removesuffix(_FILE), path) for name, path in self._variables.items() if name.endswith(_FILE)]
        return tuple(Path(path) for name, path in named if path and (name in known or name.startswith("PYRITE_")))


def _read_secret(alias: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{alias}_FILE names {path}, which cannot be read: {error}") from error


def expand_drives(patterns: list[str]) -> tuple[Path, ...]:
    """The directories that drive arguments name: `/data{1...4}` and `/data{1..4}` are four.

    Raises ConfigError when there is none, or one twice.
    """
    paths: list[Path] = []
    for pattern in patterns:
        paths += [Path(text).absolute() for text in _expand(pattern)]
    for path in paths:
        if any(character in str(path) for character in "{},"):
            raise ConfigError(f"{path}: drives are separated by spaces, and a range of them is written /data{{1...4}}")
    if not paths:
        raise ConfigError("name at least one drive: pyrite serve /data, or set PYRITE_DRIVES")
    if len(set(paths)) != len(paths):
        raise ConfigError("a drive is named twice")
    return tuple(paths)


def _expand(pattern: str) -> list[str]:
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    first, last = match.groups()
    width = len(first) if first.startswith("0") else 0
    numbers = range(int(first), int(last) + 1)
    if not numbers or len(numbers) > 1024:
        raise ConfigError(f"{match.group()} is not a range of 1 to 1024 drives")
    heads = [pattern[: match.start()] + str(number).zfill(width) for number in numbers]
    return [head + tail for head in heads for tail in _expand(pattern[match.end() :])]


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `:PORT` or `[::1]:PORT`. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    number = parse_count(port, 5)
    if not colon or number is None or number > 65535:
        raise ConfigError(f"{text!r} is not an address; write HOST:PORT, such as 127.0.0.1:9000")
    return host.strip("[]") or "0.0.0.0", number  # noqa: S104 - asked for by leaving the host out


def parse_networks(texts: Iterable[str]) -> Networks:
    """The networks that CIDR blocks or addresses name. Raises ConfigError."""
    try:
        return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts if text.strip())
    except ValueError as error:
        raise ConfigError(f"networks are named by an address or a CIDR block: {error}") from None


def parse_compat(text: str) -> str:
    """The name of a preset, perhaps with switches behind commas. Raises ConfigError."""
    try:
        compat_of(text)
    except KeyError as error:
        presets, switches = ", ".join(sorted(PRESETS)), ", ".join(name.replace("_", "-") for name in SWITCHES)
        raise ConfigError(
            f"{error.args[0]!r} is neither a compatibility preset ({presets}) nor a switch ({switches})"
        ) from None
    return text


def check_credentials(access_key: str | None, secret_key: str | None) -> tuple[str, str]:
    """The pair, or two empty strings when neither is set. Raises ConfigError."""
    if not access_key and not secret_key:
        return "", ""
    if not access_key or not secret_key:
        raise ConfigError("set both PYRITE_ACCESS_KEY and PYRITE_SECRET_KEY, or neither")
    if len(access_key) < ACCESS_KEY_MIN or len(secret_key) < SECRET_KEY_MIN:
        raise ConfigError(f"the access key needs at least {ACCESS_KEY_MIN} characters, the secret key {SECRET_KEY_MIN}")
    return access_key, secret_key


def default_workers() -> int:
    """One worker for each core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)))
