"""Owns giving up rights for the rest of a process's life, and keeping others from looking into it. Linux alone.

Source: prctl(2), capabilities(7), landlock(7).
"""

import ctypes
import os
import signal
import struct

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITIES_V3 = 0x20080522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_GET_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _TRUNCATE, _TRUNCATE_SINCE = 1 << 1, 1 << 14, 3
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # writing, removing and making of every kind

_libc = ctypes.CDLL(None, use_errno=True)


def conceal() -> None:
    """Have no other process of the same user read this one's memory or environment; there are no core dumps then."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def end_with_parent() -> None:
    """Have this process killed when the one that started it ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def confine() -> bool:
    """Give up all capabilities, also those of programs that are started, and changing any file.

    False where the kernel has no Landlock, so that files can still be changed as far as the user may.
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = struct.pack("Ii", _CAPABILITIES_V3, 0)
    _libc.capset(header, bytes(24))
    return _forbid_changes()


def _forbid_changes() -> bool:
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)
    if version < 1:
        return False
    handled = _CHANGES | (_TRUNCATE if version >= _TRUNCATE_SINCE else 0)
    ruleset = _libc.syscall(_CREATE_RULESET, struct.pack("Q", handled), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    try:
        null = os.open(os.devnull, os.O_PATH | os.O_CLOEXEC)
        allowed = handled & (_WRITE_FILE | _TRUNCATE)
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, null), 0)
        os.close(null)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)
