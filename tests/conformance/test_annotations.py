"""Annotations as boto3 users see them: beside versions, copies, locks, encryption, permissions, quotas and events."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.conformance.test_boto3 import code_of
from tests.server import ACCESS_KEY, PYRITE, SECRET_KEY, Server


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotated")
    with Server([folder / "d"], "--keyring", str(folder / "keyring")) as server:
        yield server


@pytest.fixture(scope="module")
def s3(own: Server):
    client = own.client()
    client.create_bucket(Bucket="annotated")
    return client


def annotate(s3, key: str, name: str, payload: bytes, bucket: str = "annotated", **more):
    return s3.put_object_annotation(
        Bucket=bucket, Key=key, AnnotationName=name, AnnotationPayload=payload, **more
    )  # fmt: skip


def read(s3, key: str, name: str, bucket: str = "annotated", **more) -> bytes:
    found = s3.get_object_annotation(Bucket=bucket, Key=key, AnnotationName=name, **more)
    return found["AnnotationPayload"].read()


def names(s3, key: str, bucket: str = "annotated", **more) -> list[str]:
    listed = s3.list_object_annotations(Bucket=bucket, Key=key, **more)
    return [entry["AnnotationName"] for entry in listed["Annotations"]]


def test_a_label_comes_and_goes(s3) -> None:
    """Payloads are put, read, replaced, listed and removed; the object stays as it is."""
    put = s3.put_object(Bucket="annotated", Key="image", Body=b"pixels")
    done = annotate(s3, "image", "caption.v1", "eine Möwe".encode(), ChecksumAlgorithm="SHA256")
    assert (done["Key"], done["AnnotationName"], done["ServerSideEncryption"]) == ("image", "caption.v1", "AES256")
    annotate(s3, "image", "Etikett-ü_1", b"x" * (1 << 20))
    annotate(s3, "image", "caption.v1", b"a gull")
    assert read(s3, "image", "caption.v1", ChecksumMode="ENABLED") == b"a gull"
    listed = s3.list_object_annotations(Bucket="annotated", Key="image")
    assert [(e["AnnotationName"], e["Size"]) for e in listed["Annotations"]] == [
        ("Etikett-ü_1", 1 << 20),
        ("caption.v1", 6),
    ]
    assert listed["AnnotationCount"] == 2
    assert code_of(read, s3, "image", "none") == ("NoSuchAnnotation", 404)
    assert code_of(names, s3, "absent") == ("NoSuchKey", 404)
    head = s3.head_object(Bucket="annotated", Key="image")
    assert (head["ETag"], head["ContentLength"]) == (put["ETag"], 6)
    for _ in range(2):  # removing what is not there is no error
        s3.delete_object_annotation(Bucket="annotated", Key="image", AnnotationName="caption.v1")
    assert names(s3, "image") == ["Etikett-ü_1"]
    s3.put_object(Bucket="annotated", Key="image", Body=b"pixels")
    assert names(s3, "image") == []


def test_what_is_refused(s3) -> None:
    """Names, payloads and conditions that AWS refuses are refused, and nothing is stored."""
    s3.put_object(Bucket="annotated", Key="strict", Body=b"x")
    for name in ("aws-x", "S3.x", "a/b", "a b", "ä" * 256 + "b"):
        assert code_of(annotate, s3, "strict", name, b"x") in (
            ("InvalidAnnotationName", 400),
            ("AnnotationNameTooLong", 400),
        )
    assert code_of(annotate, s3, "strict", "ok", b"\xff\xfe")[1] == 415
    assert code_of(annotate, s3, "strict", "ok", b"")[0] == "InvalidRequest"
    assert code_of(annotate, s3, "strict", "ok", b"x" * (1 << 20) + b"y")[0] == "EntityTooLarge"
    assert code_of(annotate, s3, "strict", "ok", b"x", ObjectIfMatch='"other"') == ("PreconditionFailed", 412)
    assert code_of(annotate, s3, "strict", "ok", b"x", ChecksumCRC32="AAAAAA==")[0] == "BadDigest"
    assert code_of(annotate, s3, "absent", "ok", b"x") == ("NoSuchKey", 404)
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    s3.put_object(Bucket="annotated", Key="customer", Body=b"x", **own)
    assert code_of(annotate, s3, "customer", "ok", b"x")[0] == "InvalidRequest"
    assert names(s3, "strict") == []


def test_pages_and_the_limit(s3) -> None:
    """A version has at most a thousand annotations; they are listed in pages and by prefix, and go with the version."""
    s3.put_object(Bucket="annotated", Key="many", Body=b"x")
    for n in range(1000):
        annotate(s3, "many", f"n{n:04}", b"%d" % n)
    assert code_of(annotate, s3, "many", "more", b"x") == ("AnnotationLimitExceeded", 400)
    annotate(s3, "many", "n0007", b"again")
    found, token = [], {}
    while True:
        page = s3.list_object_annotations(Bucket="annotated", Key="many", MaxAnnotationResults=300, **token)
        found += [entry["AnnotationName"] for entry in page["Annotations"]]
        if "NextContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert found == [f"n{n:04}" for n in range(1000)]
    assert names(s3, "many", AnnotationPrefix="n099") == [f"n099{n}" for n in range(10)]
    s3.delete_object(Bucket="annotated", Key="many")


def test_versions_and_locks(s3) -> None:
    """Each version has its own; a retained one keeps those that it has, and takes new ones."""
    s3.create_bucket(Bucket="annotated-lock", ObjectLockEnabledForBucket=True)
    first = s3.put_object(Bucket="annotated-lock", Key="k", Body=b"1")["VersionId"]
    annotate(s3, "k", "a", b"first", "annotated-lock")
    second = s3.put_object(Bucket="annotated-lock", Key="k", Body=b"2")["VersionId"]
    assert names(s3, "k", "annotated-lock") == [] and names(s3, "k", "annotated-lock", VersionId=first) == ["a"]
    annotate(s3, "k", "b", b"second", "annotated-lock", VersionId=second)
    s3.delete_object(Bucket="annotated-lock", Key="k")
    assert read(s3, "k", "b", "annotated-lock", VersionId=second) == b"second"
    until = datetime.now(UTC) + timedelta(days=1)
    held = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    s3.put_object_retention(Bucket="annotated-lock", Key="k", VersionId=second, Retention=held)
    remove = {"Bucket": "annotated-lock", "Key": "k", "AnnotationName": "b", "VersionId": second}
    assert code_of(s3.delete_object_annotation, **remove) == ("AccessDenied", 403)
    assert code_of(annotate, s3, "k", "b", b"x", "annotated-lock", VersionId=second) == ("AccessDenied", 403)
    annotate(s3, "k", "c", b"new", "annotated-lock", VersionId=second)
    assert read(s3, "k", "b", "annotated-lock", VersionId=second) == b"second"


def test_copies(s3) -> None:
    """A copy has its source's annotations unless they are excluded, whichever way its bytes come, and apart from them."""
    s3.put_object(Bucket="annotated", Key="source", Body=b"bytes")
    annotate(s3, "source", "a", b"one")
    annotate(s3, "source", "b", b"two" * 100_000)
    copies = {
        "shared": {},
        "summed": {"ChecksumAlgorithm": "SHA256"},
        "kms": {"ServerSideEncryption": "aws:kms"},
    }
    for key, more in copies.items():
        s3.copy_object(Bucket="annotated", Key=key, CopySource="annotated/source", **more)
    s3.copy_object(Bucket="annotated", Key="bare", CopySource="annotated/source", AnnotationDirective="EXCLUDE")
    s3.delete_object(Bucket="annotated", Key="source")
    annotate(s3, "shared", "a", b"changed")
    for key in ("summed", "kms"):
        assert (read(s3, key, "a"), read(s3, key, "b")) == (b"one", b"two" * 100_000)
    assert (read(s3, "shared", "a"), read(s3, "shared", "b")) == (b"changed", b"two" * 100_000)
    assert names(s3, "bare") == []
    s3.rename_object(Bucket="annotated", Key="renamed", RenameSource="shared")
    assert names(s3, "renamed") == ["a", "b"]
    s3.put_object(Bucket="annotated", Key="renamed", Body=b"more", WriteOffsetBytes=5)
    assert read(s3, "renamed", "a") == b"changed"


def test_quota(own: Server, s3) -> None:
    """What annotations take counts against the bucket's quota, and comes back."""
    s3.create_bucket(Bucket="annotated-quota")
    run = [PYRITE, "bucket", "quota", "annotated-quota", "100", "--store", str(own.drives[0])]
    subprocess.run(run, check=True, capture_output=True)
    s3.put_object(Bucket="annotated-quota", Key="k", Body=b"x" * 50)
    annotate(s3, "k", "a", b"y" * 40, "annotated-quota")
    assert code_of(annotate, s3, "k", "b", b"y" * 20, "annotated-quota") == ("QuotaExceeded", 403)
    annotate(s3, "k", "a", b"y", "annotated-quota")
    annotate(s3, "k", "b", b"y" * 49, "annotated-quota")


def test_permissions(own: Server, s3) -> None:
    """Annotations of versions are another permission, and a copy needs both sides' ones."""
    s3.create_bucket(Bucket="annotated-few")
    s3.put_bucket_versioning(Bucket="annotated-few", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="annotated-few", Key="k", Body=b"x")["VersionId"]
    annotate(s3, "k", "a", b"one", "annotated-few")
    iam = own.client(service="iam")
    iam.create_user(UserName="annotator")
    actions = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:ListObjectAnnotations"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="annotator", PolicyName="p", PolicyDocument=policy)
    made = iam.create_access_key(UserName="annotator")["AccessKey"]
    few = own.client(made["AccessKeyId"], made["SecretAccessKey"])
    assert names(few, "k", "annotated-few") == ["a"]
    assert code_of(names, few, "k", "annotated-few", VersionId=version) == ("AccessDenied", 403)
    assert code_of(read, few, "k", "a", "annotated-few") == ("AccessDenied", 403)
    copy = {"Bucket": "annotated-few", "Key": "copy", "CopySource": "annotated-few/k"}
    assert code_of(few.copy_object, **copy) == ("AccessDenied", 403)
    few.copy_object(**copy, AnnotationDirective="EXCLUDE")


def test_a_payload_whose_length_is_not_told(own: Server, s3) -> None:
    """The limit holds for a body that comes in chunks too."""
    s3.put_object(Bucket="annotated", Key="chunked", Body=b"x")
    named = {"Bucket": "annotated", "Key": "chunked", "AnnotationName": "long"}
    for size, status in ((1 << 20, 200), ((1 << 20) + 1, 400)):
        url = f"{own.endpoint}/annotated/chunked?annotation&annotationName=long"
        request = AWSRequest("PUT", url, data=b"y" * size)
        S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
        blocks = (b"y" * min(1 << 16, size - start) for start in range(0, size, 1 << 16))
        with urllib3.PoolManager() as pool:
            answer = pool.request("PUT", request.url, headers=dict(request.headers), body=blocks, chunked=True)
        assert answer.status == status, answer.data
        assert len(s3.get_object_annotation(**named)["AnnotationPayload"].read()) == 1 << 20
