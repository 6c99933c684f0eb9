"""Every action of IAM, STS, SNS and KMS, by everybody who may not: it is refused, and nothing is changed."""

import base64
import json
from collections.abc import Callable

import pytest
from botocore.credentials import Credentials

from pyrite.iamapi.app import SERVICE_OF
from pyrite.iamapi.authorization import FREE, UNSIGNED
from pyrite.kmsapi.app import HANDLERS
from tests.security.conftest import client_of
from tests.security.people import OWNER, SECRET, as_, write_identities
from tests.security.test_matrix import credentials_of
from tests.security.wire import Answer, Wire
from tests.server import Server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PARAMETERS = (
    "UserName=nobody&RoleName=worker&GroupName=g&PolicyName=p&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess"
    f"&Name=tt&TopicArn=arn:aws:sns:us-east-1:{OWNER}:tt&AccessKeyId=nobody&Status=Inactive&NewUserName=renamed"
    '&PolicyDocument={"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
)
WRONG = [
    (Credentials("unknown", SECRET), "InvalidClientTokenId", "UnrecognizedClientException"),
    (Credentials("admin", "not-the-secret"), "SignatureDoesNotMatch", "InvalidSignatureException"),
    (Credentials("admin", SECRET, "not-a-token"), "InvalidClientTokenId", "UnrecognizedClientException"),
]


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calls")
    options = ("--identities", str(write_identities(folder)), "--keyring", str(folder / "keyring"))
    with Server([folder / "d"], *options) as server:
        client_of(server, "iam", "admin").create_group(GroupName="g")
        client_of(server, "sns", "admin").create_topic(Name="tt")
        yield server


@pytest.fixture
def wire(secure: Server) -> Wire:
    return Wire(secure.endpoint)


@pytest.fixture(scope="module")
def key(secure: Server) -> dict:
    """A key with an alias, and something that is encrypted under it."""
    kms = client_of(secure, "kms", "admin")
    made = kms.create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    kms.create_alias(AliasName="alias/owned", TargetKeyId=made["KeyId"])
    blob = kms.encrypt(KeyId=made["KeyId"], Plaintext=b"secret")["CiphertextBlob"]
    return {"arn": made["Arn"], "blob": base64.b64encode(blob).decode()}


def identities(secure: Server) -> list[object]:
    """All that the actions of IAM and SNS could have changed in the owner's account."""
    iam = client_of(secure, "iam", "admin")
    asked: list[Callable[[], dict]] = [
        iam.get_account_summary,
        iam.list_users,
        iam.list_roles,
        iam.list_groups,
        iam.list_account_aliases,
        lambda: iam.list_policies(Scope="Local"),
        lambda: iam.get_role(RoleName="worker"),
        client_of(secure, "sns", "admin").list_topics,
        *(
            lambda call=call: call(UserName="nobody")
            for call in (
                iam.list_access_keys,
                iam.list_user_policies,
                iam.list_attached_user_policies,
                iam.list_user_tags,
            )
        ),
    ]
    return [{name: value for name, value in call().items() if name != "ResponseMetadata"} for call in asked]


def keys(secure: Server, key: dict) -> list[object]:
    """All that the actions of KMS could have changed."""
    kms, name = client_of(secure, "kms", "admin"), {"KeyId": key["arn"]}
    asked: list[Callable[[], dict]] = [
        kms.list_keys,
        kms.list_aliases,
        *(
            lambda call=call: call(**name)
            for call in (kms.describe_key, kms.get_key_policy, kms.list_resource_tags, kms.get_key_rotation_status)
        ),
    ]
    return [{field: value for field, value in call().items() if field != "ResponseMetadata"} for call in asked]


def call_kms(wire: Wire, credentials: Credentials | None, action: str, key: dict) -> Answer:
    document = {
        "KeyId": key["arn"], "TargetKeyId": key["arn"], "DestinationKeyId": key["arn"], "AliasName": "alias/owned",
        "CiphertextBlob": key["blob"], "Plaintext": "eA==", "Policy": "{}", "Description": "changed",
        "Tags": [{"TagKey": "c", "TagValue": "d"}], "TagKeys": ["a"], "NumberOfBytes": 32,
    }  # fmt: skip
    if action in ("CreateKey", "Decrypt", "ReEncrypt"):
        del document["Policy"], document["KeyId"]
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"TrentService.{action}"}
    if credentials is None:
        return wire.send("POST", "/", headers, body)
    return wire.signed(credentials, "POST", "/", headers, body, "kms")


@pytest.mark.parametrize("who", ["nobody", "bounded", "denied", "narrow", "session", "stranger", "otherroot"])
def test_keys_of_others(secure: Server, wire: Wire, key: dict, who: str) -> None:
    """Whoever lacks the permission, or belongs to another account, does nothing with a key."""
    before, credentials = keys(secure, key), credentials_of(secure, who)
    own = (
        ("CreateKey", "ListKeys", "ListAliases", "DeleteAlias", "UpdateAlias")
        if who in ("stranger", "otherroot")
        else ()
    )
    for action in HANDLERS:
        answer = call_kms(wire, credentials, action, key)
        if action in own:  # it is about the caller's own account, or about an alias that it does not have
            assert key["arn"].encode() not in answer.body or answer.status == 400, (action, answer)
            continue
        assert answer.status == 400 and b"AccessDeniedException" in answer.body, (action, answer)
    assert keys(secure, key) == before


@pytest.mark.parametrize(("credentials", "_", "code"), WRONG)
def test_keys_with_wrong_credentials(
    secure: Server, wire: Wire, key: dict, credentials: Credentials, _: str, code: str
) -> None:
    """No action of KMS is done for an unknown key, a wrong secret or a token that is none."""
    before = keys(secure, key)
    for action in HANDLERS:
        answer = call_kms(wire, credentials, action, key)
        assert answer.status == 400 and code.encode() in answer.body, (action, answer)
    assert keys(secure, key) == before


def test_keys_of_nobody(secure: Server, wire: Wire, key: dict) -> None:
    """No action of KMS is done without a signature."""
    before = keys(secure, key)
    for action in HANDLERS:
        answer = call_kms(wire, None, action, key)
        assert answer.status == 400 and b"MissingAuthenticationToken" in answer.body, (action, answer)
    assert keys(secure, key) == before


@pytest.mark.parametrize(("credentials", "code", "_"), WRONG)
def test_calls_with_wrong_credentials(secure: Server, wire: Wire, credentials: Credentials, code: str, _: str) -> None:
    """No action of IAM, STS or SNS is done for an unknown key, a wrong secret or a token that is none."""
    before = identities(secure)
    for action, service in SERVICE_OF.items():
        if action in UNSIGNED:
            continue
        answer = wire.signed(credentials, "POST", "/", FORM, f"Action={action}&{PARAMETERS}".encode(), service)
        assert (answer.status, answer.code) == (403, code), (action, answer)
    assert identities(secure) == before


@pytest.mark.parametrize("who", ["stranger", "otherroot", "nobody", "bounded", "denied", "narrow"])
def test_calls_change_nothing_of_others(secure: Server, wire: Wire, who: str) -> None:
    """Whatever somebody without permission, or of another account, calls: the account stays as it was."""
    before = identities(secure)
    for action, service in SERVICE_OF.items():
        body = f"Action={action}&{PARAMETERS}".encode()
        answer = wire.signed(as_(who), "POST", "/", FORM, body, service)
        assert answer.status != 500, (action, answer)
        if who not in ("stranger", "otherroot") and answer.status == 200:
            assert action in FREE | {"AssumeRole", "GetSessionToken", "GetAccessKeyInfo"}, (
                action,
                answer,
            )  # its own session
    assert identities(secure) == before
