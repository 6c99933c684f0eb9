"""Owns AWS Signature Version 4 as S3 checks it. Pure: what was signed and what it must have been.

Source: AWS, "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API Reference.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pyrite.aws.dates import format_iso, parse_basic, parse_http
from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.uri import Target, canonical_path, canonical_query
from pyrite.core.counts import parse_clamped, parse_count

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = b"UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
EXPIRES_MAX_S = 604_800
SIGNED_HEADERS_MAX = 200
"""No request has more header fields (`http/limits.py`)."""
_REMEMBERED_MAX_BYTES = 1024
"""The longest part of an Authorization header that is remembered; that of a session's key is as long as any."""
SHOWN_MAX_BYTES = 16 * 1024
"""The longest canonical request that the answer to a wrong signature shows."""
SKEW_MAX_S = 900

_SECONDS = re.compile(r"-?[0-9]+\Z")
_SPACES = re.compile(rb" +")
_SIGNATURE_LAST = (b" Signature=", b",Signature=")
_PRESIGN_PARAMETERS = (
    b"X-Amz-Algorithm",
    b"X-Amz-Credential",
    b"X-Amz-Signature",
    b"X-Amz-Date",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Expires",
)


class Credential(NamedTuple):
    """The fields of a credential scope."""

    access_key: str
    date: str
    region: str
    service: str

    @property
    def scope(self) -> str:
        """What the string to sign says of the scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Claim(NamedTuple):
    """What a signed request says of its signature. `expires_s` is None unless it is presigned."""

    credential: Credential
    signed_headers: tuple[bytes, ...]
    signature: str
    expires_s: int | None


def _parse_prefix(prefix: bytes, service: str) -> tuple[Credential, tuple[bytes, ...]]:
    """The stable part of an Authorization header, all but the signature. Raises AuthFault."""
    return (_parse_once if len(prefix) <= _REMEMBERED_MAX_BYTES else _parse)(prefix, service)


def _parse(prefix: bytes, service: str) -> tuple[Credential, tuple[bytes, ...]]:
    fields: dict[str, str] = {}
    for part in prefix.decode("latin-1")[len(ALGORITHM) :].split(","):
        name, equals, value = part.strip().partition("=")
        if equals:
            fields[name] = value
    for name in ("Credential", "SignedHeaders"):
        if not fields.get(name):
            raise AuthFault(
                Fault.MALFORMED_AUTHORIZATION,
                "The authorization header is malformed; the authorization header requires three components: "
                "Credential, SignedHeaders, and Signature.",
            )
    return _parse_credential(fields["Credential"], False, service), _parse_signed(fields["SignedHeaders"])


_parse_once = lru_cache(maxsize=512)(_parse)


def _parse_credential(text: str, presigned: bool, expected: str) -> Credential:
    fault = Fault.MALFORMED_PRESIGN if presigned else Fault.MALFORMED_AUTHORIZATION
    where = "Error parsing the X-Amz-Credential parameter" if presigned else "The authorization header is malformed"
    fields = text.rsplit("/", 4)
    if len(fields) != 5 or not all(fields[:2] + fields[3:]):  # whoever knows no region may sign for none
        raise AuthFault(
            fault,
            f'{where}; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    access_key, date, region, service, terminal = fields
    if service != expected:
        raise AuthFault(fault, f'{where}; incorrect service "{service}". This endpoint belongs to "{expected}".')
    if terminal != "aws4_request":
        raise AuthFault(fault, f'{where}; incorrect terminal "{terminal}". This endpoint uses "aws4_request".')
    if len(date) != 8 or parse_count(date) is None:
        raise AuthFault(
            fault,
            f'{where}; incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".',
        )
    return Credential(access_key, date, region, service)


def parse_credential(text: str, service: str = "s3") -> Credential:
    """The fields of a credential in a form. Raises AuthFault."""
    return _parse_credential(text, False, service)


def _parse_signed(text: str) -> tuple[bytes, ...]:
    if text.count(";") >= SIGNED_HEADERS_MAX:
        raise AuthFault(
            Fault.MALFORMED_AUTHORIZATION,
            f"The authorization header is malformed; it names more than {SIGNED_HEADERS_MAX} headers.",
        )
    names = tuple(name.encode("latin-1") for name in text.split(";"))
    if b"host" not in names or any(name != name.lower() for name in names) or list(names) != sorted(set(names)):
        raise AuthFault(
            Fault.MALFORMED_AUTHORIZATION,
            "The authorization header is malformed; SignedHeaders must be sorted, lower-case and include host.",
        )
    return names


def parse_authorization(value: bytes, service: str = "s3") -> Claim:
    """The claim of an Authorization header that begins with ALGORITHM, made for `service`. Raises AuthFault."""
    if value[-75:-64] in _SIGNATURE_LAST:  # as nearly everybody sends it
        return Claim(*_parse_prefix(value[:-75], service), value[-64:].decode("latin-1"), None)
    prefix, found, signature = value.rpartition(b"Signature=")
    if not found or b"," in signature:  # the signature need not come last
        fields = [part.strip() for part in value.split(b",")]
        first = fields[0].split(b" ", 1)
        fields = [first[1].strip() if len(first) > 1 else b"", *fields[1:]]
        signature = next((part[10:] for part in fields if part.startswith(b"Signature=")), b"")
        prefix = first[0] + b" " + b",".join(part for part in fields if not part.startswith(b"Signature="))
    if not signature:
        raise AuthFault(
            Fault.MALFORMED_AUTHORIZATION,
            "The authorization header is malformed; the authorization header requires three components: "
            "Credential, SignedHeaders, and Signature.",
        )
    credential, signed = _parse_prefix(prefix, service)
    return Claim(credential, signed, signature.decode("latin-1").strip(), None)


def parse_presigned(query: Mapping[bytes, bytes], service: str = "s3") -> tuple[Claim, str]:
    """The claim of a presigned URL and its date. Raises AuthFault."""
    missing = [name for name in _PRESIGN_PARAMETERS if not query.get(name)]
    if missing:
        raise AuthFault(
            Fault.MALFORMED_PRESIGN,
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if query[b"X-Amz-Algorithm"] != ALGORITHM.encode():
        raise AuthFault(Fault.MALFORMED_PRESIGN, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    credential = _parse_credential(query[b"X-Amz-Credential"].decode("latin-1"), True, service)
    expires = query[b"X-Amz-Expires"].decode("latin-1")
    seconds = parse_clamped(expires.removeprefix("-")) if _SECONDS.match(expires) else None
    if seconds is None:
        raise AuthFault(Fault.MALFORMED_PRESIGN, "X-Amz-Expires should be a number")
    if expires.startswith("-"):
        raise AuthFault(Fault.MALFORMED_PRESIGN, "X-Amz-Expires must be non-negative")
    if seconds > EXPIRES_MAX_S:
        raise AuthFault(
            Fault.MALFORMED_PRESIGN,
            "X-Amz-Expires must be less than a week (in seconds) that is 604800",
        )
    signed = _parse_signed(query[b"X-Amz-SignedHeaders"].decode("latin-1"))
    signature = query[b"X-Amz-Signature"].decode("latin-1")
    return Claim(credential, signed, signature, seconds), query[b"X-Amz-Date"].decode("latin-1")


def canonical_request(
    method: bytes,
    target: Target,
    headers: Mapping[bytes, bytes],
    signed_headers: tuple[bytes, ...],
    payload_hash: bytes,
    leave_out: bytes | None = None,
) -> bytes:
    """The canonical request; `headers` has lower-case names and duplicates joined by commas."""
    is_short = sum(map(len, signed_headers)) <= _REMEMBERED_MAX_BYTES
    fields, names = (_signed_once if is_short else _signed_fields)(signed_headers)
    lines = [method, canonical_path(target.path), canonical_query(target.query, leave_out)]
    for name, label in fields:
        value = headers.get(name, b"")
        lines.append(label + (_SPACES.sub(b" ", value).strip() if b" " in value else value))
    lines += (b"", names, payload_hash)
    return b"\n".join(lines)


def _signed_fields(names: tuple[bytes, ...]) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    """Each signed name with its label in the canonical request, and the list of all of them."""
    return tuple((name, name + b":") for name in names), b";".join(names)


_signed_once = lru_cache(maxsize=128)(_signed_fields)


def string_to_sign(amz_date: str, scope: str, canonical: bytes) -> bytes:
    """The string to sign of a canonical request."""
    return f"{ALGORITHM}\n{amz_date}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}".encode()


@lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs everything of one day, region and service. A new secret is a new cache entry."""
    key = hmac.digest(b"AWS4" + secret.encode(), date.encode(), "sha256")
    for part in (region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(key: bytes, text: bytes) -> str:
    """The signature of `text` in lower-case hexadecimal."""
    return hmac.digest(key, text, "sha256").hex()


def verify(
    method: bytes,
    target: Target,
    headers: Mapping[bytes, bytes],
    claim: Claim,
    secret: str,
    amz_date: str,
    payload_hash: bytes,
    leave_out: bytes | None = None,
) -> bytes:
    """Compare the signature of `claim` with the one that `secret` makes, in constant time; the signing key.

    Raises AuthFault.
    """
    credential = claim.credential
    canonical = canonical_request(method, target, headers, claim.signed_headers, payload_hash, leave_out)
    text = string_to_sign(amz_date, credential.scope, canonical)
    key = signing_key(secret, credential.date, credential.region, credential.service)
    if not hmac.compare_digest(sign(key, text).encode(), claim.signature.encode("latin-1")):
        raise mismatch(claim, text, canonical)
    return key


def date_of(headers: Mapping[bytes, bytes]) -> str:
    """When a request says that it was signed, as YYYYMMDD'T'HHMMSS'Z'. Raises AuthFault."""
    amz_date = headers.get(b"x-amz-date")
    if amz_date is not None:
        text = amz_date.decode("latin-1")
        if parse_basic(text) is not None:
            return text
        seconds = parse_http(text)
    else:
        seconds = parse_http(headers.get(b"date", b"").decode("latin-1"))
    if seconds is None or seconds < 0:
        raise AuthFault(Fault.MISSING_DATE, "AWS authentication requires a valid Date or x-amz-date header")
    return format_iso(seconds * 1000).replace("-", "").replace(":", "").replace(".000", "")


def check_all_signed(headers: Mapping[bytes, bytes], signed: tuple[bytes, ...]) -> None:
    """Raises AuthFault when an x-amz- header was sent that is not signed."""
    unsigned = [name for name in headers if name not in signed and name.startswith(b"x-amz-")]
    if unsigned:
        listed = ", ".join(sorted(name.decode("latin-1") for name in unsigned))
        raise AuthFault(
            Fault.UNSIGNED_HEADERS,
            "There were headers present in the request which were not signed",
            (("HeadersNotSigned", listed),),
        )


def check_date(amz_date: str, claim: Claim, now_s: int) -> None:
    """Check the request's date against the scope and the clock. Raises AuthFault."""
    seconds = parse_basic(amz_date)
    if seconds is None or seconds < 0:
        raise AuthFault(Fault.MISSING_DATE, "AWS authentication requires a valid Date or x-amz-date header")
    if claim.expires_s is not None:
        _check_expiry(seconds, claim.expires_s, now_s)
    elif abs(now_s - seconds) > SKEW_MAX_S:
        raise AuthFault(
            Fault.SKEWED,
            "The difference between the request time and the current time is too large.",
            (
                ("RequestTime", amz_date),
                ("ServerTime", _iso(now_s)),
                ("MaxAllowedSkewMilliseconds", str(SKEW_MAX_S * 1000)),
            ),
        )
    if claim.credential.date != amz_date[:8]:
        fault = Fault.MALFORMED_AUTHORIZATION if claim.expires_s is None else Fault.MALFORMED_PRESIGN
        raise AuthFault(
            fault,
            f'Invalid credential date "{claim.credential.date}". This date is not the same as X-Amz-Date: '
            f'"{amz_date[:8]}".',
        )


def _check_expiry(seconds: int, expires_s: int, now_s: int) -> None:
    if seconds > now_s + SKEW_MAX_S:
        raise AuthFault(Fault.NOT_YET_VALID, "Request is not yet valid")
    if now_s >= seconds + expires_s:
        raise AuthFault(
            Fault.EXPIRED,
            "Request has expired",
            (
                ("X-Amz-Expires", str(expires_s)),
                ("Expires", _iso(seconds + expires_s)),
                ("ServerTime", _iso(now_s)),
            ),
        )


def _iso(seconds: int) -> str:
    return format_iso(seconds * 1000).replace(".000Z", "Z")


def mismatch(claim: Claim, text: bytes, canonical: bytes) -> AuthFault:
    """The fault of a wrong signature, with what AWS tells of it."""
    shown: tuple[tuple[str, str], ...] = ()
    if len(canonical) <= SHOWN_MAX_BYTES:
        shown = (
            ("CanonicalRequest", canonical.decode("latin-1")),
            ("CanonicalRequestBytes", canonical.hex(" ")),
        )
    return AuthFault(
        Fault.MISMATCH,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        (
            ("AWSAccessKeyId", claim.credential.access_key),
            ("StringToSign", text.decode("latin-1")),
            ("SignatureProvided", claim.signature),
            ("StringToSignBytes", text.hex(" ")),
            *shown,
        ),
    )
