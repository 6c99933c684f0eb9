"""Owns calls of functions that are webhooks. Source: AWS, "Event context format and usage" for S3 Object Lambda, and
the contract that MinIO's webhooks know.

The webhook is sent what it needs to read the object, and two words that its answer has to repeat: so nobody who is
not asked can answer. The answer's fields `x-amz-fwd-*` say what the client is told.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from pyrite.core.counts import parse_count
from pyrite.core.entropy import Entropy
from pyrite.functions.calls import Call, FunctionFailure, Head, check_headers, check_status
from pyrite.functions.declared import Function
from pyrite.functions.rendezvous import ROUTE, TOKEN, Handover, Told, meeting
from pyrite.http.outbound import Outbound, OutboundError

AT_ONCE_MAX = 64
_STATUS, _CODE, _MESSAGE = "x-amz-fwd-status", "x-amz-fwd-error-code", "x-amz-fwd-error-message"
_FORWARDED = "x-amz-fwd-header-"
_NO_ANSWER = f"The function ended without an answer: it called no WriteGetObjectResponse, nor repeated {ROUTE}."


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
    """Calls functions that are webhooks, some at once. `folder` is where answers by WriteGetObjectResponse arrive."""

    def __init__(self, outbound: Outbound, entropy: Entropy, folder: Path) -> None:
        self._outbound = outbound
        self._entropy = entropy
        self._folder = folder
        self._free = asyncio.Semaphore(AT_ONCE_MAX)

    async def call(self, function: Function, call: Call, input_url: str) -> AsyncGenerator[Told, None]:
        """The head of the answer, then the blocks of its body. Raises FunctionFailure, also in between.

        The answer is that of the webhook, where it repeats its words, or comes by WriteGetObjectResponse.
        """
        route, handover = new_route(self._entropy), Handover()
        async with self._free, meeting(self._folder, route.route, route.token, handover, head_of):
            asking = asyncio.create_task(self._ask(function, event(call, input_url, route), route, handover))
            try:
                async with contextlib.aclosing(handover.tell(function.timeout_s)) as telling:
                    async for told in telling:
                        yield told
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _ask(self, function: Function, body: bytes, route: Route, handover: Handover) -> None:
        """Call the webhook, and hand over what it answers, unless it answers otherwise."""
        headers = {"Content-Type": "application/json"}
        if function.token:
            headers["Authorization"] = f"Bearer {function.token}"
        mine = False
        try:
            async with self._outbound.stream(function.url, headers, body, function.timeout_s) as answered:
                mine = handover.claim()
                if not mine:  # it has called WriteGetObjectResponse
                    return
                await handover.put(_head(answered.status, answered.headers, route))
                async for block in answered.blocks:
                    await handover.put(block)
                await handover.put(None)
        except OutboundError as error:
            if mine or handover.claim():
                why = f"The function could not be called: {error}"
                await handover.put(FunctionFailure("LambdaInvocationFailed", why))
        except FunctionFailure as failure:
            await handover.put(failure)


def _head(status: int, headers: Mapping[str, str], route: Route) -> Head:
    """How the answer of a webhook begins. Raises FunctionFailure."""
    if not 200 <= status < 300:
        raise FunctionFailure("LambdaRuntimeError", f"The function answered {status}.")
    if ROUTE not in headers:
        raise FunctionFailure("LambdaResponseNotReceived", _NO_ANSWER)
    repeated = (headers.get(ROUTE, ""), headers.get(TOKEN, ""))
    if not all(hmac.compare_digest(*pair) for pair in zip(_encoded(repeated), _encoded(route), strict=True)):
        raise FunctionFailure("LambdaInvalidResponse", f"The function's answer does not repeat {ROUTE} and {TOKEN}.")
    return head_of(headers)


def head_of(headers: Mapping[str, str]) -> Head:
    """How an answer begins to the client, by the header fields that say so. Raises FunctionFailure."""
    text = headers.get(_STATUS, "200")
    status = parse_count(text, 3)
    if status is None:
        raise FunctionFailure("LambdaInvalidResponse", f"{_STATUS} is no status.")
    shown = check_status(status)
    if headers.get(_CODE) or headers.get(_MESSAGE) or shown >= 400:
        code, message = headers.get(_CODE) or "LambdaRuntimeError", headers.get(_MESSAGE, "The function says so.")
        raise FunctionFailure(code, message, shown if shown >= 400 else 400)
    forwarded = {name[len(_FORWARDED) :]: value for name, value in headers.items() if name.startswith(_FORWARDED)}
    forwarded |= {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
    if "content-type" in headers:
        forwarded.setdefault("content-type", headers["content-type"])
    return Head(
        shown,
        check_headers(forwarded),
        parse_count(headers.get("content-length"), 15),
    )


def _encoded(words: tuple[str, str]) -> list[bytes]:
    return [word.encode("utf-8", "replace") for word in words]
