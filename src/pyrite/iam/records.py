"""Owns the records of accounts, identities, policies and keys, and their keys. See docs/formats/metadata.md.

Records are MessagePack arrays; `format` comes first. Fields may be added at the end with a default.
"""

from typing import Any, Literal, TypeVar

import msgspec

from pyrite.aws.arns import iam_arn
from pyrite.metadata.keyspaces import IDENTITIES, escape

FORMAT = 1

EntityKind = Literal["user", "group", "role"]


class AccountRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A tenant. `keys` are the access keys of its root user."""

    format: int = FORMAT
    id: str
    name: str
    canonical_id: str
    email: str = ""
    created_ms: int = 0
    keys: tuple[str, ...] = ()
    alias: str = ""


class EntityRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A user, a group or a role.

    `inline` maps the names of inline policies to documents, `attached` holds the ARNs of managed ones. Of a user:
    `groups` and `keys`; `owner` is a canonical id of its own, for a user that owns what it makes like an account.
    Of a group: `members`. Of a role: `trust`, whom that names with their unique ids (`bound`), `description`,
    `max_session_s`.
    """

    format: int = FORMAT
    kind: EntityKind
    account: str
    name: str
    id: str
    path: str = "/"
    created_ms: int = 0
    tags: dict[str, str] = {}
    inline: dict[str, str] = {}
    attached: tuple[str, ...] = ()
    boundary: str = ""
    groups: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    trust: str = ""
    description: str = ""
    max_session_s: int = 3600
    owner: str = ""
    email: str = ""
    display_name: str = ""
    bound: dict[str, str] = {}

    @property
    def arn(self) -> str:
        """The ARN of the entity."""
        return iam_arn(self.account, f"{self.kind}{self.path}{self.name}")


class PolicyVersion(msgspec.Struct, frozen=True, array_like=True):
    """One version of a managed policy; its id is `v` and `number`."""

    number: int
    document: str
    created_ms: int


class PolicyRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A managed policy. `latest` is the highest number that a version has had."""

    format: int = FORMAT
    account: str
    name: str
    id: str
    path: str = "/"
    created_ms: int = 0
    updated_ms: int = 0
    description: str = ""
    versions: tuple[PolicyVersion, ...] = ()
    default: int = 1
    latest: int = 1
    tags: dict[str, str] = {}
    attachments: int = 0
    boundaries: int = 0

    @property
    def arn(self) -> str:
        """The ARN of the policy."""
        return iam_arn(self.account, f"policy{self.path}{self.name}")

    @property
    def document(self) -> str:
        """The document of the default version."""
        return next(version.document for version in self.versions if version.number == self.default)


class AccessKeyRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """An access key of a user, or of an account's root where `user` is empty.

    `policy` limits what requests with this key may do, as a session policy does; `expires_ms` is 0 when the key
    does not expire. The two make it what others call a service account.
    """

    format: int = FORMAT
    id: str
    secret: str
    account: str
    user: str = ""
    active: bool = True
    created_ms: int = 0
    policy: str = ""
    expires_ms: int = 0
    description: str = ""


class KeyUseRecord(msgspec.Struct, frozen=True, array_like=True):
    """When and for what an access key was last used, to within minutes."""

    format: int
    used_ms: int
    service: str
    region: str


class ProviderRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """An OpenID Connect provider. `url` is the issuer as it was given.

    `roles` maps values of the claim `role_claim` to roles, for clients that name none.
    """

    format: int = FORMAT
    account: str
    url: str
    client_ids: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()
    created_ms: int = 0
    tags: dict[str, str] = {}
    role_claim: str = ""
    roles: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The issuer without its scheme, as it stands in ARNs and condition keys."""
        return self.url.partition("://")[2].rstrip("/")

    @property
    def arn(self) -> str:
        """The ARN of the provider."""
        return iam_arn(self.account, f"oidc-provider/{self.name}")


class OwnerRecord(msgspec.Struct, frozen=True, array_like=True):
    """Whom a canonical id or an e-mail address belongs to: an account, or a user of it that owns things itself."""

    format: int
    account: str
    user: str
    canonical_id: str
    display_name: str = ""


class TokenKeyRecord(msgspec.Struct, frozen=True, array_like=True):
    """The keys that seal session tokens, newest last; each with its id and when it was made."""

    format: int
    keys: tuple[tuple[int, bytes, int], ...]


class TopicRecord(msgspec.Struct, frozen=True, array_like=True):
    """A topic: a name for where events go."""

    format: int
    account: str
    name: str
    created_ms: int
    attributes: dict[str, str] = {}


Record = TypeVar(
    "Record",
    TopicRecord,
    AccountRecord,
    EntityRecord,
    PolicyRecord,
    AccessKeyRecord,
    KeyUseRecord,
    ProviderRecord,
    OwnerRecord,
    TokenKeyRecord,
)

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (
        TopicRecord,
        AccountRecord,
        EntityRecord,
        PolicyRecord,
        AccessKeyRecord,
        KeyUseRecord,
        ProviderRecord,
        OwnerRecord,
        TokenKeyRecord,
    )
}


def decode(kind: type[Record], value: bytes) -> Record:
    """The record in `value`."""
    record: Record = _decoders[kind].decode(value)
    return record


def account_key(account: str) -> bytes:
    return IDENTITIES + b"a" + account.encode()


def accounts() -> bytes:
    """The prefix of all accounts."""
    return IDENTITIES + b"a"


_KINDS = {"user": b"u", "group": b"g", "role": b"r", "policy": b"p", "provider": b"o"}
NamedKind = Literal["user", "group", "role", "policy", "provider"]


def named_key(kind: NamedKind, account: str, name: str) -> bytes:
    """The key of what has a name within an account; names that differ in case alone are the same."""
    return named(kind, account) + name.lower().encode()


def named(kind: NamedKind, account: str) -> bytes:
    """The prefix of all of a kind in an account."""
    return IDENTITIES + _KINDS[kind] + escape(account.encode())


def access_key_key(access_key: str) -> bytes:
    return IDENTITIES + b"k" + access_key.encode()


def key_use_key(access_key: str) -> bytes:
    return IDENTITIES + b"t" + access_key.encode()


def canonical_key(canonical_id: str) -> bytes:
    return IDENTITIES + b"c" + canonical_id.encode()


def email_key(email: str) -> bytes:
    return IDENTITIES + b"e" + email.lower().encode()


def topic_key(account: str, name: str) -> bytes:
    return topics_of(account) + name.encode()


def topics_of(account: str) -> bytes:
    """The prefix of all topics of an account."""
    return IDENTITIES + b"n" + escape(account.encode())


TOKEN_KEYS = IDENTITIES + b"s"
