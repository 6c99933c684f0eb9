"""Owns the processes of a server: starts workers and the housekeeper, restarts those that die, ends them all."""

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn

import msgspec
import structlog
import uvloop

from pyrite.core.confine import conceal
from pyrite.core.errors import ConfigError, PyriteError
from pyrite.metadata.examining import tell_damaged
from pyrite.node.config import Config
from pyrite.node.drives import METADATA, DriveLocks
from pyrite.node.examining import examine_in_forks
from pyrite.node.opening import Opened, as_of_now, newest_set, open_store
from pyrite.node.restarts import Restarts
from pyrite.node.scratch import scratch
from pyrite.node.worker import Worker, housekeep
from pyrite.telemetry.status import StatusBoard

_PR_SET_PDEATHSIG = 1
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_KEEP_MAPPED_BYTES = 64 << 20
_LOOK_S = 1.0
_ENDS = (signal.SIGTERM, signal.SIGINT)
_DEATHS_BY_DAMAGE = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE)
PORT_TIMEOUT_S = 3.0
_HOUSEKEEPER = "housekeeper"
_libc = ctypes.CDLL(None, use_errno=True)

Announce = Callable[[Config, Opened], None]


def serve(config: Config, announce: Announce) -> int:
    """Run a server until SIGTERM or SIGINT; the exit code. `announce` is told once it is up.

    Raises ConfigError or Unavailable when the store cannot be opened.
    """
    conceal()
    raise_open_files()
    listener = bind(config)
    config = _with_port(config, listener)
    opened, locks = open_store(config)
    try:
        keep_memory_mapped()
        with scratch() as folder:
            if config.workers == 0:
                return _serve_alone(config, opened, StatusBoard(folder), listener, announce, locks)
            return _Supervisor(config, opened, StatusBoard(folder), announce, locks).run()
    finally:
        listener.close()
        locks.release()


def bind(config: Config) -> socket.socket:
    """A bound socket that shares its port with those of the other workers. Raises ConfigError."""
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not config.port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((config.host, 0))
            return listener
        _refuse_taken_port(family, config)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((config.host, config.port))
    except OSError as error:
        raise ConfigError(f"cannot listen on {config.host}:{config.port}: {error.strerror}") from error
    return listener


def _refuse_taken_port(family: socket.AddressFamily, config: Config) -> None:
    """Sharing a port with workers must not mean sharing it with another server, unless that one is just ending."""
    deadline = time.monotonic() + PORT_TIMEOUT_S
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((config.host, config.port))
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.05)


def _with_port(config: Config, listener: socket.socket) -> Config:
    return msgspec.structs.replace(config, port=listener.getsockname()[1])


def raise_open_files() -> None:
    """Let the processes of the server have as many open files, and so connections, as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def keep_memory_mapped() -> None:
    """Have malloc keep large blocks: fresh ones cost a page fault for every 4 KiB."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_MAPPED_BYTES)
        _libc.mallopt(_M_TRIM_THRESHOLD, 2 * _KEEP_MAPPED_BYTES)


def _serve_alone(
    config: Config,
    opened: Opened,
    board: StatusBoard,
    listener: socket.socket,
    announce: Announce,
    locks: DriveLocks,
) -> int:
    async def main() -> None:
        worker = Worker(config, opened, "worker-0", board, locks)
        await worker.run(listener, lambda: announce(config, opened))

    uvloop.run(main())
    return 0


class Watchdog:
    """Tells processes that stand still: their status, replaced every second, has not changed for `limit_s`."""

    def __init__(self, board: StatusBoard, limit_s: float) -> None:
        self._board = board
        self._limit_s = limit_s
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked_s = time.monotonic()

    def standing_still(self, children: Mapping[int, str]) -> list[int]:
        """The process ids of `children` that do. Time in which this process did not run does not count."""
        now = time.monotonic()
        found = []
        for status in self._board.read():
            if status.pid not in children:
                self._seen.pop(status.pid, None)
                continue
            written_ms, idle_s = self._seen.get(status.pid, (0, 0.0))
            idle_s = idle_s + min(now - self._looked_s, 2 * _LOOK_S) if written_ms == status.written_ms else 0.0
            self._seen[status.pid] = (status.written_ms, idle_s)
            if idle_s >= self._limit_s:
                found.append(status.pid)
        self._looked_s = now
        return found


class _Supervisor:
    def __init__(
        self, config: Config, opened: Opened, board: StatusBoard, announce: Announce, locks: DriveLocks
    ) -> None:
        self._config = config
        self._opened = opened
        self._board = board
        self._announce = announce
        self._locks = locks
        self._children: dict[int, str] = {}
        self._restarts = Restarts()
        self._stopping = False
        self._failed = False
        self._log = structlog.get_logger(component="supervisor")

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        gc.collect()
        gc.freeze()  # so that children share what was imported
        ready_read, ready_write = os.pipe()
        slots = [f"worker-{number}" for number in range(self._config.workers)]
        self._start(_HOUSEKEEPER, None, (ready_read, ready_write))
        for slot in slots:
            self._start(slot, ready_write, (ready_read,))
        os.close(ready_write)
        up = self._await_ready(ready_read, len(slots))
        os.close(ready_read)
        if up:
            self._announce(self._config, self._opened)
        elif not self._stopping:
            self._log.error("server_not_started", reason="a worker could not start; it has said why")
            self._on_signal(signal.SIGTERM, None)
        self._watch()
        return int(not up and self._failed)

    def _await_ready(self, ready: int, count: int) -> bool:
        seen = 0
        while seen < count and not self._stopping:
            if not select.select([ready], [], [], _LOOK_S)[0]:
                continue  # to see whether it was told to stop
            block = os.read(ready, 64)
            if not block:
                self._failed = not self._stopping
                return False  # a worker could not start; it has said why
            seen += len(block)
        return not self._stopping

    def _watch(self) -> None:
        """Restart what dies, and end what stands still, until told to stop; then wait for all."""
        watchdog = Watchdog(self._board, self._config.watchdog_s)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        while self._children or (self._restarts.waiting and not self._stopping):
            self._bury()
            if not self._stopping:
                for slot in self._restarts.due(time.monotonic()):
                    self._start(slot, None)
                for pid in watchdog.standing_still(self._children):
                    self._log.error("process_stands_still", slot=self._children[pid], pid=pid)
                    os.kill(pid, signal.SIGKILL)
            if self._children or not self._stopping:
                signal.sigtimedwait((signal.SIGCHLD,), self._restarts.until_due(time.monotonic(), _LOOK_S))

    def _bury(self) -> None:
        """Take note of every process that has ended."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            slot, code = self._children.pop(pid, None), os.waitstatus_to_exitcode(status)
            if slot is None or self._stopping:
                continue
            pause_s = self._restarts.died(slot, time.monotonic())
            self._log.error("process_died", slot=slot, pid=pid, status=code, starts_again_in_s=pause_s)
            if -code in _DEATHS_BY_DAMAGE:
                self._look_for_damage()

    def _look_for_damage(self) -> None:
        """What is mapped into memory may be damaged: a copy of the names that is, nobody opens again."""
        self._opened = as_of_now(self._opened, self._board.places())
        places = {drive.id: drive.path / METADATA for drive in self._opened.drives if drive.path is not None}
        mirrors = [name for name in newest_set(self._opened).members if name in places]
        damaged = tell_damaged(examine_in_forks({name: places[name] for name in mirrors}))
        for name in damaged if len(damaged) < len(mirrors) else ():
            self._log.error("mirror_damaged", drive=name)
            self._board.condemn(name)

    def _on_signal(self, number: int, _: object) -> None:
        self._stopping = True
        for pid in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _start(self, slot: str, ready: int | None, not_its_own: tuple[int, ...] = ()) -> None:
        self._opened = as_of_now(self._opened, self._board.places())
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # a signal meant for a child not listed, or not ready, is kept
        pid = os.fork()
        if pid:
            self._children[pid] = slot
            self._restarts.began(slot, time.monotonic())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
            return
        for descriptor in not_its_own:
            os.close(descriptor)
        self._run_child(slot, ready, parent)

    def _run_child(self, slot: str, ready: int | None, parent: int) -> NoReturn:
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, *_ENDS))
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            uvloop.run(self._main(slot, ready))
            code = 0
        except PyriteError as error:
            self._log.error("process_failed", slot=slot, reason=str(error))
        except BaseException as error:  # noqa: BLE001 - the last frame of the process
            self._log.error("process_failed", slot=slot, exc_info=error)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _main(self, slot: str, ready: int | None) -> Coroutine[Any, Any, None]:
        if slot == _HOUSEKEEPER:
            return housekeep(self._config, self._opened, self._board, self._locks)
        return self._serve(slot, ready)

    async def _serve(self, slot: str, ready: int | None) -> None:
        def report() -> None:
            if ready is not None:
                os.write(ready, b".")
                os.close(ready)

        await Worker(self._config, self._opened, slot, self._board).run(bind_again(self._config), report)


def bind_again(config: Config) -> socket.socket:
    """One more socket on the server's port."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((config.host, config.port))
    return listener
