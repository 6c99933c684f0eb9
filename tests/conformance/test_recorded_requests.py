"""What AWS answers to requests that are wrong in a value, a header, a document or a form, element by element."""

from collections.abc import Iterator

import pytest
from botocore.credentials import Credentials

from tests.conformance.test_recorded_copies import (
    MALFORMED,
    begin,
    error_of,
    md5_of,
    name_of,
    outcome,
    status_of,
)
from tests.security.wire import Wire
from tests.server import ACCESS_KEY, SECRET_KEY, Server

ROOT = Credentials(ACCESS_KEY, SECRET_KEY)
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
    "both": ({"IfMatch": "abcdef", "IfNoneMatch": "*"}, "If-Match,If-None-Match"),
    "both-unsuitable": ({"IfMatch": "*", "IfNoneMatch": md5_of(b"x")}, "If-Match,If-None-Match"),
}


@pytest.mark.parametrize("kind", CONDITIONED)
def test_conditions_that_writes_do_not_take(s3, bucket: str, kind: str) -> None:
    """Puts and copies take neither If-Match of any object, nor If-None-Match of an ETag, nor both at once."""
    sent, names = CONDITIONED[kind]
    value = f"We don't accept the provided value of {names} header for this API"
    both = "Multiple conditional request headers present in the request"
    more = {"Header": names, "additionalMessage": both if "," in names else value}
    refused = told(501, "NotImplemented", NOT_IMPLEMENTED, **more)
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    for key in ("source", "missing"):
        assert refusal(s3.put_object, Bucket=bucket, Key=key, Body=b"y", **sent) == refused
        assert refusal(s3.copy_object, Bucket=bucket, Key=key, CopySource=f"{bucket}/source", **sent) == refused


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
    refused = refusal(s3.put_object_tagging, **place, VersionId=gone, Tagging=tagging)
    assert refused == told(404, "NoSuchVersion", NO_VERSION, Key="k", VersionId=gone)


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
