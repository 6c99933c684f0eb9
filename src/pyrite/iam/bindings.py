"""Owns binding what a policy names by ARN to the users and roles that have these ARNs when it is put.

So a policy follows who is renamed, and does not speak of somebody who is made later under the name of one that is gone.
Source: AWS, "AWS JSON policy elements: Principal".
"""

import json
from collections.abc import Mapping
from typing import Any

from pyrite.aws.arns import parse_arn
from pyrite.core.counts import parse_count
from pyrite.iam.changing import View
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.policy import Policy
from pyrite.iam.records import AccountRecord, EntityRecord, account_key, named_key


async def bind(view: View, policy: Policy, strict: bool) -> dict[str, str]:
    """The unique ids of the users and roles that a policy names, by ARN.

    Raises MalformedPolicy where it is `strict` and one of them, or an account, is not there.
    """
    bound = {}
    for name in sorted(_named(policy)):
        found = await _find(view, name)
        if isinstance(found, EntityRecord):
            bound[name] = found.id
        elif found is None and strict:
            raise MalformedPolicy(f"Invalid principal in policy: there is no {name}")
    return bound


async def shown(view: View, text: str, bound: Mapping[str, str]) -> str:
    """The document as it is told: who is gone, or has another ARN by now, stands in it by its unique id."""
    told = {}
    for name, unique in bound.items():
        found = await _find(view, name)
        if not isinstance(found, EntityRecord) or found.id != unique:
            told[name] = unique
    if not told:
        return text
    document = json.loads(text)
    for statement in _listed(document["Statement"]):
        for element in ("Principal", "NotPrincipal"):
            if isinstance(statement.get(element), dict) and "AWS" in statement[element]:
                names = [told.get(name, name) for name in _listed(statement[element]["AWS"])]
                statement[element]["AWS"] = names[0] if len(names) == 1 else names
    return json.dumps(document)


def _listed(element: Any) -> list[Any]:
    return element if isinstance(element, list) else [element]


def _named(policy: Policy) -> set[str]:
    return {
        named.value
        for statement in policy.statements
        for named in (statement.principals.named if statement.principals is not None else ())
        if named.kind == "AWS" and named.value != "*"
    }


async def _find(view: View, name: str) -> EntityRecord | AccountRecord | str | None:
    """Who has a name: a user, a role (also that of a session), an account; the name where it is of another sort."""
    if not name.startswith("arn:"):
        return await view.get(AccountRecord, account_key(name)) if parse_count(name) is not None else name
    arn = parse_arn(name)
    kind, _, path = arn.resource.partition("/")
    if kind == "root":
        return await view.get(AccountRecord, account_key(arn.account))
    if kind == "assumed-role":
        return await view.get(EntityRecord, named_key("role", arn.account, path.partition("/")[0]))
    if kind not in ("user", "role"):
        return name
    found = await view.get(
        EntityRecord, named_key("user" if kind == "user" else "role", arn.account, path.rpartition("/")[2])
    )
    return found if found is not None and found.arn == name else None
