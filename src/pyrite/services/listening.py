"""Owns live streams of events: who listens has a queue of its own in the store while it does, like any target.

A bucket knows its listeners, so that whichever process changes it writes down what happened for them, in the same
transaction. A listener says every few seconds that it is there. What waits for one that is gone is dropped.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from pyrite.core.clock import Clock
from pyrite.core.entropy import Entropy
from pyrite.metadata.keyspaces import STORE
from pyrite.metadata.kv import Batch, Engine, Row, after_prefix, decode_counter, encode_counter
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.errors import NoSuchBucket
from pyrite.objects.events import LISTENERS, Listener, decode_event, events_for, listeners_in, target_of
from pyrite.objects.records import BucketRecord
from pyrite.services.notify import document_of

POLL_S = 0.2
ALIVE_EVERY_MS = 5_000
GONE_AFTER_MS = 30_000
BEHIND_MAX_MS = 300_000
LISTENERS_MAX = 100
_ROWS = 100
_ALIVE = STORE + b"listener/"
_encode = msgspec.json.encode


class TooManyListeners(Exception):
    """A bucket has as many listeners as it may have."""


class Listeners:
    """The live streams of one process, and clearing up behind those of processes that are gone."""

    def __init__(self, engine: Engine, buckets: Buckets, clock: Clock, entropy: Entropy, region: str) -> None:
        self._engine = engine
        self._buckets = buckets
        self._clock = clock
        self._entropy = entropy
        self._region = region
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all streams."""
        self._closing.set()

    async def begin(self, bucket: Bucket, events: tuple[str, ...], prefix: str, suffix: str) -> Listener:
        """A new listener of a bucket. Raises TooManyListeners, NoSuchBucket."""
        for one in listeners_in(bucket.record):  # those of a server that was killed are in nobody's way
            if await self._is_gone(one.id):
                await self.end(bucket.record.name, one.id)
                bucket = await self._buckets.find(bucket.record.name)
        made = Listener(self._entropy.bytes(12).hex(), events, prefix, suffix)
        await self._say_alive(made.id)

        def add(record: BucketRecord) -> BucketRecord:
            held = listeners_in(record)
            if len(held) >= LISTENERS_MAX:
                raise TooManyListeners
            return _with(record, (*held, made))

        await self._buckets.edit(bucket, add, decides=False)
        return made

    async def stream(self, bucket: Bucket, listener: Listener) -> AsyncIterator[bytes]:
        """Events as lines of JSON, and a space now and then, until the store stops or the listener is too slow."""
        alive_ms = self._clock.now_ms()
        prefix = events_for(target_of(listener))
        sent: list[Row] = []
        try:
            while not self._closing.is_set():
                rows = await self._engine.scan(prefix, after_prefix(prefix), _ROWS)
                for row in rows:
                    event = decode_event(row.value)
                    if self._clock.now_ms() - event.time_ms > BEHIND_MAX_MS:
                        return
                    yield document_of(event, self._region, is_live=True) + b"\n"
                    sent.append(row)
                    if self._clock.now_ms() - alive_ms >= ALIVE_EVERY_MS:
                        break  # a slow reader is there all the same
                await self._forget(sent)
                if self._clock.now_ms() - alive_ms >= ALIVE_EVERY_MS:
                    if await self._is_gone(listener.id):
                        return  # it was taken away, and has missed something
                    alive_ms = self._clock.now_ms()
                    await self._say_alive(listener.id)
                if not rows:
                    yield b" "
                    await self._pause()
        finally:
            await self.end(bucket.record.name, listener.id)

    async def _pause(self) -> None:
        closing = asyncio.create_task(self._closing.wait())
        await asyncio.wait((closing,), timeout=POLL_S)
        closing.cancel()

    async def _forget(self, sent: list[Row]) -> None:
        """Remove events that have been sent."""
        batch = Batch()
        for row in sent:
            batch.delete(row.key)
        sent.clear()
        if batch.writes:
            await self._engine.commit(batch)

    async def _is_gone(self, listener: str) -> bool:
        """Whether a listener has not said for long that it is there."""
        entry = await self._engine.get(_ALIVE + listener.encode())
        return self._clock.now_ms() - decode_counter(entry.value if entry is not None else None) >= GONE_AFTER_MS

    async def _say_alive(self, listener: str) -> None:
        batch = Batch()
        batch.put(_ALIVE + listener.encode(), encode_counter(self._clock.now_ms()))
        await self._engine.commit(batch)

    async def end(self, bucket: str, listener: str) -> None:
        """Take a listener away, and what waits for it; that it is gone is no error."""

        def remove(record: BucketRecord) -> BucketRecord:
            return _with(record, tuple(one for one in listeners_in(record) if one.id != listener))

        with contextlib.suppress(NoSuchBucket):
            await self._buckets.edit(await self._buckets.find(bucket), remove, decides=False)
        prefix = events_for(target_of(Listener(listener)))
        while rows := await self._engine.scan(prefix, after_prefix(prefix), 1000):
            batch = Batch()
            for row in rows:
                batch.delete(row.key)
            await self._engine.commit(batch)
        batch = Batch()
        batch.delete(_ALIVE + listener.encode())
        await self._engine.commit(batch)

    async def sweep(self, target: str) -> None:
        """Drop what waits for a listener, if it is gone."""
        listener = target.partition(":")[2]
        if not await self._is_gone(listener):
            return
        prefix = events_for(target)
        rows = await self._engine.scan(prefix, after_prefix(prefix), 1)
        if rows:
            await self.end(decode_event(rows[0].value).bucket, listener)


def _with(record: BucketRecord, listeners: tuple[Listener, ...]) -> BucketRecord:
    kept = {name: text for name, text in record.configurations.items() if name != LISTENERS}
    if listeners:
        kept[LISTENERS] = _encode(listeners).decode()
    return msgspec.structs.replace(record, configurations=kept)
