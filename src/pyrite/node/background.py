"""Owns the background work of a server: builds the services of one store and runs their steps for ever."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from pyrite.blobs.mending import Mender
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import PyriteError
from pyrite.kms.upkeep import keep_keys
from pyrite.node.auditshipping import AuditShipper
from pyrite.node.conditions import Conditions
from pyrite.node.config import Config
from pyrite.node.dumping import Dumper
from pyrite.node.mirrors import MirrorKeeper
from pyrite.node.monitoring import Monitor
from pyrite.node.registry import drop_drive
from pyrite.node.storeprocess import StoreProcess
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.s3.handlers.inventories import place_of
from pyrite.s3.handlers.logs import destination_of
from pyrite.services.claims import Claims
from pyrite.services.compact import Compactor
from pyrite.services.exposure import Exposure
from pyrite.services.inventory import Inventories
from pyrite.services.lifecycle import Lifecycle
from pyrite.services.logdelivery import LogDelivery
from pyrite.services.notify import Notifier
from pyrite.services.orphans import Orphans
from pyrite.services.reaper import Reaper
from pyrite.services.repair import Repaired, Repairer
from pyrite.services.rewrap import Rewrapper
from pyrite.services.scrub import Scrubber, note_names_verified
from pyrite.services.surroundings import Surroundings
from pyrite.services.transitions import Mover, TierSweeper
from pyrite.services.upkeep import Upkeep, use_of
from pyrite.telemetry.status import StatusBoard

_PAUSE_S = 1.0
_DEFECT_PAUSE_S = 30.0
_FAILED_PAUSE_S = 5.0


class Background:
    """Everything that a store does by itself."""

    def __init__(self, store: StoreProcess, board: StatusBoard, monitor: Monitor, config: Config) -> None:
        self._store = store
        self._board = board
        self._dumped_for = (0, frozenset(store.membership.places()))
        self._log = structlog.get_logger(component="background")
        self._claims = Claims()
        around = self._surroundings()
        self.exposure = Exposure(store.drives, store.clock.now_ms, int(config.rebuild_after_s * 1000))
        self.reaper = Reaper(
            store.engine, store.blobs, store.clock, self._oldest_ms, monitor.on_reap_error, self._claims
        )
        self.repairer = Repairer(around, self.exposure, self._on_repaired)
        self.scrubber = Scrubber(around, config.scrub_period_s)
        self.compactor, self.orphans = Compactor(around, self.exposure), Orphans(around)
        self._names_good: set[str] = set()
        self._told_reasons: dict[str, str] = {}
        self._compact_s = config.compact_interval_s
        self.dumper = Dumper(store, config.scrub_period_s)
        self.mirrors = MirrorKeeper(store, board, config.scrub_period_s)
        self.upkeep = Upkeep(around, self.exposure)
        self.shipper = None
        if config.audit_log is not None and config.audit_webhook:
            self.shipper = AuditShipper(
                store.engine, config.audit_log, config.audit_webhook, config.audit_webhook_token
            )
        service = store.service(config, board.folder)
        self.notifier = Notifier(
            store.engine,
            store.targets(config).deliver,
            config.region,
            store.clock.now_ms,
            service.listeners.sweep,
        )
        self.logs = LogDelivery(
            store.engine,
            store.buckets,
            store.objects,
            partial(destination_of, service),
            store.clock.now_ms,
            config.log_roll_s,
        )
        mover = Mover(store.naming, store.reading, store.blobs, store.tiers, SystemEntropy(), store.under_way)
        self.lifecycle = Lifecycle(
            store.engine, store.buckets, store.naming, store.uploads, store.clock.now_ms, config.lifecycle_day_s, mover
        )
        self.inventories = Inventories(
            store.engine,
            store.buckets,
            store.objects,
            partial(place_of, service),
            store.offload,
            SystemEntropy(),
            store.clock.now_ms,
            config.lifecycle_day_s,
        )
        self.tier_sweeper = TierSweeper(store.engine, store.tiers, store.under_way, store.clock.now_ms)
        self.rewrapper = Rewrapper(store.engine, store.keyring, store.keys) if store.keyring is not None else None
        self.conditions = Conditions(store, board, self.upkeep)
        monitor.background = self._counts

    def _counts(self) -> dict[str, dict[str, int]]:
        """What the services of buckets have done, for the metrics."""
        return {
            "lifecycle": dict(self.lifecycle.done),
            "events": dict(self.notifier.done),
            "inventories": {"delivered": self.inventories.delivered},
            "access_logs": {"delivered": self.logs.delivered, "dropped": self.logs.dropped},
        }

    def _surroundings(self) -> Surroundings:
        store, workforce = self._store, self._store.volumes.workforce
        return Surroundings(
            store.engine,
            store.catalog,
            store.repairs,
            store.drives,
            store.blobs,
            Mender(store.drives, workforce),
            store.under_way,
            self._oldest_ms,
            store.clock,
            store.hybrid,
            SystemEntropy(),
            workforce.lane("mending"),
            self._on_error,
            self._claims,
        )

    def _oldest_ms(self) -> int:
        """When the oldest read or write of all processes began."""
        others = [status.oldest_under_way_ms for status in self._board.read()]
        return min([self._store.under_way.oldest_ms(), *others])

    async def run(self) -> None:
        """Step after step of every service, until cancelled."""
        steps = (
            self._reap,
            self._mind_drives,
            self._repair,
            self._scrub,
            self._compact,
            self._keep_names,
            self._keep_keys,
            self._live,
            self._take_inventories,
            self._deliver_logs,
            self._notify,
            self._ship_audit,
        )
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(self._for_ever(step))

    async def _for_ever(self, step: Callable[[], Awaitable[bool]]) -> None:
        while True:
            pause = _PAUSE_S
            try:
                if await step():
                    pause = 0
            except PyriteError as error:
                self._on_error(error)
                pause = _FAILED_PAUSE_S
            except Exception as error:  # noqa: BLE001 - a defect of one service does not end the others
                self._log.error("background_step_defect", step=step.__name__, exc_info=error)
                pause = _DEFECT_PAUSE_S
            await asyncio.sleep(pause)

    async def _reap(self) -> bool:
        return (await self.reaper.step()).more

    async def _mind_drives(self) -> bool:
        store = self._store
        await store.membership.follow()
        records = store.membership.records
        leaving = {record.id: record.successor for record in records.values() if record.role != "active"}
        self.exposure.leave(leaving, [record.id for record in records.values() if record.role == "lost"])
        await self.conditions.step()
        await self.upkeep.step()
        await self._let_go()
        return False

    async def _let_go(self) -> None:
        """Forget lost drives on which nothing stands any more."""
        lost = [record.id for record in self._store.membership.records.values() if record.role == "lost"]
        if not lost:
            return
        uses = use_of(await MetadataCatalog(self._store.engine).all())
        for drive_id in lost:
            if drive_id not in uses:
                self._log.info("drive_let_go", drive=drive_id)
                await drop_drive(self._store.engine, drive_id)

    async def _repair(self) -> bool:
        return await self.repairer.step()

    async def _scrub(self) -> bool:
        done = await self.scrubber.step()
        if done.faults:
            self._log.warning("scrub_found_damage", fragments=done.faults, read_bytes=done.read_bytes)
        return done.volumes > 0

    async def _compact(self) -> bool:
        done = await self.compactor.step()
        if done != (0, 0):
            self._log.info("compacted", removed_volumes=done.removed, moved_bytes=done.moved_bytes)
            return True
        removed = await self.orphans.step()
        if removed:
            self._log.info("orphans_removed", files=removed)
        await asyncio.sleep(self._compact_s)
        return False

    async def _keep_names(self) -> bool:
        """Keep the mirrors complete and the names on the drives recoverable."""
        made = await self.mirrors.step()
        journal_failures = sum(status.journal_failures for status in self._board.read())
        drives = frozenset(self._store.membership.places())
        if (journal_failures, drives) != self._dumped_for:
            self._dumped_for = (journal_failures, drives)
            self.dumper.ask()
        self._names_good |= {"mirrors"} if await self.mirrors.examine() else set()
        self._names_good |= {"logs"} if await self.dumper.examine() else set()
        if self._names_good == {"mirrors", "logs"}:
            self._names_good = set()
            await note_names_verified(self._store.engine, self._store.clock.now_ms())
        return await self.dumper.step() or made

    async def _live(self) -> bool:
        """Do what lifecycle rules say."""
        if await self.lifecycle.step():
            self._log.info("lifecycle", **self.lifecycle.done)
        swept = await self.tier_sweeper.step()
        if swept:
            self._log.info("tiers_swept", blobs=swept)
        return self.lifecycle.is_busy

    async def _take_inventories(self) -> bool:
        """Make the inventories that are due."""
        if await self.inventories.step():
            self._log.info("inventory_delivered", count=self.inventories.delivered)
        return self.inventories.is_busy

    async def _ship_audit(self) -> bool:
        """Send the audit log on."""
        return self.shipper is not None and await self.shipper.step()

    async def _notify(self) -> bool:
        """Deliver events."""
        more = await self.notifier.step()
        if self.notifier.reasons != self._told_reasons:
            self._told_reasons = dict(self.notifier.reasons)
            for target, reason in self._told_reasons.items():
                self._log.warning("event_not_delivered", target=target, reason=reason)
        return more

    async def _deliver_logs(self) -> bool:
        """Roll access logs of buckets into objects."""
        return await self.logs.step() > 0

    async def _keep_keys(self) -> bool:
        """Rotate and delete KMS keys that are due, and move everything to the newest master key."""
        if self.rewrapper is None:
            return False
        now_ms = self._store.clock.now_ms()
        changed = await keep_keys(self._store.keys, now_ms)
        if changed:
            self._log.info("kms_keys_changed", keys=changed)
        moved = await self.rewrapper.step(now_ms)
        if moved:
            self._log.info("keys_rewrapped", count=moved)
        return self.rewrapper.is_busy

    def _on_repaired(self, repaired: Repaired) -> None:
        self._log.info(
            "volume_repaired",
            volume=f"{repaired.volume:016x}",
            shards=list(repaired.shards),
            written_bytes=repaired.written_bytes,
            lost_stripes=repaired.lost_stripes,
        )

    def _on_error(self, error: PyriteError) -> None:
        self._log.warning("background_step_failed", reason=str(error))


async def keep(background: Background, stop: asyncio.Event) -> None:
    """Run `background` until `stop`. What it raises sets `stop` and is raised: the process ends and is started anew."""
    running, stopping = asyncio.create_task(background.run()), asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
