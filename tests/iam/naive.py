"""The dumbest evaluator of policies: it reads the JSON anew for each question, and knows nothing of compiling.

It is written from the text of AWS's pages by somebody who has not read `pyrite.iam`, so that an error there is unlikely
to be repeated here. The comment at each rule names the page, in quotes. What no page says is marked as a choice.
"""

import json
from typing import Any

Keys = dict[str, list[str]]
Text = list[tuple[str, bool]]  # characters, each with whether the policy says it itself or a variable put it there


def listed(value: Any) -> list[Any]:
    # "Grammar of the IAM JSON policy language": one value may stand without its brackets.
    return value if isinstance(value, list) else [value]


def said(value: Any) -> str:
    # "Grammar": a value of a condition is a string, a number or true or false.
    return value if isinstance(value, str) else json.dumps(value)


def plain(text: str) -> Text:
    return [(character, True) for character in text]


def filled(text: str, version: str, keys: Keys) -> Text | None:
    """The text with its variables replaced; None where one of them has no value."""
    # "IAM JSON policy elements: Version": before 2012-10-17, and without a Version, a variable is a literal string.
    if version != "2012-10-17":
        return plain(text)
    done: Text = []
    while text:
        if not text.startswith("${") or "}" not in text:
            done.append((text[0], True))
            text = text[1:]
            continue
        inside, text = text[2 : text.index("}")], text[text.index("}") + 1 :]
        # "IAM policy elements: Variables and tags", "Special characters".
        if inside in ("*", "?", "$"):
            done.append((inside, False))
            continue
        # "Variables and tags", "Specifying default values": a comma and a space, then the default in single quotes.
        name, _, default = inside.partition(", ")
        # "Variables and tags": key names are not case-sensitive.
        values = keys.get(name.lower(), [])
        # "Single-valued vs. multivalued context keys": a multivalued key cannot be a variable.
        if len(values) > 1 or (not values and not default):
            return None
        # A choice, which the tests of variables state too: what is put in is no wildcard.
        done += [(character, False) for character in (values[0] if values else default[1:-1])]
    return done


def like(pattern: Text, value: str) -> bool:
    # "IAM JSON policy elements: Resource", "Using wildcards": * is any characters, also slashes, and ? is a single one.
    if not pattern:
        return not value
    if pattern[0] == ("*", True):
        return like(pattern[1:], value) or (value != "" and like(pattern, value[1:]))
    if value == "":
        return False
    return (pattern[0] == ("?", True) or pattern[0][0] == value[0]) and like(pattern[1:], value[1:])


def arn_like(pattern: Text, value: str) -> bool:
    # "IAM JSON policy elements: Condition operators", "ARN operators": the six parts are compared one by one.
    parts: list[Text] = [[]]
    for character in pattern:
        if character == (":", True) and len(parts) < 6:
            parts.append([])
        else:
            parts[-1].append(character)
    values = value.split(":", 5)
    return len(parts) == len(values) and all(like(part, values[place]) for place, part in enumerate(parts))


def compares(operator: str, wanted: str, value: str, version: str, keys: Keys) -> bool:
    """Whether one value of the request is to one value of the policy as an operator without a Not wants it."""
    # "Condition operators", "Numeric condition operators".
    if operator == "NumericEquals":
        return float(value) == float(wanted)
    if operator == "NumericLessThan":
        return float(value) < float(wanted)
    if operator == "NumericLessThanEquals":
        return float(value) <= float(wanted)
    if operator == "NumericGreaterThan":
        return float(value) > float(wanted)
    if operator == "NumericGreaterThanEquals":
        return float(value) >= float(wanted)
    # "Condition operators", "Boolean condition operators".
    if operator == "Bool":
        return value == wanted
    # "Variables and tags", "Condition element": variables stand in comparisons of strings and ARNs.
    text = filled(wanted, version, keys)
    # "Policy variables with no value": nothing is equal to it or like it.
    if text is None:
        return False
    # "Condition operators", "String condition operators": only Like has wildcards.
    if operator == "StringEquals":
        return value == "".join(character for character, _ in text)
    if operator == "StringEqualsIgnoreCase":
        return value.lower() == "".join(character for character, _ in text).lower()
    if operator == "StringLike":
        return like(text, value)
    # "Condition operators", "ARN operators": Equals and Like are the same.
    assert operator in ("ArnEquals", "ArnLike"), operator
    return arn_like(text, value)


def condition_holds(name: str, key: str, wanted: Any, version: str, keys: Keys) -> bool:
    """One line of a Condition block."""
    # "IAM JSON policy elements: Condition": key names are not case-sensitive.
    values = keys.get(key.lower(), [])
    # "Condition operators", "Condition operator to check existence of condition keys".
    if name == "Null":
        return (not values) == (said(listed(wanted)[0]) == "true")
    quantifier, _, operator = name.rpartition(":")
    # "Condition operators", "...IfExists": without the key the line is true.
    if operator.endswith("IfExists"):
        if not values:
            return True
        operator = operator.removesuffix("IfExists")
    negated = "Not" in operator
    operator = operator.replace("Not", "")
    if not values:
        # "Single-valued vs. multivalued context keys": without the key ForAllValues is true, and ForAnyValue false.
        if quantifier:
            return quantifier == "ForAllValues"
        # "Condition operators", "Important": without the key it is false, and true where the operator is negated.
        return negated
    # "Conditions with multiple context keys or values": the values of the policy are an OR, or a NOR when negated.
    each = [
        negated != any(compares(operator, said(value), given, version, keys) for value in listed(wanted))
        for given in values
    ]
    # "Single-valued vs. multivalued context keys": every value of the request, or at least one.
    if quantifier == "ForAllValues":
        return all(each)
    if quantifier == "ForAnyValue":
        return any(each)
    # A choice, as the pages want a set operator here: one value that matches is a match, and that is what Not negates.
    return all(each) if negated else any(each)


def action_matches(patterns: Any, action: str) -> bool:
    # "IAM JSON policy elements: Action": wildcards; the prefix and the name are case insensitive.
    return any(like(plain(pattern.lower()), action.lower()) for pattern in listed(patterns))


def resource_matches(patterns: Any, resource: str, version: str, keys: Keys) -> bool:
    for pattern in listed(patterns):
        # "IAM JSON policy elements: Resource": * alone is every resource; other wildcards stay in a part of the ARN.
        if pattern == "*":
            return True
        # "Policy variables with no value": such a Resource or NotResource matches no resource.
        text = filled(pattern, version, keys)
        if text is not None and arn_like(text, resource):
            return True
    return False


def applies(statement: dict[str, Any], version: str, action: str, resource: str, keys: Keys) -> bool:
    """Whether a statement speaks of this request, whoever makes it."""
    if "Action" in statement and not action_matches(statement["Action"], action):
        return False
    # "IAM JSON policy elements: NotAction": everything but the listed actions.
    if "NotAction" in statement and action_matches(statement["NotAction"], action):
        return False
    if "Resource" in statement and not resource_matches(statement["Resource"], resource, version, keys):
        return False
    # "IAM JSON policy elements: NotResource": everything but the listed resources.
    if "NotResource" in statement and resource_matches(statement["NotResource"], resource, version, keys):
        return False
    # "Conditions with multiple context keys or values": all operators and all keys are an AND.
    for name, lines in statement.get("Condition", {}).items():
        for key, wanted in lines.items():
            if not condition_holds(name, key, wanted, version, keys):
                return False
    return True


def speaking(text: str, action: str, resource: str, keys: Keys) -> list[dict[str, Any]]:
    """The statements of a policy that speak of this request."""
    policy = json.loads(text)
    # "IAM JSON policy elements: Version": 2008-10-17 is the one that is meant where there is none.
    version = policy.get("Version", "2008-10-17")
    return [made for made in listed(policy["Statement"]) if applies(made, version, action, resource, keys)]


def allows(policies: list[str], action: str, resource: str, keys: Keys) -> bool:
    found = [made for text in policies for made in speaking(text, action, resource, keys)]
    return any(made["Effect"] == "Allow" for made in found)


def denies(policies: list[str], action: str, resource: str, keys: Keys) -> bool:
    found = [made for text in policies for made in speaking(text, action, resource, keys)]
    return any(made["Effect"] == "Deny" for made in found)


def user_may(
    identity: list[str], boundary: str | None, session: str | None, action: str, resource: str, keys: Keys
) -> bool:
    """Whether an identity with these policies may do it within its own account, where no resource's policy speaks."""
    limits = [text for text in (boundary, session) if text is not None]
    # "Policy evaluation logic": an explicit deny in any of these policies overrides the allow.
    if denies(identity + limits, action, resource, keys):
        return False
    # "Permissions boundaries for IAM entities", "Session policies": the permissions are the intersection of all three.
    return allows(identity, action, resource, keys) and all(allows([text], action, resource, keys) for text in limits)


def levels(element: Any, who: dict[str, Any]) -> set[str]:
    """As what a Principal names somebody: itself, who is behind the session, the account, or anybody."""
    # "AWS JSON policy elements: Principal", "All principals": both forms of the wildcard are the same.
    if element == "*":
        return {"anybody"}
    found: set[str] = set()
    for name in listed(element.get("AWS", [])):
        if name == "*":
            found.add("anybody")
        # "Principal": names are compared as a whole; a wildcard cannot match a part of one.
        if name in who["self"]:
            found.add("self")
        if name in who["behind"]:
            found.add("behind")
        # "Principal", "AWS account principals": the ARN and the id are the same, and mean more than the root user.
        if name in who["account"]:
            found.add("account")
    # "Principal", "AWS account principals": with S3 a canonical user id is an account.
    for name in listed(element.get("CanonicalUser", [])):
        if name == who["canonical"]:
            found.add("account")
    # The root user is what the name of its account names.
    if "account" in found and who["self"] == who["account"]:
        found.add("self")
    return found


def speaks_of(statement: dict[str, Any], who: dict[str, Any]) -> bool:
    """Whether a statement of a resource's policy is about somebody."""
    if "Principal" in statement:
        return levels(statement["Principal"], who) != set()
    # "AWS JSON policy elements: NotPrincipal", first example: all are denied but Bob, though his account stands beside
    # him. Second example: all are denied but that session, though its role and its account stand beside it. So who is
    # meant is named itself; what it belongs to exempts nobody else. Two choices: that its account or role stands beside
    # it is not asked ("not required in all cases"), and a federated user is to its user as a session is to its role.
    if not levels(statement["NotPrincipal"], who) & {"self", "anybody"}:
        return True
    # "NotPrincipal", "Key points": a Deny with it is for whoever has a permissions boundary, whatever it names.
    return who["boundary"] != []


def grants(statement: dict[str, Any], who: dict[str, Any]) -> set[str]:
    """As what a statement of a resource's policy that allows names somebody."""
    # "NotPrincipal": it must be used with Deny.
    if "Principal" not in statement:
        return set()
    found = levels(statement["Principal"], who)
    # "Principal", "IAM role principals": with * and aws:PrincipalArn neither a boundary nor a session policy limits it.
    tested = {key.lower() for lines in statement.get("Condition", {}).values() for key in lines}
    if "anybody" in found and "aws:principalarn" in tested:
        found.add("by ARN")
    return found


def decision(
    who: dict[str, Any], resource_policy: str, account: str, consent: bool, action: str, resource: str, keys: Keys
) -> bool:
    """Whether somebody may do something to what belongs to `account`, by all that AWS documents of combining policies.

    `who` has the names of the caller `self`, of who is `behind` it, and of its `account`; the `canonical` id of that;
    its `kind`, its `home` and whether it is `root`; its `policies`, `boundary`, and those of its `session` and `key`.
    `consent`: the resource's own policy has to speak of the caller, as a role's and a KMS key's do.
    """
    theirs = speaking(resource_policy, action, resource, keys)
    # "Determining whether a request is allowed or denied within an account", "Deny evaluation": in all the policies.
    own = who["policies"] + who["boundary"] + who["session"] + who["key"]
    if denies(own, action, resource, keys):
        return False
    if any(made["Effect"] == "Deny" and speaks_of(made, who) for made in theirs):
        return False
    # Pyrite's own, docs/identities.md: the policy of a key limits it whatever else is granted.
    if who["key"] and not allows(who["key"], action, resource, keys):
        return False
    granted: set[str] = set()
    for made in theirs:
        if made["Effect"] == "Allow":
            granted |= grants(made, who)
    # "Principal", "All principals": an Allow to * is one to anonymous users, who have no other policies.
    if who["kind"] == "Anonymous":
        return "anybody" in granted
    # "Determining ...", "IAM permissions boundaries" and "Session policies": what is there has to allow it too.
    within = not who["boundary"] or allows(who["boundary"], action, resource, keys)
    if who["session"]:
        within = within and allows(who["session"], action, resource, keys)
    # "Determining ...", "Session policies": without one the session of a role is allowed, any other is denied.
    elif who["kind"] == "FederatedUser":
        within = False
    # "Determining ...": the root user has full access by default; it can have no policies of its own.
    identity = who["root"] or allows(who["policies"], action, resource, keys)
    # "Cross-account policy evaluation logic": the resource's policy has to allow the caller, and its identity policies
    # with all that limits them have to as well. "All principals": a * is no exception.
    if account != who["home"]:
        return granted != set() and identity and within
    # "Determining ...", "Resource-based policies": what is granted to the user or to the session itself is final.
    if "self" in granted and who["self"] != who["account"]:
        return True
    if "by ARN" in granted:
        return True
    # "Determining ...", "IAM role", "IAM federated user sessions": what is granted to the role, or to the user who
    # federated, needs no policy of an identity, but boundaries and session policies limit it. "Principal", "All
    # principals": no other permissions are needed within the account. It is a choice that they limit a bare *.
    if granted & {"behind", "anybody"}:
        return within
    # "Determining ...": trust policies and KMS key policies must allow it. "Key policies in AWS KMS": not even the root
    # may without. "Default key policy": naming the account lets the account's policies decide.
    if consent and "account" not in granted:
        return False
    # "Principal", "AWS account principals": naming the account delegates to it; it grants nothing to its users.
    return identity and within
