"""Volumes meet full and failing drives: what was open is sealed, what was missed is known, and writes go on elsewhere."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyrite.blobs.buffers import BufferPools
from pyrite.blobs.drive import DriveError, DriveFull
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volume import VolumeRecord
from pyrite.core.errors import Unavailable
from pyrite.core.units import KIB, MIB
from pyrite.objects.ingest import ingest
from pyrite.testing.workload import Body
from tests.blobs.test_store import Store, run

REFUSALS = [DriveFull("the drive is full"), DriveError("the drive does not answer")]


class OnceRefused:
    """A call that raises the first time, and is done after that."""

    def __init__(self, call: Callable[..., Any], error: Exception) -> None:
        self._call = call
        self._error: Exception | None = error

    def __call__(self, *args: Any) -> Any:
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._call(*args)


def refuse_one_write(store: Store, error: Exception) -> None:
    for drive in store.drives.values():
        drive.write = OnceRefused(drive.write, error)  # type: ignore[method-assign]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_small_blob_goes_on_in_another_volume(tmp_path: Path, error: Exception) -> None:
    """Where the drives of a volume are full, or fail, a small blob goes to another volume, and the first is sealed."""
    store = Store(tmp_path, 3, 1)

    async def body() -> None:
        first = await store.put(b"a" * 100)
        refuse_one_write(store, error)
        after = await store.put(b"b" * 1000)
        assert after[0].volume != first[0].volume
        assert await store.get(after, 0, 1000) == b"b" * 1000
        assert store.catalog.records[first[0].volume].state == "sealed"

    run(body)


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_large_blob_goes_on_in_another_volume(tmp_path: Path, error: Exception) -> None:
    """Where the drives of a volume are full, or fail, the block at hand and all behind it go to another."""
    store = Store(tmp_path, 3, 1)
    data = random.Random(1).randbytes(5 * MIB)

    async def body() -> None:
        refuse_one_write(store, error)
        extents = await store.put(data)
        assert await store.get(extents, 0, len(data)) == data

    run(body)


def test_a_seal_that_fails_is_done_with_the_next_write(tmp_path: Path) -> None:
    """A volume that could not be sealed stays the one to seal: it is not left open in its record for ever."""
    store = Store(tmp_path, 1, 0)

    async def body() -> None:
        first = (await store.put(b"a" * 100))[0].volume
        store.volumes._open["small"].full = True
        store.catalog.update = OnceRefused(store.catalog.update, Unavailable("for a moment"))  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await store.put(b"b" * 100)
        assert store.catalog.records[first].state == "open"
        await store.put(b"b" * 100)
        assert store.catalog.records[first].state == "sealed"

    run(body)


def test_a_sealed_volume_says_what_it_has_missed(tmp_path: Path) -> None:
    """Shards that failed and of which nothing was told yet are in the record once the volume is sealed."""
    store = Store(tmp_path, 4, 2)

    async def body() -> None:
        placed = await store.blobs.place_small(b"b" * 1000)
        store.drives[placed.volume.record.drives[1]].fence("removed by the test")
        assert placed.volume.flush([placed.append]) == [None]
        await store.volumes.seal_unusable()
        record: VolumeRecord = store.catalog.records[placed.extent.volume]
        assert (record.state, record.degraded) == ("sealed", (1,))

    run(body)


def test_what_cannot_be_given_back_hides_no_error(tmp_path: Path) -> None:
    """A body that is refused after it was written is refused with its own error, also where its bytes cannot be freed."""
    store = Store(tmp_path, 1, 0)

    async def punch(_extent: object) -> int:
        raise Unavailable("the drive is away")

    def refuse(_digests: object, _size: int) -> None:
        raise ValueError("the checksum is another")

    async def body() -> None:
        store.volumes.punch = punch  # type: ignore[method-assign]
        with pytest.raises(ValueError, match="the checksum"):
            await ingest(store.blobs, Body(bytes(2 * MIB), False), {}, refuse)

    run(body)


@pytest.mark.parametrize("taken", ["reads", "writes"])
def test_reads_and_writes_have_buffers_of_their_own(tmp_path: Path, taken: str) -> None:
    """While every buffer of the ones is lent, the others go on."""
    store = Store(tmp_path, 1, 0)
    data = random.Random(2).randbytes(300 * KIB)

    async def body() -> None:
        pools = BufferPools.of(4 * MIB)
        blobs = store.blobs = BlobStore(store.volumes, pools, store.offload, store.damage.append)
        stored = await store.put(data)
        pool = pools.reads if taken == "reads" else pools.writes
        lent = await pool.acquire(MIB)
        assert pool._lent_bytes + MIB > pool._capacity_bytes, "none is left"
        if taken == "reads":
            await store.put(data)
        else:
            got = [bytes(view) async for views in blobs.read(stored, 0, len(data)) for view in views]
            assert b"".join(got) == data
        pool.release(lent)

    run(body)
