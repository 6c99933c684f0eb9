"""The process of one call of a Python function: it has the object by a pipe, no environment, and limits.

The file defines `transform(source, call)`. `source` is a binary file of the object, which can be read and sought in;
what `transform` returns, or yields, is the body of the answer: bytes, or text. `call` tells of the request;
`call.reply` sets status and headers, `call.fail` answers with an error.
"""

import io
import itertools
import math
import os
import resource
import runpy
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, NoReturn

import msgspec

from pyrite.core import frames
from pyrite.core.confine import all_but, confine, end_with_parent
from pyrite.functions import calls
from pyrite.functions.jobs import Job

_BLOCK_BYTES = 1 << 20
_READ_BYTES = 8 << 20
_OUTPUT_BYTES = 256 << 10


class Failed(Exception):
    """The function answers with an error."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Call:
    """What a function is told, and what it can say beside the body."""

    def __init__(self, told: calls.Call) -> None:
        self.request_id = told.request_id
        self.bucket = told.bucket
        self.key = told.key
        self.version_id = told.version_id
        self.size = told.size_bytes
        self.etag = told.etag
        self.content_type = told.content_type
        self.metadata = told.metadata
        self.headers = told.headers
        self.query = told.query
        self.url = told.url
        self.caller = told.caller
        self._head = calls.Head()

    def reply(
        self, status: int = 200, headers: Mapping[str, str] | None = None, content_length: int | None = None
    ) -> None:
        """Say how the answer begins; later than the first bytes it is too late."""
        if not isinstance(status, int) or not isinstance(content_length, int | None):
            raise TypeError("status and content_length are numbers")
        if content_length is not None and content_length < 0:
            raise ValueError("content_length is not negative")
        self._head = calls.Head(
            status, {str(name): str(value) for name, value in (headers or {}).items()}, content_length
        )

    def fail(self, message: str, code: str = "LambdaRuntimeError", status: int = 400) -> NoReturn:
        """Answer with an error."""
        raise Failed(str(code), str(message), int(status))


class ObjectFile(io.RawIOBase):
    """The object as a file that asks the store for what is read."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO, size: int) -> None:
        self._in = incoming
        self._out = outgoing
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readall(self) -> bytes:
        blocks = []
        while block := self.read(_READ_BYTES):
            blocks.append(block)
        return b"".join(blocks)

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + min(len(buffer), _READ_BYTES), self._size)
        if stop <= self._at:
            return 0
        frames.write(self._out, frames.WANTED, frames.RANGE.pack(self._at, stop))
        kind, payload = frames.read(self._in)
        if kind != frames.DATA:
            raise OSError("the object cannot be read")
        buffer[: len(payload)] = payload
        self._at += len(payload)
        return len(payload)


def run(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Do the one job that comes in."""
    _, payload = frames.read(incoming)
    job = msgspec.json.decode(payload, type=Job)
    _limit(job)
    call = Call(job.call)
    source = io.BufferedReader(ObjectFile(incoming, outgoing, job.call.size_bytes), _BLOCK_BYTES)
    try:
        transform = runpy.run_path(job.file, run_name="pyrite_function")["transform"]
        _answer(call, transform(source, call), outgoing)
    except Failed as failed:
        _fail(outgoing, failed.code, failed.message, failed.status)
    except MemoryError:
        _fail(outgoing, "LambdaRuntimeError", "The function needs more memory than it may have.", 500)
    except (EOFError, BrokenPipeError):
        return
    except BaseException as error:  # noqa: BLE001 - whatever a function raises is told
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(last.filename)}:{last.lineno}"
        _fail(outgoing, "LambdaRuntimeError", f"{type(error).__name__} at {where}", 500)


def _answer(call: Call, result: Any, outgoing: BinaryIO) -> None:
    blocks = iter(_blocks(result))
    first = next(blocks, b"")
    frames.write(outgoing, frames.STARTED, msgspec.json.encode(call._head))
    for block in itertools.chain((first,), blocks):
        _give(outgoing, block)
    frames.write(outgoing, frames.DONE)


def _blocks(result: Any) -> Iterable[bytes]:
    if result is None:
        return
    if isinstance(result, str):
        yield result.encode()
    elif isinstance(result, (bytes, bytearray, memoryview)):
        yield bytes(result)
    elif hasattr(result, "read"):
        while block := result.read(_OUTPUT_BYTES):
            yield _raw(block)
    else:
        for block in result:
            yield _raw(block)


def _raw(block: Any) -> bytes:
    """A block of the body. Raises TypeError for what is neither bytes nor text."""
    return block.encode() if isinstance(block, str) else bytes(memoryview(block))


def _give(outgoing: BinaryIO, block: bytes) -> None:
    for at in range(0, len(block), _OUTPUT_BYTES):
        frames.write(outgoing, frames.RECORDS, block[at : at + _OUTPUT_BYTES])


def _fail(outgoing: BinaryIO, code: str, message: str, status: int) -> None:
    frames.write(outgoing, frames.FAILED, msgspec.json.encode((code, message, status)))


def _limit(job: Job) -> None:
    end_with_parent()
    confine(all_but(job.hidden))
    most = job.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    seconds = math.ceil(job.cpu_s)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Run; the exit code."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # what a function prints is no answer
    os.dup2(null, 1)
    try:
        run(incoming, outgoing)
    except (EOFError, BrokenPipeError):
        return 1
    outgoing.flush()
    os._exit(0)  # threads of the function do not keep it


if __name__ == "__main__":
    sys.exit(main())
