"""Owns signing people in with an LDAP directory: finding them, checking their password, reading their groups.

Source: RFC 4511 and RFC 4513; section 5.1.2 of the latter is why an empty password is never tried.
"""

from pathlib import Path
from typing import Any

import msgspec

from pyrite.core.errors import ConfigError
from pyrite.core.offload import ThreadOffload
from pyrite.iam.errors import RejectedIdentity
from pyrite.iamapi.actions.ldapidentity import Person

_THREADS = 4
_TIMEOUT_S = 5
_USER = "{user}"
_DN = "{dn}"


class LdapConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a directory is asked, from a TOML file.

    `url` is ldaps://HOST:PORT, or ldap:// with `start_tls` (or with `insecure`, for tests). The store binds as
    `bind_dn` with the password in `bind_password_file`, searches `user_base` for `user_filter` in which {user} is the
    name, and `group_base` for `group_filter` in which {dn} is who was found. `roles` maps the DNs of groups to roles of
    `account` (the store's own where it is ""); the first group of the file that somebody is in decides.
    """

    url: str
    bind_dn: str
    bind_password_file: str
    user_base: str
    user_filter: str = "(uid={user})"
    group_base: str = ""
    group_filter: str = "(member={dn})"
    roles: dict[str, str]
    account: str = ""
    start_tls: bool = False
    insecure: bool = False


def read_config(path: Path) -> LdapConfig:
    """The configuration in a file. Raises ConfigError."""
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=LdapConfig)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"the LDAP configuration {path}: {error}") from None
    if _USER not in config.user_filter or (config.group_base and _DN not in config.group_filter):
        raise ConfigError("user_filter needs {user} in it, group_filter {dn}")
    if not config.url.startswith("ldaps://") and not config.start_tls and not config.insecure:
        raise ConfigError("passwords would cross the network in the clear: use ldaps://, or set start_tls = true")
    return config


class LdapDirectory:
    """A directory that people sign in with. Connections are made anew for each, in threads."""

    def __init__(self, config: LdapConfig) -> None:
        try:
            import ldap3  # noqa: F401 - an optional extra
        except ImportError:
            raise ConfigError("LDAP needs an extra: pip install pyrite[ldap]") from None
        self._config = config
        try:
            self._password = Path(config.bind_password_file).read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"the password of the LDAP directory cannot be read: {error}") from None
        self._offload = ThreadOffload(_THREADS)
        self.account = config.account
        self.roles = config.roles

    async def sign_in(self, name: str, password: str) -> Person:
        """Who signs in with this name and password. Raises RejectedIdentity, the same for every reason."""
        if not name or not password:
            raise RejectedIdentity("The user name or password is wrong.")
        return await self._offload.run(self._sign_in, name, password)

    def _sign_in(self, name: str, password: str) -> Person:
        from ldap3.core.exceptions import LDAPException

        try:
            found = self._find(name)
            if found is None or not self._binds(found, password):
                raise RejectedIdentity("The user name or password is wrong.")
            return Person(found, tuple(self._groups(found)))
        except LDAPException as error:
            raise RejectedIdentity(f"The directory could not be asked: {type(error).__name__}") from None

    def _connect(self, dn: str, password: str) -> Any:
        import ssl

        import ldap3

        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED)
        server = ldap3.Server(self._config.url, tls=tls, connect_timeout=_TIMEOUT_S, get_info=ldap3.NONE)
        connection = ldap3.Connection(
            server, dn, password, receive_timeout=_TIMEOUT_S, auto_referrals=False, raise_exceptions=False
        )
        connection.open()
        if self._config.start_tls:
            connection.start_tls()
        return connection

    def _find(self, name: str) -> str | None:
        from ldap3.utils.conv import escape_filter_chars

        found = self._search(self._config.user_base, self._config.user_filter.replace(_USER, escape_filter_chars(name)))
        return found[0] if len(found) == 1 else None

    def _groups(self, dn: str) -> list[str]:
        from ldap3.utils.conv import escape_filter_chars

        if not self._config.group_base:
            return []
        return self._search(self._config.group_base, self._config.group_filter.replace(_DN, escape_filter_chars(dn)))

    def _search(self, base: str, text: str) -> list[str]:
        connection = self._connect(self._config.bind_dn, self._password)
        try:
            if not connection.bind():
                raise RejectedIdentity("The directory does not let the store in.")
            connection.search(base, text, attributes=["1.1"], size_limit=1000)
            return [entry["dn"] for entry in connection.response or [] if entry["type"] == "searchResEntry"]
        finally:
            connection.unbind()

    def _binds(self, dn: str, password: str) -> bool:
        connection = self._connect(dn, password)
        try:
            return bool(connection.bind())
        finally:
            connection.unbind()
