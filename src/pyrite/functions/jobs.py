"""Owns what the process of a Python function is told. Pure."""

import msgspec

from pyrite.functions.calls import Call


class Job(msgspec.Struct, frozen=True):
    """A call of the function in `file`, and its limits: address space in bytes, processor time in seconds.

    `hidden` are the files and folders of the store, which it may not read.
    """

    file: str
    call: Call
    memory_bytes: int
    cpu_s: float
    hidden: tuple[str, ...] = ()
