"""The decision against the naive evaluator, for whatever policies, callers and requests hypothesis thinks of."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pyrite.iam.caller import ANONYMOUS, Caller
from pyrite.iam.evaluate import Question, decide, decide_with_consent
from pyrite.iam.policy import Policy, Use, parse_policy
from tests.iam import naive

ACCOUNT, OTHER = "111111111111", "222222222222"
OWNERS = {ACCOUNT: "canon-1", OTHER: "canon-2"}
VERSIONS = st.sampled_from(["2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17", None])


def escaped(text: str, step: int) -> str:
    """JSON that means the same: each `step`-th character of its strings is written as an escape, and slashes too."""
    if not step:
        return text

    def rewritten(found: re.Match[str]) -> str:
        made = (
            f"\\u{ord(c):04x}" if place % step == 0 else "\\/" if c == "/" else c for place, c in enumerate(found[1])
        )
        return f'"{"".join(made)}"'

    return re.sub(r'"([^"\\]*)"', rewritten, text)


@st.composite
def documents(draw: st.DrawFn, made: st.SearchStrategy[dict[str, Any]], most: int = 3) -> str:
    """A policy as text: with or without a version, a list or one statement, written with escapes or without."""
    found = draw(st.lists(made, min_size=1, max_size=most))
    version = draw(VERSIONS)
    single = len(found) == 1 and draw(st.booleans())
    policy = {"Statement": found[0] if single else found} | ({"Version": version} if version else {})
    return escaped(json.dumps(policy), draw(st.sampled_from([0, 0, 1, 2, 3])))


def one_or_list(values: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=most)


WORDS = st.sampled_from([
    "a", "b", "ab", "a*", "*b", "?", "*", "a?b", "abab", "a*b*",
    "${k:name}", "a${K:Name}", "${k:name, 'ab'}", "${k:name, ''}b", "${k:tags}", "${k:none}", "${k:none, 'a'}",
    "${*}", "a${?}", "${$}", "$", "${k:name}*", "*${k:none}",
])  # fmt: skip
VALUES = st.sampled_from(["", "a", "b", "ab", "abab", "aab", "ba", "*", "a?", "A"])
TAGS = st.sampled_from(["a", "b", "ab", "abab", "aab", "B", "*"])
ARNS = st.tuples(st.sampled_from(["arn:aws:s3:::", "arn:aws:sns:r:1:"]), VALUES).map("".join)
NUMBERS = st.sampled_from(["0", "1", "2", "10", "1.5", "-1"])
FAMILIES: dict[str, tuple[list[str], list[str], st.SearchStrategy[Any]]] = {
    "string": (
        ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike",
         "StringNotLike"],
        ["k:name", "k:tags", "K:Name", "K:TAGS", "k:none"], WORDS,
    ),
    "arn": (
        ["ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"], ["k:arn"],
        st.tuples(
            st.sampled_from(["arn:aws:s3:::", "arn:*:s?:::", "arn:aws:*:*:1:", "arn:aws:sns:r:*:"]), WORDS
        ).map("".join),
    ),
    "number": (
        ["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan",
         "NumericGreaterThanEquals"],
        ["k:size"], NUMBERS | st.sampled_from([0, 1, 1.5]),
    ),
    "flag": (["Bool"], ["k:flag"], st.sampled_from(["true", "false", True, False])),
}  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for _ in range(draw(st.integers(0, 2))):
        if draw(st.integers(0, 4)) == 0:
            key = draw(st.sampled_from(["k:name", "k:tags", "K:Size", "k:none"]))
            block.setdefault("Null", {})[key] = draw(st.sampled_from(["true", "false", True, False]))
            continue
        operators, keys, values = FAMILIES[draw(st.sampled_from(["string", "string", "arn", "number", "flag"]))]
        quantifier = draw(st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]))
        name = quantifier + draw(st.sampled_from(operators)) + draw(st.sampled_from(["", "IfExists"]))
        block.setdefault(name, {})[draw(st.sampled_from(keys))] = draw(one_or_list(values))
    return block


KEYS = st.fixed_dictionaries({}, optional={
    "k:name": VALUES.map(lambda value: [value]),
    "k:tags": st.lists(TAGS, max_size=3, unique=True),
    "k:arn": ARNS.map(lambda value: [value]),
    "k:size": NUMBERS.map(lambda value: [value]),
    "k:flag": st.sampled_from([["true"], ["false"]]),
})  # fmt: skip
ACTIONS = one_or_list(
    st.sampled_from(["s3:Get*", "s3:*", "*", "S3:PUTOBJECT", "s3:GetObject", "iam:*", "s3:?etObject"]), most=2
)
RESOURCES = one_or_list(
    st.just("*") | st.just("arn:*:s3:::*") | st.tuples(WORDS, WORDS).map(lambda p: f"arn:aws:s3:::{p[0]}/{p[1]}"),
    most=2,
)


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    made[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(ACTIONS)
    made[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(RESOURCES)
    block = draw(conditions())
    if block:
        made["Condition"] = block
    return made


POLICIES = documents(statements())


def parsed(text: str | None) -> tuple[Policy, ...]:
    return () if text is None else (parse_policy(text, Use.IDENTITY),)


@settings(max_examples=800, deadline=None)
@given(
    st.lists(POLICIES, max_size=2),
    st.none() | POLICIES,
    st.none() | POLICIES,
    st.sampled_from(["s3:GetObject", "s3:PutObject", "iam:CreateUser"]),
    st.tuples(VALUES, VALUES),
    KEYS,
)
def test_agrees_with_the_naive_evaluator(
    policies: list[str],
    boundary: str | None,
    within: str | None,
    action: str,
    place: tuple[str, str],
    keys: dict[str, list[str]],
) -> None:
    """The compiled evaluator and the naive one give the same answer to every question."""
    resource = f"arn:aws:s3:::{place[0]}/{place[1]}"
    caller = Caller(
        kind="AssumedRole",
        account=ACCOUNT,
        owner="canon-1",
        policies=tuple(parse_policy(text, Use.IDENTITY) for text in policies),
        boundary=parsed(boundary),
        sessions=(parsed(within),) if within else (),
    )
    context = {key: tuple(values) for key, values in keys.items()}
    expected = naive.user_may(policies, boundary, within, action, resource, keys)
    assert decide(caller, Question(action, resource, context, "canon-1", ACCOUNT)).allowed is expected


def iam(account: str, name: str) -> str:
    return f"arn:aws:iam::{account}:{name}"


def sts(account: str, name: str) -> str:
    return f"arn:aws:sts::{account}:{name}"


USER_ID, ROLE_ID, STRANGER_ID = "AIDA" + "A" * 17, "AROA" + "B" * 17, "AIDA" + "C" * 17
ROOT, USER, ROLE = iam(ACCOUNT, "root"), iam(ACCOUNT, "user/team/ada"), iam(ACCOUNT, "role/Trainer")
SESSION, FEDERATED = sts(ACCOUNT, "assumed-role/Trainer/run-7"), sts(ACCOUNT, "federated-user/run-7")
STRANGER, STRANGE_ROLE = iam(OTHER, "user/team/ada"), iam(OTHER, "role/Trainer")
STRANGE_SESSION = sts(OTHER, "assumed-role/Trainer/run-7")
# Each caller: its kind, its account, its ARN, its aws:userid, who is behind it, and the unique id of that.
CALLERS: dict[str, tuple[str, str, str, str, str, str]] = {
    "user": ("User", ACCOUNT, USER, USER_ID, USER, USER_ID),
    "session of a role": ("AssumedRole", ACCOUNT, SESSION, f"{ROLE_ID}:run-7", ROLE, ROLE_ID),
    "federated user": ("FederatedUser", ACCOUNT, FEDERATED, f"{ACCOUNT}:run-7", USER, USER_ID),
    "federated root": ("FederatedUser", ACCOUNT, FEDERATED, f"{ACCOUNT}:run-7", ROOT, ACCOUNT),
    "root": ("Account", ACCOUNT, ROOT, ACCOUNT, ROOT, ACCOUNT),
    "user of another account": ("User", OTHER, STRANGER, STRANGER_ID, STRANGER, STRANGER_ID),
    "root of another account": ("Account", OTHER, iam(OTHER, "root"), OTHER, iam(OTHER, "root"), OTHER),
    "session of another account": ("AssumedRole", OTHER, STRANGE_SESSION, "AROAX:run-7", STRANGE_ROLE, "AROAX"),
    "anonymous": ("Anonymous", "", "", "", "", ""),
}
NAMES = [
    USER, USER_ID, ROLE, ROLE_ID, SESSION, FEDERATED, ROOT, ACCOUNT, sts(ACCOUNT, "assumed-role/Trainer/run-8"),
    iam(ACCOUNT, "user/bob"), iam(ACCOUNT, "role/Other"), STRANGER, STRANGE_ROLE, STRANGE_SESSION, iam(OTHER, "root"),
    OTHER,
]  # fmt: skip
PRINCIPALS = st.one_of(
    st.just("*"),
    st.just({"AWS": "*"}),
    one_or_list(st.sampled_from([*NAMES, *NAMES, "*"])).map(lambda names: {"AWS": names}),
    one_or_list(st.sampled_from(["canon-1", "canon-2"]), most=2).map(lambda ids: {"CanonicalUser": ids}),
    st.just({"Service": "s3.amazonaws.com", "AWS": USER}),
)
EXCEPTED = one_or_list(st.sampled_from(NAMES), most=4).map(lambda names: {"AWS": names}) | PRINCIPALS
PLAIN = st.fixed_dictionaries({
    "Effect": st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
    "Action": st.sampled_from(["s3:*", "s3:GetObject", "s3:PutObject"]),
    "Resource": st.sampled_from(["*", "arn:aws:s3:::a/*"]),
})  # fmt: skip
PLAIN_POLICIES = documents(PLAIN, most=2)
TO_ALL = [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}]
TO_ACCOUNTS = [TO_ALL[0] | {"Principal": {"AWS": [ACCOUNT, iam(OTHER, "root")]}}]
EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})


@st.composite
def spoken(draw: st.DrawFn) -> dict[str, Any]:
    """A statement of a resource's policy."""
    made = draw(PLAIN)
    if made["Effect"] == "Deny" and draw(st.booleans()):
        return made | {"NotPrincipal": draw(EXCEPTED)}
    return made | {"Principal": draw(PRINCIPALS)}


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(sorted(CALLERS)),
    st.lists(PLAIN_POLICIES, max_size=1),
    st.tuples(*(st.none() | PLAIN_POLICIES for _ in range(3))),
    documents(spoken()),
    st.sampled_from([ACCOUNT, ACCOUNT, OTHER]),
    st.booleans(),
    st.sampled_from(["s3:GetObject", "s3:PutObject"]),
    st.tuples(st.sampled_from("ab"), VALUES),
)
def test_agrees_with_the_naive_evaluator_on_everything_together(
    name: str,
    policies: list[str],
    limiting: tuple[str | None, str | None, str | None],
    of_it: str,
    account: str,
    consent: bool,
    action: str,
    place: tuple[str, str],
) -> None:
    """Both agree on every kind of caller, all that limits it, the resource's own policy, and two accounts."""
    resource = f"arn:aws:s3:::{place[0]}/{place[1]}"
    caller, who = caller_and_names(name, policies, *limiting)
    question = Question(action, resource, {}, OWNERS[account], account, parse_policy(of_it, Use.RESOURCE))
    expected = naive.decision(who, of_it, account, consent, action, resource, {})
    assert (decide_with_consent if consent else decide)(caller, question).allowed is expected


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(sorted(CALLERS)),
    st.lists(EXCEPTED, min_size=1, max_size=2),
    st.sampled_from([TO_ALL, TO_ACCOUNTS]),
    st.none() | st.just(EVERYTHING),
    st.sampled_from([ACCOUNT, ACCOUNT, OTHER]),
    st.sampled_from([0, 1, 2]),
)
def test_agrees_on_whom_not_principal_excepts(
    name: str,
    excepted: list[Any],
    grant: list[dict[str, Any]],
    boundary: str | None,
    account: str,
    step: int,
) -> None:
    """Where all else allows it, the answer depends on the names in NotPrincipal alone, and both read them alike."""
    denies = [{"Effect": "Deny", "NotPrincipal": names, "Action": "s3:*", "Resource": "*"} for names in excepted]
    of_it = escaped(json.dumps({"Version": "2012-10-17", "Statement": [*grant, *denies]}), step)
    caller, who = caller_and_names(name, [EVERYTHING], boundary, EVERYTHING, None)
    question = Question(
        "s3:GetObject", "arn:aws:s3:::a/b", {}, OWNERS[account], account, parse_policy(of_it, Use.RESOURCE)
    )
    expected = naive.decision(who, of_it, account, False, "s3:GetObject", "arn:aws:s3:::a/b", {})
    assert decide(caller, question).allowed is expected


def caller_and_names(
    name: str, policies: list[str], boundary: str | None, within: str | None, key: str | None
) -> tuple[Caller, dict[str, Any]]:
    """One caller for both: what cannot be given to its kind is left away."""
    kind, home, arn, user_id, behind, unique = CALLERS[name]
    root, session = kind == "Account" or "root" in behind, kind in ("AssumedRole", "FederatedUser")
    # A root user has no policy and no boundary; only sessions have session policies; who does not sign has nothing.
    if root or kind == "Anonymous":
        policies, boundary = [], None
    if not session:
        within = None
    if kind == "Anonymous":
        key = None
    # A federated user without a session policy may do nothing, which its caller says by an empty set of them.
    sessions = (parsed(within),) if within or kind == "FederatedUser" else ()
    account = [iam(home, "root"), home] if home else []
    itself = account if kind == "Account" else [arn] if session else [arn, unique]
    behind_it = [] if not session else account if root else [behind, unique]
    who = {
        "self": itself if home else [], "behind": behind_it, "account": account, "canonical": OWNERS.get(home),
        "kind": kind, "home": home, "root": root, "policies": policies,
        **{what: [text] if text else [] for what, text in (("boundary", boundary), ("session", within), ("key", key))},
    }  # fmt: skip
    if kind == "Anonymous":
        return ANONYMOUS, who
    caller = Caller(
        kind=kind, account=home, owner=OWNERS[home], arn=arn, principal_arn=behind, id=user_id, is_root=root,
        unique="" if root else unique, policies=tuple(parse_policy(text, Use.IDENTITY) for text in policies),
        boundary=parsed(boundary), sessions=sessions, limits=(parsed(key),) if key else (),
    )  # fmt: skip
    return caller, who
