"""Any sequence of operations on objects does what a dictionary would do, and leaves nothing behind."""

import asyncio
import hashlib
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyrite.aws.checksums import ALGORITHMS, encode
from pyrite.blobs.buffers import BufferPools
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.local import LocalDrive
from pyrite.blobs.store import BlobStore
from pyrite.blobs.volumes import Volumes
from pyrite.core.clock import HybridClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import PyriteError
from pyrite.core.offload import ThreadOffload, ThreadWorkforce
from pyrite.metadata.keyspaces import ANNOTATIONS, GARBAGE, HEADS, OBJECTS, PAGES, PARTS, REFERENCES, UPLOADS, VERSIONS
from pyrite.metadata.kv import after_prefix
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects.annotating import Annotated, Payload
from pyrite.objects.appending import Addition
from pyrite.objects.assembling import CompletePart
from pyrite.objects.buckets import Buckets
from pyrite.objects.conditions import ALWAYS, WriteConditions
from pyrite.objects.errors import (
    BucketExists,
    BucketNotEmpty,
    Deleted,
    InvalidPart,
    IsDeleteMarker,
    Locked,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PartTooSmall,
    PreconditionFailed,
    WrongOffset,
)
from pyrite.objects.layer import object_layer
from pyrite.objects.listing import list_objects, list_versions
from pyrite.objects.objects import Copied, Given, Put, StreamSource
from pyrite.objects.records import Attributes, Checksum, Lock, ObjectRecord
from pyrite.objects.underway import UnderWay
from pyrite.objects.uploads import Completion
from pyrite.objects.versionids import id_of, parse_id
from pyrite.objects.volumecatalog import MetadataCatalog
from pyrite.services.claims import Claims
from pyrite.services.lifecycle import Lifecycle
from pyrite.services.reaper import GRACE_MS, Reaper
from tests.objects.model import Body, Model, Version

RULES = {
    "expire": "<Prefix>a/</Prefix><Expiration><Days>1</Days></Expiration>",
    "noncurrent": "<Prefix></Prefix><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
    "<NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
}
KIB, MIB = 1024, 1024 * 1024
BUCKETS = ("one", "one", "one", "two")  # the first is always there
KEYS = [b"a", b"a/", b"a/b", b"a/b/c", b"a//", b"b", b"/", "ü".encode(), b"z" * 1024, b"z" * 479 + b"/x", b"a\x7f"]

bodies = st.builds(
    Body, st.integers(0, 255), st.sampled_from([0, 1, 100, 4096, 128 * KIB, 128 * KIB + 1, 700_001, 3 * MIB])
)
parts = st.builds(Body, st.integers(0, 255), st.sampled_from([1, 5 * MIB - 1, 5 * MIB]))
annotations = st.one_of(
    st.none(), st.builds(Body, st.integers(0, 255), st.sampled_from([1, 100, 4096, 128 * KIB + 1, 1024 * KIB]))
)
# Two keys come up more often than the others, so that versions of one key pile up.
names, any_key = st.sampled_from(BUCKETS), st.sampled_from([*KEYS[:2] * 5, *KEYS])


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000


class Memory:
    """A body that is here as a whole."""

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._data = data

    def take_all(self) -> bytes | None:
        return self._data if len(self._data) % 2 else None  # both ways in

    async def read_into(self, target: memoryview) -> int:
        chunk, self._data = self._data[: len(target)], self._data[len(target) :]
        target[: len(chunk)] = chunk
        return len(chunk)


class ObjectsMachine(RuleBasedStateMachine):
    """The object layer over real directories and metadata in memory, beside the model."""

    uploads = Bundle("uploads")

    @initialize(drives=st.sampled_from([1, 4]), state=st.sampled_from(["", "Enabled", "Enabled"]))
    def begin(self, drives: int, state: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.paths = [Path(self.folder.name) / f"d{n}" for n in range(drives)]
        for path in self.paths:
            path.mkdir()
        self.model = Model()
        self.clock, self.hybrid = HandClock(), HybridClock(HandClock())
        self.engine, self.entropy = MemoryEngine(), SystemEntropy()
        self.open()
        self.create_bucket_called("one")
        if state:
            self.set_state("one", state)

    def open(self) -> None:
        drives = {path.name: LocalDrive(path.name, path) for path in self.paths}
        self.volumes = Volumes(
            DriveSet(drives), MetadataCatalog(self.engine), self.hybrid, "w0", None, 16 * MIB, ThreadWorkforce(4, 60.0)
        )
        self.offload = ThreadOffload(2)
        self.blobs = BlobStore(self.volumes, BufferPools.of(64 * MIB), self.offload, self.damaged)
        self.under_way = UnderWay(self.clock)
        self.buckets = Buckets(self.engine, self.hybrid, self.entropy)
        layer = object_layer(self.engine, self.buckets, self.blobs, self.hybrid, self.entropy, self.under_way)
        self.naming, self.reading, self.objects, self.multipart, self.appending, self.annotating = layer
        self.reaper = Reaper(self.engine, self.blobs, self.clock, self.clock.now_ms, self.damaged, Claims())

    def damaged(self, what: object) -> None:
        raise AssertionError(what)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def refused(
        self, error: type[PyriteError] | tuple[type[PyriteError], ...], coroutine: Coroutine[Any, Any, Any]
    ) -> None:
        with pytest.raises(error):
            self.run(coroutine)

    def bucket(self, name: str) -> Any:
        return self.run(self.buckets.find(name))

    def put_of(self, conditions: WriteConditions = WriteConditions()) -> Put:  # noqa: B008 - it is frozen
        hashers = {name: ALGORITHMS[name].make() for name in ("MD5", "CRC64NVME")}
        return Put(Given(Attributes(), "owner", "CRC64NVME", conditions), hashers, lambda digests, size: None)

    # ---- buckets

    @rule(name=names)
    def create_bucket(self, name: str) -> None:
        self.create_bucket_called(name)

    def create_bucket_called(self, name: str) -> None:
        if name in self.model.buckets:
            self.refused(BucketExists, self.buckets.create(name, "owner", ""))
        else:
            self.run(self.buckets.create(name, "owner", ""))
            self.model.create_bucket(name)

    @rule()
    def delete_the_second_bucket(self) -> None:
        self.delete_bucket("two")

    def delete_bucket(self, name: str) -> None:
        held = self.model.versions.get(name)
        if held is None:
            self.refused(NoSuchBucket, self.buckets.delete(name))
        elif held:
            self.refused(BucketNotEmpty, self.buckets.delete(name))
        else:
            self.run(self.buckets.delete(name))
            self.model.delete_bucket(name)
            gone = [upload for upload, (bucket, _, _) in self.model.uploads.items() if bucket == name]
            for upload in gone:
                del self.model.uploads[upload]

    # ---- objects

    @rule(name=names, key=any_key, body=bodies, condition=st.sampled_from(["", "", "", "absent", "current", "other"]))
    def put(self, name: str, key: bytes, body: Body, condition: str) -> None:
        if name not in self.model.buckets:
            return
        old = self.model.buckets[name].get(key)
        match = {"current": old[1] if old else "0" * 32, "other": "f" * 32}.get(condition)
        put = self.put_of(WriteConditions(match, "*" if condition == "absent" else None))
        doing = self.objects.put(self.bucket(name), key, Memory(body.data), put)
        if (
            self.model.is_frozen(name, key)
            and condition in ("", "current", "absent")
            and (old or condition != "current")
        ):
            self.refused((Locked, PreconditionFailed), doing)
        elif match is not None and old is None:
            self.refused(NoSuchKey, doing)
        elif (condition == "absent" and old is not None) or condition == "other":
            self.refused(PreconditionFailed, doing)
        else:
            record = self.run(doing)
            assert record.etag == self.model.put(name, key, body.data, id_of(record))

    @rule(
        name=names,
        key=any_key,
        body=st.builds(Body, st.integers(0, 255), st.sampled_from([0, 1, 100, 100, 4096, 128 * KIB + 1])),
        slip=st.sampled_from([0, 0, 0, 0, 1, -1]),
        times=st.sampled_from([1, 1, 2, 4]),
    )
    def append(self, name: str, key: bytes, body: Body, slip: int, times: int) -> None:
        if key not in self.model.buckets.get(name, {}):
            return
        for _ in range(times if body.size in (1, 100) else 1):
            self.append_once(name, key, body.data, slip)

    def append_once(self, name: str, key: bytes, data: bytes, slip: int) -> None:
        content, etag = self.model.buckets[name][key]
        found = self.run(self.objects.find(self.bucket(name), key))
        put = self.put_of()
        addition = Addition(len(content) + slip, put.hashers, put.check, "CRC64NVME")
        doing = self.appending.append(self.bucket(name), key, found, Memory(data), addition)
        if slip:
            self.refused(WrongOffset, doing)
            return
        if data and self.model.is_frozen(name, key):
            self.refused(Locked, doing)
            return
        record = self.run(doing)
        if not data:
            assert record == found
            return
        assert record.etag != etag
        self.model.append(name, key, data, id_of(record), record.etag)
        whole = ALGORITHMS["CRC64NVME"].make()
        whole.update(content + data)
        assert record.checksum == Checksum("CRC64NVME", encode(whole.digest()))

    @rule(data=st.data(), name=names, key=any_key, label=st.sampled_from([b"a", b"b", b"c"]), body=annotations)
    def annotate(self, data: st.DataObject, name: str, key: bytes, label: bytes, body: Body | None) -> None:
        held = [version for version in self.model.versions.get(name, {}).get(key, []) if not version.marker]
        if not held:
            return
        version, bucket = data.draw(st.sampled_from(held)), self.bucket(name)
        stamp = parse_id(version.id)
        record = self.run(self.objects.find(bucket, key, stamp))
        annotated = Annotated(key, stamp, label)
        if version.holds and label in version.annotations:
            self.refused(Locked, self.annotating.delete(bucket, annotated))
            return
        if body is None:
            self.run(self.annotating.delete(bucket, annotated))
            version.annotations.pop(label, None)
        else:
            put = self.put_of()
            payload = Payload(Memory(body.data), put.hashers, put.check, "CRC64NVME")
            _, part = self.run(self.annotating.put(bucket, annotated, record, payload, None))
            assert part.etag == hashlib.md5(body.data).hexdigest()
            version.annotations[label] = body.data
        self.check_annotations(bucket, key, version)

    def check_annotations(self, bucket: Any, key: bytes, version: Version) -> None:
        record = self.run(self.objects.find(bucket, key, parse_id(version.id)))
        listed = self.run(self.annotating.list(record, b"", b"", 10))
        assert {one.name: one.record.size_bytes for one in listed} == {
            name: len(data) for name, data in version.annotations.items()
        }
        for name, data in version.annotations.items():
            part = self.run(self.annotating.find(record, name))
            assert self.run(self.annotating.read(part, None)) == data
        assert record.etag == version.etag

    @rule(name=names, key=any_key)
    def delete(self, name: str, key: bytes) -> None:
        if name in self.model.buckets and self.model.is_frozen(name, key):
            self.refused(Locked, self.objects.delete(self.bucket(name), key))
        elif name in self.model.buckets:
            there = key in self.model.buckets[name]
            removed = self.run(self.objects.delete(self.bucket(name), key))
            assert removed.existed == there
            if self.model.states[name]:
                assert removed.marker
                self.model.add(name, key, removed.version_id, None)
            else:
                self.model.remove(name, key, "null")

    @rule(name=names, state=st.sampled_from(["Enabled", "Enabled", "Suspended"]))
    def set_versioning(self, name: str, state: str) -> None:
        if name in self.model.versions:
            self.set_state(name, state)

    def set_state(self, name: str, state: str) -> None:
        self.run(self.buckets.change(self.bucket(name), versioning=state))
        self.model.states[name] = state

    @rule(data=st.data(), name=names, key=any_key)
    def delete_version(self, data: st.DataObject, name: str, key: bytes) -> None:
        if name not in self.model.versions:
            return
        ids = [version.id for version in self.model.versions[name].get(key, [])]
        chosen = data.draw(st.sampled_from([*ids, "null", "0123456789abcdef"]))
        self.remove_version(name, key, chosen)

    def remove_version(self, name: str, key: bytes, chosen: str) -> None:
        held = self.model.versions[name].get(key, [])
        if any(version.id == chosen and version.holds for version in held):
            deleting = self.naming.delete_version(self.bucket(name), key, parse_id(chosen), ALWAYS)
            self.refused(Locked, deleting)
            return
        removed = self.run(self.naming.delete_version(self.bucket(name), key, parse_id(chosen), ALWAYS))
        gone = self.model.remove(name, key, chosen)
        assert removed.existed == (gone is not None)
        if gone is not None:
            assert removed.marker == gone.marker

    @rule(data=st.data(), name=names, key=any_key, on=st.booleans())
    def hold(self, data: st.DataObject, name: str, key: bytes, on: bool) -> None:
        held = [version for version in self.model.versions.get(name, {}).get(key, []) if not version.marker]
        if held:
            self.set_hold(name, key, data.draw(st.sampled_from(held)), on)

    def set_hold(self, name: str, key: bytes, version: Version, on: bool) -> None:
        def amend(record: ObjectRecord) -> ObjectRecord:
            return msgspec.structs.replace(record, lock=Lock(hold="ON" if on else "OFF"))

        self.run(self.naming.amend(self.bucket(name), key, parse_id(version.id), amend))
        version.holds.clear()
        version.holds.update({"legal"} if on else ())

    @rule(name=names, rules=st.sampled_from(list(RULES)))
    def live(self, name: str, rules: str) -> None:
        """Ten days pass, and lifecycle does what one rule says."""
        if name not in self.model.versions:
            return
        text = f"<LifecycleConfiguration><Rule>{RULES[rules]}<Status>Enabled</Status></Rule></LifecycleConfiguration>"
        self.run(self.buckets.configure(self.bucket(name), "lifecycle", text))

        def later() -> int:
            return (self.hybrid.next() >> 16) + 10 * 86_400_000

        lifecycle = Lifecycle(self.engine, self.buckets, self.naming, self.multipart, later)
        self.run(lifecycle.step())
        while lifecycle.is_busy:
            self.run(lifecycle.step())
        self.run(self.buckets.configure(self.bucket(name), "lifecycle", None))
        if rules == "noncurrent":
            self.model.expire_noncurrent(name, 1)
            return
        for key in self.model.expire(name, b"a/"):
            if self.model.states[name]:
                self.model.add(name, key, self.marker_of(name, key), None)
            else:
                self.model.remove(name, key, "null")

    def marker_of(self, name: str, key: bytes) -> str:
        with pytest.raises(NoSuchKey) as gone:
            self.run(self.naming.find(self.bucket(name), key))
        assert isinstance(gone.value, Deleted)
        return gone.value.version_id

    @rule(data=st.data(), name=names, key=any_key)
    def get_version(self, data: st.DataObject, name: str, key: bytes) -> None:
        held = self.model.versions.get(name, {}).get(key, [])
        if not held:
            return
        version = data.draw(st.sampled_from(held))
        finding = self.objects.find(self.bucket(name), key, parse_id(version.id))
        if version.data is None:
            self.refused(IsDeleteMarker, finding)
        else:
            record = self.run(finding)
            assert (record.etag, id_of(record)) == (version.etag, version.id)
            assert self.run(self.read(record, 0, record.size_bytes)) == version.data

    @rule(name=names, prefix=st.sampled_from([b"", b"a", b"a/", b"z", b"none"]), limit=st.sampled_from([1, 2, 3, 1000]))
    def list_versions(self, name: str, prefix: bytes, limit: int) -> None:
        if name not in self.model.versions:
            return
        found, after = [], (b"", None)
        while True:
            rows, page = self.run(list_versions(self.engine, self.bucket(name), prefix, b"", after, limit))
            found += [(row.key, id_of(row.record), row.record.etag, row.record.marker, row.is_latest) for row in rows]
            if not page.truncated:
                break
            after = (rows[-1].key, rows[-1].record.version)
        expected = self.model.listing_of_versions(name, prefix)
        assert found == [(key, v.id, v.etag, v.marker, latest) for key, v, latest in expected]

    @precondition(lambda self: any(self.model.buckets.values()))
    @rule(data=st.data(), target_name=names, target_key=any_key, shares=st.booleans())
    def copy(self, data: st.DataObject, target_name: str, target_key: bytes, shares: bool) -> None:
        name = data.draw(st.sampled_from(sorted(n for n, held in self.model.buckets.items() if held)))
        key = data.draw(st.sampled_from(sorted(self.model.buckets[name])))
        if target_name not in self.model.buckets:
            return
        source, target = self.bucket(name), self.bucket(target_name)
        found = self.run(self.naming.current(source, key))
        content, etag = self.model.buckets[name][key]
        if self.model.is_frozen(target_name, target_key):
            copied = Copied(Attributes(), "owner")
            self.refused(Locked, self.objects.copy(source, key, found, target, target_key, copied))
        elif shares:
            copied, annotations = (
                Copied(Attributes(), "owner", annotated=True),
                dict(self.latest(name, key).annotations),
            )
            record = self.run(self.objects.copy(source, key, found, target, target_key, copied))
            self.model.add(target_name, target_key, id_of(record), content, etag)
            self.latest(target_name, target_key).annotations.update(annotations)
            self.check_annotations(target, target_key, self.latest(target_name, target_key))
        else:
            stream = StreamSource(self.reading, found.record, 0, found.record.size_bytes)
            record = self.run(self.objects.put(target, target_key, stream, self.put_of()))
            self.run(stream.close())
            self.model.put(target_name, target_key, content, id_of(record))

    def latest(self, name: str, key: bytes) -> Version:
        return self.model.versions[name][key][-1]

    @precondition(lambda self: any(self.model.buckets.values()))
    @rule(data=st.data())
    def get(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(n for n, held in self.model.buckets.items() if held)))
        key = data.draw(st.sampled_from(sorted(self.model.buckets[name])))
        content, etag = self.model.buckets[name][key]
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, len(content)))
        record = self.run(self.objects.find(self.bucket(name), key))
        assert (record.etag, record.size_bytes) == (etag, len(content))
        assert self.run(self.read(record, start, stop)) == content[start:stop]

    async def read(self, record: Any, start: int, stop: int) -> bytes:
        found = b""
        if start < stop:
            async for views in self.reading.stream(record, start, stop):
                found += b"".join(views)
        return found

    @rule(
        name=names,
        prefix=st.sampled_from([b"", b"a", b"a/", b"z", b"none"]),
        delimiter=st.sampled_from([b"", b"/", b"//", b"z"]),
        after=st.one_of(st.just(b""), any_key),
        limit=st.sampled_from([0, 1, 2, 3, 1000]),
    )
    def list(self, name: str, prefix: bytes, delimiter: bytes, after: bytes, limit: int) -> None:
        if name not in self.model.buckets:
            return
        found, page = self.run(list_objects(self.engine, self.bucket(name), prefix, delimiter, after, limit))
        keys, groups, more = self.model.listing(name, prefix, delimiter, after, limit)
        assert ([key for key, _ in found], page.prefixes) == (keys, groups)
        assert page.truncated == (more and limit > 0)
        for key, item in found:
            content, etag = self.model.buckets[name][key]
            assert (item.size_bytes, item.etag) == (len(content), etag)

    # ---- uploads

    @rule(target=uploads, name=names, key=any_key)
    def create_upload(self, name: str, key: bytes) -> Any:
        if name not in self.model.buckets:
            return multiple()
        upload = self.run(self.multipart.create(self.bucket(name), key, Attributes(), "owner", "", ""))
        self.model.uploads[upload] = (name, key, {})
        return (upload, name, key)

    @rule(upload=uploads, number=st.integers(1, 4), body=parts)
    def put_part(self, upload: tuple[bytes, str, bytes], number: int, body: Body) -> None:
        upload_id, name, key = upload
        if name not in self.model.buckets:
            return
        finding = self.multipart.find(self.bucket(name), key, upload_id)
        if upload_id not in self.model.uploads:
            self.refused(NoSuchUpload, finding)
            return
        found = self.run(finding)
        put = self.put_of()
        storing = self.multipart.put_part(
            self.bucket(name), found, number, Memory(body.data), put.hashers, put.check, "CRC64NVME"
        )
        assert self.run(storing).etag == hashlib.md5(body.data).hexdigest()
        self.model.uploads[upload_id][2][number] = body.data

    @rule(upload=uploads, data=st.data())
    def complete(self, upload: tuple[bytes, str, bytes], data: st.DataObject) -> None:
        upload_id, name, key = upload
        if name not in self.model.buckets or upload_id not in self.model.uploads:
            return
        held = self.model.uploads[upload_id][2]
        if not held:
            wrong = [CompletePart(1, "0" * 32, {})]
            doing = self.multipart.complete(self.bucket(name), key, upload_id, Completion(wrong))
            self.refused(InvalidPart, doing)
            return
        numbers = sorted(data.draw(st.sets(st.sampled_from(sorted(held)), min_size=1)))
        listed = [CompletePart(number, hashlib.md5(held[number]).hexdigest(), {}) for number in numbers]
        doing = self.multipart.complete(self.bucket(name), key, upload_id, Completion(listed))
        if any(len(held[number]) < 5 * MIB for number in numbers[:-1]):
            self.refused(PartTooSmall, doing)
            return
        if self.model.is_frozen(name, key):
            self.refused(Locked, doing)
            return
        record = self.run(doing)
        self.model.complete(upload_id, numbers, id_of(record))
        assert record.etag == self.model.buckets[name][key][1]
        again = self.run(self.multipart.complete(self.bucket(name), key, upload_id, Completion(listed)))
        assert again == record

    @rule(upload=consumes(uploads))
    def abort(self, upload: tuple[bytes, str, bytes]) -> None:
        upload_id, name, key = upload
        if name in self.model.buckets and self.model.uploads.pop(upload_id, None) is not None:
            self.run(self.multipart.abort(self.bucket(name), key, upload_id))

    # ---- the background, and the end

    @rule()
    def reap(self) -> None:
        self.clock.ms += 2 * GRACE_MS + self.hybrid_ahead()
        self.run(self.reaper.step())

    def hybrid_ahead(self) -> int:
        """How far the stamps of garbage are ahead of the clock that the reaper reads."""
        return max(0, (self.hybrid.next() >> 16) - self.clock.ms)

    @rule()
    def reopen(self) -> None:
        self.run(self.blobs.close())
        self.offload.close()
        self.open()

    @invariant()
    def usage_is_exact(self) -> None:
        for name, held in getattr(self, "model", Model()).versions.items():
            usage = self.run(self.buckets.usage(self.bucket(name).id))
            all_versions = [version for versions in held.values() for version in versions]
            size = sum(
                len(version.data or b"") + sum(map(len, version.annotations.values())) for version in all_versions
            )
            current = len(self.model.buckets[name])
            assert usage == (current, size, len(all_versions) - current)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for name, held in self.model.buckets.items():
            for key, (content, _) in held.items():
                record = self.run(self.objects.find(self.bucket(name), key))
                assert self.run(self.read(record, 0, len(content))) == content
            for key, versions in self.model.versions[name].items():
                for version in versions:
                    if not version.marker:
                        self.check_annotations(self.bucket(name), key, version)
        self.everything_goes()
        self.run(self.blobs.close())
        self.offload.close()
        self.loop.close()
        self.folder.cleanup()

    def everything_goes(self) -> None:
        """After everything is deleted and reaped, no record and no reference is left."""
        for name in list(self.model.buckets):
            for key, held in self.model.versions[name].items():
                for version in held:
                    if version.holds:
                        self.set_hold(name, key, version, on=False)
                    stamp = parse_id(version.id)
                    assert self.run(self.naming.delete_version(self.bucket(name), key, stamp, ALWAYS)).existed
            self.model.versions[name].clear()
            self.delete_bucket(name)
        for _ in range(20):
            self.reap()
        for space in (ANNOTATIONS, GARBAGE, HEADS, OBJECTS, PAGES, PARTS, REFERENCES, UPLOADS, VERSIONS):
            assert self.run(self.engine.scan(space, after_prefix(space), 10)) == []


class VersionsMachine(ObjectsMachine):
    """The same, where little else is done than piling up versions of two keys and taking them away again."""

    @rule(key=st.sampled_from(KEYS[:2]), body=st.sampled_from([Body(1, 0), Body(2, 100), Body(3, 4096)]))
    def pile_up(self, key: bytes, body: Body) -> None:
        self.put("one", key, body, "")

    @rule(key=st.sampled_from(KEYS[:2]))
    def put_a_marker(self, key: bytes) -> None:
        self.delete("one", key)

    @rule(key=st.sampled_from(KEYS[:2]), newest=st.booleans(), data=st.data())
    def take_away(self, key: bytes, newest: bool, data: st.DataObject) -> None:
        held = self.model.versions["one"].get(key, [])
        if held:
            version = held[-1] if newest else data.draw(st.sampled_from(held))
            self.remove_version("one", key, version.id)

    @rule(key=st.sampled_from(KEYS[:2]), to=st.sampled_from(KEYS[:2]), data=st.data())
    def bring_back(self, key: bytes, to: bytes, data: st.DataObject) -> None:
        held = [version for version in self.model.versions["one"].get(key, []) if version.data is not None]
        if not held:
            return
        version, bucket = data.draw(st.sampled_from(held)), self.bucket("one")
        found = self.run(self.naming.find(bucket, key, parse_id(version.id)))
        copying = self.objects.copy(bucket, key, found, bucket, to, Copied(Attributes(), "owner"))
        if self.model.is_frozen("one", to):
            self.refused(Locked, copying)
            return
        record = self.run(copying)
        self.model.add("one", to, id_of(record), version.data, version.etag)

    @rule(key=st.sampled_from(KEYS[:2]), on=st.booleans())
    def hold_it(self, key: bytes, on: bool) -> None:
        if key in self.model.buckets["one"]:
            self.set_hold("one", key, self.latest("one", key), on)

    @rule(key=st.sampled_from(KEYS[:2]), body=st.sampled_from([Body(4, 1), Body(5, 100)]))
    def add_to_it(self, key: bytes, body: Body) -> None:
        if key in self.model.buckets["one"]:
            self.append_once("one", key, body.data, 0)

    @invariant()
    def what_is_current_reads(self) -> None:
        if not hasattr(self, "model"):
            return
        current = self.model.buckets["one"]
        for key in KEYS[:2]:
            found = self.run(self.naming.current(self.bucket("one"), key))
            assert (found is not None) == (key in current)
            if found is not None:
                assert self.run(self.read(found.record, 0, found.record.size_bytes)) == current[key][0]


def run_machine(examples: int, steps: int, machine: type[ObjectsMachine] = ObjectsMachine) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(1800)
def test_objects_do_what_the_model_does() -> None:
    """Over a hundred sequences of operations agree with the model, and nothing is left behind."""
    run_machine(120, 50)


@pytest.mark.timeout(1800)
def test_versions_do_what_the_model_does() -> None:
    """The same where versions pile up, are taken away and brought back: what is current is always the newest."""
    run_machine(60, 60, VersionsMachine)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_objects_do_what_the_model_does_for_long() -> None:
    """A thousand longer sequences agree with the model."""
    run_machine(1000, 80)
