"""Owns authentication: from the signature of a request to the identity that made it. Grants nothing.

It runs before any handler, once, for every form: header and query, version 4 and version 2.
"""

import hmac
from collections.abc import Mapping
from typing import Protocol

from pyrite.aws import sigv2, sigv4
from pyrite.aws.dates import format_iso, parse_basic, parse_http
from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.payload import SIGNED, SIGNED_TRAILER, STREAMING
from pyrite.aws.uri import Target
from pyrite.core.clock import Clock
from pyrite.core.counts import parse_count
from pyrite.http.head import RequestHead
from pyrite.iam.caller import Caller
from pyrite.iam.callers import Found
from pyrite.s3.claims import OF_FORMS, adopt_query_headers, is_hoisted, need_fields, payload_rule
from pyrite.s3.compat import Compat
from pyrite.s3.request import S3Request, Signature, text_of

_OF_FUNCTIONS = "s3-object-lambda"  # what SDKs sign the answers of functions for
_OF_V2 = {b"Signature", b"AWSAccessKeyId", b"Expires"}
_PRESIGN_NAMES = (b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature")


class Credentials(Protocol):
    """Who has which secret."""

    async def find(self, access_key: str, token: str = "") -> Found | None:
        """The caller with an access key (and a session token) and its secret, or None."""
        ...

    def known(self, access_key: str) -> Found | None:
        """As `find` for a permanent key, if it was found before."""
        ...

    @property
    def mark(self) -> int:
        """The mark of the rules at the last look."""
        ...

    def note_use(self, access_key: str, service: str, region: str) -> None:
        """The key was used."""
        ...


class Authenticator:
    """Checks signatures against `credentials`, for requests scoped to one of `regions`."""

    def __init__(self, credentials: Credentials, clock: Clock, region: str, compat: Compat) -> None:
        self._credentials = credentials
        self._clock = clock
        self._region = region
        self._regions = frozenset((region, "us-east-1", *(("",) if compat.no_region else ())))

    @property
    def mark(self) -> int:
        """A number that is another one after every change of who may do what."""
        return self._credentials.mark

    async def authenticate(self, request: S3Request) -> None:
        """Set the request's caller and payload rule. Raises AuthFault, InvalidToken or ExpiredToken."""
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
                await self._header_v4(request, authorization)
            else:
                await self._header_v2(request, authorization)
        elif presigned:
            await self._presigned_v4(request)
        elif b"Signature" in query or b"AWSAccessKeyId" in query:
            if not query.keys() >= _OF_V2:
                raise AuthFault(
                    Fault.MISSING_DATE,
                    "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
                )
            await self._presigned_v2(request)
        else:
            self._anonymous(request)

    def identify(self, head: RequestHead, target: Target) -> Caller | None:
        """Who signed a request by a version 4 header; None for other forms.

        The same checks as `authenticate`, without a request object. The caller compares the body with
        x-amz-content-sha256, which is there. Raises AuthFault or ExpiredToken.
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
        found = self._credentials.known(claim.credential.access_key)
        if found is None:
            return None
        sigv4.check_all_signed(fields, claim.signed_headers)
        sigv4.verify(head.method, target, fields, claim, found.secret, date, declared)
        self._credentials.note_use(found.caller.access_key, "s3", claim.credential.region)
        return found.caller

    # ---- version 4

    async def _header_v4(self, request: S3Request, authorization: bytes) -> None:
        service = _OF_FUNCTIONS if request.is_answer and _OF_FUNCTIONS.encode() in authorization else "s3"
        claim = sigv4.parse_authorization(authorization, service)
        self._check_region(claim, Fault.MALFORMED_AUTHORIZATION)
        amz_date = sigv4.date_of(request.headers)
        sigv4.check_date(amz_date, claim, self._now_s())
        found = await self._lookup(claim.credential.access_key, request.headers.get(b"x-amz-security-token"))
        declared = request.headers.get(b"x-amz-content-sha256")
        if declared is None:
            raise AuthFault(Fault.UNSUPPORTED, "Missing required header for this request: x-amz-content-sha256")
        sigv4.check_all_signed(request.headers, claim.signed_headers)
        key = self._verify_v4(request, claim, found.secret, amz_date, declared)
        self._accept(request, found.caller, Signature("AWS4-HMAC-SHA256", "REST-HEADER"), claim.credential.region)
        request.payload = payload_rule(declared, claim, key, amz_date)

    async def _presigned_v4(self, request: S3Request) -> None:
        claim, amz_date = sigv4.parse_presigned(request.query)
        self._check_region(claim, Fault.MALFORMED_PRESIGN)
        sigv4.check_date(amz_date, claim, self._now_s())
        token = request.query.get(b"X-Amz-Security-Token") or request.headers.get(b"x-amz-security-token")
        found = await self._lookup(claim.credential.access_key, token)
        declared = request.headers.get(b"x-amz-content-sha256") or request.query.get(b"X-Amz-Content-Sha256")
        is_signed = b"x-amz-content-sha256" in claim.signed_headers
        if declared == sigv4.UNSIGNED_PAYLOAD and not is_signed:  # that says nothing: some clients always send it
            request.headers = {k: v for k, v in request.headers.items() if k != b"x-amz-content-sha256"}
        sigv4.check_all_signed(request.headers, claim.signed_headers)
        declared = declared or sigv4.UNSIGNED_PAYLOAD
        key = self._verify_v4(request, claim, found.secret, amz_date, declared, b"X-Amz-Signature")
        age_ms = self._clock.now_ms() - (parse_basic(amz_date) or 0) * 1000
        how = Signature("AWS4-HMAC-SHA256", "REST-QUERY-STRING", age_ms)
        self._accept(request, found.caller, how, claim.credential.region)
        request.payload = payload_rule(declared, claim, key, amz_date)
        if declared in STREAMING:
            request.headers = {**request.headers, b"x-amz-content-sha256": declared}
        adopt_query_headers(request)

    @staticmethod
    def _verify_v4(
        request: S3Request,
        claim: sigv4.Claim,
        secret: str,
        amz_date: str,
        declared: bytes,
        leave_out: bytes | None = None,
    ) -> bytes:
        """The signing key. Raises AuthFault.

        A plus in the path may stand for a space, which the client signed as %20: the signature tells which is meant.
        """
        method, headers = request.http.head.method, request.headers
        try:
            return sigv4.verify(method, request.target, headers, claim, secret, amz_date, declared, leave_out)
        except AuthFault:
            if b"+" not in request.target.path:
                raise
            target = request.target._replace(path=request.target.path.replace(b"+", b"%20"))
            try:
                key = sigv4.verify(method, target, headers, claim, secret, amz_date, declared, leave_out)
            except AuthFault:
                key = b""
            if not key:
                raise
        request.address(target)
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

    # ---- version 2

    async def _header_v2(self, request: S3Request, authorization: bytes) -> None:
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
        await self._verify_v2(request, text_of(access_key), text_of(signature), date)

    async def _presigned_v2(self, request: S3Request) -> None:
        expires = request.query.get(b"Expires", b"")
        until_s = parse_count(expires)
        if until_s is None:
            raise AuthFault(Fault.EXPIRED, f"Invalid date (should be seconds since epoch): {text_of(expires)}")
        if self._now_s() > until_s:
            iso = format_iso(min(until_s, 1 << 35) * 1000).replace(".000Z", "Z")
            server = format_iso(self._now_s() * 1000).replace(".000Z", "Z")
            raise AuthFault(Fault.EXPIRED, "Request has expired", (("Expires", iso), ("ServerTime", server)))
        access_key, signature = request.query[b"AWSAccessKeyId"], request.query[b"Signature"]
        await self._verify_v2(request, text_of(access_key), text_of(signature), expires)

    async def _verify_v2(self, request: S3Request, access_key: str, signature: str, date: bytes) -> None:
        presigned = b"authorization" not in request.headers
        token = request.headers.get(b"x-amz-security-token") or request.query.get(b"x-amz-security-token")
        found = await self._lookup(access_key, token)
        paths = {request.resource_path}
        if not request.key and request.bucket_name:
            paths.add(request.resource_path.rstrip(b"/") + b"/")  # boto signs /bucket/ though it sends /bucket
        hoisted = presigned and any(is_hoisted(name) for name in request.query)
        texts = [
            sigv2.string_to_sign(request.http.head.method, path, request.target.query, request.headers, date, adopts)
            for path in sorted(paths)
            for adopts in ((False, True) if hoisted else (False,))
        ]
        good = [
            hmac.compare_digest(sigv2.sign(found.secret, text).encode(), signature.encode("utf-8", "replace"))
            for text in texts
        ]
        if any(good) and hoisted and good.index(True) % 2:  # only what was signed becomes a header
            adopt_query_headers(request)
        if not any(good):
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
        how = Signature("AWS", "REST-QUERY-STRING" if presigned else "REST-HEADER")
        self._accept(request, found.caller, how, self._region)
        declared = request.headers.get(b"x-amz-content-sha256", sigv4.UNSIGNED_PAYLOAD)
        if declared in (SIGNED, SIGNED_TRAILER):
            raise AuthFault(Fault.BAD_CONTENT_SHA256, "x-amz-content-sha256 needs Signature Version 4")
        request.payload = payload_rule(declared, None, b"", "")

    # ---- forms

    async def authenticate_form(self, request: S3Request, fields: Mapping[str, bytes]) -> None:
        """Set the caller of a form that carries a policy. Raises AuthFault, InvalidToken or ExpiredToken."""
        policy, token = fields["policy"], fields.get("x-amz-security-token")
        if not OF_FORMS.intersection(fields):
            raise AuthFault(Fault.MISSING_DATE, "Access Denied")
        if any(name in fields for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-signature")):
            need_fields(fields, ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"))
            if fields["x-amz-algorithm"] != sigv4.ALGORITHM.encode():
                raise AuthFault(Fault.UNSUPPORTED, "x-amz-algorithm must be AWS4-HMAC-SHA256")
            credential = sigv4.parse_credential(text_of(fields["x-amz-credential"]))
            if credential.region not in self._regions:
                raise AuthFault(Fault.MALFORMED_AUTHORIZATION, f"the region '{credential.region}' is wrong")
            found = await self._lookup(credential.access_key, token)
            key = sigv4.signing_key(found.secret, credential.date, credential.region, "s3")
            expected, given, how = sigv4.sign(key, policy), fields["x-amz-signature"], "AWS4-HMAC-SHA256"
            access_key = credential.access_key
            if not text_of(fields["x-amz-date"]).startswith(credential.date):
                raise AuthFault(Fault.MALFORMED_AUTHORIZATION, "x-amz-date is of another day than the credential")
        else:
            need_fields(fields, ("AWSAccessKeyId", "Signature"))
            found = await self._lookup(text_of(fields["awsaccesskeyid"]), token)
            expected, given, how = sigv2.sign(found.secret, policy), fields["signature"], "AWS"
            access_key = text_of(fields["awsaccesskeyid"])
        if not hmac.compare_digest(expected.encode(), given):
            raise AuthFault(
                Fault.MISMATCH,
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
                (
                    ("AWSAccessKeyId", access_key),
                    ("StringToSign", text_of(policy)),
                    ("SignatureProvided", text_of(given)),
                    ("StringToSignBytes", policy.hex(" ")),
                ),
            )
        self._accept(request, found.caller, Signature(how, "POST"), self._region)

    # ---- all versions

    async def secret_of(self, request: S3Request) -> tuple[str, str]:
        """The secret of who signed a request, and the token of its session or "". Raises as `authenticate`."""
        query = request.query
        token = request.headers.get(b"x-amz-security-token") or query.get(b"X-Amz-Security-Token")
        token = token or query.get(b"x-amz-security-token")
        return (await self._lookup(request.caller.access_key, token)).secret, text_of(token) if token else ""

    async def again(self, request: S3Request) -> None:
        """Set the request's caller as it is now. Raises AuthFault, InvalidToken or ExpiredToken where it is gone."""
        if not request.caller.is_anonymous:
            _, token = await self.secret_of(request)
            found = await self._lookup(request.caller.access_key, token.encode() or None)
            request.caller = found.caller

    def _anonymous(self, request: S3Request) -> None:
        declared = request.headers.get(b"x-amz-content-sha256", sigv4.UNSIGNED_PAYLOAD)
        if declared in (SIGNED, SIGNED_TRAILER):
            raise AuthFault(Fault.BAD_CONTENT_SHA256, "Anonymous requests cannot carry chunk signatures")
        request.payload = payload_rule(declared, None, b"", "")

    async def _lookup(self, access_key: str, token: bytes | None) -> Found:
        found = await self._credentials.find(access_key, text_of(token) if token else "")
        if found is None:
            raise AuthFault(
                Fault.UNKNOWN_KEY,
                "The AWS Access Key Id you provided does not exist in our records.",
                (("AWSAccessKeyId", access_key),),
            )
        return found

    def _accept(self, request: S3Request, caller: Caller, signature: Signature, region: str) -> None:
        request.caller, request.signature = caller, signature
        self._credentials.note_use(caller.access_key, "s3", region)

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000
