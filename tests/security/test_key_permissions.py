"""Keys of other accounts are used and not managed; tags, aliases and contexts are what policies take them for."""

import base64
import json

import pytest

from tests.conformance.test_boto3 import code_of
from tests.security.conftest import client_of
from tests.security.people import OTHER, OWNER, allow, document, write_identities
from tests.server import Server


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    options = ("--identities", str(write_identities(folder)), "--keyring", str(folder / "keyring"))
    with Server([folder / "d"], *options) as server:
        yield server


@pytest.fixture(scope="module")
def kms(store: Server):
    return client_of(store, "kms", "admin")


def set_policy(store: Server, user: str, *statements: dict) -> None:
    client_of(store, "iam", "admin").put_user_policy(
        UserName=user, PolicyName="keys", PolicyDocument=document(*statements)
    )


def test_keys_of_others_are_used_not_managed(store: Server, kms) -> None:
    """Whom a key's policy lets do everything with it may still not manage it, or its aliases, from another account."""
    whole = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    principals = {"AWS": [f"arn:aws:iam::{OWNER}:root", f"arn:aws:iam::{OTHER}:root"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**whole, "Principal": principals}]})
    shared = kms.create_key(Policy=policy)["KeyMetadata"]["Arn"]
    own = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=own)
    other = client_of(store, "kms", "stranger")
    theirs = other.create_key()["KeyMetadata"]["KeyId"]
    other.create_alias(AliasName="alias/app", TargetKeyId=theirs)
    blob = other.encrypt(KeyId=shared, Plaintext=b"x")["CiphertextBlob"]
    assert other.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert other.describe_key(KeyId=shared)["KeyMetadata"]["Arn"] == shared
    for call, arguments in (
        (other.update_alias, {"AliasName": "alias/app", "TargetKeyId": shared}),
        (other.create_alias, {"AliasName": "alias/mine", "TargetKeyId": shared}),
        (other.schedule_key_deletion, {"KeyId": shared}),
        (other.disable_key, {"KeyId": shared}),
        (other.put_key_policy, {"KeyId": shared, "Policy": policy}),
        (other.tag_resource, {"KeyId": shared, "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
    ):
        assert code_of(call, **arguments) == ("AccessDeniedException", 400), arguments
    assert kms.describe_key(KeyId="alias/app")["KeyMetadata"]["KeyId"] == own
    assert other.describe_key(KeyId="alias/app")["KeyMetadata"]["KeyId"] == theirs
    other.delete_alias(AliasName="alias/app")


def test_an_alias_needs_a_permission_of_its_own(store: Server, kms) -> None:
    """Who may do it with the key has to be allowed the alias, too."""
    key = kms.create_key()["KeyMetadata"]["Arn"]
    set_policy(store, "nobody", allow("kms:*", key))
    nobody = client_of(store, "kms", "nobody")
    assert code_of(nobody.create_alias, AliasName="alias/new", TargetKeyId=key)[0] == "AccessDeniedException"
    set_policy(store, "nobody", allow("kms:*", [key, f"arn:aws:kms:us-east-1:{OWNER}:alias/new"]))
    nobody.create_alias(AliasName="alias/new", TargetKeyId=key)
    assert code_of(nobody.create_alias, AliasName="alias/else", TargetKeyId=key)[0] == "AccessDeniedException"
    nobody.delete_alias(AliasName="alias/new")


def test_tags_of_keys_decide(store: Server, kms) -> None:
    """Which tags may be put is decided by them, and no other case of a tag hides it."""
    key = kms.create_key(Tags=[{"TagKey": "team", "TagValue": "secret"}])["KeyMetadata"]["KeyId"]
    clash = [{"TagKey": "Team", "TagValue": "public"}]
    assert code_of(kms.tag_resource, KeyId=key, Tags=clash)[0] == "ValidationException"
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}}
    making = {"StringEquals": {"aws:RequestTag/team": "red", "aws:ResourceAccount": OWNER}}
    set_policy(
        store,
        "nobody",
        allow(["kms:TagResource", "kms:UntagResource"], Condition=only),
        allow("kms:CreateKey", Condition=making),
    )
    nobody = client_of(store, "kms", "nobody")
    assert (
        code_of(nobody.tag_resource, KeyId=key, Tags=[{"TagKey": "role", "TagValue": "x"}])[0]
        == "AccessDeniedException"
    )
    assert code_of(nobody.untag_resource, KeyId=key, TagKeys=["team"])[0] == "AccessDeniedException"
    nobody.tag_resource(KeyId=key, Tags=[{"TagKey": "cost", "TagValue": "x"}])
    assert code_of(nobody.create_key)[0] == "AccessDeniedException"
    assert nobody.create_key(Tags=[{"TagKey": "team", "TagValue": "red"}])["KeyMetadata"]["Enabled"]


def test_the_context_of_an_object_is_its_own(store: Server) -> None:
    """A client cannot say in the encryption context that it writes another object than it does."""
    s3 = client_of(store, "s3", "admin")
    s3.create_bucket(Bucket="contexts")
    forged = base64.b64encode(json.dumps({"aws:s3:arn": "arn:aws:s3:::elsewhere/k"}).encode()).decode()
    asked = {"Bucket": "contexts", "Key": "k", "ServerSideEncryption": "aws:kms"}
    assert code_of(s3.put_object, **asked, SSEKMSEncryptionContext=forged) == ("InvalidArgument", 400)
    own = base64.b64encode(json.dumps({"team": "red"}).encode()).decode()
    s3.put_object(**asked, SSEKMSEncryptionContext=own, Body=b"x")
    assert s3.get_object(Bucket="contexts", Key="k")["Body"].read() == b"x"
