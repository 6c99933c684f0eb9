"""Owns the listings of objects: ListObjects, ListObjectsV2 and ListObjectVersions."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from pyrite.aws.dates import format_iso
from pyrite.aws.xml import element
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import IsDeleteMarker, NoSuchVersion
from pyrite.objects.listing import ListedKey, ListedVersion, Listing
from pyrite.objects.listing import list_objects as page_of
from pyrite.objects.listing import list_versions as versions_of
from pyrite.objects.records import ListedObject, ObjectRecord
from pyrite.objects.versionids import NULL, id_of
from pyrite.s3.documents import Names, decode_token, document, encode_token, number_parameter
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.handlers.buckets import find, person
from pyrite.s3.headers import ARCHIVES
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.rules import ENFORCED
from pyrite.s3.service import Service
from pyrite.s3.tags import header_of
from pyrite.s3.versions import parse_version

OPTIONAL_ATTRIBUTES = b"x-amz-optional-object-attributes"
_KEYS_MAX = 1000
_ELEMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


async def list_objects(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    names = Names(request)
    limit = number_parameter(request, b"max-keys", _KEYS_MAX, _KEYS_MAX)
    query = request.query
    prefix, delimiter, marker = (query.get(name, b"") for name in (b"prefix", b"delimiter", b"marker"))
    _check_order(query)
    restores = _asks_for_restores(request)
    whole = restores or _has_owners(bucket)
    keys, page = await page_of(service.engine, bucket, prefix, delimiter, marker, limit, whole)
    shown = names.element("NextMarker", page.last) if page.truncated and delimiter else ""
    plain = service.compat.plain_prefix
    head = (
        element("Name", request.bucket_name)
        + (element("Prefix", text_of(prefix)) if plain else names.element("Prefix", prefix))
        + names.element("Marker", marker)
        + shown
        + f"<MaxKeys>{limit}</MaxKeys>"
        + (names.element("Delimiter", delimiter) if delimiter else "")
        + names.encoding
        + f"<IsTruncated>{str(page.truncated).lower()}</IsTruncated>"
    )
    owners = await _owners(service, bucket, keys)
    now_ms = service.clock.now_ms() if restores else None
    return document("ListBucketResult", head + _entries(names, keys, owners, now_ms) + _prefixes(names, page))


async def list_objects_v2(service: Service, request: S3Request) -> Response:
    if request.query.get(b"list-type") != b"2":
        given = request.parameter(b"list-type") or ""
        raise bad_argument("Invalid List Type specified in Request", "list-type", given)
    bucket = await find(service, request)
    names = Names(request)
    limit = number_parameter(request, b"max-keys", _KEYS_MAX, _KEYS_MAX)
    query = request.query
    prefix, delimiter, start = (query.get(name, b"") for name in (b"prefix", b"delimiter", b"start-after"))
    _check_order(query)
    token = query.get(b"continuation-token")
    loose = service.compat.loose_lists
    after = start if token is None or (loose and not token) else decode_token(token)
    fetch_owner = query.get(b"fetch-owner") == b"true"
    restores = _asks_for_restores(request)
    details = query.get(b"metadata") == b"true"
    whole = restores or details or (fetch_owner and _has_owners(bucket))
    keys, page = await page_of(service.engine, bucket, prefix, delimiter, after, limit, whole)
    head = [
        element("Name", request.bucket_name),
        names.element("Prefix", prefix),
        names.element("StartAfter", start) if start and (loose or token is None) else "",
        element("ContinuationToken", token.decode("latin-1")) if token is not None else "",
        f"<KeyCount>{len(keys) + len(page.prefixes)}</KeyCount><MaxKeys>{limit}</MaxKeys>",
        names.element("Delimiter", delimiter) if delimiter else "",
        names.encoding,
        f"<IsTruncated>{str(page.truncated).lower()}</IsTruncated>",
        element("NextContinuationToken", encode_token(page.last)) if page.truncated else "",
    ]
    owners = await _owners(service, bucket, keys) if fetch_owner else {"": ""}
    now_ms = service.clock.now_ms() if restores else None
    told = await _details(service, request, bucket, keys) if details else {}
    entries = _entries(names, keys, owners, now_ms, told)
    return document("ListBucketResult", "".join(head) + entries + _prefixes(names, page))


async def _details(service: Service, request: S3Request, bucket: Bucket, keys: list[ListedKey]) -> dict[bytes, str]:
    """What MinIO's clients ask for with metadata=true: the metadata and the tags of each object, as elements, as far as
    the caller may read them.
    """
    found: dict[bytes, str] = {}
    for key, item in keys:
        if not isinstance(item, ObjectRecord):
            continue
        attributes, told = item.attributes, ""
        if await service.access.allows(request, "s3:GetObject", bucket, key):
            shown = {"content-type": attributes.content_type, **attributes.headers}
            shown |= {f"X-Amz-Meta-{name.title()}": value for name, value in attributes.metadata.items()}
            told = "".join(element(name, value) for name, value in shown.items() if _ELEMENT.match(name))
            told = f"<UserMetadata>{told}</UserMetadata>"
        if attributes.tags and await service.access.allows(request, "s3:GetObjectTagging", bucket, key):
            told += element("UserTags", header_of(attributes.tags).decode())
        found[key] = told
    return found


def _asks_for_restores(request: S3Request) -> bool:
    """Whether the client wants to know which archived objects can be read. Raises S3Error for other attributes."""
    asked = [name.strip() for name in (request.header(OPTIONAL_ATTRIBUTES) or "").split(",")]
    if any(name not in ("", "RestoreStatus") for name in asked):
        raise S3Error("InvalidArgument", "Invalid attribute name specified")
    return "RestoreStatus" in asked


def _restore_status(record: ListedObject | ObjectRecord, now_ms: int) -> str:
    """Until when an archived object can be read, as an element; empty where it cannot, or is in no archive."""
    if not isinstance(record, ObjectRecord) or record.storage_class not in ARCHIVES:
        return ""
    if record.restored_until_ms <= now_ms:
        return ""
    until = element("RestoreExpiryDate", format_iso(record.restored_until_ms))
    return f"<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>{until}</RestoreStatus>"


def _has_owners(bucket: Bucket) -> bool:
    """Whether objects may have owners of their own, which their records tell."""
    return bucket.record.ownership != ENFORCED


async def _owners(service: Service, bucket: Bucket, keys: list[ListedKey]) -> dict[str, str]:
    """Whom listed objects belong to, as elements; under "" the bucket's owner."""
    found = {item.owner for _, item in keys if isinstance(item, ObjectRecord)} | {""}
    return {owner: await person(service, "Owner", owner or bucket.record.owner) for owner in found}


async def list_versions(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    names = Names(request)
    limit = number_parameter(request, b"max-keys", _KEYS_MAX, _KEYS_MAX)
    query = request.query
    prefix, delimiter, marker = (query.get(name, b"") for name in (b"prefix", b"delimiter", b"key-marker"))
    id_marker = query.get(b"version-id-marker", b"")
    if id_marker and not marker:
        message = "A version-id marker cannot be specified without a key marker."
        raise bad_argument(message, "version-id-marker", text_of(id_marker))
    after = (marker, await _stamp_of_marker(service, bucket, marker, id_marker))
    found, page = await versions_of(service.engine, bucket, prefix, delimiter, after, limit)
    last_id = element("NextVersionIdMarker", id_of(found[-1].record)) if found and not page.last_is_prefix else ""
    head = (
        element("Name", request.bucket_name)
        + names.element("Prefix", prefix)
        + names.element("KeyMarker", marker)
        + element("VersionIdMarker", text_of(id_marker))
        + (names.element("NextKeyMarker", page.last) + last_id if page.truncated else "")
        + f"<MaxKeys>{limit}</MaxKeys>"
        + (names.element("Delimiter", delimiter) if delimiter else "")
        + names.encoding
        + f"<IsTruncated>{str(page.truncated).lower()}</IsTruncated>"
    )
    people = {
        owner: await person(service, "Owner", owner or bucket.record.owner)
        for owner in {version.record.owner for version in found}
    }
    now_ms = service.clock.now_ms() if _asks_for_restores(request) else None
    entries = "".join(_version_entry(names, version, people[version.record.owner], now_ms) for version in found)
    return document("ListVersionsResult", head + entries + _prefixes(names, page))


async def _stamp_of_marker(service: Service, bucket: Bucket, key: bytes, version_id: bytes) -> int | None:
    """The stamp behind which a listing goes on within a key; None to go on behind the key."""
    stamp = parse_version(version_id or None)
    if stamp != NULL:
        return stamp
    try:
        return (await service.naming.find(bucket, key, NULL)).record.version
    except IsDeleteMarker as marker:
        return marker.stamp
    except NoSuchVersion:
        return None


def _version_entry(names: Names, version: ListedVersion, owner: str, now_ms: int | None) -> str:
    record = version.record
    shown = (
        f"{names.element('Key', version.key)}<VersionId>{id_of(record)}</VersionId>"
        f"<IsLatest>{str(version.is_latest).lower()}</IsLatest><LastModified>{format_iso(record.modified_ms)}</LastModified>"
    )
    if record.marker:
        return f"<DeleteMarker>{shown}{owner}</DeleteMarker>"
    checksum = _algorithm_elements(record.checksum.algorithm, record.checksum.type) if record.checksum else ""
    restored = _restore_status(record, now_ms) if now_ms is not None else ""
    return (
        f"<Version>{shown}<ETag>&quot;{record.etag}&quot;</ETag>{checksum}<Size>{record.size_bytes}</Size>{owner}"
        f"<StorageClass>{record.storage_class}</StorageClass>{restored}</Version>"
    )


def _check_order(query: Mapping[bytes, bytes]) -> None:
    """Listings are always in order, which `allow-unordered` lets them be; groups need it. Raises S3Error."""
    if query.get(b"allow-unordered", b"").lower() == b"true" and query.get(b"delimiter"):
        raise S3Error("InvalidArgument", "allow-unordered cannot be combined with a delimiter")


def _entries(
    names: Names,
    keys: list[ListedKey],
    owners: Mapping[str, str],
    now_ms: int | None,
    details: Mapping[bytes, str] = MappingProxyType({}),
) -> str:
    parts, owner = [], owners[""]
    for key, (raw, item) in zip(names.write_all([key for key, _ in keys]), keys, strict=True):
        checksum = item.checksum
        if len(owners) > 1 and isinstance(item, ObjectRecord):
            owner = owners[item.owner]
        algorithm = _algorithm_elements(checksum.algorithm, checksum.type) if checksum is not None else ""
        restored = _restore_status(item, now_ms) if now_ms is not None else ""
        parts.append(
            f"<Contents><Key>{key}</Key><LastModified>{format_iso(item.modified_ms)}</LastModified>"
            f"<ETag>&quot;{item.etag}&quot;</ETag>{algorithm}<Size>{item.size_bytes}</Size>{owner}"
            f"<StorageClass>{item.storage_class}</StorageClass>{restored}{details.get(raw, '')}</Contents>"
        )
    return "".join(parts)


@lru_cache(maxsize=64)
def _algorithm_elements(algorithm: str, kind: str) -> str:
    return f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"


def _prefixes(names: Names, page: Listing) -> str:
    return "".join(f"<CommonPrefixes>{names.element('Prefix', prefix)}</CommonPrefixes>" for prefix in page.prefixes)
