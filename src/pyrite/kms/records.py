"""Owns the records of keys. See docs/formats/metadata.md."""

from typing import Literal, NamedTuple

import msgspec

from pyrite.metadata.keyspaces import KMS, escape

FORMAT = 1

KeyState = Literal["Enabled", "Disabled", "PendingDeletion"]


class KeyMaterial(msgspec.Struct, frozen=True, array_like=True):
    """One generation of a key: its number from 1, and the secret, wrapped under a key of the keyring."""

    number: int
    master: str
    wrapped: bytes
    created_ms: int


class KmsKeyRecord(msgspec.Struct, frozen=True, array_like=True):
    """A key. `rotation_days` is 0 where it does not rotate by itself; `deletion_ms` is when it goes for good.

    `bound` are those that its policy names by ARN, with the unique ids that they had when it was put.
    """

    format: int
    account: str
    id: str
    created_ms: int
    policy: str
    materials: tuple[KeyMaterial, ...]
    description: str = ""
    state: KeyState = "Enabled"
    deletion_ms: int = 0
    rotation_days: int = 0
    tags: dict[str, str] = {}
    managed_by: str = ""
    bound: dict[str, str] = {}

    @property
    def newest(self) -> KeyMaterial:
        """The generation that encrypts."""
        return self.materials[-1]


class AliasRecord(msgspec.Struct, frozen=True, array_like=True):
    """Another name of a key."""

    format: int
    account: str
    name: str
    key: str
    created_ms: int


class Ciphertext(msgspec.Struct, frozen=True, array_like=True):
    """What encrypting gives, as it stands in a ciphertext blob: which key and generation, and the sealed bytes."""

    format: int
    account: str
    key: str
    number: int
    sealed: bytes


def key_key(account: str, key_id: str) -> bytes:
    """Where a key is stored."""
    return KMS + b"k" + escape(account.encode()) + key_id.encode()


def keys_of(account: str) -> bytes:
    """The prefix of all keys of an account."""
    return KMS + b"k" + escape(account.encode())


def alias_key(account: str, name: str) -> bytes:
    """Where an alias is stored."""
    return KMS + b"a" + escape(account.encode()) + name.encode()


def aliases_of(account: str) -> bytes:
    """The prefix of all aliases of an account."""
    return KMS + b"a" + escape(account.encode())


ALL_KEYS = KMS + b"k"
encode = msgspec.msgpack.Encoder().encode
decode_kms_key = msgspec.msgpack.Decoder(KmsKeyRecord).decode
decode_alias = msgspec.msgpack.Decoder(AliasRecord).decode
decode_ciphertext = msgspec.msgpack.Decoder(Ciphertext).decode


class FoundKey(NamedTuple):
    """A key and the version of its record."""

    record: KmsKeyRecord
    version: int


class DataKey(NamedTuple):
    """A new key for data, and the same encrypted."""

    plain: bytes
    ciphertext: bytes
