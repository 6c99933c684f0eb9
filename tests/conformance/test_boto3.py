"""The operations as boto3 users see them, over http and https."""

import base64
import hashlib
import io
import os
import ssl
import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

MIB = 1024 * 1024
AWKWARD_KEYS = [
    "a", "a/b", "a//b", "/lead", "trail/", "x/../y", "./z", "../../etc/passwd", "s3://u/v", "%2F", "%252F", "sp ace",
    "plus+plus", "ünïcödé", "emoji-\U0001f600", "q?mark", "h#ash", "amp&=;", "quote\"'", "back\\slash", "~tilde*!()",
    "k" * 1024, "é" * 512, "tab\tnew\nline", "<xml>&amp;", "a/b/c/d/e/f/", ".", "..", "con", "a" * 600 + "/" + "b" * 400,
]  # fmt: skip


@pytest.fixture(scope="module")
def s3(server: Server):
    return server.client()


@pytest.fixture
def bucket(s3, request) -> str:
    name = "b-" + hashlib.md5(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    return name


def code_of(call, *args, **kwargs) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_bucket_life(s3) -> None:
    """A bucket is created, found, listed, located and deleted; a full one is kept."""
    s3.create_bucket(Bucket="life-of-a-bucket")
    s3.create_bucket(Bucket="life-of-a-bucket")  # us-east-1: creating one's own again succeeds
    assert s3.head_bucket(Bucket="life-of-a-bucket")["BucketRegion"] == "us-east-1"
    assert "life-of-a-bucket" in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket="life-of-a-bucket")["LocationConstraint"] is None
    s3.put_object(Bucket="life-of-a-bucket", Key="k", Body=b"")
    assert code_of(s3.delete_bucket, Bucket="life-of-a-bucket") == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="life-of-a-bucket", Key="k")
    s3.delete_bucket(Bucket="life-of-a-bucket")
    assert code_of(s3.delete_bucket, Bucket="life-of-a-bucket") == ("NoSuchBucket", 404)
    assert code_of(s3.head_bucket, Bucket="life-of-a-bucket") == ("404", 404)


def test_buckets_are_paginated(s3) -> None:
    """ListBuckets honours prefix, max-buckets and its continuation token."""
    names = [f"page-of-buckets-{n}" for n in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = list(s3.get_paginator("list_buckets").paginate(Prefix="page-of-", PaginationConfig={"PageSize": 2}))
    assert [b["Name"] for page in pages for b in page["Buckets"]] == names
    assert [len(page["Buckets"]) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize(
    "name", ["ab", "UPPER", "under_score", "a..b", "1.2.3.4", "-lead", "xn--x", "a" * 64, "x-s3alias"]
)
def test_bad_bucket_names(s3, name: str) -> None:
    """Names that break AWS's rules are refused by the server."""
    import botocore.handlers

    client = s3
    client.meta.events.unregister("before-parameter-build.s3", botocore.handlers.validate_bucket_name)
    assert code_of(client.create_bucket, Bucket=name) == ("InvalidBucketName", 400)


@pytest.mark.parametrize("size", [0, 1, 4096, 131072, 131073, 1048576, 3 * MIB + 17])
def test_round_trip(s3, bucket: str, size: int) -> None:
    """An object of any size comes back equal, with ETag, length, headers and metadata."""
    body = os.urandom(size)
    put = s3.put_object(
        Bucket=bucket, Key="k", Body=body, ContentType="text/x-test", CacheControl="max-age=3",
        ContentDisposition="attachment", ContentLanguage="de", Metadata={"One": "1", "two": "a  b"},
    )  # fmt: skip
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body and got["ContentLength"] == size
    assert put["ETag"] == got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert (got["ContentType"], got["CacheControl"], got["ContentDisposition"], got["ContentLanguage"]) == (
        "text/x-test", "max-age=3", "attachment", "de",
    )  # fmt: skip
    assert got["Metadata"] == {"one": "1", "two": "a  b"}
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentLength"] == size and head["LastModified"] == got["LastModified"]
    assert "ContentEncoding" not in head


def test_missing_things(s3, bucket: str) -> None:
    """What is not there is a 404 with AWS's code, and deleting it is no error."""
    assert code_of(s3.get_object, Bucket=bucket, Key="nope") == ("NoSuchKey", 404)
    assert code_of(s3.head_object, Bucket=bucket, Key="nope") == ("404", 404)
    assert code_of(s3.get_object, Bucket="no-such-bucket-here", Key="k") == ("NoSuchBucket", 404)
    assert code_of(s3.put_object, Bucket="no-such-bucket-here", Key="k", Body=b"x") == ("NoSuchBucket", 404)
    assert s3.delete_object(Bucket=bucket, Key="nope")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_every_key_is_distinct_and_exact(s3, bucket: str) -> None:
    """Awkward keys round-trip, list exactly in byte order, and never touch one another."""
    for key in AWKWARD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in AWKWARD_KEYS:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(AWKWARD_KEYS, key=str.encode)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    assert [o["Key"] for page in pages for o in page.get("Contents", [])] == listed
    for key in AWKWARD_KEYS:
        s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert code_of(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"") == ("KeyTooLongError", 400)


def test_ranges(s3, bucket: str) -> None:
    """Closed, open and suffix ranges, ranges past the end, and those that are ignored."""
    body = os.urandom(700_000)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for text, want in {
        "bytes=0-0": body[:1], "bytes=5-9": body[5:10], "bytes=262143-262144": body[262143:262145],
        "bytes=699999-": body[699999:], "bytes=-5": body[-5:], "bytes=-9999999": body, "bytes=100-9999999": body[100:],
    }.items():  # fmt: skip
        got = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert got["Body"].read() == want, text
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206 and got["ContentRange"].endswith("/700000")
    for text in ("bytes=5-2", "bytes=a-b", "bytes=1-2,4-5", "items=0-5"):
        got = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 200 and len(got["Body"].read()) == 700_000
    assert code_of(s3.get_object, Bucket=bucket, Key="k", Range="bytes=700000-") == ("InvalidRange", 416)
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert code_of(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-") == ("InvalidRange", 416)


def test_conditional_reads(s3, bucket: str) -> None:
    """If-Match, If-None-Match and their dates give 412, 304 or the object, in RFC 9110's precedence."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"x"
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag.strip('"'))["Body"].read() == b"x"
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfMatch='"other"') == ("PreconditionFailed", 412)
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag)[1] == 304
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfModifiedSince=modified)[1] == 304
    assert code_of(s3.head_object, Bucket=bucket, Key="k", IfMatch='"other"')[1] == 412
    past = modified - timedelta(days=365)
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfUnmodifiedSince=past)[1] == 412
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag, IfUnmodifiedSince=past)["Body"].read() == b"x"
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag, IfModifiedSince=past)[1] == 304


def test_conditional_writes(s3, bucket: str) -> None:
    """If-None-Match: * creates once; If-Match replaces and deletes only what was seen."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch='"x"') == ("PreconditionFailed", 412)
    assert code_of(s3.put_object, Bucket=bucket, Key="new", Body=b"2", IfMatch=etag) == ("NoSuchKey", 404)
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch=etag) == ("NotImplemented", 501)
    newer = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)["ETag"]
    assert code_of(s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag) == ("PreconditionFailed", 412)
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=newer)
    assert code_of(s3.delete_object, Bucket=bucket, Key="k", IfMatch=newer) == ("NoSuchKey", 404)


def test_listing_groups(s3, bucket: str) -> None:
    """Prefix, delimiter, start-after and marker work together in both versions; groups count as keys."""
    keys = ["a", "a/1", "a/2", "a/b/1", "b", "c/1", "c/2", "d", "é/1", "z//1"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    got = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [o["Key"] for o in got["Contents"]] == ["a", "b", "d"]
    assert [p["Prefix"] for p in got["CommonPrefixes"]] == ["a/", "c/", "z/", "é/"]
    assert got["KeyCount"] == 7
    got = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="a/")
    assert [o["Key"] for o in got["Contents"]] == ["a/1", "a/2"] and got["CommonPrefixes"] == [{"Prefix": "a/b/"}]
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1})
    )
    names = [
        x
        for p in pages
        for x in [o["Key"] for o in p.get("Contents", [])] + [q["Prefix"] for q in p.get("CommonPrefixes", [])]
    ]
    assert names == ["a", "a/", "b", "c/", "d", "z/", "é/"]
    pages = list(
        s3.get_paginator("list_objects").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
    )
    names = [
        x
        for p in pages
        for x in [o["Key"] for o in p.get("Contents", [])] + [q["Prefix"] for q in p.get("CommonPrefixes", [])]
    ]
    assert sorted(names) == sorted(["a", "a/", "b", "c/", "d", "z/", "é/"])
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, StartAfter="c/1")["Contents"]] == [
        "c/2",
        "d",
        "z//1",
        "é/1",
    ]
    assert [o["Key"] for o in s3.list_objects(Bucket=bucket, Marker="d")["Contents"]] == ["z//1", "é/1"]
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
    assert "Owner" in s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    s3.delete_object(Bucket=bucket, Key="c/1")
    s3.delete_object(Bucket=bucket, Key="c/2")
    left = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert "c/" not in [p["Prefix"] for p in left["CommonPrefixes"]]


def test_copy(s3, bucket: str) -> None:
    """A copy shares bytes, keeps or replaces metadata, honours conditions, and outlives its source."""
    body = os.urandom(2 * MIB)
    etag = s3.put_object(Bucket=bucket, Key="src dir/ä+1", Body=body, Metadata={"m": "1"}, ContentType="a/b")["ETag"]
    source = {"Bucket": bucket, "Key": "src dir/ä+1"}
    copied = s3.copy_object(Bucket=bucket, Key="dst", CopySource=source)["CopyObjectResult"]
    assert copied["ETag"] == etag
    got = s3.get_object(Bucket=bucket, Key="dst")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {"m": "1"}, "a/b")
    s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"})
    assert s3.head_object(Bucket=bucket, Key="dst")["Metadata"] == {"n": "2"}
    assert code_of(s3.copy_object, Bucket=bucket, Key="src dir/ä+1", CopySource=source) == ("InvalidRequest", 400)
    s3.copy_object(Bucket=bucket, Key="src dir/ä+1", CopySource=source, MetadataDirective="REPLACE")
    assert code_of(s3.copy_object, Bucket=bucket, Key="x", CopySource=source, CopySourceIfMatch='"y"')[1] == 412
    assert code_of(s3.copy_object, Bucket=bucket, Key="x", CopySource=source, CopySourceIfNoneMatch=etag)[1] == 412
    assert code_of(s3.copy_object, Bucket=bucket, Key="x", CopySource=f"{bucket}/none") == ("NoSuchKey", 404)
    assert code_of(s3.copy_object, Bucket=bucket, Key="dst", CopySource=source, IfNoneMatch="*")[1] == 412
    sha = s3.copy_object(Bucket=bucket, Key="sha", CopySource=source, ChecksumAlgorithm="SHA256")["CopyObjectResult"]
    assert sha["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    s3.delete_object(Bucket=bucket, Key="src dir/ä+1")
    assert s3.get_object(Bucket=bucket, Key="dst")["Body"].read() == body


def test_delete_objects(s3, bucket: str) -> None:
    """Many keys go in one request; missing ones count as deleted; quiet says only what failed."""
    for n in range(10):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x")
    result = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": f"k{n}"} for n in range(5)] + [{"Key": "no"}]}
    )
    assert sorted(d["Key"] for d in result["Deleted"]) == ["k0", "k1", "k2", "k3", "k4", "no"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k5"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    failed = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k6", "ETag": '"bad"'}]})
    assert failed["Errors"][0]["Code"] == "PreconditionFailed"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k6", "k7", "k8", "k9"]
    many = {"Objects": [{"Key": f"n{n}"} for n in range(1001)]}
    assert code_of(s3.delete_objects, Bucket=bucket, Delete=many) == ("MalformedXML", 400)


def test_multipart(s3, bucket: str) -> None:
    """Parts in any order and replaced become one object; part numbers read back; completing twice is the same."""
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB + 3), os.urandom(7)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", Metadata={"x": "y"}, ContentType="a/c")["UploadId"]
    etags = {}
    s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=2, Body=b"replaced later")
    for number in (3, 1, 2):
        etags[number] = s3.upload_part(
            Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=parts[number - 1]
        )["ETag"]
    s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=9, Body=b"not listed")
    assert [p["PartNumber"] for p in s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)["Parts"]] == [1, 2, 3, 9]
    page = s3.list_parts(Bucket=bucket, Key="m", UploadId=upload, MaxParts=2)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 2
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    listed = {"Parts": [{"PartNumber": n, "ETag": etags[n]} for n in (1, 2, 3)]}
    done = s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=listed)
    joined = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()
    assert done["ETag"] == f'"{joined}-3"' and done["Location"].endswith(f"/{bucket}/m")
    again = s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=listed)
    assert again["ETag"] == done["ETag"]
    got = s3.get_object(Bucket=bucket, Key="m")
    assert got["Body"].read() == b"".join(parts) and got["Metadata"] == {"x": "y"} and got["ContentType"] == "a/c"
    edge = 5 * MIB - 2
    assert (
        s3.get_object(Bucket=bucket, Key="m", Range=f"bytes={edge}-{edge + 9}")["Body"].read()
        == b"".join(parts)[edge : edge + 10]
    )
    second = s3.get_object(Bucket=bucket, Key="m", PartNumber=2)
    assert second["Body"].read() == parts[1] and second["PartsCount"] == 3
    assert second["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert code_of(s3.get_object, Bucket=bucket, Key="m", PartNumber=4) == ("InvalidPartNumber", 416)
    assert (
        s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)["ResponseMetadata"]["HTTPStatusCode"] == 204
    )
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_multipart_refusals(s3, bucket: str) -> None:
    """Wrong order, wrong ETags, small parts, unknown uploads and empty lists get AWS's codes."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    one = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"small")["ETag"]
    two = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=2, Body=b"small")["ETag"]

    def complete(*parts: tuple[int, str], upload_id: str = upload) -> tuple[str, int]:
        listed = {"Parts": [{"PartNumber": n, "ETag": e} for n, e in parts]}
        return code_of(s3.complete_multipart_upload, Bucket=bucket, Key="m", UploadId=upload_id, MultipartUpload=listed)

    assert complete((2, two), (1, one)) == ("InvalidPartOrder", 400)
    assert complete((1, '"0123"')) == ("InvalidPart", 400)
    assert complete((1, one), (3, two)) == ("InvalidPart", 400)
    assert complete((1, one), (2, two)) == ("EntityTooSmall", 400)
    assert complete((1, one), upload_id="00" * 16) == ("NoSuchUpload", 404)
    assert complete() == ("InvalidRequest", 400)
    assert (
        code_of(s3.upload_part, Bucket=bucket, Key="m", UploadId=upload, PartNumber=10001, Body=b"")[0]
        == "InvalidArgument"
    )
    assert (
        code_of(s3.upload_part, Bucket=bucket, Key="other", UploadId=upload, PartNumber=1, Body=b"")[0]
        == "NoSuchUpload"
    )
    s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)  # again, as AWS answers
    assert code_of(s3.abort_multipart_upload, Bucket=bucket, Key="n", UploadId=upload) == ("NoSuchUpload", 404)
    assert code_of(s3.list_parts, Bucket=bucket, Key="m", UploadId=upload) == ("NoSuchUpload", 404)


def test_upload_part_copy(s3, bucket: str) -> None:
    """Parts are copied from objects, whole and by range."""
    body = os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="src", Body=body)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    copy = {"Bucket": bucket, "Key": "m", "UploadId": upload, "CopySource": f"{bucket}/src"}
    one = s3.upload_part_copy(PartNumber=1, **copy)["CopyPartResult"]["ETag"]
    two = s3.upload_part_copy(PartNumber=2, CopySourceRange="bytes=10-99", **copy)["CopyPartResult"]["ETag"]
    assert code_of(s3.upload_part_copy, PartNumber=3, CopySourceRange="bytes=10-", **copy)[0] == "InvalidArgument"
    assert (
        code_of(s3.upload_part_copy, PartNumber=3, CopySourceRange="bytes=0-99999999", **copy)[0] == "InvalidArgument"
    )
    listed = {"Parts": [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=listed)
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == body + body[10:100]


ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksums(s3, bucket: str, algorithm: str) -> None:
    """Every algorithm of the model is verified, stored, returned on demand, and told by GetObjectAttributes."""
    body = os.urandom(300_000)
    name = f"Checksum{algorithm}"
    given = {"ChecksumAlgorithm": algorithm}
    if algorithm == "MD5":  # botocore has no MD5 of its own for this header
        given = {name: base64.b64encode(hashlib.md5(body).digest()).decode()}
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, **given)
    assert put[name] and put["ChecksumType"] == "FULL_OBJECT"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[name] == put[name]
    assert name not in s3.head_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == body
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    assert got["Checksum"][name] == put[name] and got["ObjectSize"] == 300_000
    wrong = {name: put[name]}
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=body + b"!", **wrong) == ("BadDigest", 400)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_default_checksum_is_crc64nvme(server: Server, bucket: str) -> None:
    """An object stored without any checksum gets a CRC64NVME."""
    plain = server.client(request_checksum_calculation="when_required")
    plain.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    assert plain.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC64NVME"] == "rosUhgp5mIg="


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA256", "COMPOSITE"),
        ("XXHASH128", "COMPOSITE"),
    ],
)
def test_multipart_checksums(s3, bucket: str, algorithm: str, kind: str) -> None:
    """A multipart object has the checksum of its type, combined over its parts."""
    parts = [os.urandom(5 * MIB), os.urandom(1000)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (upload["ChecksumAlgorithm"], upload["ChecksumType"]) == (algorithm, kind)
    name, listed = f"Checksum{algorithm}", []
    for number, part in enumerate(parts, 1):
        got = s3.upload_part(
            Bucket=bucket,
            Key="m",
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=part,
            ChecksumAlgorithm=algorithm,
        )
        listed.append({"PartNumber": number, "ETag": got["ETag"], name: got[name]})
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key="m", UploadId=upload["UploadId"], MultipartUpload={"Parts": listed}
    )
    whole = s3.put_object(Bucket=bucket, Key="w", Body=b"".join(parts), ChecksumAlgorithm=algorithm)[name]
    assert done["ChecksumType"] == kind
    if kind == "FULL_OBJECT":
        assert done[name] == whole
    else:
        assert done[name].endswith("-2") and done[name] != whole
    head = s3.head_object(Bucket=bucket, Key="m", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (done[name], kind)
    part = s3.get_object(Bucket=bucket, Key="m", PartNumber=2, ChecksumMode="ENABLED")
    assert part[name] == listed[1][name] and part["Body"].read() == parts[1]


def test_content_md5(s3, bucket: str) -> None:
    """Content-MD5 is checked: malformed and wrong ones are told apart, and nothing is stored."""
    good = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=good)
    assert code_of(s3.put_object, Bucket=bucket, Key="n", Body=b"y", ContentMD5=good) == ("BadDigest", 400)
    assert code_of(s3.put_object, Bucket=bucket, Key="n", Body=b"y", ContentMD5="short") == ("InvalidDigest", 400)
    assert code_of(s3.head_object, Bucket=bucket, Key="n")[1] == 404


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls(server: Server, bucket: str, version: str) -> None:
    """Presigned GET and PUT of both signature versions work until they expire or are tampered with."""
    client = server.client(signature_version=version)
    context = ssl._create_unverified_context()

    def fetch(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(url, data=body, method=method)
        try:
            with urllib.request.urlopen(request, context=context) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    put = client.generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": "p q/ü", "ContentType": "application/x-www-form-urlencoded"}
    )
    assert fetch(put, "PUT", b"body")[0] == 200
    get = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "p q/ü", "ResponseContentType": "x/y"})
    assert fetch(get) == (200, b"body")
    assert fetch(get.replace("x%2Fy", "x%2Fz"))[0] == 403
    if version == "s3":
        expired = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=-10)
        assert b"Request has expired" in fetch(expired)[1]


def test_wrong_credentials(server: Server, bucket: str) -> None:
    """Unknown keys, wrong secrets and no signature are refused with AWS's codes, with and without a body."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    for key, secret, code in (
        ("nobody", "testsecretkey", "InvalidAccessKeyId"),
        ("testaccess", "wrong", "SignatureDoesNotMatch"),
    ):
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            verify=False,
        )
        assert code_of(client.list_objects_v2, Bucket=bucket) == (code, 403)
        assert code_of(client.put_object, Bucket=bucket, Key="k", Body=b"x" * 100_000) == (code, 403)
    anonymous = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        verify=False,
        config=Config(signature_version=UNSIGNED),
    )
    assert code_of(anonymous.list_buckets) == ("AccessDenied", 403)
    assert code_of(anonymous.put_object, Bucket=bucket, Key="k", Body=b"x") == ("AccessDenied", 403)
    assert "Contents" not in server.client().list_objects_v2(Bucket=bucket)


def test_streams_of_unknown_length(server: Server, bucket: str) -> None:
    """A body that only its end tells the length of is stored whole."""

    class Stream(io.RawIOBase):
        def __init__(self, total: int) -> None:
            self.left = total

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            count = min(self.left, 65536 if size is None or size < 0 else size)
            self.left -= count
            return b"s" * count

    client = server.client()
    client.upload_fileobj(Stream(9 * MIB + 5), bucket, "k")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"s" * (9 * MIB + 5)


def test_features_that_are_not_there_say_so(s3, bucket: str) -> None:
    """What is not implemented is refused, never stored and ignored; absent configurations have their codes."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD_IA", ACL="private")
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"
    assert (
        code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"", ACL="public-read")[0]
        == "AccessControlListNotSupported"
    )
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"", StorageClass="NOPE")[0] == "InvalidStorageClass"
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == ("NoSuchBucketPolicy", 404)
    assert code_of(s3.get_bucket_cors, Bucket=bucket) == ("NoSuchCORSConfiguration", 404)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
