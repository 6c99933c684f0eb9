"""Owns making inventories: a walk over a bucket, a page at a time, into files of its destination and their manifest.

One is made at a time. It is told of when its manifest is there; one that was cut short is begun anew at its next turn.
"""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pyrite.aws.arns import bucket_arn
from pyrite.aws.checksums import CRC64NVME
from pyrite.core.entropy import Entropy
from pyrite.core.errors import PyriteError
from pyrite.core.offload import Offload
from pyrite.metadata.keyspaces import escape
from pyrite.metadata.kv import Engine, Row, after_prefix
from pyrite.objects import keys
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.errors import ObjectsError
from pyrite.objects.events import Cause
from pyrite.objects.ingest import WholeSource, accept
from pyrite.objects.listing import AllVersions
from pyrite.objects.objects import Given, Objects, Put
from pyrite.objects.records import Attributes, decode_object
from pyrite.objects.sealing import Sealing
from pyrite.services.inventoryfiles import CsvFile, parquet_of, schema_of
from pyrite.services.inventoryrules import RUN, Inventory, inventories_of
from pyrite.services.lifecyclerules import DAY_S

PAGE_ROWS = 500
FILE_ROWS = 250_000
LOOK_AGAIN_MS = 10_000
_CAUSE = Cause("s3:ObjectCreated:Put", "s3.amazonaws.com")


class NotDelivered(PyriteError):
    """An inventory has nowhere to go."""


class Place(NamedTuple):
    """A bucket that takes an inventory, and how it is sealed there."""

    bucket: Bucket
    sealing: Sealing | None


PlaceOf = Callable[[Bucket, Inventory, bytes], Awaitable["Place | None"]]
"""Where a file of an inventory goes, by its key; None where it may not."""


class _File(NamedTuple):
    key: str
    size: int
    md5: str


def folder_of(bucket: Bucket, inventory: Inventory) -> str:
    """What stands before the keys of all files of an inventory."""
    prefix = inventory.key_prefix.rstrip("/")
    return f"{prefix + '/' if prefix else ''}{bucket.record.name}/{inventory.id}/"


class _Run:
    """An inventory under way."""

    def __init__(self, bucket: Bucket, inventory: Inventory, begun_ms: int) -> None:
        self.bucket = bucket
        self.inventory = inventory
        self.begun_ms = begun_ms
        self.folder = folder_of(bucket, inventory)
        self.csv = CsvFile(bucket, inventory)
        self.files: list[_File] = []
        self.last_key: bytes | None = None
        prefix = inventory.prefix.encode()
        if inventory.all_versions:
            self.start = keys.versions(bucket.id) + escape(prefix)[:-2]
        else:
            self.start = keys.object_(bucket.id, prefix)
        self.end = after_prefix(self.start)

    @property
    def moment(self) -> str:
        return time.strftime("%Y-%m-%dT%H-%MZ", time.gmtime(self.begun_ms // 1000))

    @property
    def partition(self) -> str:
        return time.strftime("dt=%Y-%m-%d-%H-%M", time.gmtime(self.begun_ms // 1000))


class Inventories:
    """Makes the inventories of all buckets. `day_s` is how long a day of theirs is."""

    def __init__(
        self,
        engine: Engine,
        buckets: Buckets,
        objects: Objects,
        place_of: PlaceOf,
        offload: Offload,
        entropy: Entropy,
        now_ms: Callable[[], int],
        day_s: float = DAY_S,
        file_rows: int = FILE_ROWS,
    ) -> None:
        self._engine = engine
        self._buckets = buckets
        self._objects = objects
        self._place_of = place_of
        self._offload = offload
        self._entropy = entropy
        self._now_ms = now_ms
        self._day_s = day_s
        self._file_rows = file_rows
        self._run: _Run | None = None
        self._look_ms = 0
        self.delivered = 0

    @property
    def is_busy(self) -> bool:
        """Whether one is under way."""
        return self._run is not None

    async def step(self) -> bool:
        """One page of the inventory under way, or the beginning of one that is due; whether one was finished."""
        if self._run is None:
            if self._now_ms() >= self._look_ms:
                self._run = await self._next()
            return False
        run = self._run
        try:
            finished = await self._page(run)
        except BaseException:
            self._run = None
            raise
        if finished:
            self._run = None
            self.delivered += 1
        return finished

    async def _next(self) -> _Run | None:
        """One that is due, noted as begun; else when to look again is noted."""
        after, now_ms = "", self._now_ms()
        while records := await self._buckets.list("", after, 100):
            after = records[-1].name
            for record in records:
                if not any(name.startswith("inventory/") for name in record.configurations):
                    continue
                bucket = await self._buckets.find(record.name)
                for inventory in inventories_of(bucket):
                    last_ms = int(bucket.record.configurations.get(RUN + inventory.id, "0"))
                    if inventory.enabled and now_ms >= last_ms + inventory.days * self._day_s * 1000:
                        bucket = await self._buckets.configure(bucket, RUN + inventory.id, str(now_ms), decides=False)
                        return _Run(bucket, inventory, now_ms)
        self._look_ms = now_ms + min(int(self._day_s * 1000 / 24), LOOK_AGAIN_MS)
        return None

    async def _page(self, run: _Run) -> bool:
        """Put the next versions down; whether those were the last."""
        rows = await self._rows(run)
        for row in rows[:PAGE_ROWS]:
            record = decode_object(row.value)
            key = keys.split_version(row.key)[0] if run.inventory.all_versions else row.key[9:]
            run.csv.add(key, record, is_latest=key != run.last_key)
            run.last_key = key
        if run.csv.rows >= self._file_rows or (len(rows) <= PAGE_ROWS and (run.csv.rows or not run.files)):
            await self._put_file(run)
        if len(rows) > PAGE_ROWS:
            run.start = rows[PAGE_ROWS].key
            return False
        await self._conclude(run)
        return True

    async def _rows(self, run: _Run) -> list[Row]:
        if run.inventory.all_versions:
            return await AllVersions(self._engine, run.bucket.id).scan(run.start, run.end, PAGE_ROWS + 1)
        return await self._engine.scan(run.start, run.end, PAGE_ROWS + 1)

    async def _put_file(self, run: _Run) -> None:
        data, ending = run.csv.finish(), "csv.gz"
        run.csv = CsvFile(run.bucket, run.inventory)
        if run.inventory.parquet:
            try:
                data, ending = await self._offload.run(parquet_of, data, run.inventory.columns), "parquet"
            except Exception as error:
                raise NotDelivered(f"inventory {run.inventory.id} of {run.bucket.record.name}: {error}") from error
        key = f"{run.folder}data/{self._entropy.bytes(16).hex()}.{ending}"
        await self._put(run, key, data, "application/octet-stream")
        run.files.append(_File(key, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()))

    async def _conclude(self, run: _Run) -> None:
        """Write the manifest, its checksum, and the list of files that Hive and Athena read."""
        links = "\n".join(f"s3://{run.inventory.bucket}/{file.key}" for file in run.files)
        await self._put(run, f"{run.folder}hive/{run.partition}/symlink.txt", links.encode(), "text/plain")
        manifest = {
            "sourceBucket": run.bucket.record.name,
            "destinationBucket": bucket_arn(run.inventory.bucket),
            "version": "2016-11-30",
            "creationTimestamp": str(run.begun_ms),
            "fileFormat": "Parquet" if run.inventory.parquet else "CSV",
            "fileSchema": schema_of(run.inventory),
            "files": [{"key": file.key, "size": file.size, "MD5checksum": file.md5} for file in run.files],
        }
        text = json.dumps(manifest, indent=2).encode()
        await self._put(run, f"{run.folder}{run.moment}/manifest.json", text, "application/json")
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest().encode()
        await self._put(run, f"{run.folder}{run.moment}/manifest.checksum", digest, "text/plain")

    async def _put(self, run: _Run, key: str, data: bytes, content_type: str) -> None:
        place = await self._place_of(run.bucket, run.inventory, key.encode())
        if place is None:
            raise NotDelivered(
                f"inventory {run.inventory.id} of {run.bucket.record.name} may not be written to {run.inventory.bucket}"
            )
        given = Given(
            Attributes(content_type),
            place.bucket.record.owner,
            CRC64NVME.name,
            sealing=place.sealing,
            cause=_CAUSE,
        )
        hashers = {"MD5": hashlib.md5(usedforsecurity=False), CRC64NVME.name: CRC64NVME.make()}
        try:
            await self._objects.put(place.bucket, key.encode(), WholeSource(data), Put(given, hashers, accept))
        except ObjectsError as error:
            raise NotDelivered(f"inventory {run.inventory.id} of {run.bucket.record.name}: {error}") from error
