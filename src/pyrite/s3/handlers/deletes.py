"""Owns DELETE of objects: one, and many at once."""

import asyncio
from typing import NamedTuple

from pyrite.aws.dates import parse_http, parse_iso
from pyrite.aws.xml import element
from pyrite.core.counts import parse_count
from pyrite.core.errors import PyriteError
from pyrite.http.response import Headers, Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.listing import list_versions as versions_of
from pyrite.objects.naming import Removed
from pyrite.objects.versionids import id_of
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import document, empty
from pyrite.s3.errors import S3Error, translate
from pyrite.s3.handlers.buckets import find
from pyrite.s3.handlers.locks import BYPASS, check_bypassable, may_bypass
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.versions import named_version, parse_version, version_of

_DELETE_MAX_KEYS = 1000
_AT_ONCE = 100


def _extra_conditions(request: S3Request) -> tuple[int | None, int | None]:
    time, size = "x-amz-if-match-last-modified-time", "x-amz-if-match-size"
    return _time(time, request.header(time.encode())), _size(size, request.header(size.encode()))


async def _delete_all(service: Service, request: S3Request, bucket: Bucket) -> Response:
    """Remove every version of a key and of what lies below it as a folder, as MinIO's clients ask for it."""
    if bucket.record.lock:
        raise S3Error("InvalidRequest", "force-delete is forbidden on Object Locking enabled buckets")
    folder = request.key.rstrip(b"/") + b"/"
    for key in (request.key, folder):
        is_folder = key == folder
        while True:
            found, page = await versions_of(service.engine, bucket, key, b"", (b"", None), _DELETE_MAX_KEYS)
            doomed = [one for one in found if is_folder or one.key == key]
            for one in doomed:
                version = id_of(one.record).encode()
                for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
                    await service.access.require(request, action, bucket, one.key, version=version)
                await _delete(service, request, bucket, one.key, version, WriteConditions())
            if not page.truncated or not doomed:
                break
    return empty()


async def delete_object(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if (request.header(b"x-minio-force-delete") or "").lower() == "true" and b"versionId" not in request.query:
        return await _delete_all(service, request, bucket)
    if BYPASS in request.headers and not service.compat.bypass_anywhere:
        check_bypassable(bucket)
    version = version_of(request)
    conditions = WriteConditions(
        request.header(b"if-match"),
        None,
        *_extra_conditions(request),
        request.judged.guard(bucket, request.key, named_version(request)),
    )
    removed = await _delete(service, request, bucket, request.key, named_version(request), conditions)
    headers: Headers = []
    if removed.marker:
        headers.append((b"x-amz-delete-marker", b"true"))
    if removed.version_id:
        headers.append((b"x-amz-version-id", removed.version_id.encode()))
    elif version is not None and bucket.record.versioning:
        headers.append((b"x-amz-version-id", request.query[b"versionId"]))
    return empty(204, headers)


async def _delete(
    service: Service,
    request: S3Request,
    bucket: Bucket,
    key: bytes,
    version: bytes | None,
    conditions: WriteConditions,
) -> Removed:
    """Delete a version, or the current one. Raises S3Error when governance is to be bypassed by who may not."""
    if version is None:
        owner = request.caller.owner or bucket.record.owner
        return await service.objects.delete(bucket, key, conditions, owner, cause_of(request, "s3:ObjectRemoved"))
    stamp = parse_version(version)
    assert stamp is not None
    bypass = await may_bypass(service, request, bucket, key, version)
    cause = cause_of(request, "s3:ObjectRemoved")
    return await service.naming.delete_version(bucket, key, stamp, conditions, bypass, cause=cause)


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    seconds = parse_http(text)
    milliseconds = parse_iso(text) if seconds is None else seconds * 1000
    if milliseconds is None:
        raise S3Error("InvalidArgument", f"{name} is not a date")
    return milliseconds // 1000


def _size(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    number = parse_count(text)
    if number is None:
        raise S3Error("InvalidArgument", f"{name} is not a number", (("ArgumentName", name), ("ArgumentValue", text)))
    return number


class _Doomed(NamedTuple):
    key: bytes
    version: str | None
    etag: str | None
    modified_s: int | None
    size_bytes: int | None


async def delete_objects(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if (request.header(BYPASS) or "").lower() == "true" and not service.compat.bypass_anywhere:
        check_bypassable(bucket)
    doomed, quiet = _parse_delete(await read_document(request))
    request.named_keys = tuple(
        item.key.decode("utf-8", "replace") + (f" {item.version}" if item.version else "") for item in doomed
    )
    results = [""] * len(doomed)
    places: dict[bytes, list[int]] = {}
    for place, item in enumerate(doomed):
        places.setdefault(item.key, []).append(place)

    refusals: dict[int, PyriteError] = {}

    async def delete_key(of_key: list[int]) -> None:
        for place in of_key:  # one after the other, as they stand in the request
            results[place] = await _delete_one(service, request, bucket, doomed[place], refusals.get(place), quiet)

    waiting = list(places.values())
    for first in range(0, len(waiting), _AT_ONCE):  # together, so that they share what is written and synced
        chosen = waiting[first : first + _AT_ONCE]
        async with service.turns.one() as turn:  # decisions may take long
            for place in (place for of_key in chosen for place in of_key):
                refusal = await _decide(service, request, bucket, doomed[place])
                if refusal is not None:
                    refusals[place] = refusal
                await turn.pause()
        done = await asyncio.gather(*map(delete_key, chosen), return_exceptions=True)
        failures = [failure for failure in done if failure is not None]
        if failures:
            raise failures[0]
    return document("DeleteResult", "".join(results))


def _parse_delete(body: bytes) -> tuple[list[_Doomed], bool]:
    if not body:
        raise S3Error("MissingRequestBodyError")
    root = parse_document(body)
    items = [child for child in root.children if child.name == "Object"]
    if root.name != "Delete" or not items or len(items) > _DELETE_MAX_KEYS:
        raise S3Error("MalformedXML")
    doomed = []
    for item in items:
        key = item.find("Key")
        if not key:
            raise S3Error("MalformedXML")
        modified, size = item.find("LastModifiedTime"), item.find("Size")
        doomed.append(
            _Doomed(
                key.encode(),
                item.find("VersionId"),
                item.find("ETag"),
                _time("LastModifiedTime", modified) if modified else None,
                _size("Size", size) if size else None,
            )
        )
    return doomed, (root.find("Quiet") or "").strip().lower() == "true"


async def _decide(service: Service, request: S3Request, bucket: Bucket, item: _Doomed) -> PyriteError | None:
    """Why the caller may not delete a key or a version; None where it may."""
    raw = item.version.encode() if item.version else None
    action = "s3:DeleteObject" if raw is None else "s3:DeleteObjectVersion"
    try:
        await service.access.require(request, action, bucket, item.key, version=raw)
        if item.etag is not None:  # who tests it learns of the content
            await service.access.require(request, "s3:GetObject", bucket, item.key)
    except PyriteError as error:
        return error
    return None


async def _delete_one(
    service: Service, request: S3Request, bucket: Bucket, item: _Doomed, refusal: PyriteError | None, quiet: bool
) -> str:
    key = element("Key", item.key.decode("utf-8", "replace"))
    version = element("VersionId", item.version) if item.version else ""
    raw = item.version.encode() if item.version else None
    try:
        if refusal is not None:
            raise refusal
        guard = request.judged.guard(bucket, item.key, raw)
        conditions = WriteConditions(item.etag, None, item.modified_s, item.size_bytes, guard)
        removed = await _delete(service, request, bucket, item.key, raw, conditions)
    except PyriteError as error:
        known = translate(error) or S3Error("InternalError")
        if raw is not None and known.code == "InvalidArgument" and ("ArgumentName", "versionId") in known.details:
            known = S3Error("NoSuchVersion")  # so many answers say of the ids in their lists
        return f"<Error>{key}{version}{element('Code', known.code)}{element('Message', known.message)}</Error>"
    if quiet:
        return ""
    told = ""
    if removed.marker:
        told = f"<DeleteMarker>true</DeleteMarker>{element('DeleteMarkerVersionId', removed.version_id)}"
    return f"<Deleted>{key}{version}{told}</Deleted>"
