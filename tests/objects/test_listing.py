"""Listings, page by page, are what sorting all keys would give."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrite.metadata.kv import Batch
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket
from pyrite.objects.listing import list_objects
from pyrite.objects.records import FORMAT, Attributes, BucketRecord, Checksum, ObjectRecord, encode

BUCKET = Bucket(7, BucketRecord(FORMAT, 7, "bucket", "owner", 0), 1)
KEYS = st.lists(st.sampled_from("ab/").map(str.encode), min_size=1, max_size=5).map(b"".join)


def record() -> ObjectRecord:
    checksum = Checksum("CRC64NVME", "AAAAAAAAAAA=")
    return ObjectRecord(FORMAT, 1, "0" * 32, 0, "STANDARD", checksum, 1, (), Attributes(), "owner")


async def engine_with(names: set[bytes]) -> MemoryEngine:
    engine, batch = MemoryEngine(), Batch()
    for name in names:
        batch.put(keys.object_(BUCKET.id, name), encode(record()))
    await engine.commit(batch)
    return engine


def entries(names: set[bytes], prefix: bytes, delimiter: bytes) -> list[bytes]:
    """Keys and groups, in order: the dumbest way."""
    found = set()
    for name in names:
        if name.startswith(prefix):
            at = name.find(delimiter, len(prefix)) if delimiter else -1
            found.add(name if at < 0 else name[: at + len(delimiter)])
    return sorted(found)


async def pages(engine: MemoryEngine, prefix: bytes, delimiter: bytes, limit: int) -> list[list[bytes]]:
    found, after = [], b""
    while True:
        rows, page = await list_objects(engine, BUCKET, prefix, delimiter, after, limit)
        found.append(sorted([*(key for key, _ in rows), *page.prefixes]))
        if not page.truncated:
            return found
        assert found[-1] and page.last == found[-1][-1] and page.last > after
        after = page.last


@settings(max_examples=300, deadline=None)
@given(
    st.sets(KEYS, max_size=40),
    st.sampled_from([b"", b"a", b"a/", b"b/a"]),
    st.sampled_from([b"", b"/"]),
    st.integers(1, 5),
)
def test_pages_are_full_and_miss_nothing(names: set[bytes], prefix: bytes, delimiter: bytes, limit: int) -> None:
    """Every page but the last is full, the last is not empty unless all is, and together they are everything once."""

    async def body() -> None:
        found = await pages(await engine_with(names), prefix, delimiter, limit)
        assert [one for page in found for one in page] == entries(names, prefix, delimiter)
        assert all(len(page) == limit for page in found[:-1])
        assert found[-1] or len(found) == 1

    asyncio.run(body())


@pytest.mark.parametrize("count", [999, 1000, 1001, 2000, 2001])
def test_the_edges_of_a_thousand(count: int) -> None:
    """Pages of a thousand, which is what clients ask for, end where they should."""
    names = {b"%05d" % number for number in range(count)}

    async def body() -> None:
        found = await pages(await engine_with(names), b"", b"", 1000)
        assert [one for page in found for one in page] == sorted(names)
        assert [len(page) for page in found] == [1000] * (count // 1000) + [count % 1000] * (count % 1000 > 0)

    asyncio.run(body())
