"""Owns the way of a call through the KMS API: parse, authenticate, act, answer, account for it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from pyrite.core.clock import Clock
from pyrite.http.errors import ClientGone
from pyrite.http.hosting import Request
from pyrite.http.proxies import Networks
from pyrite.http.response import Response
from pyrite.iam.caller import ANONYMOUS
from pyrite.iam.callers import Callers
from pyrite.iam.calls import CallObserver, ToldCall, authenticate, request_keys
from pyrite.kms.keys import KmsKeys
from pyrite.kmsapi import actions, using
from pyrite.kmsapi.call import Call
from pyrite.kmsapi.errors import JsonError, translate

BODY_MAX_BYTES = 128 * 1024
HANDLERS = {**actions.HANDLERS, **using.HANDLERS}
_TARGET = b"TrentService."
_TYPE = (b"Content-Type", b"application/x-amz-json-1.1")
_SECRET = frozenset(("Plaintext", "CiphertextBlob", "EncryptionContext"))


def is_call(request: Request) -> bool:
    """Whether a request is one of KMS's JSON protocol."""
    head = request.head
    return head.method == b"POST" and head.target == b"/" and head.fields.get(b"x-amz-target", b"").startswith(_TARGET)


class KmsApp:
    """Answers calls."""

    def __init__(
        self,
        keys: KmsKeys,
        callers: Callers,
        clock: Clock,
        observer: CallObserver,
        id_prefix: str,
        region: str,
        trusted: Networks = (),
    ) -> None:
        self._keys = keys
        self._callers = callers
        self._clock = clock
        self._observer = observer
        self._id_prefix = id_prefix
        self._region = region
        self._trusted = trusted
        self._count = 0

    async def handle(self, request: Request) -> Response:
        """Answer one call. Raises ClientGone when there is nobody left to answer."""
        started_s = self._clock.monotonic_s()
        self._count += 1
        request_id = f"{self._id_prefix}-kms-{self._count:08x}"
        action = request.head.fields[b"x-amz-target"][len(_TARGET) :].decode("latin-1")
        keys = request_keys(request, self._clock, self._region, self._trusted)
        told = ToldCall(action if action in HANDLERS else "UnknownAction", ANONYMOUS, keys, dict)
        code = ""
        try:
            body = await request.body.read_all(BODY_MAX_BYTES)
            caller = await authenticate(self._callers, request, "kms", body, self._clock)
            if caller is None:
                raise JsonError("MissingAuthenticationTokenException", "Request is missing Authentication Token")
            params = _parse(body)
            told = told._replace(caller=caller, parameters=partial(_shown, params))
            handler = HANDLERS.get(action)
            if handler is None:
                raise JsonError("UnknownOperationException", f"{action} is not an operation of this store")
            result = await handler(Call(action, params, caller, self._keys, self._clock, keys))
            response = Response(200, [_TYPE], msgspec.json.encode(result))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - every error gets an answer; defects are reported
            known = translate(error)
            if known is None or known.status >= 500:
                self._observer.on_defect(request_id, error)
            known = known or JsonError("KMSInternalException", "The request was rejected because of an internal error.")
            code = known.code
            document = {"__type": known.code, "message": known.message, "Message": known.message}
            response = Response(known.status, [_TYPE], msgspec.json.encode(document))
        response.headers.append((b"x-amzn-RequestId", request_id.encode()))
        self._observer.on_call(told, request_id, response.status, code, started_s)
        return response


def _shown(params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that are texts and no secrets, for logs."""
    return {name: value for name, value in params.items() if name not in _SECRET and isinstance(value, str)}


def _parse(body: bytes) -> dict[str, object]:
    try:
        parsed = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise JsonError("SerializationException", "The body is not a JSON object")
    return parsed
