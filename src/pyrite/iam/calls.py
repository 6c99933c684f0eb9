"""Owns what calls of the APIs beside S3 have in common: who signed one, and its condition keys."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pyrite.aws import sigv4
from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.uri import split_target
from pyrite.core.clock import Clock
from pyrite.http.hosting import Request
from pyrite.http.proxies import Networks, client_address
from pyrite.iam.caller import Caller
from pyrite.iam.callers import Callers
from pyrite.iam.patterns import Values


class ToldCall(NamedTuple):
    """A call as it is accounted for: its action, who called, its condition keys.

    `parameters` makes those that hold no secret, for who keeps a log of them.
    """

    action: str
    caller: Caller
    keys: Mapping[str, Values]
    parameters: Callable[[], Mapping[str, Any]]


def request_keys(request: Request, clock: Clock, region: str, trusted: Networks) -> dict[str, Values]:
    """The condition keys of a request itself."""
    now = clock.now_ms() // 1000
    return {
        "aws:sourceip": (client_address(request.peer, request.head.fields, trusted),),
        "aws:securetransport": (str(request.secure).lower(),),
        "aws:currenttime": (datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(now),),
        "aws:requestedregion": (region,),
        "aws:useragent": (request.head.fields.get(b"user-agent", b"").decode("latin-1"),),
    }


async def authenticate(callers: Callers, request: Request, service: str, payload: bytes, clock: Clock) -> Caller | None:
    """Who signed the call; None where nobody did. Raises AuthFault, InvalidToken or ExpiredToken."""
    fields, target = request.head.fields, split_target(request.head.target)
    query = dict(target.query)
    authorization, now_s = fields.get(b"authorization"), clock.now_ms() // 1000
    if authorization is not None:
        if not authorization.startswith(sigv4.ALGORITHM.encode()):
            raise AuthFault(Fault.INVALID_AUTHORIZATION, "Authorization header requires 'AWS4-HMAC-SHA256'")
        claim, amz_date = sigv4.parse_authorization(authorization, service), sigv4.date_of(fields)
        token, leave_out = fields.get(b"x-amz-security-token"), None
    elif b"X-Amz-Signature" in query:
        claim, amz_date = sigv4.parse_presigned(query, service)
        token, leave_out = query.get(b"X-Amz-Security-Token"), b"X-Amz-Signature"
    else:
        return None
    sigv4.check_date(amz_date, claim, now_s)
    found = await callers.find(claim.credential.access_key, token.decode("latin-1") if token else "")
    if found is None:
        raise AuthFault(Fault.UNKNOWN_KEY, "The security token included in the request is invalid.")
    sigv4.check_all_signed(fields, claim.signed_headers)
    digest = hashlib.sha256(payload).hexdigest().encode()
    if fields.get(b"x-amz-content-sha256", digest) != digest:
        raise AuthFault(Fault.CONTENT_SHA256_MISMATCH, "x-amz-content-sha256 is not the digest of the body")
    sigv4.verify(request.head.method, target, fields, claim, found.secret, amz_date, digest, leave_out)
    callers.note_use(found.caller.access_key, service, claim.credential.region)
    return found.caller


class CallObserver:
    """Hears of every call when its answer is ready; the default forgets."""

    def on_call(self, call: ToldCall, request_id: str, status: int, error: str, started_s: float) -> None:
        """`started_s` is the monotonic time at which the call began."""

    def on_defect(self, request_id: str, error: BaseException) -> None:
        """An action raised what it should not have."""
