"""Lifecycle rules: what the document may say, and what is done when."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from pyrite.aws import xml
from pyrite.core.clock import HybridClock
from pyrite.core.entropy import SystemEntropy
from pyrite.core.errors import Corrupt, PyriteError, Unavailable
from pyrite.metadata.memory import MemoryEngine
from pyrite.objects.buckets import Buckets
from pyrite.objects.conditions import ALWAYS
from pyrite.objects.listing import list_versions
from pyrite.objects.naming import Naming
from pyrite.objects.records import FORMAT, Attributes, Lock, ObjectRecord
from pyrite.objects.versionids import id_of
from pyrite.services.lifecycle import Lifecycle
from pyrite.services.lifecyclerules import DAY_S, MINIMUM, BadRule, Filter, When, expiry_of, parse
from pyrite.services.transitions import Route

DAY_MS = DAY_S * 1000


class Store:
    """The naming of objects on a clock that a test moves, with one bucket and its lifecycle."""

    def __init__(self, rules: str, versioning: str = "") -> None:
        self.ms = 1_900_000_000_000 // DAY_MS * DAY_MS
        self.engine, entropy = MemoryEngine(), SystemEntropy()
        self.clock = HybridClock(self)
        self.buckets = Buckets(self.engine, self.clock, entropy)
        self.naming = Naming(self.engine, self.buckets, self.clock, entropy)
        uploads: Any = None  # no rule here is about uploads
        self.lifecycle = Lifecycle(self.engine, self.buckets, self.naming, uploads, self.now_ms)
        self.run(self.buckets.create("b-1", "owner", ""))
        self.bucket = self.run(self.buckets.find("b-1"))
        text = f"<LifecycleConfiguration>{rules}</LifecycleConfiguration>"
        parse(xml.parse(text.encode()))
        self.bucket = self.run(self.buckets.configure(self.bucket, "lifecycle", text))
        if versioning:
            self.bucket = self.run(self.buckets.change(self.bucket, versioning=versioning))

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(doing)

    def put(self, key: bytes, size: int = 0, tags: dict[str, str] | None = None, lock: Lock | None = None) -> str:
        version = self.clock.next()
        record = ObjectRecord(
            FORMAT, size, "e", self.ms, "STANDARD", None, version, (), Attributes(tags=tags or {}), "owner", lock=lock
        )
        return id_of(self.run(self.naming.put(self.bucket, key, record, ALWAYS)))

    def delete(self, key: bytes) -> None:
        self.run(self.naming.delete(self.bucket, key, ALWAYS, "owner"))

    def days_go_by(self, days: float) -> None:
        """Move the clock, and let the walk that is due then come to its end."""
        self.ms += int(days * DAY_MS)
        self.run(self.lifecycle.step())
        while self.lifecycle.is_busy:
            self.run(self.lifecycle.step())

    def there(self) -> list[str]:
        """Keys in their order, a delete marker as `key-`, with a class that is not STANDARD as `key:CLASS`."""
        found, _ = self.run(list_versions(self.engine, self.bucket, b"", b"", (b"", None), 1000))
        return [
            row.key.decode()
            + ("-" if row.record.marker else "")
            + (f":{row.record.storage_class}" if row.record.storage_class not in ("", "STANDARD") else "")
            for row in found
        ]


def rule(actions: str, condition: str = "<Prefix></Prefix>", status: str = "Enabled") -> str:
    return f"<Rule><ID>r</ID><Status>{status}</Status><Filter>{condition}</Filter>{actions}</Rule>"


EXPIRE = "<Expiration><Days>3</Days></Expiration>"


class BrokenMover:
    """A mover whose tier does not answer, or whose objects are rotten."""

    has_tiers = True

    def __init__(self, error: PyriteError) -> None:
        self.error = error
        self.tried = 0

    def takes(self, storage_class: str) -> bool:
        return storage_class == "GLACIER"

    async def is_misplaced(self, record: ObjectRecord) -> bool:
        return False

    async def route(self, record: ObjectRecord, wanted: str) -> Route:
        return Route(frozenset((None,)), 7)

    async def move(self, *_: Any) -> None:
        self.tried += 1
        raise self.error


@pytest.mark.parametrize(("error", "tries"), [(Unavailable("away"), 1), (Corrupt("rotten"), 3)])
def test_what_cannot_be_moved_holds_up_nothing(error: PyriteError, tries: int) -> None:
    """Rules go on behind objects that cannot be moved, the tier is asked once in a walk, and why is told at its end."""
    store = Store(
        "<Rule><Status>Enabled</Status><Filter><Prefix>a</Prefix></Filter>"
        "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>"
        "<Rule><Status>Enabled</Status><Filter><Prefix>z</Prefix></Filter>"
        "<Expiration><Days>1</Days></Expiration></Rule>"
    )
    mover: Any = BrokenMover(error)
    store.lifecycle._mover = mover
    for key in (b"a1", b"a2", b"a3", b"z"):
        store.put(key, 5)
    for walk in (1, 2):
        with pytest.raises(type(error)):
            store.days_go_by(3)
        assert store.there() == ["a1", "a2", "a3"]
        assert mover.tried == tries * walk


def test_objects_expire_at_the_midnight_after_their_days() -> None:
    """A rule of three days deletes after the third day is over, at midnight, and only what it speaks of."""
    store = Store(rule(EXPIRE, "<Prefix>logs/</Prefix>"))
    store.days_go_by(0.5)
    store.put(b"logs/a")
    store.put(b"kept")
    store.days_go_by(3)
    assert store.there() == ["kept", "logs/a"]
    store.days_go_by(0.5)
    assert store.there() == ["kept"]


def test_filters() -> None:
    """Prefix, tags and sizes all have to agree."""
    condition = (
        "<And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"
        "<ObjectSizeGreaterThan>10</ObjectSizeGreaterThan><ObjectSizeLessThan>20</ObjectSizeLessThan></And>"
    )
    store = Store(rule(EXPIRE, condition))
    store.put(b"a1", 15, {"k": "v", "more": "x"})
    store.put(b"a2", 10, {"k": "v"})
    store.put(b"a3", 20, {"k": "v"})
    store.put(b"a4", 15, {"k": "w"})
    store.put(b"b1", 15, {"k": "v"})
    store.days_go_by(5)
    assert store.there() == ["a2", "a3", "a4", "b1"]


def test_filters_by_sizes_of_the_largest_objects() -> None:
    """Sizes go up to those that objects have, 50 TB, and further."""
    for size, left in ((50 * 10**12, ["k"]), (9, [])):
        store = Store(rule(EXPIRE, f"<ObjectSizeGreaterThan>{size}</ObjectSizeGreaterThan>"))
        store.put(b"k", 10)
        store.days_go_by(5)
        assert store.there() == left


def test_disabled_rules_do_nothing() -> None:
    """A rule that is disabled is kept and not followed."""
    store = Store(rule(EXPIRE, status="Disabled"))
    store.put(b"k")
    store.days_go_by(10)
    assert store.there() == ["k"]


def test_versions_expire_step_by_step() -> None:
    """Where versions are kept, the current one gets a marker; noncurrent ones go by their own days, then the marker."""
    actions = "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays></NoncurrentVersionExpiration>"
    store = Store(rule(EXPIRE + actions), "Enabled")
    store.put(b"k")
    store.days_go_by(3)
    assert store.there() == ["k-", "k"]
    store.days_go_by(2)
    assert store.there() == ["k-"]
    store.days_go_by(3)
    assert store.there() == []


def test_newer_noncurrent_versions_are_kept() -> None:
    """The newest noncurrent versions that a rule leaves alone stay, however old they are."""
    actions = (
        "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
        "<NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
    )
    store = Store(rule(actions), "Enabled")
    for _ in range(6):
        store.put(b"k")
    store.put(b"other")
    store.days_go_by(9)
    assert store.there() == ["k", "k", "k", "other"]


def test_expired_markers() -> None:
    """A delete marker is removed when nothing is left behind it, and not before."""
    store = Store(
        rule("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), "Enabled"
    )
    store.put(b"has-one")
    store.delete(b"has-one")
    store.delete(b"alone")
    store.days_go_by(1)
    assert store.there() == ["has-one-", "has-one"]


def test_locks_hold() -> None:
    """No rule removes what is locked."""
    actions = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"
    store = Store(rule(actions), "Enabled")
    store.put(b"k", lock=Lock("COMPLIANCE", store.ms + 10 * DAY_MS))
    store.put(b"k", lock=Lock(hold="ON"))
    store.put(b"k")
    store.days_go_by(5)
    assert store.there() == ["k", "k", "k"]
    store.days_go_by(6)
    assert store.there() == ["k", "k"]  # the retention is over, the hold is not


def test_transitions_only_go_colder() -> None:
    """An object goes through the classes in their order."""
    actions = "".join(
        f"<Transition><Days>{days}</Days><StorageClass>{name}</StorageClass></Transition>"
        for days, name in ((1, "GLACIER"), (3, "STANDARD_IA"))
    )
    store = Store(rule(actions))
    store.put(b"k")
    store.days_go_by(2)
    assert store.there() == ["k:GLACIER"]
    store.days_go_by(2)
    assert store.there() == ["k:GLACIER"]


def test_what_is_written_anew_begins_anew() -> None:
    """An object that is overwritten while the walk is under way is not deleted for the age of the one before."""
    store = Store(rule(EXPIRE))
    store.put(b"k")
    store.ms += 10 * DAY_MS
    store.run(store.lifecycle.step())
    old = store.run(store.naming.current(store.bucket, b"k")).version
    store.put(b"k")
    assert not store.run(store.naming.delete(store.bucket, b"k", ALWAYS, "owner", only=old)).existed
    store.days_go_by(0)
    assert store.there() == ["k"]


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("", False),
        (rule(""), True),
        (rule(EXPIRE) + rule(EXPIRE), True),
        (rule("<Expiration><Days>0</Days></Expiration>"), True),
        (rule("<Expiration><Days>x</Days></Expiration>"), False),
        (rule("<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>"), False),
        (rule("<Expiration><Date>20300101</Date></Expiration>"), False),
        (rule("<Expiration><Date>2030-01-01T05:00:00Z</Date></Expiration>"), True),
        (rule(EXPIRE, status="enabled"), False),
        (rule(EXPIRE, "<Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"), False),
        (rule("<Transition><Days>1</Days><StorageClass>WARM</StorageClass></Transition>"), False),
        (rule(EXPIRE).replace("<ID>r</ID>", f"<ID>{'x' * 256}</ID>"), True),
        ("<Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>", False),
    ],
)
def test_documents_that_are_refused(text: str, argument: bool) -> None:
    """What is not a lifecycle is refused, with the difference that AWS makes."""
    with pytest.raises(BadRule) as caught:
        parse(xml.parse(f"<LifecycleConfiguration>{text}</LifecycleConfiguration>".encode()))
    assert caught.value.argument == argument


def test_when_an_object_expires() -> None:
    """The earliest rule that speaks of an object tells when it will be deleted."""
    text = rule(EXPIRE, "<Prefix>a</Prefix>") + rule(
        "<Expiration><Days>1</Days></Expiration>", "<Prefix>ab</Prefix>"
    ).replace("<ID>r<", "<ID>s<")
    rules = parse(xml.parse(f"<LifecycleConfiguration>{text}</LifecycleConfiguration>".encode()))
    assert expiry_of(rules, "a", 0, {}, 1) == (4 * DAY_MS, "r")
    assert expiry_of(rules, "ab", 0, {}, 1) == (2 * DAY_MS, "s")
    assert expiry_of(rules, "b", 0, {}, 1) is None
    assert (When(2).due_ms(500, 10), When().due_ms(0, 10), Filter().matches("", 0, {})) == (20_500, None, True)


@pytest.mark.parametrize(
    ("minimum", "condition", "moved"),
    [
        (None, "<Prefix></Prefix>", ["small:GLACIER", "large:GLACIER"]),
        ("all_storage_classes_128K", "<Prefix></Prefix>", ["small", "large:GLACIER"]),
        ("varies_by_storage_class", "<Prefix></Prefix>", ["small:GLACIER", "large:GLACIER"]),
        (
            "all_storage_classes_128K",
            "<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan>",
            ["small:GLACIER", "large:GLACIER"],
        ),
    ],
)
def test_small_objects_move_as_the_bucket_says(minimum: str | None, condition: str, moved: list[str]) -> None:
    """Below 128 KiB they stay, where that is said, unless the class is an archive's or the rule names sizes itself."""
    store = Store(rule("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>", condition))
    store.bucket = store.run(store.buckets.configure(store.bucket, MINIMUM, minimum))
    store.put(b"small", 1000)
    store.put(b"large", 200_000)
    store.days_go_by(3)
    assert sorted(store.there()) == sorted(moved)


def test_small_objects_and_other_classes() -> None:
    """What varies by class lets small objects into archives alone."""
    store = Store(rule("<Transition><Days>1</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"))
    store.bucket = store.run(store.buckets.configure(store.bucket, MINIMUM, "varies_by_storage_class"))
    store.put(b"small", 1000)
    store.days_go_by(3)
    assert store.there() == ["small"]
