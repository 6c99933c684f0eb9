"""Owns authentication: from the signature of a request to the identity that made it. Grants nothing.

It runs before any handler, once, for every form: header and query, version 4 and version 2.
"""

import hmac
from collections.abc import Mapping
from typing import Protocol

from pyrite.aws import sigv2, sigv4
from pyrite.aws.dates import format_iso, parse_basic, parse_http
from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.payload import SIGNED, SIGNED_TRAILER, STREAMING, ChunkSigner
from pyrite.aws.uri import Target
from pyrite.core.clock import Clock
from pyrite.http.head import RequestHead
from pyrite.s3.request import Identity, PayloadRule, S3Request, text_of

_PRESIGN_NAMES = (b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature")
_ECDSA_STREAMING = (
    b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
)
_HEX = frozenset(b"0123456789abcdef")


class Credentials(Protocol):
    """Who has which secret."""

    def find(self, access_key: str) -> tuple[Identity, str] | None:
        """The identity behind an access key and its secret, or None."""
        ...


class Authenticator:
    """Checks signatures against `credentials`, for requests scoped to one of `regions`."""

    def __init__(self, credentials: Credentials, clock: Clock, region: str) -> None:
        self._credentials = credentials
        self._clock = clock
        self._region = region
        self._regions = frozenset((region, "us-east-1"))

    def authenticate(self, request: S3Request) -> None:
        """Set the request's identity (None: anonymous) and payload rule. Raises AuthFault."""
        authorization = request.headers.get(b"authorization")
        query = request.query
        presigned = bool(query) and any(name in query for name in _PRESIGN_NAMES)
        if authorization is not None:
            if presigned or b"Signature" in query:
                raise AuthFault(
                    Fault.ONE_MECHANISM,
                    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
                    "string parameter or the Authorization header should be specified",
                )
            if authorization.startswith(b"AWS4-HMAC-SHA256"):
                self._header_v4(request, authorization)
            else:
                self._header_v2(request, authorization)
        elif presigned:
            self._presigned_v4(request)
        elif b"Signature" in query and b"AWSAccessKeyId" in query:
            self._presigned_v2(request)
        else:
            self._anonymous(request)

    def identify(self, head: RequestHead, target: Target) -> Identity | None:
        """Who signed a request by a version 4 header; None for other forms.

        The same checks as `authenticate`, without a request object. The caller compares the body with
        x-amz-content-sha256, which is there. Raises AuthFault.
        """
        fields = head.fields
        authorization = fields.get(b"authorization")
        declared = fields.get(b"x-amz-content-sha256")
        amz_date = fields.get(b"x-amz-date")
        if authorization is None or declared is None or amz_date is None:
            return None
        if not authorization.startswith(b"AWS4-HMAC-SHA256"):
            return None
        claim = sigv4.parse_authorization(authorization)
        if claim.credential.region not in self._regions:
            return None
        date = amz_date.decode("latin-1")
        sigv4.check_date(date, claim, self._now_s())
        identity, secret = self._lookup(claim.credential.access_key)
        _check_all_signed(fields, claim.signed_headers)
        self._verify(head.method, target, fields, claim, secret, date, declared, None)
        return identity

    # ---- version 4

    def _header_v4(self, request: S3Request, authorization: bytes) -> None:
        claim = sigv4.parse_authorization(authorization)
        self._check_region(claim, Fault.MALFORMED_AUTHORIZATION)
        amz_date = self._date_of(request.headers)
        sigv4.check_date(amz_date, claim, self._now_s())
        identity, secret = self._lookup(claim.credential.access_key)
        declared = request.headers.get(b"x-amz-content-sha256")
        if declared is None:
            raise AuthFault(Fault.UNSUPPORTED, "Missing required header for this request: x-amz-content-sha256")
        _check_all_signed(request.headers, claim.signed_headers)
        key = self._verify(
            request.http.head.method, request.target, request.headers, claim, secret, amz_date, declared, None
        )
        request.identity = identity
        request.payload = _payload_rule(declared, claim, key, amz_date)
        self._check_token(request)

    def _presigned_v4(self, request: S3Request) -> None:
        claim, amz_date = sigv4.parse_presigned(request.query)
        self._check_region(claim, Fault.MALFORMED_PRESIGN)
        sigv4.check_date(amz_date, claim, self._now_s())
        identity, secret = self._lookup(claim.credential.access_key)
        _check_all_signed(request.headers, claim.signed_headers)
        declared = request.headers.get(b"x-amz-content-sha256") or request.query.get(b"X-Amz-Content-Sha256")
        key = self._verify(
            request.http.head.method,
            request.target,
            request.headers,
            claim,
            secret,
            amz_date,
            declared or sigv4.UNSIGNED_PAYLOAD,
            b"X-Amz-Signature",
        )
        request.identity = identity
        request.payload = _payload_rule(declared or sigv4.UNSIGNED_PAYLOAD, claim, key, amz_date)
        _adopt_query_headers(request)
        self._check_token(request)

    def _verify(
        self,
        method: bytes,
        target: Target,
        headers: Mapping[bytes, bytes],
        claim: sigv4.Claim,
        secret: str,
        amz_date: str,
        payload_hash: bytes,
        leave_out: bytes | None,
    ) -> bytes:
        credential = claim.credential
        canonical = sigv4.canonical_request(method, target, headers, claim.signed_headers, payload_hash, leave_out)
        text = sigv4.string_to_sign(amz_date, credential.scope, canonical)
        key = sigv4.signing_key(secret, credential.date, credential.region, credential.service)
        if not hmac.compare_digest(sigv4.sign(key, text).encode(), claim.signature.encode("latin-1")):
            raise sigv4.mismatch(claim, text, canonical)
        return key

    def _check_region(self, claim: sigv4.Claim, fault: Fault) -> None:
        region = claim.credential.region
        if region not in self._regions:
            where = (
                "The authorization header is malformed"
                if fault is Fault.MALFORMED_AUTHORIZATION
                else "Error parsing the X-Amz-Credential parameter"
            )
            raise AuthFault(
                fault,
                f"{where}; the region '{region}' is wrong; expecting '{self._region}'",
                (("Region", self._region),),
            )

    def _date_of(self, headers: Mapping[bytes, bytes]) -> str:
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

    # ---- version 2

    def _header_v2(self, request: S3Request, authorization: bytes) -> None:
        scheme, space, rest = authorization.partition(b" ")
        if not space or b" " in rest:
            raise AuthFault(
                Fault.INVALID_AUTHORIZATION, "Authorization header is invalid -- one and only one ' ' (space) required"
            )
        access_key, colon, signature = rest.rpartition(b":")
        if scheme != b"AWS" or not colon:
            raise AuthFault(Fault.INVALID_AUTHORIZATION, "Unsupported Authorization Type")
        amz_date = request.headers.get(b"x-amz-date")
        date = b"" if amz_date is not None else request.headers.get(b"date", b"")
        seconds = parse_http((amz_date or date).decode("latin-1"))
        if seconds is None or seconds < 0:
            raise AuthFault(Fault.MISSING_DATE, "AWS authentication requires a valid Date or x-amz-date header")
        if abs(self._now_s() - seconds) > sigv4.SKEW_MAX_S:
            raise AuthFault(Fault.SKEWED, "The difference between the request time and the current time is too large.")
        self._verify_v2(request, text_of(access_key), text_of(signature), date)

    def _presigned_v2(self, request: S3Request) -> None:
        expires = request.query.get(b"Expires", b"")
        if not expires.isdigit():
            raise AuthFault(Fault.EXPIRED, f"Invalid date (should be seconds since epoch): {text_of(expires)}")
        if self._now_s() > int(expires):
            iso = format_iso(min(int(expires), 1 << 35) * 1000).replace(".000Z", "Z")
            server = format_iso(self._now_s() * 1000).replace(".000Z", "Z")
            raise AuthFault(Fault.EXPIRED, "Request has expired", (("Expires", iso), ("ServerTime", server)))
        access_key, signature = request.query[b"AWSAccessKeyId"], request.query[b"Signature"]
        self._verify_v2(request, text_of(access_key), text_of(signature), expires)

    def _verify_v2(self, request: S3Request, access_key: str, signature: str, date: bytes) -> None:
        identity, secret = self._lookup(access_key)
        paths = {request.resource_path}
        if not request.key and request.bucket_name:
            paths.add(request.resource_path.rstrip(b"/") + b"/")  # boto signs /bucket/ though it sends /bucket
        texts = [
            sigv2.string_to_sign(request.http.head.method, path, request.target.query, request.headers, date)
            for path in sorted(paths)
        ]
        if not any(hmac.compare_digest(sigv2.sign(secret, text).encode(), signature.encode()) for text in texts):
            raise AuthFault(
                Fault.MISMATCH,
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
                (
                    ("AWSAccessKeyId", access_key),
                    ("StringToSign", texts[0].decode("latin-1")),
                    ("SignatureProvided", signature),
                    ("StringToSignBytes", texts[0].hex(" ")),
                ),
            )
        request.identity = identity
        declared = request.headers.get(b"x-amz-content-sha256", sigv4.UNSIGNED_PAYLOAD)
        if declared in (SIGNED, SIGNED_TRAILER):
            raise AuthFault(Fault.BAD_CONTENT_SHA256, "x-amz-content-sha256 needs Signature Version 4")
        request.payload = _payload_rule(declared, None, b"", "")
        self._check_token(request)

    # ---- all versions

    def _anonymous(self, request: S3Request) -> None:
        declared = request.headers.get(b"x-amz-content-sha256", sigv4.UNSIGNED_PAYLOAD)
        if declared in (SIGNED, SIGNED_TRAILER):
            raise AuthFault(Fault.BAD_CONTENT_SHA256, "Anonymous requests cannot carry chunk signatures")
        request.payload = _payload_rule(declared, None, b"", "")

    def _lookup(self, access_key: str) -> tuple[Identity, str]:
        found = self._credentials.find(access_key)
        if found is None:
            raise AuthFault(
                Fault.UNKNOWN_KEY,
                "The AWS Access Key Id you provided does not exist in our records.",
                (("AWSAccessKeyId", access_key),),
            )
        return found

    def _check_token(self, request: S3Request) -> None:
        if b"x-amz-security-token" in request.headers or b"X-Amz-Security-Token" in request.query:
            raise AuthFault(Fault.INVALID_TOKEN, "The provided token is malformed or otherwise invalid.")

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000


def _check_all_signed(headers: Mapping[bytes, bytes], signed: tuple[bytes, ...]) -> None:
    unsigned = [name for name in headers if name not in signed and name.startswith(b"x-amz-")]
    if unsigned:
        raise _unsigned(unsigned)


def _unsigned(names: list[bytes]) -> AuthFault:
    listed = ", ".join(sorted(text_of(name) for name in names))
    return AuthFault(
        Fault.UNSIGNED_HEADERS,
        "There were headers present in the request which were not signed",
        (("HeadersNotSigned", listed),),
    )


def _adopt_query_headers(request: S3Request) -> None:
    """A presigned URL may carry x-amz- headers as parameters; one that is also sent must say the same."""
    adopted = {}
    for name, value in request.query.items():
        lower = name.lower()
        if not lower.startswith(b"x-amz-") or lower in _AUTH_PARAMETERS:
            continue
        sent = request.headers.get(lower)
        if sent is not None and sent != value:
            raise AuthFault(Fault.UNSIGNED_HEADERS, f"{text_of(lower)} differs between the URL and the headers")
        adopted[lower] = value
    if adopted:
        request.headers = {**request.headers, **adopted}


_AUTH_PARAMETERS = frozenset(
    (
        b"x-amz-algorithm",
        b"x-amz-credential",
        b"x-amz-date",
        b"x-amz-expires",
        b"x-amz-signature",
        b"x-amz-signedheaders",
        b"x-amz-content-sha256",
        b"x-amz-security-token",
    )
)


def _payload_rule(declared: bytes, claim: sigv4.Claim | None, key: bytes, amz_date: str) -> PayloadRule:
    if declared == sigv4.UNSIGNED_PAYLOAD:
        return PayloadRule(declared)
    if len(declared) == 64 and _HEX.issuperset(declared):
        return PayloadRule(b"SHA256", declared.decode("ascii"))
    if declared in STREAMING:
        if claim is None or declared not in (SIGNED, SIGNED_TRAILER):
            return PayloadRule(declared)
        return PayloadRule(declared, "", ChunkSigner(key, amz_date, claim.credential.scope, claim.signature))
    if declared in _ECDSA_STREAMING:
        raise AuthFault(Fault.UNSUPPORTED, "AWS4-ECDSA-P256-SHA256 is not supported; sign with AWS4-HMAC-SHA256")
    raise AuthFault(
        Fault.BAD_CONTENT_SHA256,
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        (("ArgumentName", "x-amz-content-sha256"), ("ArgumentValue", text_of(declared))),
    )
