"""Owns the store's master keys in memory: wrapping small secrets under the newest, unwrapping under any of them.

Wrapping is AES-256-GCM-SIV (RFC 8452), which bears random nonces for as many secrets as a store will ever have.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from pyrite.core.entropy import Entropy
from pyrite.core.errors import PyriteError

KEY_BYTES = 32
NONCE_BYTES = 12


class UnknownMasterKey(PyriteError):
    """The keyring does not hold the key under which something was wrapped."""


class NotUnwrapped(PyriteError):
    """What was wrapped was altered, or wrapped under another key or for something else."""


class Wrapped(NamedTuple):
    """A wrapped secret, and which key it is wrapped under."""

    key_id: str
    secret: bytes


class MasterKeys(NamedTuple):
    """Keys by their ids, and the one that wraps."""

    keys: Mapping[str, bytes]
    newest: str


class Keyring:
    """The master keys. `read` gets them as they are now: where a key is missed, they are read again."""

    def __init__(self, read: Callable[[], MasterKeys], entropy: Entropy) -> None:
        self._read = read
        self._entropy = entropy
        self.refresh()

    def refresh(self) -> None:
        """Take the keys as they are now. Raises what reading them raises."""
        keys, newest = self._read()
        self._keys = {name: AESGCMSIV(key) for name, key in keys.items()}  # first: others may wrap meanwhile
        self.newest = newest

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all keys."""
        return frozenset(self._keys)

    def wrap(self, secret: bytes, purpose: bytes) -> Wrapped:
        """`secret` for storing; `purpose` has to be said again to unwrap it."""
        return Wrapped(self.newest, wrap(self._keys[self.newest], secret, purpose, self._entropy))

    def unwrap(self, wrapped: Wrapped, purpose: bytes) -> bytes:
        """The secret. Raises UnknownMasterKey or NotUnwrapped."""
        if wrapped.key_id not in self._keys:
            self.refresh()  # another process may have rotated them just now
        key = self._keys.get(wrapped.key_id)
        if key is None:
            raise UnknownMasterKey(f"the keyring has no key {wrapped.key_id!r}")
        return unwrap(key, wrapped.secret, purpose)

    def rewrap(self, wrapped: Wrapped, purpose: bytes) -> Wrapped:
        """The same secret under the newest key. Raises as `unwrap`."""
        return wrapped if wrapped.key_id == self.newest else self.wrap(self.unwrap(wrapped, purpose), purpose)

    def new_key(self) -> bytes:
        """A key that nobody has seen."""
        return self._entropy.bytes(KEY_BYTES)


def wrap(key: AESGCMSIV, secret: bytes, purpose: bytes, entropy: Entropy) -> bytes:
    """`secret` sealed under `key`: a nonce and the sealed bytes."""
    nonce = entropy.bytes(NONCE_BYTES)
    return nonce + key.encrypt(nonce, secret, purpose)


def unwrap(key: AESGCMSIV, wrapped: bytes, purpose: bytes) -> bytes:
    """The secret that was sealed under `key`. Raises NotUnwrapped."""
    try:
        return key.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], purpose)
    except (InvalidTag, ValueError):
        raise NotUnwrapped("a wrapped key cannot be opened") from None
