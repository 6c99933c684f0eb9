"""Owns the framing of event streams: headers and a payload between two checksums. Pure.

Source: AWS, "Event stream encoding" in the Amazon Transcribe Developer Guide and appendix of "SelectObjectContent".
"""

import struct
from binascii import crc32
from collections.abc import Mapping

_PRELUDE = struct.Struct(">II")
_STRING = 7
_OVERHEAD_BYTES = 16


def message(headers: Mapping[str, str], payload: bytes = b"") -> bytes:
    """One message; all its headers are strings."""
    fields = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = _PRELUDE.pack(_OVERHEAD_BYTES + len(fields) + len(payload), len(fields))
    framed = prelude + crc32(prelude).to_bytes(4) + fields + payload
    return framed + crc32(framed).to_bytes(4)


def event(kind: str, payload: bytes = b"", content_type: str = "") -> bytes:
    """An event."""
    headers = {":message-type": "event", ":event-type": kind}
    return message({**headers, ":content-type": content_type} if content_type else headers, payload)


def error(code: str, text: str) -> bytes:
    """An error, after which nothing follows."""
    return message({":message-type": "error", ":error-code": code, ":error-message": text[:1024]})
