"""Owns user metadata on the wire: text beyond printable ASCII travels in encoded words (RFC 2047), as AWS sends it."""

import base64
import re
from email.errors import HeaderParseError
from email.header import decode_header

from pyrite.s3.request import text_of

_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e]")
_Q_WORDS = tuple(
    b"_" if byte == 0x20 else bytes((byte,)) if 0x20 < byte < 0x7F and byte not in b"=_?" else b"=%02X" % byte
    for byte in range(256)
)


def decode_metadata(value: bytes) -> str:
    """User metadata as it was sent. An encoded word (RFC 2047) that need not be one is decoded, as AWS does."""
    text = text_of(value)
    if not text.startswith("=?") or not text.endswith("?="):
        return text
    try:
        decoded = "".join(
            part if isinstance(part, str) else part.decode(charset or "ascii") for part, charset in decode_header(text)
        )
    except (ValueError, LookupError, HeaderParseError):
        return text
    return text if _UNPRINTABLE.search(decoded) else decoded


def encode_metadata(value: str) -> bytes:
    """User metadata on its way out: text beyond printable ASCII becomes an encoded word (RFC 2047), as AWS sends it:
    one in the Q encoding where it is mostly ASCII.
    """
    odd = len(_UNPRINTABLE.findall(value))
    if not odd:
        return value.encode("ascii")
    raw = value.encode("utf-8", "replace")
    if odd > len(value) - odd:
        return b"=?UTF-8?B?" + base64.b64encode(raw) + b"?="
    return b"=?UTF-8?Q?" + b"".join(_Q_WORDS[byte] for byte in raw) + b"?="
