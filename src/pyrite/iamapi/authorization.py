"""Owns refusing callers that lack a permission which a call needs."""

import msgspec

from pyrite.iam.caller import Caller
from pyrite.iam.errors import AccessRefused
from pyrite.iam.evaluate import Question, Reason, decide
from pyrite.iamapi.call import Call
from pyrite.iamapi.permissions import Permission, permissions_of

# Actions that decide for themselves (a role's trust policy), or that AWS allows to everybody.
SELF_DECIDED = frozenset(
    ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithLDAPIdentity", "AssumeRoleWithCertificate")
)
FREE = frozenset(("GetCallerIdentity",))
DENIABLE = frozenset(("GetSessionToken", "GetAccessKeyInfo"))
UNSIGNED = SELF_DECIDED - {"AssumeRole"}
# What credentials of GetSessionToken and GetFederationToken may call of STS. AWS, "Compare AWS STS credentials".
_FOR_TEMPORARY_USERS = frozenset(("AssumeRole", "GetCallerIdentity"))


def check_credentials(call: Call, service: str) -> None:
    """Raises AccessRefused where AWS lets no temporary credentials of users call, whatever policies say."""
    caller = call.caller
    if caller.kind == "AssumedRole" or not caller.access_key.startswith("ASIA"):
        return
    if service == "sns":
        return
    if service == "iam" or call.action not in _FOR_TEMPORARY_USERS:
        raise AccessRefused(f"{call.action} cannot be called with the credentials of a {caller.kind} session")


async def authorize(call: Call, service: str) -> None:
    """Raises AccessRefused unless the caller's policies allow the action."""
    check_credentials(call, service)
    if call.action in SELF_DECIDED or call.action in FREE or service == "sns":
        return
    for permission in await permissions_of(call, service):
        _require(call, permission)


def _require(call: Call, permission: Permission) -> None:
    caller = call.caller
    keys = {**call.keys, **caller.keys, **permission.keys}
    question = Question(permission.action, permission.resource, keys, caller.owner, call.account)
    decision = decide(_without_ownership(call), question)
    if decision.allowed or (call.action in DENIABLE and decision.reason is not Reason.EXPLICIT_DENY):
        return
    raise AccessRefused(
        f"User: {caller.arn} is not authorized to perform: {permission.action} on resource: {permission.resource} "
        f"because {'of ' if decision.reason is Reason.EXPLICIT_DENY else ''}{decision.reason.value}"
    )


def _without_ownership(call: Call) -> Caller:
    """A user that owns buckets like an account is still a user of the IAM API."""
    caller = call.caller
    return msgspec.structs.replace(caller, is_root=False) if caller.kind == "User" and caller.is_root else caller
