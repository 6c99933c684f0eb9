"""What AWS answers at the edges, as recorded: odd queries, forms, pages, preflights, logs, queries of documents."""

import re
import string
from collections.abc import Iterator

import pytest
from botocore.credentials import Credentials

from tests.conformance.test_recorded_copies import (
    MALFORMED,
    error_in,
    error_of,
    name_of,
    outcome,
)
from tests.security.wire import Answer, Wire
from tests.server import ACCESS_KEY, SECRET_KEY, Server

ROOT = Credentials(ACCESS_KEY, SECRET_KEY)


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that encrypts and has websites."""
    folder = tmp_path_factory.mktemp("edges")
    with Server([folder / "drive"], "--keyring", str(folder / "keyring"), "--website-domain", "web.test") as started:
        yield started


@pytest.fixture(scope="module")
def s3(edges: Server):
    return edges.client()


@pytest.fixture(scope="module")
def wire(edges: Server) -> Wire:
    return Wire(edges.endpoint)


@pytest.fixture
def bucket(s3, request: pytest.FixtureRequest) -> str:
    s3.create_bucket(Bucket=name_of(request))
    return name_of(request)


@pytest.fixture
def public(s3, request: pytest.FixtureRequest) -> str:
    """A bucket in which access control lists count and anybody may list."""
    bucket = name_of(request)
    s3.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    return bucket


# R22


def test_words_of_rfc_2047_that_are_ascii(s3, bucket: str) -> None:
    """Encoded words in metadata are decoded: what is ASCII then is told bare, all else is encoded anew."""
    kept = {
        "non-ascii": "=?UTF-8?Q?test=5F=E2=80=94=5Ffile%E2%80%94=5F=C3=A9=5F2=3F.pdf?=",
        "non-ascii-2": "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?=",
        "binary": "=?UTF-8?B?AAECAw==?=",
    }
    sent = {"fake": "=?UTF-8?Q?actually-ascii?=", "b64": "=?UTF-8?B?YWJj?=", "safe": string.punctuation + " \t"}
    told = {"fake": "actually-ascii", "b64": "abc", "safe": string.punctuation}
    s3.put_object(Bucket=bucket, Key="k", Metadata={**kept, **sent})
    assert s3.get_object(Bucket=bucket, Key="k")["Metadata"] == {**kept, **told}


def test_the_default_key_describes_itself(edges: Server, s3, bucket: str) -> None:
    """The key that protects objects where none is named says so in the words of AWS."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    described = edges.client(service="kms").describe_key(KeyId=put["SSEKMSKeyId"])["KeyMetadata"]
    told = (described["Description"], described["KeyManager"], described["Origin"])
    assert told == ("Default key that protects my S3 objects when no other key is defined", "AWS", "AWS_KMS")


def test_version_ids_have_32_characters(s3, bucket: str) -> None:
    """A version id is of 32 letters, digits, dots and underscores, a delete marker's too."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key="k")["VersionId"] for _ in range(20)]
    ids.append(s3.delete_object(Bucket=bucket, Key="k")["VersionId"])
    assert [one for one in ids if not re.fullmatch(r"[A-Za-z0-9._]{32}", one)] == []


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ("bytes=0-8", 206, False),
        ("bytes=1-", 206, False),
        ("bytes=-9", 206, False),
        ("bytes=0-100", 206, True),
        ("bytes=-15", 206, True),
        ("bytes=1-0", 200, True),
        ("bytes=-1-", 200, True),
        ("bytes=0--1", 200, True),
        ("bytes=0-1,3-4,7-9", 200, True),
        ("0-1", 200, True),
        ("bytes=-", 200, True),
    ],
)
def test_ranges_that_cover_all_tell_the_checksum(s3, bucket: str, asked: str, status: int, told: bool) -> None:
    """The checksum of an object is told where the range holds all of it, and where the range is none."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", ChecksumAlgorithm="CRC32")
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked, ChecksumMode="ENABLED")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == status
    assert (got.get("ChecksumCRC32"), got.get("ChecksumType")) == (
        ("poTHxg==", "FULL_OBJECT") if told else (None, None)
    )
    assert got.get("ContentRange") == (None if status == 200 else got["ContentRange"])


# R23

ORIGIN = "https://localhost:4200"
NO_ORIGIN = (400, {"Code": "BadRequest", "Message": "Insufficient information. Origin request header needed."})
NOT_LISTED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


def forbidden(message: str, method: str, kind: str) -> tuple[int, dict[str, str]]:
    return 403, {"Code": "AccessForbidden", "Message": message, "Method": method, "ResourceType": kind}


def allowances(answer: Answer) -> dict[str, str]:
    """The headers of an answer that speak of other origins."""
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}


def share(s3, bucket: str, methods: list[str], *headers: str, origin: str = ORIGIN) -> None:
    rule = {"AllowedOrigins": [origin], "AllowedMethods": methods, "MaxAgeSeconds": 3000}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{**rule, "AllowedHeaders": list(headers)}]})


def test_preflights_of_a_bucket_that_shares_nothing(s3, wire: Wire, bucket: str) -> None:
    """Without a configuration a preflight is refused for the bucket, also where it names no method."""
    path = f"/{bucket}/k"
    assert error_in(wire.send("OPTIONS", path)) == NO_ORIGIN
    message = "CORSResponse: CORS is not enabled for this bucket."
    asked = {"Origin": "whatever", "Access-Control-Request-Method": "PUT"}
    assert error_in(wire.send("OPTIONS", path, asked)) == forbidden(message, "PUT", "BUCKET")
    assert error_in(wire.send("OPTIONS", path, {"Origin": "whatever"})) == forbidden(message, "OPTIONS", "BUCKET")


def test_preflights_of_a_bucket_that_is_missing(wire: Wire) -> None:
    """A preflight is asked for its origin before its bucket is looked for, and told that there is none."""
    path = "/e-no-such-bucket/k"
    assert error_in(wire.send("OPTIONS", path)) == NO_ORIGIN
    missing = forbidden("CORSResponse: Bucket not found", "OPTIONS", "BUCKET")
    assert error_in(wire.send("OPTIONS", path, {"Origin": "whatever"})) == missing


def test_preflights_that_no_rule_allows(s3, wire: Wire, bucket: str) -> None:
    """A refused preflight tells what was asked for, and whether it was a bucket or an object."""
    share(s3, bucket, ["GET", "PUT"], "*")
    path = f"/{bucket}/k"
    assert error_in(wire.send("OPTIONS", path)) == NO_ORIGIN
    referred = {"Referer": ORIGIN, "Access-Control-Request-Method": "PUT"}
    assert error_in(wire.send("OPTIONS", path, referred)) == NO_ORIGIN
    asked = {"Origin": "http://localhost:4200", "Access-Control-Request-Method": "PUT"}
    assert error_in(wire.send("OPTIONS", path, asked)) == forbidden(NOT_LISTED, "PUT", "OBJECT")
    share(s3, bucket, ["GET", "PUT"], "*", origin="http://*.origin.com")
    asked = {"Origin": "http://test.origin.com/", "Access-Control-Request-Method": "GET"}
    assert error_in(wire.send("OPTIONS", f"/{bucket}", asked)) == forbidden(NOT_LISTED, "GET", "BUCKET")


def test_headers_of_preflights(s3, wire: Wire, bucket: str) -> None:
    """Headers are allowed and told without regard to their case; one that is not listed is refused."""
    listed = (
        "x-amz-expected-bucket-owner",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-AMZ-server-SIDE-encryption",
    )
    share(s3, bucket, ["GET"], *listed)
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    name = "Access-Control-Request-Headers"
    for wanted in ("x-AMZ-expected-BUCKET-owner, x-amz-server-side-encryption",
                   "x-amz-expected-bucket-owner,x-amz-server-side-encryption"):  # fmt: skip
        answer = wire.send("OPTIONS", f"/{bucket}/k", {**asked, name: wanted})
        assert (answer.status, answer.body) == (200, b"")
        assert allowances(answer) == {
            "access-control-allow-credentials": "true",
            "access-control-allow-headers": "x-amz-expected-bucket-owner, x-amz-server-side-encryption",
            "access-control-allow-methods": "GET",
            "access-control-allow-origin": ORIGIN,
            "access-control-max-age": "3000",
        }
        assert answer.headers["vary"] == "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
    refused = error_in(wire.send("OPTIONS", f"/{bucket}/k", {**asked, name: "x-amz-request-payer"}))
    assert refused == forbidden(NOT_LISTED, "GET", "OBJECT")


def test_requests_that_no_rule_speaks_of(s3, wire: Wire, bucket: str) -> None:
    """What a read asks for as a preflight would has to be allowed, or its answer allows nothing; headers do not count."""
    share(s3, bucket, ["GET"], "x-amz-expected-bucket-owner")
    s3.put_object(Bucket=bucket, Key="k", Body=b"test-cors")
    told = {
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET",
        "access-control-allow-origin": ORIGIN,
        "access-control-max-age": "3000",
    }
    sent: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, told),
        ({"x-amz-request-payer": "requester"}, told),
        ({"Access-Control-Request-Headers": "x-amz-request-payer"}, {}),
        ({"Access-Control-Request-Method": "PUT"}, {}),
    ]
    for headers, wanted in sent:
        answer = wire.signed(ROOT, "GET", f"/{bucket}/k", {"Origin": ORIGIN, **headers})
        assert (answer.status, answer.body, allowances(answer)) == (200, b"test-cors", wanted), headers
    put = wire.signed(ROOT, "PUT", f"/{bucket}/new", {"Origin": ORIGIN})
    assert (put.status, allowances(put)) == (200, {})


# R24

NO_KEY = "The specified key does not exist."
INDEX = {"IndexDocument": {"Suffix": "index.html"}}
OWN_ERRORS = {**INDEX, "ErrorDocument": {"Key": "error.html"}}


def page(title: str, *details: tuple[str, str], error: tuple[tuple[str, str], ...] = ()) -> str:
    """A page of an error, with its ids left out."""
    told = "".join(f"<li>{name}: {value}</li>\n" for name, value in (*details, ("RequestId", ""), ("HostId", "")))
    again = "".join(f"<li>{name}: {value}</li>\n" for name, value in error)
    if error:
        heading = "An Error Occurred While Attempting to Retrieve a Custom Error Document"
        again = f"<h3>{heading}</h3>\n<ul>\n{again}</ul>\n"
    head = f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n"
    return f"{head}{told}</ul>\n{again}<hr/>\n</body>\n</html>\n"


def visit(wire: Wire, bucket: str, path: str = "/", method: str = "GET", body: bytes = b"") -> tuple[int, str]:
    """The status and the text of a page, with its ids left out."""
    answer = wire.send(method, path, {"Host": f"{bucket}.web.test"}, body)
    return answer.status, re.sub(r"<li>(RequestId|HostId): [^<]+</li>", r"<li>\1: </li>", answer.body.decode())


def missing(key: str, error: str = "") -> tuple[int, str]:
    details = (("Code", "NoSuchKey"), ("Message", NO_KEY))
    again = (*details, ("Key", error)) if error else ()
    return 404, page("404 Not Found", *details, ("Key", key), error=again)


def test_pages_of_sites_that_are_none(wire: Wire, public: str) -> None:
    """A bucket that is missing and one that is no website have a page that names the bucket."""
    lost = (("Code", "NoSuchBucket"), ("Message", "The specified bucket does not exist"))
    wanted = page("404 Not Found", *lost, ("BucketName", "e-no-such-site"))
    assert visit(wire, "e-no-such-site") == (404, wanted)
    plain = (
        ("Code", "NoSuchWebsiteConfiguration"),
        ("Message", "The specified bucket does not have a website configuration"),
        ("BucketName", public),
    )
    for path in ("/", "/actual/key.html"):
        assert visit(wire, public, path) == (404, page("404 Not Found", *plain))


def test_pages_of_keys_that_are_missing(s3, wire: Wire, public: str) -> None:
    """The page names the key that was looked for, the index of what ends with a slash."""
    s3.put_bucket_website(Bucket=public, WebsiteConfiguration=INDEX)
    assert visit(wire, public) == missing("index.html")
    assert visit(wire, public, "/directory-wrong") == missing("directory-wrong")
    assert visit(wire, public, "/directory-wrong/") == missing("directory-wrong/index.html")


def test_a_page_whose_own_error_page_is_missing(s3, wire: Wire, public: str) -> None:
    """Where the error document is missing too, the page tells both; where it is there, it is all that is told."""
    s3.put_bucket_website(Bucket=public, WebsiteConfiguration=OWN_ERRORS)
    assert visit(wire, public) == missing("index.html", "error.html")
    s3.put_object(Bucket=public, Key="error.html", Body=b"error", ContentType="text/html", ACL="public-read")
    assert visit(wire, public) == (404, "error")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_pages_of_methods_that_sites_do_not_know(s3, wire: Wire, public: str, method: str) -> None:
    """A website is only read; the page of what is not allowed is never the error document."""
    s3.put_bucket_website(Bucket=public, WebsiteConfiguration=OWN_ERRORS)
    s3.put_object(Bucket=public, Key="error.html", Body=b"error", ContentType="text/html", ACL="public-read")
    details = (
        ("Code", "MethodNotAllowed"),
        ("Message", "The specified method is not allowed against this resource."),
        ("Method", method),
        ("ResourceType", "OBJECT"),
    )
    assert visit(wire, public, "/", method, b"test") == (405, page("405 Method Not Allowed", *details))


def of_suffix(value: str) -> dict[str, str]:
    told = {"Code": "InvalidArgument", "Message": "The IndexDocument Suffix is not well formed"}
    return {**told, "ArgumentName": "IndexDocument", "ArgumentValue": value}


NO_WEBSITES = {
    "slash": ({"IndexDocument": {"Suffix": "/index.html"}}, of_suffix("/index.html")),
    "empty": ({"IndexDocument": {"Suffix": ""}}, of_suffix("")),
    "all-and-index": (
        {"RedirectAllRequestsTo": {"HostName": "test"}, "IndexDocument": {"Suffix": "/index.html"}},
        {
            "Code": "InvalidArgument",
            "Message": "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
            "ArgumentName": "RedirectAllRequestsTo",
            "ArgumentValue": "not null",
        },
    ),
    "no-index": (
        {"ErrorDocument": {"Key": "/index.html"}},
        {
            "Code": "InvalidArgument",
            "Message": "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
            "ArgumentName": "IndexDocument",
            "ArgumentValue": "null",
        },
    ),
    "protocol": (
        {**INDEX, "RoutingRules": [{"Redirect": {"Protocol": "protocol"}}]},
        {
            "Code": "InvalidRequest",
            "Message": "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
            "automatically.",
        },
    ),
    "both": (
        {**INDEX, "RoutingRules": [{"Redirect": {"ReplaceKeyPrefixWith": "prefix", "ReplaceKeyWith": "key-name"}}]},
        {"Code": "InvalidRequest", "Message": "You can only define ReplaceKeyPrefix or ReplaceKey but not both."},
    ),
    "condition": (
        {**INDEX, "RoutingRules": [{"Redirect": {"ReplaceKeyPrefixWith": "prefix"}, "Condition": {}}]},
        {
            "Code": "InvalidRequest",
            "Message": "Condition cannot be empty. To redirect all requests without a condition, the condition element "
            "shouldn't be present.",
        },
    ),
    "no-rules": ({**INDEX, "RoutingRules": []}, {"Code": "MalformedXML", "Message": MALFORMED}),
}


@pytest.mark.parametrize("which", NO_WEBSITES)
def test_website_configurations_that_are_none(s3, bucket: str, which: str) -> None:
    """A website that makes no sense is refused with what is wrong in it."""
    configuration, wanted = NO_WEBSITES[which]
    found = error_of(s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration=configuration)
    assert found == (400, wanted)


def test_the_location_of_a_bucket_in_us_east_1(wire: Wire, bucket: str) -> None:
    """The location of a bucket in us-east-1 is one empty element, without an end tag."""
    answer = wire.signed(ROOT, "GET", f"/{bucket}?location=")
    declared, _, rest = answer.body.decode().replace("'", '"').partition("\n")
    assert declared.lower() == '<?xml version="1.0" encoding="utf-8"?>'
    assert rest.strip() == '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'


# R25


def logging_to(target: str, **more: object) -> dict[str, object]:
    return {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "log", **more}}


def test_logging_does_not_look_at_policies(s3, bucket: str) -> None:
    """Access logs are configured for a target that permits nothing yet, and told as they were put."""
    s3.create_bucket(Bucket=f"{bucket}-t")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    wanted = logging_to(f"{bucket}-t")
    assert outcome(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=wanted) == (200, "")
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == wanted["LoggingEnabled"]
    assert outcome(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus={}) == (200, "")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def test_logging_takes_any_permission(s3, bucket: str) -> None:
    """Grants on logs are taken as they are, READ_ACP among them, where the target has access control lists."""
    s3.create_bucket(Bucket=f"{bucket}-t")
    s3.delete_bucket_ownership_controls(Bucket=f"{bucket}-t")
    group = {"URI": "http://acs.amazonaws.com/groups/s3/LogDelivery", "Type": "Group"}
    grants = [{"Grantee": group, "Permission": permission} for permission in ("WRITE", "READ_ACP")]
    wanted = logging_to(f"{bucket}-t", TargetGrants=grants)
    assert outcome(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=wanted) == (200, "")
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == wanted["LoggingEnabled"]


def test_logging_to_what_is_no_target(s3, bucket: str) -> None:
    """A target that is missing, or in another region, is named or has its region named."""
    lost = error_of(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=logging_to("e-no-such-target"))
    message = "The target bucket for logging does not exist"
    told = {"Code": "InvalidTargetBucketForLogging", "Message": message, "TargetBucket": "e-no-such-target"}
    assert lost == (400, told)
    far = {"LocationConstraint": "us-west-2"}
    s3.create_bucket(Bucket=f"{bucket}-t", CreateBucketConfiguration=far)
    crossing = {"Code": "CrossLocationLoggingProhibitted", "Message": "Cross S3 location logging not allowed. "}
    found = error_of(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=logging_to(f"{bucket}-t"))
    assert found == (403, {**crossing, "TargetBucketLocation": "us-west-2"})
    s3.create_bucket(Bucket=f"{bucket}-s", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    found = error_of(s3.put_bucket_logging, Bucket=f"{bucket}-s", BucketLoggingStatus=logging_to(f"{bucket}-t"))
    regions = {"SourceBucketLocation": "us-east-2", "TargetBucketLocation": "us-west-2"}
    assert found == (403, {**crossing, **regions})


def replication(destination: str, **more: object) -> dict[str, object]:
    rule = {
        "ID": "r", "Priority": 1, "Filter": {"Prefix": "Tax"}, "Status": "Enabled",
        "DeleteMarkerReplication": {"Status": "Disabled"}, "Destination": {"Bucket": f"arn:aws:s3:::{destination}"},
    }  # fmt: skip
    return {"Role": "arn:aws:iam::123456789012:role/replication", "Rules": [{**rule, **more}]}


def test_replication_that_is_not_configured(s3, bucket: str) -> None:
    """Where nothing is replicated that is told, and it is deleted as often as one likes."""
    message = "The replication configuration was not found"
    told = {"Code": "ReplicationConfigurationNotFoundError", "Message": message, "BucketName": bucket}
    assert error_of(s3.get_bucket_replication, Bucket=bucket) == (404, told)
    for _ in range(2):
        assert outcome(s3.delete_bucket_replication, Bucket=bucket) == (204, "")


def test_replication(s3, bucket: str) -> None:
    """Replication needs versions on both sides and a rule, and is told as it was put."""
    versioning = {"Status": "Enabled"}
    s3.create_bucket(Bucket=f"{bucket}-t")

    def put(target: str, **more: object) -> tuple[int, dict[str, str]]:
        made = {**replication(target), **more}
        return error_of(s3.put_bucket_replication, Bucket=bucket, ReplicationConfiguration=made)

    message = "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
    assert put(f"{bucket}-t") == (400, {"Code": "InvalidRequest", "Message": message})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
    message = "Destination bucket must have versioning enabled."
    for target in ("e-no-such-target", f"{bucket}-t"):
        assert put(target) == (400, {"Code": "InvalidRequest", "Message": message})
    s3.put_bucket_versioning(Bucket=f"{bucket}-t", VersioningConfiguration=versioning)
    assert put(f"{bucket}-t", Rules=[]) == (400, {"Code": "MalformedXML", "Message": MALFORMED})
    made = replication(f"{bucket}-t")
    assert outcome(s3.put_bucket_replication, Bucket=bucket, ReplicationConfiguration=made) == (200, "")
    assert s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"] == made
