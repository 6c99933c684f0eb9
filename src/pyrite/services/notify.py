"""Owns delivering events: from the rows that committed with each change to the targets, in order, at least once.

Each target has a queue of its own. What a target does not take stays at the head of its queue and is tried again, later
each time, while other targets go on. A row is removed after its target has taken it, or has not for days.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote_plus

import msgspec

from pyrite.aws.dates import format_iso_ms
from pyrite.core.errors import PyriteError
from pyrite.metadata.keyspaces import EVENTS, unescape
from pyrite.metadata.kv import Batch, Engine, Row, after_prefix
from pyrite.objects.events import EventRecord, decode_event, events_for, is_listener

ROWS_AT_A_TIME = 100
_PATIENCE_S = 1.0
_BATCH_MS = 2_000
RETRY_FIRST_MS, RETRY_MAX_MS = 1_000, 300_000
KEPT_MS = 3 * 86_400_000
"""How long an event waits for a target that takes none. Later it is given up, which the metrics count."""


class UnknownTarget(PyriteError):
    """There is no such target any more: what waits for it is dropped."""


Deliver = Callable[[str, EventRecord, bytes], Awaitable[None]]
"""Hands an event, with its document, to the target of an ARN. Raises UnknownTarget, or what went wrong."""


class Notifier:
    """Delivers the events of all targets."""

    def __init__(
        self,
        engine: Engine,
        deliver: Deliver,
        region: str,
        now_ms: Callable[[], int],
        sweep: Callable[[str], Awaitable[None]],
    ) -> None:
        """`sweep` clears up behind a listener that is gone; those that are there take their events themselves."""
        self._engine = engine
        self._sweep = sweep
        self._deliver = deliver
        self._region = region
        self._now_ms = now_ms
        self._waits: dict[str, tuple[int, int]] = {}
        self._running: dict[str, asyncio.Task[bool]] = {}
        self.done: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}

    async def step(self) -> bool:
        """Deliver what every target has waiting, some of each; whether more is waiting that can be delivered now.

        A target that takes long is left behind: it goes on beside the next steps.
        """
        for target in await self.targets():
            if target not in self._running and self._waits.get(target, (0, 0))[0] <= self._now_ms():
                self._running[target] = asyncio.create_task(self._serve(target))
        if not self._running:
            return False
        try:
            await asyncio.wait(self._running.values(), timeout=_PATIENCE_S)
        except asyncio.CancelledError:
            await self.close()
            raise
        more = False
        for target in [target for target, task in self._running.items() if task.done()]:
            more |= self._running.pop(target).result()
        return more

    async def close(self) -> None:
        """End what is under way; what was not taken stays where it is."""
        running, self._running = list(self._running.values()), {}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def targets(self) -> list[str]:
        """The targets for which anything waits."""
        found: list[str] = []
        start = EVENTS
        while rows := await self._engine.scan(start, after_prefix(EVENTS), 1):
            target = unescape(rows[0].key, len(EVENTS))[0].decode()
            found.append(target)
            start = after_prefix(events_for(target))
        return found

    async def _serve(self, target: str) -> bool:
        if is_listener(target):
            await self._sweep(target)
            return False
        prefix = events_for(target)
        rows = await self._engine.scan(prefix, after_prefix(prefix), ROWS_AT_A_TIME)
        delivered: list[Row] = []
        old: list[Row] = []
        begun_ms = self._now_ms()
        try:
            for row in rows:
                if self._now_ms() - begun_ms > _BATCH_MS:
                    break  # what was taken is noted before more is sent
                await self._hand_over(target, row)
                delivered.append(row)
            self._waits.pop(target, None)
            self.reasons.pop(target, None)
        except Exception as error:  # noqa: BLE001 - whatever a target does, the others go on
            pause_ms = min(max(self._waits.get(target, (0, 0))[1] * 2, RETRY_FIRST_MS), RETRY_MAX_MS)
            self._waits[target] = (self._now_ms() + pause_ms, pause_ms)
            self.reasons[target] = f"{type(error).__name__}: {error}"
            self.done["failed"] += 1
            old = [row for row in rows[len(delivered) :] if begun_ms - decode_event(row.value).time_ms > KEPT_MS]
            self.done["expired"] += len(old)
            delivered += old
        if delivered:
            batch = Batch()
            for row in delivered:
                batch.delete(row.key)
            await self._engine.commit(batch)
        return (target not in self._waits or bool(old)) and len(delivered) > 0 and len(rows) > 1

    async def _hand_over(self, target: str, row: Row) -> None:
        event = decode_event(row.value)
        try:
            await self._deliver(target, event, document_of(event, self._region))
            self.done["delivered"] += 1
        except UnknownTarget:
            self.done["dropped"] += 1


def document_of(event: EventRecord, region: str, is_live: bool = False) -> bytes:
    """An event as AWS tells it, in JSON; where it `is_live`, its name is whole, as MinIO's clients expect it.

    Source: AWS, "Event message structure" in the Amazon S3 User Guide.
    """
    time = format_iso_ms(event.time_ms)
    if not event.key:
        told = {"Service": "Amazon S3", "Event": event.event, "Time": time, "Bucket": event.bucket}
        return msgspec.json.encode({**told, "RequestId": event.request_id, "HostId": ""})
    shown: dict[str, Any] = {
        "key": quote_plus(event.key.decode("utf-8", "replace"), safe="/"),
        "sequencer": f"{event.sequencer:016X}",
    }
    if not event.event.startswith(("s3:ObjectRemoved", "s3:LifecycleExpiration")):
        shown |= {"size": event.size_bytes, "eTag": event.etag}
    if event.version_id:
        shown["versionId"] = event.version_id
    record = {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": time,
        "eventName": event.event if is_live else event.event.removeprefix("s3:"),
        "userIdentity": {"principalId": event.principal},
        "requestParameters": {"sourceIPAddress": event.address},
        "responseElements": {"x-amz-request-id": event.request_id, "x-amz-id-2": ""},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.configuration,
            "bucket": {
                "name": event.bucket,
                "ownerIdentity": {"principalId": event.owner},
                "arn": f"arn:aws:s3:::{event.bucket}",
            },
            "object": shown,
        },
    }
    return msgspec.json.encode({"Records": [record]})
