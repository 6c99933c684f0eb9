"""Owns what can go wrong with identities and policies, by meaning; `iamapi/errors.py` knows the codes."""

from pyrite.core.errors import PyriteError


class IamError(PyriteError):
    """Root of the errors of this layer."""


class MalformedPolicy(IamError):
    """The document does not follow the policy language; the message says where."""


class NoSuchEntity(IamError):
    """There is no such account, user, group, role, policy, key or provider."""


class EntityExists(IamError):
    """An entity of this kind has the name already."""


class DeleteConflict(IamError):
    """Something still depends on the entity; the message says what."""


class LimitExceeded(IamError):
    """A quota would be exceeded; the message names it."""


class InvalidInput(IamError):
    """A parameter is not what it has to be; the message says which."""


class Unmodifiable(IamError):
    """The entity belongs to the system, or has changed since it was read too often to be changed."""


class InvalidToken(IamError):
    """A session token is not one of this store, or does not belong to the access key."""


class ExpiredToken(IamError):
    """A session token, or a key that was made to expire, is past its time."""


class Sealed(IamError):
    """The record is sealed under the keyring, which is not here."""


class AccessRefused(IamError):
    """The caller may not do this; the message says what was refused and why."""


class RejectedIdentity(IamError):
    """A token of an identity provider does not prove who its holder is."""
