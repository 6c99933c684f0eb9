"""Owns the tiers that the operator declares in a TOML file: folders, and buckets of other stores."""

import importlib
import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from xxhash import xxh3_64

from pyrite.blobs.layout import Extent
from pyrite.blobs.tiers import Kept, tier_volume
from pyrite.core.entropy import Entropy
from pyrite.core.errors import ConfigError, Corrupt, Unavailable
from pyrite.core.offload import Offload
from pyrite.core.units import MIB
from pyrite.metadata.keyspaces import STORE
from pyrite.metadata.kv import Batch, Engine
from pyrite.s3.headers import STORAGE_CLASSES

_READ_BYTES = 8 * MIB
_BLOCK_BYTES = MIB
_SUM_BYTES = 8
_FOLDER = "pyrite-tier"
_MARK = "pyrite-tier.mark"
_MARKED = STORE + b"tier-marked/"
_QUICK = {"timeout": "20s", "connect_timeout": "5s"}
_RETRIES = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}
_OFFSET = re.compile("[0-9a-f]{16}")


class DeclaredTier(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where objects of a storage class stand. `name` is part of how they are found: it has to stay what it is.

    A folder has a `path`; S3 has a bucket, and where it is not AWS's an endpoint.
    """

    name: str
    storage_class: str = msgspec.field(name="class")
    kind: Literal["folder", "s3"]
    path: str = ""
    endpoint: str = ""
    bucket: str = ""
    prefix: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = ""


class Declaration(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    tiers: list[DeclaredTier] = msgspec.field(name="tier", default_factory=list)


def read_tiers(path: Path) -> list[DeclaredTier]:
    """The tiers that a file declares. Raises ConfigError."""
    try:
        declared = msgspec.toml.decode(path.read_bytes(), type=Declaration).tiers
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the tiers in {path} cannot be read: {error}") from None
    if declared:
        try:
            importlib.import_module("obstore")
        except ImportError:
            raise ConfigError("tiers need an extra: pip install 'pyrite[tiers]'") from None
    for tier in declared:
        if tier.storage_class not in STORAGE_CLASSES or tier.storage_class == "STANDARD":
            raise ConfigError(f"tier {tier.name}: {tier.storage_class!r} is no class that objects can be moved to")
        if (tier.kind == "folder") != bool(tier.path) or (tier.kind == "s3") != bool(tier.bucket):
            raise ConfigError(f"tier {tier.name}: a folder has a path, and s3 has a bucket")
    for what in ([tier.name for tier in declared], [tier.storage_class for tier in declared]):
        if len(set(what)) != len(what):
            raise ConfigError("each tier has a name and a class of its own")
    return declared


class _Sums:
    """The checksums of a blob's blocks, which stand behind its bytes in a tier: XXH3-64 of each MiB."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._hash = xxh3_64()
        self._filled = 0

    def update(self, view: memoryview) -> None:
        """More of the bytes."""
        while view:
            piece = view[: _BLOCK_BYTES - self._filled]
            self._hash.update(piece)
            self._filled += len(piece)
            view = view[len(piece) :]
            if self._filled == _BLOCK_BYTES:
                self._done.append(self._hash.digest())
                self._hash, self._filled = xxh3_64(), 0

    def all(self) -> bytes:
        """The checksums of what has come so far."""
        return b"".join((*self._done, *((self._hash.digest(),) if self._filled else ())))


async def mark_tiers(engine: Engine, declared: list[DeclaredTier], store_id: str) -> list[str]:
    """Mark folders that become tiers of the store, once; what is to be said of those that have lost their mark.

    Raises ConfigError where one cannot be written.
    """
    notes = []
    for tier in declared:
        if tier.kind != "folder":
            continue
        key, place = _MARKED + tier.name.encode(), Path(tier.path) / _FOLDER / store_id / _MARK
        if await engine.get(key) is not None:
            if not place.exists():
                notes.append(f"{tier.path} is not the tier {tier.name} that it was: is it mounted?")
            continue
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.touch(mode=0o600)
        except OSError as error:
            raise ConfigError(f"the tier at {tier.path} cannot be written: {error.strerror}") from None
        batch = Batch()
        batch.put(key, b"1")
        await engine.commit(batch)
    return notes


class ObstoreTiers:
    """Tiers over the object_store library."""

    def __init__(self, declared: list[DeclaredTier], store_id: str, offload: Offload, entropy: Entropy) -> None:
        """`store_id` keeps apart what several stores have in one place. Raises ConfigError."""
        self._declared = declared
        self._below = f"{_FOLDER}/{store_id}/"
        self._offload = offload
        self._entropy = entropy
        self._obstore: Any = importlib.import_module("obstore")
        self._stores = {tier_volume(tier.name): _open(tier) for tier in declared}
        self._folders = {tier_volume(tier.name): Path(tier.path) for tier in declared if tier.kind == "folder"}

    @property
    def volumes(self) -> frozenset[int]:
        """The volumes that stand for tiers."""
        return frozenset(self._stores)

    async def kept(self, volume: int) -> AsyncIterator[list[Kept]]:
        """All blobs of a tier, some at a time. Raises Unavailable."""
        try:
            async for listed in self._obstore.list(self._stores[volume], prefix=self._below):
                yield [
                    Kept(int(name, 16), int(one["last_modified"].timestamp() * 1000))
                    for one in listed
                    if _OFFSET.fullmatch(name := one["path"].rpartition("/")[2])
                ]
        except Exception as error:
            raise _unavailable("listing", error) from error

    def volume_of(self, storage_class: str) -> int | None:
        """The volume of the tier of a class; None where there is none."""
        return next((tier_volume(tier.name) for tier in self._declared if tier.storage_class == storage_class), None)

    async def put(self, storage_class: str, blocks: AsyncIterator[list[memoryview]], length: int) -> Extent:
        """Store a blob; it is durable. Raises Unavailable."""
        (tier,) = (tier for tier in self._declared if tier.storage_class == storage_class)
        volume = tier_volume(tier.name)
        offset = int.from_bytes(self._entropy.bytes(8), "big") >> 1
        extent = Extent(volume, offset, length)
        name, seen, sums = self._name(extent), 0, _Sums()
        unread: Exception | None = None

        async def content() -> AsyncIterator[bytes]:
            nonlocal seen, unread
            try:
                async for block in blocks:
                    for view in block:
                        seen += len(view)
                        sums.update(view)
                        yield bytes(view)
                yield sums.all()
            except Exception as error:
                unread = error  # it is not the tier's
                raise

        await self._check_mounted(volume)
        try:
            await self._obstore.put_async(self._stores[volume], name, content())
            if volume in self._folders:
                await self._offload.run(_sync, self._folders[volume], name)
        except Exception as error:
            if unread is not None:
                raise unread from error
            raise _unavailable(tier.name, error) from error
        if seen != length:
            raise Corrupt(f"a blob of {length} bytes had {seen}")
        return extent

    async def read(self, extent: Extent, start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        """Bytes start..stop of a blob, some at a time, each block of them verified. Raises Unavailable or Corrupt."""
        if start >= stop:
            return
        first, last = start // _BLOCK_BYTES, (stop - 1) // _BLOCK_BYTES
        sums = await self._range(extent, extent.length + first * _SUM_BYTES, extent.length + (last + 1) * _SUM_BYTES)
        end = min((last + 1) * _BLOCK_BYTES, extent.length)
        for low in range(first * _BLOCK_BYTES, end, _READ_BYTES):
            found = await self._range(extent, low, min(end, low + _READ_BYTES))
            place = (low // _BLOCK_BYTES - first) * _SUM_BYTES
            made = _Sums()
            made.update(found)
            if made.all() != bytes(sums[place : place + len(made.all())]):
                raise Corrupt(f"{self._name(extent)} is damaged in its tier")
            yield [found[max(start - low, 0) : stop - low]]

    async def _range(self, extent: Extent, start: int, stop: int) -> memoryview:
        """Bytes start..stop as they stand in the tier. Raises Unavailable or Corrupt."""
        name = self._name(extent)
        try:
            found = await self._obstore.get_range_async(self._store(extent), name, start=start, end=stop)
        except FileNotFoundError as error:
            await self._check_mounted(extent.volume)
            raise Corrupt(f"{name} is not in its tier any more") from error
        except Exception as error:
            raise _unavailable(name, error) from error
        if len(found) != stop - start:
            raise Corrupt(f"{name} is shorter in its tier than it was")
        return memoryview(found)

    async def free(self, extent: Extent) -> None:
        """Remove a blob. Raises Unavailable."""
        await self._check_mounted(extent.volume)
        try:
            await self._obstore.delete_async(self._store(extent), self._name(extent))
        except FileNotFoundError:
            return
        except Exception as error:
            raise _unavailable(self._name(extent), error) from error

    async def _check_mounted(self, volume: int) -> None:
        """Raises Unavailable where a folder has not the mark that this store has put there when it first used it."""
        folder = self._folders.get(volume)
        if folder is not None and not await self._offload.run((folder / self._below / _MARK).exists):
            raise Unavailable(f"{folder} is not the tier that it was: is it mounted?")

    def _name(self, extent: Extent) -> str:
        """Where a blob stands in its tier: spread over folders, of which none grows too large."""
        text = f"{extent.offset:016x}"
        return f"{self._below}{text[:2]}/{text}"

    def _store(self, extent: Extent) -> Any:
        store = self._stores.get(extent.volume)
        if store is None:
            raise Unavailable("the tier in which this stands is not declared: see --tiers FILE")
        return store


def _open(tier: DeclaredTier) -> Any:
    stores: Any = importlib.import_module("obstore.store")
    try:
        if tier.kind == "folder":
            Path(tier.path).mkdir(parents=True, exist_ok=True)
            return stores.LocalStore(tier.path, automatic_cleanup=False)
        given = {"region": tier.region, "virtual_hosted_style_request": False}
        if tier.endpoint:
            given["endpoint"] = tier.endpoint
        if tier.access_key:
            given |= {"access_key_id": tier.access_key, "secret_access_key": tier.secret_key}
        options = {**_QUICK, "allow_http": tier.endpoint.startswith("http://")}
        return stores.S3Store(
            tier.bucket, prefix=tier.prefix or None, config=given, client_options=options, retry_config=_RETRIES
        )
    except Exception as error:
        raise ConfigError(f"tier {tier.name} cannot be used: {error}") from error


def _sync(folder: Path, name: str) -> None:
    """Have a file below `folder` on stable storage, and every folder on the way to it, which may be new."""
    path = folder / name
    for place in (path, *(parent for parent in path.parents if parent.is_relative_to(folder))):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # noqa: TID251 - it is no blob of a volume
        finally:
            os.close(descriptor)


def _unavailable(what: str, error: Exception) -> Unavailable:
    return Unavailable(f"tier {what}: {type(error).__name__} {str(error).splitlines()[0] if str(error) else ''}")
