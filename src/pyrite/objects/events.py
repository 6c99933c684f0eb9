"""Owns events: what happened to objects, for whom it is to be told, and its record, which commits with the change.

Source: AWS, "Amazon S3 Event Notifications" in the Amazon S3 User Guide.
"""

from typing import NamedTuple

import msgspec

from pyrite.aws import xml
from pyrite.aws.xml import Element
from pyrite.core.lru import remembered
from pyrite.metadata.keyspaces import EVENTS, escape, number
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import BadNotification
from pyrite.objects.records import BucketRecord, ObjectRecord
from pyrite.objects.versionids import id_of

CONFIGURATION = "notification"
LISTENERS = "listeners"
"""The configuration of a bucket that names those who listen to it now."""

_LISTEN = "listen:"
EVENTS_MAX = 100
"""The most events of one configuration; there are fewer."""
RULES_MAX = 100
_KINDS = {"TopicConfiguration": "Topic", "QueueConfiguration": "Queue", "CloudFunctionConfiguration": "CloudFunction"}
NAMES = frozenset(
    (
        "s3:ObjectCreated:Put",
        "s3:ObjectCreated:Post",
        "s3:ObjectCreated:Copy",
        "s3:ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectRemoved:Delete",
        "s3:ObjectRemoved:DeleteMarkerCreated",
        "s3:ObjectRestore:Post",
        "s3:ObjectRestore:Completed",
        "s3:ObjectTagging:Put",
        "s3:ObjectTagging:Delete",
        "s3:ObjectAcl:Put",
        "s3:ObjectAnnotation:Put",
        "s3:ObjectAnnotation:Delete",
        "s3:LifecycleExpiration:Delete",
        "s3:LifecycleExpiration:DeleteMarkerCreated",
        "s3:LifecycleTransition",
    )
)
"""What can happen here. Wildcards like s3:ObjectCreated:* stand for all of a family."""

_ELSEWHERE = frozenset(
    (
        "s3:ReducedRedundancyLostObject",
        "s3:IntelligentTiering",
        "s3:Replication:OperationFailedReplication",
        "s3:Replication:OperationMissedThreshold",
        "s3:Replication:OperationNotTracked",
        "s3:Replication:OperationReplicatedAfterThreshold",
        "s3:ObjectRestore:Delete",
    )
)


_OF_MINIO = frozenset(
    f"s3:{name}"
    for name in (
        "ObjectAccessed:Get", "ObjectAccessed:Head", "ObjectAccessed:GetRetention", "ObjectAccessed:GetLegalHold",
        "ObjectAccessed:Attributes", "ObjectCreated:PutRetention", "ObjectCreated:PutLegalHold",
        "ObjectCreated:PutTagging", "ObjectCreated:DeleteTagging", "ObjectRemoved:NoOP",
        "ObjectRemoved:DeleteAllVersions", "ObjectTransition:Failed", "ObjectTransition:Complete",
        "Replication:OperationCompletedReplication", "BucketCreated:*", "BucketRemoved:*", "Scanner:ManyVersions",
        "Scanner:BigPrefix", "Scanner:LargeVersions",
    )
)  # fmt: skip
"""Events that are told nobody here, though listeners may ask for them."""


class Cause(NamedTuple):
    """Why something happens: the event that it makes ("" for none), and who asked for it in which request."""

    event: str = ""
    principal: str = ""
    address: str = ""
    request_id: str = ""


SILENT = Cause()


class Notification(NamedTuple):
    """Whom to tell of what: events (with wildcards) of keys with a prefix and a suffix, to a target's ARN."""

    id: str
    target: str
    events: tuple[str, ...]
    prefix: str
    suffix: str

    def speaks_of(self, event: str, key: str) -> bool:
        """Whether an event of a key is to be told."""
        if not (key.startswith(self.prefix) and key.endswith(self.suffix)):
            return False
        return any(one == event or (one.endswith(":*") and event.startswith(one[:-1])) for one in self.events)


class Listener(msgspec.Struct, frozen=True, array_like=True):
    """Who listens to a bucket now, to which events of which keys."""

    id: str
    events: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""


class EventRecord(msgspec.Struct, frozen=True, array_like=True):
    """An event that waits for delivery. Of a test event there is the bucket alone."""

    format: int
    event: str
    bucket: str
    owner: str
    configuration: str
    time_ms: int
    sequencer: int
    key: bytes = b""
    size_bytes: int = 0
    etag: str = ""
    version_id: str = ""
    principal: str = ""
    address: str = ""
    request_id: str = ""


encode_event = msgspec.msgpack.Encoder().encode
decode_event = msgspec.msgpack.Decoder(EventRecord).decode


def event_key(target: str, stamp: int, nonce: bytes) -> bytes:
    """Where an event for a target is stored: behind those that came before it."""
    return events_for(target) + number(stamp) + nonce


def events_for(target: str) -> bytes:
    """The prefix of all events that wait for a target."""
    return EVENTS + escape(target.encode())


def parse(root: Element) -> tuple[Notification, ...]:
    """What a NotificationConfiguration says. Raises BadNotification."""
    if root.name != "NotificationConfiguration" or len(root.children) > RULES_MAX:
        raise BadNotification("")
    found = tuple(_parse_one(item) for item in root.children if item.name != "EventBridgeConfiguration")
    for n, one in enumerate(found):
        for other in found[:n]:
            if _overlap(one, other):
                raise BadNotification(
                    "Configurations overlap. Configurations on the same bucket cannot share a common event type."
                )
    return found


def _parse_one(item: Element) -> Notification:
    target = item.find(_KINDS.get(item.name, "?"))
    events = tuple(dict.fromkeys(child.text.strip() for child in item.children if child.name == "Event"))
    if not target or not events or len(events) > EVENTS_MAX:
        raise BadNotification("")
    for event in events:
        if not _is_among(event, NAMES | _ELSEWHERE):
            raise BadNotification("The event is not supported for notifications")
    prefix = suffix = ""
    for rule in _rules(item):
        name, value = (rule.find("Name") or "").lower(), rule.find("Value") or ""
        if name == "prefix" and not prefix:
            prefix = value
        elif name == "suffix" and not suffix:
            suffix = value
        else:
            raise BadNotification("filter rule name must be either prefix or suffix, and each of them once")
    return Notification((item.find("Id") or "").strip(), target.strip(), events, prefix, suffix)


def _is_among(event: str, names: frozenset[str]) -> bool:
    """Whether an event is one of these, or stands for a family of them."""
    return event in names or (event.endswith(":*") and any(name.startswith(event[:-1]) for name in names))


def is_event(event: str) -> bool:
    """Whether a listener may ask for an event, or a family of them; clients of MinIO ask for some of its own, too."""
    return _is_among(event, NAMES | _ELSEWHERE | _OF_MINIO)


def _rules(item: Element) -> list[Element]:
    return [
        rule
        for part in item.children
        if part.name == "Filter"
        for key in part.children
        if key.name == "S3Key"
        for rule in key.children
    ]


def _overlap(one: Notification, other: Notification) -> bool:
    """Whether some event of some key would be told by both."""
    keys = (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)) and (
        one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    )
    if not keys:
        return False
    for mine in one.events:
        for theirs in other.events:
            a, b = mine.removesuffix("*"), theirs.removesuffix("*")
            if mine == theirs or (mine.endswith("*") and b.startswith(a)) or (theirs.endswith("*") and a.startswith(b)):
                return True
    return False


def notifications_of(bucket: Bucket) -> tuple[Notification, ...]:
    """Whom a bucket tells of what."""
    text, listening = (bucket.record.configurations.get(name) for name in (CONFIGURATION, LISTENERS))
    found = () if text is None else _stored(text)
    return found if listening is None else found + _listening(listening)


def tells_anybody(bucket: Bucket) -> bool:
    """Whether anybody is told what happens in a bucket."""
    return CONFIGURATION in bucket.record.configurations or LISTENERS in bucket.record.configurations


def listeners_in(record: BucketRecord) -> tuple[Listener, ...]:
    """Who listens to a bucket now."""
    text = record.configurations.get(LISTENERS)
    return () if text is None else msgspec.json.decode(text, type=tuple[Listener, ...])


def target_of(listener: Listener) -> str:
    """The name of a listener as a target of events."""
    return _LISTEN + listener.id


def is_listener(target: str) -> bool:
    """Whether a target of events is a listener."""
    return target.startswith(_LISTEN)


@remembered
def _listening(text: str) -> tuple[Notification, ...]:
    return tuple(
        Notification("", target_of(one), one.events, one.prefix, one.suffix)
        for one in msgspec.json.decode(text, type=tuple[Listener, ...])
    )


@remembered
def _stored(text: str) -> tuple[Notification, ...]:
    return parse(xml.parse(text.encode()))


def events_of(
    bucket: Bucket, key: bytes, record: ObjectRecord, cause: Cause, stamp: int, time_ms: int
) -> list[tuple[str, EventRecord]]:
    """The events that a change makes, each with the target it is for."""
    name = key.decode("utf-8", "replace")
    return [
        (
            one.target,
            EventRecord(
                1,
                cause.event,
                bucket.record.name,
                bucket.record.owner,
                one.id,
                time_ms,
                stamp,
                key,
                record.size_bytes,
                record.etag,
                id_of(record) if bucket.record.versioning else "",
                cause.principal,
                cause.address,
                cause.request_id,
            ),
        )
        for one in notifications_of(bucket)
        if one.speaks_of(cause.event, name)
    ]
