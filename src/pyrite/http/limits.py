"""Owns every limit of the HTTP layer, each with its unit in its name."""

import msgspec

from pyrite.core.units import KIB


class Limits(msgspec.Struct, frozen=True):
    """What a connection may use. A request beyond a limit is answered with an error and the connection closed.

    While requests wait for buffers, a large body that does not get on by `short_progress_bytes` (64 KiB/s) within
    `short_timeout_s` is ended, whichever way it goes: honest or not, it holds memory that others wait for.
    """

    head_bytes: int = 64 * KIB
    target_bytes: int = 16 * KIB
    header_count: int = 200
    connections: int = 10_000
    pipelined_bytes: int = 256 * KIB
    requests_at_once: int = 16
    body_buffer_bytes: int = 512 * KIB
    quick_body_bytes: int = 128 * KIB
    drain_bytes: int = 1024 * KIB
    head_timeout_s: float = 15.0
    idle_timeout_s: float = 120.0
    stall_timeout_s: float = 30.0
    stall_progress_bytes: int = KIB
    short_timeout_s: float = 2.0
    short_progress_bytes: int = 128 * KIB
    linger_timeout_s: float = 3.0
