"""What AWS answers at the edges, as recorded: odd queries, forms, pages, preflights, logs, queries of documents."""

import contextlib
import http.client
import json
import re
import string
import urllib.parse
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.conformance.test_browsers import encode
from tests.conformance.test_recorded_copies import MALFORMED, NO_KEY, begin, error_in, error_of, name_of, outcome
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


# B1

SPACED = 'attachment; filename="hello world.txt"'


def spelled(wire: Wire, method: str, target: str) -> Answer:
    """Sign a target and send it with plus signs for its spaces."""
    return wire.send(method, target.replace("%20", "+"), wire.sign(ROOT, method, target))


@pytest.fixture
def spaced(s3, bucket: str) -> str:
    """A bucket with a key that has a space, and one that has a plus instead."""
    s3.put_object(Bucket=bucket, Key="a b/c.txt", Body=b"space")
    s3.put_object(Bucket=bucket, Key="a+b/c.txt", Body=b"plus")
    return bucket


def listed(answer: Answer) -> list[str]:
    return re.findall("<Key>([^<]*)</Key>|<CommonPrefixes><Prefix>([^<]*)<", answer.body.decode())


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("list-type=2&prefix=a%20b%2F", ["a b/c.txt"]),
        ("prefix=a%20b%2F", ["a b/c.txt"]),
        ("prefix=a%2Bb%2F", ["a+b/c.txt"]),
        ("marker=a%20b%2Fc.txt", ["a+b/c.txt"]),
        ("list-type=2&start-after=a%20b%2Fc.txt", ["a+b/c.txt"]),
        ("list-type=2&delimiter=%20", ["a+b/c.txt", "a "]),
    ],
)
def test_a_plus_in_a_query_is_a_space(wire: Wire, spaced: str, query: str, keys: list[str]) -> None:
    """Both spellings of a space in a query verify and mean the same; an encoded plus is a plus."""
    for answer in (wire.signed(ROOT, "GET", f"/{spaced}?{query}"), spelled(wire, "GET", f"/{spaced}?{query}")):
        assert (answer.status, answer.code) == (200, "")
        assert ["".join(found) for found in listed(answer)] == keys


def test_a_plus_in_a_query_of_a_stranger(s3, wire: Wire, public: str) -> None:
    """A plus is a space in requests that are not signed, too."""
    s3.put_object(Bucket=public, Key="a b/c.txt", Body=b"space")
    s3.put_object(Bucket=public, Key="a+b/c.txt", Body=b"plus")
    assert ["".join(found) for found in listed(wire.send("GET", f"/{public}?prefix=a+b/"))] == ["a b/c.txt"]
    assert ["".join(found) for found in listed(wire.send("GET", f"/{public}?prefix=a%2Bb/"))] == ["a+b/c.txt"]


def test_a_plus_in_a_presigned_download(wire: Wire, spaced: str) -> None:
    """A presigned URL may spell the spaces of what it overrides either way."""
    value = urllib.parse.quote(SPACED, safe="")
    target = wire.presign(ROOT, "GET", f"/{spaced}/a%2Bb/c.txt?response-content-disposition={value}")
    assert "%20" in target
    for one in (target, target.replace("%20", "+")):
        answer = wire.send("GET", one)
        assert (answer.status, answer.body, answer.headers["content-disposition"]) == (200, b"plus", SPACED)


def test_a_plus_in_a_presigned_upload(s3, wire: Wire, bucket: str) -> None:
    """Metadata and tags in the query of a presigned URL may spell their spaces either way."""
    target = wire.presign(ROOT, "PUT", f"/{bucket}/k?x-amz-meta-foo=bar%20baz&x-amz-tagging=k%3Da%20b")
    assert "bar%20baz" in target
    for one in (target, target.replace("%20", "+")):
        assert wire.send("PUT", one, body=b"x").status == 200
        assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"foo": "bar baz"}
        assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "k", "Value": "a b"}]


def old_client(server: Server):
    """A client that signs with Version 2."""
    return boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY, config=Config(signature_version="s3", s3={"addressing_style": "path"}),
    )  # fmt: skip


def test_a_plus_in_a_url_of_version_2(edges: Server, wire: Wire, spaced: str) -> None:
    """A URL presigned with Signature Version 2 may spell the spaces of what it overrides either way."""
    named = {"Bucket": spaced, "Key": "a b/c.txt", "ResponseContentDisposition": SPACED}
    target = old_client(edges).generate_presigned_url("get_object", Params=named).removeprefix(edges.endpoint)
    path, _, query = target.partition("?")
    assert "%20" in query
    for one in (query, query.replace("%20", "+")):
        answer = wire.send("GET", f"{path}?{one}")
        assert (answer.status, answer.body, answer.headers["content-disposition"]) == (200, b"space", SPACED)


def test_a_bare_plus_in_a_signature_of_version_2(edges: Server, s3, wire: Wire, bucket: str) -> None:
    """The base64 of a signature of Version 2 is read as it is where its plus signs are not encoded."""
    old, found = old_client(edges), 0
    for n in range(40):
        s3.put_object(Bucket=bucket, Key=str(n), Body=b"x")
        url = old.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": str(n)})
        if "%2B" in url:
            found += 1
            answer = wire.send("GET", url.removeprefix(edges.endpoint).replace("%2B", "+"))
            assert (answer.status, answer.body) == (200, b"x")
    assert found


def test_a_plus_in_a_path_is_what_was_signed(wire: Wire, spaced: str) -> None:
    """Where a path was signed over a space and sent with a plus, it names the key with the space."""
    sent = spelled(wire, "GET", f"/{spaced}/a%20b/c.txt")
    assert (sent.status, sent.body) == (200, b"space")
    encoded = wire.signed(ROOT, "GET", f"/{spaced}/a%2Bb/c.txt")
    assert (encoded.status, encoded.body) == (200, b"plus")


# B2

FRAMED = b"5\r\nhello\r\n0\r\n\r\n"
TRAILED = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
TRAILER = {"x-amz-trailer": "x-amz-checksum-crc32"}
CHUNKED = {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": "5"}
NOT_CHUNKED = "aws-chunked encoding is not supported when x-amz-content-sha256 UNSIGNED-PAYLOAD is supplied"


class Declared(S3SigV4Auth):
    """Signs the hash of a payload that is declared, whatever is sent."""

    def __init__(self, payload: str) -> None:
        super().__init__(ROOT, "s3", "us-east-1")
        self._payload = payload

    def payload(self, request: AWSRequest) -> str:
        return self._payload


def declare(wire: Wire, target: str, headers: dict[str, str], body: bytes, payload: str) -> Answer:
    """Put a body whose hash is declared to be `payload`."""
    made = AWSRequest("PUT", wire.endpoint + target, headers={"Host": wire.host, **headers}, data=body)
    Declared(payload).add_auth(made)
    return wire.send("PUT", target, dict(made.headers), body)


def code_and_message(answer: Answer) -> tuple[int, str | None, str | None]:
    status, elements = error_in(answer)
    return status, elements.get("Code"), elements.get("Message")


@pytest.mark.parametrize("coding", ["aws-chunked", "gzip,aws-chunked", "AWS-Chunked"])
@pytest.mark.parametrize("where", ["object", "part", "trailer", "presigned"])
def test_framing_under_an_unsigned_payload(s3, wire: Wire, bucket: str, where: str, coding: str) -> None:
    """Where a payload is said to be unsigned and not streamed, aws-chunked is refused and nothing is stored."""
    headers = {**CHUNKED, "Content-Encoding": coding}
    place = begin(s3, bucket)
    if where == "presigned":
        target = wire.presign(ROOT, "PUT", f"/{bucket}/k", headers)
        answer = wire.send("PUT", target, headers, FRAMED)
    elif where == "trailer":
        answer = declare(wire, f"/{bucket}/k", {**headers, **TRAILER}, TRAILED, "UNSIGNED-PAYLOAD")
    else:
        target = f"/{bucket}/k" + (f"?partNumber=1&uploadId={place['UploadId']}" if where == "part" else "")
        answer = declare(wire, target, headers, FRAMED, "UNSIGNED-PAYLOAD")
    assert code_and_message(answer) == (400, "InvalidArgument", NOT_CHUNKED)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Parts" not in s3.list_parts(**place)


def test_framing_under_a_hash_is_content(wire: Wire, bucket: str) -> None:
    """A body whose hash is sent is stored as it is, and keeps the coding that it names."""
    assert wire.signed(ROOT, "PUT", f"/{bucket}/k", {"Content-Encoding": "aws-chunked"}, FRAMED).status == 200
    got = wire.signed(ROOT, "GET", f"/{bucket}/k")
    assert (got.body, got.headers.get("content-encoding")) == (FRAMED, "aws-chunked")


@pytest.mark.parametrize("coding", ["aws-chunked", "AWS-Chunked", "gzip,aws-chunked", "aws-chunked, gzip"])
def test_the_coding_of_streams_is_not_kept(wire: Wire, bucket: str, coding: str) -> None:
    """A stream is unpacked, and of its codings all but aws-chunked is kept, in whatever case that is written."""
    headers = {**CHUNKED, **TRAILER, "Content-Encoding": coding}
    put = declare(wire, f"/{bucket}/k", headers, TRAILED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    assert (put.status, put.code) == (200, "")
    got = wire.signed(ROOT, "GET", f"/{bucket}/k")
    assert (got.body, got.headers.get("content-encoding")) == (b"hello", "gzip" if "gzip" in coding else None)


# B3


def refused(message: str, name: str, value: str) -> tuple[int, dict[str, str]]:
    told = {"Code": "InvalidArgument", "Message": message, "ArgumentName": name, "ArgumentValue": value}
    return 400, told


@pytest.fixture
def original(s3, bucket: str) -> Iterator[str]:
    """A bucket with an object and an upload in it, which are as they were when the test is done."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"ORIGINAL")
    yield bucket
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"ORIGINAL"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


@pytest.mark.parametrize("number", ["1", "0", ""])
@pytest.mark.parametrize("what", ["PUT", "copy", "DELETE"])
def test_a_part_number_without_an_upload(wire: Wire, original: str, what: str, number: str) -> None:
    """A write that names a part and no upload is refused, and touches nothing; the error names no value."""
    headers = {"x-amz-copy-source": f"{original}/k"} if what == "copy" else {}
    key, body = ("k", b"") if what == "DELETE" else ("copy", b"") if what == "copy" else ("k", b"DAMAGE")
    method = "PUT" if what == "copy" else what
    answer = wire.signed(ROOT, method, f"/{original}/{key}?partNumber={number}", headers, body)
    message = "This operation does not accept partNumber without uploadId"
    assert error_in(answer) == refused(message, "partNumber", "partNumber")


def test_an_upload_without_a_part_number(s3, wire: Wire, original: str) -> None:
    """To put to an upload without a part is not allowed, and it is told what is."""
    upload = begin(s3, original)["UploadId"]
    answer = wire.signed(ROOT, "PUT", f"/{original}/k?uploadId={upload}", body=b"DAMAGE")
    message = "The specified method is not allowed against this resource."
    told = {"Code": "MethodNotAllowed", "Message": message, "Method": "PUT", "ResourceType": "UPLOAD"}
    assert error_in(answer) == (405, told)
    assert sorted(answer.headers["allow"].split(", ")) == ["DELETE", "GET", "POST"]


@pytest.mark.parametrize("version", ["null", "zzz", ""])
@pytest.mark.parametrize("what", ["put", "copy", "initiate", "part", "complete", "parts", "list"])
def test_versions_where_there_are_none(s3, wire: Wire, original: str, what: str, version: str) -> None:
    """What makes a version, or concerns uploads and buckets, takes none and does nothing."""
    named = f"versionId={version}"
    upload = begin(s3, original, "copy")["UploadId"]
    headers = {"x-amz-copy-source": f"{original}/k"} if what == "copy" else {}
    method, target = {
        "put": ("PUT", f"/{original}/k?{named}"),
        "copy": ("PUT", f"/{original}/copy?{named}"),
        "initiate": ("POST", f"/{original}/k?uploads=&{named}"),
        "part": ("PUT", f"/{original}/copy?partNumber=1&uploadId={upload}&{named}"),
        "complete": ("POST", f"/{original}/copy?uploadId={upload}&{named}"),
        "parts": ("GET", f"/{original}/copy?uploadId={upload}&{named}"),
        "list": ("GET", f"/{original}?list-type=2&{named}"),
    }[what]
    answer = wire.signed(ROOT, method, target, headers, b"" if method == "GET" else b"DAMAGE")
    assert error_in(answer) == refused("This operation does not accept a version-id.", "versionId", version)


@pytest.mark.parametrize(
    ("method", "target", "names"),
    [
        ("DELETE", "/{}/k?tagging=&uploadId=x", "tagging, uploadId"),
        ("DELETE", "/{}/k?uploadId=x&tagging=", "tagging, uploadId"),
        ("PUT", "/{}/k?cors=&acl=", "acl, cors"),
        ("GET", "/{}/k?tagging=&acl=", "acl, tagging"),
        ("GET", "/{}?uploads=&uploadId=x", "uploadId, uploads"),
        ("GET", "/{}?versioning=&acl=", "acl, versioning"),
        ("GET", "/{}?versioning=&location=", "location, versioning"),
    ],
)
def test_two_sub_resources_conflict(wire: Wire, original: str, method: str, target: str, names: str) -> None:
    """A request that names two sub-resources is refused with both, in order, and the first as the value."""
    wanted = refused(f"Conflicting query string parameters: {names}", "ResourceType", names.partition(",")[0])
    assert error_in(wire.signed(ROOT, method, target.format(original))) == wanted


# B4


def post_form(s3, wire: Wire, bucket: str, fields: dict[str, str], conditions: list[object], file: str) -> Answer:
    """Post a form that is signed over `conditions`, with a file of that name."""
    made = s3.generate_presigned_post(bucket, "k", Fields=fields, Conditions=conditions, ExpiresIn=60)
    body, kind = encode(made["fields"], b"content", file)
    return wire.send("POST", f"/{bucket}", {"Content-Type": kind}, body)


def test_every_field_of_a_form_may_name_its_file(s3, wire: Wire, bucket: str) -> None:
    """The name of the file is put into every field of a form that asks for it, and stored so."""
    fields = {
        "x-amz-meta-name": "${filename}",
        "x-amz-meta-note": "the file ${filename}, no other",
        "Content-Disposition": 'attachment; filename="${filename}"',
        "success_action_redirect": "https://example.com/done?file=${filename}",
    }
    conditions: list[object] = [["starts-with", f"${name}", ""] for name in fields]
    answer = post_form(s3, wire, bucket, fields, conditions, "report-1.pdf")
    assert answer.status == 303
    assert answer.headers["location"].startswith("https://example.com/done?file=report-1.pdf&bucket=")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["Metadata"] == {"name": "report-1.pdf", "note": "the file report-1.pdf, no other"}
    assert head["ContentDisposition"] == 'attachment; filename="report-1.pdf"'


@pytest.mark.parametrize(("file", "name"), [("report 1.pdf", "report 1.pdf"), ("dir/b.txt", "b.txt")])
def test_the_name_of_a_file_without_its_folder(s3, wire: Wire, bucket: str, file: str, name: str) -> None:
    """Of the path of a file its last part is its name."""
    conditions: list[object] = [["starts-with", "$x-amz-meta-name", ""]]
    assert post_form(s3, wire, bucket, {"x-amz-meta-name": "${filename}"}, conditions, file).status == 204
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"name": name}


def test_policies_are_held_against_the_name_of_the_file(s3, wire: Wire, bucket: str) -> None:
    """A condition is met by the name that was put in, and not by the text that asks for it."""
    fields = {"x-amz-meta-name": "${filename}"}
    assert post_form(s3, wire, bucket, fields, [{"x-amz-meta-name": "test.txt"}], "test.txt").status == 204
    found = post_form(s3, wire, bucket, fields, [{"x-amz-meta-name": "${filename}"}], "test.txt")
    failed = 'Policy Condition failed: ["eq", "$x-amz-meta-name", "${filename}"]'
    told = {"Code": "AccessDenied", "Message": f"Invalid according to Policy: {failed}"}
    assert error_in(found) == (403, told)


# B5


@pytest.mark.parametrize("query", ["20240101", "v", "v=1", "foo=", "foo=bar", "Tagging", "x-id=GetObject", "blah&foo"])
def test_reads_pass_over_what_they_do_not_know(s3, wire: Wire, bucket: str, query: str) -> None:
    """A parameter that is not known changes nothing about what is read: an object, a list, the list of buckets."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    got = wire.signed(ROOT, "GET", f"/{bucket}/k?{query}")
    assert (got.status, got.body) == (200, b"x")
    assert wire.signed(ROOT, "HEAD", f"/{bucket}/k?{query}").status == 200
    for target, root in ((f"/{bucket}", b"<ListBucketResult"), ("/", b"<ListAllMyBucketsResult")):
        answer = wire.signed(ROOT, "GET", f"{target}?{query}")
        assert (answer.status, root in answer.body) == (200, True), target
    assert wire.signed(ROOT, "GET", f"/{bucket}?list-type=2&{query}").status == 200


def test_a_bucket_that_is_listed_whatever_is_asked(wire: Wire, bucket: str) -> None:
    """Names of sub-resources count as they are written, and a session is for other buckets."""
    for query in ("Versioning", "session", "annotationName=v"):
        answer = wire.signed(ROOT, "GET", f"/{bucket}?{query}")
        assert (answer.status, b"<ListBucketResult" in answer.body) == (200, True), query


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_writes_do_not_pass_over_what_they_do_not_know(wire: Wire, original: str, method: str) -> None:
    """What could be a sub-resource is no reason to write over an object or to delete it."""
    answer = wire.signed(ROOT, method, f"/{original}/k?something", body=b"DAMAGE" if method == "PUT" else b"")
    assert (answer.status, answer.code) == (501, "NotImplemented")


# R9


def test_a_payload_header_that_was_signed_has_to_be_sent(wire: Wire, bucket: str) -> None:
    """x-amz-content-sha256 may be left out of what a URL signs, but not left away where it is signed."""
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    target = wire.presign(ROOT, "PUT", f"/{bucket}/k", headers)
    assert wire.send("PUT", target, headers, b"x").status == 200
    assert wire.send("PUT", target, body=b"x").status == 403
    plain = wire.presign(ROOT, "PUT", f"/{bucket}/k")
    assert wire.send("PUT", plain, {"x-amz-user-agent": "test"}, b"x").status == 403
    longer = plain.replace("&X-Amz-Signature", "&x-id=PutObject&X-Amz-Signature")
    assert wire.send("PUT", longer, body=b"x").status == 403


# R11


@pytest.fixture
def marked(s3, public: str) -> tuple[str, str]:
    """A bucket whose key has a version and then a delete marker, and the marker's id."""
    s3.put_bucket_versioning(Bucket=public, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=public, Key="k", Body=b"x")
    return public, s3.delete_object(Bucket=public, Key="k")["VersionId"]


def test_headers_that_tell_of_a_delete_marker(s3, wire: Wire, marked: tuple[str, str]) -> None:
    """Where a delete marker is the reason of a 404 its id is told; where it is named, what is allowed as well."""
    bucket, marker = marked
    told = {"x-amz-delete-marker": "true", "x-amz-version-id": marker}
    current = wire.signed(ROOT, "GET", f"/{bucket}/k?acl=")
    assert (current.status, {name: current.headers.get(name) for name in told}) == (404, told)
    for method in ("GET", "PUT"):
        headers = {"x-amz-acl": "private"} if method == "PUT" else {}
        named = wire.signed(ROOT, method, f"/{bucket}/k?acl=&versionId={marker}", headers)
        allowed = {**told, "allow": "DELETE"}
        assert (named.status, {name: named.headers.get(name) for name in allowed}) == (405, allowed), method
    unnamed = wire.signed(ROOT, "PUT", f"/{bucket}/k?acl=", {"x-amz-acl": "private"})
    assert (unnamed.status, unnamed.headers.get("allow")) == (405, "DELETE")


@pytest.mark.parametrize("part", [False, True], ids=["copy", "part"])
def test_copies_of_a_delete_marker(s3, wire: Wire, marked: tuple[str, str], part: bool) -> None:
    """The source of a copy may be hidden by a delete marker, which is told, but may not be one that is named."""
    bucket, marker = marked
    target = f"/{bucket}/new" + (f"?partNumber=1&uploadId={begin(s3, bucket, 'new')['UploadId']}" if part else "")
    hidden = wire.signed(ROOT, "PUT", target, {"x-amz-copy-source": f"/{bucket}/k"})
    assert error_in(hidden) == (404, {"Code": "NoSuchKey", "Message": NO_KEY, "Key": "k"})
    told = {"x-amz-delete-marker": "true", "x-amz-version-id": marker}
    assert {name: hidden.headers.get(name) for name in told} == told
    named = wire.signed(ROOT, "PUT", target, {"x-amz-copy-source": f"/{bucket}/k?versionId={marker}"})
    message = "The source of a copy request may not specifically refer to a delete marker by version id."
    assert error_in(named) == (400, {"Code": "InvalidRequest", "Message": message})


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


def test_words_of_rfc_2047_in_forms(s3, wire: Wire, bucket: str) -> None:
    """The fields of a form are text, in which encoded words are no words: they are told as they came."""
    fields = {"x-amz-meta-q": "=?UTF-8?Q?actually-ascii?=", "x-amz-meta-b": "=?UTF-8?B?YWJj?="}
    conditions: list[object] = [["eq", f"${name}", value] for name, value in fields.items()]
    assert post_form(s3, wire, bucket, fields, conditions, "file").status == 204
    told = {name.removeprefix("x-amz-meta-"): value for name, value in fields.items()}
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == told


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
    """A read that asks as a preflight would is told nothing where no rule allows that; its own headers do not count."""
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
    status, found = error_of(s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration=configuration)
    assert (status, {name: value or "" for name, value in found.items()}) == (400, wanted)


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
    """Replication needs versions on both sides and a rule; what is right is refused as long as there is none."""
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
    assert put(f"{bucket}-t")[0] == 501, "none is kept that nothing would come of"


# R26

STAFF = [
    {
        "staff": [
            {"name": "Ada M", "city": "Chicago", "kids": [{"Name": "Josh"}, {"Name": "Jay"}]},
            {"name": "Eve P", "city": "Seattle", "kids": {"Name": "Josh"}},
        ],
        "country": "USA",
    }
]
MANY = "".join(json.dumps({"a": {f"b{n}": "s"}, "c": f"d{n}"}) for n in range(5)).encode()
AS_JSON = {"JSON": {"RecordDelimiter": ","}}
DOCUMENT = {"JSON": {"Type": "DOCUMENT"}}


def select(
    s3, bucket: str, body: bytes, expression: str, given: dict[str, Any], wanted: dict[str, Any]
) -> tuple[bytes, dict[str, int]]:
    """The records of a query of a document, and the counts that are told of it."""
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    answer = s3.select_object_content(
        Bucket=bucket, Key="k", ExpressionType="SQL", Expression=expression,
        InputSerialization=given, OutputSerialization=wanted,
    )  # fmt: skip
    events = list(answer["Payload"])
    records = b"".join(event["Records"]["Payload"] for event in events if "Records" in event)
    return records, next(event["Stats"]["Details"] for event in events if "Stats" in event)


def counted(scanned: int, returned: int) -> dict[str, int]:
    return {"BytesScanned": scanned, "BytesProcessed": scanned, "BytesReturned": returned}


def test_a_document_that_is_a_list(s3, bucket: str) -> None:
    """A list at the top of a document is one record with one column."""
    body = json.dumps(STAFF).encode()
    records, _ = select(s3, bucket, body, "select * from s3object s", DOCUMENT, AS_JSON)
    assert records.endswith(b",") and json.loads(records[:-1]) == {"_1": STAFF}


def test_documents_one_after_another(s3, bucket: str) -> None:
    """Documents without anything between them are records each, whole or in part, and counted in bytes."""
    records, counts = select(s3, bucket, MANY, "select * from s3object[*].a", DOCUMENT, AS_JSON)
    assert records == b"".join(b'{"b%d":"s"},' % n for n in range(5))
    assert counts == counted(145, 55)
    where = "select * from s3object[*] s where s.c = 'd2'"
    records, counts = select(s3, bucket, MANY, where, DOCUMENT, AS_JSON)
    assert (records, counts) == (b'{"a":{"b2":"s"},"c":"d2"},', counted(145, 26))


def test_a_document_that_is_an_object(s3, bucket: str) -> None:
    """An object at the top of a document is a record, nothing for nothing and nested as it was, and counts as one."""
    simple = json.dumps({"a1": "b1", "a2": "b2", "a3": None}).encode()
    records, _ = select(s3, bucket, simple, "SELECT * FROM S3Object", DOCUMENT, AS_JSON)
    assert records == b'{"a1":"b1","a2":"b2","a3":null},'
    records, counts = select(s3, bucket, simple, "SELECT count(*) FROM S3Object", DOCUMENT, AS_JSON)
    assert (records, counts) == (b'{"_1":1},', counted(36, 9))
    nested = {"a1": {"b1": "b2"}, "a2": [True, False], "a3": True, "a4": [1, 5]}
    records, _ = select(s3, bucket, json.dumps(nested).encode(), "select * from s3object s", DOCUMENT, AS_JSON)
    assert json.loads(records[:-1]) == nested


@pytest.mark.parametrize("body", [b'{"a1": "b1"}', json.dumps([{"a1": "b1"}, {"a1": "b2"}]).encode()])
def test_a_count_with_a_name(s3, bucket: str, body: bytes) -> None:
    """A document counts as one, also where it is a list, and the count may have a name."""
    expression = "SELECT count(*) as cnt FROM S3Object"
    assert select(s3, bucket, body, expression, DOCUMENT, AS_JSON)[0] == b'{"cnt":1},'


# R27


@contextlib.contextmanager
def listening(wire: Wire, target: str) -> Iterator[http.client.HTTPResponse]:
    """The answer to a listener, whose stream has no end of its own."""
    connection = http.client.HTTPConnection(wire.host, timeout=120)
    try:
        connection.request("GET", target, headers=wire.sign(ROOT, "GET", target))
        yield connection.getresponse()
    finally:
        connection.close()


def test_events_that_are_heard_live(s3, wire: Wire, bucket: str) -> None:
    """Whoever listens is told names of events with their prefix, as MinIO's clients want them."""
    target = f"/{bucket}?events=s3%3AObjectCreated%3A%2A&events=s3%3AObjectRemoved%3A%2A&prefix=in%2F"
    came, quiet = b"", 0
    with listening(wire, target) as answer:
        assert answer.status == 200
        s3.put_object(Bucket=bucket, Key="out/k", Body=b"x")
        s3.put_object(Bucket=bucket, Key="in/k", Body=b"x")
        s3.delete_object(Bucket=bucket, Key="in/k")
        while came.count(b"\n") < 2 and quiet < 300:  # a space now and then says that nothing happens
            piece = answer.read1(65_536).strip(b" ")
            came, quiet = came + piece, 0 if piece else quiet + 1
    heard = [record for line in came.splitlines() for record in json.loads(line)["Records"]]
    assert [one["eventName"] for one in heard] == ["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"]
    assert [urllib.parse.unquote(one["s3"]["object"]["key"]) for one in heard] == ["in/k", "in/k"]
    assert [one["s3"]["bucket"]["name"] for one in heard] == [bucket, bucket]


@pytest.mark.parametrize("event", ["bad", "s3:ObjectCreated:Nothing", "s3:Nothing:*"])
def test_events_that_nobody_can_hear(wire: Wire, bucket: str, event: str) -> None:
    """To listen for what does not happen is refused in words that MinIO's clients know."""
    name = urllib.parse.quote(event, safe="")
    with listening(wire, f"/{bucket}?events={name}&prefix=photos%2F&suffix=.jpg") as answer:
        assert answer.status == 400
        found = code_and_message(Answer(answer.status, {}, answer.read()))
    assert found == (400, "InvalidArgument", "A specified event is not supported for notifications.")


# R28


def test_lists_with_metadata_and_tags(s3, wire: Wire, bucket: str) -> None:
    """A list that asks for it tells metadata and tags of each object, as MinIO's clients want it."""
    s3.put_object(Bucket=bucket, Key="bare", Body=b"x")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"Test": "test-value"}, Tagging="key1=value1&key2=value2")
    answer = wire.signed(ROOT, "GET", f"/{bucket}?list-type=2&metadata=true")
    bare, full = re.findall("<Contents>.*?</Contents>", answer.body.decode())
    assert "<UserTags>key1=value1&amp;key2=value2</UserTags>" in full
    assert "<X-Amz-Meta-Test>test-value</X-Amz-Meta-Test>" in full.partition("<UserMetadata>")[2]
    assert "UserTags" not in bare
    assert "UserTags" not in wire.signed(ROOT, "GET", f"/{bucket}?list-type=2").body.decode()


def keys_of_versions(s3, bucket: str) -> list[str]:
    page = s3.list_object_versions(Bucket=bucket)
    return sorted(one["Key"] for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())))


@pytest.mark.parametrize("versions", [False, True], ids=["plain", "versions"])
@pytest.mark.parametrize("target", ["my-prefix/k", "my-prefix/", "my-prefix"])
def test_force_deletes(s3, wire: Wire, bucket: str, target: str, versions: bool) -> None:
    """A delete by force takes all versions of a key, or of all keys in a folder, and leaves no marker."""
    if versions:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("my-prefix/k", "my-prefix/k", "my-prefixed/k", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = wire.signed(ROOT, "DELETE", f"/{bucket}/{target}", {"x-minio-force-delete": "true"})
    assert (answer.status, answer.code) == (204, "")
    assert keys_of_versions(s3, bucket) == ["my-prefixed/k", "other"]


def test_force_does_not_break_locks(s3, wire: Wire, request: pytest.FixtureRequest) -> None:
    """No force deletes where objects can be locked."""
    bucket = name_of(request)
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = wire.signed(ROOT, "DELETE", f"/{bucket}/k", {"x-minio-force-delete": "true"})
    assert answer.status >= 400
    assert keys_of_versions(s3, bucket) == ["k"]
