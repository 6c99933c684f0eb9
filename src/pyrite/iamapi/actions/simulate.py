"""Owns the simulation of policies: what a decision would be, without anybody doing anything.

Source: AWS, SimulatePrincipalPolicy and SimulateCustomPolicy in the IAM API Reference.
"""

import msgspec

from pyrite.aws.arns import MalformedArn, parse_arn
from pyrite.iam.caller import Caller
from pyrite.iam.errors import InvalidInput, NoSuchEntity
from pyrite.iam.evaluate import Decision, Question, Reason, decide
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Policy, Use, parse_policy
from pyrite.iam.records import EntityKind
from pyrite.iam.tokens import Session
from pyrite.iamapi.call import Call, Handler, Result

_ACTIONS_MAX = 1000


async def simulate_custom_policy(call: Call) -> Result:
    caller = Caller(kind="User", account=call.account, owner=call.caller.owner)
    return _simulate(call, _with_input(call, caller))


async def simulate_principal_policy(call: Call) -> Result:
    caller = await _principal(call, call.params.need("PolicySourceArn"))
    return _simulate(call, _with_input(call, caller))


async def _principal(call: Call, arn: str) -> Caller:
    """The caller that a user, group or role of the account would be. Raises InvalidInput or NoSuchEntity."""
    try:
        fields = parse_arn(arn)
    except MalformedArn:
        raise InvalidInput(f"Invalid Entity Arn: {arn}") from None
    kind, _, rest = fields.resource.partition("/")
    if kind not in ("user", "group", "role") or fields.account != call.account:
        raise InvalidInput(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    entity_kind: EntityKind = kind  # type: ignore[assignment]
    record = await call.entity(entity_kind, rest.rpartition("/")[2])
    if record.arn != arn:
        raise NoSuchEntity(f"The {kind} {arn} cannot be found.")
    callers = call.identities.callers
    if kind != "role":
        return await callers.caller_of_user(record)
    session = Session(
        access_key="", secret="", account=record.account, kind="role", name=record.name, id=record.id,
        session_name="simulated", issued_s=call.identities.clock.now_ms() // 1000, expires_s=0,
    )  # fmt: skip
    return await callers.caller_of_role(record, session)


def _policies(call: Call, name: str) -> tuple[Policy, ...]:
    texts = call.params.members(name)
    return tuple(parse_policy(text, Use.IDENTITY, f"{name}.{i + 1}") for i, text in enumerate(texts))


def _with_input(call: Call, caller: Caller) -> Caller:
    boundary = _policies(call, "PermissionsBoundaryPolicyInputList")
    return msgspec.structs.replace(
        caller,
        is_root=False,
        policies=(*caller.policies, *_policies(call, "PolicyInputList")),
        boundary=boundary or caller.boundary,
    )


def _context(call: Call, caller: Caller) -> dict[str, Values]:
    context = dict(caller.keys)
    number = 1
    while (name := call.params.get(f"ContextEntries.member.{number}.ContextKeyName")) is not None:
        values = call.params.members(f"ContextEntries.member.{number}.ContextKeyValues")
        context[name.lower()] = tuple(values)
        number += 1
    return context


def _simulate(call: Call, caller: Caller) -> Result:
    actions = call.params.members("ActionNames")
    resources = call.params.members("ResourceArns") or ["*"]
    if not actions or len(actions) * len(resources) > _ACTIONS_MAX:
        raise InvalidInput("Name the actions to simulate, 1 to 1000 pairs of action and resource")
    text = call.params.get("ResourcePolicy")
    policy = parse_policy(text, Use.RESOURCE, "ResourcePolicy") if text else None
    context = _context(call, caller)
    results = []
    for action in actions:
        for resource in resources:
            decision = decide(caller, Question(action, resource, context, caller.owner, call.account, policy))
            results.append(_shown(action, resource, decision))
    return {"EvaluationResults": results, "IsTruncated": False}


def _shown(action: str, resource: str, decision: Decision) -> dict[str, object]:
    if decision.allowed:
        word = "allowed"
    else:
        word = "explicitDeny" if decision.reason is Reason.EXPLICIT_DENY else "implicitDeny"
    matched = [{"SourcePolicyId": decision.source, "SourcePolicyType": "IAM Policy"}] if decision.source else []
    boundary = {"AllowedByPermissionsBoundary": False} if decision.reason is Reason.NO_BOUNDARY_ALLOW else None
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": word,
        "MatchedStatements": matched,
        "MissingContextValues": [],
        "PermissionsBoundaryDecisionDetail": boundary,
    }


HANDLERS: dict[str, Handler] = {
    "SimulateCustomPolicy": simulate_custom_policy,
    "SimulatePrincipalPolicy": simulate_principal_policy,
}
