"""IAM and STS as boto3 and the AWS CLI use them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.server import ACCESS_KEY, SECRET_KEY, Server, wait_until

READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server([tmp_path_factory.mktemp("iam") / "drive"]) as server:
        yield server


def client(server: Server, service: str, credentials: dict | None = None):
    """A client of the root, or of the credentials that an answer gave."""
    found = credentials or {}
    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=found.get("AccessKeyId", ACCESS_KEY),
        aws_secret_access_key=found.get("SecretAccessKey", SECRET_KEY),
        aws_session_token=found.get("SessionToken"),
    )


def code_of(call, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def policy(effect: str, action: object, resource: object = "*", **more: object) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]}
    )


def trust(principal: object, **more: object) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"], **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_user_from_beginning_to_end(store: Server) -> None:
    """A user is made, gets keys, groups, policies and tags, is renamed, and leaves nothing behind."""
    iam = client(store, "iam")
    made = iam.create_user(UserName="Ada", Path="/team/", Tags=[{"Key": "team", "Value": "vision"}])["User"]
    assert made["Arn"].endswith(":user/team/Ada") and made["UserId"].startswith("AIDA")
    assert code_of(iam.create_user, UserName="ada") == "EntityAlreadyExists"
    iam.create_group(GroupName="readers")
    iam.add_user_to_group(GroupName="readers", UserName="Ada")
    iam.attach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    key = iam.create_access_key(UserName="Ada")["AccessKey"]
    s3 = client(store, "s3", key)
    assert s3.list_buckets()["Buckets"] == []
    assert code_of(s3.create_bucket, Bucket="not-hers") == "AccessDenied"
    iam.update_user(UserName="Ada", NewUserName="Grace", NewPath="/other/")
    assert iam.list_groups_for_user(UserName="grace")["Groups"][0]["GroupName"] == "readers"
    assert client(store, "sts", key).get_caller_identity()["Arn"].endswith(":user/other/Grace")
    assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["UserName"] == "Grace"
    iam.tag_user(UserName="Grace", Tags=[{"Key": "more", "Value": "x"}])
    iam.untag_user(UserName="Grace", TagKeys=["team"])
    assert iam.list_user_tags(UserName="Grace")["Tags"] == [{"Key": "more", "Value": "x"}]
    iam.update_access_key(UserName="Grace", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code_of(s3.list_buckets) == "InvalidAccessKeyId"
    assert code_of(iam.delete_user, UserName="Grace") == "DeleteConflict"
    iam.delete_access_key(UserName="Grace", AccessKeyId=key["AccessKeyId"])
    assert code_of(iam.delete_user, UserName="Grace") == "DeleteConflict"
    iam.remove_user_from_group(GroupName="readers", UserName="Grace")
    iam.delete_user(UserName="Grace")
    assert code_of(iam.get_user, UserName="Grace") == "NoSuchEntity"
    iam.detach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    iam.delete_group(GroupName="readers")


def test_managed_policies_and_versions(store: Server) -> None:
    """Versions are added, chosen and removed; what is attached cannot be deleted; the default is what counts."""
    iam = client(store, "iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=policy("Allow", "s3:ListAllMyBuckets"))["Policy"]["Arn"]
    iam.create_user(UserName="versioned")
    key = iam.create_access_key(UserName="versioned")["AccessKey"]
    iam.attach_user_policy(UserName="versioned", PolicyArn=arn)
    s3 = client(store, "s3", key)
    s3.list_buckets()
    for number in range(2, 6):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("Deny", "s3:*"), SetAsDefault=number == 2)
    assert code_of(s3.list_buckets) == "AccessDenied"
    assert code_of(iam.create_policy_version, PolicyArn=arn, PolicyDocument=policy("Allow", "*")) == "LimitExceeded"
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [v["VersionId"] for v in versions] == ["v5", "v4", "v3", "v2", "v1"]
    assert code_of(iam.delete_policy_version, PolicyArn=arn, VersionId="v2") == "DeleteConflict"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    s3.list_buckets()
    assert (
        iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]["Statement"][0]["Effect"]
        == "Allow"
    )
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == "versioned"
    assert code_of(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.detach_user_policy(UserName="versioned", PolicyArn=arn)
    for number in range(2, 6):
        iam.delete_policy_version(PolicyArn=arn, VersionId=f"v{number}")
    iam.delete_policy(PolicyArn=arn)
    assert code_of(s3.list_buckets) == "AccessDenied"


def test_roles_and_sessions(store: Server) -> None:
    """A role is assumed by whom it trusts; session policies, tags and durations limit and mark the session."""
    iam = client(store, "iam")
    user = iam.create_user(UserName="assumer")["User"]
    key = iam.create_access_key(UserName="assumer")["AccessKey"]
    condition = {"StringEquals": {"sts:ExternalId": "agreed"}}
    role = iam.create_role(
        RoleName="worker", AssumeRolePolicyDocument=trust({"AWS": user["Arn"]}, Condition=condition)
    )["Role"]
    mine = policy("Allow", "s3:*", "arn:aws:s3:::team-${aws:PrincipalTag/team}*")
    iam.put_role_policy(RoleName="worker", PolicyName="mine", PolicyDocument=mine)
    sts = client(store, "sts", key)
    arguments = {"RoleArn": role["Arn"], "RoleSessionName": "run-7", "Tags": [{"Key": "team", "Value": "red"}]}
    assert code_of(sts.assume_role, **arguments) == "AccessDenied"
    got = sts.assume_role(**arguments, ExternalId="agreed")
    assert got["AssumedRoleUser"]["Arn"].endswith("assumed-role/worker/run-7")
    s3 = client(store, "s3", got["Credentials"])
    s3.create_bucket(Bucket="team-red-1")
    assert code_of(s3.create_bucket, Bucket="team-blue-1") == "AccessDenied"
    narrow = policy("Allow", "s3:ListBucket")
    session = sts.assume_role(**arguments, ExternalId="agreed", Policy=narrow)["Credentials"]
    limited = client(store, "s3", session)
    limited.list_objects_v2(Bucket="team-red-1")
    assert code_of(limited.put_object, Bucket="team-red-1", Key="k") == "AccessDenied"
    assert code_of(sts.assume_role, **arguments, ExternalId="agreed", DurationSeconds=7200) == "ValidationError"
    old = policy("Deny", "*", Condition={"DateLessThan": {"aws:TokenIssueTime": "2999-01-01T00:00:00Z"}})
    iam.put_role_policy(RoleName="worker", PolicyName="AWSRevokeOlderSessions", PolicyDocument=old)
    assert code_of(s3.list_objects_v2, Bucket="team-red-1") == "AccessDenied"
    iam.delete_role_policy(RoleName="worker", PolicyName="AWSRevokeOlderSessions")
    s3.delete_bucket(Bucket="team-red-1")
    iam.delete_role_policy(RoleName="worker", PolicyName="mine")
    iam.delete_role(RoleName="worker")
    assert code_of(s3.list_buckets) == "InvalidToken"


def test_federation_and_session_tokens(store: Server) -> None:
    """GetFederationToken is limited by its policy, GetSessionToken is its caller; neither calls IAM."""
    iam = client(store, "iam")
    iam.create_user(UserName="issuer")
    iam.attach_user_policy(UserName="issuer", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    sts = client(store, "sts", iam.create_access_key(UserName="issuer")["AccessKey"])
    plain = sts.get_federation_token(Name="guest")["Credentials"]
    assert code_of(client(store, "s3", plain).list_buckets) == "AccessDenied"
    got = sts.get_federation_token(Name="guest", Policy=policy("Allow", "s3:ListAllMyBuckets"))
    assert got["FederatedUser"]["Arn"].endswith(":federated-user/guest")
    guest = client(store, "s3", got["Credentials"])
    guest.list_buckets()
    assert code_of(guest.create_bucket, Bucket="guests") == "AccessDenied"
    own = sts.get_session_token(DurationSeconds=900)["Credentials"]
    client(store, "s3", own).list_buckets()
    for credentials in (own, got["Credentials"]):
        assert code_of(client(store, "iam", credentials).list_users) == "AccessDenied"
        assert code_of(client(store, "sts", credentials).get_session_token) == "AccessDenied"
    assert client(store, "sts", own).get_caller_identity()["Arn"].endswith(":user/issuer")
    account = sts.get_caller_identity()["Account"]
    role = iam.create_role(RoleName="open", AssumeRolePolicyDocument=trust({"AWS": account}))["Role"]
    wanted = {"RoleArn": role["Arn"], "RoleSessionName": "night"}
    assert sts.assume_role(**wanted) and client(store, "sts", own).assume_role(**wanted)
    everything = sts.get_federation_token(Name="guest", Policy=policy("Allow", "*"))["Credentials"]
    assert code_of(client(store, "sts", everything).assume_role, **wanted) == "AccessDenied"
    code = {"SerialNumber": f"arn:aws:iam::{account}:mfa/issuer", "TokenCode": "123456"}
    assert code_of(sts.assume_role, **wanted, **code) == code_of(sts.get_session_token, **code) == "AccessDenied"


def test_boundaries_and_simulation(store: Server) -> None:
    """A boundary limits, and the simulator says of each action whether and why not."""
    iam = client(store, "iam")
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=policy("Allow", "s3:Get*"))["Policy"]["Arn"]
    arn = iam.create_user(UserName="simulated", PermissionsBoundary=limit)["User"]["Arn"]
    iam.put_user_policy(UserName="simulated", PolicyName="all", PolicyDocument=policy("Allow", "s3:*"))
    iam.put_user_policy(
        UserName="simulated", PolicyName="no", PolicyDocument=policy("Deny", "s3:GetObject", "arn:aws:s3:::b/secret")
    )
    results = iam.simulate_principal_policy(
        PolicySourceArn=arn,
        ActionNames=["s3:GetObject", "s3:PutObject", "iam:ListUsers"],
        ResourceArns=["arn:aws:s3:::b/x", "arn:aws:s3:::b/secret"],
    )["EvaluationResults"]
    decisions = {(r["EvalActionName"], r["EvalResourceName"][-6:]): r["EvalDecision"] for r in results}
    assert decisions["s3:GetObject", ":::b/x"] == "allowed" and decisions["s3:GetObject", "secret"] == "explicitDeny"
    assert (
        decisions["s3:PutObject", ":::b/x"] == "implicitDeny" and decisions["iam:ListUsers", ":::b/x"] == "implicitDeny"
    )
    assert code_of(iam.delete_policy, PolicyArn=limit) == "DeleteConflict"
    for name in ("all", "no"):
        iam.delete_user_policy(UserName="simulated", PolicyName=name)
    iam.delete_user(UserName="simulated")
    iam.delete_policy(PolicyArn=limit)
    custom = iam.simulate_custom_policy(
        PolicyInputList=[policy("Allow", "s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}})],
        ActionNames=["s3:GetObject"],
    )
    assert custom["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"


def test_buckets_by_their_tags(store: Server) -> None:
    """A bucket's tags decide who may use it once attribute-based access is enabled for it, and not before."""
    iam, owner = client(store, "iam"), client(store, "s3")
    owner.create_bucket(Bucket="tagged-abac")
    owner.put_bucket_tagging(Bucket="tagged-abac", Tagging={"TagSet": [{"Key": "team", "Value": "vision"}]})
    iam.create_user(UserName="by-tag")
    for_team = policy("Allow", "s3:*", Condition={"StringEquals": {"aws:ResourceTag/team": "vision"}})
    iam.put_user_policy(UserName="by-tag", PolicyName="p", PolicyDocument=for_team)
    s3 = client(store, "s3", iam.create_access_key(UserName="by-tag")["AccessKey"])
    assert owner.get_bucket_abac(Bucket="tagged-abac")["AbacStatus"] == {"Status": "Disabled"}
    assert code_of(s3.list_objects_v2, Bucket="tagged-abac") == "AccessDenied"
    owner.put_bucket_abac(Bucket="tagged-abac", AbacStatus={"Status": "Enabled"})
    assert owner.get_bucket_abac(Bucket="tagged-abac")["AbacStatus"] == {"Status": "Enabled"}
    s3.put_object(Bucket="tagged-abac", Key="k", Body=b"x")
    owner.put_bucket_abac(Bucket="tagged-abac", AbacStatus={"Status": "Disabled"})
    owner.put_bucket_tagging(Bucket="tagged-abac", Tagging={"TagSet": [{"Key": "team", "Value": "audio"}]})
    owner.put_bucket_abac(Bucket="tagged-abac", AbacStatus={"Status": "Enabled"})
    assert code_of(s3.put_object, Bucket="tagged-abac", Key="k", Body=b"x") == "AccessDenied"
    assert code_of(owner.put_bucket_abac, Bucket="tagged-abac", AbacStatus={"Status": "Maybe"}) == "MalformedXML"


def test_pages_of_lists(store: Server) -> None:
    """Lists come in pages, in the order of names whatever their case, and each name once."""
    iam = client(store, "iam")
    names = ["pa", "PB", "pc", "PD", "pe"]
    for name in reversed(names):
        iam.create_user(UserName=name, Path="/pages/")
    pages = iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 2})
    assert [user["UserName"] for page in pages for user in page["Users"]] == names
    assert code_of(iam.list_users, Marker="&&&") == "ValidationError"


def test_bad_input(store: Server) -> None:
    """Names, paths, documents and parameters that are wrong get an error that says which."""
    iam = client(store, "iam")
    for arguments in (
        {"UserName": "a b"},
        {"UserName": "x", "Path": "nopath"},
        {"UserName": "x", "Tags": [{"Key": "aws:a", "Value": "b"}]},
    ):
        assert code_of(iam.create_user, **arguments) == "ValidationError", arguments
    assert code_of(iam.create_policy, PolicyName="bad", PolicyDocument="{}") == "MalformedPolicyDocument"
    assert (
        code_of(iam.create_policy, PolicyName="big", PolicyDocument=policy("Allow", ["s3:" + "x" * 100] * 100))
        == "LimitExceeded"
    )
    assert (
        code_of(iam.create_role, RoleName="r", AssumeRolePolicyDocument=policy("Allow", "sts:AssumeRole"))
        == "MalformedPolicyDocument"
    )
    for unknown, arguments in (
        (iam.get_credential_report, {}),
        (client(store, "sts").decode_authorization_message, {"EncodedMessage": "x"}),
    ):
        assert code_of(unknown, **arguments) == "InvalidAction"
    assert code_of(iam.attach_user_policy, UserName="nobody-here", PolicyArn=READ_ONLY) == "NoSuchEntity"
    assert (
        code_of(client(store, "sts").assume_role, RoleArn="nonsense-that-is-long-enough", RoleSessionName="me")
        == "AccessDenied"
    )


def test_the_aws_cli(store: Server, tmp_path: Path) -> None:
    """`aws iam` and `aws sts` work with an endpoint and credentials, and a profile assumes a role by itself."""
    iam = client(store, "iam")
    user = iam.create_user(UserName="cli")["User"]
    key = iam.create_access_key(UserName="cli")["AccessKey"]
    role = iam.create_role(RoleName="cli-role", AssumeRolePolicyDocument=trust({"AWS": user["Arn"]}))["Role"]["Arn"]
    iam.attach_role_policy(RoleName="cli-role", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    config = tmp_path / "config"
    config.write_text(
        f"[profile base]\naws_access_key_id={key['AccessKeyId']}\naws_secret_access_key={key['SecretAccessKey']}\n"
        f"[profile role]\nrole_arn={role}\nsource_profile=base\nrole_session_name=cli\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment |= {
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    environment["AWS_EC2_METADATA_DISABLED"] = "true"

    def aws(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "aws"), *words, "--output", "json"]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    who = aws("sts", "get-caller-identity", "--profile", "base")
    assert who.returncode == 0 and json.loads(who.stdout)["Arn"] == user["Arn"], who.stderr
    assert "AccessDenied" in aws("iam", "list-users", "--profile", "base").stderr
    made = aws("s3api", "create-bucket", "--bucket", "by-role", "--profile", "role")
    assert made.returncode == 0, made.stderr
    assert "assumed-role/cli-role/cli" in aws("sts", "get-caller-identity", "--profile", "role").stdout
    assert aws("s3api", "delete-bucket", "--bucket", "by-role", "--profile", "role").returncode == 0


def _is_refused(s3) -> bool:
    try:
        s3.list_buckets()
    except ClientError as error:
        return error.response["Error"]["Code"] == "InvalidAccessKeyId"
    return False


def test_pyrite_iam(store: Server, tmp_path: Path) -> None:
    """`pyrite iam` beside the running server: what it makes works at once, what it deletes stops within a second."""
    stores = [word for path in store.drives for word in ("--store", str(path))]

    def run(*words: str) -> str:
        command = [str(Path(sys.executable).parent / "pyrite"), "iam", *words, *stores]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = json.loads(run("create-user", "by-hand", "--policy", READ_ONLY, "--json"))[0]
    s3 = client(store, "s3", {"AccessKeyId": made["access_key"], "SecretAccessKey": made["secret_key"]})
    s3.list_buckets()
    assert "by-hand" in run("users")
    (tmp_path / "narrow.json").write_text(policy("Allow", "s3:GetObject"))
    limited = json.loads(run("create-key", "by-hand", "--policy", str(tmp_path / "narrow.json"), "--json"))[0]
    narrow = client(store, "s3", {"AccessKeyId": limited["access_key"], "SecretAccessKey": limited["secret_key"]})
    assert code_of(narrow.list_buckets) == "AccessDenied"
    assert len(json.loads(run("keys", "by-hand", "--json"))) == 2
    run("delete-key", made["access_key"])
    wait_until(lambda: _is_refused(s3))
    account = json.loads(run("create-account", "tenant", "--json"))[0]
    tenant = client(store, "s3", {"AccessKeyId": account["access_key"], "SecretAccessKey": account["secret_key"]})
    tenant.create_bucket(Bucket="of-the-tenant")
    assert "of-the-tenant" not in [b["Name"] for b in client(store, "s3").list_buckets()["Buckets"]]
    assert code_of(client(store, "s3").list_objects_v2, Bucket="of-the-tenant") == "AccessDenied"
    (tmp_path / "ids.toml").write_text("[[account]]\n[[account.user]]\nname = 'declared'\n")
    assert "+ user" in run("apply", str(tmp_path / "ids.toml"), "--dry-run")
    assert "+ user" in run("apply", str(tmp_path / "ids.toml"))
    assert "nothing to change" in run("apply", str(tmp_path / "ids.toml"))
