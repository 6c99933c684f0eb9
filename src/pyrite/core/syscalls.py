"""A filter of system calls for the rest of a process's life: what parsers of strangers' bytes never need. Linux alone.

Source: seccomp(2), the kernel's "Seccomp BPF (SECure COMPuting with filters)", and its tables of system calls.
"""

import ctypes
import os
import platform
import struct
from typing import NamedTuple

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # refused calls fail with EPERM

_NEWER = (
    424,  # pidfd_send_signal
    425,  # io_uring_setup, whose operations no filter sees
    434,  # pidfd_open
    438,  # pidfd_getfd
    452,  # fchmodat2
    463,  # setxattrat
)
"""Calls that have the same number on every architecture."""


class _Architecture(NamedTuple):
    """The kernel's number of an architecture, the calls that are refused there, and the one by which a thread ends."""

    audit: int
    refused: tuple[int, ...]
    tgkill: int


_ARCHITECTURES = {
    "x86_64": _Architecture(
        0xC000003E,
        (
            41, 42, 43, 49, 50, 288,  # socket, connect, accept, bind, listen, accept4
            62, 200, 129, 297,  # kill, tkill, rt_sigqueueinfo, rt_tgsigqueueinfo
            59, 322, 101, 310, 311,  # execve, execveat, ptrace, process_vm_readv, process_vm_writev
            272, 308, 165, 155, 161,  # unshare, setns, mount, pivot_root, chroot
            90, 91, 268, 92, 93, 94, 260,  # chmod, fchmod, fchmodat, chown, fchown, lchown, fchownat
            188, 189, 190, 197, 198, 199,  # setxattr, removexattr and their kin
            132, 235, 261, 280,  # utime, utimes, futimesat, utimensat
            321, 298, 248, 249, 250,  # bpf, perf_event_open, add_key, request_key, keyctl
        ),
        234,
    ),
    "aarch64": _Architecture(
        0xC00000B7,
        (
            198, 203, 202, 200, 201, 242,
            129, 130, 138, 240,
            221, 281, 117, 270, 271,
            97, 268, 40, 41, 51,
            52, 53, 54, 55,
            5, 6, 7, 14, 15, 16,
            88,
            280, 241, 217, 218, 219,
        ),
        131,
    ),
}  # fmt: skip
_X32 = 0x40000000
"""Calls of the x32 ABI of x86-64 have this bit: they would pass by their other numbers."""


def refuse_dangerous_calls() -> bool:
    """Refuse sockets, signals to others, programs, and changes of rights and names, for this process and its threads.

    False where the architecture is not known here, or the kernel has no seccomp; then nothing is refused. The process
    has to have given up new privileges.
    """
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return False
    program = _program(known)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def _program(known: _Architecture) -> bytes:
    """The filter, in the classic BPF of the kernel: eight bytes an instruction."""
    refused = (*known.refused, *_NEWER)
    body = [_step(_LOAD, _NUMBER_AT), _step(_JUMP_AT_LEAST, _X32, len(refused) + 3, 0)]
    for at, number in enumerate(refused):
        body.append(_step(_JUMP_EQUAL, number, len(refused) - at + 2, 0))
    # A thread may end itself and its own process, as abort() does; no other.
    body += [_step(_JUMP_EQUAL, known.tgkill, 0, 3), _step(_LOAD, _FIRST_ARGUMENT_AT)]
    body += [_step(_JUMP_EQUAL, os.getpid(), 1, 0), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)]
    return b"".join(
        [
            _step(_LOAD, _ARCHITECTURE_AT),
            _step(_JUMP_EQUAL, known.audit, 1, 0),
            _step(_RETURN, _KILL),
            *body,
        ]
    )


def _step(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)
