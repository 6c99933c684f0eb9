"""Owns speaking to the transit engine of HashiCorp Vault or OpenBao, under whose key master keys can be sealed.

Source: HashiCorp, "Transit secrets engine (API)"; OpenBao keeps the same interface.
"""

import base64
import ssl
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpcore
import msgspec

from pyrite.core.errors import ConfigError
from pyrite.node.config import Environment

TIMEOUT_S = 5.0


class TransitKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of a transit engine: the server's URL, where the engine is mounted, and the key's name."""

    address: str
    mount: str
    key: str


def parse_transit(text: str) -> TransitKey:
    """`https://HOST:PORT/MOUNT/KEY`. Raises ConfigError."""
    parts = urlsplit(text)
    mount, _, key = parts.path.strip("/").rpartition("/")
    if parts.scheme not in ("http", "https") or not parts.netloc or not mount or not key or parts.query:
        raise ConfigError(f"a transit key is https://HOST:PORT/MOUNT/KEY (https://vault:8200/transit/pyrite): {text!r}")
    return TransitKey(f"{parts.scheme}://{parts.netloc}", mount, key)


class Transit:
    """Seals and opens secrets under one key of a transit engine."""

    def __init__(self, key: TransitKey, headers: dict[str, str], context: ssl.SSLContext | None) -> None:
        self._key = key
        self._headers = headers
        self._context = context

    @classmethod
    def open(cls, key: TransitKey, environment: Environment) -> Self:
        """With the token, or the role, that the environment has. Raises ConfigError."""
        headers = {"Content-Type": "application/json", "X-Vault-Request": "true"}
        namespace, authority = environment.get("VAULT_NAMESPACE"), environment.get("VAULT_CACERT")
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        context = ssl.create_default_context(cafile=authority) if authority else None
        token = environment.get("VAULT_TOKEN")
        made = cls(key, headers, context)
        if not token:
            role, secret = environment.get("VAULT_ROLE_ID"), environment.get("VAULT_SECRET_ID")
            if not role or not secret:
                raise ConfigError(
                    f"the keyring is sealed under the transit key {key.key} at {key.address}: "
                    "set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID"
                )
            told = made._ask("auth/approle/login", {"role_id": role, "secret_id": secret})
            token = str(told.get("auth", {}).get("client_token", ""))
        headers["X-Vault-Token"] = token
        return made

    def seal(self, secrets: Sequence[bytes]) -> list[str]:
        """Each secret as the engine's ciphertext. Raises ConfigError."""
        batch = [{"plaintext": base64.b64encode(secret).decode()} for secret in secrets]
        return self._each("encrypt", batch, "ciphertext")

    def open_all(self, sealed: Sequence[str]) -> list[bytes]:
        """The secrets in ciphertexts. Raises ConfigError."""
        found = self._each("decrypt", [{"ciphertext": one} for one in sealed], "plaintext")
        return [base64.b64decode(one) for one in found]

    def rewrap(self, sealed: Sequence[str]) -> list[str]:
        """The same secrets under the newest version of the key. Raises ConfigError."""
        return self._each("rewrap", [{"ciphertext": one} for one in sealed], "ciphertext")

    def _each(self, what: str, batch: list[dict[str, str]], wanted: str) -> list[str]:
        told = self._ask(f"{quote(self._key.mount)}/{what}/{quote(self._key.key, '')}", {"batch_input": batch})
        results = told.get("data", {}).get("batch_results", [])
        if len(results) != len(batch) or not all(isinstance(one.get(wanted), str) for one in results):
            raise self._failure(f"{what} failed: {[one.get('error') for one in results if one.get('error')]}")
        return [one[wanted] for one in results]

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
        try:
            with httpcore.ConnectionPool(ssl_context=self._context) as pool:
                answer = pool.request(
                    "POST",
                    f"{self._key.address}/v1/{path}",
                    headers=list(self._headers.items()),
                    content=msgspec.json.encode(body),
                    extensions={"timeout": timeouts},
                )
            told = msgspec.json.decode(answer.content or b"{}", type=dict[str, Any])
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise self._failure(f"{type(error).__name__} {error}") from None
        except msgspec.DecodeError:
            raise self._failure("the answer is no JSON") from None
        if answer.status >= 300:
            raise self._failure(f"{answer.status} {'; '.join(map(str, told.get('errors', [])))}")
        return told

    def _failure(self, why: str) -> ConfigError:
        return ConfigError(f"the transit key {self._key.key} at {self._key.address} cannot be used: {why}")
