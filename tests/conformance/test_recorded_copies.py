"""What AWS answers to copies, uploads, conditions, lists and presigned URLs, element by element, as recorded."""

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from xml.etree import ElementTree

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.security.conftest import client_of
from tests.security.people import OWNER, PART, write_identities
from tests.security.wire import Answer, Wire
from tests.server import ACCESS_KEY, SECRET_KEY, Server

ROOT = Credentials(ACCESS_KEY, SECRET_KEY)
KEY = b"a client's key that is 32 bytes."
TO_ITSELF = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
    "metadata, storage class, website redirect location or encryption attributes."
)
NO_UPLOAD = (
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
    "completed."
)
NO_PART = (
    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
    "entity tag may not match the part's entity tag."
)
NO_KEY = "The specified key does not exist."
UNMET = "At least one of the pre-conditions you specified did not hold"
CONFLICT = "The conditional request cannot succeed due to a conflicting operation against this resource."
NOT_ALLOWED = "The specified method is not allowed against this resource."
LOCKED = "Access Denied because object protected by object lock."
MALFORMED = "The XML you provided was not well-formed or did not validate against our published schema"
FUTURES = ("Fri, 01 Jan 2100 00:00:00 GMT", format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without a keyring, which knows users."""
    folder = tmp_path_factory.mktemp("recorded")
    with Server([folder / "drive"], "--identities", str(write_identities(folder))) as started:
        yield started


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that encrypts."""
    folder = tmp_path_factory.mktemp("recorded-sealed")
    with Server([folder / "drive"], "--keyring", str(folder / "keyring")) as started:
        yield started


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of another region than us-east-1."""
    folder = tmp_path_factory.mktemp("recorded-elsewhere")
    with Server([folder / "drive"], "--region", "eu-west-1") as started:
        yield started


@pytest.fixture(scope="module")
def s3(server: Server):
    return server.client()


@pytest.fixture(scope="module")
def s3_sealed(sealed: Server):
    return sealed.client()


@pytest.fixture(scope="module")
def wire(server: Server) -> Wire:
    return Wire(server.endpoint)


def name_of(request: pytest.FixtureRequest) -> str:
    return "r-" + hashlib.md5(request.node.name.encode()).hexdigest()[:20]


@pytest.fixture
def bucket(s3, request: pytest.FixtureRequest) -> str:
    s3.create_bucket(Bucket=name_of(request))
    return name_of(request)


@pytest.fixture
def versioned(s3, bucket: str) -> str:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


@pytest.fixture
def bucket_sealed(s3_sealed, request: pytest.FixtureRequest) -> str:
    s3_sealed.create_bucket(Bucket=name_of(request))
    return name_of(request)


@pytest.fixture
def bucket_locked(s3, request: pytest.FixtureRequest) -> str:
    s3.create_bucket(Bucket=name_of(request), ObjectLockEnabledForBucket=True)
    return name_of(request)


def error_of(call, **arguments: object) -> tuple[int, dict[str, str]]:
    """The status of an error and the elements of its document; `Resource` is for a test of its own."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    elements = {k: v for k, v in response["Error"].items() if k not in ("RequestId", "HostId", "Resource")}
    return response["ResponseMetadata"]["HTTPStatusCode"], elements


def elements_of(answer: Answer) -> list[tuple[str, str]]:
    """Names and texts of what stands right below the root of a document."""
    return [(child.tag.rpartition("}")[2], child.text or "") for child in ElementTree.fromstring(answer.body)]


def error_in(answer: Answer) -> tuple[int, dict[str, str]]:
    """As `error_of`, of a raw answer."""
    found = dict(elements_of(answer)) if answer.body else {}
    return answer.status, {k: v for k, v in found.items() if k not in ("RequestId", "HostId", "Resource")}


def status_of(answer: dict) -> int:
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def fields_of(answer: dict) -> dict[str, str]:
    return answer["ResponseMetadata"]["HTTPHeaders"]


def checksums_in(answer: dict) -> dict[str, object]:
    """What an answer of boto3 tells of checksums."""
    return {k: v for k, v in answer.items() if k.startswith("Checksum")}


def outcome(call, **arguments: object) -> tuple[int, str]:
    """The status of an answer and the code of its error, "" where there is none."""
    try:
        return status_of(call(**arguments)), ""
    except ClientError as error:
        return status_of(error.response), error.response["Error"]["Code"]


def md5_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def begin(s3, bucket: str, key: str = "k", **more: object) -> dict[str, object]:
    """What names a new upload."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    return {"Bucket": bucket, "Key": key, "UploadId": upload}


def send_parts(s3, place: dict[str, object], *parts: bytes, **more: object) -> dict[str, object]:
    """Upload parts; what completes the upload."""
    sent = []
    for number, data in enumerate(parts, 1):
        put = s3.upload_part(**place, PartNumber=number, Body=data, **more)
        told = {k: v for k, v in put.items() if k.startswith("Checksum") and "ChecksumAlgorithm" in more}
        sent.append({"PartNumber": number, "ETag": put["ETag"], **told})
    return {**place, "MultipartUpload": {"Parts": sent}}


def composite(s3, bucket: str, algorithm: str, key: str = "k") -> dict:
    """Upload an object of two parts whose checksum is made of those of its parts."""
    place = begin(s3, bucket, key, ChecksumAlgorithm=algorithm, ChecksumType="COMPOSITE")
    sent = send_parts(s3, place, PART, b"the rest", ChecksumAlgorithm=algorithm)
    return s3.complete_multipart_upload(**sent)


def copy(s3, bucket: str, key: str = "k", source: str = "k", **more: object) -> dict:
    return s3.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/{source}", **more)


# R1


def test_errors_name_no_resource(s3, wire: Wire, bucket: str) -> None:
    """No error tells a Resource, whatever was asked of whom; those of keys and buckets name these alone."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    ids = {"RequestId", "HostId"}
    wanted = {
        ("GET", f"/{bucket}/missing"): {"Code", "Message", "Key"} | ids,
        ("GET", "/no-such-bucket-here/k"): {"Code", "Message", "BucketName"} | ids,
        ("GET", f"/{bucket}?tagging="): {"Code", "Message", "BucketName"} | ids,
        ("GET", f"/{bucket}?lifecycle="): {"Code", "Message", "BucketName"} | ids,
        ("PUT", f"/{bucket}/k?tagging="): None,
        ("POST", f"/{bucket}?delete="): None,
        ("GET", f"/{bucket}?list-type=2&max-keys=x"): None,
    }
    found = {asked: [name for name, _ in elements_of(wire.signed(ROOT, *asked))] for asked in wanted}
    anonymous = [name for name, _ in elements_of(wire.send("GET", f"/{bucket}/k"))]
    assert anonymous == ["Code", "Message", "RequestId", "HostId"]
    assert {asked: names for asked, names in found.items() if "Resource" in names} == {}
    for asked, names in wanted.items():
        assert names is None or set(found[asked]) == names, asked


# R2


def test_us_east_1_takes_other_regions(s3) -> None:
    """At us-east-1 a bucket is made for another region, and tells it."""
    far = {"LocationConstraint": "eu-west-1"}
    assert outcome(s3.create_bucket, Bucket="r-far", CreateBucketConfiguration=far) == (200, "")
    assert s3.get_bucket_location(Bucket="r-far")["LocationConstraint"] == "eu-west-1"


def test_what_is_no_region(s3) -> None:
    """At us-east-1 a word that is no region is refused, and told without what was expected."""
    found = error_of(s3.create_bucket, Bucket="r-foo", CreateBucketConfiguration={"LocationConstraint": "foo"})
    message = "The specified location-constraint is not valid"
    assert found == (400, {"Code": "InvalidLocationConstraint", "Message": message, "LocationConstraint": "foo"})


@pytest.mark.parametrize("location", ["us-west-1", "bar"])
def test_other_regions_take_their_own_only(elsewhere: Server, location: str) -> None:
    """A region that is not us-east-1 says that another one, or what is none, is incompatible with it."""
    s3 = boto3.client(
        "s3", endpoint_url=elsewhere.endpoint, region_name="eu-west-1",
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
    )  # fmt: skip
    own = {"LocationConstraint": "eu-west-1"}
    assert status_of(s3.create_bucket(Bucket=f"r-own-{location}", CreateBucketConfiguration=own)) == 200
    found = error_of(s3.create_bucket, Bucket="r-other", CreateBucketConfiguration={"LocationConstraint": location})
    message = (
        f"The {location} location constraint is incompatible for the region specific endpoint this request was sent to."
    )
    assert found == (400, {"Code": "IllegalLocationConstraintException", "Message": message})


# R3a


def test_a_copy_to_itself_that_names_its_class(s3, bucket: str) -> None:
    """A storage class that is named is a change, though it is the object's own."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert outcome(copy, s3=s3, bucket=bucket, StorageClass="STANDARD") == (200, "")
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")


def test_a_copy_to_itself_that_names_nothing(s3, bucket: str) -> None:
    """Without a word of a change a copy to itself is refused and moves no class; an access control list is none."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD_IA")
    illegal = (400, {"Code": "InvalidRequest", "Message": TO_ITSELF})
    assert error_of(copy, s3=s3, bucket=bucket) == illegal
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"
    assert error_of(copy, s3=s3, bucket=bucket, ACL="bucket-owner-full-control") == illegal


def test_a_copy_to_itself_that_names_its_redirect(s3, bucket: str) -> None:
    """A redirect that is named is a change, though the object has it already."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", WebsiteRedirectLocation="/test/direct")
    assert outcome(copy, s3=s3, bucket=bucket, WebsiteRedirectLocation="/test/direct") == (200, "")
    assert s3.head_object(Bucket=bucket, Key="k")["WebsiteRedirectLocation"] == "/test/direct"


def test_a_copy_to_itself_where_encryption_is_configured(s3_sealed, bucket_sealed: str) -> None:
    """A bucket with an encryption of its own takes a copy to itself that names no change."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    configuration = {"Rules": [rule]}
    s3_sealed.put_bucket_encryption(Bucket=bucket_sealed, ServerSideEncryptionConfiguration=configuration)
    s3_sealed.put_object(Bucket=bucket_sealed, Key="k", Body=b"x")
    assert outcome(copy, s3=s3_sealed, bucket=bucket_sealed) == (200, "")
    copied = copy(s3_sealed, bucket_sealed, StorageClass="STANDARD")
    assert copied["ServerSideEncryption"] == "AES256"
    assert copied["CopyObjectResult"]["ETag"] == md5_of(b"x")


def test_a_copy_to_itself_of_what_a_kms_key_seals(s3_sealed, bucket_sealed: str) -> None:
    """An object under a KMS key is copied to itself without a word, and is under the store's key then."""
    s3_sealed.put_object(Bucket=bucket_sealed, Key="k", Body=b"test", ServerSideEncryption="aws:kms")
    assert outcome(copy, s3=s3_sealed, bucket=bucket_sealed) == (200, "")
    copied = copy(s3_sealed, bucket_sealed, StorageClass="STANDARD")
    assert copied["ServerSideEncryption"] == "AES256"
    assert copied["CopyObjectResult"]["ETag"] == md5_of(b"test")
    assert s3_sealed.head_object(Bucket=bucket_sealed, Key="k")["ServerSideEncryption"] == "AES256"


def test_a_copy_to_itself_looks_at_its_conditions_first(s3, bucket: str) -> None:
    """If-None-Match decides before it is asked whether a copy to itself changes anything."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    unmet = {"Code": "PreconditionFailed", "Message": UNMET, "Condition": "If-None-Match"}
    assert error_of(copy, s3=s3, bucket=bucket, IfNoneMatch="*") == (412, unmet)


# R3b and B6


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC32"])
def test_copies_of_uploads_are_of_one_part(s3, wire: Wire, bucket: str, algorithm: str) -> None:
    """A copy of an object of parts has the MD5 as its ETag, a checksum of the whole, and no parts."""
    whole = PART + b"the rest"
    assert composite(s3, bucket, algorithm)["ETag"].endswith('-2"')
    sums = {"SHA256": hashlib.sha256(whole).digest(), "CRC32": zlib.crc32(whole).to_bytes(4, "big")}
    value = base64.b64encode(sums[algorithm]).decode()
    told = {f"Checksum{algorithm}": value, "ChecksumType": "FULL_OBJECT"}
    result = copy(s3, bucket, "copy")["CopyObjectResult"]
    assert result["ETag"] == md5_of(whole) and checksums_in(result) == told
    head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert head["ETag"] == md5_of(whole) and checksums_in(head) == told
    asked = ["ETag", "Checksum", "ObjectParts"]
    attributes = s3.get_object_attributes(Bucket=bucket, Key="copy", ObjectAttributes=asked)
    assert attributes["ETag"] == md5_of(whole).strip('"') and attributes["Checksum"] == told
    assert "ObjectParts" not in attributes
    part = wire.signed(ROOT, "HEAD", f"/{bucket}/copy?partNumber=1")
    assert (part.status, part.headers["content-range"]) == (206, f"bytes 0-{len(whole) - 1}/{len(whole)}")
    assert "x-amz-mp-parts-count" not in part.headers
    second = error_in(wire.signed(ROOT, "GET", f"/{bucket}/copy?partNumber=2"))
    assert (second[0], second[1]["Code"]) == (416, "InvalidPartNumber")


def test_an_upload_that_is_copied_to_itself(s3, bucket: str) -> None:
    """The usual trick for an MD5: an object of parts that is copied onto itself has one, and keeps its checksum."""
    done = s3.complete_multipart_upload(**send_parts(s3, begin(s3, bucket), b"test content 123"))
    assert done["ETag"].endswith('-1"') and done["ChecksumCRC64NVME"] == "BsLNlKumA5I="
    told = {"ChecksumCRC64NVME": "BsLNlKumA5I=", "ChecksumType": "FULL_OBJECT"}
    for key in ("copy", "k"):
        result = copy(s3, bucket, key, MetadataDirective="REPLACE")["CopyObjectResult"]
        assert result["ETag"] == '"eee506dd7ada7ded524c77e359a0e7c6"' and checksums_in(result) == told, key
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == '"eee506dd7ada7ded524c77e359a0e7c6"'


# R3c


def test_copies_where_versions_are_suspended(s3, versioned: str) -> None:
    """A copy into a bucket whose versioning is suspended tells that it is the null version."""
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    assert copy(s3, versioned, "copy").get("VersionId") == "null"
    again = copy(s3, versioned, source="copy", key="copy", MetadataDirective="REPLACE")
    assert fields_of(again).get("x-amz-version-id") == "null"


# R3d


def test_a_plus_in_the_source_of_a_copy(s3, wire: Wire, bucket: str) -> None:
    """A plus in x-amz-copy-source is a space, an encoded one is a plus."""
    s3.put_object(Bucket=bucket, Key="dir one/a b", Body=b"space")
    s3.put_object(Bucket=bucket, Key="c+d", Body=b"plus")
    for source in (f"{bucket}/dir+one/a+b", f"/{bucket}/dir+one/a+b", f"{bucket}%2Fdir+one%2Fa+b"):
        answer = wire.signed(ROOT, "PUT", f"/{bucket}/copy", {"x-amz-copy-source": source})
        assert (answer.status, answer.code) == (200, ""), source
        assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"space"
    assert wire.signed(ROOT, "PUT", f"/{bucket}/copy", {"x-amz-copy-source": f"{bucket}/c%2Bd"}).status == 200
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"plus"


def test_a_url_as_the_source_of_a_copy(s3, wire: Wire, bucket: str) -> None:
    """The whole URL of an object is taken as the source of a copy."""
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")
    source = {"x-amz-copy-source": f"{wire.endpoint}/{bucket}/a/k"}
    answer = wire.signed(ROOT, "PUT", f"/{bucket}/copy", source)
    assert (answer.status, answer.code) == (200, "")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"x"


def test_a_source_that_is_missing_is_named(s3, versioned: str) -> None:
    """Where a copy's source is missing or deleted, the error names the source's key."""
    missing = (404, {"Code": "NoSuchKey", "Message": NO_KEY, "Key": "the-source"})
    assert error_of(copy, s3=s3, bucket=versioned, key="k", source="the-source") == missing
    s3.put_object(Bucket=versioned, Key="the-source")
    s3.delete_object(Bucket=versioned, Key="the-source")
    assert error_of(copy, s3=s3, bucket=versioned, key="k", source="the-source") == missing
    place = begin(s3, versioned)
    copied = {**place, "PartNumber": 1, "CopySource": f"{versioned}/the-source"}
    assert error_of(s3.upload_part_copy, **copied) == missing


# R4 and B8


@pytest.mark.parametrize("since", FUTURES, ids=["2100", "tomorrow"])
def test_if_modified_since_of_the_future(s3, wire: Wire, bucket: str, since: str) -> None:
    """A date that is still to come is ignored by reads; one that has passed counts."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    modified = fields_of(s3.head_object(Bucket=bucket, Key="k"))["last-modified"]
    for method, body in (("GET", b"x"), ("HEAD", b"")):
        answer = wire.signed(ROOT, method, f"/{bucket}/k", {"If-Modified-Since": since})
        assert (answer.status, answer.body) == (200, body), method
        assert wire.signed(ROOT, method, f"/{bucket}/k", {"If-Modified-Since": modified}).status == 304


@pytest.mark.parametrize("since", FUTURES, ids=["2100", "tomorrow"])
def test_copies_of_what_is_modified_in_the_future(s3, wire: Wire, bucket: str, since: str) -> None:
    """A date that is still to come is ignored by copies and by parts that are copied."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = {"x-amz-copy-source": f"{bucket}/k", "x-amz-copy-source-if-modified-since": since}
    copied = wire.signed(ROOT, "PUT", f"/{bucket}/copy", headers)
    assert (copied.status, copied.code) == (200, "")
    upload = begin(s3, bucket, "part")["UploadId"]
    part = wire.signed(ROOT, "PUT", f"/{bucket}/part?partNumber=1&uploadId={upload}", headers)
    assert (part.status, part.code) == (200, "")


# R5a


def test_parts_echo_the_checksum_that_was_sent(s3, wire: Wire, bucket: str) -> None:
    """A part of an upload without an algorithm tells the checksum that came with it, and no other."""
    upload = begin(s3, bucket)["UploadId"]
    value = base64.b64encode(zlib.crc32(b"abc").to_bytes(4, "big")).decode()
    target = f"/{bucket}/k?partNumber=1&uploadId={upload}"
    answer = wire.signed(ROOT, "PUT", target, {"x-amz-checksum-crc32": value}, b"abc")
    told = {k: v for k, v in answer.headers.items() if k.startswith("x-amz-checksum")}
    assert (answer.status, told) == (200, {"x-amz-checksum-crc32": value})
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert not checksums_in(listed) and not checksums_in(listed["Parts"][0])
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": answer.headers["etag"]}]},
    )  # fmt: skip
    assert set(checksums_in(done)) == {"ChecksumCRC64NVME", "ChecksumType"}


def test_copied_parts_tell_no_checksum_unasked(s3, bucket: str) -> None:
    """A part that is copied tells a checksum only where the upload has an algorithm."""
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    source = {"PartNumber": 1, "CopySource": f"{bucket}/source"}
    plain = s3.upload_part_copy(**begin(s3, bucket), **source)["CopyPartResult"]
    assert set(plain) == {"ETag", "LastModified"} and plain["ETag"] == md5_of(b"0123456789")
    asked = s3.upload_part_copy(**begin(s3, bucket, ChecksumAlgorithm="CRC32C"), **source)["CopyPartResult"]
    assert set(asked) == {"ETag", "LastModified", "ChecksumCRC32C"}


def test_uploads_under_a_kms_key_tell_no_checksum_at_their_end(s3_sealed, bucket_sealed: str) -> None:
    """An upload under a KMS key tells no checksum when it is completed; a read that asks is told one."""
    place = begin(s3_sealed, bucket_sealed, ServerSideEncryption="aws:kms")
    done = s3_sealed.complete_multipart_upload(**send_parts(s3_sealed, place, b"test-sse"))
    assert done["ServerSideEncryption"] == "aws:kms" and checksums_in(done) == {}
    read = s3_sealed.get_object(Bucket=bucket_sealed, Key="k", ChecksumMode="ENABLED")
    assert checksums_in(read) == {"ChecksumCRC64NVME": "Kr7StX/uFlQ=", "ChecksumType": "FULL_OBJECT"}


def test_uploads_under_a_clients_key_tell_no_checksum(s3_sealed, bucket_sealed: str) -> None:
    """An upload under a client's key tells no checksum, neither when it is completed nor to reads that ask."""
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
    place = begin(s3_sealed, bucket_sealed, **key)
    done = s3_sealed.complete_multipart_upload(**send_parts(s3_sealed, place, b"test-sse", **key))
    assert checksums_in(done) == {}
    asked = {"Bucket": bucket_sealed, "Key": "k", "ChecksumMode": "ENABLED", **key}
    assert checksums_in(s3_sealed.get_object(**asked)) == {}
    assert checksums_in(s3_sealed.head_object(**asked)) == {}


def test_reads_of_a_part_tell_no_checksum_unasked(s3, bucket: str) -> None:
    """A part of an upload without an algorithm is read without a checksum, the whole object with one."""
    s3.complete_multipart_upload(**send_parts(s3, begin(s3, bucket), PART, b"test content 123"))
    asked = {"Bucket": bucket, "Key": "k", "ChecksumMode": "ENABLED"}
    for call in (s3.get_object, s3.head_object):
        part = call(**asked, PartNumber=2)
        assert (status_of(part), part["PartsCount"], checksums_in(part)) == (206, 2, {})
        assert set(checksums_in(call(**asked))) == {"ChecksumCRC64NVME", "ChecksumType"}


# R5b and B7


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC32"])
def test_attributes_tell_a_composite_checksum_bare(s3, bucket: str, algorithm: str) -> None:
    """GetObjectAttributes tells the checksum of parts without their number, all other answers with it."""
    name = f"Checksum{algorithm}"
    done = composite(s3, bucket, algorithm)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert done[name].endswith("-2") and head[name] == done[name]
    asked = ["Checksum", "ObjectParts"]
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=asked)
    assert found["Checksum"] == {name: done[name].removesuffix("-2"), "ChecksumType": "COMPOSITE"}
    parts = found["ObjectParts"]
    assert parts["TotalPartsCount"] == 2 and all(set(part) == {"PartNumber", "Size", name} for part in parts["Parts"])


# R5c


def test_initiators_have_a_name(server: Server, request: pytest.FixtureRequest) -> None:
    """Lists of uploads and of parts tell a user's ARN and name as who began them; owners have no name."""
    s3, bucket = client_of(server, "s3", "admin"), name_of(request)
    s3.create_bucket(Bucket=bucket)
    place = begin(s3, bucket)
    owner = {"ID": s3.list_buckets()["Owner"]["ID"]}
    user = {"ID": f"arn:aws:iam::{OWNER}:user/admin", "DisplayName": "admin"}
    for listed in (s3.list_parts(**place), s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]):
        assert listed["Owner"] == owner
        assert listed["Initiator"].get("DisplayName") == "admin"
        assert listed["Initiator"] == user


# R5d


def test_lists_of_uploads_always_tell_where_they_end(s3, wire: Wire, bucket: str) -> None:
    """A page of uploads tells its last key and upload, truncated or not, and a prefix only where one was given."""
    always = {
        "Bucket",
        "KeyMarker",
        "UploadIdMarker",
        "NextKeyMarker",
        "NextUploadIdMarker",
        "MaxUploads",
        "IsTruncated",
    }
    none = dict(elements_of(wire.signed(ROOT, "GET", f"/{bucket}?uploads=")))
    assert set(none) == always
    assert (none["NextKeyMarker"], none["NextUploadIdMarker"], none["IsTruncated"]) == ("", "", "false")
    first = begin(s3, bucket, "a/1")["UploadId"]
    last = begin(s3, bucket, "a/2")["UploadId"]
    for query, key, upload, truncated, more in (
        ("", "a/2", last, "false", set()),
        ("&max-uploads=1", "a/1", first, "true", set()),
        ("&prefix=a%2F", "a/2", last, "false", {"Prefix"}),
        (f"&max-uploads=1&key-marker=a%2F1&upload-id-marker={first}", "a/2", last, "false", set()),
        ("&key-marker=a%2F2", "", "", "false", set()),
    ):
        found = dict(elements_of(wire.signed(ROOT, "GET", f"/{bucket}?uploads={query}")))
        assert set(found) - {"Upload"} == always | more, query
        assert (found["NextKeyMarker"], found["NextUploadIdMarker"]) == (key, upload), query
        assert found["IsTruncated"] == truncated, query


def test_a_page_of_prefixes_tells_no_key(s3, bucket: str) -> None:
    """A last page of uploads that shows common prefixes alone ends at no key."""
    begin(s3, bucket, "a/1")
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert (rolled.get("NextKeyMarker"), rolled.get("NextUploadIdMarker")) == ("", "")
    assert rolled["CommonPrefixes"] == [{"Prefix": "a/"}]


# R5e


@pytest.mark.parametrize("operation", ["upload_part", "upload_part_copy", "list_parts", "complete", "abort"])
def test_an_upload_that_is_not_there_is_named(s3, bucket: str, operation: str) -> None:
    """NoSuchUpload tells the id that was asked for, though it is none; a completion needs no parts for that."""
    call, more = {
        "upload_part": (s3.upload_part, {"PartNumber": 1, "Body": b"x"}),
        "upload_part_copy": (s3.upload_part_copy, {"PartNumber": 1, "CopySource": f"{bucket}/source"}),
        "list_parts": (s3.list_parts, {}),
        "complete": (s3.complete_multipart_upload, {}),
        "abort": (s3.abort_multipart_upload, {}),
    }[operation]
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    gone = begin(s3, bucket)["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=gone)
    ids = ["fakeid"] if operation == "abort" else ["fakeid", gone]  # who aborts twice is not told
    for upload in ids:
        found = error_of(call, Bucket=bucket, Key="k", UploadId=upload, **more)
        assert found == (404, {"Code": "NoSuchUpload", "Message": NO_UPLOAD, "UploadId": upload})


def test_a_completion_without_parts(s3, wire: Wire, bucket: str) -> None:
    """The upload is looked for first; then one part at least has to be named."""
    empty = b'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'
    missing = error_in(wire.signed(ROOT, "POST", f"/{bucket}/k?uploadId=fakeid", body=empty))
    assert missing == (404, {"Code": "NoSuchUpload", "Message": NO_UPLOAD, "UploadId": "fakeid"})
    place = begin(s3, bucket)
    send_parts(s3, place, b"abc")
    found = error_of(s3.complete_multipart_upload, **place, MultipartUpload={"Parts": []})
    assert found == (400, {"Code": "InvalidRequest", "Message": "You must specify at least one part"})


def test_a_part_that_is_not_there_is_named(s3, bucket: str) -> None:
    """InvalidPart tells the upload, the number and the ETag that were asked for."""
    place = begin(s3, bucket)
    etag = s3.upload_part(**place, PartNumber=1, Body=b"abc")["ETag"]
    for number, given in ((2, etag), (1, md5_of(b""))):
        parts = {"Parts": [{"PartNumber": number, "ETag": given}]}
        found = error_of(s3.complete_multipart_upload, **place, MultipartUpload=parts)
        assert found == (400, {
            "Code": "InvalidPart", "Message": NO_PART,
            "UploadId": place["UploadId"], "PartNumber": str(number), "ETag": given.strip('"'),
        })  # fmt: skip


def test_parts_out_of_order_name_their_upload(s3, bucket: str) -> None:
    """InvalidPartOrder tells the upload."""
    sent = send_parts(s3, begin(s3, bucket), b"a", b"b")
    parts = {"Parts": sent["MultipartUpload"]["Parts"][::-1]}
    status, found = error_of(s3.complete_multipart_upload, **{**sent, "MultipartUpload": parts})
    assert (status, found["Code"], found.get("UploadId")) == (400, "InvalidPartOrder", sent["UploadId"])


# R5f


def refusal(code: str, condition: str) -> dict[str, str]:
    """The elements of what a condition refuses."""
    if code == "PreconditionFailed":
        return {"Code": code, "Message": UNMET, "Condition": condition}
    return {"Code": code, "Message": CONFLICT, "Condition": condition, "Key": "k"}


def test_a_key_that_was_deleted_during_its_upload(s3, bucket: str) -> None:
    """If-None-Match meets an object with 412, one that was deleted meanwhile with 409; another upload goes through."""
    s3.put_object(Bucket=bucket, Key="k")
    sent = send_parts(s3, begin(s3, bucket), b"test")
    found = error_of(s3.complete_multipart_upload, **sent, IfNoneMatch="*")
    assert found == (412, refusal("PreconditionFailed", "If-None-Match"))
    s3.delete_object(Bucket=bucket, Key="k")
    found = error_of(s3.complete_multipart_upload, **sent, IfNoneMatch="*")
    assert found == (409, refusal("ConditionalRequestConflict", "If-None-Match"))
    again = send_parts(s3, begin(s3, bucket), b"test")
    assert outcome(s3.complete_multipart_upload, **again, IfNoneMatch="*") == (200, "")


def test_a_key_that_was_written_during_its_upload(s3, bucket: str) -> None:
    """If-None-Match meets an object that was written meanwhile with 412."""
    sent = send_parts(s3, begin(s3, bucket), b"test")
    s3.put_object(Bucket=bucket, Key="k")
    found = error_of(s3.complete_multipart_upload, **sent, IfNoneMatch="*")
    assert found == (412, refusal("PreconditionFailed", "If-None-Match"))


@pytest.mark.parametrize("during", [b"another", b"test"], ids=["another", "identical"])
def test_an_object_that_was_replaced_during_an_upload(s3, bucket: str, during: bytes) -> None:
    """If-Match of an object that was written meanwhile is 409, though it has the same bytes; of one replaced, 412."""
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"test")["ETag"]
    sent = send_parts(s3, begin(s3, bucket), b"parts")
    new = s3.put_object(Bucket=bucket, Key="k", Body=during)["ETag"]
    if old != new:
        found = error_of(s3.complete_multipart_upload, **sent, IfMatch=old)
        assert found == (412, refusal("PreconditionFailed", "If-Match"))
    found = error_of(s3.complete_multipart_upload, **sent, IfMatch=new)
    assert found == (409, refusal("ConditionalRequestConflict", "If-Match"))
    again = send_parts(s3, begin(s3, bucket), b"parts")
    assert outcome(s3.complete_multipart_upload, **again, IfMatch=new) == (200, "")


def test_an_object_that_was_deleted_during_an_upload(s3, bucket: str) -> None:
    """If-Match of an object that was deleted meanwhile is 404, and 409 once it is written again."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"test")["ETag"]
    sent = send_parts(s3, begin(s3, bucket), b"parts")
    s3.delete_object(Bucket=bucket, Key="k")
    found = error_of(s3.complete_multipart_upload, **sent, IfMatch=etag)
    assert found == (404, {"Code": "NoSuchKey", "Message": NO_KEY, "Key": "k"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"test")
    found = error_of(s3.complete_multipart_upload, **sent, IfMatch=etag)
    assert found == (409, refusal("ConditionalRequestConflict", "If-Match"))


def test_an_upload_nobody_disturbed_meets_its_condition(s3, bucket: str) -> None:
    """If-Match of the object that stood there when the upload began lets it be completed."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"test")["ETag"]
    sent = send_parts(s3, begin(s3, bucket), b"parts")
    assert outcome(s3.complete_multipart_upload, **sent, IfMatch=etag) == (200, "")


# R5g


def test_an_abort_after_all_is_done(s3, bucket: str) -> None:
    """To abort what was completed changes nothing and is no error, also when the object is deleted."""
    sent = send_parts(s3, begin(s3, bucket), b"abc")
    place = {name: sent[name] for name in ("Bucket", "Key", "UploadId")}
    s3.complete_multipart_upload(**sent)
    assert outcome(s3.abort_multipart_upload, **place) == (204, "")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"abc"
    s3.delete_object(Bucket=bucket, Key="k")
    assert outcome(s3.abort_multipart_upload, **place) == (204, "")


# R6


@pytest.mark.parametrize("owner", ["0000", "0000000000020", "abcd", "aa000000000$"])
def test_an_expected_owner_that_is_no_account(s3, bucket: str, owner: str) -> None:
    """Who expects an owner that is no account id is told so by every operation."""
    message = f"The value of the expected bucket owner parameter must be an AWS Account ID... [{owner}]"
    wrong = (400, {"Code": "InvalidBucketOwnerAWSAccountID", "Message": message})
    expected = {"Bucket": bucket, "ExpectedBucketOwner": owner}
    assert error_of(s3.get_bucket_policy, **expected) == wrong
    assert error_of(s3.put_bucket_policy, **expected, Policy="{}") == wrong
    assert error_of(s3.delete_bucket_policy, **expected) == wrong
    assert error_of(s3.put_object, **expected, Key="k", Body=b"x") == wrong
    assert error_of(s3.head_bucket, **expected)[0] == 400
    assert error_of(s3.get_bucket_policy, Bucket=bucket, ExpectedBucketOwner="000000000002")[0] == 403


def test_the_least_size_that_lifecycle_rules_move(s3, bucket: str) -> None:
    """The default is told when rules are put without one, and with the rules."""
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 7}}
    rules = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [rule]}}
    name = "TransitionDefaultMinimumObjectSize"
    s3.put_bucket_lifecycle_configuration(**rules, **{name: "varies_by_storage_class"})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket).get(name) == "varies_by_storage_class"
    put = s3.put_bucket_lifecycle_configuration(**rules)
    found = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert (found.get(name), put.get(name)) == ("all_storage_classes_128K", "all_storage_classes_128K")
    header = "x-amz-transition-default-minimum-object-size"
    assert fields_of(found)[header] == "all_storage_classes_128K"


def test_buckets_tell_their_arn(wire: Wire) -> None:
    """The ARN of a bucket is told when it is made, by its head, and in the list."""
    arn = "arn:aws:s3:::r-with-an-arn"
    made = wire.signed(ROOT, "PUT", "/r-with-an-arn")
    assert (made.status, made.headers.get("x-amz-bucket-arn")) == (200, arn)
    assert wire.signed(ROOT, "HEAD", "/r-with-an-arn").headers.get("x-amz-bucket-arn") == arn
    listed = wire.signed(ROOT, "GET", "/?prefix=r-with-an-arn").body.decode()
    assert re.findall("<BucketArn>([^<]*)</BucketArn>", listed) == [arn]


@pytest.mark.parametrize("kind", ["GOVERNANCE", "COMPLIANCE", "hold"])
def test_what_a_lock_protects_is_refused_in_few_words(s3, bucket_locked: str, kind: str) -> None:
    """The message says that a lock protects the object, and nothing beyond that."""
    until = datetime.now(UTC) + timedelta(days=2)
    version = {"Bucket": bucket_locked, "Key": "k"}
    version["VersionId"] = s3.put_object(**version, Body=b"x")["VersionId"]
    if kind == "hold":
        s3.put_object_legal_hold(**version, LegalHold={"Status": "ON"})
    else:
        s3.put_object_retention(**version, Retention={"Mode": kind, "RetainUntilDate": until})
    locked = (403, {"Code": "AccessDenied", "Message": LOCKED})
    assert error_of(s3.delete_object, **version) == locked
    listed = {"Objects": [{"Key": "k", "VersionId": version["VersionId"]}]}
    refused = s3.delete_objects(Bucket=bucket_locked, Delete=listed)["Errors"][0]
    assert (refused["Code"], refused["Message"]) == ("AccessDenied", LOCKED)
    if kind != "hold":
        shorter = {"Mode": kind, "RetainUntilDate": until - timedelta(days=1)}
        assert error_of(s3.put_object_retention, **version, Retention=shorter) == locked


# R7 to R9


def test_presigned_conditions_in_the_query(s3, wire: Wire, bucket: str) -> None:
    """If-None-Match and If-Match count as signed parameters of a presigned URL."""
    target = wire.presign(ROOT, "PUT", f"/{bucket}/k?If-None-Match=%2A")
    assert wire.send("PUT", target, body=b"first").status == 200
    unmet = error_in(wire.send("PUT", target, body=b"second"))
    assert unmet == (412, {"Code": "PreconditionFailed", "Message": UNMET, "Condition": "If-None-Match"})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def test_a_presigned_match_in_the_query(s3, wire: Wire, bucket: str) -> None:
    """If-Match as a signed parameter lets write only over the object that it names."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"test")
    other, own = (hashlib.md5(data).hexdigest() for data in (b"", b"test"))
    unmet = error_in(wire.send("PUT", wire.presign(ROOT, "PUT", f"/{bucket}/k?If-Match={other}"), body=b"second"))
    assert unmet == (412, {"Code": "PreconditionFailed", "Message": UNMET, "Condition": "If-Match"})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"test"
    assert wire.send("PUT", wire.presign(ROOT, "PUT", f"/{bucket}/k?If-Match={own}"), body=b"second").status == 200


def test_metadata_in_the_query_of_version_2(server: Server, s3, wire: Wire, bucket: str) -> None:
    """A URL presigned with Signature Version 2 carries metadata in its query; what is changed in it is refused."""
    old = boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY, config=Config(signature_version="s3", s3={"addressing_style": "path"}),
    )  # fmt: skip
    named = {"Bucket": bucket, "Key": "k", "Metadata": {"foo": "bar baz"}}
    target = old.generate_presigned_url("put_object", Params=named).removeprefix(server.endpoint)
    assert "x-amz-meta-foo=bar%20baz" in target
    answer = wire.send("PUT", target, body=b"content")
    assert (answer.status, answer.code) == (200, "")
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"foo": "bar baz"}
    changed = wire.send("PUT", target.replace("bar%20baz", "else"), body=b"content")
    assert (changed.status, changed.code) == (403, "SignatureDoesNotMatch")
    beside = wire.send("PUT", target, {"x-amz-meta-wrong": "x"}, b"content")
    assert (beside.status, beside.code) == (403, "SignatureDoesNotMatch")


def test_a_presigned_url_with_an_unsigned_payload_header(s3, wire: Wire, bucket: str) -> None:
    """x-amz-content-sha256 need not be signed where a URL is presigned."""
    unsigned = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    put = wire.send("PUT", wire.presign(ROOT, "PUT", f"/{bucket}/k"), unsigned, b"x")
    assert (put.status, put.code) == (200, "")
    got = wire.send("GET", wire.presign(ROOT, "GET", f"/{bucket}/k"), unsigned)
    assert (got.status, got.body) == (200, b"x")


def test_headers_that_are_not_signed_are_listed(wire: Wire, bucket: str) -> None:
    """Where another header is not signed, x-amz-content-sha256 is not listed with it."""
    sent = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": "20211122T191045Z"}
    found = error_in(wire.send("PUT", wire.presign(ROOT, "PUT", f"/{bucket}/k"), sent, b"x"))
    message = "There were headers present in the request which were not signed"
    assert found == (403, {"Code": "AccessDenied", "Message": message, "HeadersNotSigned": "x-amz-date"})


# R10


def test_the_newest_version_behind_a_marker_that_is_gone(s3, versioned: str) -> None:
    """A page that begins behind a deleted version says which one is the newest now, as a full list does."""
    for n in range(4):
        s3.put_object(Bucket=versioned, Key="k", Body=str(n).encode())
    s3.put_object(Bucket=versioned, Key="l", Body=b"x")
    page = s3.list_object_versions(Bucket=versioned, MaxKeys=2)
    assert [one["IsLatest"] for one in page["Versions"]] == [True, False]
    for one in page["Versions"]:
        s3.delete_object(Bucket=versioned, Key="k", VersionId=one["VersionId"])
    behind = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    rest = s3.list_object_versions(Bucket=versioned, **behind)["Versions"]
    full = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [one["VersionId"] for one in rest] == [one["VersionId"] for one in full]
    assert [one["IsLatest"] for one in full] == [True, False, True]
    assert [one["IsLatest"] for one in rest] == [True, False, True]


def test_older_versions_behind_a_marker_that_stands(s3, versioned: str) -> None:
    """Behind a version that still is the newest, no other one is."""
    for n in range(3):
        s3.put_object(Bucket=versioned, Key="k", Body=str(n).encode())
    page = s3.list_object_versions(Bucket=versioned, MaxKeys=1)
    behind = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    rest = s3.list_object_versions(Bucket=versioned, **behind)["Versions"]
    assert [one["IsLatest"] for one in rest] == [False, False]


# R11


def of_marker(method: str) -> tuple[int, dict[str, str]]:
    told = {"Code": "MethodNotAllowed", "Message": NOT_ALLOWED, "Method": method, "ResourceType": "DeleteMarker"}
    return 405, told


@pytest.mark.parametrize("named", [False, True], ids=["current", "version"])
def test_tags_of_a_delete_marker(s3, versioned: str, named: bool) -> None:
    """No tags are put, read or deleted where a delete marker is, named or current, and the method is told."""
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    place = {"Bucket": versioned, "Key": "k", **({"VersionId": marker} if named else {})}
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    found = {
        "PUT": error_of(s3.put_object_tagging, **place, Tagging=tags),
        "GET": error_of(s3.get_object_tagging, **place),
        "DELETE": error_of(s3.delete_object_tagging, **place),
    }
    assert found == {method: of_marker(method) for method in found}


def test_the_access_control_list_of_a_delete_marker(s3, request: pytest.FixtureRequest) -> None:
    """No list is put where a delete marker is; to read it the marker has to be named to be told of."""
    bucket = name_of(request)
    s3.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    marker = {"VersionId": s3.delete_object(Bucket=bucket, Key="k")["VersionId"]}
    place = {"Bucket": bucket, "Key": "k"}
    assert error_of(s3.get_object_acl, **place) == (404, {"Code": "NoSuchKey", "Message": NO_KEY, "Key": "k"})
    assert error_of(s3.get_object_acl, **place, **marker) == of_marker("GET")
    assert error_of(s3.put_object_acl, **place, **marker, ACL="private") == of_marker("PUT")
    assert error_of(s3.put_object_acl, **place, ACL="private") == of_marker("PUT")


def test_the_retention_of_a_delete_marker(s3, bucket_locked: str) -> None:
    """No retention is put or read where a delete marker is named."""
    s3.put_object(Bucket=bucket_locked, Key="k", Body=b"x")
    place = {"Bucket": bucket_locked, "Key": "k"}
    place["VersionId"] = s3.delete_object(**place)["VersionId"]
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=2)}
    assert error_of(s3.get_object_retention, **place) == of_marker("GET")
    assert error_of(s3.put_object_retention, **place, Retention=retention) == of_marker("PUT")


# R12

CONDITIONS = {
    "If-Match": '"0123456789abcdef0123456789abcdef"',
    "If-None-Match": md5_of(b"x"),
    "If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT",
    "If-Modified-Since": "the source's own date",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_of_copies_have_their_whole_name(s3, wire: Wire, bucket: str, condition: str) -> None:
    """A copy or a part that its source's condition refuses tells the condition with its prefix."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    value = CONDITIONS[condition]
    if condition == "If-Modified-Since":
        value = fields_of(s3.head_object(Bucket=bucket, Key="k"))["last-modified"]
    headers = {"x-amz-copy-source": f"{bucket}/k", f"x-amz-copy-source-{condition.lower()}": value}
    told = {"Code": "PreconditionFailed", "Message": UNMET, "Condition": f"x-amz-copy-source-{condition}"}
    assert error_in(wire.signed(ROOT, "PUT", f"/{bucket}/copy", headers)) == (412, told)
    upload = begin(s3, bucket, "part")["UploadId"]
    target = f"/{bucket}/part?partNumber=1&uploadId={upload}"
    assert error_in(wire.signed(ROOT, "PUT", target, headers)) == (412, told)


# R13


def inventory(destination: str, name: str = "x", **more: object) -> dict[str, object]:
    return {
        "Id": name, "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": {"Bucket": destination, "Format": "CSV"}}, **more,
    }  # fmt: skip


def test_configurations_are_put_without_content(s3, bucket: str) -> None:
    """To put an analytics, metrics or tiering configuration answers 204, anew and over another one."""
    tiering = {"Id": "x", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
    analytics = {"Id": "x", "StorageClassAnalysis": {}}
    named = {"Bucket": bucket, "Id": "x"}
    for _ in range(2):
        put = [
            s3.put_bucket_analytics_configuration(**named, AnalyticsConfiguration=analytics),
            s3.put_bucket_metrics_configuration(**named, MetricsConfiguration={"Id": "x", "Filter": {"Prefix": "p"}}),
            s3.put_bucket_intelligent_tiering_configuration(**named, IntelligentTieringConfiguration=tiering),
        ]
        assert [status_of(answer) for answer in put] == [204, 204, 204]


def test_an_inventory_needs_no_destination_yet(s3, bucket: str) -> None:
    """An inventory is put with 204 where its destination permits nothing, and where there is none."""
    s3.create_bucket(Bucket="r-reports")
    for destination in ("r-reports", "r-no-reports-here"):
        made = inventory(f"arn:aws:s3:::{destination}")
        put = outcome(s3.put_bucket_inventory_configuration, Bucket=bucket, Id="x", InventoryConfiguration=made)
        assert put == (204, ""), destination
        kept = s3.get_bucket_inventory_configuration(Bucket=bucket, Id="x")["InventoryConfiguration"]
        assert kept["Destination"] == made["Destination"]


@pytest.mark.parametrize(
    ("made", "code", "message"),
    [
        (
            inventory("arn:aws:s3:::r-any", "other"),
            "IdMismatch",
            "Document ID does not match the specified configuration ID.",
        ),
        (inventory("r-any"), "InvalidS3DestinationBucket", "Invalid bucket ARN."),
        (inventory("arn:aws:s3:::r-any", Schedule={"Frequency": "Hourly"}), "MalformedXML", MALFORMED),
        (inventory("arn:aws:s3:::r-any", IncludedObjectVersions="Wrong"), "MalformedXML", MALFORMED),
        (inventory("arn:aws:s3:::r-any", OptionalFields=["TestField"]), "MalformedXML", MALFORMED),
        (
            inventory(
                "", Destination={"S3BucketDestination": {"Bucket": "arn:aws:s3:::r-any", "Format": "WRONG-FORMAT"}}
            ),
            "MalformedXML",
            MALFORMED,
        ),
    ],
    ids=["id", "destination", "frequency", "versions", "field", "format"],
)
def test_inventories_that_are_none(s3, bucket: str, made: dict[str, object], code: str, message: str) -> None:
    """An inventory that is not of the model is refused with the code of what is wrong in it."""
    found = error_of(s3.put_bucket_inventory_configuration, Bucket=bucket, Id="x", InventoryConfiguration=made)
    assert found == (400, {"Code": code, "Message": message})
