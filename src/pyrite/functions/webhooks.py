"""Owns calls of functions that are webhooks. Source: AWS, "Event context format and usage" for S3 Object Lambda, and
the contract that MinIO's webhooks know.

The webhook is sent what it needs to read the object, and two words that its answer has to repeat: so nobody who is
not asked can answer. The answer's fields `x-amz-fwd-*` say what the client is told.
"""

import asyncio
import hmac
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple

import msgspec

from pyrite.core.entropy import Entropy
from pyrite.functions.calls import Call, FunctionFailure, Head, check_status
from pyrite.functions.declared import Function
from pyrite.http.outbound import Outbound, OutboundError

AT_ONCE_MAX = 64
_ROUTE, _TOKEN = "x-amz-request-route", "x-amz-request-token"
_STATUS, _CODE, _MESSAGE = "x-amz-fwd-status", "x-amz-fwd-error-code", "x-amz-fwd-error-message"
_FORWARDED = "x-amz-fwd-header-"

Told = Head | bytes


class Route(NamedTuple):
    """The words that an answer has to repeat."""

    route: str
    token: str


def new_route(entropy: Entropy) -> Route:
    """Words that nobody can guess."""
    return Route(entropy.bytes(8).hex(), entropy.bytes(32).hex())


def event(call: Call, input_url: str, route: Route) -> bytes:
    """What a webhook is sent."""
    return msgspec.json.encode(
        {
            "xAmzRequestId": call.request_id,
            "getObjectContext": {"inputS3Url": input_url, "outputRoute": route.route, "outputToken": route.token},
            "configuration": {"payload": ""},
            "userRequest": {"url": call.url, "headers": call.headers},
            "userIdentity": call.caller,
            "protocolVersion": "1.00",
        }
    )


class WebhookFunctions:
    """Calls functions that are webhooks, some at once."""

    def __init__(self, outbound: Outbound, entropy: Entropy) -> None:
        self._outbound = outbound
        self._entropy = entropy
        self._free = asyncio.Semaphore(AT_ONCE_MAX)

    async def call(self, function: Function, call: Call, input_url: str) -> AsyncGenerator[Told, None]:
        """The head of the answer, then the blocks of its body. Raises FunctionFailure, also in between."""
        route = new_route(self._entropy)
        headers = {"Content-Type": "application/json"}
        if function.token:
            headers["Authorization"] = f"Bearer {function.token}"
        body = event(call, input_url, route)
        async with self._free:
            try:
                async with self._outbound.stream(function.url, headers, body, function.timeout_s) as answered:
                    yield _head(answered.status, answered.headers, route)
                    async for block in answered.blocks:
                        yield block
            except OutboundError as error:
                raise FunctionFailure("LambdaInvocationFailed", f"The function could not be called: {error}") from None


def _head(status: int, headers: Mapping[str, str], route: Route) -> Head:
    """How the answer to the client begins. Raises FunctionFailure."""
    if not 200 <= status < 300:
        raise FunctionFailure("LambdaRuntimeError", f"The function answered {status}.")
    repeated = (headers.get(_ROUTE, ""), headers.get(_TOKEN, ""))
    if not all(hmac.compare_digest(*pair) for pair in zip(_encoded(repeated), _encoded(route), strict=True)):
        raise FunctionFailure("LambdaInvalidResponse", f"The function's answer does not repeat {_ROUTE} and {_TOKEN}.")
    text = headers.get(_STATUS, "200")
    if not text.isascii() or not text.isdigit() or len(text) > 3:
        raise FunctionFailure("LambdaInvalidResponse", f"{_STATUS} is no status.")
    shown = check_status(int(text))
    if headers.get(_CODE) or headers.get(_MESSAGE) or shown >= 400:
        code, message = headers.get(_CODE) or "LambdaRuntimeError", headers.get(_MESSAGE, "The function says so.")
        raise FunctionFailure(code, message, shown if shown >= 400 else 400)
    forwarded = {name[len(_FORWARDED) :]: value for name, value in headers.items() if name.startswith(_FORWARDED)}
    forwarded |= {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
    if "content-type" in headers:
        forwarded.setdefault("content-type", headers["content-type"])
    length = headers.get("content-length", "")
    return Head(shown, forwarded, int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None)


def _encoded(words: tuple[str, str]) -> list[bytes]:
    return [word.encode("utf-8", "replace") for word in words]
