"""What AWS answers to requests that are wrong in a value, a header, a document or a form, element by element."""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

import boto3
import pytest
from botocore.config import Config

from tests.conformance.test_recorded_copies import (
    MALFORMED,
    NO_KEY,
    begin,
    elements_of,
    error_in,
    error_of,
    md5_of,
    name_of,
    outcome,
    status_of,
)
from tests.security.wire import Answer, Wire
from tests.server import ACCESS_KEY, SECRET_KEY, Server

NO_VERSION = "The specified version does not exist."
NO_CONFIGURATION = "The specified configuration does not exist."
OWNED = "Your previous request to create the named bucket succeeded and you already own it."
NOT_IMPLEMENTED = "A header you provided implies functionality that is not implemented"
WRONG_ID = "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"
Refusal = tuple[int, dict[str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that encrypts."""
    folder = tmp_path_factory.mktemp("recorded-requests")
    with Server([folder / "drive"], "--keyring", str(folder / "keyring")) as started:
        yield started


@pytest.fixture(scope="module")
def s3(server: Server):
    """A client that sends what it is told to."""
    return server.client(parameter_validation=False)


@pytest.fixture(scope="module")
def wire(server: Server) -> Wire:
    return Wire(server.endpoint)


@pytest.fixture
def bucket(s3, request: pytest.FixtureRequest) -> str:
    s3.create_bucket(Bucket=name_of(request))
    return name_of(request)


@pytest.fixture
def versioned(s3, bucket: str) -> str:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


@pytest.fixture
def bucket_locked(s3, request: pytest.FixtureRequest) -> str:
    s3.create_bucket(Bucket=name_of(request), ObjectLockEnabledForBucket=True)
    return name_of(request)


def refusal(call, **arguments: object) -> Refusal:
    """As `error_of`; an element without text has an empty one."""
    status, elements = error_of(call, **arguments)
    return status, {name: text or "" for name, text in elements.items()}


def told(status: int, code: str, message: str, **more: str) -> Refusal:
    return status, {"Code": code, "Message": message, **more}


def invalid(message: str, name: str, value: str | None = None) -> Refusal:
    """An argument that is refused, and its value where that is told."""
    more = {"ArgumentName": name} if value is None else {"ArgumentName": name, "ArgumentValue": value}
    return told(400, "InvalidArgument", message, **more)


MALFORMED_XML = told(400, "MalformedXML", MALFORMED)


# R13


def test_analytics_that_are_exported(s3, bucket: str) -> None:
    """An analytics configuration with an export is put with 204, and told as it was put."""
    export = {"S3BucketDestination": {"Format": "CSV", "Bucket": f"arn:aws:s3:::{bucket}", "Prefix": "test"}}
    analysis = {"DataExport": {"OutputSchemaVersion": "V_1", "Destination": export}}
    made = {"Id": "x", "Filter": {"Prefix": "test"}, "StorageClassAnalysis": analysis}
    put = s3.put_bucket_analytics_configuration(Bucket=bucket, Id="x", AnalyticsConfiguration=made)
    assert status_of(put) == 204
    assert s3.get_bucket_analytics_configuration(Bucket=bucket, Id="x")["AnalyticsConfiguration"] == made


def test_configurations_of_another_id(s3, bucket: str) -> None:
    """Analytics and tiering configurations whose identifier is not the request's are malformed."""
    analytics = {"Id": "x", "StorageClassAnalysis": {}}
    tiering = {"Id": "x", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
    named = {"Bucket": bucket, "Id": "other"}
    put = s3.put_bucket_analytics_configuration
    assert refusal(put, **named, AnalyticsConfiguration=analytics) == MALFORMED_XML
    put = s3.put_bucket_intelligent_tiering_configuration
    assert refusal(put, **named, IntelligentTieringConfiguration=tiering) == MALFORMED_XML


@pytest.mark.parametrize(
    "operation",
    [
        "get_bucket_analytics_configuration",
        "delete_bucket_analytics_configuration",
        "delete_bucket_intelligent_tiering_configuration",
        "get_bucket_metrics_configuration",
        "delete_bucket_metrics_configuration",
        "get_bucket_inventory_configuration",
    ],
)
def test_configurations_that_there_are_not(s3, bucket: str, operation: str) -> None:
    """What is not configured is neither told nor deleted, and the error names nothing."""
    missing = told(404, "NoSuchConfiguration", NO_CONFIGURATION)
    assert refusal(getattr(s3, operation), Bucket=bucket, Id="none") == missing


# R14

CONDITIONED = {
    "match-any": ({"IfMatch": "*"}, "If-Match"),
    "none-match-tag": ({"IfNoneMatch": md5_of(b"x")}, "If-None-Match"),
}


def unsuitable(header: str) -> Refusal:
    value = f"We don't accept the provided value of {header} header for this API"
    return told(501, "NotImplemented", NOT_IMPLEMENTED, Header=header, additionalMessage=value)


@pytest.mark.parametrize("kind", CONDITIONED)
def test_conditions_that_writes_do_not_take(s3, bucket: str, kind: str) -> None:
    """Puts and copies take neither If-Match of any object, nor If-None-Match of an ETag."""
    sent, header = CONDITIONED[kind]
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    key = "source" if header == "If-None-Match" else "missing"
    assert refusal(s3.put_object, Bucket=bucket, Key=key, Body=b"y", **sent) == unsuitable(header)
    copied = refusal(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", **sent)
    assert copied == unsuitable(header)


def test_two_conditions_of_a_write(s3, bucket: str) -> None:
    """Both conditions at once are refused before their values are looked at."""
    message = "Multiple conditional request headers present in the request"
    more = {"Header": "If-Match,If-None-Match", "additionalMessage": message}
    refused = told(501, "NotImplemented", NOT_IMPLEMENTED, **more)
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    assert refusal(s3.put_object, Bucket=bucket, Key="k", IfNoneMatch="*", IfMatch="abcdef") == refused
    sent = {"CopySource": f"{bucket}/source", "IfMatch": "*", "IfNoneMatch": md5_of(b"x")}
    assert refusal(s3.copy_object, Bucket=bucket, Key="copy", **sent) == refused


# R15

LISTS = ["list_objects", "list_objects_v2", "list_object_versions", "list_multipart_uploads"]


@pytest.mark.parametrize("value", ["", "value"], ids=["empty", "wrong"])
@pytest.mark.parametrize("operation", LISTS)
def test_encodings_that_there_are_not(s3, bucket: str, operation: str, value: str) -> None:
    """An encoding that is empty or unknown is refused by every list."""
    message = "Invalid Encoding Method specified in Request"
    refused = refusal(getattr(s3, operation), Bucket=bucket, EncodingType=value)
    assert refused == invalid(message, "encoding-type", value)


def test_tokens_of_lists_that_are_empty(s3, bucket: str) -> None:
    """A list of objects takes no empty token; a list of buckets does."""
    message = "The continuation token provided is incorrect"
    empty = refusal(s3.list_objects_v2, Bucket=bucket, ContinuationToken="")
    assert empty == invalid(message, "continuation-token")
    assert len(s3.list_buckets(ContinuationToken="", MaxBuckets=1)["Buckets"]) == 1


def test_buckets_of_what_is_no_region(s3) -> None:
    """A region that does not exist has no list of buckets."""
    message = "Argument value eu-east-1 is not a valid AWS Region"
    assert refusal(s3.list_buckets, BucketRegion="eu-east-1") == invalid(message, "bucket-region")


def test_buckets_of_another_region(s3, bucket: str) -> None:
    """A region that exists has a list of buckets, though none of them is there."""
    found = s3.list_buckets(BucketRegion="eu-central-1", Prefix=bucket)
    assert (found.get("Buckets", []), found["Prefix"]) == ([], bucket)
    found = s3.list_buckets(BucketRegion="us-east-1", Prefix=bucket)
    assert [(one["Name"], one["BucketRegion"]) for one in found["Buckets"]] == [(bucket, "us-east-1")]


def test_tokens_of_bucket_lists_are_opaque(s3, bucket: str) -> None:
    """The token of a list of buckets is not the name of one, and leads on to the next."""
    names = [f"{bucket}-{n}" for n in range(3)]
    for name in names:
        s3.create_bucket(Bucket=name)
    page = s3.list_buckets(Prefix=f"{bucket}-", MaxBuckets=1)
    found = [page["Buckets"][0]["Name"]]
    while token := page.get("ContinuationToken"):
        assert not any(name in token for name in names)
        page = s3.list_buckets(Prefix=f"{bucket}-", MaxBuckets=1, ContinuationToken=token)
        found += [one["Name"] for one in page["Buckets"]]
    assert found == names


def test_a_token_is_told_without_where_its_list_began(s3, bucket: str) -> None:
    """Beside a token no StartAfter counts, and none is told."""
    for n in range(4):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x")
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    assert s3.list_objects_v2(Bucket=bucket, StartAfter="k2")["StartAfter"] == "k2"
    token = first["NextContinuationToken"]
    rest = s3.list_objects_v2(Bucket=bucket, StartAfter="k2", ContinuationToken=token)
    assert [one["Key"] for one in rest["Contents"]] == ["k1", "k2", "k3"]
    assert rest["ContinuationToken"] == token
    assert "StartAfter" not in rest


def test_markers_of_uploads_of_another_key(s3, bucket: str) -> None:
    """A list of uploads does not begin behind an upload that is not of its key marker, and ignores one without it."""
    uploads = {key: begin(s3, bucket, key)["UploadId"] for key in ("a", "b")}
    marked = {"Bucket": bucket, "UploadIdMarker": uploads["a"]}
    refused = refusal(s3.list_multipart_uploads, **marked, KeyMarker="b")
    assert refused == invalid("Invalid uploadId marker", "upload-id-marker", str(uploads["a"]))
    alone = s3.list_multipart_uploads(**marked)
    assert [one["Key"] for one in alone["Uploads"]] == ["a", "b"]
    assert alone["UploadIdMarker"] == ""


def test_lists_of_metrics_tell_their_token(s3, bucket: str) -> None:
    """The second page of metrics configurations tells the token that led to it; a page has a hundred."""
    for n in range(102):
        made = {"Id": f"{100 + n}", "Filter": {"Prefix": "logs/prefix"}}
        s3.put_bucket_metrics_configuration(Bucket=bucket, Id=made["Id"], MetricsConfiguration=made)
    first = s3.list_bucket_metrics_configurations(Bucket=bucket)
    assert (len(first["MetricsConfigurationList"]), first["IsTruncated"]) == (100, True)
    token = first["NextContinuationToken"]
    second = s3.list_bucket_metrics_configurations(Bucket=bucket, ContinuationToken=token)
    assert [one["Id"] for one in second["MetricsConfigurationList"]] == ["200", "201"]
    assert (second["IsTruncated"], second.get("ContinuationToken")) == (False, token)


# R16


@pytest.mark.parametrize("kind", ["one", "one-without", "several"])
def test_governance_where_nothing_is_locked(s3, bucket: str, kind: str) -> None:
    """A bucket without a lock takes no word about governance, not even that it is not bypassed."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    name = "x-amz-bypass-governance-retention"
    refused = invalid(f"{name} is only applicable to Object Lock enabled buckets.", name)
    if kind == "several":
        listed = {"Bucket": bucket, "Delete": {"Objects": [{"Key": "k"}]}}
        found = refusal(s3.delete_objects, **listed, BypassGovernanceRetention=True)
    else:
        bypass = {"BypassGovernanceRetention": kind == "one"}
        found = refusal(s3.delete_object, Bucket=bucket, Key="k", **bypass)
    assert found == refused
    assert status_of(s3.head_object(Bucket=bucket, Key="k")) == 200


# R17


def test_tags_without_a_set(s3, bucket: str) -> None:
    """A tagging document without a set of tags takes all tags away."""
    some = {"TagSet": [{"Key": "a", "Value": "b"}]}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=some)
    assert outcome(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": None}) == (200, "")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    s3.put_bucket_tagging(Bucket=bucket, Tagging=some)
    assert outcome(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": None}) == (204, "")
    missing = told(404, "NoSuchTagSet", "The TagSet does not exist", BucketName=bucket)
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == missing


@pytest.mark.parametrize("tags", ["key1=val1&key1=val2", "key1=val1,key2=val2"], ids=["repeated", "malformed"])
def test_tags_in_headers_that_are_none(s3, bucket: str, tags: str) -> None:
    """Tags in a header that repeat a key or are not encoded as a query are refused, and told."""
    message = (
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
        "duplicates."
    )
    refused = refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"", Tagging=tags)
    assert refused == invalid(message, "x-amz-tagging", tags)


TAGS_OF_NONE = {
    "duplicate": ([("a", "b"), ("a", "b")], "Cannot provide multiple Tags with the same key", {"TagKey": "a"}),
    "key": ([("a,b", "c")], "The TagKey you have provided is invalid", {"TagKey": "a,b"}),
    "value": ([("a", "b,c")], "The TagValue you have provided is invalid", {"TagKey": "a", "TagValue": "b,c"}),
    "no-key": ([(None, "b")], "", {}),
    "no-value": ([("a", None)], "", {}),
    "system": ([("aws:a", "b")], "System tags cannot be added/updated by requester", {"TagKey": "aws:a"}),
}


@pytest.mark.parametrize("kind", TAGS_OF_NONE)
def test_tags_that_are_none(s3, bucket: str, kind: str) -> None:
    """Documents with tags that cannot be are refused with the key; one of AWS's own has a message for each resource."""
    pairs, message, more = TAGS_OF_NONE[kind]
    tagging = {"TagSet": [{"Key": key, "Value": value} for key, value in pairs]}
    refused = told(400, "InvalidTag", message, **more) if message else MALFORMED_XML
    assert refusal(s3.put_bucket_tagging, Bucket=bucket, Tagging=tagging) == refused
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    if kind == "system":
        refused = told(400, "InvalidTag", "Your TagKey cannot be prefixed with aws:", **more)
    if kind != "value":  # none is recorded of an object
        assert refusal(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tagging) == refused


def test_tags_of_a_version_that_is_gone(s3, versioned: str) -> None:
    """Tags of a version that there is no more are refused with its key and its identifier."""
    place = {"Bucket": versioned, "Key": "k"}
    gone = s3.put_object(**place, Body=b"x")["VersionId"]
    s3.put_object(**place, Body=b"y")
    s3.delete_object(**place, VersionId=gone)
    tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
    refused = told(404, "NoSuchVersion", NO_VERSION, Key="k", VersionId=gone)
    assert refusal(s3.put_object_tagging, **place, VersionId=gone, Tagging=tagging) == refused
    assert refusal(s3.get_object, **place, VersionId=gone) == refused


def test_buckets_are_made_again_without_tags_only(s3, request: pytest.FixtureRequest) -> None:
    """At us-east-1 to make one's own bucket again is no error, but for tags: other ones, and its own."""
    named = {"Bucket": name_of(request)}
    own, other = ({"Tags": [{"Key": key, "Value": "v"}]} for key in ("a", "b"))
    assert outcome(s3.create_bucket, **named, CreateBucketConfiguration=own) == (200, "")
    owned = told(409, "BucketAlreadyOwnedByYou", OWNED, BucketName=named["Bucket"])
    assert refusal(s3.create_bucket, **named, CreateBucketConfiguration=other) == owned
    assert outcome(s3.create_bucket, **named) == (200, "")
    assert refusal(s3.create_bucket, **named, CreateBucketConfiguration=own) == owned
    assert outcome(s3.create_bucket, **named, CreateBucketConfiguration={"Tags": []}) == (200, "")
    assert s3.get_bucket_tagging(**named)["TagSet"] == own["Tags"]


def test_buckets_are_made_with_no_tags(s3, request: pytest.FixtureRequest) -> None:
    """An empty set of tags, and none, make a bucket that has no tags."""
    named = {"Bucket": name_of(request)}
    assert outcome(s3.create_bucket, **named, CreateBucketConfiguration={"Tags": []}) == (200, "")
    missing = told(404, "NoSuchTagSet", "The TagSet does not exist", BucketName=named["Bucket"])
    assert refusal(s3.get_bucket_tagging, **named) == missing
    assert outcome(s3.create_bucket, **named, CreateBucketConfiguration={"Tags": None}) == (200, "")


SYSTEM_TAG = (
    'User-defined tag keys can\'t start with "aws:". This prefix is reserved for system tags. Remove "aws:" from your '
    "tag keys and try again."
)


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        (None, "b", MALFORMED_XML),
        ("a", None, MALFORMED_XML),
        ("aws:a", "b", told(400, "InvalidTag", SYSTEM_TAG)),
        ("a", "b,c", told(400, "InvalidTag", TAGS_OF_NONE["value"][1], TagKey="a", TagValue="b,c")),
        ("a,b", "c", told(400, "InvalidTag", TAGS_OF_NONE["key"][1], TagKey="a,b")),
    ],
    ids=["no-key", "no-value", "system", "value", "key"],
)
def test_buckets_with_tags_that_are_none(
    s3, request: pytest.FixtureRequest, key: str | None, value: str | None, refused: Refusal
) -> None:
    """A bucket is not made with tags that cannot be."""
    tags = {"Tags": [{"Key": key, "Value": value}]}
    assert refusal(s3.create_bucket, Bucket=name_of(request), CreateBucketConfiguration=tags) == refused


# R18


@pytest.mark.parametrize("status", ["enabled", "Disabled"])
def test_versioning_that_there_is_not(s3, bucket: str, status: str) -> None:
    """Versioning is Enabled or Suspended, and every other word is no document of it."""
    sent = {"Bucket": bucket, "VersioningConfiguration": {"Status": status}}
    assert refusal(s3.put_bucket_versioning, **sent) == MALFORMED_XML


def test_versioning_without_a_word(s3, bucket: str) -> None:
    """A versioning document without a status has an error of its own."""
    refused = refusal(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={})
    assert refused == told(400, "IllegalVersioningConfigurationException", "The Versioning element must be specified")


def test_locks_without_a_body(s3, versioned: str) -> None:
    """A lock's configuration has to be sent, and an empty one is none."""
    missing = told(400, "MissingRequestBodyError", "Request Body is empty")
    assert refusal(s3.put_object_lock_configuration, Bucket=versioned) == missing
    empty = {"Bucket": versioned, "ObjectLockConfiguration": {}}
    assert refusal(s3.put_object_lock_configuration, **empty) == MALFORMED_XML


# R19

SEALED = "x-amz-server-side-encryption"
KEY, OTHER_KEY = b"1234567890abcdef1234567890abcdef", b"abcdef1234567890abcdef1234567890"
UNKNOWN_CIPHER = told(
    400,
    "InvalidEncryptionAlgorithmError",
    "The Encryption request you specified is not valid. Supported value: AES256.",
    ArgumentName=SEALED,
    ArgumentValue="KMS",
)
TWICE_SEALED = invalid(
    "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
    SEALED,
    "AES256",
)
SEALED_OTHERWISE = told(
    400,
    "InvalidRequest",
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
    "retrieve the object.",
)
OF_CUSTOMERS = "Requests specifying Server Side Encryption with Customer provided keys must provide"
WRONG_KEY = told(403, "AccessDenied", f"{OF_CUSTOMERS} the correct secret key.")
UNFIT_KEY = invalid("The secret key was invalid for the specified algorithm.", SEALED)


def key_of(key: bytes = KEY, algorithm: str = "AES256", prefix: str = "") -> dict[str, str]:
    """What a client sends of its own key."""
    return {
        f"{prefix}SSECustomerAlgorithm": algorithm,
        f"{prefix}SSECustomerKey": base64.b64encode(key).decode(),
        f"{prefix}SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


def without(sent: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in sent.items() if key != name}


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        ({"ServerSideEncryption": "AES256", **key_of(algorithm="KMS")}, TWICE_SEALED),
        (key_of(algorithm="KMS"), UNKNOWN_CIPHER),
        (
            without(key_of(), "SSECustomerAlgorithm"),
            invalid(f"{OF_CUSTOMERS} a valid encryption algorithm.", SEALED),
        ),
        (without(key_of(), "SSECustomerKey"), invalid(f"{OF_CUSTOMERS} an appropriate secret key.", SEALED)),
        (key_of(base64.b64encode(KEY)), UNFIT_KEY),
        (key_of(KEY[:10]), UNFIT_KEY),
        (
            {**key_of(), "SSECustomerKeyMD5": key_of(OTHER_KEY)["SSECustomerKeyMD5"]},
            invalid("The calculated MD5 hash of the key did not match the hash that was provided.", SEALED),
        ),
    ],
    ids=["twice", "cipher", "no-cipher", "no-key", "long-key", "short-key", "digest"],
)
def test_keys_of_clients_that_are_none(s3, bucket: str, sent: dict[str, str], refused: Refusal) -> None:
    """An object is not stored under a key that is not all there, or not fit for the one cipher."""
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **sent) == refused


def test_reads_with_other_keys_than_the_clients(s3, bucket: str) -> None:
    """A read with another key, or one that cannot be one, is denied; one without a key or of another cipher refused."""
    place = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**place, Body=b"x", **key_of())
    assert refusal(s3.get_object, **place) == SEALED_OTHERWISE
    assert refusal(s3.get_object, **place, **key_of(OTHER_KEY)) == WRONG_KEY
    unknown = {**place, **key_of(algorithm="KMS")}
    assert refusal(s3.get_object, **unknown) == UNKNOWN_CIPHER
    assert refusal(s3.head_object, **unknown) == told(400, "400", "Bad Request")
    assert refusal(s3.get_object_attributes, **unknown, ObjectAttributes=["ETag"]) == UNKNOWN_CIPHER


def test_reads_with_keys_of_a_wrong_size(s3, bucket: str) -> None:
    """A read with a key that is too long is denied as one with another key is."""
    place = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**place, Body=b"x", **key_of())
    assert refusal(s3.get_object, **place, **key_of(base64.b64encode(KEY))) == WRONG_KEY
    assert refusal(s3.head_object, **place, **key_of(base64.b64encode(KEY))) == told(403, "403", "Forbidden")


def test_reads_of_versions_with_the_key_of_another(s3, versioned: str) -> None:
    """Each version is read with its own key alone."""
    place = {"Bucket": versioned, "Key": "k"}
    first = s3.put_object(**place, Body=b"1", **key_of())["VersionId"]
    s3.put_object(**place, Body=b"2", **key_of(OTHER_KEY))
    assert refusal(s3.get_object, **place, VersionId=first, **key_of(OTHER_KEY)) == WRONG_KEY
    assert s3.get_object(**place, VersionId=first, **key_of())["Body"].read() == b"1"


OF_SOURCE = key_of(prefix="CopySource")


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        (key_of(), SEALED_OTHERWISE),
        (key_of(algorithm="KMS", prefix="CopySource"), UNKNOWN_CIPHER),
        ({**OF_SOURCE, **key_of(algorithm="KMS")}, UNKNOWN_CIPHER),
        ({**OF_SOURCE, **key_of(), "ServerSideEncryption": "AES256"}, TWICE_SEALED),
    ],
    ids=["source", "source-cipher", "cipher", "twice"],
)
def test_copies_with_keys_that_are_none(s3, bucket: str, sent: dict[str, str], refused: Refusal) -> None:
    """A copy needs its source's key and a fit one of its own."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **key_of())
    assert refusal(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **sent) == refused


def until(year: int = 2100) -> dict[str, datetime]:
    return {"ObjectLockRetainUntilDate": datetime(year, 1, 1, tzinfo=UTC)}


BOTH_OF_LOCK = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        ({"ObjectLockMode": "GOVERNANCE"}, invalid(BOTH_OF_LOCK, "x-amz-object-lock-retain-until-date")),
        ({"ObjectLockMode": "BAD-VALUE"}, invalid(BOTH_OF_LOCK, "x-amz-object-lock-retain-until-date")),
        (until(), invalid(BOTH_OF_LOCK, "x-amz-object-lock-mode")),
        (
            {"ObjectLockMode": "BAD-VALUE", **until()},
            invalid("Unknown wormMode directive.", "x-amz-object-lock-mode", "BAD-VALUE"),
        ),
    ],
    ids=["no-date", "mode-without-date", "no-mode", "mode"],
)
def test_locks_in_headers_that_are_none(s3, bucket_locked: str, sent: dict[str, object], refused: Refusal) -> None:
    """A lock in headers has a mode that there is and a date, and the header that is wrong or missing is told."""
    place = {"Bucket": bucket_locked, "Key": "k"}
    assert refusal(s3.put_object, **place, Body=b"x", **sent) == refused
    if len(sent) == 2:
        assert refusal(s3.create_multipart_upload, **place, **sent) == refused


@pytest.mark.parametrize("value", ["RandomValue", ""], ids=["wrong", "empty"])
def test_ownership_that_there_is_not(s3, request: pytest.FixtureRequest, value: str) -> None:
    """A bucket is not made with an ownership that there is not."""
    refused = refusal(s3.create_bucket, Bucket=name_of(request), ObjectOwnership=value)
    name = "x-amz-object-ownership"
    assert refused == invalid(f"Invalid {name} header: {value}", name)


def test_versions_behind_no_key(s3, versioned: str) -> None:
    """A list of versions does not begin behind a version without its key."""
    version = s3.put_object(Bucket=versioned, Key="k", Body=b"x")["VersionId"]
    refused = refusal(s3.list_object_versions, Bucket=versioned, VersionIdMarker=version)
    message = "A version-id marker cannot be specified without a key marker."
    assert refused == invalid(message, "version-id-marker", version)


@pytest.mark.parametrize("operation", ["get_object", "delete_object"])
def test_versions_that_cannot_be(s3, bucket: str, operation: str) -> None:
    """What is no identifier of a version is refused and told, also where no versions are kept."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    refused = refusal(getattr(s3, operation), Bucket=bucket, Key="k", VersionId=WRONG_ID)
    assert refused == invalid("Invalid version id specified", "versionId", WRONG_ID)


def test_rules_that_begin_within_a_day(s3, bucket: str) -> None:
    """A rule's date is a midnight, and one that is not is told."""
    expiration = {"Date": datetime(2023, 1, 1, 2, 2, tzinfo=UTC)}
    rule = {"ID": "r", "Status": "Enabled", "Filter": {}, "Expiration": expiration}
    rules = {"Rules": [rule]}
    status, found = refusal(s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=rules)
    assert found.pop("ArgumentValue", "") != ""  # in which form was not recorded
    assert (status, found) == invalid("'Date' must be at midnight GMT", "Date")


def by_default(**how: str) -> dict[str, object]:
    return {"ApplyServerSideEncryptionByDefault": how}


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ([], MALFORMED_XML),
        ([by_default(SSEAlgorithm="aws:kms"), by_default(SSEAlgorithm="AES256")], MALFORMED_XML),
        (
            [by_default(SSEAlgorithm="AES256", KMSMasterKeyID="randomkeyid")],
            invalid(
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
                "ApplyServerSideEncryptionByDefault",
            ),
        ),
    ],
    ids=["none", "two", "key"],
)
def test_encryption_that_is_none(s3, bucket: str, rules: list[dict[str, object]], refused: Refusal) -> None:
    """A bucket's encryption is one rule, and names a key for KMS alone."""
    sent = {"Bucket": bucket, "ServerSideEncryptionConfiguration": {"Rules": rules}}
    assert refusal(s3.put_bucket_encryption, **sent) == refused


# R20

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
SIGNATURES = ["s3", "s3v4"]


def signed(
    server: Server, bucket: str, *conditions: object, version: str = "s3v4", key: str = "k", **more: str
) -> dict[str, str]:
    """The fields of a form; `more` are fields of it, which conditions allow where there are no `conditions`."""
    made = server.client(signature_version=version).generate_presigned_post(
        bucket, key, Fields=dict(more), ExpiresIn=60,
        Conditions=list(conditions) or [["eq", f"${name}", value] for name, value in more.items()],
    )  # fmt: skip
    return dict(made["fields"])


def post(
    wire: Wire, bucket: str, fields: dict[str, str], data: bytes = b"abcdef", name: str | None = "file", kind: str = ""
) -> Answer:
    """Send a form; its file has no name where `name` is None, and the form another type where `kind` tells one."""
    boundary = "xYzZY"
    lines = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}' for k, v in fields.items()]
    named = "" if name is None else f'; filename="{name}"'
    lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"{named}\r\n\r\n')
    body = "\r\n".join(lines).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    sent = kind or f"multipart/form-data; boundary={boundary}"
    return wire.send("POST", f"/{bucket}", {"Content-Type": sent}, body)


def test_forms_are_answered_with_the_checksum(server: Server, wire: Wire, bucket: str) -> None:
    """The answer to a form tells the checksum that was computed of its file."""
    answer = post(wire, bucket, signed(server, bucket), b"test-body-tagging")
    told_of = {name: answer.headers.get(f"x-amz-checksum-{name}") for name in ("crc64nvme", "type")}
    assert (answer.status, told_of) == (204, {"crc64nvme": "L1qdhyEV1JY=", "type": "FULL_OBJECT"})


@pytest.mark.parametrize("version", SIGNATURES)
def test_forms_whose_policy_is_another(server: Server, wire: Wire, bucket: str, version: str) -> None:
    """A form whose policy is not the signed one is told which text and which signature do not match."""
    fields = signed(server, bucket, version=version)
    fields["policy"] = fields["policy"][:-2]
    signature = fields["signature" if version == "s3" else "x-amz-signature"]
    more = {"AWSAccessKeyId": ACCESS_KEY, "StringToSign": fields["policy"], "SignatureProvided": signature}
    more["StringToSignBytes"] = fields["policy"].encode().hex(" ")
    assert error_in(post(wire, bucket, fields)) == told(403, "SignatureDoesNotMatch", MISMATCH, **more)


@pytest.mark.parametrize(
    ("version", "missing", "name"),
    [
        ("s3", ["signature"], "Signature"),
        ("s3v4", ["x-amz-signature"], "X-Amz-Signature"),
        ("s3", ["AWSAccessKeyId"], "AWSAccessKeyId"),
        ("s3v4", ["x-amz-algorithm", "x-amz-credential"], "X-Amz-Algorithm"),
    ],
    ids=["signature-2", "signature-4", "access-key-2", "algorithm-4"],
)
def test_forms_without_a_field(
    server: Server, wire: Wire, bucket: str, version: str, missing: list[str], name: str
) -> None:
    """A form that lacks a field of its signature is told which one, in the case that it is documented in."""
    fields = {k: v for k, v in signed(server, bucket, version=version).items() if k not in missing}
    message = (
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    )
    assert error_in(post(wire, bucket, fields)) == invalid(message, name, "")


def test_forms_without_any_signature(server: Server, wire: Wire, bucket: str) -> None:
    """A form with a policy and no field of a signature is one of nobody."""
    fields = {k: v for k, v in signed(server, bucket).items() if k in ("key", "policy")}
    assert error_in(post(wire, bucket, fields)) == told(403, "AccessDenied", "Access Denied")


TAGGINGS = {
    "one": ("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", [("a", "b")]),
    "unknown": ("<InvalidXmlTagging></InvalidXmlTagging>", []),
}


@pytest.mark.parametrize("kind", TAGGINGS)
def test_forms_with_tags(server: Server, s3, wire: Wire, bucket: str, kind: str) -> None:
    """A form's tags are a document, of which unknown elements say nothing."""
    document, tags = TAGGINGS[kind]
    answer = post(wire, bucket, signed(server, bucket, tagging=document))
    assert (answer.status, answer.code) == (204, "")
    found = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert [(one["Key"], one["Value"]) for one in found] == tags


def test_forms_with_tags_that_are_no_document(server: Server, s3, wire: Wire, bucket: str) -> None:
    """A form whose tags are no document stores nothing."""
    assert error_in(post(wire, bucket, signed(server, bucket, tagging="not-xml"))) == MALFORMED_XML
    assert outcome(s3.get_object_tagging, Bucket=bucket, Key="k") == (404, "NoSuchKey")


REDIRECT = "http://localhost.test/random"


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        (["eq", "$success_action_redirect", REDIRECT], "http://wrong.location/test"),
        (["eq", "success_action_redirect", REDIRECT], REDIRECT),
        (["eq", "$success_action_redirect", REDIRECT.replace("http:", "HTTP:")], REDIRECT),
        (["starts-with", "$success_action_redirect", "http://localhost"], "http://wrong.location/test"),
        (["starts-with", "$success_action_redirect", "http://localhost"], REDIRECT.replace("http:", "HTTP:")),
        (["content-length-range", "test", "10"], ""),
    ],
    ids=["other", "no-dollar", "case", "start", "start-case", "range"],
)
def test_forms_that_fail_a_condition(server: Server, wire: Wire, bucket: str, condition: list[str], sent: str) -> None:
    """A form is denied with the condition that it fails, also where that one could never hold."""
    more = {"success_action_redirect": sent} if sent else {}
    answer = post(wire, bucket, signed(server, bucket, condition, **more))
    message = f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)}"
    assert error_in(answer) == told(403, "AccessDenied", message)


def test_forms_with_a_condition_of_two_fields(server: Server, wire: Wire, bucket: str) -> None:
    """A condition that names two fields makes a policy none."""
    condition = {"bucket": bucket, "success_action_redirect": REDIRECT}
    answer = post(wire, bucket, signed(server, bucket, condition, success_action_redirect=REDIRECT))
    message = "Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."
    assert error_in(answer) == told(400, "InvalidPolicyDocument", message)


def test_forms_of_a_size(server: Server, wire: Wire, bucket: str) -> None:
    """A form's range of sizes is of numbers or of their texts, and what lies outside is told with it."""
    for least, most in ((5, 10), ("5", "10")):
        fields = signed(server, bucket, ["content-length-range", least, most])
        assert [post(wire, bucket, fields, b"a" * size).status for size in (5, 10)] == [204, 204]
    large = error_in(post(wire, bucket, fields, b"a" * 12))
    message = "Your proposed upload exceeds the maximum allowed size"
    assert large == told(400, "EntityTooLarge", message, ProposedSize="12", MaxSizeAllowed="10")
    small = error_in(post(wire, bucket, fields, b"a"))
    message = "Your proposed upload is smaller than the minimum allowed size"
    assert small == told(400, "EntityTooSmall", message, ProposedSize="1", MinSizeAllowed="5")


def test_forms_whose_file_has_no_name(server: Server, s3, wire: Wire, bucket: str) -> None:
    """Where the file has no name, the key keeps the word that stands for it, and the object the default type."""
    for key in ("k", "file-${filename}"):
        assert post(wire, bucket, signed(server, bucket, key=key), name=None).status == 204
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["file-${filename}", "k"]
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


def test_forms_of_another_type(server: Server, wire: Wire, bucket: str) -> None:
    """What is not sent as a form fails a condition of posting."""
    answer = post(wire, bucket, signed(server, bucket), kind="text/html")
    unmet = "At least one of the pre-conditions you specified did not hold"
    condition = "Bucket POST must be of the enclosure-type multipart/form-data"
    assert error_in(answer) == told(412, "PreconditionFailed", unmet, Condition=condition)


PRINTABLE = "! \"#$%&'()*+,-./0123456789:;<>'?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\t"
IN_FORMS = {
    "nonascii": ("ÄMÄZÕÑ S3", "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?="),
    "nonascii-2": (
        "test_—_file%E2%80%94_é_2👑.pdf",
        "=?UTF-8?Q?test=5F=E2=80=94=5Ffile%E2%80%94=5F=C3=A9=5F2=F0=9F=91=91.pdf?=",
    ),
    "safe-chars": (PRINTABLE, PRINTABLE),
    "utf-8": ("\x00\x01\x02\x03\x04", "=?UTF-8?B?AAECAwQ=?="),
    "q-encoded": ("=?UTF-8?Q?actually-ascii?=", "=?UTF-8?Q?actually-ascii?="),
    "b-encoded": ("=?UTF-8?B?YWJj?=", "=?UTF-8?B?YWJj?="),
}


@pytest.mark.parametrize("name", IN_FORMS)
def test_metadata_of_forms(server: Server, s3, wire: Wire, bucket: str, name: str) -> None:
    """Metadata of a form is UTF-8, and told encoded where it is not printable ASCII."""
    sent, found = IN_FORMS[name]
    assert post(wire, bucket, signed(server, bucket, **{f"x-amz-meta-{name}": sent})).status == 204
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {name: found}


def test_fields_of_forms_that_no_header_can_tell(server: Server, s3, wire: Wire, bucket: str) -> None:
    """What Latin-1 has not is told as a space in a header, and the key encoded in the place of the object."""
    disposition, control = 'filename="test_—_file%E2%80%94_é_2-.pdf"', "non-ascii-%E2%80%94_—_é_"
    more = {"Content-Disposition": disposition, "Cache-Control": control, "success_action_status": "201"}
    key = "test_unicode—_file.pdf"
    answer = post(wire, bucket, signed(server, bucket, key=key, **more), b"test-body-tagging")
    assert answer.status == 201
    found = dict(elements_of(answer))
    assert (found["Bucket"], found["Key"], found["ETag"]) == (bucket, key, '"a7d8531d918474360de3e2eaeb110cda"')
    assert found["Location"] == answer.headers["location"]
    assert found["Location"].endswith("/test_unicode%E2%80%94_file.pdf")
    head = s3.head_object(Bucket=bucket, Key=key)
    assert head["CacheControl"] == "non-ascii-%E2%80%94_ _é_"
    assert head["ContentDisposition"] == 'filename="test_ _file%E2%80%94_é_2-.pdf"'


# R21

GROUP = "http://acs.amazonaws.com/groups/s3"
MALFORMED_LIST = told(400, "MalformedACLError", MALFORMED)


def grant(permission: str = "FULL_CONTROL", **grantee: str) -> list[dict[str, object]]:
    return [{"Grantee": grantee, "Permission": permission}]


LISTS_OF_NONE = {
    "canned": ({"ACL": "fake-acl"}, invalid("", "x-amz-acl", "fake-acl")),
    "group": ({"GrantWrite": f'uri="{GROUP}/FakeGroup"'}, invalid("Invalid group uri", "uri", f"{GROUP}/FakeGroup")),
    "format": (
        {"GrantWrite": 'fakekey="1234"'},
        invalid("Argument format not recognized", "x-amz-grant-write", 'fakekey="1234"'),
    ),
    "grantee": ({"GrantWrite": 'id="wrong-id"'}, invalid("Invalid id", "id", "wrong-id")),
    "nothing": (
        {},
        told(400, "MissingSecurityHeader", "Your request was missing a required header", MissingHeaderName="x-amz-acl"),
    ),
    "two-headers": (
        {"ACL": "private", "GrantRead": f'uri="{GROUP}/LogDelivery"'},
        told(400, "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed"),
    ),
}


def put_list(s3, of: str, bucket: str, **sent: object) -> Refusal:
    """Put the access control list of a bucket or of an object in it, where their owner alone has to do with them."""
    if of == "bucket":
        return refusal(s3.put_bucket_acl, Bucket=bucket, **sent)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    return refusal(s3.put_object_acl, Bucket=bucket, Key="k", **sent)


@pytest.mark.parametrize("kind", LISTS_OF_NONE)
@pytest.mark.parametrize("of", ["bucket", "object"])
def test_access_control_in_headers_that_is_none(s3, bucket: str, of: str, kind: str) -> None:
    """Headers that make no access control list are told, before it is asked whether there may be lists."""
    sent, refused = LISTS_OF_NONE[kind]
    assert put_list(s3, of, bucket, **sent) == refused


def test_an_object_with_access_control_that_is_none(s3, bucket: str) -> None:
    """An object is not stored with a canned list that there is not."""
    refused = refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ACL="fake-acl")
    assert refused == invalid("", "x-amz-acl", "fake-acl")


@pytest.mark.parametrize("kind", ["owner", "permission", "owner-id", "group", "grantee", "type", "empty", "both"])
@pytest.mark.parametrize("of", ["bucket", "object"])
def test_access_control_documents_that_are_none(s3, bucket: str, of: str, kind: str) -> None:
    """A document that is no access control list is told with the place of what is wrong in it."""
    owner = s3.list_buckets()["Owner"]
    logs = {"Type": "Group", "URI": f"{GROUP}/LogDelivery"}
    fake = {"Type": "Group", "URI": f"{GROUP}/FakeGroup"}
    of_id = invalid("Invalid id", "CanonicalUser/ID", "wrong-id")
    cases = {
        "owner": ({"Grants": grant("WRITE", **logs)}, MALFORMED_LIST),
        "permission": ({"Grants": grant("WRONG-PERMISSION", **logs), "Owner": owner}, MALFORMED_LIST),
        "owner-id": ({"Grants": grant(**logs), "Owner": {"ID": "wrong-id"}}, of_id),
        "group": ({"Grants": grant(**fake), "Owner": owner}, invalid("Invalid group uri", "Group/URI", fake["URI"])),
        "grantee": ({"Grants": grant(Type="CanonicalUser", ID="wrong-id"), "Owner": owner}, of_id),
        "type": ({"Grants": grant(Type="BadType", ID="wrong-id"), "Owner": owner}, MALFORMED_LIST),
        "empty": ({}, MALFORMED_LIST),
        "both": (
            {"Grants": grant(Type="CanonicalUser", ID=owner["ID"]), "Owner": owner},
            told(400, "UnexpectedContent", "This request does not support content"),
        ),
    }
    document, refused = cases[kind]
    more = {"ACL": "private"} if kind == "both" else {}
    assert put_list(s3, of, bucket, AccessControlPolicy=document, **more) == refused


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("", "Policies must be valid JSON and the first byte must be '{'"),
        ("invalid json", "Policies must be valid JSON and the first byte must be '{'"),
        ("{}", "Missing required field Statement"),
    ],
    ids=["empty", "text", "object"],
)
def test_policies_that_are_none(s3, bucket: str, policy: str, message: str) -> None:
    """What is no policy is told why not."""
    assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy=policy) == told(400, "MalformedPolicy", message)


def no_class(name: str) -> Refusal:
    message = "The storage class you specified is not valid"
    return told(400, "InvalidStorageClass", message, StorageClassRequested=name)


@pytest.mark.parametrize("operation", ["put_object", "create_multipart_upload"])
def test_classes_that_there_are_not(s3, bucket: str, operation: str) -> None:
    """A class of another kind of storage is refused and told."""
    refused = refusal(getattr(s3, operation), Bucket=bucket, Key="k", StorageClass="OUTPOSTS")
    assert refused == no_class("OUTPOSTS")


def test_forms_of_a_class_that_there_is_not(server: Server, wire: Wire, bucket: str) -> None:
    """A form's class that there is not is refused and told."""
    fields = signed(server, bucket, **{"x-amz-storage-class": "FakeClass"})
    assert error_in(post(wire, bucket, fields)) == no_class("FakeClass")


DIGESTS = ["__invalid__", "000", "not base64 encoded checksum", "MTIz", "dGVzdC1zdHJpbmc="]


@pytest.mark.parametrize("digest", DIGESTS, ids=["word", "short", "spaces", "three", "eleven"])
@pytest.mark.parametrize("of", ["object", "part"])
def test_digests_that_are_none(s3, bucket: str, of: str, digest: str) -> None:
    """A Content-MD5 that is no digest is refused and told."""
    sent = {"Body": b"something", "ContentMD5": digest}
    more = {"Content-MD5": digest}
    refused = told(400, "InvalidDigest", "The Content-MD5 you specified was invalid.", **more)
    if of == "object":
        assert refusal(s3.put_object, Bucket=bucket, Key="k", **sent) == refused
    else:
        assert refusal(s3.upload_part, **begin(s3, bucket), PartNumber=1, **sent) == refused


@pytest.mark.parametrize("of", ["object", "part"])
def test_digests_of_something_else(s3, bucket: str, of: str) -> None:
    """Of a Content-MD5 that does not match both digests are told, of an object the sent one in hexadecimal."""
    sent = {"Body": b"something", "ContentMD5": "CYketZBSTjX8czcs3cXVlg=="}
    message = "The Content-MD5 you specified did not match what we received."
    if of == "object":
        expected = "09891eb590524e35fc73372cddc5d596"
        found = refusal(s3.put_object, Bucket=bucket, Key="k", **sent)
    else:
        expected = "CYketZBSTjX8czcs3cXVlg=="
        found = refusal(s3.upload_part, **begin(s3, bucket), PartNumber=1, **sent)
    more = {"ExpectedDigest": expected, "CalculatedDigest": "Q3uTDbhLgHnC3YBKcZNrXw=="}
    assert found == told(400, "BadDigest", message, **more)


@pytest.mark.parametrize("kept", [False, True], ids=["plain", "versioned"])
def test_versions_that_cannot_be_among_several(s3, bucket: str, kept: bool) -> None:
    """Where several objects are deleted, what is no identifier of a version is a version that there is not."""
    if kept:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    keys = ["k", "other"] if kept else ["k"]
    listed = {"Objects": [{"Key": key, "VersionId": WRONG_ID} for key in keys]}
    answer = s3.delete_objects(Bucket=bucket, Delete=listed)
    wrong = {"Code": "NoSuchVersion", "Message": NO_VERSION, "VersionId": WRONG_ID}
    assert sorted(answer["Errors"], key=lambda one: one["Key"]) == [{"Key": key, **wrong} for key in keys]
    assert "Deleted" not in answer


RANGE = "x-amz-copy-source-range"
NO_RANGE = (
    f"The {RANGE} value must be of the form bytes=first-last where first and last are the zero-based offsets of the "
    "first and last bytes to copy"
)
NO_RANGES = ["0-8", *(f"bytes={one}" for one in ("1-0", "-1-", "0--1", "0-1,3-4,7-9", "-", "-0", "1-", "-2", "-15"))]


@pytest.mark.parametrize("asked", [*NO_RANGES, "bytes=0-100", "bytes=100-200"])
def test_ranges_of_parts_that_are_none(s3, bucket: str, asked: str) -> None:
    """A part is copied of a whole range that lies within its source, and each fault has a message."""
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    sent = {**begin(s3, bucket), "PartNumber": 1, "CopySource": f"{bucket}/source", "CopySourceRange": asked}
    if asked == "bytes=100-200":
        refused = told(400, "InvalidRequest", "The specified copy range is invalid for the source object size")
    elif asked == "bytes=0-100":
        refused = invalid("Range specified is not valid for source object of size: 10", RANGE, asked)
    else:
        refused = invalid(NO_RANGE, RANGE, asked)
    assert refusal(s3.upload_part_copy, **sent) == refused


def test_buckets_that_keep_versions_are_not_deleted(s3, versioned: str) -> None:
    """A bucket with versions, be it a delete marker alone, is told to be emptied of them."""
    place = {"Bucket": versioned, "Key": "k"}
    version = s3.put_object(**place, Body=b"x")["VersionId"]
    marker = s3.delete_object(**place)["VersionId"]
    message = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
    full = told(409, "BucketNotEmpty", message, BucketName=versioned)
    assert refusal(s3.delete_bucket, Bucket=versioned) == full
    s3.delete_object(**place, VersionId=version)
    assert refusal(s3.delete_bucket, Bucket=versioned) == full
    s3.delete_object(**place, VersionId=marker)
    assert status_of(s3.delete_bucket(Bucket=versioned)) == 204


def test_buckets_with_objects_are_not_deleted(s3, bucket: str) -> None:
    """A bucket that keeps no versions is told to be not empty, in fewer words."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    full = told(409, "BucketNotEmpty", "The bucket you tried to delete is not empty", BucketName=bucket)
    assert refusal(s3.delete_bucket, Bucket=bucket) == full


TYPE_ALONE = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."


@pytest.mark.parametrize(
    ("algorithm", "kind", "message"),
    [
        ("", "COMPOSITE", TYPE_ALONE),
        ("", "FULL_OBJECT", TYPE_ALONE),
        ("CRC64NVME", "COMPOSITE", "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."),
        ("SHA1", "FULL_OBJECT", "The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm."),
        ("SHA256", "FULL_OBJECT", "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm."),
    ],
    ids=["composite-alone", "full-alone", "crc64nvme", "sha1", "sha256"],
)
def test_checksums_that_no_upload_has(s3, bucket: str, algorithm: str, kind: str, message: str) -> None:
    """An upload begins with an algorithm that there is and a type that it has."""
    sent = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    sent |= {"ChecksumType": kind} if kind else {}
    refused = refusal(s3.create_multipart_upload, Bucket=bucket, Key="k", **sent)
    assert refused == told(400, "InvalidRequest", message)


def test_checksums_that_there_are_not(s3, bucket: str) -> None:
    """An algorithm that there is not is refused with a list of those that there are, at whose head the old ones are."""
    status, found = refusal(s3.create_multipart_upload, Bucket=bucket, Key="k", ChecksumAlgorithm="TEST")
    message = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
    assert (status, found["Code"]) == (400, "InvalidRequest")
    assert found["Message"].startswith(f"{message}[CRC32, CRC32C, CRC64NVME, SHA1, SHA256")


def other_mode(mode: str) -> Refusal:
    message = (
        f"The upload was created using the {mode} checksum mode. The complete request must use the same checksum mode."
    )
    return told(400, "InvalidRequest", message)


def upload_of(s3, bucket: str, data: bytes, put: dict[str, str], **how: str) -> tuple[dict, dict[str, object]]:
    """Begin an upload and send its one part; what completes it, and the part."""
    place = begin(s3, bucket, **how)
    etag = s3.upload_part(**place, PartNumber=1, Body=data, **put)["ETag"]
    return place, {"PartNumber": 1, "ETag": etag}


def test_modes_of_composite_uploads(s3, bucket: str) -> None:
    """An upload whose checksum is composite is not completed with that of another algorithm, nor in another mode."""
    place, part = upload_of(s3, bucket, b"abc", {}, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE")
    other = {**part, "ChecksumSHA256": base64.b64encode(hashlib.sha256(b"abc").digest()).decode()}
    refused = refusal(s3.complete_multipart_upload, **place, MultipartUpload={"Parts": [other]})
    assert refused == told(400, "BadDigest", "The sha256 you specified for part 1 did not match what we received.")
    whole = {"MultipartUpload": {"Parts": [part]}, "ChecksumType": "FULL_OBJECT"}
    assert refusal(s3.complete_multipart_upload, **place, **whole) == other_mode("COMPOSITE")


@pytest.mark.parametrize(
    ("begun", "sent"), [("SHA256", "CRC32"), ("CRC32C", "CRC32")], ids=["composite", "full-object"]
)
def test_parts_of_another_algorithm(s3, bucket: str, begun: str, sent: str) -> None:
    """A part has the checksum that its upload was begun with."""
    how = {"ChecksumAlgorithm": begun, **({"ChecksumType": "FULL_OBJECT"} if begun == "CRC32C" else {})}
    data = {"Body": b"abc", "ChecksumCRC32": base64.b64encode(zlib.crc32(b"abc").to_bytes(4, "big")).decode()}
    refused = refusal(s3.upload_part, **begin(s3, bucket, **how), PartNumber=1, **data)
    kinds = f"expected checksum Type: {begun.lower()}, actual checksum Type: {sent.lower()}"
    assert refused == told(400, "InvalidRequest", f"Checksum Type mismatch occurred, {kinds}")


@pytest.mark.parametrize(
    "stated",
    [
        {"ChecksumCRC32C": "ZpGMMA==-1"},
        {"ChecksumCRC32C": "Nks/tw=="},
        {"ChecksumCRC64NVME": "BeXKuz/B+us="},
        {"ChecksumCRC32C": "+5yBMA==", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumCRC32": "yeCtCw==", "ChecksumType": "FULL_OBJECT"},
    ],
    ids=["composite", "no-type", "no-type-other", "wrong", "wrong-other"],
)
def test_modes_of_uploads_of_a_whole(s3, bucket: str, stated: dict[str, str]) -> None:
    """An upload whose checksum is of the whole takes one with its type alone, which then completes it."""
    how = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"}
    place, part = upload_of(s3, bucket, b"abc", {"ChecksumCRC32C": "Nks/tw=="}, **how)
    made = {**place, "MultipartUpload": {"Parts": [{**part, "ChecksumCRC32C": "Nks/tw=="}]}}
    refused = told(400, "BadDigest", "The crc32c you specified did not match the calculated checksum.")
    assert refusal(s3.complete_multipart_upload, **made, **stated) == refused
    assert refusal(s3.complete_multipart_upload, **made, ChecksumType="COMPOSITE") == other_mode("FULL_OBJECT")
    done = s3.complete_multipart_upload(**made, ChecksumCRC32C="Nks/tw==", ChecksumType="FULL_OBJECT")
    assert (done["ChecksumCRC32C"], done["ChecksumType"]) == ("Nks/tw==", "FULL_OBJECT")


def test_modes_of_uploads_without_an_algorithm(s3, bucket: str) -> None:
    """An upload begun without an algorithm takes no checksums of its parts, no type, and does not look at one of it."""
    place, part = upload_of(s3, bucket, b"aaa", {"ChecksumCRC32C": "45fn2Q=="})
    message = (
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
        "entity tag may not match the part's entity tag."
    )
    more = {"UploadId": str(place["UploadId"]), "PartNumber": "1", "ETag": "47bce5c74f589f4867dbd57e9ca9f808"}
    missing = told(400, "InvalidPart", message, **more)
    digest = base64.b64encode(hashlib.sha256(b"aaa").digest()).decode()
    for checksum in ({"ChecksumCRC32C": "45fn2Q=="}, {"ChecksumSHA256": digest}):
        sent = {"MultipartUpload": {"Parts": [{**part, **checksum}]}}
        assert refusal(s3.complete_multipart_upload, **place, **sent) == missing
    made = {**place, "MultipartUpload": {"Parts": [part]}}
    for mode in ("FULL_OBJECT", "COMPOSITE"):
        assert refusal(s3.complete_multipart_upload, **made, ChecksumType=mode) == other_mode("null")
    done = s3.complete_multipart_upload(**made, ChecksumCRC32C="IUAC0A==-2")
    assert (done["ChecksumCRC64NVME"], done["ChecksumType"]) == ("Rnr2/5P7Gsk=", "FULL_OBJECT")


def test_acceleration_that_there_is_not(s3, bucket: str) -> None:
    """Acceleration is Enabled or Suspended, and of no bucket whose name has a dot, whatever is said of it."""
    for word in ("enabled", "random"):
        sent = {"Bucket": bucket, "AccelerateConfiguration": {"Status": word}}
        assert refusal(s3.put_bucket_accelerate_configuration, **sent) == MALFORMED_XML
    dotted = bucket.replace("-", ".")
    s3.create_bucket(Bucket=dotted)
    message = "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
    sent = {"Bucket": dotted, "AccelerateConfiguration": {"Status": "random"}}
    assert refusal(s3.put_bucket_accelerate_configuration, **sent) == told(400, "InvalidRequest", message)


def rule(**more: object) -> dict[str, object]:
    return {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 7}, "Filter": {}, **more}


TWICE = [{"Key": "a", "Value": "positive"}, {"Key": "a", "Value": "positive-two"}]


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (rule(Filter=None), MALFORMED_XML),
        (rule(NoncurrentVersionExpiration={}), MALFORMED_XML),
        (rule(Filter={"And": {"Prefix": "test"}, "Prefix": ""}), MALFORMED_XML),
        (rule(Filter={"ObjectSizeGreaterThan": 500, "Prefix": ""}), MALFORMED_XML),
        (rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True}), MALFORMED_XML),
        (rule(Filter={"And": {"Tags": TWICE}}), told(400, "InvalidRequest", "Duplicate Tag Keys are not allowed.")),
    ],
    ids=["filter", "noncurrent", "and-prefix", "size-prefix", "marker-days", "tags"],
)
def test_rules_that_are_none(s3, bucket: str, made: dict[str, object], refused: Refusal) -> None:
    """A lifecycle rule that is not of the model is malformed; one whose tags repeat a key has a message."""
    sent = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [made]}}
    assert refusal(s3.put_bucket_lifecycle_configuration, **sent) == refused


UNLOCKED = told(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")


def test_holds_where_nothing_is_locked(s3, bucket: str) -> None:
    """A bucket without a lock has no holds, and a hold that is not sent is malformed first."""
    place = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**place, Body=b"x")
    assert refusal(s3.put_object_legal_hold, **place, LegalHold={"Status": "ON"}) == UNLOCKED
    assert refusal(s3.put_object_legal_hold, **place) == MALFORMED_XML
    assert refusal(s3.get_object_legal_hold, **place) == UNLOCKED


def test_retention_where_nothing_is_locked(s3, bucket: str) -> None:
    """A bucket without a lock has no retention."""
    place = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**place, Body=b"x")
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime(2100, 1, 1, tzinfo=UTC)}
    assert refusal(s3.put_object_retention, **place, Retention=retention) == UNLOCKED
    assert refusal(s3.get_object_retention, **place) == UNLOCKED


def test_retention_that_is_none(s3, bucket_locked: str) -> None:
    """Retention has a mode that there is and a date that is to come, which is told in the time of the Pacific coast."""
    place = {"Bucket": bucket_locked, "Key": "k"}
    coming = datetime(2100, 1, 1, tzinfo=UTC)
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": coming}
    missing = told(404, "NoSuchKey", NO_KEY, Key="k")
    assert refusal(s3.put_object_retention, **place, Retention=retention) == missing
    assert refusal(s3.put_object_legal_hold, **place, LegalHold={"Status": "ON"}) == missing
    s3.put_object(**place, Body=b"x")
    half = {**place, "Retention": {"Mode": "GOVERNANCE"}, "BypassGovernanceRetention": True}
    assert refusal(s3.put_object_retention, **half) == MALFORMED_XML
    s3.put_object_retention(**place, Retention=retention)
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime(2020, 1, 1, tzinfo=UTC)}
    told_of = invalid("The retain until date must be in the future!", "RetainUntilDate", "Tue Dec 31 16:00:00 PST 2019")
    assert refusal(s3.put_object_retention, **place, Retention=past) == told_of
    bad = {"Mode": "BAD-VALUE", "RetainUntilDate": coming}
    assert refusal(s3.put_object_retention, **place, Retention=bad) == MALFORMED_XML


@pytest.mark.parametrize(
    ("version", "missing", "refused"),
    [
        (
            "s3",
            "Expires",
            told(
                403,
                "AccessDenied",
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
            ),
        ),
        (
            "s3v4",
            "X-Amz-Date",
            told(
                400,
                "AuthorizationQueryParametersError",
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            ),
        ),
    ],
    ids=SIGNATURES,
)
def test_presigned_urls_without_a_parameter(
    server: Server, wire: Wire, bucket: str, version: str, missing: str, refused: Refusal
) -> None:
    """A presigned URL that lacks a parameter of its signature is told all of them."""
    signer = boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY, config=Config(signature_version=version, s3={"addressing_style": "path"}),
    )  # fmt: skip
    made = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    path, _, query = made.removeprefix(server.endpoint).partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name != missing]
    answer = wire.send("GET", f"{path}?{urlencode(kept, quote_via=quote)}")
    assert error_in(answer) == refused


def test_parts_with_other_keys_than_their_uploads(s3, bucket: str) -> None:
    """A part has the key of its upload, and none where that has none."""
    message = (
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
        "encryption parameters."
    )
    missing = told(400, "InvalidRequest", message)
    part = {"PartNumber": 1, "Body": b"x"}
    plain, sealed = begin(s3, bucket, "plain"), begin(s3, bucket, "sealed", **key_of())
    assert refusal(s3.upload_part, **plain, **part, **key_of()) == missing
    assert refusal(s3.upload_part, **sealed, **part) == missing
    message = "The provided encryption parameters did not match the ones used originally."
    assert refusal(s3.upload_part, **sealed, **part, **key_of(OTHER_KEY)) == told(400, "InvalidRequest", message)


def test_encryption_that_every_bucket_has(s3, bucket: str) -> None:
    """A bucket is encrypted from its beginning, and that it is can be deleted again and again."""
    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    assert encryption == {"Rules": [{**by_default(SSEAlgorithm="AES256"), "BucketKeyEnabled": False}]}
    for _ in range(2):
        assert status_of(s3.delete_bucket_encryption(Bucket=bucket)) == 204


def test_sources_of_copies_that_are_none(s3, bucket: str) -> None:
    """A source without a key is refused, and the name of the header is told for its value."""
    refused = refusal(s3.copy_object, Bucket=bucket, Key="k", CopySource="wrongformat")
    assert refused == invalid("Invalid copy source object key", "x-amz-copy-source", "x-amz-copy-source")
