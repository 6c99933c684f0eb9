"""The attacks that broke other stores, each by the name of the advisory or of the pattern behind several."""

import ast
import hashlib
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import pyrite
from pyrite.core.errors import PyriteError
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import BucketRecord
from pyrite.s3.objectlock import default_lock
from tests.security.conftest import client_of
from tests.security.people import OTHER, OWNER, PART, SECRET, allow, as_, document
from tests.security.wire import Wire
from tests.server import Server, wait_until

BUCKET, SECRET_KEY = "advisories", "private/secret"
CREDENTIALS = ("AccessKeyId", "SecretAccessKey", "SessionToken")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def s3(secure: Server):
    made = client_of(secure, "s3", "admin")
    made.create_bucket(Bucket=BUCKET)
    made.put_object(Bucket=BUCKET, Key=SECRET_KEY, Body=b"for the owner alone")
    return made


def code_of(call, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def grant(secure: Server, name: str, *statements: dict[str, object]) -> None:
    """Let a user do exactly this."""
    iam = client_of(secure, "iam", "admin")
    iam.put_user_policy(UserName=name, PolicyName="granted", PolicyDocument=document(*statements))


@pytest.fixture
def user(secure: Server):
    """A user called nobody, whose grants end with the test; granting is done with `grant`."""
    yield "nobody"
    iam = client_of(secure, "iam", "admin")
    for name in iam.list_user_policies(UserName="nobody")["PolicyNames"]:
        iam.delete_user_policy(UserName="nobody", PolicyName=name)


# ---- signatures


def test_unsigned_headers_on_a_presigned_url(wire: Wire, s3) -> None:
    """A presigned URL does what was signed: an x-amz- header added to it, a copy source above all, is refused."""
    target = wire.presign(as_("admin"), "PUT", f"/{BUCKET}/target")
    for header in ("x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-tagging", "x-amz-storage-class"):
        value = f"/{BUCKET}/{SECRET_KEY}" if "source" in header else "private"
        answer = wire.send("PUT", target, {header: value})
        assert (answer.status, answer.code) == (403, "AccessDenied"), header
    assert code_of(s3.head_object, Bucket=BUCKET, Key="target") == "404"


def test_unsigned_headers_beside_a_signed_header(wire: Wire, s3) -> None:
    """The same for a signature in the header."""
    signed = wire.sign(as_("admin"), "PUT", f"/{BUCKET}/target", {}, b"x")
    answer = wire.send("PUT", f"/{BUCKET}/target", {**signed, "x-amz-copy-source": f"/{BUCKET}/{SECRET_KEY}"}, b"x")
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("where", ["header", "query", "none"])
def test_unsigned_trailers_need_a_signature(wire: Wire, s3, where: str) -> None:
    """CVE-2025-31489, CVE-2026-40344, CVE-2026-41145: a payload without a signature is not a request without one."""
    body = b"4\r\nevil\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": "4",
        "content-encoding": "aws-chunked",
    }
    target = f"/{BUCKET}/trailer"
    if where == "header":
        signed = wire.sign(Credentials("admin", "another-secret"), "PUT", target, headers, b"")
        headers = {**signed, "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    elif where == "query":
        target = wire.presign(Credentials("admin", "another-secret"), "PUT", target, headers)
    answer = wire.send("PUT", target, headers, body)
    assert answer.status == 403, answer
    assert code_of(s3.head_object, Bucket=BUCKET, Key="trailer") == "404"


def test_wrong_chunk_signatures(wire: Wire, s3) -> None:
    """CVE-2021-21390: a chunk whose signature is wrong, and a chain that breaks off, store nothing."""
    streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    headers = {"x-amz-decoded-content-length": "4", "content-encoding": "aws-chunked"}
    wrong = b"4;chunk-signature=" + b"0" * 64 + b"\r\nevil\r\n0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"
    for body in (wrong, wrong[:40], b"4\r\nevil\r\n0\r\n\r\n"):
        signed = _sign_streaming(wire, f"/{BUCKET}/chunks", headers, streaming)
        answer = wire.send("PUT", f"/{BUCKET}/chunks", signed, body)
        assert answer.status in (400, 403), answer
    assert code_of(s3.head_object, Bucket=BUCKET, Key="chunks") == "404"


def _sign_streaming(wire: Wire, target: str, headers: dict[str, str], payload: str) -> dict[str, str]:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest

    class Streaming(S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return payload

    made = AWSRequest("PUT", wire.endpoint + target, headers={"Host": wire.host, **headers}, data=b"")
    made.headers["X-Amz-Content-SHA256"] = payload
    Streaming(as_("admin"), "s3", "us-east-1").add_auth(made)
    return dict(made.headers)


def test_header_and_query_authentication_together(wire: Wire, s3) -> None:
    """Two signatures are one too many, whichever of them is good."""
    target = wire.presign(as_("admin"), "GET", f"/{BUCKET}/{SECRET_KEY}")
    for credentials in (as_("admin"), as_("nobody")):
        answer = wire.send("GET", target, wire.sign(credentials, "GET", f"/{BUCKET}/{SECRET_KEY}"))
        assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_the_access_key_without_its_secret(wire: Wire) -> None:
    """CVE-2020-11012: a known access key proves nothing."""
    for action, service in (("ListUsers", "iam"), ("GetCallerIdentity", "sts")):
        credentials = Credentials("ownerroot", "x" * 40)
        answer = wire.signed(credentials, "POST", "/", FORM, f"Action={action}".encode(), service)
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_signatures_are_compared_in_constant_time() -> None:
    """Nothing that checks a signature, token or digest of a secret compares it with `==`."""
    root = Path(pyrite.__file__).parent
    for name in ("aws/sigv4.py", "s3/authentication.py", "iamapi/app.py", "iam/tokens.py", "aws/payload.py"):
        for node in ast.walk(ast.parse((root / name).read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                if any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators)):
                    continue  # names of fields are no secrets
                words = ast.unparse(node).lower()
                assert "signature" not in words and "secret" not in words, f"{name}: {words}"


# ---- sources of copies, versions


def test_copies_authorise_their_source(secure: Server, s3, user: str) -> None:
    """CVE-2026-39360, GHSA-wfxj: who may write here but not read there copies nothing, whole or in parts."""
    grant(secure, user, allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/inbox/*"))
    theirs = client_of(secure, "s3", user)
    source = {"Bucket": BUCKET, "Key": SECRET_KEY}
    assert code_of(theirs.copy_object, Bucket=BUCKET, Key="inbox/a", CopySource=source) == "AccessDenied"
    upload = theirs.create_multipart_upload(Bucket=BUCKET, Key="inbox/b")["UploadId"]
    part = {"Bucket": BUCKET, "Key": "inbox/b", "UploadId": upload, "PartNumber": 1, "CopySource": source}
    assert code_of(theirs.upload_part_copy, **part) == "AccessDenied"
    s3.abort_multipart_upload(Bucket=BUCKET, Key="inbox/b", UploadId=upload)


def test_a_version_needs_its_own_permission(secure: Server, s3, user: str) -> None:
    """GHSA-3ppv: s3:GetObject does not reach versions; nor does s3:DeleteObject, nor a copy of a version."""
    grant(secure, user, allow(["s3:GetObject", "s3:DeleteObject", "s3:PutObject", "s3:ListBucket"]))
    theirs = client_of(secure, "s3", user)
    assert theirs.get_object(Bucket=BUCKET, Key=SECRET_KEY)["Body"].read()
    assert code_of(theirs.get_object, Bucket=BUCKET, Key=SECRET_KEY, VersionId="null") == "AccessDenied"
    assert code_of(theirs.delete_object, Bucket=BUCKET, Key=SECRET_KEY, VersionId="null") == "AccessDenied"
    source = {"Bucket": BUCKET, "Key": SECRET_KEY, "VersionId": "null"}
    assert code_of(theirs.copy_object, Bucket=BUCKET, Key="copy", CopySource=source) == "AccessDenied"
    deleted = theirs.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": SECRET_KEY, "VersionId": "null"}]})
    assert deleted["Errors"][0]["Code"] == "AccessDenied"


def test_listing_versions_needs_its_own_permission(secure: Server, s3, user: str) -> None:
    """GHSA-x298: s3:ListBucket does not list versions."""
    grant(secure, user, allow("s3:ListBucket"))
    theirs = client_of(secure, "s3", user)
    assert theirs.list_objects_v2(Bucket=BUCKET)["KeyCount"]
    assert code_of(theirs.list_object_versions, Bucket=BUCKET) == "AccessDenied"


# ---- what is public


def test_the_public_access_block(wire: Wire, s3) -> None:
    """A public policy is refused while it is blocked, and does not count while it is restricted."""
    everybody = document(
        allow(
            ["s3:GetObject", "s3:ListBucket", "s3:ListBucketVersions"],
            [f"arn:aws:s3:::{BUCKET}/*", f"arn:aws:s3:::{BUCKET}"],
            Principal="*",
        )
    )
    assert code_of(s3.put_bucket_policy, Bucket=BUCKET, Policy=everybody) == "AccessDenied"
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=everybody)
    try:
        for target in (f"/{BUCKET}/{SECRET_KEY}", f"/{BUCKET}?list-type=2", f"/{BUCKET}?versions"):
            assert wire.send("GET", target).status == 403
            assert wire.signed(as_("stranger"), "GET", target).status == 403
        s3.delete_public_access_block(Bucket=BUCKET)
        assert wire.send("GET", f"/{BUCKET}/{SECRET_KEY}").status == 200
        assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"] is True
    finally:
        s3.delete_bucket_policy(Bucket=BUCKET)
    assert wire.send("GET", f"/{BUCKET}/{SECRET_KEY}").status == 403


def test_existence_is_not_told(wire: Wire, s3) -> None:
    """CVE-2024-36107: what is there and what is not look the same to who may see neither, with conditions too."""
    for headers in (
        {},
        {"If-None-Match": "*"},
        {"If-Match": '"x"'},
        {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
    ):
        for key in (SECRET_KEY, "absent"):
            for sent in (
                wire.send("GET", f"/{BUCKET}/{key}", headers),
                wire.signed(as_("nobody"), "GET", f"/{BUCKET}/{key}", headers),
            ):
                assert (sent.status, sent.code) == (403, "AccessDenied"), (key, headers)


def test_who_may_read_does_not_learn_what_is_absent(secure: Server, wire: Wire, s3, user: str) -> None:
    """Without the right to list, an absent key is refused, by GET and HEAD and when it is asked for again."""
    for resource, status in ((f"arn:aws:s3:::{BUCKET}/*", 403), ([f"arn:aws:s3:::{BUCKET}*"], 404)):
        grant(secure, user, allow(["s3:GetObject", "s3:ListBucket"], resource))
        for method in ("HEAD", "GET", "HEAD", "GET") * 2:
            assert wire.signed(as_(user), method, f"/{BUCKET}/absent").status == status, (method, resource)


# ---- conditions


def test_headers_are_not_condition_keys(secure: Server, wire: Wire, s3, user: str) -> None:
    """GHSA-6r96: a header, or a parameter, named like a condition key is not one."""
    keys = {
        "aws:username": "admin",
        "aws:PrincipalTag/team": "red",
        "aws:userid": "x",
        "aws:SourceVpc": "vpc-1",
        "s3:ExistingObjectTag/a": "b",
    }
    for key, value in keys.items():
        grant(secure, user, allow("s3:GetObject", Condition={"StringEquals": {key: value}}))
        short = key.partition(":")[2]
        headers = {short.lower().replace("/", "-"): value, key.replace(":", "-").replace("/", "-"): value}
        assert wire.signed(as_(user), "GET", f"/{BUCKET}/{SECRET_KEY}", headers).status == 403, key
        assert wire.signed(as_(user), "GET", f"/{BUCKET}/{SECRET_KEY}?{short.lower()}={value}", {}).status == 403, key


def test_spoofed_forwarded_addresses(secure: Server, wire: Wire, s3, user: str, tmp_path: Path) -> None:
    """CVE-2026-21862: X-Forwarded-For counts from trusted proxies alone, read from the right."""
    grant(secure, user, allow("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "203.0.113.7"}}))
    target = f"/{BUCKET}/{SECRET_KEY}"
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP"):
        assert wire.signed(as_(user), "GET", target, {name: "203.0.113.7"}).status == 403
    from tests.security.people import write_identities

    options = ("--identities", str(write_identities(tmp_path)), "--trusted-proxy", "127.0.0.1")
    with Server([tmp_path / "drive"], *options) as behind:
        client_of(behind, "s3", "admin").create_bucket(Bucket=BUCKET)
        client_of(behind, "s3", "admin").put_object(Bucket=BUCKET, Key=SECRET_KEY, Body=b"x")
        grant(behind, user, allow("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "203.0.113.7"}}))
        proxied = Wire(behind.endpoint)
        for forwarded, status in (
            ("203.0.113.7", 200),
            ("203.0.113.7, 198.51.100.1", 403),
            ("nonsense", 403),
            ("", 403),
        ):
            assert proxied.signed(as_(user), "GET", target, {"X-Forwarded-For": forwarded}).status == status, forwarded


def test_prefixes_with_a_shared_stem(secure: Server, s3, user: str) -> None:
    """CVE-2026-26187: a grant on data/ is none on data2/, nor on a bucket whose name begins the same."""
    s3.put_object(Bucket=BUCKET, Key="data2/x", Body=b"x")
    s3.put_object(Bucket=BUCKET, Key="data/x", Body=b"x")
    s3.create_bucket(Bucket=BUCKET + "2")
    s3.put_object(Bucket=BUCKET + "2", Key="data/x", Body=b"x")
    grant(secure, user, allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/data/*"))
    theirs = client_of(secure, "s3", user)
    assert theirs.get_object(Bucket=BUCKET, Key="data/x")["Body"].read() == b"x"
    assert code_of(theirs.get_object, Bucket=BUCKET, Key="data2/x") == "AccessDenied"
    assert code_of(theirs.get_object, Bucket=BUCKET + "2", Key="data/x") == "AccessDenied"


# ---- keys


@pytest.mark.parametrize(
    "tail",
    [
        "..%2fprivate%2fsecret",
        "../private/secret",
        "%2e%2e/private/secret",
        "..%5cprivate%5csecret",
        "%252e%252e/private/secret",
        "x%00/../../private/secret",
        "/private/secret",
    ],
)
def test_keys_are_not_paths(secure: Server, wire: Wire, s3, user: str, tail: str) -> None:
    """CVE-2023-28433, CVE-2026-42882, CVE-2026-54917: what is authorized is what is read, byte for byte."""
    grant(
        secure, user, allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/public/*"), allow("s3:ListBucket")
    )
    target = f"/{BUCKET}/public/{tail}"
    answer = wire.signed(as_(user), "GET", target)
    assert b"for the owner alone" not in answer.body and answer.status in (400, 403, 404), answer
    put = wire.signed(as_(user), "PUT", target, {}, b"mine")
    assert put.status in (200, 400, 403)
    assert s3.get_object(Bucket=BUCKET, Key=SECRET_KEY)["Body"].read() == b"for the owner alone"
    if put.status == 200:
        assert wire.signed(as_(user), "GET", target).body == b"mine"


def test_traversal_in_a_list_of_keys(secure: Server, s3, user: str) -> None:
    """Keys in the document of DeleteObjects are authorized one by one, as they stand there."""
    grant(secure, user, allow("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/public/*"))
    keys = ["public/../private/secret", "private/secret", "public/%2e%2e/private/secret", "/private/secret"]
    answer = client_of(secure, "s3", user).delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": k} for k in keys]})
    assert {error["Key"] for error in answer["Errors"]} == {"private/secret", "/private/secret"}
    assert s3.get_object(Bucket=BUCKET, Key=SECRET_KEY)["Body"].read() == b"for the owner alone"


def test_internal_headers_from_clients(wire: Wire, s3) -> None:
    """CVE-2026-34204: headers of other stores' insides, of replication above all, change nothing of an object."""
    headers = {
        "x-amz-meta-x-amz-server-side-encryption": "AES256",
        "x-minio-internal-server-side-encryption-sealed-key": "AAAA",
        "x-minio-source-mtime": "2000-01-01T00:00:00Z",
        "x-rustfs-internal-actual-size": "1",
        "x-amz-replication-status": "REPLICA",
        "x-amz-version-id": "null",
        "last-modified": "Sat, 01 Jan 2000 00:00:00 GMT",
        "etag": '"0"',
    }
    assert wire.signed(as_("admin"), "PUT", f"/{BUCKET}/headers", headers, b"content").status == 200
    found = s3.get_object(Bucket=BUCKET, Key="headers")
    assert found["Body"].read() == b"content" and found["LastModified"].year > 2000
    assert found["ETag"].strip('"') == hashlib.md5(b"content").hexdigest()
    assert "ServerSideEncryption" not in found and "ReplicationStatus" not in found


# ---- injection and bombs


def test_header_injection(wire: Wire, s3) -> None:
    """CVE-2020-10753, CVE-2016-9579: no parameter puts a line into a response, and anonymous ones replace nothing."""
    for value in ("a%0D%0ASet-Cookie%3A%20x%3D1", "a%0AX%3A%20y", "a%00b"):
        target = f"/{BUCKET}/{SECRET_KEY}?response-content-type={value}"
        answer = wire.signed(as_("admin"), "GET", target)
        assert answer.status == 400 and "set-cookie" not in answer.headers and "x" not in answer.headers
    for name in ("%0D%0ASet-Cookie%3Ax%3D1", "b%0D%0AX%3Ay"):
        answer = wire.signed(as_("admin"), "HEAD", f"/{name}")
        assert answer.status in (400, 404) and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "document_",
    [
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
        b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x"><Delete/>',
        b"<Delete>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</Delete>",
        b"<Delete>" + b"<Object/>" * 100_000 + b"</Delete>",
        b"\xff\xfe<\x00",
    ],
)
def test_hostile_xml(wire: Wire, s3, document_: bytes) -> None:
    """CVE-2022-47950: no entity is expanded, no address is read, no depth or number is unlimited."""
    import base64

    for target, method in (
        (f"/{BUCKET}?delete", "POST"),
        (f"/{BUCKET}?tagging", "PUT"),
        (f"/{BUCKET}?acl", "PUT"),
        ("/new-bucket", "PUT"),
    ):
        headers = {"Content-MD5": base64.b64encode(hashlib.md5(document_).digest()).decode()}
        answer = wire.signed(as_("admin"), method, target, headers, document_)
        assert answer.status == 400 and b"root:" not in answer.body, (target, answer)


def test_bombs_of_ranges_and_parts(wire: Wire, s3) -> None:
    """CVE-2025-62727: thousands of ranges cost no more than one; a completion has at most 10,000 parts."""
    answer = wire.signed(as_("admin"), "GET", f"/{BUCKET}/{SECRET_KEY}", {"Range": "bytes=" + ",".join(["0-0"] * 1000)})
    assert answer.status in (200, 416)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    parts = b"".join(b"<Part><PartNumber>%d</PartNumber><ETag>x</ETag></Part>" % n for n in range(1, 10_002))
    body = b"<CompleteMultipartUpload>" + parts + b"</CompleteMultipartUpload>"
    assert wire.signed(as_("admin"), "POST", f"/{BUCKET}/parts?uploadId={upload}", {}, body).status == 400
    s3.abort_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload)


# ---- privilege escalation


def test_nobody_raises_his_own_rights(secure: Server, user: str) -> None:
    """CVE-2021-43858, CVE-2024-24747, GHSA-566f: keys, users, policies and memberships of others or of oneself."""
    grant(secure, user, allow("iam:*AccessKey*", f"arn:aws:iam::{OWNER}:user/${{aws:username}}"))
    iam = client_of(secure, "iam", user)
    made = iam.create_access_key()["AccessKey"]["AccessKeyId"]
    iam.delete_access_key(AccessKeyId=made)
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    for call, arguments in (
        (iam.create_access_key, {"UserName": "admin"}),
        (iam.update_access_key, {"UserName": "admin", "AccessKeyId": "admin", "Status": "Inactive"}),
        (iam.delete_access_key, {"UserName": "admin", "AccessKeyId": "admin"}),
        (iam.list_access_keys, {"UserName": "admin"}),
        (iam.attach_user_policy, {"UserName": user, "PolicyArn": admin}),
        (iam.put_user_policy, {"UserName": user, "PolicyName": "p", "PolicyDocument": document(allow("*"))}),
        (iam.delete_user_permissions_boundary, {"UserName": user}),
        (iam.create_user, {"UserName": "puppet"}),
        (iam.create_policy, {"PolicyName": "p", "PolicyDocument": document(allow("*"))}),
        (iam.update_assume_role_policy, {"RoleName": "worker", "PolicyDocument": document()}),
        (iam.create_open_id_connect_provider, {"Url": "https://evil.example"}),
    ):
        assert code_of(call, **arguments) == "AccessDenied", (call, arguments)


def test_a_boundary_is_kept_from_its_bearer(secure: Server) -> None:
    """A bounded user with all rights on paper neither lifts the boundary nor acts through what it makes."""
    iam = client_of(secure, "iam", "bounded")
    assert code_of(iam.delete_user_permissions_boundary, UserName="bounded") == "AccessDenied"
    assert code_of(iam.create_access_key, UserName="admin") == "AccessDenied"


def test_a_limited_key_stays_limited(secure: Server, wire: Wire) -> None:
    """CVE-2025-62506, CVE-2022-24842: a key's own policy holds on every call, and in what it begins."""
    for service, call in (("iam", "list_users"), ("iam", "create_access_key"), ("s3", "list_buckets")):
        assert code_of(getattr(client_of(secure, service, "narrow"), call)) == "AccessDenied"
    sts = client_of(secure, "sts", "narrow")
    for call, arguments in (
        (sts.get_session_token, {}),
        (sts.get_federation_token, {"Name": "more", "Policy": document(allow("*"))}),
    ):
        try:
            got = call(**arguments)["Credentials"]
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"
            continue
        widened = client_of(secure, "s3", got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
        assert code_of(widened.list_buckets) == "AccessDenied"
    body = f"Action=AssumeRole&RoleSessionName=x&Policy={quote(document(allow('*')))}".encode()
    answer = wire.signed(as_("narrow"), "POST", "/", FORM, body, "sts")
    field = {name: answer.body.decode().partition(f"<{name}>")[2].partition("<")[0] for name in CREDENTIALS}
    assert answer.status == 200
    widened = client_of(secure, "s3", *field.values())
    assert code_of(widened.list_buckets) == "AccessDenied"
    assert wire.signed(as_("denied"), "POST", "/", FORM, body, "sts").code == "AccessDenied"


def test_a_limited_key_stays_limited_where_its_user_is_named(secure: Server, s3) -> None:
    """A bucket policy that names the user itself opens nothing to a key that its own policy does not let do it."""
    named = {"AWS": [f"arn:aws:iam::{OWNER}:user/narrow", f"arn:aws:iam::{OWNER}:root"]}
    policy = document(allow("s3:*", [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"], Principal=named))
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)
    try:
        assert code_of(client_of(secure, "s3", "narrow").get_object, Bucket=BUCKET, Key=SECRET_KEY) == "AccessDenied"
    finally:
        s3.delete_bucket_policy(Bucket=BUCKET)


def test_sessions_end_with_what_they_stand_on(secure: Server) -> None:
    """CVE-2024-43784: a user made again is another; a deleted key ends the sessions begun with it."""
    iam = client_of(secure, "iam", "admin")
    iam.create_user(UserName="phoenix")
    iam.attach_user_policy(UserName="phoenix", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    key = iam.create_access_key(UserName="phoenix")["AccessKey"]
    got = client_of(secure, "sts", key["AccessKeyId"], key["SecretAccessKey"]).get_session_token()["Credentials"]
    session = client_of(secure, "s3", got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
    session.list_buckets()
    iam.delete_access_key(UserName="phoenix", AccessKeyId=key["AccessKeyId"])
    assert code_of(session.list_buckets) == "InvalidToken"
    assert (
        code_of(client_of(secure, "s3", key["AccessKeyId"], key["SecretAccessKey"]).list_buckets)
        == "InvalidAccessKeyId"
    )
    iam.detach_user_policy(UserName="phoenix", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    iam.delete_user(UserName="phoenix")
    iam.create_user(UserName="phoenix")
    assert code_of(session.list_buckets) == "InvalidToken"
    iam.delete_user(UserName="phoenix")


def test_session_tokens_are_not_made_elsewhere(secure: Server, wire: Wire) -> None:
    """GHSA-m77q, GHSA-ccrv: neither a changed token nor one under another key, nor another's, is taken."""
    got = client_of(secure, "sts", "admin").get_session_token()["Credentials"]
    other = client_of(secure, "sts", "stranger").get_session_token()["Credentials"]
    token = got["SessionToken"]
    for changed in (
        token[:-8] + "AAAAAAA=",
        "B" + token[1:],
        token[: len(token) // 2],
        other["SessionToken"],
        "e30.e30.e30",
    ):
        credentials = Credentials(got["AccessKeyId"], got["SecretAccessKey"], changed)
        answer = wire.signed(credentials, "GET", "/")
        assert (answer.status, answer.code) == (400, "InvalidToken"), changed[:20]


def test_other_accounts_see_nothing(secure: Server) -> None:
    """Names and ids of an account mean nothing in another, and its roles do not exist for it."""
    iam, sts = client_of(secure, "iam", "stranger"), client_of(secure, "sts", "stranger")
    assert [one["UserName"] for one in iam.list_users()["Users"]] == ["stranger"]
    assert code_of(iam.get_user, UserName="admin") == "NoSuchEntity"
    assert code_of(iam.get_access_key_last_used, AccessKeyId="admin") == "NoSuchEntity"
    assert code_of(sts.assume_role, RoleArn=f"arn:aws:iam::{OWNER}:role/absent", RoleSessionName="me") == "AccessDenied"
    assert code_of(sts.assume_role, RoleArn=f"arn:aws:iam::{OWNER}:role/worker", RoleSessionName="me") == "AccessDenied"
    assert OTHER != OWNER


# ---- secrets


def test_secrets_are_told_to_nobody(secure: Server, wire: Wire, s3) -> None:
    """GHSA-r54g, CVE-2018-16889: no secret in errors, metrics or logs, whatever goes wrong."""
    seen = [wire.signed(Credentials("admin", "wrong-secret-0123456789"), "GET", f"/{BUCKET}").body]
    seen.append(wire.send("GET", wire.presign(as_("admin"), "GET", f"/{BUCKET}", {}, 0)).body)
    seen.append(wire.signed(as_("nobody"), "POST", "/", FORM, b"Action=CreateAccessKey&UserName=admin", "iam").body)
    seen.append(urllib.request.urlopen(secure.endpoint + "/metrics").read())
    seen.append(secure.log.read_bytes())
    seen += [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in secure.children()]
    for text in seen:
        assert SECRET.encode() not in text and b"wrong-secret" not in text


def test_default_credentials_do_not_exist(tmp_path: Path) -> None:
    """GHSA-j59h: a store without configured credentials makes its own; those of other stores open none."""
    with Server([tmp_path / "drive"], environment={"PYRITE_ACCESS_KEY": "", "PYRITE_SECRET_KEY": ""}) as server:
        wire = Wire(server.endpoint)
        for name, secret in (
            ("minioadmin", "minioadmin"),
            ("rustfsadmin", "rustfsadmin"),
            ("admin", "password"),
            ("", ""),
        ):
            assert wire.signed(Credentials(name, secret), "GET", "/").status in (400, 403)
        wait_until(lambda: "made for this store" in server.log.read_text())


def test_unauthenticated_paths_are_few(wire: Wire) -> None:
    """CVE-2023-28432: beside health and metrics every path needs a signature."""
    for path in (
        "/minio/bootstrap/v1/verify",
        "/minio/admin/v3/info",
        "/debug/pprof",
        "/rustfs/admin/v3/info",
        "/console",
        "/admin",
        "/env",
    ):
        assert wire.send("GET", path).status in (403, 404)
    assert b"<" not in wire.send("GET", "/health/live").body
    assert PART


@pytest.mark.parametrize("text", ["", "<ObjectLockConf", "<Other></Other>", "<ObjectLockConfiguration><Rule/>"])
def test_an_unreadable_lock_configuration_fails_closed(text: str) -> None:
    """Where a bucket's lock configuration cannot be read, no object is made without the lock that it might ask for."""
    record = BucketRecord(1, 7, "b", "owner", 0, versioning="Enabled", lock=True, configurations={"object-lock": text})
    with pytest.raises(PyriteError):
        default_lock(Bucket(7, record, 1), 0)
