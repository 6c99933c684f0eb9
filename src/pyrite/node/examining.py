"""Owns examining databases in processes apart, because a damaged one may end the process that reads it.

Before a store is up, forks do it. Beside a running store, `python -m pyrite.node.examining PATH` does: it opens the
database, says so, waits for a line, and reads what was there at that moment.
"""

import asyncio
import contextlib
import faulthandler
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import lmdb
import msgspec

from pyrite.core.errors import Unavailable
from pyrite.metadata.environment import LmdbEnvironment
from pyrite.metadata.examining import Examined, examine

START_TIMEOUT_S = 5.0
"""How long the start of a store waits for the examination of its names; large ones are examined while it runs."""
_READY, _GO = b"ready\n", b"go\n"
_RESULT_MAX_BYTES = 4096


def examine_in_forks(places: Mapping[str, Path]) -> dict[str, Examined | None]:
    """What was found in each database in time; None for one that cannot be read. For a process without threads."""
    children = {name: _fork(path) for name, path in places.items()}
    deadline = time.monotonic() + START_TIMEOUT_S
    found: dict[str, Examined | None] = {}
    for name, (pid, reader) in children.items():
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if ready:
            found[name] = _decode(os.read(reader, _RESULT_MAX_BYTES))
        else:
            os.kill(pid, signal.SIGKILL)
        os.close(reader)
        os.waitpid(pid, 0)
    return found


def _fork(path: Path) -> tuple[int, int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    faulthandler.disable()
    with contextlib.suppress(BaseException):  # whatever a damaged database leads to: no answer says it
        os.write(writer, msgspec.json.encode(_examine(path)))
    os._exit(0)


def _examine(path: Path) -> Examined:
    environment = LmdbEnvironment(path, readonly=True)
    try:
        return examine(environment)
    finally:
        environment.close()


def _decode(answer: bytes) -> Examined | None:
    try:
        return msgspec.json.decode(answer, type=Examined)
    except msgspec.DecodeError:
        return None


class Examiner:
    """One database examined by a process apart, beside a running store."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(cls, name: str, path: Path) -> "Examiner":
        """Have it opened; nothing is read yet. Raises Unavailable."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pyrite.node.examining",
            str(path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return cls(name, process)

    async def ready(self) -> bool:
        """Whether the database could be opened."""
        assert self._process.stdout is not None
        return await self._process.stdout.readline() == _READY

    async def begin(self) -> None:
        """Have it look at the database as it is now. Raises Unavailable."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(_GO)
            await self._process.stdin.drain()
        except OSError as error:
            raise Unavailable(f"the examination of mirror {self.name} ended: {error}") from error
        await self._process.stdout.readline()

    async def result(self) -> Examined | None:
        """What it found; None when it came to no good end."""
        answer, _ = await self._process.communicate()
        return _decode(answer)

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def main() -> None:
    """The process apart."""
    os.nice(10)
    environment = LmdbEnvironment(Path(sys.argv[1]), readonly=True)
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    if sys.stdin.buffer.readline() != _GO:
        return

    def begun() -> None:
        sys.stdout.buffer.write(b"begun\n")
        sys.stdout.buffer.flush()

    with contextlib.suppress(lmdb.Error):
        sys.stdout.buffer.write(msgspec.json.encode(examine(environment, begun)))


if __name__ == "__main__":
    main()
