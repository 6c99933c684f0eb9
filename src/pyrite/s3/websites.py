"""Owns the website configuration of a bucket: the document, and where its rules send a request. Pure.

Source: AWS, "Hosting a static website using Amazon S3" and "(Optional) Configuring a webpage redirect".
"""

import re
from typing import NamedTuple

from pyrite.aws import uri, xml
from pyrite.aws.xml import Element
from pyrite.core.lru import remembered
from pyrite.objects.buckets import Bucket
from pyrite.s3.errors import S3Error, bad_argument

RULES_MAX = 50
_PROTOCOLS = ("http", "https")
_REDIRECTS = frozenset(("301", "302", "303", "304", "305", "307", "308"))
_ERROR_CODES = re.compile(r"[45]\d\d")
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,255}(:\d{1,5})?")


class Redirect(NamedTuple):
    """Where a rule sends a request; what is empty stays as it was asked for."""

    host: str = ""
    protocol: str = ""
    status: int = 301
    prefix: str | None = None
    key: str | None = None


class Rule(NamedTuple):
    """A redirect and when it is made: for keys with a prefix, for answers with an error, or both."""

    prefix: str
    error: str
    redirect: Redirect

    def location(self, key: bytes, protocol: str, host: str) -> bytes:
        """The URL to which a request for `key` goes."""
        to = self.redirect
        if to.key is not None:
            path = to.key.encode()
        elif to.prefix is not None:
            path = to.prefix.encode() + key[len(self.prefix.encode()) :]
        else:
            path = key
        return f"{to.protocol or protocol}://{to.host or host}/".encode() + uri.encode(path, "-._~/")


class Website(NamedTuple):
    """A website: either everything goes elsewhere, or there are documents and rules."""

    everything: Redirect | None = None
    suffix: str = ""
    error_key: str = ""
    rules: tuple[Rule, ...] = ()

    def rule_for(self, key: bytes, status: int | None = None) -> Rule | None:
        """The first rule that speaks of a request, or of its error."""
        for rule in self.rules:
            if key.startswith(rule.prefix.encode()) and rule.error == ("" if status is None else str(status)):
                return rule
        return None


def of(bucket: Bucket) -> Website | None:
    """The website of a bucket, if it has one."""
    text = bucket.record.configurations.get("website")
    return None if text is None else _stored(text)


@remembered
def _stored(text: str) -> Website:
    return parse(xml.parse(text.encode()))


def parse(root: Element) -> Website:
    """A WebsiteConfiguration. Raises S3Error."""
    parts = {child.name: child for child in root.children}
    if root.name != "WebsiteConfiguration" or len(parts) != len(root.children):
        raise S3Error("MalformedXML")
    if "RedirectAllRequestsTo" in parts:
        if len(parts) > 1:
            message = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            raise bad_argument(message, "RedirectAllRequestsTo", "not null")
        return Website(everything=_redirect_all(parts["RedirectAllRequestsTo"]))
    if set(parts) - {"IndexDocument", "ErrorDocument", "RoutingRules"}:
        raise S3Error("MalformedXML")
    index = parts["IndexDocument"].find("Suffix") if "IndexDocument" in parts else None
    if index is None:
        message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        raise bad_argument(message, "IndexDocument", "null")
    if not index or "/" in index:
        raise bad_argument("The IndexDocument Suffix is not well formed", "IndexDocument", index)
    error = parts["ErrorDocument"].find("Key") if "ErrorDocument" in parts else ""
    if "ErrorDocument" in parts and not error:
        raise S3Error("MalformedXML")
    rules = parts["RoutingRules"].children if "RoutingRules" in parts else []
    if "RoutingRules" in parts and not rules:
        raise S3Error("MalformedXML")
    if len(rules) > RULES_MAX:
        raise S3Error("InvalidRequest", f"The number of routing rules must not exceed {RULES_MAX}.")
    return Website(None, index, error or "", tuple(map(_rule, rules)))


def _redirect_all(element: Element) -> Redirect:
    if {child.name for child in element.children} - {"HostName", "Protocol"}:
        raise S3Error("MalformedXML")
    host = element.find("HostName")
    if not host:
        raise S3Error("MalformedXML")
    return Redirect(_checked_host(host), _checked_protocol(element))


def _rule(element: Element) -> Rule:
    parts = {child.name: child for child in element.children}
    if element.name != "RoutingRule" or "Redirect" not in parts or set(parts) - {"Condition", "Redirect"}:
        raise S3Error("MalformedXML")
    prefix = error = ""
    if "Condition" in parts:
        condition = parts["Condition"]
        prefix = condition.find("KeyPrefixEquals") or ""
        error = (condition.find("HttpErrorCodeReturnedEquals") or "").strip()
        if not condition.children:
            raise S3Error(
                "InvalidRequest",
                "Condition cannot be empty. To redirect all requests without a condition, the condition element "
                "shouldn't be present.",
            )
        if error and not _ERROR_CODES.fullmatch(error):
            raise S3Error("InvalidRequest", "The provided HTTP error code is not valid. Valid codes are 4XX or 5XX.")
    redirect = parts["Redirect"]
    if not redirect.children:
        raise S3Error("MalformedXML")
    to_prefix, to_key = redirect.find("ReplaceKeyPrefixWith"), redirect.find("ReplaceKeyWith")
    if to_prefix is not None and to_key is not None:
        raise S3Error("InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    status = (redirect.find("HttpRedirectCode") or "301").strip()
    if status not in _REDIRECTS:
        raise S3Error("InvalidRequest", "The provided HTTP redirect code is not valid. Valid codes are 3XX except 300.")
    host = redirect.find("HostName") or ""
    return Rule(
        prefix,
        error,
        Redirect(_checked_host(host) if host else "", _checked_protocol(redirect), int(status), to_prefix, to_key),
    )


def _checked_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise S3Error("InvalidRequest", "The provided host name is not valid.")
    return host


def _checked_protocol(element: Element) -> str:
    protocol = (element.find("Protocol") or "").strip()
    if protocol and protocol not in _PROTOCOLS:
        raise S3Error(
            "InvalidRequest",
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
            "automatically.",
        )
    return protocol
