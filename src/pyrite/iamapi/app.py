"""Owns the way of a call through the IAM and STS API: parse, authenticate, authorize, act, answer, account for it."""

from urllib.parse import parse_qsl

from pyrite.http.errors import ClientGone
from pyrite.http.hosting import Request
from pyrite.http.proxies import Networks
from pyrite.http.response import Response
from pyrite.iam.caller import ANONYMOUS, Caller
from pyrite.iam.calls import CallObserver, ToldCall, authenticate, request_keys
from pyrite.iamapi.actions import (
    account,
    certificate,
    entities,
    ldapidentity,
    policies,
    simulate,
    sts,
    topics,
    webidentity,
)
from pyrite.iamapi.authorization import UNSIGNED, authorize
from pyrite.iamapi.call import Call, Handler, Identities
from pyrite.iamapi.errors import QueryError, translate
from pyrite.iamapi.wire import Params, parse_form, respond, respond_error, service_of_version

BODY_MAX_BYTES = 512 * 1024

HANDLERS: dict[str, dict[str, Handler]] = {
    "iam": {**entities.HANDLERS, **policies.HANDLERS, **account.HANDLERS, **simulate.HANDLERS},
    "sns": topics.HANDLERS,
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


class IamApp:
    """Answers calls."""

    def __init__(
        self, identities: Identities, observer: CallObserver, id_prefix: str, region: str, trusted: Networks = ()
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
            service = SERVICE_OF.get(params.get("Action") or "") or service_of_version(params.get("Version") or "")
            call = Call(
                params.need("Action"),
                params,
                ANONYMOUS,
                self._identities,
                request_keys(request, self._identities.clock, self._region, self._trusted),
                request.certificate,
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
        name = call.action if call.action in SERVICE_OF else "UnknownAction"
        told = ToldCall(name, call.caller, call.keys, call.params.shown)
        self._observer.on_call(told, request_id, response.status, code, started_s)
        return response

    async def _authenticate(self, request: Request, service: str, action: str, payload: bytes) -> Caller:
        """Who signed the call; nobody for an action that needs no signature. Raises AuthFault and others."""
        if action in UNSIGNED:
            return ANONYMOUS  # what it presents is in its parameters
        caller = await authenticate(self._identities.callers, request, service, payload, self._identities.clock)
        if caller is None:
            raise QueryError("MissingAuthenticationToken", "Request is missing Authentication Token")
        return caller


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
