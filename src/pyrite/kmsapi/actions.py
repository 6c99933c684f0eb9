"""Owns the actions of the KMS API that manage keys.

Source: AWS, "Actions" in the AWS KMS API Reference.
"""

from typing import Any

import msgspec

from pyrite.iam import bindings
from pyrite.iam.evaluate import Question, decide
from pyrite.iam.policy import Use, check_sids, parse_policy
from pyrite.kms.access import default_policy, refusal
from pyrite.kms.checks import check_not_pending
from pyrite.kms.errors import InvalidKmsInput, KeyPending, KmsAccessRefused
from pyrite.kms.records import AliasRecord, KmsKeyRecord
from pyrite.kmsapi.call import Call, Handler, Result, check_tags

_LIST_MAX = 1000
_POLICY_MAX_CHARS = 32_768
_DAY_MS = 86_400_000


def _require(call: Call, resource: str = "*") -> None:
    """Raises KmsAccessRefused unless policies of the caller's identity allow an action that is about no key."""
    caller = call.caller
    keys = {
        **call.keys_of_request, **caller.keys, **call.keys_of_parameters(), "aws:resourceaccount": (caller.account,)
    }  # fmt: skip
    decision = decide(caller, Question(f"kms:{call.action}", resource, keys, caller.owner, caller.account))
    if not decision.allowed:
        raise KmsAccessRefused(refusal(caller, f"kms:{call.action}", resource, decision.reason))


def _metadata(call: Call, record: KmsKeyRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AWSAccountId": record.account,
        "KeyId": record.id,
        "Arn": call.keys.arn(record),
        "CreationDate": record.created_ms / 1000,
        "Enabled": record.state == "Enabled",
        "Description": record.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": record.state,
        "Origin": "AWS_KMS",
        "KeyManager": record.managed_by or "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": False,
        "CurrentKeyMaterialId": f"{record.newest.number:064x}",
    }
    if record.state == "PendingDeletion":
        shown["DeletionDate"] = record.deletion_ms / 1000
    return shown


# ---- keys


async def create_key(call: Call) -> Result:
    _require(call)
    spec = call.params.get("KeySpec") or call.params.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    if spec != "SYMMETRIC_DEFAULT" or call.text("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
        raise InvalidKmsInput("Keys are symmetric and encrypt: KeySpec SYMMETRIC_DEFAULT, KeyUsage ENCRYPT_DECRYPT")
    if call.text("Origin", "AWS_KMS") != "AWS_KMS" or call.params.get("MultiRegion"):
        raise InvalidKmsInput("Keys are made here: Origin AWS_KMS, no MultiRegion")
    policy = call.text("Policy", default_policy(call.account))
    bound = await _checked_policy(call, policy)
    record = await call.keys.create(call.account, policy, "", call.text("Description", ""), call.tags(), bound=bound)
    return {"KeyMetadata": _metadata(call, record)}


async def _checked_policy(call: Call, policy: str) -> dict[str, str]:
    """Whom a policy names, by ARN, with their unique ids.

    Raises MalformedPolicy, and InvalidKmsInput for one that would lock out who puts it, unless that is said.
    """
    if len(policy) > _POLICY_MAX_CHARS:
        raise InvalidKmsInput(f"A key policy has at most {_POLICY_MAX_CHARS} characters")
    parsed = parse_policy(policy, Use.RESOURCE, "key policy")
    check_sids(parsed.statements)
    bound = await bindings.bind(call.keys.view, parsed, strict=True)
    if call.params.get("BypassPolicyLockoutSafetyCheck") or call.params.get("Policy") is None:
        return bound
    keys = {**call.keys_of_request, **call.caller.keys}
    question = Question("kms:PutKeyPolicy", "*", keys, call.caller.owner, call.account, parsed)
    speaks = any(
        statement.allows and statement.principals is not None and statement.principals.match(call.caller)
        for statement in parsed.about("kms:PutKeyPolicy")
    )
    if not (speaks and decide(call.caller, question).allowed):
        raise InvalidKmsInput("The new key policy will not allow you to update the key policy in the future.")
    return bound


async def describe_key(call: Call) -> Result:
    return {"KeyMetadata": _metadata(call, (await call.key()).record)}


async def list_keys(call: Call) -> Result:
    _require(call)
    records = await call.keys.list_all(call.account)
    shown, more = _page(call, [record.id for record in records])
    named = {record.id: record for record in records}
    return {"Keys": [{"KeyId": key, "KeyArn": call.keys.arn(named[key])} for key in shown], **more}


def _page(call: Call, names: list[str]) -> tuple[list[str], dict[str, Any]]:
    limit, after = call.number("Limit", 100, 1, _LIST_MAX), call.text("Marker", "")
    rest = [name for name in names if name > after]
    truncated = len(rest) > limit
    return rest[:limit], {"Truncated": truncated, **({"NextMarker": rest[limit - 1]} if truncated else {})}


async def update_description(call: Call) -> Result:
    record = (await call.own_key()).record
    text = call.text("Description")
    await call.keys.change(
        record.account, record.id, lambda r: msgspec.structs.replace(check_not_pending(r), description=text)
    )
    return {}


async def enable_key(call: Call) -> Result:
    record = (await call.own_key()).record
    await call.keys.set_state(record.account, record.id, "Enabled")
    return {}


async def disable_key(call: Call) -> Result:
    record = (await call.own_key()).record
    await call.keys.set_state(record.account, record.id, "Disabled")
    return {}


async def schedule_deletion(call: Call) -> Result:
    record = (await call.own_key()).record
    days = call.number("PendingWindowInDays", 30, 7, 30)
    when_ms = call.clock.now_ms() + days * _DAY_MS
    changed = await call.keys.change(
        record.account,
        record.id,
        lambda r: msgspec.structs.replace(check_not_pending(r), state="PendingDeletion", deletion_ms=when_ms),
    )
    return {
        "KeyId": call.keys.arn(changed),
        "DeletionDate": when_ms / 1000,
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": days,
    }


async def cancel_deletion(call: Call) -> Result:
    record = (await call.own_key()).record

    def change(found: KmsKeyRecord) -> KmsKeyRecord:
        if found.state != "PendingDeletion":
            raise KeyPending(f"{call.keys.arn(found)} is not pending deletion.")
        return msgspec.structs.replace(found, state="Disabled", deletion_ms=0)

    return {"KeyId": call.keys.arn(await call.keys.change(record.account, record.id, change))}


# ---- policies and tags


async def get_policy(call: Call) -> Result:
    record = (await call.key()).record
    told = await bindings.shown(call.keys.view, record.policy, record.bound)
    return {"Policy": told, "PolicyName": "default"}


async def put_policy(call: Call) -> Result:
    record = (await call.own_key()).record
    if call.text("PolicyName", "default") != "default":
        raise InvalidKmsInput("The only valid policy name is default")
    policy = call.text("Policy")
    bound = await _checked_policy(call, policy)
    await call.keys.change(record.account, record.id, lambda r: msgspec.structs.replace(r, policy=policy, bound=bound))
    return {}


async def list_policies(call: Call) -> Result:
    await call.key()
    return {"PolicyNames": ["default"], "Truncated": False}


async def tag_resource(call: Call) -> Result:
    record, tags = (await call.own_key()).record, call.tags()
    await call.keys.change(
        record.account,
        record.id,
        lambda r: msgspec.structs.replace(check_not_pending(r), tags=check_tags({**r.tags, **tags})),
    )
    return {}


async def untag_resource(call: Call) -> Result:
    record, gone = (await call.own_key()).record, call.tag_keys()
    await call.keys.change(
        record.account,
        record.id,
        lambda r: msgspec.structs.replace(r, tags={k: v for k, v in r.tags.items() if k not in gone}),
    )
    return {}


async def list_tags(call: Call) -> Result:
    record = (await call.key()).record
    return {"Tags": [{"TagKey": k, "TagValue": v} for k, v in record.tags.items()], "Truncated": False}


# ---- rotation


async def enable_rotation(call: Call) -> Result:
    record, days = (await call.own_key()).record, call.number("RotationPeriodInDays", 365, 90, 2560)
    await call.keys.change(
        record.account, record.id, lambda r: msgspec.structs.replace(check_not_pending(r), rotation_days=days)
    )
    return {}


async def disable_rotation(call: Call) -> Result:
    record = (await call.own_key()).record
    await call.keys.change(record.account, record.id, lambda r: msgspec.structs.replace(r, rotation_days=0))
    return {}


async def rotation_status(call: Call) -> Result:
    record = (await call.key()).record
    shown: dict[str, Any] = {"KeyId": record.id, "KeyRotationEnabled": bool(record.rotation_days)}
    if record.rotation_days:
        shown["RotationPeriodInDays"] = record.rotation_days
        shown["NextRotationDate"] = (record.newest.created_ms + record.rotation_days * _DAY_MS) / 1000
    return shown


async def rotate_now(call: Call) -> Result:
    record = (await call.own_key()).record
    return {"KeyId": (await call.keys.rotate(record.account, record.id)).id}


async def list_rotations(call: Call) -> Result:
    record = (await call.key()).record
    listed = [
        {"KeyId": record.id, "RotationDate": one.created_ms / 1000, "RotationType": "ON_DEMAND"}
        for one in record.materials[1:]
    ]
    return {"Rotations": listed, "Truncated": False}


# ---- aliases


def _alias_arn(call: Call) -> str:
    """The ARN of the alias that the call is about, which it needs permission for beside that for the key."""
    return call.keys.alias_arn(AliasRecord(0, call.account, call.text("AliasName"), "", 0))


async def create_alias(call: Call) -> Result:
    record = (await call.key("TargetKeyId")).record
    _require(call, _alias_arn(call))
    await call.keys.set_alias(record.account, call.text("AliasName"), record.id, replace=False)
    return {}


async def update_alias(call: Call) -> Result:
    record = (await call.key("TargetKeyId")).record
    await call.key("AliasName")
    _require(call, _alias_arn(call))
    if call.text("AliasName").startswith("alias/aws/"):
        raise InvalidKmsInput("Aliases that begin with alias/aws/ are not changed by users")
    await call.keys.set_alias(record.account, call.text("AliasName"), record.id, replace=True)
    return {}


async def delete_alias(call: Call) -> Result:
    record = (await call.key("AliasName")).record
    _require(call, _alias_arn(call))
    if call.text("AliasName").startswith("alias/aws/"):
        raise InvalidKmsInput("Aliases that begin with alias/aws/ are not deleted by users")
    await call.keys.delete_alias(record.account, call.text("AliasName"))
    return {}


async def list_aliases(call: Call) -> Result:
    _require(call)
    wanted = (await call.key("KeyId", "DescribeKey")).record.id if call.params.get("KeyId") else None
    listed = [
        {
            "AliasName": alias.name,
            "AliasArn": call.keys.alias_arn(alias),
            "TargetKeyId": alias.key,
            "CreationDate": alias.created_ms / 1000,
        }
        for alias in await call.keys.aliases(call.account)
        if wanted in (None, alias.key)
    ]
    return {"Aliases": listed, "Truncated": False}


HANDLERS: dict[str, Handler] = {
    "CancelKeyDeletion": cancel_deletion,
    "CreateAlias": create_alias,
    "CreateKey": create_key,
    "DeleteAlias": delete_alias,
    "DescribeKey": describe_key,
    "DisableKey": disable_key,
    "DisableKeyRotation": disable_rotation,
    "EnableKey": enable_key,
    "EnableKeyRotation": enable_rotation,
    "GetKeyPolicy": get_policy,
    "GetKeyRotationStatus": rotation_status,
    "ListAliases": list_aliases,
    "ListKeyPolicies": list_policies,
    "ListKeyRotations": list_rotations,
    "ListKeys": list_keys,
    "ListResourceTags": list_tags,
    "PutKeyPolicy": put_policy,
    "RotateKeyOnDemand": rotate_now,
    "ScheduleKeyDeletion": schedule_deletion,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateAlias": update_alias,
    "UpdateKeyDescription": update_description,
}
