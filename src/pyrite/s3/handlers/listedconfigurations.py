"""Owns the configurations of which a bucket may have many, each with an id: analytics, metrics, intelligent tiering.

They are kept and given back, as AWS answers them. What they ask for is on always (metrics of every request), or is
nothing that a store of one kind of drive could do.
"""

from pyrite.aws import xml
from pyrite.aws.xml import DECLARATION, NAMESPACE
from pyrite.http.response import Response
from pyrite.s3.documents import XML_TYPE, document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service

EACH_MAX = 1000
_ROOTS = {
    "analytics": "AnalyticsConfiguration",
    "metrics": "MetricsConfiguration",
    "intelligent-tiering": "IntelligentTieringConfiguration",
}
_LISTS = {
    "analytics": "ListBucketAnalyticsConfigurationsResult",
    "metrics": "ListMetricsConfigurationsResult",
    "intelligent-tiering": "ListBucketIntelligentTieringConfigurationsOutput",
}


def _kind(request: S3Request) -> str:
    assert request.operation is not None
    return request.operation.marker


async def put_one(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    kind, name = _kind(request), request.parameter(b"id")
    root = xml.parse(await read_document(request))
    if root.name != _ROOTS[kind] or not name or root.find("Id") != name:
        raise S3Error("MalformedXML")
    held = [key for key in bucket.record.configurations if key.startswith(f"{kind}/")]
    if len(held) >= EACH_MAX and f"{kind}/{name}" not in held:
        raise S3Error("TooManyConfigurations")
    await service.buckets.configure(bucket, f"{kind}/{name}", xml.write(root))
    return empty(200)


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
    found = "".join(text for key, text in sorted(held.items()) if key.startswith(f"{kind}/"))
    return document(_LISTS[kind], f"<IsTruncated>false</IsTruncated>{found}")


async def delete_one(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    name = f"{_kind(request)}/{request.parameter(b'id') or ''}"
    if name not in bucket.record.configurations:
        raise S3Error("NoSuchConfiguration")
    await service.buckets.configure(bucket, name, None)
    return empty()
