"""Inventories as their readers see them: manifests, CSV and Parquet, of current objects and of all versions."""

import csv
import gzip
import hashlib
import io
import json
import urllib.request
from urllib.parse import unquote

import pyarrow.parquet
import pytest

from tests.conformance.test_boto3 import code_of
from tests.server import Server, wait_until

ALL = [
    "Size", "LastModifiedDate", "ETag", "StorageClass", "IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus",
    "ObjectLockRetainUntilDate", "ObjectLockMode", "ObjectLockLegalHoldStatus", "IntelligentTieringAccessTier",
    "BucketKeyStatus", "ChecksumAlgorithm", "ObjectAccessControlList", "ObjectOwner", "LifecycleExpirationDate",
]  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inventories")
    more = {"PYRITE_LIFECYCLE_DAY_S": "3600"}
    with Server([folder / "d"], "--keyring", str(folder / "keyring"), environment=more) as server:
        yield server


@pytest.fixture(scope="module")
def s3(own: Server):
    client = own.client()
    client.create_bucket(Bucket="listed")
    client.create_bucket(Bucket="reports")
    return client


def allow(s3, prefix: str = "", source: str = "listed") -> None:
    statement = {
        "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::reports/{prefix}*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"},
        },
    }  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket="reports", Policy=json.dumps(policy))


def configuration(name: str, form: str, versions: str, fields=(), prefix: str = "", **more):
    destination = {"Bucket": "arn:aws:s3:::reports", "Format": form, "Prefix": name, **more}
    made = {
        "Id": name, "IsEnabled": True, "IncludedObjectVersions": versions, "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": destination},
    }  # fmt: skip
    if fields:
        made["OptionalFields"] = list(fields)
    if prefix:
        made["Filter"] = {"Prefix": prefix}
    return made


def put(s3, made, bucket: str = "listed") -> None:
    s3.put_bucket_inventory_configuration(Bucket=bucket, Id=made["Id"], InventoryConfiguration=made)


def manifest_of(s3, name: str, bucket: str = "listed") -> dict:
    """The manifest, once it is there, its checksum compared, and that of every file."""
    prefix = f"{name}/{bucket}/{name}/"

    def keys() -> list[str]:
        return [o["Key"] for o in s3.list_objects_v2(Bucket="reports", Prefix=prefix).get("Contents", [])]

    wait_until(lambda: any(key.endswith("manifest.checksum") for key in keys()))
    found = next(key for key in keys() if key.endswith("manifest.json"))
    text = read(s3, found)
    assert read(s3, found.replace(".json", ".checksum")).decode() == hashlib.md5(text).hexdigest()
    manifest = json.loads(text)
    for file in manifest["files"]:
        data = read(s3, file["key"])
        assert (len(data), hashlib.md5(data).hexdigest()) == (file["size"], file["MD5checksum"])
    links = next(key for key in keys() if key.endswith("symlink.txt"))
    assert read(s3, links).decode().split() == [f"s3://reports/{file['key']}" for file in manifest["files"]]
    return manifest


def read(s3, key: str) -> bytes:
    return s3.get_object(Bucket="reports", Key=key)["Body"].read()


def rows_of(s3, manifest: dict) -> list[dict[str, str]]:
    names = manifest["fileSchema"].split(", ")
    text = "".join(gzip.decompress(read(s3, file["key"])).decode() for file in manifest["files"])
    return [dict(zip(names, row, strict=True)) for row in csv.reader(io.StringIO(text))]


def test_current_objects(s3) -> None:
    """Every key under the prefix stands once in the CSV, with what was asked for, whatever is in its name."""
    names = sorted([f"in/{n:04}" for n in range(1200)] + ['in/ü "quoted", new\nline', "in/a b+c%"])
    for name in names:
        s3.put_object(Bucket="listed", Key=name, Body=name.encode())
    s3.put_object(Bucket="listed", Key="out", Body=b"x")
    allow(s3)
    put(s3, configuration("current", "CSV", "Current", ALL, "in/"))
    manifest = manifest_of(s3, "current")
    assert manifest["fileFormat"] == "CSV" and manifest["destinationBucket"] == "arn:aws:s3:::reports"
    assert manifest["fileSchema"] == "Bucket, Key, " + ", ".join(ALL)
    rows = rows_of(s3, manifest)
    assert [unquote(row["Key"]) for row in rows] == sorted(names, key=str.encode)
    row = next(row for row in rows if row["Key"] == "in/0007")
    assert (row["Bucket"], row["Size"], row["ETag"]) == ("listed", "7", hashlib.md5(b"in/0007").hexdigest())
    assert (row["EncryptionStatus"], row["StorageClass"], row["IsMultipartUploaded"]) == ("SSE-S3", "STANDARD", "false")
    assert row["ChecksumAlgorithm"] == "CRC32" and row["LastModifiedDate"].startswith("20")


def test_all_versions_as_parquet(s3) -> None:
    """Versions and delete markers stand in the Parquet with their types, the newest of each key marked."""
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="kept", Key="a b", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket="kept", Key="a b", Body=b"22")["VersionId"]
    s3.put_object(Bucket="kept", Key="gone", Body=b"333", StorageClass="INTELLIGENT_TIERING")
    s3.delete_object(Bucket="kept", Key="gone")
    allow(s3, source="kept")
    put(s3, configuration("all", "Parquet", "All", ALL, Encryption={"SSES3": {}}), "kept")
    manifest = manifest_of(s3, "all", "kept")
    assert manifest["fileSchema"].startswith("message s3.inventory {") and manifest["fileFormat"] == "Parquet"
    table = pyarrow.parquet.read_table(io.BytesIO(read(s3, manifest["files"][0]["key"])))
    rows = table.to_pylist()
    assert [(r["key"], r["version_id"], r["is_latest"], r["is_delete_marker"], r["size"]) for r in rows[:2]] == [
        ("a b", second, True, False, 2),
        ("a b", first, False, False, 1),
    ]
    assert [(r["key"], r["is_latest"], r["is_delete_marker"], r["size"]) for r in rows[2:]] == [
        ("gone", True, True, None),
        ("gone", False, False, 3),
    ]
    assert rows[3]["intelligent_tiering_access_tier"] == "FREQUENT" and rows[3]["is_multipart_uploaded"] is False
    assert pyarrow.types.is_timestamp(table.schema.field("last_modified_date").type)
    head = s3.head_object(Bucket="reports", Key=manifest["files"][0]["key"])
    assert head["ServerSideEncryption"] == "AES256"


def test_configurations(own: Server, s3) -> None:
    """Configurations come back as they were put, in pages; those that cannot be done are refused with a reason."""
    allow(s3)
    kept = configuration("kept", "CSV", "All", ["ETag", "Size"], "x/")
    put(s3, kept)
    found = s3.get_bucket_inventory_configuration(Bucket="listed", Id="kept")["InventoryConfiguration"]
    assert found == kept
    wrong = [
        (configuration("kept", "ORC", "All"), "NotImplemented"),
        (configuration("kept", "CSV", "All", ["ObjectLockEventHoldStatus"]), "NotImplemented"),
        (configuration("kept", "CSV", "All", Bucket="reports"), "InvalidS3DestinationBucket"),
        (configuration("kept", "CSV", "All", Encryption={"SSEKMS": {"KeyId": "x"}}), "NotImplemented"),
        (configuration("kept", "CSV", "None"), "MalformedXML"),
    ]
    for made, code in wrong:
        assert code_of(put, s3, made)[0] == code
    line = 'pyrite_background_total{event="delivered",service="inventories"}'
    wait_until(lambda: line in urllib.request.urlopen(f"{own.endpoint}/metrics").read().decode())
    for n in range(105):
        put(s3, {**configuration(f"n{n:03}", "CSV", "Current"), "IsEnabled": False})
    listed, token = [], {}
    while True:
        page = s3.list_bucket_inventory_configurations(Bucket="listed", **token)
        listed += [one["Id"] for one in page["InventoryConfigurationList"]]
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert [name for name in listed if name != "current"] == ["kept", *[f"n{n:03}" for n in range(105)]]
    manifest_of(s3, "kept")
    s3.delete_bucket_inventory_configuration(Bucket="listed", Id="kept")
    gone = {"Bucket": "listed", "Id": "kept"}
    assert code_of(s3.get_bucket_inventory_configuration, **gone) == ("NoSuchConfiguration", 404)
    assert not s3.list_objects_v2(Bucket="reports", Prefix="n0").get("Contents")
