"""Owns what a bucket's inventory configurations say. Pure.

Source: AWS, PutBucketInventoryConfiguration in the Amazon S3 API Reference; "Cataloging and analyzing your data with S3
Inventory" in the Amazon S3 User Guide.
"""

import re
from typing import NamedTuple

from pyrite.aws import xml
from pyrite.aws.arns import MalformedArn, parse_arn
from pyrite.aws.xml import Element
from pyrite.core.errors import PyriteError
from pyrite.core.lru import remembered
from pyrite.objects.buckets import Bucket

KIND = "inventory"
RUN = "inventory-run/"
"""Before an id: the configuration of a bucket that says when its inventory was last begun, in ms."""

FIELDS = {
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "IsMultipartUploaded": "is_multipart_uploaded",
    "ReplicationStatus": "replication_status",
    "EncryptionStatus": "encryption_status",
    "ObjectLockRetainUntilDate": "object_lock_retain_until_date",
    "ObjectLockMode": "object_lock_mode",
    "ObjectLockLegalHoldStatus": "object_lock_legal_hold_status",
    "IntelligentTieringAccessTier": "intelligent_tiering_access_tier",
    "BucketKeyStatus": "bucket_key_status",
    "ChecksumAlgorithm": "checksum_algorithm",
    "ObjectAccessControlList": "object_access_control_list",
    "ObjectOwner": "object_owner",
    "LifecycleExpirationDate": "lifecycle_expiration_date",
}
"""Optional fields, by the names that they have in Parquet."""
ABSENT_FIELDS = frozenset(
    ("IntelligentTieringReferenceDate", "ObjectLockEventHoldDuration", "ObjectLockEventHoldStatus")
)
"""Optional fields of AWS's that there are none of here."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BadInventory(PyriteError):
    """The configuration is not one. `code` is the error's, `what` says why; "" where the code says enough."""

    def __init__(self, what: str = "", code: str = "MalformedXML") -> None:
        super().__init__(what or "the document is malformed")
        self.what = what
        self.code = code


class Inventory(NamedTuple):
    """An inventory: of which keys, whether of all versions, what is told of each, how often, and where it goes."""

    id: str
    enabled: bool
    prefix: str
    all_versions: bool
    fields: tuple[str, ...]
    days: int
    bucket: str
    key_prefix: str
    parquet: bool
    encrypted: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """What each line has, by the names of CSV schemas."""
        versions = ("VersionId", "IsLatest", "IsDeleteMarker") if self.all_versions else ()
        return ("Bucket", "Key", *versions, *self.fields)


def parse(root: Element) -> Inventory:
    """What an InventoryConfiguration says. Raises BadInventory."""
    destination = _one(_one(root, "Destination"), "S3BucketDestination")
    name = root.find("Id") or ""
    enabled, included = root.find("IsEnabled"), root.find("IncludedObjectVersions")
    frequency, form = _one(root, "Schedule").find("Frequency"), destination.find("Format")
    if (
        root.name != "InventoryConfiguration"
        or _ID.fullmatch(name) is None
        or enabled not in ("true", "false")
        or included not in ("All", "Current")
        or frequency not in ("Daily", "Weekly")
        or form not in ("CSV", "ORC", "Parquet")
    ):
        raise BadInventory
    if form == "ORC":
        raise BadInventory("Inventories are written as CSV or Parquet, not as ORC", "NotImplemented")
    filters = [child for child in root.children if child.name == "Filter"]
    return Inventory(
        name,
        enabled == "true",
        (filters[0].find("Prefix") or "") if filters else "",
        included == "All",
        _fields(root),
        1 if frequency == "Daily" else 7,
        _bucket(destination.find("Bucket") or ""),
        destination.find("Prefix") or "",
        form == "Parquet",
        _encrypted(destination),
    )


def _one(element: Element, name: str) -> Element:
    found = [child for child in element.children if child.name == name]
    if len(found) != 1:
        raise BadInventory
    return found[0]


def _fields(root: Element) -> tuple[str, ...]:
    asked = [child.text.strip() for part in root.children if part.name == "OptionalFields" for child in part.children]
    if len(set(asked)) != len(asked):
        raise BadInventory
    for field in asked:
        if field in ABSENT_FIELDS:
            raise BadInventory(f"The field {field!r} is not told here", "NotImplemented")
        if field not in FIELDS:
            raise BadInventory
    return tuple(field for field in FIELDS if field in asked)


def _bucket(text: str) -> str:
    try:
        arn = parse_arn(text)
    except MalformedArn:
        raise BadInventory("", "InvalidS3DestinationBucket") from None
    if arn.service != "s3" or not arn.resource or "/" in arn.resource:
        raise BadInventory("", "InvalidS3DestinationBucket")
    return arn.resource


def _encrypted(destination: Element) -> bool:
    for part in destination.children:
        if part.name == "Encryption" and part.children:
            if part.children[0].name != "SSE-S3":
                raise BadInventory("Inventories are encrypted with SSE-S3, not under KMS keys", "NotImplemented")
            return True
    return False


def inventories_of(bucket: Bucket) -> list[Inventory]:
    """The inventories of a bucket."""
    held = bucket.record.configurations
    return [_stored(text) for name, text in sorted(held.items()) if name.startswith(f"{KIND}/")]


@remembered
def _stored(text: str) -> Inventory:
    return parse(xml.parse(text.encode()))
