"""Owns TLS: a server context from certificate and key files, loaded anew when they change."""

import ssl
from pathlib import Path

from pyrite.core.errors import ConfigError


class TlsFiles:
    """A certificate chain and its private key, both PEM; `client_ca` verifies clients that present a certificate."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._seen: tuple[int, ...] | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if client_ca is not None:
            try:
                self.context.load_verify_locations(client_ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"cannot use the authority of clients {client_ca}: {error}") from error
            self.context.verify_mode = ssl.CERT_OPTIONAL
        self.reload()

    def reload(self) -> bool:
        """Load the files if they have changed; new handshakes use them. True when they were loaded.

        Raises ConfigError when they cannot be used; what was loaded before stays in force.
        """
        try:
            marks = tuple(path.stat().st_mtime_ns for path in (self._certificate, self._key))
            if marks == self._seen:
                return False
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot use certificate {self._certificate}: {error}") from error
        self._seen = marks
        return True
