"""Owns the files of an inventory: lines of CSV, gzipped, and Parquet made of them.

Source: AWS, "Amazon S3 Inventory" in the Amazon S3 User Guide, for columns and their forms.
"""

import base64
import json
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote_from_bytes

from pyrite.aws.dates import format_iso
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import Encryption, ObjectRecord
from pyrite.objects.versionids import id_of
from pyrite.services.inventoryrules import FIELDS, Inventory
from pyrite.services.lifecyclerules import expiry_of, rules_in

_GZIP = 31  # zlib's window bits of a gzip stream
_MEMORY_MIB = 256
_ENCRYPTION = {"AES256": "SSE-S3", "aws:kms": "SSE-KMS", "aws:kms:dsse": "DSSE-KMS", "SSE-C": "SSE-C"}
_TYPES = {
    "IsLatest": "BOOLEAN",
    "IsDeleteMarker": "BOOLEAN",
    "Size": "BIGINT",
    "LastModifiedDate": "TIMESTAMP",
    "IsMultipartUploaded": "BOOLEAN",
    "ObjectLockRetainUntilDate": "TIMESTAMP",
    "LifecycleExpirationDate": "TIMESTAMP",
}
_NAMES = {
    "Bucket": "bucket",
    "Key": "key",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
    **FIELDS,
}
_PHYSICAL = {"BOOLEAN": "boolean", "BIGINT": "int64", "TIMESTAMP": "int64", "VARCHAR": "binary"}
_LOGICAL = {"TIMESTAMP": " (TIMESTAMP(MILLIS,false))", "VARCHAR": " (STRING)"}


class CsvFile:
    """Lines of an inventory, compressed as they come."""

    def __init__(self, bucket: Bucket, inventory: Inventory) -> None:
        self._bucket = bucket
        self._inventory = inventory
        self._gzip = zlib.compressobj(6, wbits=_GZIP)
        self._blocks: list[bytes] = []
        self.rows = 0

    def add(self, key: bytes, record: ObjectRecord, is_latest: bool) -> None:
        """Put a version down."""
        cells = (_cell(column, self._bucket, key, record, is_latest) for column in self._inventory.columns)
        line = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
        self._blocks.append(self._gzip.compress((line + "\n").encode()))
        self.rows += 1

    def finish(self) -> bytes:
        """The whole file."""
        return b"".join((*self._blocks, self._gzip.flush()))


def _cell(column: str, bucket: Bucket, key: bytes, record: ObjectRecord, is_latest: bool) -> str:
    match column:
        case "Bucket":
            return bucket.record.name
        case "Key":
            return quote_from_bytes(key, "/-._~*")
        case "VersionId":
            return id_of(record) if record.versioned else ""
        case "IsLatest":
            return _boolean(is_latest)
        case "IsDeleteMarker":
            return _boolean(record.marker)
        case "LastModifiedDate":
            return format_iso(record.modified_ms)
        case "ObjectOwner":
            return record.owner
        case _:
            return "" if record.marker else _of_object(column, bucket, key, record)


def _of_object(column: str, bucket: Bucket, key: bytes, record: ObjectRecord) -> str:
    """A cell that only objects have, not delete markers."""
    lock = record.lock
    match column:
        case "Size":
            return str(record.size_bytes)
        case "StorageClass":
            return record.storage_class
        case "ETag":
            return record.etag
        case "IsMultipartUploaded":
            return _boolean(bool(record.upload))
        case "EncryptionStatus":
            return _ENCRYPTION.get(record.encryption.algorithm, "") if record.encryption is not None else "NOT-SSE"
        case "ObjectLockRetainUntilDate":
            return format_iso(lock.until_ms) if lock is not None and lock.mode else ""
        case "ObjectLockMode":
            return lock.mode if lock is not None else ""
        case "ObjectLockLegalHoldStatus":
            return lock.hold if lock is not None else ""
        case "IntelligentTieringAccessTier":
            return "FREQUENT" if record.storage_class == "INTELLIGENT_TIERING" else ""
        case "BucketKeyStatus":
            return _bucket_key(record.encryption)
        case "ChecksumAlgorithm":
            return record.checksum.algorithm if record.checksum is not None else ""
        case "ObjectAccessControlList":
            return _grants(record)
        case "LifecycleExpirationDate":
            return _expiry(bucket, key, record)
        case _:
            return ""


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _bucket_key(encryption: Encryption | None) -> str:
    if encryption is None or not encryption.algorithm.startswith("aws:kms"):
        return ""
    return "ENABLED" if encryption.bucket_key else "DISABLED"


def _grants(record: ObjectRecord) -> str:
    """The access control list, as base64 of JSON."""
    grants = [
        {"permission": grant.permission, "type": "Group", "uri": grant.grantee}
        if "/" in grant.grantee
        else {"canonicalId": grant.grantee, "permission": grant.permission, "type": "CanonicalUser"}
        for grant in record.acl or ()
    ]
    if record.acl is None:
        grants = [{"canonicalId": record.owner, "permission": "FULL_CONTROL", "type": "CanonicalUser"}]
    listed = {"version": "2022-11-10", "status": "AVAILABLE", "grants": grants}
    return base64.b64encode(json.dumps(listed, separators=(",", ":")).encode()).decode()


def _expiry(bucket: Bucket, key: bytes, record: ObjectRecord) -> str:
    text = bucket.record.configurations.get("lifecycle")
    if text is None:
        return ""
    name = key.decode("utf-8", "replace")
    found = expiry_of(rules_in(text), name, record.size_bytes, record.attributes.tags, record.modified_ms)
    return format_iso(found[0]) if found is not None else ""


def schema_of(inventory: Inventory) -> str:
    """What a manifest says of the columns."""
    if not inventory.parquet:
        return ", ".join(inventory.columns)
    fields = []
    for column in inventory.columns:
        kind = _TYPES.get(column, "VARCHAR")
        fields.append(f"optional {_PHYSICAL[kind]} {_NAMES[column]}{_LOGICAL.get(kind, '')};")
    return f"message s3.inventory {{ {' '.join(fields)} }}"


def parquet_of(csv: bytes, columns: Sequence[str]) -> bytes:
    """The same rows as Parquet. Takes a while, and pyrite[select]."""
    import duckdb  # an optional extra

    with tempfile.TemporaryDirectory(prefix="pyrite-inventory-") as folder:
        source, target = Path(folder, "rows.csv.gz"), Path(folder, "rows.parquet")
        source.write_bytes(csv)
        given = ", ".join(f"'{_NAMES[column]}': 'VARCHAR'" for column in columns)
        wanted = ", ".join(_converted(column) for column in columns)
        connection = duckdb.connect(config={"threads": 1, "memory_limit": f"{_MEMORY_MIB}MiB"})
        try:
            connection.execute(
                f"COPY (SELECT {wanted} FROM read_csv('{source}', header=false, columns={{{given}}}, "  # noqa: S608
                f"delim=',', quote='\"', escape='\"', auto_detect=false)) TO '{target}' (FORMAT parquet)"
            )
        finally:
            connection.close()
        return target.read_bytes()


def _converted(column: str) -> str:
    """The SQL of a column: what CSV has as text, as its type; empty is NULL."""
    name = _NAMES[column]
    if column == "Key":
        return f"url_decode({name}) AS {name}"
    kind = _TYPES.get(column, "VARCHAR")
    value = f"NULLIF({name}, '')"
    if kind == "TIMESTAMP":
        return f"TRY_CAST(replace(replace({value}, 'T', ' '), 'Z', '') AS TIMESTAMP_MS) AS {name}"
    return f"CAST({value} AS {kind}) AS {name}"
