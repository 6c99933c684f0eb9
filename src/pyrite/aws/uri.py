"""Owns request targets as S3 reads them: keys are bytes, nothing is normalised. Pure."""

import re
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

_CLEAN = re.compile(rb"[A-Za-z0-9\-._~/]*\Z")
_AUTHORITY = re.compile(rb"https?://[^/?]*", re.IGNORECASE)


class Target(NamedTuple):
    """A request target, split: the raw path (from the first slash) and the decoded query pairs, in order."""

    path: bytes
    query: tuple[tuple[bytes, bytes], ...]


def split_target(target: bytes) -> Target:
    """Split an origin-form or absolute-form target (RFC 9112 section 3.2)."""
    if not target.startswith(b"/"):
        authority = _AUTHORITY.match(target)
        if authority is not None:
            target = target[authority.end() :] or b"/"
    path, _, query = target.partition(b"?")
    return Target(path, parse_query(query) if query else ())


def path_of(target: bytes) -> bytes:
    """A URL or path without its scheme and host."""
    authority = _AUTHORITY.match(target)
    return target if authority is None else target[authority.end() :]


def parse_query(raw: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Pairs of a query, decoded once. A plus sign is a space, as AWS reads it; clients that mean a plus send %2B.

    But for the base64 of a Signature of Version 2, which some clients send as it is.
    """
    pairs = []
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((decode_form(name), decode(value) if name == b"Signature" else decode_form(value)))
    return tuple(pairs)


def decode_form(raw: bytes) -> bytes:
    """Percent-decode once, and read plus signs as spaces, as forms are encoded."""
    return decode(raw.replace(b"+", b" ") if b"+" in raw else raw)


def decode(raw: bytes) -> bytes:
    """Percent-decode once."""
    return unquote_to_bytes(raw) if b"%" in raw else raw


def encode(raw: bytes, safe: str = "-._~") -> bytes:
    """Percent-encode everything but letters, digits and `safe` (SigV4's UriEncode)."""
    return quote_from_bytes(raw, safe).encode("ascii")


def canonical_path(raw_path: bytes) -> bytes:
    """The path as SigV4 for S3 signs it: decoded once, encoded once, slashes kept, never normalised."""
    if _CLEAN.match(raw_path):
        return raw_path or b"/"
    return encode(decode(raw_path), "-._~/")


def canonical_query(pairs: tuple[tuple[bytes, bytes], ...], leave_out: bytes | None = None) -> bytes:
    """The query as SigV4 signs it: encoded pairs, sorted, without the pair named `leave_out`."""
    if not pairs:
        return b""
    encoded = sorted((encode(name), encode(value)) for name, value in pairs if name != leave_out)
    return b"&".join(name + b"=" + value for name, value in encoded)
