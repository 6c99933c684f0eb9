"""Owns what a worker tells of itself: health, metrics, the access log, reports of defects."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from pyrite.blobs.drive import DriveError, DriveState
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import PyriteError
from pyrite.http.hosting import Request
from pyrite.http.proxies import Networks, client_address
from pyrite.http.response import Response
from pyrite.iam.calls import CallObserver, ToldCall
from pyrite.iamapi.app import IamApp, is_call
from pyrite.kmsapi.app import KmsApp
from pyrite.kmsapi.app import is_call as is_kms_call
from pyrite.node.auditing import keep_head, load_heads, make_key
from pyrite.s3.app import Observer, S3App
from pyrite.s3.bucketlogging import Happened, line_of, logging_of
from pyrite.s3.request import S3Request
from pyrite.services.scrub import oldest_unverified_ms
from pyrite.telemetry.access import AccessLog, AccessRecord
from pyrite.telemetry.audit import START, AuditLog, AuditRecord, Head
from pyrite.telemetry.requests import RequestCounter
from pyrite.telemetry.status import ProcessStatus, StatusBoard

if TYPE_CHECKING:
    from pyrite.node.storeprocess import StoreProcess

LIVE = frozenset((b"/health", b"/health/live", b"/minio/health/live"))
READY = frozenset((b"/health/ready", b"/minio/health/ready", b"/minio/health/cluster", b"/minio/health/cluster/read"))
METRICS = frozenset((b"/metrics", b"/minio/v2/metrics/cluster"))
_OWN = LIVE | READY | METRICS
_CLAIM = re.compile(rb"(?:Credential=|AWSAccessKeyId=|^AWS )([A-Za-z0-9_.+-]{3,128})")

_SOURCES = (b"x-amz-copy-source", b"x-amz-rename-source")
BUCKETS_TOLD_MAX = 10_000
"""Of how many buckets the metrics tell the size, in the order of their names."""

Gauge = tuple[str, str, dict[str, str], float]


class Monitor(Observer, CallObserver):
    """Answers the unauthenticated paths, hands the rest to the app, and keeps account of it all."""

    app: S3App
    iam: IamApp
    kms: KmsApp

    def __init__(
        self,
        store: StoreProcess,
        board: StatusBoard,
        access_log: Path | None,
        audit_log: Path | None = None,
        trusted: Networks = (),
        metrics_token: str = "",
    ) -> None:
        """With a `metrics_token`, metrics are told to those who send it as a bearer token alone (RFC 6750)."""
        self._token = metrics_token
        self._store = store
        self._board = board
        before = board.slot(store.slot)
        self._counter = RequestCounter(before.operations if before is not None else None)
        self._damaged_before = before.damaged_fragments if before is not None else 0
        self._access = AccessLog(access_log) if access_log is not None else None
        self._audit_folder = audit_log
        self._trusted = trusted
        self._audit: AuditLog | None = None
        self._audited = 0
        self._log = structlog.get_logger(component="request", slot=store.slot)
        self._places: dict[str, str] = {}
        self.connections: Callable[[], int] = lambda: 0
        self.background: Callable[[], dict[str, dict[str, int]]] = dict

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """The HTTP handler: health and metrics without a signature, calls of IAM and STS, everything else is S3."""
        path = request.head.target
        if path in _OWN or (b"?" in path and path.partition(b"?")[0] in _OWN):
            return self._own_or_app(request, path.partition(b"?")[0])
        return self._apps(request)

    def _apps(self, request: Request) -> Coroutine[Any, Any, Response]:
        if is_kms_call(request):
            return self.kms.handle(request)
        return self.iam.handle(request) if is_call(request) else self.app.handle(request)

    async def _own_or_app(self, request: Request, path: bytes) -> Response:
        response = await self._own(request, path)
        return response if response is not None else await self._apps(request)

    async def _own(self, request: Request, path: bytes) -> Response | None:
        head = request.head
        if path in METRICS and self._token:
            given = head.fields.get(b"authorization", b"")
            if not hmac.compare_digest(given, b"Bearer " + self._token.encode()):
                return None
            return await self._metrics()
        if head.method not in (b"GET", b"HEAD") or b"authorization" in head.fields or b"ignature" in head.target:
            return None
        if path in LIVE:
            return Response(200, [(b"Content-Type", b"text/plain")], b"ok\n")
        if path in READY:
            problems = self._problems()
            text = "\n".join(problems) or "ready"
            return Response(503 if problems else 200, [(b"Content-Type", b"text/plain")], text.encode() + b"\n")
        return await self._metrics()

    async def _metrics(self) -> Response:
        from pyrite.telemetry.metrics import CONTENT_TYPE, StoreGauges, expose  # some MiB, for those who ask

        self.publish()
        page = expose(self._board.read(), StoreGauges(await self._gauges()))
        return Response(200, [(b"Content-Type", CONTENT_TYPE.encode())], page)

    def _problems(self) -> list[str]:
        """Why requests cannot be served in full; empty when they can."""
        problems = []
        if not self._store.may_write():
            problems.append("too few drives are online for writes")
        if self._store.buffers.refuses(asyncio.get_running_loop().time()):
            problems.append("requests wait for buffers in vain: clients that are too slow are being ended")
        return problems

    async def _gauges(self) -> list[Gauge]:
        rows: list[Gauge] = []
        for drive in self._store.drives.values():
            labels = {"drive": drive.id}
            online, slow = drive.state is DriveState.ONLINE, self._store.drives.is_slow(drive.id)
            rows.append(("pyrite_drive_online", "1 when the drive is used", labels, float(online)))
            rows.append(("pyrite_drive_slow", "1 when the drive is worked around", labels, float(slow)))
            try:
                space = await self._store.offload.run(drive.space)
            except DriveError:
                continue
            rows.append(("pyrite_drive_total_bytes", "Size of the drive", labels, space.total_bytes))
            rows.append(("pyrite_drive_free_bytes", "Bytes that may still be written", labels, space.free_bytes))
        short = float(self._store.buffers.is_short)
        rows.append(("pyrite_buffers_short", "1 when requests of this process wait for buffers", {}, short))
        waiting = await self._store.repairs.all()
        rows.append(("pyrite_volumes_waiting_for_repair", "Volumes in the repair queue", {}, len(waiting)))
        lost = sum(queued.record.lost_stripes for queued in waiting)
        rows.append(("pyrite_lost_stripes", "Stripes that could not be made again", {}, lost))
        oldest = await oldest_unverified_ms(self._store.engine)
        age_s = (self._store.clock.now_ms() - oldest) / 1000 if oldest is not None else 0
        rows.append(("pyrite_oldest_unverified_seconds", "Age of the oldest byte that scrub has not seen", {}, age_s))
        return rows + await self._gauges_of_buckets()

    async def _gauges_of_buckets(self) -> list[Gauge]:
        rows: list[Gauge] = []
        buckets = await self._store.buckets.list("", "", BUCKETS_TOLD_MAX + 1)
        for bucket in buckets[:BUCKETS_TOLD_MAX]:
            usage = await self._store.buckets.usage(bucket.id)
            labels = {"bucket": bucket.name}
            rows.append(("pyrite_bucket_objects", "Objects in the bucket", labels, usage.objects))
            rows.append(("pyrite_bucket_bytes", "Bytes of the bucket's objects", labels, usage.size_bytes))
        missing = float(len(buckets) > BUCKETS_TOLD_MAX)
        rows.append(("pyrite_buckets_left_out", "1 when there are more buckets than are told here", {}, missing))
        return rows

    # ---- what the app tells

    def on_request(
        self, request: S3Request | None, http: Request, response: Response, error: str, started_s: float, sent: int
    ) -> None:
        name = request.operation.name if request is not None and request.operation is not None else "Unknown"
        seconds = self._store.clock.monotonic_s() - started_s
        received = http.head.length or 0
        self._counter.observe(name, response.status, seconds, received, sent)
        if request is not None and request.bucket is not None and logging_of(request.bucket) is not None:
            total_ms = int(seconds * 1000)
            happened = Happened(error, self._store.clock.now_ms() - total_ms, total_ms, sent)
            line = line_of(request, request.bucket, response, happened, self.app.host_id)
            self._store.logbook.write(request.bucket, line)
        if self._audit is not None:
            self._audit.write(
                AuditRecord(
                    time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                    kind="request",
                    request_id=request.id if request is not None else "",
                    source=client_address(http.peer, http.head.fields, self._trusted),
                    account=request.caller.account if request is not None else "",
                    caller=request.caller.arn if request is not None else "",
                    access_key=request.caller.access_key if request is not None else "",
                    claimed_key=_claimed_key(http) if request is None or request.caller.is_anonymous else "",
                    operation=name,
                    bucket=request.bucket_name if request is not None else "",
                    key=request.key_text if request is not None else "",
                    keys=request.named_keys if request is not None else (),
                    copied_from=_source_of(request) if request is not None else "",
                    version=(request.parameter(b"versionId") or "") if request is not None else "",
                    status=response.status,
                    error=error,
                    received_bytes=received,
                    sent_bytes=sent,
                    duration_ms=round(seconds * 1000, 3),
                    user_agent=http.head.fields.get(b"user-agent", b"").decode("latin-1"),
                )
            )
        if self._access is not None:
            record = AccessRecord(
                datetime.now(UTC).isoformat(timespec="milliseconds"),
                request.id if request is not None else "",
                http.peer,
                name,
                request.bucket_name if request is not None else "",
                request.key_text if request is not None else "",
                response.status,
                error,
                received,
                sent,
                round(seconds * 1000, 3),
                request.caller.access_key if request is not None else "",
                http.head.fields.get(b"user-agent", b"").decode("latin-1"),
            )
            self._access.write(record)

    def on_call(self, call: ToldCall, request_id: str, status: int, error: str, started_s: float) -> None:
        """A call of the IAM, STS or KMS API was answered."""
        name = call.action
        seconds = self._store.clock.monotonic_s() - started_s
        self._counter.observe(name, status, seconds, 0, 0)
        if self._audit is not None:
            self._audit.write(
                AuditRecord(
                    time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                    kind="call",
                    request_id=request_id,
                    source=call.keys.get("aws:sourceip", ("",))[0],
                    account=call.caller.account,
                    caller=call.caller.arn,
                    access_key=call.caller.access_key,
                    operation=name,
                    parameters=dict(call.parameters()),
                    status=status,
                    error=error,
                    duration_ms=round(seconds * 1000, 3),
                    user_agent=call.keys.get("aws:useragent", ("",))[0],
                )
            )

    def on_quick(self, operation: str, response: Response, started_s: float, received_bytes: int) -> None:
        """A request was answered the quick way."""
        seconds = self._store.clock.monotonic_s() - started_s
        self._counter.observe(operation, response.status, seconds, received_bytes, len(response.body or b""))  # type: ignore[arg-type]

    @property
    def logs_access(self) -> bool:
        """Whether every request has to be written down."""
        return self._access is not None or self._audit_folder is not None

    async def begin_audit(self) -> None:
        """Go on with the audit chain of this slot, if there is to be one. Raises OSError."""
        if self._audit_folder is not None:
            self._audit_folder.mkdir(parents=True, exist_ok=True)
            heads = await load_heads(self._store.engine)
            known = heads.get(self._store.slot, Head(0, START))
            key = await make_key(self._store.engine, SystemEntropy())
            self._audit = AuditLog(self._audit_folder, self._store.slot, known, key)
            self._audited = self._audit.head.number

    async def keep_audit(self) -> None:
        """Write down what has been audited, and have the store remember how far that is."""
        if self._audit is None or self._audit.head.number == self._audited:
            return
        try:
            self._audit.flush()
            head = self._audit.head
            await keep_head(self._store.engine, self._store.slot, head)
            self._audited = head.number
        except (OSError, PyriteError) as error:
            self._log.error("audit_not_written", reason=str(error))

    def on_defect(self, request_id: str, error: BaseException) -> None:
        expected = isinstance(error, PyriteError)
        self._log.error(
            "request_failed", request_id=request_id, reason=str(error), exc_info=None if expected else error
        )

    def on_crash(self, error: BaseException) -> None:
        """A connection broke off for a reason of ours."""
        trace = None if isinstance(error, PyriteError) else error
        self._log.error("connection_broken_off", reason=str(error), exc_info=trace)

    def on_reap_error(self, error: PyriteError) -> None:
        """Garbage that could not be freed now; it is tried again."""
        self._log.warning("garbage_not_freed", reason=str(error))

    def publish(self) -> None:
        """Tell the other processes how things stand."""
        if self._access is not None:
            self._access.flush()
        store = self._store
        places = store.membership.whereabouts()
        if places and places != self._places:
            self._board.tell_places(places)
            self._places = places
        self._board.publish(
            ProcessStatus(
                store.slot,
                store.opened_pid,
                store.clock.now_ms(),
                store.under_way.oldest_ms(),
                self.connections(),
                self._counter.operations,
                store.drive_states(),
                self._damaged_before + store.damaged_fragments,
                store.engine.journal_failures,
                self.background(),
            )
        )


def _claimed_key(http: Request) -> str:
    """The access key that a request names, whether or not it has its secret; "" for none."""
    found = _CLAIM.search(http.head.fields.get(b"authorization", b"")) or _CLAIM.search(http.head.target)
    return found.group(1).decode("latin-1") if found is not None else ""


def _source_of(request: S3Request) -> str:
    """What a copy or a rename is of."""
    return next((request.header(name) or "" for name in _SOURCES if name in request.headers), "")
