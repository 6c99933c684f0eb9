"""Owns the condition keys of an S3 request: where each takes its value from.

Only the keys of this table exist. None of them is taken from a header because the header is named like it.
Source: AWS, "Condition keys for Amazon S3" in the Service Authorization Reference.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from pyrite.aws import uri
from pyrite.http.proxies import Networks, client_address
from pyrite.iam.patterns import Values
from pyrite.s3.documentkeys import keys_of_retention
from pyrite.s3.errors import S3Error
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.tags import Tags, tags_of_header

_HEADER_KEYS = {
    f"s3:{name}": name.encode()
    for name in (
        "x-amz-acl",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-grant-full-control",
        "x-amz-grant-read",
        "x-amz-grant-read-acp",
        "x-amz-grant-write",
        "x-amz-grant-write-acp",
        "x-amz-metadata-directive",
        "x-amz-object-ownership",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
        "if-match",
        "if-none-match",
    )
}
_HEADER_KEYS |= {
    "aws:referer": b"referer",
    "aws:useragent": b"user-agent",
    "s3:object-lock-mode": b"x-amz-object-lock-mode",
    "s3:object-lock-legal-hold": b"x-amz-object-lock-legal-hold",
    "s3:object-lock-retain-until-date": b"x-amz-object-lock-retain-until-date",
}
_QUERY_KEYS = {
    "s3:prefix": b"prefix",
    "s3:delimiter": b"delimiter",
    "s3:max-keys": b"max-keys",
}
_TAG_PREFIX = "s3:requestobjecttag/"
_OF_NEW_OBJECTS = ("s3:requestobjecttag", "s3:object-lock-")
_MAKE_OBJECTS = frozenset(("PutObject", "CopyObject", "CreateMultipartUpload", "PostObject"))


class RequestContext(Mapping[str, Values]):
    """The condition keys of one request, each looked up when a policy asks for it.

    `more` are keys that the operation knows beyond the request: tags, the location of a new bucket; `version` is the id
    of the version that is decided about, wherever the request names it.
    """

    def __init__(
        self,
        request: S3Request,
        now_ms: int,
        region: str,
        trusted: Networks,
        resource_account: str = "",
        more: Mapping[str, Values] | None = None,
        version: bytes | None = None,
    ) -> None:
        self._request = request
        self._now_ms = now_ms
        self._region = region
        self._trusted = trusted
        self._resource_account = resource_account
        self._more = more or {}
        self._version = version
        self._new = request.operation is not None and request.operation.name in _MAKE_OBJECTS

    def get(self, key: str, default: object = None) -> Values | None:  # type: ignore[override]
        """The values of a key, or None."""
        values = self._more.get(key)
        if values is None:
            values = self._request.caller.keys.get(key)
        return values if values is not None else self._of_request(key)

    def _of_request(self, key: str) -> Values | None:
        request = self._request
        if not self._new and key.startswith(_OF_NEW_OBJECTS):
            return None  # these headers say what a new object has: elsewhere the document says it, or nothing does
        header = _HEADER_KEYS.get(key)
        if header is not None:
            value = request.headers.get(header)
            return None if value is None else (_plain(key, value),)
        parameter = _QUERY_KEYS.get(key)
        if parameter is not None:
            value = request.query.get(parameter)
            return None if value is None else (text_of(value),)
        if key.startswith(_TAG_PREFIX):
            return self.request_tag(key[len(_TAG_PREFIX) :])
        special = _SPECIAL.get(key)
        return special(self) if special is not None else None

    def __getitem__(self, key: str) -> Values:
        values = self.get(key)
        if values is None:
            raise KeyError(key)
        return values

    def __iter__(self) -> Iterator[str]:
        known = (*self._more, *self._request.caller.keys, *_HEADER_KEYS, *_QUERY_KEYS, *_SPECIAL)
        return (key for key in known if self.get(key) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # ---- the keys that are neither a header nor a parameter

    def address(self) -> Values:
        return (client_address(self._request.http.peer, self._request.headers, self._trusted),)

    def is_secure(self) -> Values:
        return (str(self._request.http.secure).lower(),)

    def now_iso(self) -> Values:
        return (datetime.fromtimestamp(self._now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)

    def now_seconds(self) -> Values:
        return (str(self._now_ms // 1000),)

    def region(self) -> Values:
        return (self._region,)

    def resource_account(self) -> Values | None:
        return (self._resource_account,) if self._resource_account else None

    def auth_type(self) -> Values | None:
        return (self._request.signature.auth_type,) if self._request.signature.auth_type else None

    def signature_version(self) -> Values | None:
        return (self._request.signature.version,) if self._request.signature.version else None

    def signature_age(self) -> Values | None:
        age_ms = self._request.signature.age_ms
        return None if age_ms is None else (str(age_ms),)

    def request_tag(self, wanted: str) -> Values | None:
        return next(((value,) for key, value in self.tags().items() if key.lower() == wanted), None)

    def tag_keys(self) -> Values | None:
        return tuple(self.tags()) or None

    def tags(self) -> Tags:
        """The tags of a new object, read as its writer reads them; none where that refuses them."""
        headers = self._request.headers
        raw = headers.get(b"x-amz-tagging")
        operation = self._request.operation
        is_copy = operation is not None and operation.name == "CopyObject"  # elsewhere a copy source means nothing
        if is_copy and headers.get(b"x-amz-tagging-directive", b"").upper() != b"REPLACE":
            raw = None  # it is not looked at
        try:
            return tags_of_header(raw) if raw is not None else {}
        except S3Error:
            return {}

    def remaining_days(self) -> Values | None:
        until = self._request.header(b"x-amz-object-lock-retain-until-date")
        return keys_of_retention(None, until, self._now_ms).get("s3:object-lock-remaining-retention-days")

    def version(self) -> Values | None:
        return (text_of(self._version),) if self._version is not None else None

    def tls_version(self) -> Values | None:
        version = self._request.http.tls_version
        return (version,) if version else None

    def creates_object(self) -> Values | None:
        operation = self._request.operation
        return _CREATES.get(operation.name) if operation is not None else None


def _plain(key: str, value: bytes) -> str:
    """A header as a policy speaks of it: a copy source is decoded and has no leading slash."""
    if key == "s3:x-amz-copy-source":
        return text_of(uri.decode(value.partition(b"?")[0])).removeprefix("/")
    return text_of(value)


_CREATES: dict[str, Values] = {
    **dict.fromkeys(("PutObject", "CopyObject", "CompleteMultipartUpload", "PostObject"), ("true",)),
    **dict.fromkeys(("CreateMultipartUpload", "UploadPart", "UploadPartCopy"), ("false",)),
}
"""Whether an operation makes an object. Writes of parts take no If-None-Match: policies that ask for it except them."""

_SPECIAL: dict[str, Callable[[RequestContext], Values | None]] = {
    "aws:sourceip": RequestContext.address,
    "aws:securetransport": RequestContext.is_secure,
    "aws:currenttime": RequestContext.now_iso,
    "aws:epochtime": RequestContext.now_seconds,
    "aws:requestedregion": RequestContext.region,
    "aws:resourceaccount": RequestContext.resource_account,
    "s3:resourceaccount": RequestContext.resource_account,
    "s3:authtype": RequestContext.auth_type,
    "s3:signatureversion": RequestContext.signature_version,
    "s3:signatureage": RequestContext.signature_age,
    "s3:requestobjecttagkeys": RequestContext.tag_keys,
    "s3:object-lock-remaining-retention-days": RequestContext.remaining_days,
    "s3:versionid": RequestContext.version,
    "s3:tlsversion": RequestContext.tls_version,
    "s3:objectcreationoperation": RequestContext.creates_object,
}

_OF_DOCUMENTS = (
    "s3:locationconstraint",
    "s3:inventoryaccessibleoptionalfields",
)
_OF_AWS_ALONE = frozenset(
    f"s3:{name}"
    for name in (
        "accessgrantsinstancearn", "accesspointnetworkorigin", "dataaccesspointaccount", "dataaccesspointarn",
        "existingjoboperation", "existingjobpriority", "jobsuspendedcause", "requestjoboperation", "requestjobpriority",
    )
)  # fmt: skip
_WITH_NAMES = (
    "s3:existingobjecttag/",
    "s3:requestobjecttag/",
    "s3:buckettag/",
    "s3:accesspointtag/",
    "s3:resourcetag/",
)


def is_known_key(key: str) -> bool:
    """Whether there is such a condition key; of those of other services only S3's own are looked at."""
    lower = key.lower()
    if not lower.startswith("s3:") or lower.startswith(_WITH_NAMES):
        return True
    return any(lower in known for known in (_HEADER_KEYS, _QUERY_KEYS, _SPECIAL, _OF_DOCUMENTS, _OF_AWS_ALONE))
