"""Owns one worker process: the store opened for itself, an HTTP server, and what it does once a second."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Callable

import msgspec
import structlog

from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import ConfigError
from pyrite.http.limits import Limits
from pyrite.http.server import HttpServer
from pyrite.http.tls import TlsFiles
from pyrite.iamapi.app import IamApp
from pyrite.kmsapi.app import KmsApp
from pyrite.node.background import Background, keep
from pyrite.node.config import Config
from pyrite.node.drives import DriveLocks
from pyrite.node.monitoring import Monitor
from pyrite.node.opening import Opened, seal_left_open
from pyrite.node.storeprocess import StoreProcess
from pyrite.s3.app import S3App
from pyrite.s3.quick import QuickWay
from pyrite.telemetry.status import StatusBoard

_TICK_S = 1.0
_NICENESS = 10
_FILES_KEPT = 512


class Worker:
    """A process that serves requests; with the server's `locks` it also does the background work."""

    def __init__(
        self, config: Config, opened: Opened, slot: str, board: StatusBoard, locks: DriveLocks | None = None
    ) -> None:
        reaps = locks is not None
        self._config = config
        self._store = StoreProcess(config, opened, slot, locks.add if locks is not None else None, board.condemned)
        self._board = board
        self._log = structlog.get_logger(component="worker", slot=slot)
        self._tls = None
        if config.tls_certificate is not None and config.tls_key is not None:
            self._tls = TlsFiles(config.tls_certificate, config.tls_key, config.tls_client_ca)
        self._monitor = Monitor(
            self._store, board, config.access_log, config.audit_log, config.trusted_proxies, config.metrics_token
        )
        clock, prefix = self._store.clock, SystemEntropy().bytes(4).hex().upper()
        service = self._store.service(config, board.folder)
        app = S3App(
            service,
            service.authenticator,
            clock,
            self._monitor,
            prefix,
            tuple(domain.encode() for domain in config.domains),
            tuple(domain.encode() for domain in config.website_domains),
        )
        self._monitor.app = app
        self._monitor.iam = IamApp(
            self._store.identities(config), self._monitor, prefix, config.region, config.trusted_proxies
        )
        self._monitor.kms = KmsApp(
            self._store.keys, self._store.callers, clock, self._monitor, prefix, config.region, config.trusted_proxies
        )
        self._server = HttpServer(self._monitor.handle, app.on_http_error, self._monitor.on_crash, clock, _limits())
        if not config.domains and not config.website_domains and not self._monitor.logs_access:
            quick = QuickWay(
                service,
                service.authenticator,
                app.id_headers,
                app.failed,
                clock.monotonic_s,
                self._monitor.on_quick,
            )
            self._server.quick = quick.answer
        self._server.is_short = lambda: self._store.buffers.is_short
        self._monitor.connections = lambda: self._server.connection_count
        self._background = Background(self._store, board, self._monitor, config) if reaps else None

    async def run(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, then finish the requests under way."""
        await self._store.tick()
        await self._monitor.begin_audit()
        store = self._store
        await seal_left_open(store.catalog, store.repairs, store.drives, store.slot, store.clock.now_ms())
        self._monitor.publish()
        await self._server.start(listener, self._tls.context if self._tls else None)
        stop = stop_event()
        ticking = asyncio.create_task(self._tick())
        beating = asyncio.create_task(beat(self._monitor))
        keeping = asyncio.create_task(keep(self._background, stop)) if self._background else None
        ready()
        await stop.wait()
        self._store.listeners.close()
        await self._server.stop(self._config.drain_timeout_s)
        for task in (ticking, beating):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if keeping is not None:
            await keeping
        self._monitor.publish()
        await self._monitor.keep_audit()
        await self._store.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await self._store.tick()
            await self._store.guarded(self._monitor.keep_audit)
            await self._store.guarded(self._reload_certificate)

    async def _reload_certificate(self) -> None:
        try:
            if self._tls is not None and self._tls.reload():
                self._log.info("certificate_reloaded")
        except ConfigError as error:
            self._log.error("certificate_not_reloaded", reason=str(error))


def _limits() -> Limits:
    """The limits of connections: some open files are kept for volumes, metadata and what the store connects to."""
    limits, (allowed, _) = Limits(), resource.getrlimit(resource.RLIMIT_NOFILE)
    return msgspec.structs.replace(limits, connections=max(min(limits.connections, allowed - _FILES_KEPT), 64))


async def housekeep(config: Config, opened: Opened, board: StatusBoard, locks: DriveLocks) -> None:
    """The housekeeper's process: background work until it is told to stop. `locks` are those of the server."""
    os.nice(_NICENESS)
    store = StoreProcess(config, opened, "housekeeper", locks.add, board.condemned)
    monitor = Monitor(store, board, None)
    await store.tick()
    stop = stop_event()
    running = asyncio.create_task(keep(Background(store, board, monitor, config), stop))
    beating = asyncio.create_task(beat(monitor))
    while not stop.is_set():
        await store.tick()
        store.engine.reap_readers()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S):
                await stop.wait()
    await running
    beating.cancel()
    await store.close()


async def beat(monitor: Monitor) -> None:
    """Tell the others once a second that this process lives, whatever its work waits for."""
    log = structlog.get_logger(component="worker")
    while True:
        try:
            monitor.publish()
        except Exception as error:  # tried again; one that never can is ended by the watchdog
            log.error("status_not_told", exc_info=error)
        await asyncio.sleep(_TICK_S)


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
