"""Owns the way of a body into blobs: hashed while it is written, checked before anything is named."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pyrite.blobs.layout import Extent
from pyrite.blobs.store import SMALL_MAX_BYTES, BlobStore
from pyrite.blobs.writer import Tap
from pyrite.objects.errors import SizeMismatch
from pyrite.objects.sealing import BLOCK_FRAMES, FRAME_BYTES, Cipher, sealed_length


class Hasher(Protocol):
    """A running sum over bytes."""

    def update(self, data: memoryview | bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Source(Protocol):
    """A body to be stored: `length` bytes, or None when only its end will tell."""

    @property
    def length(self) -> int | None: ...

    def take_all(self) -> bytes | memoryview | None:
        """All of it if it is already here and nothing was read yet, else None."""
        ...

    async def read_into(self, target: memoryview) -> int:
        """Fill `target`, less only at the end; raises when the body is broken off or malformed."""
        ...


class WholeSource:
    """A body that is here."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.length: int | None = len(data)
        self._data = memoryview(data)

    def take_all(self) -> memoryview:
        """All of it."""
        data, self._data = self._data, self._data[len(self._data) :]
        return data

    async def read_into(self, target: memoryview) -> int:
        count = min(len(target), len(self._data))
        target[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


class _Begun:
    """The rest of a source, with the bytes in front of it that were read already."""

    def __init__(self, head: bytes | memoryview, rest: Source) -> None:
        self.length = rest.length
        self._head = memoryview(head)
        self._rest = rest

    async def read_into(self, target: memoryview) -> int:
        """As a source does it."""
        count = min(len(target), len(self._head))
        target[:count] = self._head[:count]
        self._head = self._head[count:]
        return count if count == len(target) else count + await self._rest.read_into(target[count:])


class Received(NamedTuple):
    """A whole small body, checked and not stored yet."""

    data: bytes | memoryview
    digests: Mapping[str, bytes]


class Stored(NamedTuple):
    """A blob that is on stable storage and has no name yet."""

    extents: tuple[Extent, ...]
    size_bytes: int
    digests: Mapping[str, bytes]


Check = Callable[[Mapping[str, bytes], int], None]
"""Compares the digests and the size with what the client said, after the last byte; raises to refuse."""


def accept(_digests: Mapping[str, bytes], _size: int) -> None:
    """Nothing is said of bytes that come from the store itself, where every fragment was verified."""


_SLOW = ("MD5", "SHA1", "SHA256", "SHA512")  # each takes longer than all others together: a thread of its own
_PROBE_BYTES = SMALL_MAX_BYTES + 1
_SUMMED_BYTES = 1 << 20


async def receive(
    blobs: BlobStore, source: Source, hashers: Mapping[str, Hasher], check: Check, cipher: Cipher | None = None
) -> "Received | Stored":
    """Take in `source`: a small body comes back checked, a large one stored, sealed where there is a `cipher`.

    Raises what `check` or the source raises, and then leaves nothing behind.
    """
    length = source.length
    if length is not None and length > SMALL_MAX_BYTES:
        return await _store_large(blobs, _Begun(b"", source), hashers, check, cipher)
    data = source.take_all()
    if data is None:
        buffer = memoryview(bytearray(_PROBE_BYTES if length is None else length))
        count = await source.read_into(buffer)
        data = buffer[:count]
        if count <= SMALL_MAX_BYTES and await source.read_into(memoryview(bytearray(1))):
            raise SizeMismatch("the body is longer than announced")  # reading to the end finds a broken body too
    if len(data) > SMALL_MAX_BYTES:  # also a body of unknown length that is here as a whole
        return await _store_large(blobs, _Begun(data, source), hashers, check, cipher)
    for hasher in hashers.values():
        hasher.update(data)
    digests = {name: hasher.digest() for name, hasher in hashers.items()}
    check(digests, len(data))
    return Received(data, digests)


async def ingest(
    blobs: BlobStore, source: Source, hashers: Mapping[str, Hasher], check: Check, cipher: Cipher | None = None
) -> Stored:
    """Store `source`, whatever its size. Raises as `receive`."""
    taken = await receive(blobs, source, hashers, check, cipher)
    if isinstance(taken, Stored):
        return taken
    data = cipher.seal(taken.data) if cipher is not None and taken.data else taken.data
    return Stored(await blobs.write_small(data), len(taken.data), taken.digests)


async def sum_up(blobs: BlobStore, source: Source, hashers: Mapping[str, Hasher]) -> dict[str, bytes]:
    """The digests of all of `source`, which is stored already. Threads sum up one block while the next is read."""
    taps = _taps(hashers)
    filling, full = (memoryview(bytearray(_SUMMED_BYTES)) for _ in range(2))
    jobs: list[Awaitable[None]] = []
    try:
        while count := await source.read_into(filling):
            await asyncio.gather(*jobs)
            filling, full = full, filling
            jobs = [blobs.start(tap, full[:count]) for tap in taps]
    finally:
        await asyncio.gather(*jobs, return_exceptions=True)
    return {name: hasher.digest() for name, hasher in hashers.items()}


async def _store_large(
    blobs: BlobStore,
    source: _Begun,
    hashers: Mapping[str, Hasher],
    check: Check,
    cipher: Cipher | None,
) -> Stored:
    if cipher is not None:
        return await _store_sealed(blobs, source, hashers, check, cipher)
    writer = blobs.writer(source.length, _taps(hashers))
    size = 0
    try:
        while True:
            space = await writer.space()
            count = await source.read_into(space)
            writer.advance(count)
            size += count
            if count < len(space):
                break
        await writer.settle()
        digests = {name: hasher.digest() for name, hasher in hashers.items()}
        check(digests, size)
        return Stored(await writer.finish(), size, digests)
    except BaseException:
        await writer.abandon()
        raise


async def _store_sealed(
    blobs: BlobStore,
    source: _Begun,
    hashers: Mapping[str, Hasher],
    check: Check,
    cipher: Cipher,
) -> Stored:
    """As `_store_large`. A block is summed up by threads while the next comes in; then it is known whether it is the
    last, and it is sealed.
    """
    writer = blobs.writer(None if source.length is None else sealed_length(source.length))
    taps, block_bytes = _taps(hashers), BLOCK_FRAMES * FRAME_BYTES
    filling, full = memoryview(bytearray(block_bytes)), memoryview(bytearray(block_bytes))
    sealed = memoryview(bytearray(sealed_length(block_bytes)))
    count = await source.read_into(filling)
    size = frame = 0
    jobs: list[Awaitable[None]] = []
    try:
        while count:
            filling, full, held = full, filling, count
            jobs = [blobs.start(tap, full[:held]) for tap in taps]
            count = await source.read_into(filling) if held == block_bytes else 0
            room = sealed[: sealed_length(held)]
            cipher.seal_into(full[:held], room, frame, count == 0)
            await writer.put(room)
            size, frame = size + held, frame + BLOCK_FRAMES
            await asyncio.gather(*jobs)
        digests = {name: hasher.digest() for name, hasher in hashers.items()}
        check(digests, size)
        return Stored(await writer.finish(), size, digests)
    except BaseException:
        await asyncio.gather(*jobs, return_exceptions=True)
        await writer.abandon()
        raise


def _taps(hashers: Mapping[str, Hasher]) -> Sequence[Tap]:
    taps: list[Tap] = [hasher.update for name, hasher in hashers.items() if name in _SLOW]
    quick = [hasher for name, hasher in hashers.items() if name not in _SLOW]

    def update_quick(view: memoryview) -> None:
        for hasher in quick:
            hasher.update(view)

    return [*taps, update_quick] if quick else taps
