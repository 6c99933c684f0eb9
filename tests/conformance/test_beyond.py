"""Renames, quotas, requesters who pay, access logs, and encryption that changes its key: as users see them."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.conformance.test_boto3 import code_of
from tests.server import PYRITE, Server, wait_until


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("own")
    with Server(
        [folder / "d"], "--keyring", str(folder / "keyring"), environment={"PYRITE_LOG_ROLL_S": "0.5"}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def s3(own: Server):
    return own.client()


def read(s3, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_renames(s3) -> None:
    """A rename moves the name alone, under conditions, within its bucket, and only where no versions are kept."""
    s3.create_bucket(Bucket="rename-1")
    body = os.urandom(300_000)
    put = s3.put_object(Bucket="rename-1", Key="from", Body=body, Metadata={"a": "b"})
    s3.put_object(Bucket="rename-1", Key="taken", Body=b"taken")

    def rename(source: str, key: str, **more: str) -> None:
        s3.rename_object(Bucket="rename-1", Key=key, RenameSource=source, **more)

    assert code_of(rename, "none", "to") == ("NoSuchKey", 404)
    assert code_of(rename, "from", "from")[0] == "InvalidRequest"
    assert code_of(rename, "from", "taken", DestinationIfNoneMatch="*")[0] == "PreconditionFailed"
    assert code_of(rename, "from", "to", SourceIfMatch='"other"')[0] == "PreconditionFailed"
    assert code_of(rename, "/other-bucket/from", "to")[0] == "InvalidRequest"
    rename("from", "dir/to", SourceIfMatch=put["ETag"])
    assert code_of(s3.get_object, Bucket="rename-1", Key="from") == ("NoSuchKey", 404)
    found = s3.get_object(Bucket="rename-1", Key="dir/to")
    assert (found["Body"].read(), found["ETag"], found["Metadata"]) == (body, put["ETag"], {"a": "b"})
    rename("dir/to", "taken")
    assert read(s3, "rename-1", "taken") == body
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="rename-1")["Contents"]] == ["taken"]
    s3.put_bucket_versioning(Bucket="rename-1", VersioningConfiguration={"Status": "Enabled"})
    assert code_of(rename, "taken", "to")[0] == "InvalidRequest"


def test_another_key_around_an_object(own: Server, s3) -> None:
    """UpdateObjectEncryption wraps an object's key anew: no byte moves, and the new KMS key decides from then on."""
    kms = own.client(service="kms")
    s3.create_bucket(Bucket="reseal-1")
    body = os.urandom(400_000)
    s3.put_object(Bucket="reseal-1", Key="k", Body=body)
    key = kms.create_key()["KeyMetadata"]
    s3.update_object_encryption(
        Bucket="reseal-1", Key="k", ObjectEncryption={"SSEKMS": {"KMSKeyArn": key["Arn"], "BucketKeyEnabled": False}}
    )
    head = s3.head_object(Bucket="reseal-1", Key="k")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key["Arn"])
    assert read(s3, "reseal-1", "k") == body
    kms.disable_key(KeyId=key["KeyId"])
    assert code_of(s3.get_object, Bucket="reseal-1", Key="k")[0] == "KMS.DisabledException"


def account(own: Server, name: str) -> dict[str, str]:
    """The access key of a new account."""
    run = [PYRITE, "iam", "create-account", "--json", "--store", str(own.drives[0]), name]
    variables = {**os.environ, "PYRITE_KEYRING": own.options[1]}
    made = json.loads(subprocess.run(run, check=True, capture_output=True, env=variables).stdout)
    return made[0] if isinstance(made, list) else made


def test_no_key_of_another_account_around_an_object(own: Server, s3) -> None:
    """Nobody takes an object from its owner by wrapping its key under one of theirs, which they let everybody use."""
    s3.create_bucket(Bucket="reseal-2")
    s3.put_object(Bucket="reseal-2", Key="k", Body=b"mine")
    stranger = account(own, "stranger")
    kms = own.client(stranger["access_key"], stranger["secret_key"], service="kms")
    open_to_all = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [open_to_all]})
    arn = kms.create_key(Policy=policy, BypassPolicyLockoutSafetyCheck=True)["KeyMetadata"]["Arn"]
    asked = {"SSEKMS": {"KMSKeyArn": arn, "BucketKeyEnabled": False}}
    refused = code_of(s3.update_object_encryption, Bucket="reseal-2", Key="k", ObjectEncryption=asked)
    assert refused == ("AccessDenied", 403)
    assert s3.head_object(Bucket="reseal-2", Key="k")["ServerSideEncryption"] == "AES256"
    assert read(s3, "reseal-2", "k") == b"mine"


def test_quotas_are_exact(own: Server, s3) -> None:
    """A bucket holds what its quota allows and not a byte more, whoever writes at once; deleting always works."""
    s3.create_bucket(Bucket="quota-1")
    run = [PYRITE, "bucket", "quota", "quota-1", "1000", "--store", str(own.drives[0])]
    subprocess.run(run, check=True, capture_output=True)
    s3.put_object(Bucket="quota-1", Key="a", Body=b"x" * 600)
    assert code_of(s3.put_object, Bucket="quota-1", Key="b", Body=b"x" * 401) == ("QuotaExceeded", 403)
    s3.put_object(Bucket="quota-1", Key="b", Body=b"x" * 400)
    s3.put_object(Bucket="quota-1", Key="a", Body=b"x" * 600)  # what it replaces makes room for it
    assert code_of(s3.put_object, Bucket="quota-1", Key="c", Body=b"x")[0] == "QuotaExceeded"
    s3.delete_object(Bucket="quota-1", Key="b")
    s3.put_object(Bucket="quota-1", Key="c", Body=b"x" * 400)
    listed = subprocess.run([PYRITE, "bucket", "list", "--json", "--store", str(own.drives[0])], capture_output=True)
    row = next(row for row in json.loads(listed.stdout) if row["name"] == "quota-1")
    assert (row["objects"], row["size_bytes"], row["quota_bytes"]) == (2, 1000, 1000)


def test_requesters_who_pay(own: Server, s3) -> None:
    """Where requesters pay, another account has to say that it will; the owner does not."""
    s3.create_bucket(Bucket="payer-1")
    s3.put_object(Bucket="payer-1", Key="k", Body=b"x")
    payment = {"Payer": "Requester"}
    assert s3.get_bucket_request_payment(Bucket="payer-1")["Payer"] == "BucketOwner"
    s3.put_bucket_request_payment(Bucket="payer-1", RequestPaymentConfiguration=payment)
    s3.put_public_access_block(Bucket="payer-1", PublicAccessBlockConfiguration={"BlockPublicPolicy": False})
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::payer-1/*"}
    s3.put_bucket_policy(Bucket="payer-1", Policy=json.dumps({"Statement": [allow]}))
    assert s3.get_bucket_request_payment(Bucket="payer-1")["Payer"] == "Requester"
    made = account(own, "guest")
    guest = own.client(made["access_key"], made["secret_key"])
    assert code_of(guest.get_object, Bucket="payer-1", Key="k") == ("AccessDenied", 403)
    assert guest.get_object(Bucket="payer-1", Key="k", RequestPayer="requester")["RequestCharged"] == "requester"
    assert read(s3, "payer-1", "k") == b"x"


def test_access_logs(own: Server, s3) -> None:
    """Requests to a bucket are told in objects of another one, if that one's policy lets the service write there."""
    s3.create_bucket(Bucket="logged-1")
    s3.create_bucket(Bucket="logs-1")
    status = {"LoggingEnabled": {"TargetBucket": "logs-1", "TargetPrefix": "of/"}}
    s3.put_bucket_logging(Bucket="logged-1", BucketLoggingStatus=status)  # the policy counts when logs are delivered
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs-1/of/*",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::logged-1"}},
    }
    s3.put_bucket_policy(Bucket="logs-1", Policy=json.dumps({"Statement": [allow]}))
    assert s3.get_bucket_logging(Bucket="logged-1")["LoggingEnabled"]["TargetBucket"] == "logs-1"
    s3.put_object(Bucket="logged-1", Key='a "b"\n c', Body=b"12345")
    assert code_of(s3.get_object, Bucket="logged-1", Key="none")[0] == "NoSuchKey"

    def lines() -> list[str]:
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="logs-1", Prefix="of/").get("Contents", [])]
        return [line for key in keys for line in read(s3, "logs-1", key).decode().splitlines()]

    wait_until(lambda: any("REST.GET.OBJECT none" in line for line in lines()))
    put = next(line for line in lines() if "REST.PUT.OBJECT" in line)
    assert "logged-1" in put and "a%20%22b%22%0A%20c" in put and " 200 - " in put
    missing = next(line for line in lines() if "REST.GET.OBJECT none" in line)
    assert " 404 NoSuchKey " in missing
    assert all(line.startswith(s3.get_bucket_acl(Bucket="logged-1")["Owner"]["ID"]) for line in lines())


def test_logs_that_others_may_read(own: Server, s3) -> None:
    """Target grants stand on every object of records, where the target bucket has access control lists."""
    s3.create_bucket(Bucket="logged-2")
    s3.create_bucket(Bucket="logs-2")
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs-2/*",
    }
    s3.put_bucket_policy(Bucket="logs-2", Policy=json.dumps({"Statement": [allow]}))
    group = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
    grants = [{"Grantee": {"Type": "Group", "URI": group}, "Permission": "READ"}]
    enabled = {"TargetBucket": "logs-2", "TargetPrefix": "", "TargetGrants": grants}
    put = {"Bucket": "logged-2", "BucketLoggingStatus": {"LoggingEnabled": enabled}}
    assert code_of(s3.put_bucket_logging, **put)[0] == "InvalidArgument"
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket="logs-2", OwnershipControls=controls)
    s3.put_bucket_logging(**put)
    found = s3.get_bucket_logging(Bucket="logged-2")["LoggingEnabled"]["TargetGrants"]
    assert [(one["Grantee"]["URI"], one["Permission"]) for one in found] == [(group, "READ")]
    s3.put_object(Bucket="logged-2", Key="k", Body=b"x")
    wait_until(lambda: s3.list_objects_v2(Bucket="logs-2").get("Contents"))
    (log, *_) = s3.list_objects_v2(Bucket="logs-2")["Contents"]
    listed = s3.get_object_acl(Bucket="logs-2", Key=log["Key"])["Grants"]
    assert (group, "READ") in [(one["Grantee"].get("URI"), one["Permission"]) for one in listed]


def test_configurations_by_id(s3) -> None:
    """Configurations of which there may be many are kept by their ids."""
    s3.create_bucket(Bucket="listed-1")
    for n in range(3):
        s3.put_bucket_metrics_configuration(Bucket="listed-1", Id=f"m{n}", MetricsConfiguration={"Id": f"m{n}"})
    listed = s3.list_bucket_metrics_configurations(Bucket="listed-1")["MetricsConfigurationList"]
    assert [one["Id"] for one in listed] == ["m0", "m1", "m2"]
    s3.delete_bucket_metrics_configuration(Bucket="listed-1", Id="m1")
    assert code_of(s3.get_bucket_metrics_configuration, Bucket="listed-1", Id="m1") == ("NoSuchConfiguration", 404)
    assert s3.get_bucket_metrics_configuration(Bucket="listed-1", Id="m2")["MetricsConfiguration"]["Id"] == "m2"
    s3.put_bucket_accelerate_configuration(Bucket="listed-1", AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(Bucket="listed-1")["Status"] == "Enabled"
