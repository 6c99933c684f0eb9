"""Owns session tokens: credentials that are stored nowhere but in what their holder presents.

A token is the session, sealed with AES-256-GCM (NIST SP 800-38D) under a key that exists for nothing else and is
exchanged every month. So a token can be neither made nor changed nor read by whoever holds it. See
docs/formats/metadata.md.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pyrite.core.entropy import Entropy
from pyrite.iam.changing import Change
from pyrite.iam.errors import InvalidToken
from pyrite.iam.records import FORMAT, TOKEN_KEYS, TokenKeyRecord

KEY_LIFETIME_MS = 30 * 86_400_000
TOKEN_MAX_CHARS = 8192

_KEYS_KEPT = 3  # sessions last 36 hours at most, so what they need is never gone
_VERSION = b"\x01"
_ID_BYTES, _NONCE_BYTES, _KEY_BYTES = 4, 12, 32
_HEAD_BYTES = len(_VERSION) + _ID_BYTES + _NONCE_BYTES

SessionKind = Literal["user", "federated", "role"]


class Session(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What temporary credentials stand for.

    `name` and `id` are those of the user or role behind them ("" for an account's root); an entity made again under
    the same name has another id, and the session is void. So it is when the `parent_key` of a user's session ends.
    `policies` are session policies as documents, `policy_arns` managed ones; both None where the session is not
    limited. `keys` are condition keys that were true when the session began.
    """

    format: int = FORMAT
    access_key: str
    secret: str
    account: str
    kind: SessionKind
    name: str
    id: str
    session_name: str
    issued_s: int
    expires_s: int
    policies: tuple[str, ...] | None = None
    policy_arns: tuple[str, ...] | None = None
    tags: dict[str, str] = {}
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    provider: str = ""
    keys: dict[str, tuple[str, ...]] = {}
    parent_key: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Session).decode


async def current_key(change: Change) -> tuple[int, bytes]:
    """The key that seals tokens now, with its id; made when there is none or it is old."""
    record = await change.get(TokenKeyRecord, TOKEN_KEYS)
    keys = record.keys if record is not None else ()
    if not keys or change.now_ms - keys[-1][2] > KEY_LIFETIME_MS:
        number = keys[-1][0] + 1 if keys else 1
        keys = (*keys, (number, change.entropy.bytes(_KEY_BYTES), change.now_ms))[-_KEYS_KEPT:]
        change.put(TOKEN_KEYS, TokenKeyRecord(FORMAT, keys))
    return keys[-1][0], keys[-1][1]


def seal(session: Session, key: tuple[int, bytes], entropy: Entropy) -> str:
    """The token of a session. `key` comes from `current_key`."""
    nonce = entropy.bytes(_NONCE_BYTES)
    head = _VERSION + key[0].to_bytes(_ID_BYTES, "big") + nonce
    sealed = AESGCM(key[1]).encrypt(nonce, _encode(session), head)
    return base64.urlsafe_b64encode(head + sealed).decode("ascii")


def unseal(token: str, keys: Mapping[int, bytes]) -> Session:
    """The session of a token. Raises InvalidToken."""
    if len(token) > TOKEN_MAX_CHARS:
        raise InvalidToken("the token is too long")
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidToken("the token is not base64") from None
    head = raw[:_HEAD_BYTES]
    key = keys.get(int.from_bytes(head[len(_VERSION) : len(_VERSION) + _ID_BYTES], "big"))
    if len(raw) <= _HEAD_BYTES or head[: len(_VERSION)] != _VERSION or key is None:
        raise InvalidToken("the token is not of this store")
    try:
        return _decode(AESGCM(key).decrypt(head[-_NONCE_BYTES:], raw[_HEAD_BYTES:], head))
    except (InvalidTag, msgspec.DecodeError, ValueError):
        raise InvalidToken("the token is not of this store") from None
