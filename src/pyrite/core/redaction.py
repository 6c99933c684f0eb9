"""Takes secrets out of texts that are shown: passwords and queries of URLs, signatures in request targets. Pure.

Every pattern is possessive, so that a text costs time in proportion to its length, whatever stands in it.
"""

import re

HIDDEN = "(secret)"
_URL = re.compile(r"://([^\s?\"]*+)(\?[^\s\"]++)?")
_SIGNED = re.compile(rb"([?&](?:X-Amz-Signature|X-Amz-Security-Token|Signature)=)[^&\s]++", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """A text without the users, passwords and queries of the URLs in it."""
    return _URL.sub(_shown, text) if "://" in text else text


def _shown(match: re.Match[str]) -> str:
    place, query = match.groups()
    _, at, behind = place.rpartition("@")  # a password may hold a slash
    return f"://{HIDDEN + at if at else ''}{behind}{'?' + HIDDEN if query else ''}"


def without_signature(target: bytes) -> bytes:
    """A request target without what opens the object to whoever reads it: signature and session token."""
    return _SIGNED.sub(rb"\1XXXX", target)
