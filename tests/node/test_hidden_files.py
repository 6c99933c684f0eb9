"""What no function may read: everything by which the store could be read, or taken for."""

import asyncio
import collections
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyrite.cli.serving import _config
from pyrite.node.config import Config, Environment
from pyrite.node.keyringfile import create_file
from pyrite.node.opening import open_store
from pyrite.node.storeprocess import StoreProcess

PUBLIC = {"tls_certificate", "tls_client_ca"}
"""Files that everybody who connects is shown."""


def is_path(kind: Any) -> bool:
    return kind is Path or (isinstance(kind, types.UnionType) and Path in typing.get_args(kind))


def directory(password: Path) -> str:
    """The configuration of a directory with which the store binds by a password that stands in a file."""
    password.write_text("bind-password")
    return (
        f'url = "ldaps://localhost"\nbind_dn = "cn=store"\nbind_password_file = "{password}"\n'
        'user_base = "ou=people"\nroles = {}\n'
    )


def hidden_by(config: Config) -> set[str]:
    """What a process of a store that runs so hides."""
    opened, locks = open_store(config)

    async def main() -> set[str]:
        store = StoreProcess(config, opened, "worker-0", locks.add)
        try:
            return set(store._hidden(config))
        finally:
            await store.close()

    try:
        return asyncio.run(main())
    finally:
        locks.release()


def test_every_file_of_the_configuration_is_hidden(tmp_path: Path) -> None:
    """Whatever path the configuration names, now or later, is hidden, unless it is said here that it may be seen."""
    kinds = typing.get_type_hints(Config)
    names = {field.name for field in msgspec.structs.fields(Config) if is_path(kinds[field.name])}
    assert {"keyring", "tls_key", "functions", "audit_log"} <= names
    paths = {name: tmp_path / name for name in names}
    for name in ("functions", "tiers", "targets", "identities"):
        paths[name].write_text("")
    create_file(paths["keyring"])
    paths["ldap"].write_text(directory(tmp_path / "bind"))
    drive = tmp_path / "drive"
    hidden = hidden_by(Config((drive,), access_key="minimal", secret_key="minimal-secret", **paths))  # type: ignore[arg-type]
    assert hidden >= {str(drive), *(str(paths[name]) for name in paths.keys() - PUBLIC)}
    assert not hidden & {str(paths[name]) for name in PUBLIC}


@pytest.mark.parametrize("name", ["PYRITE_SECRET_KEY", "MINIO_ROOT_PASSWORD", "PYRITE_METRICS_TOKEN", "VAULT_TOKEN"])
def test_files_of_secrets_are_hidden(tmp_path: Path, name: str) -> None:
    """A secret that the environment gives as a file is read by no function."""
    secret = tmp_path / "secret"
    secret.write_text("a-long-secret")
    variables = {"PYRITE_ACCESS_KEY": "minimal", "PYRITE_SECRET_KEY": "minimal-secret", f"{name}_FILE": str(secret)}
    if "SECRET" in name or "PASSWORD" in name:
        del variables["PYRITE_SECRET_KEY"]
    environment = Environment(variables)
    given: dict[str, Any] = collections.defaultdict(lambda: None, drives=[str(tmp_path / "drive")], log_level="info")
    assert str(secret) in hidden_by(_config(given, environment))


def test_what_was_moved_to_a_folder_is_hidden(tmp_path: Path) -> None:
    """The folders of tiers hold objects as drives do."""
    tiers, cold = tmp_path / "tiers.toml", tmp_path / "cold"
    cold.mkdir()
    tiers.write_text(f'[[tier]]\nname = "cold"\nclass = "GLACIER"\nkind = "folder"\npath = "{cold}"\n')
    config = Config((tmp_path / "drive",), access_key="minimal", secret_key="minimal-secret", tiers=tiers)
    assert str(cold) in hidden_by(config)


def test_the_password_of_a_directory_is_hidden(tmp_path: Path) -> None:
    """The file with which the store binds to an LDAP directory is read by no function."""
    ldap, password = tmp_path / "ldap.toml", tmp_path / "bind"
    ldap.write_text(directory(password))
    config = Config((tmp_path / "drive",), access_key="minimal", secret_key="minimal-secret", ldap=ldap)
    assert str(password) in hidden_by(config)
