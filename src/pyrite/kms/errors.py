"""Owns what can go wrong with keys, by meaning; `kmsapi/errors.py` knows the codes."""

from pyrite.core.errors import PyriteError


class KmsError(PyriteError):
    """Root of the errors of this layer."""


class NoKeyring(KmsError):
    """The store has no keyring, and so can keep no keys."""


class NoSuchKmsKey(KmsError):
    """There is no such key or alias."""


class KeyDisabled(KmsError):
    """The key is disabled."""


class KeyPending(KmsError):
    """The state of the key does not allow this: it waits for its deletion."""


class AliasExists(KmsError):
    """The alias names a key already."""


class InvalidCiphertext(KmsError):
    """What was to be decrypted is not what a key of this store has encrypted in this context."""


class IncorrectKey(KmsError):
    """What was to be decrypted was encrypted by another key than the one that is named."""


class InvalidKmsInput(KmsError):
    """A parameter is not what it has to be; the message says which."""


class KmsAccessRefused(KmsError):
    """The caller may not use the key so; the message says what was refused and why."""
