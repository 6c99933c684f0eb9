"""Owns cross-origin resource sharing: the configuration of a bucket, preflights, and the headers of answers.

Source: AWS, "Using cross-origin resource sharing (CORS)" in the Amazon S3 User Guide; the Fetch standard.
"""

import re
from typing import NamedTuple

from pyrite.aws import xml
from pyrite.aws.xml import Element
from pyrite.core.lru import remembered
from pyrite.http.response import Headers, Response
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.errors import NoSuchBucket
from pyrite.s3.errors import S3Error
from pyrite.s3.request import S3Request, text_of

RULES_MAX = 100
EACH_MAX = 100
"""The most origins, and the most headers, of a rule. AWS names no limit."""
WANTED_MAX = 100
"""The most header names of a preflight request."""
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")

_VARY = (b"Vary", b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method")


class CorsRule(NamedTuple):
    """A rule: which origins may send which methods and headers, and which headers of answers they may read."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age_s: int | None

    def origin_for(self, origin: str) -> str | None:
        """What is said to be allowed where a page of `origin` asks; None where the rule does not speak of it."""
        if "*" in self.origins:
            return "*"
        return origin if any(_matches(pattern, origin) for pattern in self.origins) else None

    def allows_headers(self, wanted: list[str]) -> bool:
        """Whether a page may send all these headers."""
        patterns = {pattern.lower() for pattern in self.headers}
        open_ended = [pattern for pattern in patterns if "*" in pattern]
        return all(name in patterns or any(_matches(pattern, name) for pattern in open_ended) for name in set(wanted))


def _matches(pattern: str, text: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return text == pattern
    return len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail)


def parse(root: Element) -> tuple[CorsRule, ...]:
    """The rules of a CORSConfiguration. Raises S3Error."""
    if root.name != "CORSConfiguration" or not 1 <= len(root.children) <= RULES_MAX:
        raise S3Error("MalformedXML")
    return tuple(_parse_rule(child) for child in root.children)


_CHILDREN = frozenset(("ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds"))


def _parse_rule(rule: Element) -> CorsRule:
    if rule.name != "CORSRule" or any(child.name not in _CHILDREN for child in rule.children):
        raise S3Error("MalformedXML")

    def listed(name: str) -> tuple[str, ...]:
        return tuple(child.text.strip() for child in rule.children if child.name == name)

    origins, methods, headers = listed("AllowedOrigin"), listed("AllowedMethod"), listed("AllowedHeader")
    if max(len(origins), len(methods), len(headers), len(listed("ExposeHeader"))) > EACH_MAX:
        raise S3Error("InvalidRequest", f"A CORS rule has at most {EACH_MAX} of each element.")
    if not origins or not methods:
        raise S3Error("MalformedXML")
    for method in methods:
        if method not in METHODS:
            raise S3Error(
                "InvalidRequest", f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )
    for text in (*origins, *headers):
        if text.count("*") > 1:
            raise S3Error("InvalidRequest", f'"{text}" can not have more than one wildcard.')
    if any("*" in name for name in listed("ExposeHeader")):
        raise S3Error("InvalidRequest", "ExposeHeader can not contain a wildcard.")
    if not all(re.fullmatch(r"[!#$%&'+.^_`|~0-9A-Za-z-]+", name) for name in listed("ExposeHeader")):
        raise S3Error("InvalidRequest", "ExposeHeader has to be the name of a header.")
    age = rule.find("MaxAgeSeconds")
    if age is not None and not re.fullmatch(r"[0-9]{1,9}", age.strip()):
        raise S3Error("MalformedXML")
    return CorsRule(origins, methods, headers, listed("ExposeHeader"), int(age) if age is not None else None)


def rules_of(bucket: Bucket) -> tuple[CorsRule, ...]:
    """The rules of a bucket; none where it is not configured."""
    text = bucket.record.configurations.get("cors")
    return () if text is None else _stored(text)


@remembered
def _stored(text: str) -> tuple[CorsRule, ...]:
    return parse(xml.parse(text.encode()))


async def preflight(request: S3Request, buckets: Buckets) -> Response:
    """The answer to an OPTIONS request. Raises S3Error when no rule allows what is asked for."""
    if b"origin" not in request.headers:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    try:
        bucket = await buckets.find(request.bucket_name)
    except NoSuchBucket:
        raise S3Error("AccessForbidden", "CORSResponse: Bucket not found", _details("OPTIONS", "BUCKET")) from None
    return allowed_by(request, rules_of(bucket))


def allowed_by(request: S3Request, rules: tuple[CorsRule, ...]) -> Response:
    """The answer to an OPTIONS request to a bucket with these rules. Raises S3Error."""
    origin, method = request.header(b"origin") or "", request.header(b"access-control-request-method")
    if not rules:
        details = _details(method or "OPTIONS", "BUCKET")
        raise S3Error("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.", details)
    if method is None or method not in METHODS:
        raise S3Error("BadRequest", f"Invalid Access-Control-Request-Method: {method or ''}")
    wanted = _wanted(request)
    if len(wanted) > WANTED_MAX:
        raise S3Error("BadRequest", f"A preflight request asks for at most {WANTED_MAX} headers.")
    for rule in rules:
        allowed = rule.origin_for(origin)
        if allowed is not None and method in rule.methods and rule.allows_headers(wanted):
            headers = _allowing(rule, allowed)
            if wanted:
                headers.append((b"Access-Control-Allow-Headers", ", ".join(wanted).encode()))
            return Response(200, headers, b"")
    raise S3Error(
        "AccessForbidden",
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request "
        "method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the "
        "resource's CORS spec.",
        _details(method, "OBJECT" if request.key else "BUCKET"),
    )


def _wanted(request: S3Request) -> list[str]:
    asked = request.headers.get(b"access-control-request-headers", b"")
    return [name.strip().lower() for name in text_of(asked).split(",") if name.strip()]


def _details(method: str, about: str) -> tuple[tuple[str, str], ...]:
    return (("Method", method), ("ResourceType", about))


def _allowing(rule: CorsRule, origin: str) -> Headers:
    headers: Headers = [
        (b"Access-Control-Allow-Origin", origin.encode("utf-8")),
        (b"Access-Control-Allow-Methods", ", ".join(rule.methods).encode()),
    ]
    if rule.exposed:
        headers.append((b"Access-Control-Expose-Headers", ", ".join(rule.exposed).encode()))
    if rule.max_age_s is not None:
        headers.append((b"Access-Control-Max-Age", str(rule.max_age_s).encode()))
    if origin != "*":
        headers.append((b"Access-Control-Allow-Credentials", b"true"))
    return [*headers, _VARY]


def headers_for(request: S3Request, bucket: Bucket) -> Headers:
    """The headers that an answer to a page of another origin carries; none where no rule speaks of it."""
    origin = request.header(b"origin")
    if origin is None:
        return []
    method = request.header(b"access-control-request-method") or request.method
    wanted = _wanted(request)[:WANTED_MAX]
    for rule in rules_of(bucket):
        allowed = rule.origin_for(origin)
        if allowed is not None and method in rule.methods and rule.allows_headers(wanted):
            return _allowing(rule, allowed)
    return []
