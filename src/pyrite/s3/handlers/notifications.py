"""Owns the configuration of event notifications: checked against its targets, which get a test event."""

from msgspec.structs import replace

from pyrite.aws import xml
from pyrite.http.response import Response
from pyrite.metadata.kv import Batch
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import BadNotification
from pyrite.objects.events import CONFIGURATION, EventRecord, Notification, encode_event, event_key, parse
from pyrite.objects.records import BucketRecord
from pyrite.s3.documents import document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.payload import CONFIGURATION_MAX_BYTES, read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service


async def get_notifications(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    text = bucket.record.configurations.get(CONFIGURATION, "<NotificationConfiguration></NotificationConfiguration>")
    return document("NotificationConfiguration", "".join(map(xml.write, xml.parse(text.encode()).children)))


async def put_notifications(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    root = parse_document(await read_document(request, CONFIGURATION_MAX_BYTES))
    try:
        notifications = parse(root)
    except BadNotification as error:
        raise S3Error("InvalidArgument" if str(error) else "MalformedXML", str(error) or None) from None
    for one in notifications:
        await _check(service, request, bucket, one)
    for item in root.children:
        if not (item.find("Id") or "").strip() and item.name != "EventBridgeConfiguration":
            item.children = [child for child in item.children if child.name != "Id"]
            named = xml.Element("Id")
            named.text = service.encryptor.new_name()
            item.children.insert(0, named)
    text = xml.write(root) if notifications else None

    def edit(record: BucketRecord) -> BucketRecord:
        kept = {name: value for name, value in record.configurations.items() if name != CONFIGURATION}
        return replace(record, configurations={**kept, CONFIGURATION: text} if text is not None else kept)

    changed = await service.buckets.edit(bucket, edit)
    await _test(service, request, changed, {one.target for one in notifications})
    return empty(200)


async def _check(service: Service, request: S3Request, bucket: Bucket, notification: Notification) -> None:
    allowed = await service.targets.may_notify(request, bucket, notification.target)
    if allowed is None:
        raise S3Error(
            "InvalidArgument",
            "Unable to validate the following destination configurations",
            (("ArgumentName", notification.target), ("ArgumentValue", "The destination does not exist")),
        )
    if not allowed:
        raise S3Error("AccessDenied", f"The policy of {notification.target} does not let the bucket publish to it")


async def _test(service: Service, request: S3Request, bucket: Bucket, targets: set[str]) -> None:
    """Have every target get a test event."""
    batch = Batch()
    now_ms = service.clock.now_ms()
    for target in sorted(targets):
        stamp = service.naming.stamp()
        event = EventRecord(
            1, "s3:TestEvent", bucket.record.name, bucket.record.owner, "", now_ms, stamp, request_id=request.id
        )
        batch.put(event_key(target, stamp, service.encryptor.new_name()[:8].encode()), encode_event(event))
    if batch.writes:
        await service.engine.commit(batch)
