"""Owns the configurations of which a bucket may have many, each with an id: analytics, metrics, intelligent tiering,
inventories.

The first three are kept and given back, as AWS answers them. What they ask for is on always (metrics of every
request), or is nothing that a store of one kind of drive could do.
"""

from pyrite.aws import xml
from pyrite.aws.xml import DECLARATION, NAMESPACE, Element, element
from pyrite.http.response import Response
from pyrite.s3.documents import XML_TYPE, document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers import inventories
from pyrite.s3.handlers.buckets import find
from pyrite.s3.payload import CONFIGURATION_MAX_BYTES, read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.services import inventoryrules
from pyrite.services.inventoryrules import Inventory

EACH_MAX = 1000
PAGE = 100
_ROOTS = {
    "analytics": "AnalyticsConfiguration",
    "metrics": "MetricsConfiguration",
    "intelligent-tiering": "IntelligentTieringConfiguration",
    inventoryrules.KIND: "InventoryConfiguration",
}
_LISTS = {
    "analytics": "ListBucketAnalyticsConfigurationsResult",
    "metrics": "ListMetricsConfigurationsResult",
    "intelligent-tiering": "ListBucketIntelligentTieringConfigurationsOutput",
    inventoryrules.KIND: "ListInventoryConfigurationsResult",
}


def _kind(request: S3Request) -> str:
    assert request.operation is not None
    return request.operation.marker


async def put_one(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    kind, name = _kind(request), request.parameter(b"id")
    root = parse_document(await read_document(request, CONFIGURATION_MAX_BYTES))
    if root.name != _ROOTS[kind] or not name or not root.find("Id"):
        raise S3Error("MalformedXML")
    if root.find("Id") != name:
        raise S3Error("IdMismatch" if kind == inventoryrules.KIND else "MalformedXML")
    if kind == inventoryrules.KIND:
        inventories.check(service, _inventory_in(root))
    _check(kind, root)
    held = [key for key in bucket.record.configurations if key.startswith(f"{kind}/")]
    if len(held) >= EACH_MAX and f"{kind}/{name}" not in held:
        raise S3Error("TooManyConfigurations")
    await service.buckets.configure(bucket, f"{kind}/{name}", xml.write(root))
    return empty()


def _check(kind: str, root: Element) -> None:
    """Raises S3Error where a configuration says what there is not."""
    named = {child.name for child in root.children}
    if kind == "analytics" and "StorageClassAnalysis" not in named:
        raise S3Error("MalformedXML")
    if kind == "intelligent-tiering":
        tiers = [child.find("AccessTier") for child in root.children if child.name == "Tiering"]
        good = root.find("Status") in ("Enabled", "Disabled") and bool(tiers)
        if not good or not set(tiers) <= {"ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"}:
            raise S3Error("MalformedXML")


def _inventory_in(root: Element) -> Inventory:
    try:
        return inventoryrules.parse(root)
    except inventoryrules.BadInventory as error:
        raise S3Error(error.code, error.what or None) from None


async def get_some(service: Service, request: S3Request) -> Response:
    """The one that the id names, or a list of all."""
    bucket = await find(service, request)
    kind, name = _kind(request), request.parameter(b"id")
    held = bucket.record.configurations
    if name:
        text = held.get(f"{kind}/{name}")
        if text is None:
            raise S3Error("NoSuchConfiguration")
        shown = text.replace(f"<{_ROOTS[kind]}>", f'<{_ROOTS[kind]} xmlns="{NAMESPACE}">', 1)
        return Response(200, [XML_TYPE], (DECLARATION + shown).encode())
    after = f"{kind}/{request.parameter(b'continuation-token') or ''}"
    found = [key for key in sorted(held) if key.startswith(f"{kind}/") and key > after]
    content = "".join(held[key] for key in found[:PAGE]) + element("IsTruncated", str(len(found) > PAGE).lower())
    if request.parameter(b"continuation-token"):
        content += element("ContinuationToken", request.parameter(b"continuation-token") or "")
    if len(found) > PAGE:
        content += element("NextContinuationToken", found[PAGE - 1].partition("/")[2])
    return document(_LISTS[kind], content)


async def delete_one(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    name = f"{_kind(request)}/{request.parameter(b'id') or ''}"
    if name not in bucket.record.configurations:
        raise S3Error("NoSuchConfiguration")
    bucket = await service.buckets.configure(bucket, name, None)
    run = inventoryrules.RUN + (request.parameter(b"id") or "")
    if _kind(request) == inventoryrules.KIND and run in bucket.record.configurations:
        await service.buckets.configure(bucket, run, None)
    return empty()
