"""Owns the form of the AWS Query protocol: parameters on the way in, XML on the way out. Pure.

Source: AWS, "Making query requests" in the IAM User Guide.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import parse_qsl, quote

from pyrite.aws.xml import DECLARATION, element, escape
from pyrite.core.counts import parse_count
from pyrite.core.redaction import without_secrets
from pyrite.iamapi.errors import QueryError

NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
PARAMETERS_MAX = 1000
_SECRETS = ("token", "secret", "password", "assertion")
_SHOWN_MAX_CHARS = 8192
ITEMS_MAX = 1000

T = TypeVar("T")


def service_of_version(version: str) -> str:
    """The service whose API has this version (a parameter of each call); IAM where none has it."""
    named = (service for service, place in NAMESPACES.items() if version and place.endswith(f"/{version}/"))
    return next(named, "iam")


class Params:
    """The parameters of a call. Lists are spelled `Name.member.1`, structures in them `Name.member.1.Key`."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def shown(self) -> dict[str, str]:
        """All parameters, for logs: secrets are left out, long texts are cut. Costs time: only for who keeps a log."""
        return {
            name: "(secret)"
            if any(word in name.lower() for word in _SECRETS)
            else without_secrets(value)[:_SHOWN_MAX_CHARS]
            for name, value in self._values.items()
        }

    def get(self, name: str) -> str | None:
        """A parameter, or None."""
        return self._values.get(name)

    def need(self, name: str) -> str:
        """A parameter that has to be there. Raises QueryError."""
        value = self._values.get(name)
        if not value:
            raise QueryError("ValidationError", f"1 validation error detected: Value at '{name}' must not be null")
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A parameter that is a number. Raises QueryError."""
        text = self._values.get(name)
        if text is None:
            return default
        number = parse_count(text)
        if number is None or not least <= number <= most:
            raise QueryError("ValidationError", f"Value '{text}' at '{name}' must be a number from {least} to {most}")
        return number

    def flag(self, name: str) -> bool:
        """A parameter that is true or false, false when it is not there."""
        return (self._values.get(name) or "").lower() == "true"

    def members(self, name: str) -> list[str]:
        """The texts of a list, in order."""
        found: list[str] = []
        while (value := self._values.get(f"{name}.member.{len(found) + 1}")) is not None:
            found.append(value)
        return found

    def structures(self, name: str, *fields: str) -> list[dict[str, str]]:
        """The structures of a list, in order: those of `fields` that are there."""
        found: list[dict[str, str]] = []
        while True:
            prefix = f"{name}.member.{len(found) + 1}."
            one = {field: self._values[prefix + field] for field in fields if prefix + field in self._values}
            if not one:
                return found
            found.append(one)

    def entries(self, name: str) -> list[tuple[str, str]]:
        """The pairs of a map, in order."""
        found: list[tuple[str, str]] = []
        while (key := self._values.get(f"{name}.entry.{len(found) + 1}.key")) is not None:
            found.append((key, self._values.get(f"{name}.entry.{len(found) + 1}.value", "")))
        return found

    def tags(self) -> dict[str, str]:
        """The parameter Tags. Raises QueryError when a key stands there twice."""
        listed = self.structures("Tags", "Key", "Value")
        tags = {one.get("Key", ""): one.get("Value", "") for one in listed}
        if len(tags) != len(listed):
            raise QueryError(
                "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        return tags


def parse_form(body: bytes) -> Params:
    """The parameters in a form or a query. Raises QueryError."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError:
        raise QueryError("MalformedQueryString", "The query string contains a syntax error.") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise QueryError("MalformedQueryString", "A parameter stands there twice.")
    return Params(values)


class Entries(tuple[tuple[str, object], ...]):
    """The pairs of a map, which the protocol writes as `entry` elements."""

    __slots__ = ()


def render(value: object) -> str:
    """`value` as the content of an element: mappings are elements, lists are `member` elements."""
    if isinstance(value, Entries):
        return "".join(f"<entry>{element('key', key)}<value>{render(child)}</value></entry>" for key, child in value)
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{render(child)}</{name}>" for name, child in value.items() if child is not None)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return escape(str(value))
    assert isinstance(value, Sequence)
    return "".join(f"<member>{render(child)}</member>" for child in value)


def respond(service: str, action: str, result: Mapping[str, object] | None, request_id: str) -> bytes:
    """The document of a call's result; None for a call that has none."""
    content = f"<{action}Result>{render(result)}</{action}Result>" if result is not None else ""
    metadata = f"<ResponseMetadata>{element('RequestId', request_id)}</ResponseMetadata>"
    root = f"{action}Response"
    return f'{DECLARATION}<{root} xmlns="{NAMESPACES[service]}">{content}{metadata}</{root}>'.encode()


def respond_error(service: str, error: QueryError, request_id: str) -> bytes:
    """The document of an error."""
    kind = "Receiver" if error.status >= 500 else "Sender"
    content = element("Type", kind) + element("Code", error.code) + element("Message", error.message)
    body = f"<Error>{content}</Error>{element('RequestId', request_id)}"
    return f'{DECLARATION}<ErrorResponse xmlns="{NAMESPACES[service]}">{body}</ErrorResponse>'.encode()


def iso(milliseconds: int) -> str:
    """A moment as IAM writes it."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encoded(document: str) -> str:
    """A policy document as IAM gives it back: URL-encoded (RFC 3986)."""
    return quote(document, safe="")


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as a list of structures."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def page(params: Params, items: Sequence[T], names: Sequence[str]) -> tuple[Sequence[T], dict[str, object]]:
    """The part of `items` that Marker and MaxItems ask for, and what the answer says of the rest.

    `names` are unique and order the items; the marker is the last one that was given out.
    """
    limit = params.number("MaxItems", ITEMS_MAX, 1, ITEMS_MAX)
    marker = params.get("Marker")
    start = 0
    if marker:
        try:
            last = base64.b64decode(marker.encode("ascii"), b"-_", validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise QueryError("ValidationError", "Invalid Marker.") from None
        start = sum(1 for name in names if name <= last)
    shown = items[start : start + limit]
    if start + limit >= len(items):
        return shown, {"IsTruncated": False}
    following = base64.urlsafe_b64encode(names[start + limit - 1].encode()).decode("ascii")
    return shown, {"IsTruncated": True, "Marker": following}
