"""Owns reads through a function: GET of an object with `lambdaArn`, which names one that the operator declares.

The caller needs the right to read the object, and lambda:InvokeFunction for the function. A webhook reads the object
with a URL that is signed with the caller's own key.
Source: AWS, "Transforming objects with S3 Object Lambda"; how a function is named by the query is MinIO's way.
"""

import math
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from pyrite.aws import uri
from pyrite.aws.sigv4 import Credential
from pyrite.functions.calls import Answer, Call, FunctionFailure, Head
from pyrite.functions.declared import Function
from pyrite.http.response import Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import ObjectRecord
from pyrite.objects.versionids import id_of
from pyrite.s3.codes import CODES
from pyrite.s3.customerkeys import CUSTOMER
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers import reads
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.headers import DEFAULT_CONTENT_TYPE
from pyrite.s3.held import HeldBody
from pyrite.s3.presigning import Read, presigned_read
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service
from pyrite.s3.versions import named_version

LAMBDA = b"lambdaArn"
_SECRET_HEADERS = frozenset((b"authorization", b"proxy-authorization", b"cookie", b"x-amz-security-token"))
_SIGNATURES = ("x-amz-", "signature", "awsaccesskeyid", "expires")
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_SPARE_S = 60


async def get_object(service: Service, request: S3Request) -> Response:
    if LAMBDA not in request.query:
        return await reads.get_object(service, request)
    bucket = await find(service, request)
    function = await _function(service, request)
    hold = service.reading.hold()
    try:
        answer = await _answer(service, request, bucket, function)
    except BaseException:
        hold.release()
        raise
    body = HeldBody(answer.body, hold)
    if answer.head.status == 304:
        await body.aclose()
    return _response(answer.head, body)


async def _answer(service: Service, request: S3Request, bucket: Bucket, function: Function) -> Answer:
    """What the function makes of the object. Raises S3Error."""
    record = await find_judged(service, request, bucket)
    reads.check_restored(record, service.clock.now_ms())
    key = await service.encryptor.open(request, record.encryption)
    secret, token = await service.authenticator.secret_of(request)

    def read(start: int, stop: int) -> AsyncIterator[list[memoryview]]:
        return service.reading.stream(record, start, stop, key)

    def input_url() -> str:
        now = datetime.fromtimestamp(service.clock.now_ms() / 1000, UTC)
        credential = Credential(request.caller.access_key, now.strftime("%Y%m%d"), service.region, "s3")
        path = uri.encode(f"/{bucket.record.name}/".encode() + request.key, "-._~/")
        seconds = math.ceil(function.timeout_s) + _SPARE_S
        version = text_of(named_version(request) or b"")
        read = Read(service.functions.endpoint, path, version, now.strftime("%Y%m%dT%H%M%SZ"), seconds)
        return presigned_read(read, credential, secret, token)

    call = _call(request, record, id_of(record) if bucket.record.versioning else "")
    try:
        return await service.functions.call(function, call, read, input_url)
    except FunctionFailure as failure:
        raise _explained(failure) from None


async def head_object(service: Service, request: S3Request) -> Response:
    if LAMBDA in request.query:
        raise S3Error("NotImplemented", "Functions transform what GET reads; HEAD tells of the object as it is stored")
    return await reads.head_object(service, request)


async def _function(service: Service, request: S3Request) -> Function:
    """The function that the request names, if its caller may use it. Raises S3Error."""
    name = _name(request.parameter(LAMBDA) or "")
    if request.caller.is_anonymous:
        raise S3Error("AccessDenied")
    arn = f"arn:aws:lambda:{service.region}:{request.caller.account}:function:{name}"
    await service.access.require_own(request, "lambda:InvokeFunction", arn)
    function = service.functions.find(name)
    if function is None:
        raise S3Error("LambdaNotFound", f"The function {name!r} is not declared (pyrite serve --functions FILE).")
    return function


def _name(arn: str) -> str:
    """The name in an ARN of a function: MinIO's for a webhook, or Lambda's. Raises S3Error."""
    fields = arn.split(":")
    if len(fields) == 6 and fields[0] == "arn" and fields[2] == "s3-object-lambda" and fields[5] == "webhook":
        return fields[4]
    if len(fields) in (7, 8) and fields[0] == "arn" and fields[2] == "lambda" and fields[5] == "function":
        return fields[6]
    raise S3Error(
        "InvalidArgument",
        "The ARN of a function is arn:aws:s3-object-lambda::NAME:webhook "
        "or arn:aws:lambda:REGION:ACCOUNT:function:NAME",
        (("ArgumentName", "lambdaArn"), ("ArgumentValue", arn)),
    )


def _call(request: S3Request, record: ObjectRecord, version: str) -> Call:
    """What the function is told: never a credential, a signature or a client's key."""
    headers = {
        text_of(name): text_of(value)
        for name, value in request.headers.items()
        if name not in _SECRET_HEADERS and not name.startswith(CUSTOMER)
    }
    query = {
        text_of(name): text_of(value)
        for name, value in request.target.query
        if not text_of(name).lower().startswith(_SIGNATURES) and name != LAMBDA
    }
    shown = "&".join(f"{uri.encode(n.encode()).decode()}={uri.encode(v.encode()).decode()}" for n, v in query.items())
    caller = request.caller
    return Call(
        request.id,
        request.bucket_name,
        request.key_text,
        version,
        record.size_bytes,
        record.etag,
        record.attributes.content_type,
        record.attributes.metadata,
        headers,
        query,
        text_of(request.target.path) + (f"?{shown}" if shown else ""),
        {
            "type": "Root" if caller.is_root else "IAMUser" if caller.kind == "User" else caller.kind,
            "principalId": caller.id,
            "arn": caller.arn,
            "accountId": caller.account,
            "accessKeyId": caller.access_key,
        },
    )


def _response(head: Head, body: HeldBody) -> Response:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers.items()]
    if "content-type" not in head.headers:
        headers.append((b"Content-Type", DEFAULT_CONTENT_TYPE.encode()))
    if head.status == 304:
        return Response(304, headers, None)
    return Response(head.status, headers, body, head.length)


def _explained(failure: FunctionFailure) -> S3Error:
    code = failure.code if _CODE.fullmatch(failure.code) else "LambdaRuntimeError"
    status = failure.status if 400 <= failure.status < 600 else 500
    return S3Error(code, failure.message[:1000] or CODES["LambdaRuntimeError"][1], status=status)
