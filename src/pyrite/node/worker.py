"""Owns one worker process: the store opened for itself, an HTTP server, and what it does once a second."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import structlog

from pyrite.blobs.buffers import BufferPool
from pyrite.blobs.drive import DriveState
from pyrite.blobs.local import LocalDrive
from pyrite.blobs.reader import Damage
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volumes import Volumes
from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import ConfigError, PyriteError
from pyrite.core.offload import ThreadOffload
from pyrite.http.limits import Limits
from pyrite.http.server import HttpServer
from pyrite.http.tls import TlsFiles
from pyrite.node.config import Config
from pyrite.node.monitoring import Monitor
from pyrite.node.opening import Opened, make_drives, open_engine, seal_left_open
from pyrite.objects.buckets import Buckets
from pyrite.objects.naming import Naming
from pyrite.objects.objects import Objects
from pyrite.objects.reading import Readers, Reading
from pyrite.objects.uploads import Uploads
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.s3.app import S3App
from pyrite.s3.authentication import Authenticator
from pyrite.s3.quick import QuickWay
from pyrite.s3.request import Identity
from pyrite.s3.service import Service
from pyrite.services.reaper import Reaper
from pyrite.telemetry.status import StatusBoard

_TICK_S = 1.0
_OFFLOAD_THREADS = 4
_REAP_PAUSE_S = 1.0


class RootAlone:
    """The credentials of this version: the root's."""

    def __init__(self, access_key: str, secret_key: str, account: str) -> None:
        self._access_key = access_key
        self._found = (Identity(access_key, account), secret_key)

    def find(self, access_key: str) -> tuple[Identity, str] | None:
        return self._found if access_key == self._access_key else None


class StoreProcess:
    """The store as one process opens it: metadata, drives, blobs, and the objects on top of them."""

    def __init__(self, config: Config, opened: Opened, slot: str) -> None:
        self.slot = slot
        self.opened = opened
        self.opened_pid = os.getpid()
        self.clock = SystemClock()
        self.hybrid = HybridClock(self.clock)
        entropy = SystemEntropy()
        places = {drive.id: drive.path for drive in opened.drives if drive.path is not None}
        self.engine = open_engine(opened.mirrors, places, opened.online)
        self.drives = make_drives(opened.drives)
        self.catalog = MetadataCatalog(self.engine)
        self.volumes = Volumes(self.drives, self.catalog, self.hybrid, slot, config.parity, config.volume_shard_bytes)
        self.offload = ThreadOffload(_OFFLOAD_THREADS)
        self.damaged_fragments = 0
        self.blobs = BlobStore(self.volumes, BufferPool(config.buffer_memory_bytes), self.offload, self._on_damage)
        self.readers = Readers(self.clock)
        self.reading = Reading(self.engine, self.blobs, self.readers)
        self.buckets = Buckets(self.engine, self.hybrid, entropy)
        self.naming = Naming(self.engine, self.buckets, self.hybrid, entropy)
        self.objects = Objects(self.naming, self.blobs, self.reading, self.hybrid)
        self.uploads = Uploads(self.engine, self.naming, self.blobs, self.hybrid, entropy)
        self._log = structlog.get_logger(component="store")

    def service(self, region: str) -> Service:
        """The store as handlers see it."""
        return Service(
            self.engine,
            self.buckets,
            self.naming,
            self.objects,
            self.uploads,
            self.reading,
            self.opened.store.owner,
            region,
        )

    def _on_damage(self, damage: Damage) -> None:
        self.damaged_fragments += 1
        self._log.warning(
            "fragment_damaged",
            volume=f"{damage.volume:016x}",
            shard=damage.shard,
            offset=damage.offset,
            reason=damage.reason,
        )

    def probe_drives(self) -> None:
        """Fence drives that have gone away, and drop the metadata mirrors on them."""
        for drive in self.drives.values():
            if isinstance(drive, LocalDrive) and drive.state is DriveState.ONLINE and not drive.probe():
                self._log.error("drive_lost", drive=drive.id, path=str(drive.path), reason=drive.reason)
            if drive.state is not DriveState.ONLINE:
                self.engine.condemn(drive.id)

    def may_write(self) -> bool:
        """Whether enough drives are there for a write to keep its parity."""
        online = sum(drive.state is DriveState.ONLINE for drive in self.drives.values())
        return online >= self.volumes.drives_needed

    async def close(self) -> None:
        """Seal what is open, and finish what runs."""
        with contextlib.suppress(PyriteError):
            await self.blobs.close()
        await self.engine.close()
        self.offload.close()


class Worker:
    """A process that serves requests; with `reaps` it also does the background work."""

    def __init__(self, config: Config, opened: Opened, slot: str, board: StatusBoard, reaps: bool = False) -> None:
        self._config = config
        self._store = StoreProcess(config, opened, slot)
        self._board = board
        self._log = structlog.get_logger(component="worker", slot=slot)
        self._tls = None
        if config.tls_certificate is not None and config.tls_key is not None:
            self._tls = TlsFiles(config.tls_certificate, config.tls_key)
        self._monitor = Monitor(self._store, board, config.access_log)
        clock, prefix = self._store.clock, SystemEntropy().bytes(4).hex().upper()
        credentials = RootAlone(opened.credentials.access_key, opened.credentials.secret_key, opened.store.account_id)
        service = self._store.service(config.region)
        authenticator = Authenticator(credentials, clock, config.region)
        app = S3App(
            service,
            authenticator,
            clock,
            self._monitor,
            prefix,
            tuple(domain.encode() for domain in config.domains),
        )
        self._monitor.app = app
        self._server = HttpServer(self._monitor.handle, app.on_http_error, self._monitor.on_crash, clock, Limits())
        if not config.domains and not self._monitor.logs_access:
            quick = QuickWay(
                service, authenticator, app.id_headers, app.no_such_key, clock.monotonic_s, self._monitor.on_quick
            )
            self._server.quick = quick.answer
        self._monitor.connections = lambda: self._server.connection_count
        self._reaper = make_reaper(self._store, board, self._monitor) if reaps else None

    async def run(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, then finish the requests under way."""
        await seal_left_open(self._store.catalog, self._store.drives, self._store.slot)
        self._monitor.publish()
        await self._server.start(listener, self._tls.context if self._tls else None)
        stop = stop_event()
        ticking = asyncio.create_task(self._tick())
        reaping = asyncio.create_task(reap_for_ever(self._reaper)) if self._reaper else None
        ready()
        await stop.wait()
        await self._server.stop(self._config.drain_timeout_s)
        for task in filter(None, (ticking, reaping)):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._monitor.publish()
        await self._store.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._store.probe_drives()
            self._monitor.publish()
            if self._tls is not None:
                try:
                    if self._tls.reload():
                        self._log.info("certificate_reloaded")
                except ConfigError as error:
                    self._log.error("certificate_not_reloaded", reason=str(error))


def make_reaper(store: StoreProcess, board: StatusBoard, monitor: Monitor) -> Reaper:
    """The reaper of a server: it looks at what all its processes are reading."""

    def oldest_read_ms() -> int:
        others = [status.oldest_read_ms for status in board.read()]
        return min([store.readers.oldest_ms(), *others])

    return Reaper(store.engine, store.blobs, store.clock, oldest_read_ms, monitor.on_reap_error)


async def reap_for_ever(reaper: Reaper) -> None:
    """Step after step, with a pause when there is nothing to free."""
    while True:
        reaped = await reaper.step()
        await asyncio.sleep(0 if reaped.more else _REAP_PAUSE_S)


async def housekeep(config: Config, opened: Opened, board: StatusBoard) -> None:
    """The housekeeper's process: background work until it is told to stop."""
    store = StoreProcess(config, opened, "housekeeper")
    monitor = Monitor(store, board, None)
    reaping = asyncio.create_task(reap_for_ever(make_reaper(store, board, monitor)))
    stop = stop_event()
    while not stop.is_set():
        store.probe_drives()
        store.engine.reap_readers()
        monitor.publish()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _TICK_S)
    reaping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reaping
    await store.close()


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
