"""Owns the public keys of OpenID Connect providers: finding them by discovery, keeping them, noticing new ones.

Source: OpenID Connect Discovery 1.0.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import structlog

from pyrite.core.clock import Clock
from pyrite.core.errors import PyriteError
from pyrite.core.lru import LruMap
from pyrite.iam.errors import RejectedIdentity
from pyrite.iam.webidentity import usable_keys

KEYS_LAST_S = 3600
LOOK_AGAIN_S = 30

_KEPT = 64
_log = structlog.get_logger(component="oidc")
Fetch = Callable[[str], Awaitable[bytes]]


class _Known(NamedTuple):
    keys: list[dict[str, Any]]
    fetched_s: float


class _Failed(NamedTuple):
    """When an issuer was asked last, and why that gave nothing."""

    at_s: float
    why: str


class Issuers:
    """The keys of issuers. `fetch` gets a URL; what it raises becomes RejectedIdentity."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._known: LruMap[str, _Known] = LruMap(_KEPT)
        self._failed: LruMap[str, _Failed] = LruMap(_KEPT)

    async def keys_of(self, issuer: str, key_id: str) -> list[dict[str, Any]]:
        """The signature keys of an issuer. They are fetched anew when they are old, or `key_id` is not among them.

        The latter at most every LOOK_AGAIN_S, so that tokens with invented ids cost the provider nothing. Raises
        RejectedIdentity.
        """
        known, now_s = self._known.get(issuer), self._clock.monotonic_s()
        if known is not None:
            age_s = now_s - known.fetched_s
            holds = not key_id or any(key.get("kid") == key_id for key in known.keys)
            if age_s < (KEYS_LAST_S if holds else LOOK_AGAIN_S):
                return known.keys
        failed = self._failed.get(issuer)
        if failed is not None and now_s - failed.at_s < LOOK_AGAIN_S:
            raise RejectedIdentity(failed.why)
        self._failed.put(issuer, _Failed(now_s, "The provider is being asked for its keys. Please try again."))
        try:
            keys = await self._load(issuer)
        except RejectedIdentity as error:
            self._failed.put(issuer, _Failed(now_s, str(error)))
            raise
        self._failed.pop(issuer)
        self._known.put(issuer, _Known(keys, now_s))
        return keys

    async def _load(self, issuer: str) -> list[dict[str, Any]]:
        found = await self._document(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise RejectedIdentity("The provider's configuration names another issuer.")
        place = found.get("jwks_uri")
        if not isinstance(place, str):
            raise RejectedIdentity("The provider's configuration names no keys.")
        return usable_keys(await self._document(place))

    async def _document(self, url: str) -> dict[str, Any]:
        try:
            content = json.loads(await self._fetch(url))
        except PyriteError as error:
            _log.warning("issuer_not_reached", url=url, reason=str(error))  # strangers do not learn where it is
            raise RejectedIdentity("Couldn't retrieve verification key from your identity provider.") from None
        except (ValueError, RecursionError):
            raise RejectedIdentity(f"The provider's answer at {url} is not JSON.") from None
        if not isinstance(content, dict):
            raise RejectedIdentity(f"The provider's answer at {url} is not a JSON object.")
        return content
