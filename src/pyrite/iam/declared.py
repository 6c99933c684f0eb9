"""Owns the file that declares identities: its schema, and reading it strictly. Pure.

A TOML file of accounts, each with users, groups, roles, policies and providers. See docs/identities.md.
"""

import json
from typing import Any

import msgspec

from pyrite.iam.errors import InvalidInput

Document = str | dict[str, Any]
"""A policy: its JSON text, or the same as TOML tables."""


class DeclaredKey(msgspec.Struct, forbid_unknown_fields=True):
    """A fixed access key; `policy` and `expires` (ISO 8601) limit it. `active`: as it is where that is not said."""

    access_key: str
    secret_key: str
    active: bool | None = None
    policy: Document = ""
    expires: str = ""
    description: str = ""


class Declared(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What users, groups and roles have in common. `policies` are names of the account's policies, or ARNs."""

    name: str
    path: str = "/"
    policies: list[str] = []
    inline: dict[str, Document] = {}
    tags: dict[str, str] = {}
    boundary: str = ""


class DeclaredUser(Declared, forbid_unknown_fields=True, kw_only=True):
    """A user. With a `canonical_id` it owns what it makes itself, like an account."""

    groups: list[str] = []
    keys: list[DeclaredKey] = msgspec.field(name="key", default_factory=list)
    canonical_id: str = ""
    email: str = ""
    display_name: str = ""


class DeclaredGroup(Declared, forbid_unknown_fields=True, kw_only=True):
    """A group."""


class DeclaredRole(Declared, forbid_unknown_fields=True, kw_only=True):
    """A role. `max_session` in seconds."""

    trust: Document
    description: str = ""
    max_session: int = 3600


class DeclaredPolicy(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A managed policy."""

    name: str
    document: Document
    path: str = "/"
    description: str = ""


class DeclaredProvider(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An OpenID Connect provider. `roles` maps values of the claim `role_claim` to names or ARNs of roles."""

    url: str
    client_ids: list[str] = []
    thumbprints: list[str] = []
    role_claim: str = ""
    roles: dict[str, str] = {}


class DeclaredKmsKey(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A KMS key with a fixed id, and aliases. It is made where it is not there; it is never removed."""

    id: str
    description: str = ""
    policy: Document = ""
    aliases: list[str] = []
    tags: dict[str, str] = {}


class DeclaredAccount(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An account; without an `id` the store's own. The id "" holds users that own things themselves."""

    id: str | None = None
    name: str = ""
    canonical_id: str = ""
    email: str = ""
    keys: list[DeclaredKey] = msgspec.field(name="key", default_factory=list)
    policies: list[DeclaredPolicy] = msgspec.field(name="policy", default_factory=list)
    groups: list[DeclaredGroup] = msgspec.field(name="group", default_factory=list)
    users: list[DeclaredUser] = msgspec.field(name="user", default_factory=list)
    roles: list[DeclaredRole] = msgspec.field(name="role", default_factory=list)
    providers: list[DeclaredProvider] = msgspec.field(name="provider", default_factory=list)
    kms_keys: list[DeclaredKmsKey] = msgspec.field(name="kms_key", default_factory=list)


class Declaration(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    accounts: list[DeclaredAccount] = msgspec.field(name="account", default_factory=list)


def read_declaration(content: bytes) -> Declaration:
    """The declaration in a file. Raises InvalidInput with the place of what is wrong."""
    try:
        return msgspec.toml.decode(content, type=Declaration)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the declaration of identities: {error}") from None


def text_of(document: Document) -> str:
    """A policy as JSON."""
    return document if isinstance(document, str) else json.dumps(document)
