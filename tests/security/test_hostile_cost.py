"""Shows that a stranger's bytes cost processor time and memory in proportion to their number, and do not stay.

Nothing here measures wall-clock time. A cost is the processor time of a call, the best of some calls. It has to be
small, or to grow as the text does: eight times the text may cost twenty-four times as much, never sixty-four times.
What is left behind is counted by tracemalloc after two thousand different inputs.
"""

import ast
import base64
import gc
import importlib
import json
import pkgutil
import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from time import process_time
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

import pyrite
from pyrite.aws import dates, sigv2, sigv4, uri, xml
from pyrite.aws.payload import PayloadDecoder
from pyrite.core.atonce import at_once
from pyrite.core.chunked import ChunkDecoder
from pyrite.core.errors import PyriteError
from pyrite.core.redaction import without_secrets, without_signature
from pyrite.http.head import parse_head
from pyrite.http.limits import Limits
from pyrite.http.proxies import client_address
from pyrite.iam.operators import OPERATORS
from pyrite.iam.patterns import Pattern
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.webidentity import peek
from pyrite.iamapi.actions.ldapidentity import Limiter, assume_role_with_ldap_identity
from pyrite.iamapi.wire import Params, parse_form
from pyrite.kms import access as kms_access
from pyrite.metadata.kv import Entry
from pyrite.objects import events
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.conditions import ReadConditions
from pyrite.objects.records import FORMAT, BucketRecord, encode
from pyrite.s3 import (
    abac,
    bucketencryption,
    bucketlogging,
    cors,
    form,
    headers,
    objectlock,
    payers,
    postpolicy,
    ranges,
    websites,
)
from pyrite.s3.quick import QuickWay
from pyrite.s3.rules import Rulebook
from pyrite.s3.schemas import parse_document
from pyrite.s3.tags import OF_OBJECT, tags_of_document, tags_of_header
from pyrite.services import inventoryrules, lifecyclerules

KIB = 1024
MIB = 1024 * KIB
FLOOR_S = 0.03
"""What costs less than this is cheap, however it grows."""
GROWTH = 8
MEASURED = 3
"""How often a cost has to grow too fast."""
SLACK = 3
INPUTS = 2000
KEPT_MAX_BYTES = 4 * MIB
"""What all inputs together may leave behind: a few MB."""

Text = str | bytes
Run = Callable[[], object]


# ---- measuring


def spent(run: Run) -> float:
    """The processor time of a call in seconds; a refusal is an answer like others."""
    gc.disable()  # what else lives in this process is not to be counted
    re.purge()  # the library remembers a few hundred expressions: a small input would be compiled once, a large one always
    try:
        begun = process_time()
        with suppress(PyriteError):
            run()
        return process_time() - begun
    finally:
        gc.enable()


def best(run: Run, first: float) -> float:
    """The least of a first cost and of two more, where one does not take long."""
    return min(first, spent(run), spent(run)) if first < 0.5 else first


def excess(make: Callable[[int], Run], largest: int) -> str:
    """How a cost grows faster than its input; "" where it does not, or not each time: other work disturbs caches."""
    for _ in range(MEASURED):
        grown = excess_now(make, largest)
        if not grown:
            break
    return grown


def excess_now(make: Callable[[int], Run], largest: int) -> str:
    """How a cost grows faster than its input just now.

    The sizes climb, so that even a cubic cost is found before it takes long.
    """
    for size in (largest // GROWTH**2, largest // GROWTH, largest):
        run = make(size)
        large = spent(run)
        if large <= FLOOR_S or (large := best(run, large)) <= FLOOR_S:
            continue
        smaller = make(size // GROWTH)
        small = best(smaller, spent(smaller))
        if large > small * GROWTH * SLACK:
            return f"{size} take {large * 1000:.0f} ms, {size // GROWTH} take {small * 1000:.2f} ms"
    return ""


def left_behind(fill: Callable[[int], object], inputs: int = INPUTS) -> int:
    """How many bytes stay after all inputs; it stops where there are clearly too many."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(inputs):
            with suppress(PyriteError):
                fill(number)
            if number % 50 == 49 and tracemalloc.get_traced_memory()[0] - before > 2 * KEPT_MAX_BYTES:
                break
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


# ---- what src/pyrite has


@cache
def modules() -> dict[str, ModuleType]:
    """All modules of the package by their names without the package's."""
    found = {}
    for info in pkgutil.walk_packages(pyrite.__path__, "pyrite."):
        if not info.name.endswith("__main__"):
            found[info.name.removeprefix("pyrite.")] = importlib.import_module(info.name)
    return found


@cache
def trees() -> dict[str, ast.Module]:
    """The syntax trees of all modules."""
    return {
        name: ast.parse(Path(str(module.__file__)).read_text())
        for name, module in modules().items()
        if str(module.__file__).endswith(".py")
    }


class Found(NamedTuple):
    """A regular expression: where it stands, and the methods that the sources call on it."""

    place: str
    pattern: re.Pattern[Any]
    uses: frozenset[str]


USES = frozenset(("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"))


def patterns_within(value: object) -> Iterator[re.Pattern[Any]]:
    """A pattern, and those in containers of any depth."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, Mapping):
        for one in (*value.keys(), *value.values()):
            yield from patterns_within(one)
    elif isinstance(value, tuple | list | set | frozenset):
        for one in value:
            yield from patterns_within(one)


def called_on(trees_: Iterable[ast.Module], name: str) -> frozenset[str]:
    """The methods of patterns that are called on what has this name."""
    found = set()
    for node in (node for tree in trees_ for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and node.attr in USES:
            holder = node.value
            known = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
            found |= {node.attr} if known == name else set()
    return frozenset(found)


def inline_patterns(name: str, tree: ast.Module) -> Iterator[Found]:
    """The expressions that stand as literals in calls of `re`."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        called, literal = node.func, node.args[0]
        if not (isinstance(called.value, ast.Name) and called.value.id == "re" and isinstance(literal, ast.Constant)):
            continue
        if called.attr in USES:
            yield Found(f"{name}:{node.lineno}", re.compile(literal.value), frozenset((called.attr,)))


def expressions() -> list[Found]:
    """All regular expressions of the package that stand in modules, classes and calls."""
    found: dict[tuple[str, int], Found] = {}
    for name, tree in trees().items():
        module = modules()[name]
        assigned = {
            target.id: node.lineno
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        held = [(label, line, getattr(module, label, None)) for label, line in assigned.items()]
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                attributes = vars(getattr(module, node.name, object)).items()
                held += [(label, node.lineno, value) for label, value in attributes]
        for label, line, value in held:
            for pattern in patterns_within(value):
                private = isinstance(value, re.Pattern) and label.startswith("_")
                uses = called_on([tree] if private else trees().values(), label)
                found[name, id(pattern)] = Found(f"{name}:{line} {label}", pattern, uses or USES)
        for one in inline_patterns(name, tree):
            found.setdefault((one.place, 0), one)
    return list(found.values())


# ---- hostile texts


PARSER = re._parser  # type: ignore[attr-defined]  # what the library itself makes of an expression
USUAL = (
    " ",
    "\t",
    "\n",
    "://",
    "?",
    "*",
    "${",
    "}",
    ",",
    ", ",
    "'",
    '"',
    "\\",
    "/",
    ".",
    ":",
    "@",
    "=",
    "&",
    "0",
    "a",
    "A",
)
ENDS = ("", "\x01", "!", "'x")


def members(items: Iterable[tuple[Any, Any]]) -> list[str]:
    """Some characters of a class."""
    found, negated = [], False
    for kind, value in items:
        if str(kind) == "NEGATE":
            negated = True
        elif str(kind) == "LITERAL":
            found.append(chr(value))
        elif str(kind) == "RANGE":
            found += [chr(value[0]), chr(value[1])]
        elif str(kind) == "CATEGORY":
            found += [" "] if str(value) == "CATEGORY_SPACE" else ["7", "a"]
    return [one for one in "ab 7/.x\t:" if one not in found][:3] if negated else found


def samples(tree: Any) -> tuple[str, list[str]]:
    """The shortest text that an expression takes, and the texts that it repeats."""
    whole, repeated = "", []
    for kind, value in tree:
        name, more = str(kind), []
        if name == "LITERAL":
            text = chr(value)
        elif name == "NOT_LITERAL":
            text = "b" if chr(value) != "b" else "c"
        elif name == "ANY":
            text = "a"
        elif name == "IN":
            text, *_ = more = members(value) or ["a"]
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            inner, more = samples(value[2])
            text = inner * max(value[0], 1)
            more = [inner, *more]
        elif name == "SUBPATTERN":
            text, more = samples(value[3])
        elif name == "ATOMIC_GROUP":
            text, more = samples(value)
        elif name == "BRANCH":
            branches = [samples(one) for one in value[1]]
            text, more = branches[0][0], [text for one, rest in branches for text in (one, *rest)]
        elif name in ("ASSERT", "ASSERT_NOT"):
            text, more = "", [samples(value[1])[0]]
        else:
            text = ""
        whole += text
        repeated += more
    return whole, repeated


def literals(tree: Any) -> list[str]:
    """The runs of literal characters in an expression."""
    runs, run = [], ""
    for kind, value in tree:
        if str(kind) == "LITERAL":
            run += chr(value)
            continue
        runs, run = [*runs, run], ""
        for part in value if isinstance(value, tuple | list) else ():
            for inner in part if isinstance(part, list) else [part]:
                runs += literals(inner) if isinstance(inner, PARSER.SubPattern) else []
    return [one for one in [*runs, run] if one]


def hostile_texts(pattern: re.Pattern[Any]) -> list[Callable[[int], Text]]:
    """Makers of texts of a size: repeats of what the expression speaks of, with a beginning and an end of it."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = PARSER.parse(source, pattern.flags & ~re.UNICODE)
    whole, repeated = samples(tree)
    runs = literals(tree)
    heads = list(dict.fromkeys(["", *runs[:2], whole]))
    units = list(dict.fromkeys(unit for unit in (whole, *runs, *repeated, *USUAL) if unit))
    texts = [("", unit, end) for unit in units for end in ENDS[:2]]
    texts += [(head, unit, end) for head in heads[1:] for unit in dict.fromkeys(repeated) if unit for end in ENDS]
    if isinstance(pattern.pattern, str):
        return [lambda size, h=head, u=unit, e=end: h + u * (size // len(u)) + e for head, unit, end in texts]
    return [
        lambda size, h=head, u=unit, e=end: (h + u * (size // len(u)) + e).encode("latin-1", "replace")
        for head, unit, end in texts
    ]


def ways(found: Found) -> Iterator[Callable[[Text], object]]:
    """How an expression is run: as the sources do, and from the start of a text in any case."""
    pattern = found.pattern
    for use in sorted(found.uses | {"match"}):
        if use in ("sub", "subn"):
            empty = "" if isinstance(pattern.pattern, str) else b""
            yield lambda text, e=empty: pattern.sub(e, text)
        elif use == "finditer":
            yield lambda text: sum(1 for _ in pattern.finditer(text))
        else:
            yield getattr(pattern, use)


def over_text(run: Callable[[Text], object], text: Callable[[int], Text], size: int) -> Run:
    """Runs an expression over a text of a size."""
    made = text(size)
    return lambda: run(made)


def slowest(one: Found) -> str:
    """A way and a text with which an expression takes more than in proportion; "" where there is none."""
    for run in ways(one):
        for text in hostile_texts(one.pattern):
            grown = excess(partial(over_text, run, text), 64 * KIB)
            if grown:
                return f"{one.place} {getattr(run, '__name__', 'over')} {text(12)!r}: {grown}"
    return ""


@pytest.mark.parametrize(
    ("source", "use"),
    [
        (r"(://[^\s?\"]*\?)[^\s\"]+", "sub"),
        (r"([^,]*)\s*,\s*'([^']*)'\s*\Z", "match"),
        (r"X-Amz-Security-Token=[^&]*&?!", "search"),
        (r"(a|b)*c|[0-9]+x", "search"),
    ],
)
def test_slow_expressions_are_found(source: str, use: str) -> None:
    """Expressions that are known to be slow are found to be so, in texts as well as in bytes."""
    assert slowest(Found("text", re.compile(source), frozenset((use,))))
    assert slowest(Found("bytes", re.compile(source.encode()), frozenset((use,))))


def test_regular_expressions() -> None:
    """Each regular expression of the package takes time in proportion to a text that is made to delay it."""
    found = expressions()
    assert len(found) > 40
    slow = [told for told in map(slowest, found) if told]
    assert not slow, "\n".join(slow)


# ---- what stays in memory


def bucket_with(number: int, name: str = "", text: str = "", policy: str = "") -> Bucket:
    """A bucket that is configured by one document."""
    record = BucketRecord(
        FORMAT, number, f"bucket-{number}", "o", 0, "", policy, None, "BucketOwnerEnforced", 15, {}, lock=True
    )
    if name:
        record = type(record)(**{**{field: getattr(record, field) for field in record.__struct_fields__}, "configurations": {name: text}})  # fmt: skip
    return Bucket(number, record, number)


def filler(number: int, size: int) -> str:
    """A text of a size, unlike those of all other numbers."""
    return f"{number:06d}".ljust(size, "x")


@cache
def tail(size: int) -> str:
    """Sorted names that are the same for all numbers, in about a size."""
    return "".join(f";b{n:05d}" for n in range(max(size // 7, 1))) + ";host"


def names(number: int, size: int) -> str:
    """Sorted names in a text of about a size: many, or for odd numbers two, of which one is long."""
    return f"a{number:06d}" + (tail(size - 16) if number % 2 == 0 else "x" * (size - 16) + ";host")


def authorization(scope: str, signed: str, signature: str = "0" * 64) -> bytes:
    """An Authorization header of version 4."""
    return (
        f"AWS4-HMAC-SHA256 Credential={scope}/20260101/us-east-1/s3/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    ).encode("latin-1")


def fill_canonical(number: int, size: int) -> object:
    """Asks for the canonical request of signed names, as they come out of an Authorization header."""
    claim = sigv4.parse_authorization(authorization("a", names(number, size)))
    return sigv4.canonical_request(b"GET", uri.Target(b"/", ()), {}, claim.signed_headers, b"UNSIGNED-PAYLOAD")


def verify_form(number: int, size: int) -> object:
    """Makes the key that signs a form, as who knows an access key id alone can ask for."""
    credential = sigv4.parse_credential(f"AKIA/{20000000 + number}/us-east-1/s3/aws4_request")
    return sigv4.signing_key(filler(0, 40), credential.date, credential.region, credential.service)


def lifecycle(text: str) -> str:
    """A lifecycle configuration with a text in it."""
    return (
        "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status>"
        f"<Filter><Prefix>{text}</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
    )


def inventory(text: str) -> str:
    """An inventory configuration with a text in it."""
    return (
        f"<InventoryConfiguration><Id>a</Id><IsEnabled>true</IsEnabled><Filter><Prefix>{text}</Prefix></Filter>"
        "<Destination><S3BucketDestination><Format>CSV</Format><Bucket>arn:aws:s3:::b</Bucket></S3BucketDestination>"
        "</Destination><Schedule><Frequency>Daily</Frequency></Schedule>"
        "<IncludedObjectVersions>All</IncludedObjectVersions></InventoryConfiguration>"
    )


def cors_document(text: str) -> str:
    """A CORS configuration with a text in it."""
    return (
        f"<CORSConfiguration><CORSRule><AllowedOrigin>http://{text}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
        "</CORSRule></CORSConfiguration>"
    )


def website(text: str) -> str:
    """A website configuration with a text in it."""
    return f"<WebsiteConfiguration><IndexDocument><Suffix>{text}</Suffix></IndexDocument></WebsiteConfiguration>"


def logging(text: str) -> str:
    """A logging configuration with a text in it."""
    return (
        f"<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix>{text}</TargetPrefix>"
        "</LoggingEnabled></BucketLoggingStatus>"
    )


def notification(text: str) -> str:
    """A notification configuration with a text in it."""
    return (
        f"<NotificationConfiguration><QueueConfiguration><Id>{text}</Id><Queue>arn:aws:sqs:::q</Queue>"
        "<Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>"
    )


def abac_status(text: str) -> str:
    """A document on attribute-based access with a text in it."""
    return f"<AbacStatus><Status>Enabled</Status><Other>{text}</Other></AbacStatus>"


def payment(text: str) -> str:
    """A document on who pays with a text in it."""
    return f"<RequestPaymentConfiguration><Payer>Requester</Payer><Other>{text}</Other></RequestPaymentConfiguration>"


def encryption(text: str) -> str:
    """An encryption configuration with a text in it."""
    return (
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
        f"<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>{text}</KMSMasterKeyID>"
        "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )


def object_lock(text: str) -> str:
    """An object lock configuration with a text in it."""
    return (
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
        f"<Mode>GOVERNANCE</Mode><Days>1</Days><Other>{text}</Other></DefaultRetention></Rule></ObjectLockConfiguration>"
    )


def policy_of(text: str) -> str:
    """A policy of a resource with a text in it."""
    statement = {"Sid": text, "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def configured(
    name: str, document: Callable[[str], str], ask: Callable[[Bucket], object]
) -> Callable[[int, int], object]:
    """Asks for what a bucket's document means, as each request to the bucket does."""
    return lambda number, size: ask(bucket_with(number, name, document(filler(number, size))))


def listened(number: int, size: int) -> object:
    """Asks whom a bucket tells, where somebody listens to a long prefix."""
    text = json.dumps([["id", ["s3:ObjectCreated:*"], filler(number, size), ""]])
    return events.notifications_of(bucket_with(number, events.LISTENERS, text))


def kms_use(number: int, size: int) -> object:
    """Asks whether somebody may use a key with a long policy."""
    record = SimpleNamespace(policy=policy_of(filler(number, size)), bound={}, account="1", tags={})
    caller = SimpleNamespace(account="", arn="", is_anonymous=True, owner="", provider="", id="", unique="")
    with suppress(AttributeError):  # what the caller may is of no interest here
        kms_access.check_use(caller, "kms:Decrypt", "arn:aws:kms:::key/a", record, {})  # type: ignore[arg-type]
    return None


VARIED = Pattern("a${aws:username}*b", True)


# What fills each cache, by its place: a number makes inputs differ, and a size says how long they are.
CACHES: dict[str, Callable[[int, int], object]] = {
    "aws.dates._parse_basic": lambda number, size: dates.parse_basic(filler(number, 16 if size < KIB else size)),
    "aws.sigv4._parse_once": lambda number, size: sigv4.parse_authorization(
        authorization(f"{number:020d}", names(number, size))
    ),
    "aws.sigv4._signed_once": fill_canonical,
    "aws.sigv4.signing_key": verify_form,
    "iam.patterns._compile_once": lambda number, size: VARIED.matches(
        "a" * size, {"aws:username": (filler(number, size),)}
    ),
    "kms.access._compiled": kms_use,
    "objects.events._listening": listened,
    "objects.events._stored": configured("notification", notification, events.notifications_of),
    "s3.abac._is_enabled": configured("abac", abac_status, lambda bucket: abac.is_enabled(bucket.record)),
    "s3.bucketencryption._parsed": configured("encryption", encryption, bucketencryption.default_of),
    "s3.bucketlogging._stored": configured("logging", logging, bucketlogging.logging_of),
    "s3.cors._stored": configured("cors", cors_document, cors.rules_of),
    "s3.headers._typed_once": lambda number, size: headers.attributes_of(
        {b"content-type": filler(number, size if size > 200 else 100).encode()}  # up to 128 are remembered
    ),
    "s3.objectlock._stored": configured("object-lock", object_lock, objectlock.default_of),
    "s3.payers._requesters_pay": configured("requestPayment", payment, payers.is_charged_by),
    "s3.websites._stored": configured("website", website, websites.of),
    "services.inventoryrules._stored": configured("inventory/a", inventory, inventoryrules.inventories_of),
    "services.lifecyclerules.rules_in": lambda number, size: lifecyclerules.rules_in(lifecycle(filler(number, size))),
}
FEWER = {"iam.patterns._compile_once": 600}
"""Fewer inputs are enough where each takes long: the library itself keeps 512 expressions."""
MORE = {"iam.patterns._compile_once": 16 * MIB}
"""What the library's own memory of the last 512 expressions takes, however many there were."""
NO_TEXT = {
    "http.outbound._tls": "the one context of TLS",
    "aws.dates._format_iso_second": "seconds",
    "s3.headers._last_modified": "seconds",
    "s3.handlers.lists._algorithm_elements": "names of algorithms, which stand in a table",
}
"""Caches that no text of a request comes into, and what they hold instead."""


def caches() -> dict[str, Any]:
    """All functions of the package that remember what they were asked."""
    found = {}
    for name, module in modules().items():
        for label, value in vars(module).items():
            if (
                hasattr(value, "cache_info")
                and not isinstance(value, type)
                and getattr(value, "__module__", "") == module.__name__
            ):
                found[f"{name}.{label}"] = value
    return found


def test_every_cache_is_known() -> None:
    """Each function that remembers is filled by a test, or takes nothing that a stranger could choose."""
    assert set(caches()) == set(CACHES) | set(NO_TEXT)
    assert all(cached.cache_info().maxsize is not None for cached in caches().values())


@pytest.mark.parametrize("size", [32 * KIB, 900, 200])
@pytest.mark.parametrize("place", CACHES)
def test_caches_forget(place: str, size: int) -> None:
    """Two thousand different inputs, long ones or such as are just remembered, leave no more than a few MB behind."""
    cached = caches().get(place)
    if cached is None:
        pytest.skip(f"there is no {place} any more")
    fill = CACHES[place]
    with suppress(PyriteError):
        fill(INPUTS, size)  # what is made once for all is made before
    cached.cache_clear()
    try:
        kept = left_behind(lambda number: fill(number, size), FEWER.get(place, INPUTS))
        assert size > 200 or cached.cache_info().misses, f"this does not fill {place}"
    finally:
        cached.cache_clear()
    most = MORE.get(place, KEPT_MAX_BYTES)
    assert kept <= most, f"{place} keeps {kept / MIB:.1f} MiB of inputs of {size} bytes"


class Clock:
    """A clock that stands still."""

    def monotonic_s(self) -> float:
        """Always the same."""
        return 1000.0

    def now_ms(self) -> int:
        """Always the same."""
        return 1_000_000


class Refusing:
    """A directory that knows nobody."""

    account = ""
    roles: Mapping[str, str] = {}

    async def sign_in(self, name: str, password: str) -> object:
        """Nobody signs in."""
        raise PyriteError("nobody is called so")


def ldap_fill() -> Callable[[int], object]:
    """Guesses passwords for long names, from an address each."""
    identities = SimpleNamespace(directory=Refusing(), limiter=Limiter(Clock()), own_account="1")  # type: ignore[arg-type]

    def fill(number: int) -> object:
        params = Params({"LDAPUsername": filler(number, 32 * KIB), "LDAPPassword": "x"})
        keys = {"aws:sourceip": (f"2001:db8::{number:x}",)}
        return at_once(assume_role_with_ldap_identity(SimpleNamespace(identities=identities, params=params, keys=keys)))  # type: ignore[arg-type]

    return fill


class Shelf:
    """An engine that has every bucket, each with a long document."""

    async def get(self, key: bytes) -> Entry:
        """The record of a bucket."""
        number = int(key.rpartition(b"-")[2])
        return Entry(encode(bucket_with(number, "website", website(filler(number, 32 * KIB))).record), number)


def buckets_fill() -> Callable[[int], object]:
    """Asks for buckets by their names."""
    buckets = Buckets(Shelf(), None, None, SimpleNamespace())  # type: ignore[arg-type]
    return lambda number: at_once(buckets.find(f"bucket-{number}"))


def quick_fill() -> Callable[[int], object]:
    """Asks for buckets by their names, on the quick way, which keeps them itself."""
    buckets = Buckets(Shelf(), None, None, SimpleNamespace())  # type: ignore[arg-type]

    async def find(name: str) -> Bucket:
        found = await buckets.find(name)
        buckets._decoded.clear()
        return found

    service = SimpleNamespace(buckets=SimpleNamespace(find=find), access=SimpleNamespace(forget=lambda: None))
    nothing: Any = None
    service.buckets.is_outdated = lambda _: False
    way = QuickWay(service, SimpleNamespace(mark=0), nothing, nothing, nothing, nothing)  # type: ignore[arg-type]
    return lambda number: way._bucket(f"bucket-{number}".encode())


def rules_fill() -> Callable[[int], object]:
    """Asks for the rules of buckets with policies of the largest size."""
    rulebook = Rulebook()
    return lambda number: rulebook.of(bucket_with(number, policy=policy_of(filler(number, 20 * KIB))))


# What fills each bounded map, or why no stranger can.
MAPS: dict[str, Callable[[], Callable[[int], object]] | str] = {
    "iamapi.actions.ldapidentity.Limiter._failures": ldap_fill,
    "objects.buckets.Buckets._decoded": buckets_fill,
    "s3.quick.QuickWay._buckets": quick_fill,
    "core.lru.Remembered._known": "what test_caches_forget fills",
    "s3.rules.Rulebook._compiled": rules_fill,
    "blobs.coding.Coder._prefixes": "numbers and padding of the server's own",
    "blobs.local.LocalDrive._files": "open files",
    "blobs.volumes.Volumes._read": "records of volumes",
    "iam.callers.Callers._known": "access keys and tokens that the store itself gave out",
    "iam.callers.Callers._told": "access keys that the store itself gave out",
    "iam.owners.Owners._known": "canonical ids that the store itself gave out",
    "iamapi.issuers.Issuers._failed": "issuers that an account trusts, of at most 255 characters, 64 of them",
    "iamapi.issuers.Issuers._known": "issuers that an account trusts, of at most 255 characters, 64 of them",
    "kms.keys.KmsKeys._opened": "keys of 32 bytes, by how they are sealed",
    "objects.reading.Reading._ciphers": "keys of 32 bytes",
    "s3.encryption.Encryptor._opened": "keys of 32 bytes, by how they are sealed",
}


def maps() -> set[str]:
    """All bounded maps of the package, by module, class and attribute."""
    found = set()
    for name, tree in trees().items():
        for kind in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            for node in ast.walk(kind):
                value = getattr(node, "value", None)
                if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Call):
                    called = value.func.id if isinstance(value.func, ast.Name) else ""
                    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                    if called == "LruMap" and isinstance(target, ast.Attribute):
                        found.add(f"{name}.{kind.name}.{target.attr}")
    return found


def test_every_map_is_known() -> None:
    """Each bounded map is filled by a test, or holds nothing that a stranger could choose."""
    assert maps() == set(MAPS)


@pytest.mark.parametrize("place", [place for place, fill in MAPS.items() if callable(fill)])
def test_maps_forget(place: str) -> None:
    """Two thousand different inputs leave no more than a few MB in a bounded map."""
    make = MAPS[place]
    assert callable(make)
    with suppress(PyriteError):
        make()(INPUTS)  # what is made once for all is made before
    fill = make()
    kept = left_behind(fill)
    assert kept <= KEPT_MAX_BYTES, f"{place} keeps {kept / MIB:.1f} MiB"


# ---- parsers of documents, headers and policies


class Body:
    """A body that is here in pieces."""

    length = None

    def __init__(self, data: bytes, piece: int = 64 * KIB) -> None:
        self._pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])

    async def read(self) -> bytes:
        """The next piece."""
        return next(self._pieces, b"")


def read_form(data: bytes, boundary: bytes = b"b", piece: int = 64 * KIB) -> object:
    """Reads the fields of a form, and its file where there is one."""
    made = form.Form(Body(data, piece), boundary)  # type: ignore[arg-type]
    at_once(made.read_fields())
    target = memoryview(bytearray(256 * KIB))
    while at_once(made.read_into(target)):
        pass
    return made


def over(run: Callable[..., object], *given: object) -> Run:
    """Runs something over what was made before."""
    return lambda: run(*given)


def part(disposition: bytes, content: bytes = b"") -> bytes:
    """A part of a form."""
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n"


def in_pieces(decoder: Any, data: bytes, piece: int = 1) -> object:
    """Feeds a decoder, a few bytes at a time."""
    return sum(1 for at in range(0, len(data), piece) for _ in decoder.feed(data[at : at + piece]))


def many(text: str, size: int) -> str:
    """A text again and again, each time with another number in it."""
    return "".join(text.format(n=n) for n in range(max(size // len(text), 1)))


def statements(size: int, **fields: object) -> str:
    """A policy of many statements."""
    one = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", **fields}
    return json.dumps({"Version": "2012-10-17", "Statement": [one] * max(size // len(json.dumps(one)), 1)})


def likes(size: int, values: list[str]) -> str:
    """A policy that compares with many patterns."""
    return statements(1, Condition={"StringLike": {"aws:referer": values * max(size // sum(map(len, values)), 1)}})


def policy(size: int, text: str) -> Run:
    """Parses a policy of a resource."""
    return lambda: parse_policy(text, Use.RESOURCE)


def matched(pattern: str, value: str) -> Run:
    """Makes a pattern and asks it, where it may be so long."""
    return lambda: Pattern(pattern, True).matches(value, {"aws:username": ("u" * 100,)})


def compared(operator: str, wanted: str) -> Callable[[int], Run]:
    """Compares a value with many characters."""
    test = OPERATORS[operator].compile(wanted, True)
    return lambda size: (
        lambda: [test(text * (size // len(text)), {}) for text in ("1", "9" * 9 + "e", "-", ":", "1.", " ", "a\xdf")]
    )


def presigned(size: int) -> dict[bytes, bytes]:
    """The parameters of a presigned URL, all of them long."""
    signed = names(0, size).encode()
    return {
        b"X-Amz-Algorithm": b"AWS4-HMAC-SHA256",
        b"X-Amz-Credential": b"a/" * size + b"20260101/us-east-1/s3/aws4_request",
        b"X-Amz-Signature": b"0" * size,
        b"X-Amz-Date": b"2" * size,
        b"X-Amz-SignedHeaders": signed,
        b"X-Amz-Expires": b"9" * size,
    }


def canonical(size: int) -> Run:
    """Makes the canonical request of a request with as many signed names as there are."""
    signed = tuple(f"a{n:05d}".encode() for n in range(max(size // 7, 1)))
    fields = dict.fromkeys(signed, b" " * 8 + b"x")
    target = uri.Target(b"/" + b"%2F" * (size // 3), tuple((b"q%d" % n, b"*" * 8) for n in range(size // 16)))

    def run() -> None:
        made = sigv4.canonical_request(b"GET", target, fields, signed, b"UNSIGNED-PAYLOAD")
        claim = sigv4.Claim(sigv4.Credential("a", "20260101", "r", "s3"), signed, "0" * 64, None)
        raise sigv4.mismatch(claim, sigv4.string_to_sign("2026", "s", made), made)

    return run


def deep(size: int) -> bytes:
    """A document that is nested."""
    return b"<A>" * (size // 7) + b"</A>" * (size // 7)


def token(payload: bytes) -> str:
    """A token of an identity provider that says this."""
    part = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    return f"{part}.{part}.x"


def head(fields: bytes, target: bytes = b"/") -> Run:
    """Parses the head of a request."""
    return lambda: parse_head(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n", Limits())


def rules(kind: str, size: int, one: str) -> bytes:
    """A configuration of many elements."""
    return f"<{kind}>{many(one, size)}</{kind}>".encode()


def parsed(parse: Callable[[Any], object], document: bytes) -> Run:
    """Parses a document as a handler does: its form, then what it means."""
    return lambda: parse(parse_document(document))


HEAD = 64 * KIB
"""The most of a head, which `http/limits.py` says."""
FORM = 512 * KIB
"""The most of a form of the Query protocol, which `iamapi/app.py` says."""
DOCUMENT = 512 * KIB
"""Enough of a document; some may be longer."""

PARSERS: dict[str, tuple[int, Callable[[int], Run]]] = {
    "xml deep": (DOCUMENT, lambda size: over(lambda d: xml.parse(d), deep(size))),
    "xml elements": (DOCUMENT, lambda size: over(lambda d: xml.parse(d), rules("A", size, "<B/>"))),
    "xml text between elements": (
        2 * MIB,
        lambda size: over(lambda d: xml.parse(d), ("<A>" + ("\U0001f600" * 12 + "<B/>") * (size // 52) + "</A>").encode()),
    ),
    "xml entities": (DOCUMENT, lambda size: over(lambda d: xml.parse(d), rules("A", size, "&#x41;"))),
    "xml comments in a text": (DOCUMENT, lambda size: over(lambda d: xml.parse(d), rules("A", size, "x<!---->"))),
    "xml sections": (DOCUMENT, lambda size: over(lambda d: xml.parse(d), rules("A", size, "<![CDATA[x]]>"))),
    "xml attributes": (
        DOCUMENT, lambda size: over(lambda d: xml.parse(d), ("<A " + many('a{n}="" ', size) + "/>").encode())
    ),
    "xml elements of a long namespace": (
        256 * KIB,
        lambda size: over(lambda d: xml.parse(d), b'<A xmlns="%b">%b</A>' % (b"u" * (size // 2), b"<B/>" * (size // 8))),
    ),
    "xml attributes of a long namespace": (
        64 * KIB,
        lambda size: over(lambda d: xml.parse(d), ((
            '<A xmlns:p="' + "u" * (size // 2) + '"><B ' + many(' p:a{n}=""', size // 2) + "/></A>"
        ).encode())),
    ),
    "xml many namespaces": (
        DOCUMENT, lambda size: over(lambda d: xml.parse(d), ("<A " + many('xmlns:a{n}="u" ', size) + "/>").encode())
    ),
    "xml long name": (DOCUMENT, lambda size: over(lambda d: xml.parse(d), b"<%b/>" % (b"a:" + b"b" * size))),
    "xml unclosed": (DOCUMENT, lambda size: over(lambda d: xml.parse(d), b"<A " + b"<!--" * (size // 4))),
    "xml escape": (DOCUMENT, lambda size: over(lambda d: xml.escape(d), "<\x01é" * (size // 3))),
    "cors": (
        DOCUMENT,
        lambda size: parsed(
            cors.parse,
            rules("CORSConfiguration", 1, "<CORSRule>" + "<AllowedHeader>*</AllowedHeader>" * (size // 32) + "</CORSRule>"),
        ),
    ),
    "notifications of many events": (
        DOCUMENT,
        lambda size: parsed(
            events.parse,
            (
                "<NotificationConfiguration>"
                + "".join(
                    f"<QueueConfiguration><Queue>q</Queue>{event * (size // 70)}</QueueConfiguration>"
                    for event in ("<Event>s3:ObjectCreated:*</Event>", "<Event>s3:ObjectRemoved:*</Event>")
                )
                + "</NotificationConfiguration>"
            ).encode(),
        ),
    ),
    "notifications of many queues": (
        DOCUMENT,
        lambda size: parsed(
            events.parse,
            rules(
                "NotificationConfiguration",
                size,
                "<QueueConfiguration><Queue>q</Queue><Event>s3:ObjectCreated:Put</Event><Filter><S3Key><FilterRule>"
                "<Name>prefix</Name><Value>{n}/</Value></FilterRule></S3Key></Filter></QueueConfiguration>",
            ),
        ),
    ),
    "lifecycle": (
        DOCUMENT,
        lambda size: parsed(
            lifecyclerules.parse,
            rules(
                "LifecycleConfiguration",
                size,
                "<Rule><ID>{n}</ID><Status>Enabled</Status><Prefix/><Expiration><Days>1</Days></Expiration></Rule>",
            ),
        ),
    ),
    "lifecycle tags": (
        DOCUMENT,
        lambda size: parsed(
            lifecyclerules.parse,
            (
                "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And>"
                + many("<Tag><Key>{n}</Key><Value/></Tag>", size)
                + "</And></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
            ).encode(),
        ),
    ),
    "inventory fields": (
        DOCUMENT,
        lambda size: parsed(
            inventoryrules.parse,
            (
                "<InventoryConfiguration><OptionalFields>"
                + many("<Field>f{n}</Field>", size)
                + "</OptionalFields></InventoryConfiguration>"
            ).encode(),
        ),
    ),
    "website rules": (
        DOCUMENT,
        lambda size: parsed(
            websites.parse,
            (
                "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules>"
                + many("<RoutingRule><Redirect><HostName>h{n}</HostName></Redirect></RoutingRule>", size)
                + "</RoutingRules></WebsiteConfiguration>"
            ).encode(),
        ),
    ),
    "tags of a document": (
        DOCUMENT,
        lambda size: over(lambda d: tags_of_document(d, OF_OBJECT), ((
            "<Tagging><TagSet>" + many("<Tag><Key>{n}</Key><Value/></Tag>", size) + "</TagSet></Tagging>"
        ).encode())),
    ),
    "policy of many statements": (FORM, lambda size: policy(size, statements(size))),
    "policy of many actions": (
        128 * KIB, lambda size: policy(size, statements(1, Action=[f"s3:a{n}*" for n in range(size // 12)]))
    ),
    "policy of many principals": (
        FORM, lambda size: policy(size, statements(1, Principal={"AWS": ["1" * 12] * (size // 16)}))
    ),
    "policy of many values": (128 * KIB, lambda size: policy(size, likes(size, ["*a*"]))),
    "policy of long patterns": (128 * KIB, lambda size: policy(size, likes(size, ["*" + "?" * 2000 + "x"]))),
    "policy of unclosed variables": (FORM, lambda size: policy(size, likes(size, ["${" * 1000]))),
    "policy that is deep": (FORM, lambda size: policy(size, "[" * (size // 2) + "]" * (size // 2))),
    "policy of many keys": (FORM, lambda size: policy(size, "{" + many('"k{n}":1,', size) + '"z":1}')),
    "policy of a long number": (FORM, lambda size: policy(size, '{"Version":' + "9" * size + "}")),
    "policy of long text": (FORM, lambda size: policy(size, statements(1, Sid="\\u0041" * (size // 7)))),
    "pattern of question marks": (60 * KIB, lambda size: matched("*" + "?" * (size // 3) + "x", "a" * size)),
    "pattern of stars": (60 * KIB, lambda size: matched("*a" * (size // 6) + "b", "a" * size)),
    "pattern of both": (60 * KIB, lambda size: matched("*?a" * (size // 9) + "z", "a" * size)),
    "pattern of variables": (60 * KIB, lambda size: matched("${aws:username}*" * (size // 48) + "z", "u" * size)),
    "pattern of spaces in a variable": (60 * KIB, lambda size: matched("${a" + " " * size + "}", "u")),
    "pattern of commas in a variable": (60 * KIB, lambda size: matched("${a" + ", '" * size + "}", "u")),
    **{
        f"condition {operator}": (60 * KIB, compared(operator, wanted))
        for operator, wanted in (
            ("NumericLessThan", "1"),
            ("DateLessThan", "2026-01-01"),
            ("IpAddress", "10.0.0.0/8"),
            ("StringEqualsIgnoreCase", "a"),
            ("BinaryEquals", "YQ=="),
            ("Bool", "true"),
        )
    },
    "form of the query protocol": (FORM, lambda size: over(lambda d: parse_form(d).shown(), many("a{n}=b&", size).encode())),
    "form of one parameter": (FORM, lambda size: over(lambda d: parse_form(d).shown(), b"a=" + b"%41+" * (size // 4))),
    "shown URLs": (FORM, lambda size: over(lambda p: p.shown(), Params({"A": "://" * (size // 3)}))),
    "shown queries": (FORM, lambda size: over(lambda p: p.shown(), Params({"A": "://?x" * (size // 5)}))),
    "shown passwords": (FORM, lambda size: over(lambda p: p.shown(), Params({"A": "://" + "a:b@" * (size // 4)}))),
    "shown names": (FORM, lambda size: over(lambda p: p.shown(), Params({f"{n}": "://" for n in range(size // 8)}))),
    "members of a list": (FORM, lambda size: over(lambda p: p.members("A"), Params({f"A.member.{n + 1}": "" for n in range(size // 14)}))),
    "texts without secrets": (FORM, lambda size: over(lambda d: without_secrets(d), "://" * (size // 6) + "?" * (size // 2))),
    "targets without signatures": (
        HEAD, lambda size: over(lambda d: without_signature(d), b"?Signature=" * (size // 11))
    ),
    "form policy": (
        HEAD,
        lambda size: over(lambda d: postpolicy.check(postpolicy.parse(d), {"a": "b"}, 0), (base64.b64encode(
            json.dumps({"expiration": "2026-01-01T00:00:00Z", "conditions": [["eq", "$a", "b"]] * (size // 20)}).encode()
        ))),
    ),
    "form policy that is deep": (HEAD, lambda size: over(lambda d: postpolicy.parse(d), base64.b64encode(b"[" * size))),
    "form policy of a long number": (
        HEAD,
        lambda size: over(lambda d: postpolicy.parse(d), (base64.b64encode(
            b'{"expiration":"2026-01-01T00:00:00Z","conditions":[["content-length-range","%b",1]]}' % (b"9" * size)
        ))),
    ),
    "boundary of a form": (
        HEAD, lambda size: over(lambda d: form.boundary_of(d), b"multipart/form-data" + b"; a=b" * (size // 5))
    ),
    "boundary of quotes": (
        HEAD, lambda size: over(lambda d: form.boundary_of(d), b'multipart/form-data; a="' + b";" * size)
    ),
    "boundary of quoted quotes": (
        HEAD, lambda size: over(lambda d: form.boundary_of(d), b'multipart/form-data; a="' + b'\\";"' * (size // 4))
    ),
    "long boundary": (HEAD, lambda size: over(lambda b: read_form(b"--" + b"b" * (size - 1) + b"--" * size, b), b"b" * size)),
    "boundary that nearly comes": (
        DOCUMENT,
        lambda size: over(lambda d: read_form(
            d.replace(b"--b\r\n", b"--" + b"b" * 60 + b"\r\n", 1), b"b" * 60
        ), part(b'form-data; name="file"', b"\r\n--bbbbbbb" * (size // 11))),
    ),
    "file of line ends": (DOCUMENT, lambda size: over(lambda d: read_form(d), part(b'form-data; name="file"', b"\r\n" * (size // 2)))),
    "field of line ends": (HEAD, lambda size: over(lambda d: read_form(d), part(b'form-data; name="f"', b"\r\n" * (size // 2)))),
    "form of many parts": (DOCUMENT, lambda size: over(lambda d: read_form(d), part(b"form-data", b"x") * (size // 40))),
    "form of many fields": (
        HEAD,
        lambda size: over(lambda d: read_form(d), b"".join(part(b'form-data; name="%d"' % n, b"x" * 90) for n in range(size // 150))),
    ),
    "Content-Disposition": (HEAD, lambda size: over(lambda d: read_form(d), part(b"form-data" + b"; a=b" * (size // 5)))),
    "Content-Disposition of quotes": (
        HEAD, lambda size: over(lambda d: read_form(d), part(b'form-data; name="' + b'";' * (size // 2)))
    ),
    "Content-Disposition in pieces": (
        HEAD, lambda size: over(lambda d: read_form(d, piece=1), part(b'form-data; name="' + b"x" * size))
    ),
    "query string": (HEAD, lambda size: over(lambda d: uri.canonical_query(uri.split_target(d).query), b"/?" + b"&".join(b"a%d=%%41" % n for n in range(size // 9)))),
    "query string of separators": (HEAD, lambda size: over(lambda d: uri.split_target(d), b"/?" + b"&=" * (size // 2))),
    "query string of percent signs": (HEAD, lambda size: over(lambda d: uri.canonical_query(uri.split_target(d).query), b"/?" + b"%" * size)),
    "absolute target": (HEAD, lambda size: over(lambda d: uri.split_target(d), b"http://" * (size // 7))),
    "path": (HEAD, lambda size: over(lambda d: uri.canonical_path(d), b"/%" * (size // 2))),
    "signed names": (HEAD * 2, lambda size: over(lambda d: sigv4.parse_authorization(d), authorization("a", names(0, size)))),
    "signed names that are one": (
        HEAD, lambda size: over(lambda d: sigv4.parse_authorization(d), authorization("a", "aa;" * (size // 3) + "host"))
    ),
    "authorization of commas": (
        HEAD, lambda size: over(lambda d: sigv4.parse_authorization(d), b"AWS4-HMAC-SHA256 " + b"Signature=," * (size // 11))
    ),
    "credential of slashes": (HEAD, lambda size: over(lambda d: sigv4.parse_authorization(d), authorization("/" * size, "host"))),
    "presigned": (HEAD, lambda size: over(lambda q: sigv4.parse_presigned(q), presigned(size // 6))),
    "canonical request": (HEAD * 2, canonical),
    "unsigned headers": (
        HEAD,
        lambda size: over(lambda f, s: sigv4.check_all_signed(f, s), {b"x-amz-%d" % n: b"" for n in range(min(size // 12, 200))}, (tuple(
            names(0, size).encode().split(b";")
        )[:200])),
    ),
    "signature version 2": (
        HEAD,
        lambda size: over(lambda q: sigv2.string_to_sign(
            b"GET", b"/", q, {b"x-amz-a": b" " * size}, b""
        ), tuple((b"acl", b"%d" % n) for n in range(size // 8))),
    ),
    "dates": (
        HEAD,
        lambda size: lambda: [
            parse(text * size)
            for parse in (dates.parse_http, dates.parse_basic, dates.parse_iso)
            for text in ("1", " ", ",", ":", "-", "(", "Mon, ")
        ],
    ),
    "ranges": (HEAD, lambda size: lambda: ranges.parse_range("bytes=" + "1" * (size // 2) + "-" + "1" * (size // 2), 10)),
    "ranges of spaces": (HEAD, lambda size: lambda: ranges.parse_range(" " * size + "bytes=0-1" + " " * size, 10)),
    "tags of a header": (HEAD, lambda size: over(lambda d: tags_of_header(d), b"a=b&" * (size // 4))),
    "headers of an object": (
        HEAD,
        lambda size: lambda: headers.attributes_of(
            {b"content-encoding": b"aws-chunked," * (size // 12), b"x-amz-content-sha256": b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
        ),
    ),
    "metadata beyond ASCII": (2 * KIB, lambda size: lambda: headers.encode_metadata("\xe9" * (size // 2))),
    "lists of ETags": (
        HEAD, lambda size: over(lambda c: c.check("b", 0), ReadConditions('"a", ' * (size // 5), 'W/"' * (size // 3)))
    ),
    "addresses of proxies": (
        HEAD, lambda size: over(lambda d: client_address("::1", d, trusted()), {b"x-forwarded-for": b"::1," * (size // 4)})
    ),
    "head of many fields": (HEAD, lambda size: head(b"a: b\r\n" * (size // 6))),
    "head of one field": (HEAD, lambda size: head(b"a: " + b" " * size + b"b\r\n")),
    "head of one field, many times": (
        HEAD, lambda size: head((b"a: " + b"b" * (size // 190) + b"\r\n") * 190)
    ),
    "target of a head": (HEAD, lambda size: head(b"", b"/" * size)),
    "token of an identity provider": (
        20_000, lambda size: over(lambda t: peek(t), token(b"[" * (size // 3)))
    ),
    "chunk sizes in pieces": (HEAD, lambda size: over(lambda d: in_pieces(ChunkDecoder(), d), b"0" * size)),
    "chunks of one byte": (DOCUMENT, lambda size: over(lambda d: in_pieces(ChunkDecoder(), d, 64 * KIB), b"1\r\nx\r\n" * (size // 6))),
    "trailers in pieces": (
        HEAD, lambda size: over(lambda d: in_pieces(ChunkDecoder(), d), b"0\r\n" + b"a:b\r\n" * (size // 5))
    ),
    "payload of small chunks": (
        DOCUMENT,
        lambda size: over(lambda d: in_pieces(PayloadDecoder(None, (), size), d, 64 * KIB), b"1\r\nx\r\n" * (size // 6)),
    ),
}  # fmt: skip


def trusted() -> Any:
    """The network in which everybody is a trusted proxy."""
    from ipaddress import ip_network

    return (ip_network("::/0"), ip_network("0.0.0.0/0"))


@pytest.mark.parametrize("name", PARSERS)
def test_parsers(name: str) -> None:
    """A parser takes time in proportion to what a stranger gives it, or refuses it."""
    largest, make = PARSERS[name]
    grown = excess(make, largest)
    assert not grown, f"{name}: {grown}"


# ---- what limits let through, at its worst


def referer_policy() -> Any:
    """The costliest policy that is accepted: it looks for long texts behind stars."""
    wanted = ["*" + "?" * 2000 + "x", "*" + "a" * 2000 + "b"]
    while wanted:
        condition = {"StringLike": {"aws:Referer": wanted}}
        text = statements(1, Effect="Deny", Action="s3:DeleteObject", Condition=condition)
        with suppress(PyriteError):
            return parse_policy(text, Use.RESOURCE)
        wanted.pop()
    raise AssertionError("no such policy is accepted")


def referer(size: int) -> Run:
    """Asks the costliest policy of a request with a long Referer."""
    statement = referer_policy().statements[0]
    return lambda: statement.applies("arn:aws:s3:::b/k", {"aws:referer": ("a" * size,)})


def preflight(rules_: int) -> Run:
    """Asks the costliest CORS configuration for headers of which it allows all but the last."""
    names_ = "".join(f"<AllowedHeader>x-amz-meta-{n}</AllowedHeader>" for n in range(100))
    rule = f"<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>{names_}</CORSRule>"
    document = f"<CORSConfiguration>{rule * rules_}</CORSConfiguration>"
    bucket = bucket_with(1, "cors", document)
    cors.rules_of(bucket)
    asked = b",".join([b"x-amz-meta-99"] * 99 + [b"other"])
    fields = {
        b"origin": b"http://a",
        b"access-control-request-method": b"GET",
        b"access-control-request-headers": asked,
    }
    request = SimpleNamespace(
        headers=fields, header=lambda name: fields[name].decode() if name in fields else None, method="OPTIONS"
    )
    return lambda: cors.preflight(request, bucket)  # type: ignore[arg-type]


WORST: dict[str, Callable[[], Run]] = {
    "one look of a policy at a Referer": lambda: referer(2048),
    "a preflight request": lambda: preflight(100),
}
WORST_S = 0.1
"""What the costliest request that limits let through may take for one step that nothing else runs beside."""


@pytest.mark.parametrize("name", WORST)
def test_what_limits_let_through(name: str) -> None:
    """What one request may ask of what is configured takes little time even where everything is as long as it may be."""
    run = WORST[name]()
    cost = best(run, spent(run))
    assert cost <= WORST_S, f"{name}: {cost * 1000:.0f} ms"
