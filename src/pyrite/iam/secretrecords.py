"""Owns keeping the records that hold secrets (access keys, the keys of tokens) sealed where the store has a keyring.

Such a record is a byte that begins no MessagePack value, and the array of the master key's id and the sealed record.
"""

import msgspec

from pyrite.core.keyring import Keyring, Wrapped
from pyrite.iam.errors import Sealed
from pyrite.iam.records import TOKEN_KEYS, access_key_key

_MARK = b"\xc1"
_PURPOSE = b"iam record "
SECRET_SPACES = (access_key_key(""), TOKEN_KEYS)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Wrapped).decode


def sealed(key: bytes, value: bytes, keyring: Keyring | None) -> bytes:
    """A record as it is stored under `key`."""
    if keyring is None or not key.startswith(SECRET_SPACES):
        return value
    return _MARK + _encode(keyring.wrap(value, _PURPOSE + key))


def unsealed(key: bytes, value: bytes, keyring: Keyring | None) -> bytes:
    """The record that is stored under `key` as `value`. Raises Sealed, UnknownMasterKey or NotUnwrapped."""
    if not value.startswith(_MARK):
        return value
    if keyring is None:
        raise Sealed("the secrets of this store are sealed; name its keyring in PYRITE_KEYRING")
    return keyring.unwrap(_decode(value[1:]), _PURPOSE + key)


def master_of(value: bytes) -> str:
    """The id of the master key under which a stored record is sealed; "" where it is not."""
    return _decode(value[1:]).key_id if value.startswith(_MARK) else ""
