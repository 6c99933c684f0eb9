"""Versions of objects as boto3 users see them: kept, listed, read, removed, and never confused."""

import hashlib

import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_boto3 import code_of
from tests.server import Server


@pytest.fixture(scope="module")
def s3(server: Server):
    return server.client()


@pytest.fixture
def bucket(s3, request) -> str:
    name = "v-" + hashlib.md5(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    enable(s3, name)
    return name


def enable(s3, bucket: str, status: str = "Enabled") -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3, bucket: str, body: bytes, key: str = "k") -> str:
    return s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]


def read(s3, bucket: str, version: str | None = None, key: str = "k") -> bytes:
    more = {} if version is None else {"VersionId": version}
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def listed(s3, bucket: str, **more) -> list[tuple[str, str, bool]]:
    found = s3.list_object_versions(Bucket=bucket, **more)
    rows = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
    return [(row["Key"], row["VersionId"], row["IsLatest"]) for row in rows]


def test_every_version_is_kept(s3, bucket: str) -> None:
    """Each PUT makes a version; each is read by its id; a delete hides them and its removal shows them again."""
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    ids = [put(s3, bucket, body) for body in (b"one", b"two", b"three")]
    assert len(set(ids)) == 3
    assert [read(s3, bucket, version) for version in ids] == [b"one", b"two", b"three"]
    assert read(s3, bucket) == b"three"
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"]
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k")
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", marker["VersionId"])
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    response = caught.value.response
    assert response["Error"]["Code"] == "MethodNotAllowed"
    assert response["ResponseMetadata"]["HTTPHeaders"]["allow"] == "DELETE"
    gone = s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, marker["VersionId"])
    assert read(s3, bucket) == b"three"
    s3.delete_object(Bucket=bucket, Key="k", VersionId=ids[2])
    assert read(s3, bucket) == b"two"
    assert listed(s3, bucket) == [("k", ids[1], True), ("k", ids[0], False)]


def test_ids_that_are_none(s3, bucket: str) -> None:
    """A version that is not there and an id that cannot be one are told apart."""
    put(s3, bucket, b"x")
    assert code_of(s3.get_object, Bucket=bucket, Key="k", VersionId="0123456789abcdef") == ("NoSuchVersion", 404)
    assert code_of(s3.get_object, Bucket=bucket, Key="k", VersionId="null") == ("NoSuchVersion", 404)
    assert code_of(s3.get_object, Bucket=bucket, Key="k", VersionId="nonsense") == ("InvalidArgument", 400)
    assert s3.delete_object(Bucket=bucket, Key="k", VersionId="0123456789abcdef")["VersionId"] == "0123456789abcdef"
    assert read(s3, bucket) == b"x"


def test_the_null_version(s3) -> None:
    """What was there before versioning is the null version; suspended buckets replace that one alone."""
    s3.create_bucket(Bucket="v-null")
    s3.put_object(Bucket="v-null", Key="k", Body=b"before")
    enable(s3, "v-null")
    own = put(s3, "v-null", b"own")
    assert read(s3, "v-null", "null") == b"before"
    enable(s3, "v-null", "Suspended")
    assert "VersionId" not in s3.put_object(Bucket="v-null", Key="k", Body=b"after")
    assert [version for _, version, _ in listed(s3, "v-null")] == ["null", own]
    assert s3.delete_object(Bucket="v-null", Key="k")["VersionId"] == "null"
    assert listed(s3, "v-null") == [("k", own, False), ("k", "null", True)]
    s3.delete_object(Bucket="v-null", Key="k", VersionId="null")
    assert read(s3, "v-null") == b"own"


def test_versions_are_listed_in_pages(s3, bucket: str) -> None:
    """Pages of every size hold the same versions in the same order, with groups under a delimiter."""
    for key in ("a", "b/1", "b/2", "c"):
        for n in range(3):
            put(s3, bucket, b"%d" % n, key)
    s3.delete_object(Bucket=bucket, Key="a")
    pages = s3.get_paginator("list_object_versions")

    def walk(size: int) -> list[tuple[str, str]]:
        config = {"PageSize": size}
        found: list[tuple[str, str]] = []
        for page in pages.paginate(Bucket=bucket, PaginationConfig=config):
            rows = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            found += sorted(
                ((row["Key"], row["VersionId"]) for row in rows), key=lambda row: (row[0], -int(row[1], 16))
            )
        return found

    whole = walk(1000)
    assert len(whole) == 13
    assert all(walk(size) == whole for size in (1, 2, 3, 5))
    grouped = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [prefix["Prefix"] for prefix in grouped["CommonPrefixes"]] == ["b/"]
    assert {version["Key"] for version in grouped["Versions"]} == {"a", "c"}
    assert listed(s3, bucket, Prefix="b/1", MaxKeys=1)[0][2]


def test_many_deletes_at_once(s3, bucket: str) -> None:
    """DeleteObjects makes markers, and removes versions where it names them."""
    first = put(s3, bucket, b"1")
    made = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})["Deleted"][0]
    assert made["DeleteMarker"]
    named = [{"Key": "k", "VersionId": made["DeleteMarkerVersionId"]}, {"Key": "k", "VersionId": first}]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": named})["Deleted"]
    assert [item["VersionId"] for item in gone] == [made["DeleteMarkerVersionId"], first]
    assert listed(s3, bucket) == []
    s3.delete_bucket(Bucket=bucket)


def test_a_bucket_with_old_versions_is_not_empty(s3, bucket: str) -> None:
    """A bucket whose objects are all deleted still holds their versions."""
    put(s3, bucket, b"x")
    s3.delete_object(Bucket=bucket, Key="k")
    assert code_of(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)


def test_copies_and_tags_of_versions(s3, bucket: str) -> None:
    """A copy takes the version that is named; tags belong to one version."""
    first, second = put(s3, bucket, b"first"), put(s3, bucket, b"second")
    source = {"Bucket": bucket, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert read(s3, bucket, copied["VersionId"], "copy") == b"first"
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=first, Tagging=tags)["VersionId"] == first
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=second)["TagSet"] == []
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=first)["TagSet"] == tags["TagSet"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags["TagSet"]


def test_completed_uploads_are_versions(s3, bucket: str) -> None:
    """Completing an upload makes a version like any other, and its parts live as long as it does."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"p" * 300_000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    put(s3, bucket, b"newer")
    assert read(s3, bucket, done["VersionId"]) == b"p" * 300_000
