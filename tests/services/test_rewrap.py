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
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects.buckets import Buckets
from pyrite.objects.conditions import ALWAYS
from pyrite.objects.naming import Naming
from pyrite.objects.records import FORMAT, Attributes, Encryption, ObjectRecord
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
