"""Owns giving up rights for the rest of a process's life, and keeping others from looking into it. Linux alone.

Source: prctl(2), capabilities(7), landlock(7).
"""

import ctypes
import os
import signal
import stat
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pyrite.core.syscalls import refuse_dangerous_calls

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITIES_V3 = 0x20080522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_GET_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _TRUNCATE, _TRUNCATE_SINCE = 1 << 1, 1 << 14, 3
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # writing, removing and making of every kind
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_READS = _READ_FILE | _READ_FOLDER
_NET, _NET_SINCE = 3, 4  # binding and connecting TCP
_ABSTRACT_SOCKETS, _SIGNALS, _SCOPE_SINCE = 1, 2, 6
_SYSTEM = (
    *("/usr/lib", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache", "/dev/urandom"),
    *("/proc/self/cgroup", "/proc/meminfo", "/sys/fs/cgroup"),  # by which libraries size themselves
)
_PACKAGES = (str(Path(__file__).parents[1]),)

_libc = ctypes.CDLL(None, use_errno=True)


def conceal() -> None:
    """Have no other process of the same user read this one's memory or environment; there are no core dumps then."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def end_with_parent() -> None:
    """Have this process killed when the one that started it ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Confined(NamedTuple):
    """What a process has given up: changing and reading files (Landlock), and dangerous calls (seccomp)."""

    files: bool
    calls: bool


def libraries() -> tuple[str, ...]:
    """Where Python, its packages and the system's libraries stand: what a process needs to read to run on."""
    return tuple(dict.fromkeys((*sys.path, sys.prefix, sys.base_prefix, *_PACKAGES, *_SYSTEM)))


def all_but(hidden: Iterable[str]) -> tuple[str, ...]:
    """Every file and folder of the machine, as few as name them all, but for those `hidden` and what is in them."""
    kept = [Path(os.path.realpath(path)) for path in hidden]
    found: list[str] = []
    folders = [Path("/")]
    while folders:
        for child in _children(folders.pop()):
            place = Path(os.path.realpath(child))
            if any(place == path or path in place.parents for path in kept):
                continue
            if any(place in path.parents for path in kept):
                folders.append(place)
            else:
                found.append(str(child))
    return tuple(found)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def confine(readable: Iterable[str], alone: bool = False) -> Confined:
    """Give up all capabilities, changing any file, reading any that is not in `readable` or below it, and signals to
    others; with `alone` also the network and whatever `refuse_dangerous_calls` refuses.

    Tells what the kernel could not do: then that stays possible as far as the user may.
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = struct.pack("Ii", _CAPABILITIES_V3, 0)
    _libc.capset(header, bytes(24))
    files = _restrict(readable, alone)
    return Confined(files, refuse_dangerous_calls() if alone else False)


def landlock_version() -> int:
    """Which version of Landlock the kernel has; 0 for none."""
    return max(int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)), 0)


def _restrict(readable: Iterable[str], alone: bool) -> bool:
    version = landlock_version()
    if version < 1:
        return False
    changes = _CHANGES | (_TRUNCATE if version >= _TRUNCATE_SINCE else 0)
    attributes = struct.pack("Q", changes | _READS)
    if version >= _NET_SINCE:
        attributes += struct.pack("Q", _NET if alone else 0)
    if version >= _SCOPE_SINCE:
        attributes += struct.pack("Q", _SIGNALS | (_ABSTRACT_SOCKETS if alone else 0))
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        _allow(ruleset, os.devnull, changes & (_WRITE_FILE | _TRUNCATE) | _READ_FILE)
        for path in readable:
            _allow(ruleset, path, _READS)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow `rights` at a path and below it; a path that is not there needs none."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= ~_READ_FOLDER
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)
