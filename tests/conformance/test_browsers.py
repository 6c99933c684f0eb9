"""What browsers do: forms that upload, and pages of other origins."""

import base64
import hashlib
import json
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.server import ACCESS_KEY, SECRET_KEY, Server

CORS = {
    "CORSRules": [
        {
            "AllowedMethods": ["PUT", "GET"],
            "AllowedOrigins": ["https://*.example.com"],
            "AllowedHeaders": ["x-amz-*", "content-type"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 60,
        },
        {"AllowedMethods": ["HEAD"], "AllowedOrigins": ["*"]},
    ]
}


@pytest.fixture(scope="module")
def s3(server: Server):
    return server.client()


@pytest.fixture
def bucket(s3, request) -> str:
    name = "f-" + hashlib.md5(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    return name


def send(url: str, method: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(
        url, body or None, {name.replace("_", "-"): value for name, value in headers.items()}, method=method
    )
    trusting = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    opener = urllib.request.build_opener(_NoRedirect, trusting)
    try:
        with opener.open(request, timeout=120) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def encode(fields: dict[str, str], data: bytes, name: str = "photo.jpg") -> tuple[bytes, str]:
    boundary = "xYzZY"
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    )
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return body + head.encode() + data + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def post(server: Server, bucket: str, fields: dict[str, str], data: bytes = b"picture", **more: str):
    body, kind = encode(fields, data, **more)
    return send(f"{server.endpoint}/{bucket}", "POST", body, Content_Type=kind)


def signed(s3, bucket: str, conditions: list[object], fields: dict[str, str] | None = None) -> dict[str, str]:
    made = s3.generate_presigned_post(bucket, "${filename}", Fields=fields, Conditions=conditions, ExpiresIn=60)
    return dict(made["fields"])


def code(body: bytes) -> str:
    return body.decode().partition("<Code>")[2].partition("<")[0]


def test_a_form_uploads(server: Server, s3, bucket: str) -> None:
    """A form signed for boto3 uploads its file with what its fields say, of any size."""
    fields = {"Content-Type": "image/jpeg", "x-amz-meta-who": "ada", "success_action_status": "201"}
    conditions: list[object] = [{name: value} for name, value in fields.items()]
    for size in (0, 10, 70_000, 3_000_000):
        data = (b"\r\n--xYz" * (size // 7 + 1))[:size]
        status, headers, body = post(server, bucket, signed(s3, bucket, conditions, fields), data)
        assert (status, "<Key>photo.jpg</Key>" in body.decode()) == (201, True)
        found = s3.get_object(Bucket=bucket, Key="photo.jpg")
        assert found["Body"].read() == data
        assert (found["ContentType"], found["Metadata"]) == ("image/jpeg", {"who": "ada"})
        assert headers["etag"].strip('"') == hashlib.md5(data).hexdigest()


def test_a_form_redirects(server: Server, s3, bucket: str) -> None:
    """After the upload the browser goes where the form says, but to no other kind of URL."""
    fields = {"success_action_redirect": "https://example.com/done?x=1"}
    status, headers, _ = post(server, bucket, signed(s3, bucket, [fields], fields))
    assert status == 303
    assert headers["location"].startswith(f"https://example.com/done?x=1&bucket={bucket}&key=photo.jpg&etag=")
    for target in ("javascript:alert(1)", "https://example.com/\r\nSet-Cookie: a=b", "//evil"):
        fields = {"success_action_redirect": target}
        status, headers, _ = post(
            server, bucket, signed(s3, bucket, [["starts-with", "$success_action_redirect", ""]], fields)
        )
        assert status in (204, 400, 403)
        assert "set-cookie" not in headers


def test_forms_that_their_policy_forbids(server: Server, s3, bucket: str) -> None:
    """A policy binds bucket, key, size and every field; what it does not allow stores nothing."""
    other = bucket[:-1] + "x"
    s3.create_bucket(Bucket=other)
    assert post(server, other, signed(s3, bucket, []))[0] == 403
    size = [["content-length-range", 2, 5]]
    assert code(post(server, bucket, signed(s3, bucket, size), b"123456")[2]) == "EntityTooLarge"
    assert code(post(server, bucket, signed(s3, bucket, size), b"1")[2]) == "EntityTooSmall"
    assert post(server, bucket, {**signed(s3, bucket, []), "x-amz-meta-more": "1"})[0] == 403
    assert post(server, bucket, {**signed(s3, bucket, []), "acl": "public-read"})[0] == 403
    fixed = s3.generate_presigned_post(bucket, "fixed", ExpiresIn=60)["fields"]
    assert post(server, bucket, {**fixed, "key": "elsewhere"})[0] == 403
    changed = signed(s3, bucket, [])
    policy = json.loads(base64.b64decode(changed["policy"]))
    policy["expiration"] = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    changed["policy"] = base64.b64encode(json.dumps(policy).encode()).decode()
    assert code(post(server, bucket, changed)[2]) == "SignatureDoesNotMatch"
    unsigned = {name: value for name, value in signed(s3, bucket, []).items() if name == "policy" or name == "key"}
    assert post(server, bucket, unsigned)[0] == 403
    assert post(server, bucket, {"key": "k"})[0] == 403
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=other)


def test_a_form_that_headers_sign(server: Server, s3, bucket: str) -> None:
    """Without a policy the headers may be signed, and the body with them: another one than that is not stored."""
    body, kind = encode({"key": "k"}, b"picture")
    asked = AWSRequest("POST", f"{server.endpoint}/{bucket}", {"Content-Type": kind}, body)
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(asked)
    headers = {name.replace("-", "_"): value for name, value in asked.headers.items()}
    status, _, answer = send(asked.url, "POST", body.replace(b"picture", b"another"), **headers)
    assert (status, code(answer)) == (400, "XAmzContentSHA256Mismatch")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert send(asked.url, "POST", body, **headers)[0] == 204
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"picture"


@pytest.mark.parametrize("body", [b"", b"--xYzZY", b"--xYzZY\r\n\r\n", b"\0" * 100, b"--xYzZY--\r\n", b"--other\r\n"])
def test_bodies_that_are_no_form(server: Server, s3, bucket: str, body: bytes) -> None:
    """What is not a form is refused, and nothing else happens."""
    status, _, answer = send(
        f"{server.endpoint}/{bucket}", "POST", body or b" ", Content_Type="multipart/form-data; boundary=xYzZY"
    )
    assert status == 400, answer
    assert SECRET_KEY.encode() not in answer


def test_fields_without_end(server: Server, bucket: str) -> None:
    """Fields before the file have a limit."""
    assert code(post(server, bucket, {"key": "k", "x-ignore-a": "a" * 30_000})[2]) == "MaxPostPreDataLengthExceeded"


def test_preflights(server: Server, s3, bucket: str) -> None:
    """A preflight is answered by the first rule that allows it, before any signature is looked at."""
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=CORS)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == CORS["CORSRules"]
    url = f"{server.endpoint}/{bucket}/k?X-Amz-Signature=none"
    good = {"Origin": "https://app.example.com", "Access_Control_Request_Method": "PUT"}
    status, headers, _ = send(url, "OPTIONS", **good, Access_Control_Request_Headers="X-Amz-Date, content-type")
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example.com"
    assert headers["access-control-allow-methods"] == "PUT, GET"
    assert headers["access-control-allow-headers"] == "x-amz-date, content-type"
    assert headers["access-control-max-age"] == "60"
    assert "Origin" in headers["vary"]
    for bad in (
        {**good, "Origin": "https://example.org"},
        {**good, "Access_Control_Request_Method": "DELETE"},
        {**good, "Access_Control_Request_Headers": "authorization"},
        {**good, "Origin": "https://.example.com.evil"},
    ):
        assert send(url, "OPTIONS", **bad)[0] == 403
    assert send(url, "OPTIONS")[0] == 400
    s3.delete_bucket_cors(Bucket=bucket)
    assert send(url, "OPTIONS", **good)[0] == 403


def test_answers_to_other_origins(server: Server, s3, bucket: str) -> None:
    """Answers, errors among them, tell a page of an allowed origin that it may read them."""
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=CORS)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    status, headers, _ = send(url, "GET", Origin="https://app.example.com")
    assert (status, headers["access-control-allow-origin"]) == (200, "https://app.example.com")
    assert headers["access-control-expose-headers"] == "ETag"
    assert "access-control-allow-origin" not in send(url, "GET", Origin="https://example.org")[1]
    status, headers, _ = send(f"{server.endpoint}/{bucket}/k", "GET", Origin="https://app.example.com")
    assert (status, headers["access-control-allow-origin"]) == (403, "https://app.example.com")
