"""The dumbest evaluator of policies: it reads the JSON anew for each question, and knows nothing of compiling.

Written from AWS's documentation alone, so that an error of `pyrite.iam` is unlikely to be repeated here.
"""

import json
from typing import Any

Keys = dict[str, list[str]]


def glob(pattern: str, value: str) -> bool:
    """Whether `value` has the form of `pattern`, by recursion over characters."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return glob(pattern[1:], value) or (bool(value) and glob(pattern, value[1:]))
    return bool(value) and pattern[0] in ("?", value[0]) and glob(pattern[1:], value[1:])


def arn_glob(pattern: str, value: str) -> bool:
    """As `glob`, field by field of an ARN."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) and all(glob(w, g) for w, g in zip(wanted, given, strict=True))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def condition_holds(name: str, key: str, wanted: list[str], keys: Keys) -> bool:
    """One line of a Condition block."""
    quantifier, _, operator = name.rpartition(":")
    values = keys.get(key.lower(), [])
    if operator == "Null":
        return (wanted == ["true"]) == (not values)
    if operator.endswith("IfExists"):
        if not values:
            return True
        operator = operator.removesuffix("IfExists")
    negative = "Not" in operator
    positive = operator.replace("Not", "")

    def same(value: str, want: str) -> bool:
        if positive == "StringEquals":
            return value == want
        if positive == "StringLike":
            return glob(want, value)
        if positive == "NumericEquals":
            return float(value) == float(want)
        if positive == "NumericLessThan":
            return float(value) < float(want)
        if positive == "Bool":
            return value.lower() == want.lower()
        raise AssertionError(operator)

    def one(value: str) -> bool:
        hits = [want for want in wanted if same(value, want)]
        return not hits if negative else bool(hits)

    if quantifier == "ForAllValues":
        return all(one(value) for value in values)
    if quantifier == "ForAnyValue":
        return any(one(value) for value in values)
    if not values:
        return negative
    return all(one(value) for value in values) if negative else any(one(value) for value in values)


def statement_applies(statement: dict[str, Any], action: str, resource: str, keys: Keys) -> bool:
    """Whether a statement speaks of this request, whoever makes it."""
    if "Action" in statement:
        if not any(glob(a.lower(), action.lower()) for a in listed(statement["Action"])):
            return False
    elif any(glob(a.lower(), action.lower()) for a in listed(statement["NotAction"])):
        return False
    if "Resource" in statement:
        if not any(arn_glob(r, resource) for r in listed(statement["Resource"])):
            return False
    elif any(arn_glob(r, resource) for r in listed(statement["NotResource"])):
        return False
    for name, block in statement.get("Condition", {}).items():
        for key, wanted in block.items():
            if not condition_holds(name, key, listed(wanted), keys):
                return False
    return True


def effects(policy: str, action: str, resource: str, keys: Keys) -> set[str]:
    """The effects of all statements of a policy that apply."""
    statements = listed(json.loads(policy)["Statement"])
    return {s["Effect"] for s in statements if statement_applies(s, action, resource, keys)}


def user_may(
    identity: list[str], boundary: str | None, session: str | None, action: str, resource: str, keys: Keys
) -> bool:
    """Whether a user with these policies may do it within its own account, where no resource's policy speaks."""
    found = [effects(policy, action, resource, keys) for policy in identity]
    limits = [effects(policy, action, resource, keys) for policy in (boundary, session) if policy is not None]
    if any("Deny" in effect for effect in found + limits):
        return False
    return any("Allow" in effect for effect in found) and all("Allow" in effect for effect in limits)


def speaks_of(statement: dict[str, Any], names: list[str]) -> bool:
    """Whether a statement of a resource's policy has one of these names among its principals, or anybody."""
    negated = "NotPrincipal" in statement
    element = statement["NotPrincipal" if negated else "Principal"]
    principals = ["*"] if element == "*" else listed(element["AWS"])
    found = any(name in principals for name in [*names, "*"])
    return found != negated


def decision(
    who: dict[str, Any], resource_policy: str, account: str, consent: bool, action: str, resource: str, keys: Keys
) -> bool:
    """Whether somebody may do something to what belongs to `account`, by all that AWS documents of combining policies.

    `who` has the names of the caller itself, of what is behind it, and of its account; its policies, its boundary, those
    of its session and of its key. `consent`: the resource's own policy has to speak of the caller, as a role's does.
    """

    def texts_say(texts: list[str], effect: str) -> bool:
        return any(effect in effects(text, action, resource, keys) for text in texts)

    statements = listed(json.loads(resource_policy)["Statement"])
    spoken = [s for s in statements if statement_applies(s, action, resource, keys)]
    everybody = [*who["self"], *who["behind"], *who["account"]]
    limiting = [*who["boundary"], *who["session"], *who["key"]]
    if texts_say([*who["policies"], *limiting], "Deny"):
        return False
    if any(s["Effect"] == "Deny" and speaks_of(s, everybody) for s in spoken):
        return False
    allowing = [s for s in spoken if s["Effect"] == "Allow"]
    key_allows = all(texts_say([text], "Allow") for text in who["key"])
    all_allow = all(texts_say([text], "Allow") for text in limiting)
    by_itself = (who["root"] or texts_say(who["policies"], "Allow")) and all_allow
    named = any(s.get("Principal") != "*" and speaks_of_exactly(s, who["self"]) for s in allowing)
    behind = any(speaks_of_exactly(s, [*who["behind"], "*"]) for s in allowing)
    granted = any(speaks_of(s, everybody) for s in allowing)
    if who["home"] != account:
        return by_itself and granted
    may = by_itself or (named and key_allows) or (behind and all_allow)
    return may and (granted or not consent)


def speaks_of_exactly(statement: dict[str, Any], names: list[str]) -> bool:
    """Whether one of `names` stands in the statement's Principal as it is."""
    if "NotPrincipal" in statement:
        return False
    element = statement["Principal"]
    return any(name in (["*"] if element == "*" else listed(element["AWS"])) for name in names)
