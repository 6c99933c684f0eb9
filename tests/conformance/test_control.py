"""Tags of buckets through the S3 Control API, as Terraform's AWS provider and the AWS CLI manage them."""

import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.auth import HmacV1Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.conformance.test_boto3 import code_of
from tests.server import ACCESS_KEY, SECRET_KEY, Server

ARN = "arn:aws:s3:::tagged"


@pytest.fixture
def account(server: Server) -> str:
    return server.client(service="sts").get_caller_identity()["Account"]


@pytest.fixture
def control(server: Server, monkeypatch: pytest.MonkeyPatch):
    """A client; SDKs put the account before the host, which is no name where the host is an address."""
    resolve = socket.getaddrinfo

    def on_loopback(host: str, *rest: object, **more: object):
        return resolve("127.0.0.1" if str(host).endswith("localhost") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", on_loopback)
    return boto3.client(
        "s3control",
        endpoint_url=server.endpoint.replace("127.0.0.1", "localhost"),
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        verify=False,
    )


@pytest.fixture
def bucket(server: Server):
    s3 = server.client()
    s3.create_bucket(Bucket="tagged")
    yield s3
    s3.delete_bucket(Bucket="tagged")


def test_tags_are_added_and_taken_away(control, bucket, account: str) -> None:
    """Tags are merged, replaced and removed by their keys, and are those that GetBucketTagging tells."""
    named = {"AccountId": account, "ResourceArn": ARN}
    assert control.list_tags_for_resource(**named)["Tags"] == []
    control.tag_resource(**named, Tags=[{"Key": "team", "Value": "vision"}, {"Key": "cost", "Value": "1"}])
    control.tag_resource(**named, Tags=[{"Key": "cost", "Value": "2"}, {"Key": "x", "Value": ""}])
    tags = [{"Key": "cost", "Value": "2"}, {"Key": "team", "Value": "vision"}, {"Key": "x", "Value": ""}]
    assert control.list_tags_for_resource(**named)["Tags"] == tags
    assert bucket.get_bucket_tagging(Bucket="tagged")["TagSet"] == tags
    control.untag_resource(**named, TagKeys=["x", "cost", "none"])
    assert control.list_tags_for_resource(**named)["Tags"] == tags[1:2]


def test_what_cannot_be_tagged(control, bucket, account: str) -> None:
    """Other accounts' names, buckets that are not there, what is no bucket, and too many tags are refused."""
    tags = [{"Key": "a", "Value": "b"}]
    assert code_of(control.tag_resource, AccountId="999999999999", ResourceArn=ARN, Tags=tags)[0] == "AccessDenied"
    missing = {"AccountId": account, "ResourceArn": "arn:aws:s3:::not-there"}
    assert code_of(control.list_tags_for_resource, **missing) == ("NoSuchBucket", 404)
    other = {"AccountId": account, "ResourceArn": "arn:aws:s3:us-east-1:1:storage-lens-group/x"}
    assert code_of(control.list_tags_for_resource, **other) == ("InvalidRequest", 400)

    def without_keys(request: AWSRequest, **_: object) -> None:
        request.url = request.url.partition("?")[0]

    control.meta.events.register("before-sign.s3-control.UntagResource", without_keys)
    assert code_of(control.untag_resource, AccountId=account, ResourceArn=ARN, TagKeys=["a"]) == ("InvalidRequest", 400)
    many = [{"Key": f"k{n}", "Value": "v"} for n in range(50)]
    named = {"AccountId": account, "ResourceArn": ARN}
    control.tag_resource(**named, Tags=many)
    assert code_of(control.tag_resource, **named, Tags=tags)[1] == 400
    assert len(control.list_tags_for_resource(**named)["Tags"]) == 50


def test_the_tags_of_a_bucket_that_they_open(control, bucket, account: str) -> None:
    """Where tags decide who may use a bucket, PutBucketTagging and DeleteBucketTagging change them no more."""
    bucket.put_bucket_abac(Bucket="tagged", AbacStatus={"Status": "Enabled"})
    tagging = {"TagSet": [{"Key": "team", "Value": "x"}]}
    assert code_of(bucket.put_bucket_tagging, Bucket="tagged", Tagging=tagging) == ("AccessDenied", 403)
    assert code_of(bucket.delete_bucket_tagging, Bucket="tagged") == ("AccessDenied", 403)
    control.tag_resource(AccountId=account, ResourceArn=ARN, Tags=tagging["TagSet"])
    assert bucket.get_bucket_tagging(Bucket="tagged")["TagSet"] == tagging["TagSet"]


def test_a_bucket_of_that_name_is_a_bucket(server: Server) -> None:
    """Without the account's header the path is the one of an object."""
    s3 = server.client()
    s3.create_bucket(Bucket="v20180820")
    s3.put_object(Bucket="v20180820", Key=f"tags/{ARN}", Body=b"an object")
    assert s3.get_object(Bucket="v20180820", Key=f"tags/{ARN}")["Body"].read() == b"an object"


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """What is answered to a request without a signature."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.endpoint + path, method=method, headers=named)
    context = ssl._create_unverified_context() if server.tls else None
    try:
        with urllib.request.urlopen(request, context=context) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_errors_have_the_shape_of_this_api(server: Server) -> None:
    """SDKs look for the code of an error within another element than S3's."""
    status, body = ask(server, f"/v20180820/tags/{ARN}", x_amz_account_id="1")
    assert status == 404 and body.partition(b"?>")[2].strip().startswith(
        b"<ErrorResponse><Error><Code>NoSuchBucket</Code>"
    )
    assert ask(server, "/v20180820/tags/other", x_amz_account_id="1")[0] == 400
    assert ask(server, f"/v20180820/tags/{ARN}", "PUT", x_amz_account_id="1")[0] == 405


def test_only_signatures_that_cover_it_change_tags(bucket, server: Server) -> None:
    """Signature Version 2 leaves out which tags are meant, so it is not enough."""
    old = HmacV1Auth(Credentials(ACCESS_KEY, SECRET_KEY))
    made = AWSRequest("DELETE", f"{server.endpoint}/v20180820/tags/{ARN}?tagKeys=a", headers={"x-amz-account-id": "1"})
    old.add_auth(made)
    status, body = ask(server, f"/v20180820/tags/{ARN}?tagKeys=b", "DELETE", **dict(made.headers.items()))
    assert status == 403 and b"AccessDenied" in body


def test_hosts_of_buckets_are_not_of_this_api(tmp_path: Path) -> None:
    """A host that names a bucket, or a site, is never answered for another one."""
    options = ("--domain", "s3.test", "--website-domain", "web.test")
    with Server([tmp_path / "d"], *options) as server:
        for domain in ("s3.test", "web.test"):
            status, body = ask(server, f"/v20180820/tags/{ARN}", Host=f"one.{domain}", x_amz_account_id="1")
            assert status in (403, 404) and b"<ErrorResponse>" not in body
        assert b"<ErrorResponse>" in ask(server, f"/v20180820/tags/{ARN}", Host="1.s3.test", x_amz_account_id="1")[1]
