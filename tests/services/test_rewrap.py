"""Rotation of the master keys: everything moves to the newest one, nothing is lost, and old keys can go."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from pyrite.core.clock import HybridClock, SystemClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.keyring import Keyring, MasterKeys, NotUnwrapped, UnknownMasterKey, Wrapped
from pyrite.iam import accesskeys, accounts
from pyrite.iam.changing import Changes
from pyrite.iam.records import AccessKeyRecord, access_key_key
from pyrite.kms.access import default_policy
from pyrite.kms.keys import KmsKeys
from pyrite.kms.upkeep import keep_keys
from pyrite.metadata.keyspaces import OBJECTS, UPLOADS, VERSIONS
from pyrite.metadata.kv import Batch, after_prefix
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects.buckets import Buckets
from pyrite.objects.conditions import ALWAYS
from pyrite.objects.naming import Naming
from pyrite.objects.records import (
    FORMAT,
    Attributes,
    Encryption,
    ObjectRecord,
    UploadRecord,
    decode_object,
    decode_upload,
    encode,
)
from pyrite.objects.sealing import KEY_PURPOSE
from pyrite.services.rewrap import SETTLE_MS, Rewrapper, count_uses

ACCOUNT = "111111111111"


def run(doing: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(doing)


class Store:
    """A store whose keyring a test rotates."""

    def __init__(self) -> None:
        self.entropy = SystemEntropy()
        self.masters = {"one": self.entropy.bytes(32)}
        self.keyring = Keyring(lambda: MasterKeys(dict(self.masters), list(self.masters)[-1]), self.entropy)
        self.engine, clock = MemoryEngine(), SystemClock()
        self.keys = KmsKeys(self.engine, self.keyring, clock, self.entropy, "us-east-1")
        self.changes = Changes(self.engine, clock, self.entropy, keyring=self.keyring)
        hybrid = HybridClock(clock)
        self.buckets = Buckets(self.engine, hybrid, self.entropy)
        self.naming = Naming(self.engine, self.buckets, hybrid, self.entropy)
        self.bucket = run(self.buckets.create("b-1", "owner", ""))
        self.rewrapper = Rewrapper(self.engine, self.keyring, self.keys)
        self.now_ms = clock.now_ms()
        self.clock = hybrid

    def put(self, key: bytes) -> bytes:
        """An object with a key of its own; that key."""
        secret = self.keyring.new_key()
        wrapped = self.keyring.wrap(secret, KEY_PURPOSE)
        encryption = Encryption("AES256", wrapped.key_id, wrapped.secret)
        record = ObjectRecord(
            FORMAT, 0, "e", 0, "STANDARD", None, self.clock.next(), (), Attributes(), "owner", encryption=encryption
        )
        run(self.naming.put(self.bucket, key, record, ALWAYS))
        return secret

    def secret_of(self, key: bytes) -> bytes:
        record = run(self.naming.find(self.bucket, key)).record
        return self.keyring.unwrap(Wrapped(record.encryption.key_id, record.encryption.wrapped), KEY_PURPOSE)

    def rotate(self, name: str) -> None:
        self.masters[name] = self.entropy.bytes(32)
        self.keyring.refresh()

    def move_everything(self) -> int:
        """Let a whole pass go by; how many things it moved."""
        done = run(self.rewrapper.step(self.now_ms))
        self.now_ms += SETTLE_MS
        done += run(self.rewrapper.step(self.now_ms))
        while self.rewrapper.is_busy:
            done += run(self.rewrapper.step(self.now_ms))
        return done


def test_everything_moves_to_the_newest_key() -> None:
    """Objects, older versions, KMS keys and access keys are wrapped anew, and open as before; then the old key goes."""
    store = Store()
    run(store.changes.make(lambda change: accounts.create(change, "a", ACCOUNT)))
    made = run(store.changes.make(lambda change: accesskeys.create(change, ACCOUNT, "")))
    key = run(store.keys.create(ACCOUNT, default_policy(ACCOUNT)))
    ciphertext = store.keys.encrypt(key, b"secret", {"a": "b"})
    secrets = {b"k%d" % n: store.put(b"k%d" % n) for n in range(20)}
    assert store.move_everything() == 0  # there is one key: nothing to do
    store.rotate("two")
    assert run(count_uses(store.engine))["two"] == 0
    assert store.move_everything() == 20 + 1 + 1
    assert set(run(count_uses(store.engine))) == {"two"}
    del store.masters["one"]
    store.keyring.refresh()
    assert {name: store.secret_of(name) for name in secrets} == secrets
    again = run(store.keys.find(ACCOUNT, key.id)).record
    assert store.keys.decrypt(again, ciphertext, {"a": "b"}) == b"secret"
    found = run(store.changes.view.get(AccessKeyRecord, access_key_key(made.id)))
    assert found.secret == made.secret
    assert store.move_everything() == 0


def test_what_was_wrapped_is_bound() -> None:
    """A wrapped secret opens under its own key, for its own purpose, unaltered, and else not at all."""
    keyring = Store().keyring
    wrapped = keyring.wrap(b"secret", b"this")
    assert keyring.unwrap(wrapped, b"this") == b"secret"
    with pytest.raises(NotUnwrapped):
        keyring.unwrap(wrapped, b"that")
    with pytest.raises(NotUnwrapped):
        keyring.unwrap(wrapped._replace(secret=wrapped.secret[:-1] + bytes([wrapped.secret[-1] ^ 1])), b"this")
    with pytest.raises(UnknownMasterKey):
        keyring.unwrap(wrapped._replace(key_id="none"), b"this")


def test_keys_rotate_and_go_by_themselves() -> None:
    """A KMS key gets a new generation when it is due, and one whose deletion was scheduled goes when its time comes."""
    store = Store()
    day = 86_400_000
    key = run(store.keys.create(ACCOUNT, default_policy(ACCOUNT)))
    old = store.keys.encrypt(key, b"secret", {})
    from msgspec.structs import replace

    run(store.keys.change(ACCOUNT, key.id, lambda record: replace(record, rotation_days=90)))
    assert run(keep_keys(store.keys, store.now_ms + 89 * day)) == 0
    assert run(keep_keys(store.keys, store.now_ms + 91 * day)) == 1
    turned = run(store.keys.find(ACCOUNT, key.id)).record
    assert len(turned.materials) == 2
    assert store.keys.decrypt(turned, old, {}) == b"secret"
    gone_ms = store.now_ms + 7 * day
    pending = {"state": "PendingDeletion", "deletion_ms": gone_ms, "rotation_days": 0}
    run(store.keys.change(ACCOUNT, key.id, lambda record: replace(record, **pending)))
    assert run(keep_keys(store.keys, gone_ms - 1)) == 0
    assert run(keep_keys(store.keys, gone_ms)) == 1
    assert run(store.keys.list_all(ACCOUNT)) == []


@pytest.mark.parametrize("way", ["forward", "back"])
@pytest.mark.parametrize("looked_at", [UPLOADS, OBJECTS, VERSIONS])
def test_what_moves_while_uses_are_counted_counts(looked_at: bytes, way: str) -> None:
    """A name that moves to another space right behind a look at one of them is counted: its key is not let go."""
    store = Store()
    store.put(b"k")
    (row,) = run(store.engine.scan(OBJECTS, after_prefix(OBJECTS), 10))
    places = [OBJECTS + row.key[1:], VERSIONS + row.key[1:]]
    source, target = places if way == "forward" else reversed(places)
    batch = Batch()
    batch.delete(row.key)
    batch.put(source, row.value)
    run(store.engine.commit(batch))
    scan = store.engine.scan
    looks = 0

    async def moving(start: bytes, end: bytes, limit: int, reverse: bool = False) -> Any:
        nonlocal looks
        found = await scan(start, end, limit, reverse)
        if start[:1] == looked_at and not looks:
            looks += 1
            batch = Batch()
            batch.delete(source)
            batch.put(target, row.value)
            await store.engine.commit(batch)
        return found

    store.engine.scan = moving  # type: ignore[method-assign]
    assert run(count_uses(store.engine))["one"] >= 1 and looks == 1


@pytest.mark.parametrize("space", [UPLOADS, OBJECTS])
def test_an_upload_that_is_completed_while_uses_are_counted_counts(space: bytes) -> None:
    """An upload that becomes an object right behind a look at either is counted."""
    store = Store()
    secret = store.keyring.wrap(store.keyring.new_key(), KEY_PURPOSE)
    sealed = {"encryption": Encryption("AES256", secret.key_id, secret.secret)}
    record = ObjectRecord(FORMAT, 0, "e", 0, "STANDARD", None, 1, (), Attributes(), "owner", **sealed)
    batch = Batch()
    batch.put(UPLOADS + b"u", encode(UploadRecord(FORMAT, 0, Attributes(), "owner", **sealed)))
    run(store.engine.commit(batch))
    scan, looks = store.engine.scan, []

    async def completing(start: bytes, end: bytes, limit: int, reverse: bool = False) -> Any:
        found = await scan(start, end, limit, reverse)
        if start[:1] == space and not looks:
            looks.append(start)
            batch = Batch()
            batch.delete(UPLOADS + b"u")
            batch.put(OBJECTS + b"o", encode(record))
            await store.engine.commit(batch)
        return found

    store.engine.scan = completing  # type: ignore[method-assign]
    assert run(count_uses(store.engine))["one"] >= 1 and looks


def test_uploads_are_wrapped_anew() -> None:
    """An upload that has begun gets the newest key, too."""
    store = Store()
    secret = store.keyring.wrap(store.keyring.new_key(), KEY_PURPOSE)
    upload = UploadRecord(
        FORMAT, 0, Attributes(), "owner", encryption=Encryption("AES256", secret.key_id, secret.secret)
    )  # fmt: skip
    batch = Batch()
    batch.put(UPLOADS + b"u", encode(upload))
    run(store.engine.commit(batch))
    store.rotate("two")
    assert store.move_everything() == 1
    assert set(run(count_uses(store.engine))) == {"two"}


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("names", [UPLOADS + OBJECTS, OBJECTS + VERSIONS])
def test_what_moves_during_a_pass_is_wrapped_anew(names: bytes, steps: int) -> None:
    """An upload that is completed, or an object that is replaced, between any two steps gets the newest key."""
    store = Store()
    secret = store.keyring.wrap(store.keyring.new_key(), KEY_PURPOSE)
    sealed = {"encryption": Encryption("AES256", secret.key_id, secret.secret)}
    upload = UploadRecord(FORMAT, 0, Attributes(), "owner", **sealed)
    record = ObjectRecord(FORMAT, 0, "e", 0, "STANDARD", None, 1, (), Attributes(), "owner", **sealed)
    source, target = names[:1] + b"name", names[1:] + b"name"
    batch = Batch()
    batch.put(source, encode(upload if names[:1] == UPLOADS else record))
    run(store.engine.commit(batch))
    store.rotate("two")
    run(store.rewrapper.step(store.now_ms))
    store.now_ms += SETTLE_MS
    for _ in range(steps):
        run(store.rewrapper.step(store.now_ms))
    standing = run(store.engine.get(source))
    moved = ObjectRecord(
        FORMAT, 0, "e", 0, "STANDARD", None, 1, (), Attributes(), "owner",
        encryption=(decode_upload if names[:1] == UPLOADS else decode_object)(standing.value).encryption,
    )  # fmt: skip
    batch = Batch()
    batch.delete(source)
    batch.put(target, encode(moved))
    run(store.engine.commit(batch))
    while store.rewrapper.is_busy:
        run(store.rewrapper.step(store.now_ms))
    assert set(run(count_uses(store.engine))) == {"two"}
