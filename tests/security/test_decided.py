"""What a request does is what was decided about: the same version, the same parameters, whoever else may write."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3
from botocore.credentials import Credentials

from tests.conformance.test_iam import client, code_of
from tests.security.wire import Wire
from tests.server import Server

BUCKET = "decided"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Server([tmp_path_factory.mktemp("decided") / "d"]) as server:
        root = client(server, "s3")
        root.create_bucket(Bucket=BUCKET)
        root.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        client(server, "iam").create_user(UserName="ada")
        yield server


@pytest.fixture(scope="module")
def key(store: Server) -> dict:
    return client(store, "iam").create_access_key(UserName="ada")["AccessKey"]


@pytest.fixture
def root(store: Server):
    return client(store, "s3")


@pytest.fixture
def may(store: Server, key: dict):
    """Gives the user a policy of these statements, and its client."""

    def give(*statements: dict):
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        client(store, "iam").put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=text)
        return client(store, "s3", key)

    return give


def says(effect: str, action: object, **condition: dict) -> dict:
    made = {"Effect": effect, "Action": action, "Resource": "*"}
    return {**made, "Condition": condition} if condition else made


def with_query(s3, operation: str, **query: str):
    """`s3`, whose calls of an operation have more in their query than boto3 would send."""

    s3.meta.events.register(f"before-call.s3.{operation}", lambda params, **_: params["query_string"].update(query))
    return s3


@pytest.fixture
def versions(root):
    """Two versions of an object: the first has a tag that the second has not."""
    first = root.put_object(Bucket=BUCKET, Key="k", Body=b"public\n", Tagging="public=yes")["VersionId"]
    second = root.put_object(Bucket=BUCKET, Key="k", Body=b"secret\n")["VersionId"]
    yield first, second
    for page in root.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            root.delete_object(Bucket=BUCKET, Key=item["Key"], VersionId=item["VersionId"])


def present(root, version: str) -> bool:
    listed = root.list_object_versions(Bucket=BUCKET, Prefix="k").get("Versions", ())
    return version in [one["VersionId"] for one in listed]


def deleted(s3, version: str) -> bool:
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    return "Deleted" in answer


def test_deletes_of_many_know_their_versions(root, may, versions: tuple[str, str]) -> None:
    """DeleteObjects is decided for each version by its id and its tags, whatever the URL names."""
    first, second = versions
    s3 = may(says("Allow", "s3:*"), says("Deny", "s3:DeleteObjectVersion", StringEquals={"s3:VersionId": first}))
    assert code_of(s3.delete_object, Bucket=BUCKET, Key="k", VersionId=first) == "AccessDenied"
    assert not deleted(s3, first)
    tagged = says("Deny", "s3:DeleteObjectVersion", StringEquals={"s3:ExistingObjectTag/public": "yes"})
    s3 = may(says("Allow", "s3:*"), tagged)
    assert not deleted(s3, first)
    s3 = may(says("Allow", "s3:*", StringEquals={"s3:VersionId": first}))
    assert not deleted(with_query(s3, "DeleteObjects", versionId=first), second)
    assert present(root, first) and present(root, second)
    s3 = may(says("Allow", "s3:DeleteObjectVersion", StringEquals={"s3:VersionId": second}))
    assert deleted(s3, second) and not deleted(s3, first)


def test_copies_know_their_sources_version(root, may, versions: tuple[str, str]) -> None:
    """The source of a copy is decided by its own version, whatever version the URL of the copy names."""
    first, second = versions
    source = {"Bucket": BUCKET, "Key": "k"}
    s3 = may(says("Allow", "s3:*"), says("Deny", "s3:GetObjectVersion", StringEquals={"s3:VersionId": first}))
    assert code_of(s3.get_object, Bucket=BUCKET, Key="k", VersionId=first) == "AccessDenied"
    given = {"Bucket": BUCKET, "Key": "mine", "CopySource": {**source, "VersionId": first}}
    assert code_of(s3.copy_object, **given) == "AccessDenied"
    only = says("Allow", ["s3:GetObject*"], StringEquals={"s3:VersionId": first})
    s3 = with_query(may(says("Allow", "s3:PutObject*"), only), "CopyObject", versionId=first)
    assert code_of(s3.copy_object, **{**given, "CopySource": {**source, "VersionId": second}}) == "AccessDenied"
    tagged = says("Allow", ["s3:GetObject*"], StringEquals={"s3:ExistingObjectTag/public": "yes"})
    s3 = with_query(may(says("Allow", "s3:PutObject*"), tagged), "CopyObject", versionId=first)
    again = {"Bucket": BUCKET, "Key": "k", "CopySource": source, "MetadataDirective": "REPLACE"}
    assert code_of(s3.copy_object, **again) == "AccessDenied"
    assert s3.copy_object(**given)["CopyObjectResult"]


def test_queries_are_about_what_is_current(root, may, versions: tuple[str, str]) -> None:
    """A query reads the current version, and so it is that one which has to be allowed."""
    first, _ = versions
    s3 = may(says("Allow", "s3:GetObjectVersion"), says("Deny", "s3:GetObject"))
    with_query(s3, "SelectObjectContent", versionId=first)
    asked = {
        "Bucket": BUCKET, "Key": "k", "Expression": "SELECT * FROM S3Object", "ExpressionType": "SQL",
        "InputSerialization": {"CSV": {}}, "OutputSerialization": {"CSV": {}},
    }  # fmt: skip
    assert code_of(s3.select_object_content, **asked) == "AccessDenied"
    s3 = may(
        says("Allow", ["s3:GetObject", "s3:GetObjectVersion"], StringEquals={"s3:ExistingObjectTag/public": "yes"})
    )
    with_query(s3, "SelectObjectContent", versionId=first)
    assert code_of(s3.select_object_content, **asked) == "AccessDenied"


def test_writers_by_an_access_control_list_may_still_be_denied(store: Server, root, may) -> None:
    """That a bucket has an access control list does not undo what policies say of its own account's users."""
    name = "decided-acls"
    root.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    root.delete_public_access_block(Bucket=name)
    s3 = may(says("Allow", "s3:PutObject"), says("Deny", ["s3:PutObjectAcl", "s3:PutObjectTagging"]))
    for _ in range(2):
        assert code_of(s3.put_object, Bucket=name, Key="k", ACL="public-read") == "AccessDenied"
        assert code_of(s3.put_object, Bucket=name, Key="k", Tagging="clearance=all") == "AccessDenied"
        root.put_bucket_acl(Bucket=name, ACL="private")
    s3 = may(says("Allow", "s3:PutObject"))
    assert code_of(s3.put_object, Bucket=name, Key="k", ACL="public-read") == "AccessDenied"
    root.put_bucket_acl(Bucket=name, ACL="public-read-write")
    assert code_of(s3.put_object, Bucket=name, Key="k", ACL="public-read") == "AccessDenied"
    s3.put_object(Bucket=name, Key="k")
    root.delete_object(Bucket=name, Key="k")
    root.delete_bucket(Bucket=name)


def test_what_an_old_signature_does_not_cover(store: Server, root) -> None:
    """A presigned URL of Signature Version 2 leads to nothing by parameters that are not under its signature."""
    root.put_object(Bucket=BUCKET, Key="signed", Body=b"x")
    root.put_object_annotation(Bucket=BUCKET, Key="signed", AnnotationName="note", AnnotationPayload=b"internal")
    given = {"Bucket": BUCKET, "Key": "signed"}
    http = urllib3.PoolManager()
    reading = root.generate_presigned_url("get_object", Params=given)
    assert "AWSAccessKeyId=" in reading
    assert http.request("GET", reading).data == b"x"
    for more in ("annotation&annotationName=note", "annotation", "attributes", "lambdaArn=x", "legal-hold", "acl"):
        assert http.request("GET", f"{reading}&{more}").status == 403, more
    writing = root.generate_presigned_url("put_object", Params=given)
    assert http.request("PUT", f"{writing}&annotation&annotationName=evil", body=b"planted").status == 403
    assert http.request("PUT", f"{writing}&renameObject", headers={"x-amz-rename-source": "other"}).status == 403
    deleting = root.generate_presigned_url("delete_object", Params=given)
    assert http.request("DELETE", f"{deleting}&annotation&annotationName=note").status == 403
    told = root.list_object_annotations(Bucket=BUCKET, Key="signed")["Annotations"]
    assert [one["AnnotationName"] for one in told] == ["note"]


def test_who_owns_the_source_of_a_copy(root) -> None:
    """A source bucket that belongs to somebody else than the client expects is not read."""
    root.put_object(Bucket=BUCKET, Key="source", Body=b"x")
    given = {"Bucket": BUCKET, "Key": "copy", "CopySource": f"{BUCKET}/source"}
    assert code_of(root.copy_object, **given, ExpectedSourceBucketOwner="999999999999") == "AccessDenied"
    upload = root.create_multipart_upload(Bucket=BUCKET, Key="copy")["UploadId"]
    part = {**given, "UploadId": upload, "PartNumber": 1, "ExpectedSourceBucketOwner": "999999999999"}
    assert code_of(root.upload_part_copy, **part) == "AccessDenied"
    root.abort_multipart_upload(Bucket=BUCKET, Key="copy", UploadId=upload)


def test_what_a_write_replaces_is_what_it_was_decided_on(store: Server, root, may, key: dict) -> None:
    """Who may not overwrite objects of a tag does not overwrite one that gets it while the body is under way."""
    may(
        says("Allow", "s3:*"),
        says("Deny", ["s3:PutObject", "s3:DeleteObject"], StringEquals={"s3:ExistingObjectTag/keep": "yes"}),
    )
    root.put_object(Bucket=BUCKET, Key="raced", Body=b"before")
    body, wire = b"x" * 1000, Wire(store.endpoint)
    signed = wire.sign(Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "PUT", f"/{BUCKET}/raced", body=body)
    head = {"Host": wire.host, **signed, "Content-Length": str(len(body)), "Expect": "100-continue"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    with socket.create_connection(("127.0.0.1", store.port), timeout=120) as sent:
        sent.sendall(f"PUT /{BUCKET}/raced HTTP/1.1\r\n{lines}\r\n".encode())
        assert sent.recv(4096).startswith(b"HTTP/1.1 100")  # it is decided
        root.put_object(Bucket=BUCKET, Key="raced", Body=b"kept", Tagging="keep=yes")
        sent.sendall(body)
        answer = sent.recv(65536)
    assert answer.startswith(b"HTTP/1.1 403") and b"AccessDenied" in answer
    assert root.get_object(Bucket=BUCKET, Key="raced")["Body"].read() == b"kept"
    assert code_of(client(store, "s3", key).put_object, Bucket=BUCKET, Key="raced", Body=b"x") == "AccessDenied"


def test_tags_that_decide_nothing_fail_no_write(store: Server, root, may, key: dict) -> None:
    """Where tags decide about reads alone, writers of one key never meet each other, nor a key that is listed twice."""
    may(says("Allow", "s3:*"), says("Deny", "s3:GetObject", StringEquals={"s3:ExistingObjectTag/secret": "yes"}))

    def write(number: int) -> None:
        s3 = client(store, "s3", key)
        for turn in range(10):
            s3.put_object(Bucket=BUCKET, Key="shared", Body=b"x", Tagging=f"writer={number}-{turn}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    s3 = client(store, "s3", key)
    version = s3.put_object(Bucket=BUCKET, Key="shared", Body=b"x", Tagging="a=b")["VersionId"]
    twice = [{"Key": "shared", "VersionId": version}] * 2 + [{"Key": "shared"}] * 2
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": twice})
    assert len(answer["Deleted"]) == 4 and "Errors" not in answer


def test_an_upload_is_completed_by_several_at_once(store: Server, root, may, key: dict) -> None:
    """Each of several completions of one upload has the answer of the one that did it, also under a condition."""
    may(says("Allow", "s3:*"), says("Deny", "s3:GetObject", StringEquals={"s3:ExistingObjectTag/secret": "yes"}))
    s3 = client(store, "s3", key)
    for number in range(5):
        name = {"Bucket": BUCKET, "Key": f"completed-{number}"}
        upload = s3.create_multipart_upload(**name, Tagging="keep=yes")["UploadId"]
        etag = s3.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}

        def complete(_: int, name: dict = name, upload: str = upload, parts: dict = parts) -> str:
            own = client(store, "s3", key)
            return own.complete_multipart_upload(**name, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")[
                "ETag"
            ]

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(complete, range(4)))) == 1
