"""A target that does not answer holds up no other, and nothing that waits is lost."""

import asyncio

from pyrite.metadata.keyspaces import EVENTS
from pyrite.metadata.kv import Batch, after_prefix
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects.events import EventRecord, decode_event, encode_event, event_key
from pyrite.services.notify import KEPT_MS, Notifier


async def waiting(engine: MemoryEngine) -> int:
    return len(await engine.scan(EVENTS, after_prefix(EVENTS), 1000))


async def tell(engine: MemoryEngine, target: str, count: int) -> None:
    batch = Batch()
    for number in range(count):
        event = EventRecord(1, "s3:ObjectCreated:Put", "b", "o", "c", 0, number, f"k{number}".encode())
        batch.put(event_key(target, number, b"abcd"), encode_event(event))
    await engine.commit(batch)


async def nothing(_: str) -> None:
    """Sweep no listener."""


def test_a_target_that_hangs_holds_up_no_other() -> None:
    """Its events wait, those of others are delivered in order, and it goes on where it was."""

    async def run() -> None:
        engine, taken, open_ = MemoryEngine(), list[bytes](), asyncio.Event()

        async def deliver(target: str, event: EventRecord, document: bytes) -> None:
            if target == "stuck":
                await open_.wait()
            taken.append(target.encode() + b" " + event.key)

        notifier = Notifier(engine, deliver, "r", lambda: 0, nothing)
        await tell(engine, "stuck", 2)
        await tell(engine, "well", 3)
        await notifier.step()
        assert taken == [b"well k0", b"well k1", b"well k2"] and await waiting(engine) == 2
        await tell(engine, "well", 1)
        await notifier.step()
        assert taken[3:] == [b"well k0"] and await waiting(engine) == 2
        open_.set()
        while await waiting(engine):
            await notifier.step()
        assert taken[4:] == [b"stuck k0", b"stuck k1"]

    asyncio.run(run())


def test_what_is_cut_short_is_delivered_later() -> None:
    """Ended in the middle, the notifier leaves what was not taken where it is."""

    async def run() -> None:
        engine = MemoryEngine()

        async def deliver(target: str, event: EventRecord, document: bytes) -> None:
            await asyncio.Event().wait()

        notifier = Notifier(engine, deliver, "r", lambda: 0, nothing)
        await tell(engine, "stuck", 2)
        stepping = asyncio.create_task(notifier.step())
        while not notifier._running:
            await asyncio.sleep(0)
        stepping.cancel()
        await asyncio.gather(stepping, return_exceptions=True)
        assert not notifier._running and await waiting(engine) == 2

    asyncio.run(run())


def test_events_for_a_target_that_is_dead_are_given_up_in_the_end() -> None:
    """What has waited for days leaves when it fails once more; what is young goes on waiting, and is counted apart."""

    async def run() -> None:
        engine, now_ms = MemoryEngine(), 0

        async def deliver(target: str, event: EventRecord, document: bytes) -> None:
            raise ConnectionError("nobody is there")

        notifier = Notifier(engine, deliver, "r", lambda: now_ms, nothing)
        await tell(engine, "dead", 3)
        await notifier.step()
        assert await waiting(engine) == 3 and notifier.done["expired"] == 0
        now_ms = KEPT_MS + 1_000
        young = EventRecord(1, "s3:ObjectCreated:Put", "b", "o", "c", now_ms, 9, b"young")
        batch = Batch()
        batch.put(event_key("dead", 9, b"abcd"), encode_event(young))
        await engine.commit(batch)
        await notifier.step()
        rows = await engine.scan(EVENTS, after_prefix(EVENTS), 10)
        assert [decode_event(row.value).key for row in rows] == [b"young"]
        assert notifier.done["expired"] == 3 and notifier.reasons["dead"].startswith("ConnectionError")

    asyncio.run(run())
