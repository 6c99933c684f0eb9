"""No call of a drive holds up the event loop: one that hangs would hold up every request of the process."""

import asyncio
import os
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pyrite.blobs.drive import DriveState
from pyrite.blobs.local import LocalDrive
from pyrite.blobs.volume import VolumeRecord
from pyrite.core.errors import PyriteError
from pyrite.node import storeprocess
from pyrite.node.background import Background
from pyrite.node.config import Config
from pyrite.node.monitoring import Monitor
from pyrite.node.opening import open_store
from pyrite.node.storeprocess import StoreProcess
from pyrite.objects.assembling import CompletePart
from pyrite.objects.buckets import Bucket
from pyrite.objects.objects import Given, Put, StreamSource
from pyrite.objects.records import Attributes
from pyrite.objects.uploads import Completion
from pyrite.services import compact, repair
from pyrite.telemetry.status import StatusBoard
from pyrite.testing.workload import Body
from tests.objects.meddling import make_hashers

BLOCKING = (
    "create write sync read_stored punch unlink size allocated names space probe try_out".split()
)  # and `read_into` where it may wait
LARGE = 3_000_000


class Broken(Exception):
    """The client has gone."""


class BreakingSource:
    """A body whose client goes after half of it."""

    length = LARGE

    def __init__(self) -> None:
        self._left = LARGE // 2

    def take_all(self) -> bytes | None:
        return None

    async def read_into(self, target: memoryview) -> int:
        self._left -= len(target)
        if self._left < 0:
            raise Broken
        target[:] = os.urandom(len(target))
        return len(target)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The calls of drives that are made on an event loop's thread."""
    found: list[str] = []

    def watch(name: str) -> None:
        original = getattr(LocalDrive, name)

        def watched(*args: object, **named: object) -> object:
            waits = name != "read_into" or named.get("wait", args[-1]) is True
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                pass  # a thread that may block
            else:
                if waits:
                    frames = traceback.extract_stack(limit=6)[:-1]
                    found.append(f"{name}: " + " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames)))
            return original(*args, **named)

        monkeypatch.setattr(LocalDrive, name, watched)

    for name in (*BLOCKING, "read_into"):
        watch(name)
    yield found


def put_of() -> Put:
    return Put(Given(Attributes(), "owner", "CRC64NVME"), make_hashers(), lambda *_: None)


async def use(store: StoreProcess) -> list[VolumeRecord]:
    """Write, overwrite, break off, copy, assemble, read and delete; then seal everything that is open."""
    await store.buckets.create("bucket", "owner", "")
    bucket = await store.buckets.find("bucket")
    for key in (b"small", b"large", b"gone"):
        data = os.urandom(1000 if key == b"small" else LARGE)
        for _ in range(2):
            await store.objects.put(bucket, key, Body(data, whole=True), put_of())
    with pytest.raises(Broken):
        await store.objects.put(bucket, b"broken", BreakingSource(), put_of())
    await upload(store, bucket)
    found = await store.naming.find(bucket, b"large", None)
    stream = StreamSource(store.reading, found.record, 0, found.record.size_bytes, None)
    await store.objects.put(bucket, b"again", stream, put_of())
    await stream.close()
    await store.objects.delete(bucket, b"gone")
    await store.volumes.seal_unusable()
    records = await store.catalog.all()
    for volume in list(store.volumes._open.values()):
        await store.volumes.seal(volume)
    store.volumes._open.clear()
    return records


async def upload(store: StoreProcess, bucket: Bucket) -> None:
    upload_id = await store.uploads.create(bucket, b"parts", Attributes(), "owner", "", "")
    begun = await store.uploads.find(bucket, b"parts", upload_id)
    part = await store.uploads.put_part(
        bucket, begun, 1, Body(os.urandom(LARGE), whole=False), make_hashers(), lambda *_: None, "CRC64NVME"
    )
    await store.uploads.complete(bucket, b"parts", upload_id, Completion([CompletePart(1, part.etag, {})]))


def test_no_call_of_a_drive_is_made_on_the_loop(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests, ticks, probes, metrics and every step of the background work call drives in threads alone."""
    monkeypatch.setattr(repair, "SETTLED_AFTER_MS", -60_000)
    monkeypatch.setattr(compact, "SETTLED_AFTER_MS", -60_000)
    paths = tuple(tmp_path / f"d{number}" for number in range(4))
    config = Config(paths, access_key="minimal", secret_key="minimal-secret", compact_interval_s=0.0)
    opened, locks = open_store(config)
    done: list[str] = []

    async def main() -> None:
        store = StoreProcess(config, opened, "worker-0", locks.add)
        board = StatusBoard(tmp_path)
        monitor = Monitor(store, board, None)
        background = Background(store, board, monitor, config)
        background.reaper._grace_ms = -60_000
        await store.tick()
        for record in await use(store):
            await store.repairs.put(record.id, (0,), "a test", store.clock.now_ms())
        await store.tick()
        await monitor._gauges()
        steps: list[Callable[[], Awaitable[bool]]] = [
            background._mind_drives,
            background._repair,
            background._reap,
            background._scrub,
            background._compact,
            background._keep_names,
            background._live,
        ]
        for step in steps:
            for _ in range(3):
                try:
                    await step()
                    done.append(step.__name__)
                except PyriteError:
                    continue
        assert not await store.repairs.all(), "nothing was repaired"
        await store.close()

    try:
        asyncio.run(main())
    finally:
        locks.release()
    assert set(done) >= {"_mind_drives", "_repair", "_reap", "_scrub", "_compact", "_keep_names", "_live"}
    assert calls == []


def run_store(tmp_path: Path, body: Callable[[StoreProcess], Awaitable[None]]) -> None:
    """Do something in a process of a store on two drives."""
    config = Config((tmp_path / "d1", tmp_path / "d2"), access_key="minimal", secret_key="minimal-secret")
    opened, locks = open_store(config)

    async def main() -> None:
        store = StoreProcess(config, opened, "worker-0", locks.add)
        await body(store)
        await store.close()

    try:
        asyncio.run(main())
    finally:
        locks.release()


def test_a_step_that_fails_skips_no_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done once a second goes on after a step that raised, whatever it was, and each is tried again."""
    done: list[str] = []

    async def body(store: StoreProcess) -> None:
        async def follow() -> bool:
            done.append("rules")
            return True

        async def fail() -> None:
            done.append("seal")
            raise RuntimeError("a defect")

        monkeypatch.setattr(store.volumes, "seal_unusable", fail)
        monkeypatch.setattr(store.rules, "follow", follow)
        await store.tick()
        await store.tick()

    run_store(tmp_path, body)
    assert done == ["seal", "rules"] * 2


def test_a_drive_that_hangs_is_probed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that does not come back holds up no tick, is not asked again, and its outcome counts when it comes."""
    monkeypatch.setattr(storeprocess, "_PROBE_S", 0.01)
    release, asked, probe = threading.Event(), [], LocalDrive.probe

    async def body(store: StoreProcess) -> None:
        first = next(iter(store.drives))

        def hang(drive: LocalDrive) -> bool:
            if drive.id != first:
                return probe(drive)
            asked.append(drive.id)
            release.wait(20)
            return drive._lose("a test")

        monkeypatch.setattr(LocalDrive, "probe", hang)
        for _ in range(3):
            await store.tick()
        assert asked == [first]
        release.set()
        while store.drives[first].state is DriveState.ONLINE:
            await asyncio.sleep(0)
        await store.volumes.workforce.lane(f"probe {first}").run(len, "")  # behind whatever else was asked of it
        assert asked == [first], "it was asked again while it hung"
        monkeypatch.undo()
        await store.tick()
        assert store.drives[first].state is DriveState.ONLINE, "it is there, and is taken in again"

    run_store(tmp_path, body)
