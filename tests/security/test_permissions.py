"""Condition keys of IAM and STS come from what an action is about; sessions keep what was said when they began."""

import json

import pytest

from tests.conformance.test_iam import client, code_of, trust
from tests.server import Server


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Server([tmp_path_factory.mktemp("permissions") / "d"]) as server:
        yield server


def statement(effect: str, action: object, resource: object = "*", **condition: dict) -> dict:
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return {**made, "Condition": condition} if condition else made


def document(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ALL = document(statement("Allow", "*"))


@pytest.fixture
def iam(store: Server):
    return client(store, "iam")


@pytest.fixture
def user(store: Server, iam):
    """Makes users with an inline policy; gives their access keys."""
    made = []

    def make(name: str, *statements: dict, **more: object) -> dict:
        iam.create_user(UserName=name, **more)
        made.append(name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
        return iam.create_access_key(UserName=name)["AccessKey"]

    yield make
    for name in made:
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        for policy in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_user(UserName=name)


@pytest.fixture
def boundary(iam):
    arn = iam.create_policy(PolicyName="edge", PolicyDocument=ALL)["Policy"]["Arn"]
    yield arn
    iam.delete_policy(PolicyArn=arn)


def forging(store: Server, key: dict, **forged: str):
    """A client that sends parameters beside those of the action; `__` stands for a dot."""
    made = client(store, "iam", key)
    more = {name.replace("__", "."): value for name, value in forged.items()}
    made.meta.events.register("before-call.iam", lambda params, **_: params["body"].update(more))
    return made


def test_a_boundary_that_is_only_said(store: Server, iam, boundary: str, user) -> None:
    """PermissionsBoundary beside another action's parameters does not stand for the user's own boundary."""
    user("plain")
    user("edged", PermissionsBoundary=boundary)
    only = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    helper = user(
        "helper",
        statement("Allow", ["iam:AttachUserPolicy", "iam:PutUserPolicy"], **only),
        statement("Allow", "iam:DeleteUserPermissionsBoundary"),
        statement("Deny", "iam:DeleteUserPermissionsBoundary", **only),
    )
    given = {"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    forger = forging(store, helper, PermissionsBoundary=boundary)
    for who in (client(store, "iam", helper), forger):
        assert code_of(who.attach_user_policy, UserName="plain", **given) == "AccessDenied"
        assert code_of(who.put_user_policy, UserName="plain", PolicyName="q", PolicyDocument=ALL) == "AccessDenied"
    client(store, "iam", helper).attach_user_policy(UserName="edged", **given)
    other = forging(store, helper, PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert code_of(other.delete_user_permissions_boundary, UserName="edged") == "AccessDenied"
    assert iam.get_user(UserName="edged")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary


def test_tags_that_are_only_said(store: Server, iam, user) -> None:
    """Which tags are put is told by Tags and not by TagKeys, and neither counts for actions that have none."""
    user("subject")
    cost = {"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}}
    limited = user(
        "tagger",
        statement("Allow", ["iam:TagUser", "iam:CreateUser"], **cost),
        statement("Allow", "iam:DeleteUser", StringEquals={"aws:RequestTag/team": "red"}),
        statement("Allow", "iam:PutUserPolicy", ArnEquals={"iam:PolicyARN": "arn:aws:iam::aws:policy/X"}),
    )
    forger = forging(store, limited, TagKeys__member__1="cost")
    role = [{"Key": "role", "Value": "admin"}]
    assert code_of(forger.tag_user, UserName="subject", Tags=role) == "AccessDenied"
    assert code_of(forger.create_user, UserName="made", Tags=role) == "AccessDenied"
    red = forging(store, limited, Tags__member__1__Key="team", Tags__member__1__Value="red")
    assert code_of(red.delete_user, UserName="subject") == "AccessDenied"
    named = forging(store, limited, PolicyArn="arn:aws:iam::aws:policy/X")
    assert code_of(named.put_user_policy, UserName="subject", PolicyName="q", PolicyDocument=ALL) == "AccessDenied"
    forger.tag_user(UserName="subject", Tags=[{"Key": "cost", "Value": "1"}])
    assert iam.list_user_tags(UserName="subject")["Tags"] == [{"Key": "cost", "Value": "1"}]


def test_a_move_is_allowed_where_it_leads(store: Server, iam, user) -> None:
    """Who renames or moves a user or group needs the permission for the new ARN, too."""
    user("worker", Path="/dev/")
    mover = client(
        store,
        "iam",
        user("mover", statement("Allow", "iam:Update*", ["arn:aws:iam::*:user/dev/*", "arn:aws:iam::*:group/dev/*"])),
    )
    assert code_of(mover.update_user, UserName="worker", NewPath="/admin/") == "AccessDenied"
    assert code_of(mover.update_user, UserName="worker", NewPath="/admin/", NewUserName="boss") == "AccessDenied"
    mover.update_user(UserName="worker", NewPath="/dev/more/")
    mover.update_user(UserName="worker", NewPath="/dev/")
    iam.create_group(GroupName="g", Path="/dev/")
    assert code_of(mover.update_group, GroupName="g", NewPath="/admin/") == "AccessDenied"
    mover.update_group(GroupName="g", NewGroupName="h")
    iam.delete_group(GroupName="h")


def test_tags_of_policies_and_providers(store: Server, iam, user) -> None:
    """A denial by the tag of a policy or a provider holds, and no other spelling of its ARN evades one."""
    protected = [{"Key": "protected", "Value": "true"}]
    policy = iam.create_policy(PolicyName="kept", PolicyDocument=ALL, Tags=protected)["Policy"]["Arn"]
    made = iam.create_open_id_connect_provider(
        Url="https://Case.example.com/A", ClientIDList=["a"], ThumbprintList=[], Tags=protected
    )
    arn = made["OpenIDConnectProviderArn"]
    key = user(
        "keeper",
        statement("Allow", "*"),
        statement("Deny", "iam:*", StringEquals={"aws:ResourceTag/protected": "true"}),
        statement("Deny", "iam:*", arn),
    )
    keeper = client(store, "iam", key)
    new = {"PolicyArn": policy, "PolicyDocument": ALL, "SetAsDefault": True}
    assert code_of(keeper.create_policy_version, **new) == "AccessDenied"
    adding = {"ClientID": "b"}
    add = keeper.add_client_id_to_open_id_connect_provider
    assert code_of(add, OpenIDConnectProviderArn=arn, **adding) == "AccessDenied"
    for spelled in (arn.lower(), arn.replace("arn:aws:iam", "arn:awsx:sts"), arn.replace("arn:aws:iam", "iam:x")):
        assert code_of(add, OpenIDConnectProviderArn=spelled, **adding) in ("NoSuchEntity", "ValidationError")
        gone = keeper.delete_open_id_connect_provider
        assert code_of(gone, OpenIDConnectProviderArn=spelled) in ("NoSuchEntity", "ValidationError")
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == ["a"]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    iam.delete_policy(PolicyArn=policy)


def test_topics_by_another_region(store: Server, user) -> None:
    """A topic is found by its ARN as it is, so that a denial by the ARN holds."""
    sns = client(store, "sns")
    arn = sns.create_topic(Name="news")["TopicArn"]
    key = user("reader", statement("Allow", "*"), statement("Deny", "sns:*", arn))
    reader = client(store, "sns", key)
    setting = {"AttributeName": "DisplayName", "AttributeValue": "x"}
    assert code_of(reader.set_topic_attributes, TopicArn=arn, **setting) == "AuthorizationError"
    other = arn.replace("us-east-1", "eu-west-1")
    assert code_of(reader.set_topic_attributes, TopicArn=other, **setting) == "NotFound"
    reader.delete_topic(TopicArn=other)
    assert sns.list_topics()["Topics"] == [{"TopicArn": arn}]
    sns.delete_topic(TopicArn=arn)


def test_what_is_in_the_own_account(store: Server, user) -> None:
    """aws:ResourceAccount is there for IAM and STS; who asks for a key's last use is judged by its user."""
    account = client(store, "sts").get_caller_identity()["Account"]
    key = user(
        "inside",
        statement("Allow", "iam:*", "arn:aws:iam::*:user/${aws:username}"),
        statement("Allow", "sts:*", "arn:aws:sts::*:federated-user/inside-*"),
        statement("Deny", "*", StringNotEquals={"aws:ResourceAccount": account}),
    )
    inside = client(store, "iam", key)
    assert inside.get_user()["User"]["UserName"] == "inside"
    assert inside.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["UserName"] == "inside"
    sts = client(store, "sts", key)
    sts.get_session_token()
    assert sts.get_federation_token(Name="inside-1")["FederatedUser"]
    assert code_of(sts.get_federation_token, Name="outside") == "AccessDenied"


def test_tags_of_federated_users(store: Server, user) -> None:
    """Who gives a federated user tags needs sts:TagSession."""
    key = user("giver", statement("Allow", "sts:GetFederationToken"))
    sts = client(store, "sts", key)
    sts.get_federation_token(Name="some")
    red = [{"Key": "team", "Value": "red"}]
    assert code_of(sts.get_federation_token, Name="some", Tags=red) == "AccessDenied"


def test_what_a_chain_of_roles_keeps(store: Server, iam, user) -> None:
    """Transitive tags and the source identity go on to the next role, and cannot be said otherwise there."""
    key = user("first", statement("Allow", ["sts:*"]))
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    account = client(store, "sts").get_caller_identity()["Account"]
    everybody = json.loads(trust({"AWS": account}))
    everybody["Statement"][0]["Action"] = actions
    for name, allowed in (("one", actions), ("two", actions), ("three", ["sts:AssumeRole"])):
        everybody["Statement"][0]["Action"] = allowed
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(everybody))
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(statement("Allow", "sts:*")))
    roles = {name: f"arn:aws:iam::{account}:role/{name}" for name in ("one", "two", "three")}
    red = {
        "Tags": [{"Key": "Team", "Value": "red"}, {"Key": "own", "Value": "1"}],
        "TransitiveTagKeys": ["Team"],
        "SourceIdentity": "grace",
    }
    one = client(store, "sts", key).assume_role(RoleArn=roles["one"], RoleSessionName="one", **red)
    assert one["SourceIdentity"] == "grace"
    sts = client(store, "sts", one["Credentials"])
    two = {"RoleArn": roles["two"], "RoleSessionName": "two"}
    assert code_of(sts.assume_role, **two, SourceIdentity="other") == "AccessDenied"
    assert code_of(sts.assume_role, **two, Tags=[{"Key": "team", "Value": "blue"}]) == "ValidationError"
    assert code_of(sts.assume_role, RoleArn=roles["three"], RoleSessionName="three") == "AccessDenied"
    chained = sts.assume_role(**two)
    assert chained["SourceIdentity"] == "grace"
    needs = statement(
        "Allow", "iam:ListUsers", StringEquals={"aws:PrincipalTag/team": "red", "aws:SourceIdentity": "grace"}
    )
    unless = statement("Deny", "*", StringLike={"aws:PrincipalTag/own": "*"})
    iam.put_role_policy(RoleName="two", PolicyName="p", PolicyDocument=document(needs, unless))
    assert client(store, "iam", chained["Credentials"]).list_users()["Users"]
    for name in roles:
        iam.delete_role_policy(RoleName=name, PolicyName="p")
        iam.delete_role(RoleName=name)


def test_sessions_that_say_too_much(store: Server, iam, user) -> None:
    """A session whose token would be too long to be accepted is refused when it is asked for."""
    key = user("verbose", statement("Allow", "sts:*"))
    account = client(store, "sts").get_caller_identity()["Account"]
    text = json.loads(trust({"AWS": account}))
    text["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    arn = iam.create_role(RoleName="wordy", AssumeRolePolicyDocument=json.dumps(text))["Role"]["Arn"]
    sts = client(store, "sts", key)
    for count, expected in ((20, ""), (50, "PackedPolicyTooLarge")):
        tags = [{"Key": f"key-{number}", "Value": "v" * 200} for number in range(count)]
        asked = {"RoleArn": arn, "RoleSessionName": "words", "Tags": tags}
        if expected:
            assert code_of(sts.assume_role, **asked) == expected
        else:
            made = sts.assume_role(**asked)["Credentials"]
            assert client(store, "sts", made).get_caller_identity()["Account"] == account
    iam.delete_role(RoleName="wordy")
