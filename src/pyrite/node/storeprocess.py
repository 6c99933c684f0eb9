"""Owns the store as one process opens it: metadata, drives, blobs, and the objects on top of them."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import structlog

from pyrite.blobs.buffers import BufferPools
from pyrite.blobs.drive import Drive, DriveState
from pyrite.blobs.drivelog import DriveLog
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.fetching import Damage
from pyrite.blobs.local import LocalDrive
from pyrite.blobs.store import BlobStore
from pyrite.blobs.tiers import NoTiers, Tiers
from pyrite.blobs.volumes import Volumes
from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import PyriteError
from pyrite.core.offload import ThreadOffload, ThreadWorkforce
from pyrite.core.pace import slow_drives
from pyrite.core.turns import Turns
from pyrite.functions.declared import Declaration, read_functions
from pyrite.functions.running import Functions
from pyrite.http.outbound import Outbound
from pyrite.iam.callers import Callers, RootKey
from pyrite.iam.changing import Changes
from pyrite.iam.owners import Owners
from pyrite.iamapi.actions.ldapidentity import Limiter
from pyrite.iamapi.call import Identities
from pyrite.iamapi.issuers import Issuers
from pyrite.kms.keys import KmsKeys
from pyrite.metadata.environment import LmdbEnvironment
from pyrite.metadata.journal import Journal
from pyrite.metadata.mirror import Mirror
from pyrite.metadata.rules import Rules
from pyrite.node.config import Config
from pyrite.node.drives import METADATA
from pyrite.node.ldapdirectory import LdapDirectory, read_config
from pyrite.node.membership import Membership
from pyrite.node.opening import Opened, make_drives, newest_set, open_engine
from pyrite.node.targets import Targets, read_targets
from pyrite.node.tiering import ObstoreTiers, read_tiers
from pyrite.objects.buckets import Buckets
from pyrite.objects.layer import object_layer
from pyrite.objects.underway import UnderWay
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.query.processes import Queries
from pyrite.s3.access import Access
from pyrite.s3.authentication import Authenticator
from pyrite.s3.compat import compat_of
from pyrite.s3.encryption import Encryptor
from pyrite.s3.service import Service
from pyrite.services.listening import Listeners
from pyrite.services.logdelivery import LogBook
from pyrite.services.repairs import RepairQueue

_OFFLOAD_THREADS = 4
_REPORTED_MAX = 1000
_PROBE_S = 1.0
_SHARD_THREADS = 4
JOURNAL = "names"
SLOW = "slow"
"""What a drive is told to be, beside the states of DriveState."""

Hold = Callable[[Path], None]
Condemned = Callable[[], Collection[str]]
"""Asked for the drives whose copies of the names are damaged, as they are now: one that was made again is taken in."""


class StoreProcess:
    """The store as one process opens it: metadata, drives, blobs, and the objects on top of them."""

    def __init__(
        self, config: Config, opened: Opened, slot: str, hold: Hold | None = None, condemned: Condemned = tuple
    ) -> None:
        self.slot = slot
        self.opened = opened
        self._condemned = condemned
        self.opened_pid = os.getpid()
        self.clock = SystemClock()
        self.hybrid = HybridClock(self.clock)
        entropy = SystemEntropy()
        self.drives = DriveSet(make_drives(opened.store.id, opened.drives))
        workforce = ThreadWorkforce(max(_SHARD_THREADS, len(self.drives)))
        self._journal = DriveLog(
            JOURNAL, slot, self.drives, HybridClock(self.clock), lambda: self.volumes.drives_needed, workforce
        )
        self.engine = open_engine(
            newest_set(opened),
            {drive.id: drive.path for drive in opened.drives if drive.path and drive.id not in condemned()},
            lambda: list(self.membership.places().values()),
            Journal(self._journal.append, HybridClock(self.clock).next),
            self._open_mirror,
            opened.epoch,
        )
        self.rules = Rules(self.engine, entropy, opened.rules)
        self.catalog = MetadataCatalog(self.engine)
        self.volumes = Volumes(
            self.drives, self.catalog, self.hybrid, slot, config.parity, config.volume_shard_bytes, workforce
        )
        self.membership = Membership(self.engine, opened.store.id, self.drives, self.volumes, hold)
        self.repairs = RepairQueue(self.engine)
        self._reported: set[tuple[int, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._probes: dict[str, asyncio.Future[bool]] = {}
        self._loop = asyncio.get_running_loop()
        self.offload = ThreadOffload(_OFFLOAD_THREADS)
        self.damaged_fragments = 0
        self.tiers, self.buffers = self._open_tiers(config, opened.store.id), BufferPools.of(config.buffer_memory_bytes)
        self.blobs = BlobStore(self.volumes, self.buffers, self.offload, self._on_damage, self.tiers)
        self.under_way = UnderWay(self.clock)
        self.buckets = Buckets(self.engine, self.hybrid, entropy, self.rules)
        layer = object_layer(self.engine, self.buckets, self.blobs, self.hybrid, entropy, self.under_way)
        self.naming, self.reading, self.objects, self.uploads, self.appending, self.annotating = layer
        self.listeners = Listeners(self.engine, self.buckets, self.clock, entropy, config.region)
        self.logbook = LogBook(self.engine, self.hybrid, entropy)
        self.keyring = opened.keyring
        self.keys = KmsKeys(self.engine, self.keyring, self.clock, entropy, config.region)
        root = opened.credentials
        self.changes = Changes(self.engine, self.clock, entropy, self.rules, self.keyring)
        self.callers = Callers(
            self.engine,
            self.clock,
            RootKey(root.access_key, root.secret_key, opened.store.account_id),
            self.rules,
            self.keyring,
        )
        self._log = structlog.get_logger(component="store")

    def _open_mirror(self, drive_id: str) -> Mirror:
        """The mirror on a drive, taken in by another process. Raises OSError or lmdb.Error."""
        path = self.membership.places().get(drive_id)
        if path is None or drive_id in self._condemned():
            raise FileNotFoundError(drive_id)
        return Mirror(drive_id, LmdbEnvironment(path / METADATA))

    def service(self, config: Config, folder: Path) -> Service:
        """The store as handlers see it; `folder` is where the processes of the server meet."""
        owners, compat = Owners(self.engine), compat_of(config.compat)
        access = Access(self.buckets, self.naming, owners, self.clock, config.region, compat, config.trusted_proxies)
        return Service(
            self.engine,
            self.buckets,
            self.naming,
            self.objects,
            self.uploads,
            self.appending,
            self.annotating,
            self.reading,
            access,
            Authenticator(self.callers, self.clock, config.region, compat),
            Encryptor(self.keyring, self.keys, SystemEntropy(), config.region, compat, access.about),
            self.targets(config),
            self.listeners,
            Queries(),
            self._functions(config, folder),
            owners,
            self.clock,
            compat,
            config.region,
            Turns(),
        )

    def _open_tiers(self, config: Config, store_id: str) -> Tiers:
        """Where storage classes have their bytes."""
        declared = read_tiers(config.tiers) if config.tiers is not None else []
        return ObstoreTiers(declared, store_id, self.offload, SystemEntropy()) if declared else NoTiers()

    def _functions(self, config: Config, folder: Path) -> Functions:
        """What objects can be read through."""
        declared = read_functions(config.functions) if config.functions is not None else Declaration()
        scheme = "https" if config.tls_certificate is not None else "http"
        host = "127.0.0.1" if config.host in ("0.0.0.0", "::", "") else config.host  # noqa: S104 - it is asked about
        endpoint = f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.port}"
        return Functions(
            declared, endpoint, Outbound(config.outbound_networks), SystemEntropy(), folder, self._hidden(config)
        )

    def _hidden(self, config: Config) -> tuple[str, ...]:
        """What no function may read: drives, folders of tiers, secrets, logs, and what says whom the store knows."""
        files = (config.keyring, config.tls_key, config.targets, config.tiers, config.ldap, config.identities)
        others = (config.functions, config.audit_log, config.access_log)
        tiers = (tier.path for tier in (read_tiers(config.tiers) if config.tiers is not None else ()) if tier.path)
        secrets = (*config.secret_files, *((read_config(config.ldap).bind_password_file,) if config.ldap else ()))
        drives = (drive.path for drive in self.opened.drives)
        return tuple(str(path) for path in (*drives, *files, *others, *tiers, *secrets) if path is not None)

    def targets(self, config: Config) -> Targets:
        """Where events can go."""
        declared = read_targets(config.targets) if config.targets is not None else {}
        return Targets(self.changes.view, Outbound(config.outbound_networks), declared)

    def identities(self, config: Config) -> Identities:
        """The store's identities as the IAM API sees them."""
        like_rgw = compat_of(config.compat).rgw_identities
        issuers = Issuers(Outbound(config.outbound_networks).get, self.clock)
        directory = LdapDirectory(read_config(config.ldap)) if config.ldap is not None else None
        own_account, limiter = self.opened.store.account_id, Limiter(self.clock)
        return Identities(
            self.changes,
            self.callers,
            self.clock,
            SystemEntropy(),
            issuers,
            limiter,
            own_account,
            directory,
            like_rgw,
            config.region,
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
        self._loop.call_soon_threadsafe(self._queue_repair, damage)

    def _queue_repair(self, damage: Damage) -> None:
        place = (damage.volume, damage.shard)
        if place not in self._reported and len(self._reported) < _REPORTED_MAX:
            self._reported.add(place)
            task = asyncio.ensure_future(self._put_repair(damage))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _put_repair(self, damage: Damage) -> None:
        try:
            await self.repairs.put(damage.volume, (damage.shard,), "a read found damage", self.clock.now_ms())
        except PyriteError as error:
            self._log.warning("repair_not_queued", volume=f"{damage.volume:016x}", reason=str(error))

    async def tick(self) -> None:
        """What every process does once a second: notice what became of drives and volumes."""
        self._reported.clear()
        steps: list[Callable[[], Awaitable[object]]] = [
            self._probe_drives,
            self._drop_mirrors,
            self.engine.follow,
            self.membership.follow,
            self.volumes.seal_unusable,
            self.rules.follow,
            self._refresh_keys,
            self.callers.tell_uses,
            self.logbook.flush,
        ]
        for step in steps:
            await self.guarded(step)

    async def guarded(self, step: Callable[[], Awaitable[object]]) -> None:
        """Do one step of what is done once a second: where it fails, that is logged, and the others are done."""
        try:
            await step()
        except PyriteError as error:
            self._log.warning("tick_failed", step=step.__name__, reason=str(error))
        except Exception as error:  # noqa: BLE001 - a defect of one step does not end the others
            self._log.error("tick_defect", step=step.__name__, exc_info=error)

    async def _refresh_keys(self) -> None:
        if self.keyring is not None:
            await self.offload.run(self.keyring.refresh)

    async def _drop_mirrors(self) -> None:
        """Do without the metadata mirrors that somebody else, or a drive, says cannot be used."""
        for name in self._condemned():
            self.engine.condemn(name)
        for drive in self.drives.values():
            if drive.state is not DriveState.ONLINE or self._holds_up_names(drive):
                self.engine.condemn(drive.id)

    async def _probe_drives(self) -> None:
        """Note which drives have gone away. One that does not answer is asked once, and holds up none of the others."""
        for drive in self.drives.values():
            if isinstance(drive, LocalDrive) and drive.state is DriveState.ONLINE and drive.id not in self._probes:
                self._probes[drive.id] = self.volumes.workforce.lane(f"probe {drive.id}").start(drive.probe)
        if self._probes:
            await asyncio.wait(self._probes.values(), timeout=_PROBE_S)
        for name, probe in [(name, probe) for name, probe in self._probes.items() if probe.done()]:
            del self._probes[name]
            probed = self.drives.get(name)
            if not probe.result() and isinstance(probed, LocalDrive):
                self._log.error("drive_lost", drive=name, path=str(probed.path), reason=probed.reason)

    def _holds_up_names(self, drive: Drive) -> bool:
        """Whether the drive is slow and the names are on others that are not."""
        if not self.drives.is_slow(drive.id):
            return False
        return any(self.drives.takes_data(name) and not self.drives.is_slow(name) for name in self.engine.mirrors)

    def drive_states(self) -> dict[str, str]:
        """The state of every drive; "slow" for one that is online and much slower than the others."""
        local = [drive for drive in self.drives.values() if isinstance(drive, LocalDrive)]
        slow = slow_drives({drive.id: drive.pace for drive in local if drive.state is DriveState.ONLINE})
        slow |= slow_drives(self.engine.paces)
        return {
            drive.id: SLOW if drive.id in slow and drive.readable else drive.state.value
            for drive in self.drives.values()
        }

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
