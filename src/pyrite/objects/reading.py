"""Owns the bytes of objects on their way out: which parts and extents hold a range."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from pyrite.blobs.layout import Extent
from pyrite.blobs.store import BlobStore
from pyrite.core.errors import Corrupt
from pyrite.core.lru import LruMap
from pyrite.metadata.kv import Engine
from pyrite.objects import keys
from pyrite.objects.errors import NoSuchPart
from pyrite.objects.records import ObjectRecord, PartPage, PartRecord, decode_page
from pyrite.objects.sealing import (
    FRAME_BYTES,
    Cipher,
    open_stream,
    open_whole,
    part_key,
    sealed_length,
    sealed_range,
)
from pyrite.objects.underway import UnderWay

CIPHERS_MAX = 4096


class PartRange(NamedTuple):
    """A part of a completed object and its first byte within the object."""

    part: PartRecord
    start: int


class Hold:
    """Something that is read over and over. It has to be released, once or more often."""

    def __init__(self, under_way: UnderWay) -> None:
        self._under_way = under_way
        self._token = under_way.enter()

    def release(self) -> None:
        """It is not read any more."""
        self._under_way.leave(self._token)


class Reading:
    """Reads the bytes of objects."""

    def __init__(self, engine: Engine, blobs: BlobStore, under_way: UnderWay) -> None:
        self._engine = engine
        self._blobs = blobs
        self._under_way = under_way
        self._ciphers: LruMap[bytes, Cipher] = LruMap(CIPHERS_MAX)  # setting one up takes longer than using it

    def hold(self) -> Hold:
        """Keep the bytes of all objects as they are now until it is released, however long their names live."""
        return Hold(self._under_way)

    def now(self, record: ObjectRecord, start: int, stop: int, key: bytes | None = None) -> memoryview | None:
        """Bytes start..stop of a small object if they are at hand, else None. `key` opens a sealed one."""
        if key is None:
            return self._blobs.read_now(record.extents, start, stop)
        cipher = self._ciphers.get(key)
        if cipher is None:
            cipher = Cipher(key)
            self._ciphers.put(key, cipher)
        if stop - start == record.size_bytes <= FRAME_BYTES:
            sealed = self._blobs.read_now(record.extents, 0, sealed_length(stop))
            return None if sealed is None else memoryview(cipher.open_frame(sealed, 0, is_last=True))
        wanted = sealed_range(record.size_bytes, start, stop)
        sealed = self._blobs.read_now(record.extents, wanted.start, wanted.stop)
        return None if sealed is None else open_whole(cipher, sealed, wanted)

    async def stream(
        self, record: ObjectRecord, start: int, stop: int, key: bytes | None = None
    ) -> AsyncIterator[list[memoryview]]:
        """Bytes start..stop in blocks; the views of a block last until the next one. `key` opens a sealed object.

        Raises Corrupt.
        """
        token = self._under_way.enter()
        try:
            if not record.upload:
                async for block in self.blob(record.extents, record.size_bytes, start, stop, key):
                    yield block
                return
            async for item in self._parts_from(record, start):
                if item.start >= stop:
                    return
                low, high = max(start - item.start, 0), min(stop - item.start, item.part.size_bytes)
                own = part_key(key, item.part.salt) if key is not None and item.part.salt else key
                async for block in self.blob(item.part.extents, item.part.size_bytes, low, high, own):
                    yield block
        finally:
            self._under_way.leave(token)

    def blob(
        self, extents: Sequence[Extent], size: int, start: int, stop: int, key: bytes | None
    ) -> AsyncIterator[list[memoryview]]:
        """Bytes start..stop of a blob of `size` plain bytes; `key` opens a sealed one."""
        if key is None or start >= stop:
            return self._blobs.read(extents, start, stop)
        wanted = sealed_range(size, start, stop)
        return open_stream(Cipher(key), self._blobs.read(extents, wanted.start, wanted.stop), wanted)

    async def part(self, record: ObjectRecord, number: int) -> PartRange:
        """The part called `number` of a multipart object. Raises NoSuchPart."""
        index = bisect_right(record.pages, (number, 1 << 62)) - 1
        if index < 0:
            raise NoSuchPart(str(number))
        position = record.pages[index][1]
        for part in (await self._page(record, index)).parts:
            if part.number == number:
                return PartRange(part, position)
            position += part.size_bytes
        raise NoSuchPart(str(number))

    async def nth_part(self, record: ObjectRecord, n: int) -> PartRange:
        """The n-th part (from 1) of a multipart object in order. Raises NoSuchPart."""
        seen = 0
        for index, (_, position) in enumerate(record.pages):
            parts = (await self._page(record, index)).parts
            if n <= seen + len(parts):
                return PartRange(parts[n - seen - 1], position + sum(part.size_bytes for part in parts[: n - seen - 1]))
            seen += len(parts)
        raise NoSuchPart(str(n))

    async def parts(self, record: ObjectRecord, after: int, limit: int) -> list[PartRecord]:
        """At most `limit` parts with numbers greater than `after`."""
        found: list[PartRecord] = []
        first = max(bisect_right(record.pages, (after, 1 << 62)) - 1, 0)
        for index in range(first, len(record.pages)):
            found += [part for part in (await self._page(record, index)).parts if part.number > after]
            if len(found) >= limit:
                break
        return found[:limit]

    async def _parts_from(self, record: ObjectRecord, start: int) -> AsyncIterator[PartRange]:
        """The parts from the one that holds byte `start` on."""
        first = max(bisect_right([offset for _, offset in record.pages], start) - 1, 0)
        for index in range(first, len(record.pages)):
            position = record.pages[index][1]
            for part in (await self._page(record, index)).parts:
                if position + part.size_bytes > start:
                    yield PartRange(part, position)
                position += part.size_bytes

    async def _page(self, record: ObjectRecord, index: int) -> PartPage:
        entry = await self._engine.get(keys.page(record.upload, index))
        if entry is None:
            raise Corrupt(f"page {index} of the parts of upload {record.upload.hex()} is gone")
        return decode_page(entry.value)
