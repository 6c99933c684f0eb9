"""Owns restoring archived objects, so that they can be read for some days."""

from msgspec.structs import replace

from pyrite.core.counts import parse_count
from pyrite.http.response import Response
from pyrite.objects.records import ObjectRecord
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.headers import ARCHIVES
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.versions import named_version, version_of

_DAY_MS = 86_400_000
_TIERS = ("Standard", "Bulk", "Expedited")
DAYS_MAX = 36_500


async def restore_object(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    days = _parse(await read_document(request))
    now_ms = service.clock.now_ms()
    again = False

    def change(record: ObjectRecord) -> ObjectRecord:
        nonlocal again
        request.judged.check(bucket, request.key, named_version(request), record)
        if record.storage_class not in ARCHIVES:
            raise S3Error("InvalidObjectState", "Restore is not allowed for the object's current storage class")
        again = record.restored_until_ms > now_ms
        until_ms = -(-(now_ms + days * _DAY_MS) // _DAY_MS) * _DAY_MS
        return replace(record, restored_until_ms=until_ms)

    await service.naming.amend(
        bucket, request.key, version_of(request), change, cause_of(request, "s3:ObjectRestore:Completed")
    )
    return empty(200 if again else 202)


def _parse(body: bytes) -> int:
    """For how many days an object is to be restored. Raises S3Error."""
    root = parse_document(body)
    days = (root.find("Days") or "").strip()
    if root.name != "RestoreRequest":
        raise S3Error("MalformedXML")
    if any(child.name in ("SelectParameters", "OutputLocation", "Type") for child in root.children):
        raise S3Error("NotImplemented", "A restore cannot select; use SelectObjectContent")
    number = parse_count(days)
    if number is None or not 1 <= number <= DAYS_MAX:
        raise S3Error("MalformedXML")
    parameters = [child for child in root.children if child.name == "GlacierJobParameters"]
    tier = parameters[0].find("Tier") if parameters else root.find("Tier")
    if tier is not None and tier not in _TIERS:
        raise S3Error("MalformedXML")
    return number
