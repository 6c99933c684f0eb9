"""Policies speak of the users and roles that had their names when they were put, and of no namesake made later."""

import json

import pytest

from tests.conformance.test_iam import client, code_of, trust
from tests.server import Server

BUCKET = "of-names"
RESOURCES = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    with Server([folder / "d"], "--workers", "2", "--keyring", str(folder / "keyring")) as server:
        client(server, "s3").create_bucket(Bucket=BUCKET)
        yield server


def put(store: Server, principal: object, effect: str = "Allow") -> None:
    statement = {"Effect": effect, "Principal": principal, "Action": "s3:*", "Resource": RESOURCES}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    client(store, "s3").put_bucket_policy(Bucket=BUCKET, Policy=text)


def told(store: Server) -> object:
    document = json.loads(client(store, "s3").get_bucket_policy(Bucket=BUCKET)["Policy"])
    return document["Statement"]["Principal"]["AWS"]


def make(store: Server, name: str, **more: str) -> tuple[dict, dict]:
    iam = client(store, "iam")
    user = iam.create_user(UserName=name, **more)["User"]
    return user, iam.create_access_key(UserName=name)["AccessKey"]


def remove(store: Server, name: str, key: dict) -> None:
    iam = client(store, "iam")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def lists(store: Server, key: dict) -> bool:
    """Whether the bearer of a key may list the bucket. A change is known to every worker within a second."""
    s3 = client(store, "s3", key)
    return code_of_list(s3) == ""


def code_of_list(s3) -> str:
    try:
        s3.list_objects_v2(Bucket=BUCKET)
    except s3.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def test_a_user_that_is_made_again(store: Server) -> None:
    """A grant to a user does not pass on to another one of the same name, and tells who it was made for."""
    user, key = make(store, "ada", Path="/team/")
    put(store, {"AWS": user["Arn"]})
    assert lists(store, key) and told(store) == user["Arn"]
    remove(store, "ada", key)
    assert told(store) == user["UserId"]
    again, key = make(store, "ada", Path="/team/")
    assert again["Arn"] == user["Arn"] and again["UserId"] != user["UserId"]
    assert not lists(store, key) and told(store) == user["UserId"]
    put(store, {"AWS": [again["Arn"]]})
    assert lists(store, key) and told(store) in (again["Arn"], [again["Arn"]])
    remove(store, "ada", key)


def test_a_user_that_is_renamed(store: Server) -> None:
    """A grant and a refusal follow the user, not the name, and by the unique id they can be put again."""
    user, key = make(store, "grace")
    put(store, {"AWS": user["Arn"]})
    client(store, "iam").update_user(UserName="grace", NewUserName="hopper")
    assert lists(store, key) and told(store) == user["UserId"]
    put(store, {"AWS": told(store)})
    assert lists(store, key)
    _, other = make(store, "grace")
    assert not lists(store, other)
    remove(store, "grace", other)
    remove(store, "hopper", key)


def test_a_role_that_is_made_again(store: Server) -> None:
    """Sessions of a role's namesake have nothing of what the role was granted; who it trusted is remembered, too."""
    iam, sts = client(store, "iam"), client(store, "sts")
    user, key = make(store, "alan")
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})

    def session(bearer: dict) -> dict:
        arn = iam.get_role(RoleName="reader")["Role"]["Arn"]
        return client(store, "sts", bearer).assume_role(RoleArn=arn, RoleSessionName="night")["Credentials"]

    iam.put_user_policy(UserName="alan", PolicyName="p", PolicyDocument=document)
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust({"AWS": user["Arn"]}))["Role"]
    put(store, {"AWS": role["Arn"]})
    assert lists(store, session(key))
    account = sts.get_caller_identity()["Account"]
    named = f"arn:aws:sts::{account}:assumed-role/reader/night"
    put(store, {"AWS": named})
    assert lists(store, session(key))
    put(store, {"AWS": role["Arn"]})
    iam.delete_role(RoleName="reader")
    assert told(store) == role["RoleId"]
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust({"AWS": user["Arn"]}))
    assert not lists(store, session(key))
    iam.delete_user_policy(UserName="alan", PolicyName="p")
    remove(store, "alan", key)
    _, key = make(store, "alan")
    iam.put_user_policy(UserName="alan", PolicyName="p", PolicyDocument=document)
    assert code_of(session, bearer=key) == "AccessDenied"
    told_trust = iam.get_role(RoleName="reader")["Role"]["AssumeRolePolicyDocument"]
    assert told_trust["Statement"][0]["Principal"]["AWS"] == user["UserId"]
    iam.update_assume_role_policy(RoleName="reader", PolicyDocument=trust({"AWS": user["Arn"]}))
    assert session(key)["AccessKeyId"].startswith("ASIA")
    iam.delete_user_policy(UserName="alan", PolicyName="p")
    remove(store, "alan", key)
    iam.delete_role(RoleName="reader")


def test_a_role_is_assumed_by_whom_it_trusts_alone(store: Server) -> None:
    """A user whose own policies allow it to assume every role still needs the trust of each, within one account too."""
    iam = client(store, "iam")
    trusted, _ = make(store, "trusted")
    _, key = make(store, "other")
    iam.put_user_policy(
        UserName="other",
        PolicyName="p",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        ),
    )
    sts = client(store, "sts", key)
    account = sts.get_caller_identity()["Account"]
    role = iam.create_role(RoleName="vault", AssumeRolePolicyDocument=trust({"AWS": trusted["Arn"]}))["Role"]
    wanted = {"RoleArn": role["Arn"], "RoleSessionName": "night"}
    assert code_of(sts.assume_role, **wanted) == "AccessDenied"
    for principal in (account, f"arn:aws:iam::{account}:root", "*"):
        iam.update_assume_role_policy(RoleName="vault", PolicyDocument=trust({"AWS": principal}))
        assert sts.assume_role(**wanted)["Credentials"]["AccessKeyId"].startswith("ASIA")
    iam.delete_user_policy(UserName="other", PolicyName="p")
    iam.update_assume_role_policy(RoleName="vault", PolicyDocument=trust({"AWS": account}))
    assert code_of(sts.assume_role, **wanted) == "AccessDenied"  # the account leaves it to its identities' policies


def test_a_key_that_a_user_may_use(store: Server) -> None:
    """What the policy of a KMS key grants to a user, a namesake does not have."""
    account = client(store, "sts").get_caller_identity()["Account"]
    kms = client(store, "kms")
    user, key = make(store, "joan")
    root = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:*", "Resource": "*"}
    own = {**root, "Principal": {"AWS": user["Arn"]}}
    text = json.dumps({"Version": "2012-10-17", "Statement": [root, own]})
    made = kms.create_key(Policy=text)["KeyMetadata"]["KeyId"]
    assert client(store, "kms", key).encrypt(KeyId=made, Plaintext=b"x")
    remove(store, "joan", key)
    _, key = make(store, "joan")
    assert code_of(client(store, "kms", key).encrypt, KeyId=made, Plaintext=b"x") == "AccessDeniedException"
    told = json.loads(kms.get_key_policy(KeyId=made, PolicyName="default")["Policy"])
    assert told["Statement"][1]["Principal"]["AWS"] == user["UserId"]
    kms.put_key_policy(KeyId=made, PolicyName="default", Policy=text)
    assert client(store, "kms", key).encrypt(KeyId=made, Plaintext=b"x")
    remove(store, "joan", key)
    assert (
        code_of(kms.put_key_policy, KeyId=made, PolicyName="default", Policy=text) == "MalformedPolicyDocumentException"
    )


def test_who_is_not_there(store: Server) -> None:
    """A policy that names nobody is refused when it is put, and says whom it means; the one before it stays."""
    account = client(store, "sts").get_caller_identity()["Account"]
    put(store, {"AWS": [account, f"arn:aws:iam::{account}:root"]}, "Allow")
    before = told(store)
    for principal in (
        f"arn:aws:iam::{account}:user/nobody",
        f"arn:aws:iam::{account}:role/nobody",
        f"arn:aws:sts::{account}:assumed-role/nobody/s",
        "arn:aws:iam::999999999999:root",
        "999999999999",
    ):
        s3, iam = client(store, "s3"), client(store, "iam")
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "s3:*", "Resource": RESOURCES}
        text = json.dumps({"Version": "2012-10-17", "Statement": statement})
        with pytest.raises(s3.exceptions.ClientError) as caught:
            s3.put_bucket_policy(Bucket=BUCKET, Policy=text)
        assert caught.value.response["Error"]["Code"] == "MalformedPolicy"
        assert principal in caught.value.response["Error"]["Message"]
        document = trust({"AWS": principal})
        assert code_of(iam.create_role, RoleName="r", AssumeRolePolicyDocument=document) == "MalformedPolicyDocument"
    assert told(store) == before
