"""Owns who may do what with a key: its own policy, and those of identities where it lets them."""

import json
from collections.abc import Mapping

from pyrite.aws.arns import PARTITION
from pyrite.core.lru import remembered
from pyrite.iam.caller import Caller
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.evaluate import Question, Reason, decide_with_consent
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Policy, Use, parse_policy
from pyrite.kms.errors import KmsAccessRefused
from pyrite.kms.records import KmsKeyRecord

_DENY_ALL = '{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}'


@remembered
def _compiled(text: str, bound: tuple[tuple[str, str], ...]) -> Policy:
    try:
        return parse_policy(text, Use.RESOURCE, "key policy", bound=dict(bound))
    except MalformedPolicy:  # it was valid when it was put: fail closed
        return parse_policy(_DENY_ALL, Use.RESOURCE, "unreadable key policy")


def default_policy(account: str) -> str:
    """The policy of a key that is made without one: its account decides by the policies of its identities."""
    statement = {
        "Sid": "Enable IAM policies",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{PARTITION}:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]})


def check_use(
    caller: Caller, action: str, arn: str, record: KmsKeyRecord, context: Mapping[str, Values], via: str = ""
) -> None:
    """Raises KmsAccessRefused unless the caller may do `action` (kms:...) with the key, itself or through a service."""
    keys: dict[str, Values] = {
        **context, "kms:calleraccount": (caller.account,), "aws:resourceaccount": (record.account,)
    }  # fmt: skip
    if via:
        keys["kms:viaservice"] = (via,)
    for name, value in record.tags.items():
        keys[f"aws:resourcetag/{name.lower()}"] = (value,)
    question = Question(action, arn, keys, "", record.account, _compiled(record.policy, tuple(record.bound.items())))
    decision = decide_with_consent(caller, question)
    if not decision.allowed:
        raise KmsAccessRefused(refusal(caller, action, arn, decision.reason))


def refusal(caller: Caller, action: str, arn: str, reason: Reason) -> str:
    """What is told to a caller that is refused."""
    why = f"with {reason.value}" if reason is Reason.EXPLICIT_DENY else f"because {reason.value} the {action} action"
    who = caller.arn or "anonymous"
    return f"User: {who} is not authorized to perform: {action} on resource: {arn} {why}"
