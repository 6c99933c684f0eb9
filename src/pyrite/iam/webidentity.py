"""Owns tokens of identity providers: what makes one believable, and what it says of its holder. Pure.

Source: OpenID Connect Core 1.0 section 3.1.3.7 (ID token validation), RFC 8725 (JWT best current practices).
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pyrite.iam.errors import ExpiredToken, RejectedIdentity
from pyrite.iam.patterns import Values
from pyrite.iam.records import ProviderRecord

TOKEN_MAX_CHARS = 20_000
LEEWAY_S = 30
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
"""Signatures by a key that only the provider has. `none` and the symmetric ones are not among them."""

_TAGS = "https://aws.amazon.com/tags"
_SOURCE = "https://aws.amazon.com/source_identity"
_KEY_TYPES = frozenset(("RSA", "EC", "OKP"))
_NOT_KEYS = frozenset(("exp", "iat", "nbf", "jti", _TAGS))
_VALUES_MAX = 100


class Header(NamedTuple):
    """What a token says before it is believed: its issuer and the id of the key that signed it."""

    issuer: str
    key_id: str


class WebIdentity(NamedTuple):
    """Who a believed token speaks of. `keys` are condition keys, `tags` the session tags that it asks for.

    `transitive` are those of the tags that are passed on, `source` is the source identity.
    """

    subject: str
    audience: str
    keys: dict[str, Values]
    tags: dict[str, Values]
    transitive: tuple[str, ...] = ()
    source: str = ""


def peek(token: str) -> Header:
    """The issuer and key id of a token that nobody has checked yet. Raises RejectedIdentity."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > TOKEN_MAX_CHARS:
        raise RejectedIdentity("The ID Token provided is not a valid JWT.")
    header, claims = _decode(parts[0]), _decode(parts[1])
    issuer, key_id = claims.get("iss"), header.get("kid", "")
    if not isinstance(issuer, str) or not isinstance(key_id, str):
        raise RejectedIdentity("Missing a required claim: iss")
    return Header(issuer, key_id)


def _decode(part: str) -> dict[str, Any]:
    try:
        content = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise RejectedIdentity("The ID Token provided is not a valid JWT.") from None
    if not isinstance(content, dict):
        raise RejectedIdentity("The ID Token provided is not a valid JWT.")
    return content


def usable_keys(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The public signature keys of a JWKS document; a symmetric key in it is no key."""
    keys = document.get("keys")
    return [
        key
        for key in (keys if isinstance(keys, list) else [])
        if isinstance(key, dict) and key.get("kty") in _KEY_TYPES and key.get("use", "sig") == "sig"
    ]


def believe(
    token: str, keys: list[dict[str, Any]], provider: ProviderRecord, now_s: int, any_client: bool = False
) -> WebIdentity:
    """What a token says, if `provider` signed it for one of its clients and it is valid now.

    `any_client` lets a provider without registered clients speak for all of them. Raises RejectedIdentity or
    ExpiredToken.
    """
    if len(token) > TOKEN_MAX_CHARS:
        raise RejectedIdentity("The ID Token provided is not a valid JWT.")
    key_id = peek(token).key_id
    fitting = [key for key in keys if not key_id or key.get("kid") == key_id]
    if not fitting or (not key_id and len(fitting) > 1):
        raise RejectedIdentity("Couldn't retrieve verification key from your identity provider")
    from joserfc import jwt  # what few stores need: it takes more than two MiB
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        trusted = KeySet.import_key_set({"keys": fitting})
        decoded = jwt.decode(token, trusted, algorithms=ALGORITHMS)
    except (JoseError, ValueError, TypeError, KeyError):
        raise RejectedIdentity("The signature of the ID Token is not that of the provider.") from None
    claims = decoded.claims
    _check_time(claims, now_s)
    if claims.get("iss") != provider.url:
        raise RejectedIdentity("Provided issuer is not valid")
    return _identity(claims, provider, any_client)


def _check_time(claims: Mapping[str, Any], now_s: int) -> None:
    moments = [claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)]
    expires, issued, begins = (moment if _is_time(moment) else None for moment in moments)
    if expires is None or issued is None or begins is None:
        raise RejectedIdentity("Missing a required claim: exp and iat")
    if now_s >= expires + LEEWAY_S:
        raise ExpiredToken("Token expired")
    if now_s < begins - LEEWAY_S or now_s < issued - LEEWAY_S:
        raise RejectedIdentity("The ID Token is not valid yet.")


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _identity(claims: Mapping[str, Any], provider: ProviderRecord, any_client: bool) -> WebIdentity:
    subject, listed = claims.get("sub"), claims.get("aud")
    audiences = [listed] if isinstance(listed, str) else listed
    if not isinstance(subject, str) or not subject:
        raise RejectedIdentity("Missing a required claim: sub")
    if not isinstance(audiences, list) or not audiences or not all(isinstance(a, str) for a in audiences):
        raise RejectedIdentity("Missing a required claim: aud")
    party = claims.get("azp")
    audience = party if isinstance(party, str) and party else audiences[0]
    open_to_all = any_client and not provider.client_ids
    if not open_to_all:
        if not set(audiences) & set(provider.client_ids):
            raise RejectedIdentity("Incorrect token audience")
        if (party is not None or len(audiences) > 1) and audience not in provider.client_ids:
            raise RejectedIdentity("Incorrect token audience: azp")
    prefix = provider.name.lower()
    names = [name.lower() for name in claims]
    if len(set(names)) != len(names):
        raise RejectedIdentity("Two claims of the token differ in case alone")
    keys = {f"{prefix}:{name.lower()}": values for name, values in _texts(claims).items()}
    keys |= {
        f"{prefix}:sub": (subject,),
        f"{prefix}:aud": (audience,),
        f"{prefix}:oaud": tuple(audiences),
        f"{prefix}:app_id": tuple(audiences),
    }
    tags, source = _tags(claims.get(_TAGS)), claims.get(_SOURCE)
    transitive = tuple(key for key in _transitive(claims.get(_TAGS)) if key in tags)
    return WebIdentity(subject, audience, keys, tags, transitive, source if isinstance(source, str) else "")


def _transitive(claim: object) -> list[str]:
    listed = claim.get("transitive_tag_keys") if isinstance(claim, dict) else None
    return [key for key in listed if isinstance(key, str)] if isinstance(listed, list) else []


def _texts(claims: Mapping[str, Any]) -> dict[str, Values]:
    """The claims that are texts or lists of texts."""
    found: dict[str, Values] = {}
    for name, value in claims.items():
        values = value if isinstance(value, list) else [value]
        if name not in _NOT_KEYS and values and len(values) <= _VALUES_MAX and all(isinstance(v, str) for v in values):
            found[name] = tuple(values)
    return found


def _tags(claim: object) -> dict[str, Values]:
    """The session tags in the claim that AWS defines for them."""
    tags = claim.get("principal_tags") if isinstance(claim, dict) else None
    if not isinstance(tags, dict):
        return {}
    found: dict[str, Values] = {}
    for name, value in tags.items():
        values = value if isinstance(value, list) else [value]
        if values and len(values) <= _VALUES_MAX and all(isinstance(v, str) for v in values):
            found[name] = tuple(values)
    return found
