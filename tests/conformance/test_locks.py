"""Object lock as boto3 users see it: what is locked is not deleted by any way."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.test_boto3 import code_of
from tests.server import Server


@pytest.fixture(scope="module")
def s3(server: Server):
    return server.client()


@pytest.fixture
def bucket(s3, request) -> str:
    name = "l-" + hashlib.md5(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def later(days: float = 1) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def put(s3, bucket: str, **more) -> str:
    return s3.put_object(Bucket=bucket, Key="k", Body=b"kept", **more)["VersionId"]


def test_compliance_holds_against_everything(s3, bucket: str) -> None:
    """A version in compliance mode is deleted by nobody, and its retention is only ever lengthened."""
    until = later()
    version = put(s3, bucket, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    place = {"Bucket": bucket, "Key": "k", "VersionId": version}
    assert code_of(s3.delete_object, **place) == ("AccessDenied", 403)
    assert code_of(s3.delete_object, **place, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    many = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    assert many["Errors"][0]["Code"] == "AccessDenied"
    for retention in (
        {"Mode": "COMPLIANCE", "RetainUntilDate": later(0.5)},
        {"Mode": "GOVERNANCE", "RetainUntilDate": later(2)},
        {},
    ):
        refused = code_of(s3.put_object_retention, **place, Retention=retention, BypassGovernanceRetention=True)
        assert refused == ("AccessDenied", 403)
    s3.put_object_retention(**place, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later(2)})
    s3.delete_object(Bucket=bucket, Key="k")  # a marker is not a removal
    put(s3, bucket)
    assert s3.get_object(**place)["Body"].read() == b"kept"
    assert s3.head_object(**place)["ObjectLockMode"] == "COMPLIANCE"
    assert code_of(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)


def test_governance_can_be_bypassed(s3, bucket: str) -> None:
    """Governance holds unless its bypass is asked for."""
    version = put(s3, bucket, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later())
    place = {"Bucket": bucket, "Key": "k", "VersionId": version}
    assert code_of(s3.delete_object, **place) == ("AccessDenied", 403)
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": later(0.5)}
    assert code_of(s3.put_object_retention, **place, Retention=shorter) == ("AccessDenied", 403)
    s3.put_object_retention(**place, Retention=shorter, BypassGovernanceRetention=True)
    s3.delete_object(**place, BypassGovernanceRetention=True)
    assert code_of(s3.head_object, **place)[1] == 404


def test_legal_holds(s3, bucket: str) -> None:
    """A legal hold keeps a version whatever its retention, until it is taken off."""
    version = put(s3, bucket, ObjectLockLegalHoldStatus="ON")
    place = {"Bucket": bucket, "Key": "k", "VersionId": version}
    assert s3.get_object_legal_hold(**place)["LegalHold"]["Status"] == "ON"
    assert code_of(s3.delete_object, **place, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    s3.put_object_legal_hold(**place, LegalHold={"Status": "OFF"})
    s3.delete_object(**place)


def test_default_retention(s3, bucket: str) -> None:
    """A bucket's rule locks what is put, copied and uploaded in parts."""
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == configuration
    put(s3, bucket)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    for key in ("k", "copy", "parts"):
        retention = s3.get_object_retention(Bucket=bucket, Key=key)["Retention"]
        assert retention["Mode"] == "GOVERNANCE"
        assert timedelta(hours=23) < retention["RetainUntilDate"] - datetime.now(UTC) <= timedelta(days=1, seconds=1)


def test_buckets_without_lock(s3) -> None:
    """Where there is no lock, nothing pretends to lock; where there is, versioning stays on."""
    s3.create_bucket(Bucket="l-none")
    assert code_of(put, s3, "l-none", ObjectLockLegalHoldStatus="ON") == ("InvalidRequest", 400)
    found = code_of(s3.get_object_lock_configuration, Bucket="l-none")
    assert found == ("ObjectLockConfigurationNotFoundError", 404)
    enable = {"ObjectLockEnabled": "Enabled"}
    refused = code_of(s3.put_object_lock_configuration, Bucket="l-none", ObjectLockConfiguration=enable)
    assert refused == ("InvalidBucketState", 409)
    s3.put_bucket_versioning(Bucket="l-none", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket="l-none", ObjectLockConfiguration=enable)
    suspend = code_of(s3.put_bucket_versioning, Bucket="l-none", VersioningConfiguration={"Status": "Suspended"})
    assert suspend == ("InvalidBucketState", 409)
    assert code_of(s3.get_object_retention, Bucket="l-none", Key="none")[1] == 404
