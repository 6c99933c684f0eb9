"""Owns the way of a call through the IAM and STS API: parse, authenticate, authorize, act, answer, account for it."""

import hashlib
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from pyrite.aws import sigv4
from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.uri import split_target
from pyrite.http.errors import ClientGone
from pyrite.http.hosting import Request
from pyrite.http.proxies import Networks, client_address
from pyrite.http.response import Response
from pyrite.iam.caller import ANONYMOUS, Caller
from pyrite.iam.patterns import Values
from pyrite.iamapi.actions import account, certificate, entities, ldapidentity, policies, simulate, sts, webidentity
from pyrite.iamapi.authorization import UNSIGNED, authorize
from pyrite.iamapi.call import Call, Handler, Identities
from pyrite.iamapi.errors import QueryError, translate
from pyrite.iamapi.wire import Params, parse_form, respond, respond_error

BODY_MAX_BYTES = 512 * 1024

HANDLERS: dict[str, dict[str, Handler]] = {
    "iam": {**entities.HANDLERS, **policies.HANDLERS, **account.HANDLERS, **simulate.HANDLERS},
    "sts": {**sts.HANDLERS, **webidentity.HANDLERS, **ldapidentity.HANDLERS, **certificate.HANDLERS},
}
SERVICE_OF = {action: service for service, handlers in HANDLERS.items() for action in handlers}
_FORM = b"application/x-www-form-urlencoded"


def is_call(request: Request) -> bool:
    """Whether a request is one of the Query protocol: a form posted to the root, or a query with an Action there."""
    head = request.head
    path, _, query = head.target.partition(b"?")
    if path != b"/":
        return False
    if head.method == b"POST":
        form = not query and head.fields.get(b"content-type", b"").lower().startswith(_FORM)
        return form or query.startswith(b"Action=")
    return head.method == b"GET" and (query.startswith(b"Action=") or b"&Action=" in query)


class Observer:
    """Hears of every call when its answer is ready; the default forgets."""

    def on_call(self, call: Call, request_id: str, status: int, error: str, started_s: float) -> None:
        """`started_s` is the monotonic time at which the call began."""

    def on_defect(self, request_id: str, error: BaseException) -> None:
        """An action raised what it should not have."""


class IamApp:
    """Answers calls."""

    def __init__(
        self, identities: Identities, observer: Observer, id_prefix: str, region: str, trusted: Networks = ()
    ) -> None:
        self._trusted = trusted
        self._identities = identities
        self._observer = observer
        self._id_prefix = id_prefix
        self._region = region
        self._count = 0

    async def handle(self, request: Request) -> Response:
        """Answer one call. Raises ClientGone when there is nobody left to answer."""
        started_s = self._identities.clock.monotonic_s()
        self._count += 1
        request_id = f"{self._id_prefix}-iam-{self._count:08x}"
        call = Call("Unknown", Params({}), ANONYMOUS, self._identities, {})
        service, code = "iam", ""
        try:
            params, payload = await _read(request)
            service = SERVICE_OF.get(params.get("Action") or "", "iam")
            call = Call(
                params.need("Action"), params, ANONYMOUS, self._identities, self._keys(request), request.certificate
            )
            handler = HANDLERS[service].get(call.action)
            caller = await self._authenticate(request, service, call.action, payload)
            call = call._replace(caller=caller)
            if handler is None:
                raise QueryError("InvalidAction", f"Could not find operation {call.action}")
            await authorize(call, service)
            result = await handler(call)
            response = Response(
                200, [(b"Content-Type", b"text/xml")], respond(service, call.action, result, request_id)
            )
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - every error gets an answer; defects are reported
            known = translate(error)
            if known is None or known.status >= 500:
                self._observer.on_defect(request_id, error)
            known = known or QueryError(
                "InternalFailure", "The request processing has failed because of an unknown error."
            )
            code = known.code
            response = Response(
                known.status, [(b"Content-Type", b"text/xml")], respond_error(service, known, request_id)
            )
        response.headers.append((b"x-amzn-RequestId", request_id.encode()))
        self._observer.on_call(call, request_id, response.status, code, started_s)
        return response

    def _keys(self, request: Request) -> dict[str, Values]:
        now = self._identities.clock.now_ms() // 1000
        return {
            "aws:sourceip": (client_address(request.peer, request.head.fields, self._trusted),),
            "aws:securetransport": (str(request.secure).lower(),),
            "aws:currenttime": (datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
            "aws:epochtime": (str(now),),
            "aws:requestedregion": (self._region,),
            "aws:useragent": (request.head.fields.get(b"user-agent", b"").decode("latin-1"),),
        }

    async def _authenticate(self, request: Request, service: str, action: str, payload: bytes) -> Caller:
        """Who signed the call; nobody for an action that needs no signature. Raises AuthFault and others."""
        fields, target = request.head.fields, split_target(request.head.target)
        query = dict(target.query)
        authorization, now_s = fields.get(b"authorization"), self._identities.clock.now_ms() // 1000
        if action in UNSIGNED:
            return ANONYMOUS  # what it presents is in its parameters
        if authorization is not None:
            if not authorization.startswith(sigv4.ALGORITHM.encode()):
                raise AuthFault(Fault.INVALID_AUTHORIZATION, "Authorization header requires 'AWS4-HMAC-SHA256'")
            claim, amz_date = sigv4.parse_authorization(authorization, service), sigv4.date_of(fields)
            token, leave_out = fields.get(b"x-amz-security-token"), None
        elif b"X-Amz-Signature" in query:
            claim, amz_date = sigv4.parse_presigned(query, service)
            token, leave_out = query.get(b"X-Amz-Security-Token"), b"X-Amz-Signature"
        else:
            raise QueryError("MissingAuthenticationToken", "Request is missing Authentication Token")
        sigv4.check_date(amz_date, claim, now_s)
        found = await self._identities.callers.find(
            claim.credential.access_key, token.decode("latin-1") if token else ""
        )
        if found is None:
            raise AuthFault(Fault.UNKNOWN_KEY, "The security token included in the request is invalid.")
        sigv4.check_all_signed(fields, claim.signed_headers)
        digest = hashlib.sha256(payload).hexdigest().encode()
        if fields.get(b"x-amz-content-sha256", digest) != digest:
            raise AuthFault(Fault.CONTENT_SHA256_MISMATCH, "x-amz-content-sha256 is not the digest of the body")
        sigv4.verify(request.head.method, target, fields, claim, found.secret, amz_date, digest, leave_out)
        self._identities.callers.note_use(found.caller.access_key, service, claim.credential.region)
        return found.caller


async def _read(request: Request) -> tuple[Params, bytes]:
    """The parameters of a call, and the body that was signed."""
    body = await request.body.read_all(BODY_MAX_BYTES)
    if request.head.method == b"POST" and b"?" not in request.head.target:
        return parse_form(body), body
    query = request.head.target.partition(b"?")[2]
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if not name.startswith(b"X-Amz-")]
    values = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in kept}
    if len(values) != len(kept):
        raise QueryError("MalformedQueryString", "A parameter stands there twice.")
    return Params(values), body
