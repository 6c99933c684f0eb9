"""Tags of buckets through the S3 Control API, as Terraform's AWS provider and the AWS CLI manage them."""

import socket

import boto3
import pytest

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
