"""Owns policy documents: reading them strictly, and the statements that they become. Pure.

Source: AWS, "IAM JSON policy reference" and "Grammar of the IAM JSON policy language".
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

from pyrite.iam.conditions import Condition, compile_conditions
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.patterns import Context, Pattern, variables_in
from pyrite.iam.principals import Principals, parse_principals

_VERSIONS = ("2012-10-17", "2008-10-17")
_ELEMENTS = frozenset("Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split())
_ACTION = re.compile(r"[A-Za-z0-9_-]+:[A-Za-z0-9_*?-]+\Z")
_SID = re.compile(r"[A-Za-z0-9]*\Z")
_DEPTH_MAX = 12
BEHIND_STARS_MAX = 4096
"""The most characters behind wildcards in a policy. Each may cost a look at each character of a value."""
_UNBOUND: Mapping[str, str] = {}
VARIABLES_MAX = 200
"""The most values with variables of a policy."""
COSTLY_MAX = 16
"""The most values with variables and question marks of a policy."""


class Use(Enum):
    """What a policy is attached to: an identity, a resource, or a role as its trust policy."""

    IDENTITY = auto()
    RESOURCE = auto()
    TRUST = auto()


class Matcher(NamedTuple):
    """The actions or resources of a statement; `negated` for NotAction and NotResource."""

    patterns: tuple[Pattern, ...]
    negated: bool

    def matches(self, value: str, context: Context | None) -> bool:
        """Whether the statement speaks of `value`."""
        return any(pattern.matches(value, context) for pattern in self.patterns) != self.negated


_NO_MATCHER = Matcher((), False)


class Statement(NamedTuple):
    """One statement. `resources` is None in a trust policy, `principals` in an identity's policy."""

    sid: str
    allows: bool
    principals: Principals | None
    actions: Matcher
    resources: Matcher | None
    conditions: tuple[Condition, ...]

    def condition_keys(self) -> Iterator[str]:
        """The condition keys that it looks at, in lower case: those of its conditions and the variables in it."""
        for condition in self.conditions:
            yield condition.key
            for value in condition.values:
                yield from variables_in(value)
        for pattern in self.resources.patterns if self.resources is not None else ():
            yield from variables_in(pattern.text)

    @property
    def text_behind_stars(self) -> int:
        """How many characters stand behind wildcards: what matching costs for each character of a value."""
        texts = [pattern.text for pattern in (*self.actions.patterns, *(self.resources or _NO_MATCHER).patterns)]
        texts += [value for condition in self.conditions for value in condition.values]
        return sum(len(text.partition("*")[2]) for text in texts)

    def _texts(self) -> list[str]:
        """Everything in which variables may stand."""
        texts = [pattern.text for pattern in (self.resources or _NO_MATCHER).patterns]
        return texts + [value for condition in self.conditions for value in condition.values]

    @property
    def variable_patterns(self) -> int:
        """How many values have variables in them, which are looked at anew for each request."""
        return sum("${" in text for text in self._texts())

    @property
    def costly_patterns(self) -> int:
        """How many of those have question marks, too: each is compiled anew for each request."""
        return sum("${" in text and "?" in text.replace("${?}", "") for text in self._texts())

    def applies(self, resource: str, context: Context) -> bool:
        """Whether it speaks of `resource` in a request with this context. Its action and principal match already."""
        if self.resources is not None and not self.resources.matches(resource, context):
            return False
        return all(condition.holds(context) for condition in self.conditions)


class Policy:
    """A compiled document. `name` says in a decision which policy it was."""

    __slots__ = ("_by_action", "_keys", "name", "statements")

    def __init__(self, name: str, statements: tuple[Statement, ...]) -> None:
        self.name = name
        self._keys = frozenset(key for statement in statements for key in statement.condition_keys())
        self.statements = statements
        self._by_action: dict[str, tuple[Statement, ...]] = {}

    def mentions(self, key: str) -> bool:
        """Whether the document names a condition key that contains `key` (in lower case), as key or as variable."""
        return any(key in named for named in self._keys)

    def about(self, action: str) -> tuple[Statement, ...]:
        """The statements that speak of an action."""
        found = self._by_action.get(action)
        if found is None:
            found = tuple(s for s in self.statements if s.actions.matches(action, None))
            self._by_action[action] = found
        return found


def parse_policy(
    text: str, use: Use, name: str = "", lenient: bool = False, bound: Mapping[str, str] = _UNBOUND
) -> Policy:
    """The policy in `text`. Raises MalformedPolicy.

    `lenient` accepts, and does not look at, a Principal in the policy of an identity. `bound` has the unique ids of
    users and roles that it names by ARN: it speaks of those, and of nobody else who has these names.
    """
    document = load_document(text)
    unknown = document.keys() - {"Version", "Id", "Statement"}
    if unknown:
        raise MalformedPolicy(f"Syntax errors in policy: {min(unknown)} is not an element")
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise MalformedPolicy("The policy must contain a valid version string")
    listed = document.get("Statement")
    items: list[Any] = listed if isinstance(listed, list) else [listed]
    if not items or not all(isinstance(item, dict) and item for item in items):
        raise MalformedPolicy("Syntax errors in policy: there is no statement")
    variables = version == "2012-10-17"
    statements = tuple(_statement(item, use, variables, lenient, bound) for item in items)
    if sum(statement.text_behind_stars for statement in statements) > BEHIND_STARS_MAX:
        raise MalformedPolicy(f"A policy may have at most {BEHIND_STARS_MAX} characters behind wildcards")
    if sum(statement.costly_patterns for statement in statements) > COSTLY_MAX:
        raise MalformedPolicy(f"A policy may have at most {COSTLY_MAX} values with both variables and question marks")
    if sum(statement.variable_patterns for statement in statements) > VARIABLES_MAX:
        raise MalformedPolicy(f"A policy may have at most {VARIABLES_MAX} values with variables")
    if use is not Use.RESOURCE:
        check_sids(statements)
    return Policy(name, statements)


def check_sids(statements: Iterable[Statement]) -> None:
    """Raises MalformedPolicy when two statements have one id."""
    sids = [statement.sid for statement in statements if statement.sid]
    if len(set(sids)) != len(sids):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique")


def load_document(text: str) -> dict[str, Any]:
    """The JSON object in `text`. Raises MalformedPolicy, also for an element that stands there twice."""
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise MalformedPolicy("Syntax errors in policy: this is not JSON") from None
    if not isinstance(document, dict):
        raise MalformedPolicy("Syntax errors in policy: this is not a JSON object")
    _check_depth(document, 0)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an element stands there twice")
    return made


def _check_depth(value: object, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise MalformedPolicy("Syntax errors in policy: it is nested too deeply")
    if isinstance(value, str) and "\0" in value:
        raise MalformedPolicy("Syntax errors in policy: it contains a NUL")
    children = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_depth(child, depth + 1)


def _statement(item: dict[str, Any], use: Use, variables: bool, lenient: bool, bound: Mapping[str, str]) -> Statement:
    unknown = item.keys() - _ELEMENTS
    if unknown:
        raise MalformedPolicy(f"Syntax errors in policy: {min(unknown)} is not an element of a statement")
    effect = item.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise MalformedPolicy("Syntax errors in policy: Effect must be Allow or Deny")
    sid = item.get("Sid", "")
    if not isinstance(sid, str) or (use is not Use.RESOURCE and not _SID.match(sid)):
        raise MalformedPolicy("Statement IDs (SID) must be alpha-numeric")
    principals = _principals(item, use, lenient, bound)
    actions = _matcher(item, "Action", variables=False, is_arn=False)
    if actions is None:
        raise MalformedPolicy("Policy statement must contain actions")
    resources = _matcher(item, "Resource", variables, is_arn=True)
    if use is Use.TRUST:
        if resources is not None:
            raise MalformedPolicy("Has prohibited field Resource")
    elif resources is None:
        raise MalformedPolicy("Policy statement must contain resources")
    conditions = compile_conditions(item["Condition"], variables) if "Condition" in item else ()
    return Statement(sid, effect == "Allow", principals, actions, resources, conditions)


def _principals(item: dict[str, Any], use: Use, lenient: bool, bound: Mapping[str, str]) -> Principals | None:
    present = [name for name in ("Principal", "NotPrincipal") if name in item]
    if use is Use.IDENTITY:
        if present and not lenient:
            raise MalformedPolicy("Policy document should not specify a principal.")
        return None
    if len(present) != 1:
        raise MalformedPolicy("Missing required field Principal" if not present else "Principal stands there twice")
    return parse_principals(item[present[0]], present[0] == "NotPrincipal", bound)


def _matcher(item: dict[str, Any], name: str, variables: bool, is_arn: bool) -> Matcher | None:
    present = [label for label in (name, "Not" + name) if label in item]
    if not present:
        return None
    if len(present) == 2:
        raise MalformedPolicy(f"Syntax errors in policy: {name} and Not{name} exclude each other")
    values = item[present[0]]
    listed = values if isinstance(values, list) else [values]
    if not listed or not all(isinstance(value, str) for value in listed):
        raise MalformedPolicy(f"Syntax errors in policy: {present[0]} must be strings")
    check = _check_resource if is_arn else _check_action
    for value in listed:
        check(value)
    patterns = tuple(Pattern(value, variables, is_arn, ignore_case=not is_arn) for value in listed)
    return Matcher(patterns, present[0] != name)


def _check_action(value: str) -> None:
    if value != "*" and not _ACTION.match(value):
        raise MalformedPolicy(f"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2: {value!r}")


def _check_resource(value: str) -> None:
    if value != "*" and (not value.startswith("arn:") or value.count(":") < 5):
        raise MalformedPolicy(f'Resource {value!r} must be in ARN format or "*".')
