"""Owns the decision: whether a caller may do something, and why. Pure.

Source: AWS, "Policy evaluation logic" and "Cross-account policy evaluation logic" in the IAM User Guide.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from pyrite.iam.caller import Caller
from pyrite.iam.patterns import Context
from pyrite.iam.policy import Policy, Statement
from pyrite.iam.principals import Match


class Reason(Enum):
    """What a decision came from."""

    EXPLICIT_DENY = "an explicit deny"
    NO_IDENTITY_ALLOW = "no identity-based policy allows it"
    NO_RESOURCE_ALLOW = "no resource-based policy allows it"
    NO_BOUNDARY_ALLOW = "no permissions boundary allows it"
    NO_SESSION_ALLOW = "no session policy allows it"
    IDENTITY_ALLOW = "an identity-based policy"
    RESOURCE_ALLOW = "a resource-based policy"
    OWNER = "the root of the account that owns it"


class Decision(NamedTuple):
    """Whether it is allowed, why, and the statement that decided, as `policy` or `policy/Sid`."""

    allowed: bool
    reason: Reason
    source: str = ""


class Question(NamedTuple):
    """What is asked: may this be done to that.

    `owner` is the canonical id of whom the resource belongs to, and `account` the account of that one. `policy` is
    the policy of the resource, and `granted` what its access control list says for the caller (or for everybody).
    """

    action: str
    resource: str
    context: Context
    owner: str
    account: str
    policy: Policy | None = None
    granted: bool = False


def decide(caller: Caller, question: Question) -> Decision:
    """The answer. An explicit deny wins; then the kinds of policies combine as AWS documents."""
    denied = _denied(caller, question)
    if denied is not None:
        return denied
    grade, source = _resource_grants(caller, question)
    if caller.is_anonymous:
        if grade or question.granted:
            return Decision(True, Reason.RESOURCE_ALLOW, source)
        return Decision(False, Reason.NO_RESOURCE_ALLOW)
    if caller.account == question.account:
        return _within_account(caller, question, grade, source)
    decision = _identity_allows(caller, question, caller.is_root)
    if not decision.allowed:
        return decision
    if grade or question.granted:
        return Decision(True, Reason.RESOURCE_ALLOW, source)
    return Decision(False, Reason.NO_RESOURCE_ALLOW)


def decide_with_consent(caller: Caller, question: Question) -> Decision:
    """The answer about a KMS key or a role: the policies of identities count only where its own policy lets them.

    Source: AWS, "Key policies in AWS KMS", and "Policy evaluation for requests within a single account".
    """
    decision = decide(caller, question)
    if decision.allowed and _resource_grants(caller, question)[0] is Match.NONE:
        return Decision(False, Reason.NO_RESOURCE_ALLOW)
    return decision


def _within_account(caller: Caller, question: Question, grade: Match, source: str) -> Decision:
    """A grant that names the session or user itself is final but for what limits its access key.

    One to its role, or to anyone, is still limited by boundaries and sessions.
    """
    if grade is Match.CALLER:
        return _key_limits(caller, question) or Decision(True, Reason.RESOURCE_ALLOW, source)
    if grade in (Match.ROLE, Match.ANYONE):
        return _limits(caller, question) or Decision(True, Reason.RESOURCE_ALLOW, source)
    if question.granted and caller.owner != question.owner:
        return _limits(caller, question) or Decision(True, Reason.RESOURCE_ALLOW)
    return _identity_allows(caller, question, caller.is_root and caller.owner == question.owner)


def _identity_allows(caller: Caller, question: Question, is_root: bool) -> Decision:
    if is_root:
        decision = Decision(True, Reason.OWNER)
    else:
        statement = _first_allow(caller.policies, question)
        if statement is None:
            return Decision(False, Reason.NO_IDENTITY_ALLOW)
        decision = Decision(True, Reason.IDENTITY_ALLOW, statement)
    return _limits(caller, question) or decision


def _limits(caller: Caller, question: Question) -> Decision | None:
    """The refusal by a boundary or a session policy that does not allow it; None when none refuses."""
    if caller.boundary and _first_allow(caller.boundary, question) is None:
        return Decision(False, Reason.NO_BOUNDARY_ALLOW)
    if any(_first_allow(policies, question) is None for policies in caller.sessions):
        return Decision(False, Reason.NO_SESSION_ALLOW)
    return _key_limits(caller, question)


def _key_limits(caller: Caller, question: Question) -> Decision | None:
    if any(_first_allow(policies, question) is None for policies in caller.limits):
        return Decision(False, Reason.NO_SESSION_ALLOW)
    return None


def _denied(caller: Caller, question: Question) -> Decision | None:
    for policy in caller.all_policies:
        for statement in policy.about(question.action):
            if not statement.allows and statement.applies(question.resource, question.context):
                return Decision(False, Reason.EXPLICIT_DENY, _name(policy, statement))
    if question.policy is not None:
        for statement in question.policy.about(question.action):
            if not statement.allows and _speaks_of(statement, caller, question):
                return Decision(False, Reason.EXPLICIT_DENY, _name(question.policy, statement))
    return None


def _resource_grants(caller: Caller, question: Question) -> tuple[Match, str]:
    """How closely the resource's policy names the caller in what it allows, and the statement that does."""
    best, source = Match.NONE, ""
    if question.policy is not None:
        for statement in question.policy.about(question.action):
            if statement.allows and statement.principals is not None:
                match = statement.principals.match(caller)
                if match > best and statement.applies(question.resource, question.context):
                    best, source = match, _name(question.policy, statement)
    return best, source


def _speaks_of(statement: Statement, caller: Caller, question: Question) -> bool:
    assert statement.principals is not None
    return bool(statement.principals.match(caller)) and statement.applies(question.resource, question.context)


def _first_allow(policies: Iterable[Policy], question: Question) -> str | None:
    for policy in policies:
        for statement in policy.about(question.action):
            if statement.allows and statement.applies(question.resource, question.context):
                return _name(policy, statement)
    return None


def _name(policy: Policy, statement: Statement) -> str:
    return f"{policy.name}/{statement.sid}" if statement.sid else policy.name
