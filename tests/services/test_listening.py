"""What waits for a listener that has gone without a word does not wait for ever."""

import asyncio

import pytest
from msgspec.structs import replace

from pyrite.core.clock import HybridClock
from pyrite.core.entropy import SystemEntropy
from pyrite.metadata.keyspaces import EVENTS, STORE
from pyrite.metadata.kv import after_prefix
from pyrite.metadata.rules import Rules
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.events import Cause, Listener, listeners_in, target_of
from pyrite.services.listening import GONE_AFTER_MS, LISTENERS_MAX, Listeners, TooManyListeners
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, put


def test_a_listener_that_is_gone_is_swept() -> None:
    """While it says that it is there its events stay; later they go, and the bucket tells it nothing more."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        listeners = Listeners(process.engine, process.buckets, process.world.clock, SystemEntropy(), "r")
        listener = await listeners.begin(bucket, ("s3:ObjectCreated:*",), "k", "")
        target = target_of(listener)
        bucket = await process.buckets.find("bucket")

        async def waiting() -> int:
            return len(await process.engine.scan(EVENTS, after_prefix(EVENTS), 10))

        record = await put(process, bucket, b"other", b"x")
        record = await put(process, bucket, b"k1", b"x")
        await process.naming.amend(bucket, b"k1", None, replace, Cause("s3:ObjectCreated:Put"))
        assert record.etag and await waiting() == 1
        await listeners.sweep(target)
        assert await waiting() == 1
        await asyncio.sleep(GONE_AFTER_MS / 1000 + 1)
        await listeners.sweep(target)
        assert await waiting() == 0
        await process.naming.amend(
            await process.buckets.find("bucket"), b"k1", None, replace, Cause("s3:ObjectCreated:Put")
        )
        assert await waiting() == 0
        prefix = STORE + b"listener/"
        assert not await process.engine.scan(prefix, after_prefix(prefix), 1)

    store.run(body)


def test_a_stream_ends_with_the_store() -> None:
    """What happened is streamed, in order; when the store stops so does the stream, and it leaves nothing behind."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        listeners = Listeners(process.engine, process.buckets, process.world.clock, SystemEntropy(), "r")
        listener: Listener = await listeners.begin(bucket, ("s3:ObjectCreated:Put",), "", "")
        bucket = await process.buckets.find("bucket")
        await put(process, bucket, b"k", b"x")
        await process.naming.amend(bucket, b"k", None, replace, Cause("s3:ObjectCreated:Put"))
        lines = []
        async for line in listeners.stream(bucket, listener):
            lines.append(line)
            if line == b" ":
                listeners.close()
        assert b'"key":"k"' in lines[0] and set(lines[1:]) == {b" "}
        assert not (await process.buckets.find("bucket")).record.configurations
        assert not await process.engine.scan(EVENTS, after_prefix(EVENTS), 1)

    store.run(body)


def test_listeners_of_a_server_that_was_killed_are_in_nobodys_way() -> None:
    """Who begins to listen takes away those that are gone, also where nothing happened that they would have been told."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        listeners = Listeners(process.engine, process.buckets, process.world.clock, SystemEntropy(), "r")
        for _ in range(LISTENERS_MAX):
            await listeners.begin(await process.buckets.find("bucket"), ("s3:ObjectCreated:*",), "none", "")
        with pytest.raises(TooManyListeners):
            await listeners.begin(await process.buckets.find("bucket"), ("s3:ObjectCreated:*",), "", "")
        await asyncio.sleep(GONE_AFTER_MS / 1000 + 1)
        await listeners.begin(await process.buckets.find("bucket"), ("s3:ObjectCreated:*",), "", "")
        assert len(listeners_in((await process.buckets.find("bucket")).record)) == 1

    store.run(body)


def test_a_slow_reader_is_there_all_the_same() -> None:
    """Whoever takes long for each line is not taken for gone, and is sent every one."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        listeners = Listeners(process.engine, process.buckets, process.world.clock, SystemEntropy(), "r")
        listener = await listeners.begin(bucket, ("s3:ObjectCreated:Put",), "", "")
        bucket = await process.buckets.find("bucket")
        await put(process, bucket, b"k", b"x")
        for _ in range(20):
            await process.naming.amend(bucket, b"k", None, replace, Cause("s3:ObjectCreated:Put"))
        lines = 0
        async for line in listeners.stream(bucket, listener):
            lines += line != b" "
            await asyncio.sleep(4)
            await listeners.sweep(target_of(listener))
            if line == b" ":
                listeners.close()
        assert lines == 20

    store.run(body)


def test_a_stream_whose_listener_was_taken_away_ends() -> None:
    """It has missed something: its reader is not left to believe that nothing happens."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        listeners = Listeners(process.engine, process.buckets, process.world.clock, SystemEntropy(), "r")
        listener = await listeners.begin(bucket, ("s3:ObjectCreated:Put",), "", "")
        bucket = await process.buckets.find("bucket")
        await listeners.end("bucket", listener.id)
        assert {line async for line in listeners.stream(bucket, listener)} == {b" "}

    store.run(body)


def test_who_listens_makes_nobody_decide_anew() -> None:
    """To begin and to end a stream are no changes of the rules: no process forgets whom it knows and what it decided."""
    store = Meddled()

    async def body(process: Process, bucket: Bucket) -> None:
        rules = Rules(process.engine, SystemEntropy())
        buckets = Buckets(process.engine, HybridClock(process.world.clock), SystemEntropy(), rules)
        listeners = Listeners(process.engine, buckets, process.world.clock, SystemEntropy(), "r")
        await rules.follow()
        before = rules.mark
        listener = await listeners.begin(bucket, ("s3:ObjectCreated:*",), "", "")
        assert buckets.is_outdated(bucket) and not buckets.is_outdated(await buckets.find("bucket"))
        await listeners.end("bucket", listener.id)
        await rules.follow()
        assert rules.mark == before
        await buckets.change(await buckets.find("bucket"), policy="{}")
        assert rules.mark != before

    store.run(body)
