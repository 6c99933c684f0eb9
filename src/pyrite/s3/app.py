"""Owns the way of a request through the S3 layer: route, authenticate, authorize, handle, answer, account for it."""

from functools import partial

from pyrite.aws.xml import DECLARATION, element
from pyrite.core.clock import Clock
from pyrite.core.errors import PyriteError
from pyrite.http.errors import ClientGone, HttpError
from pyrite.http.hosting import Request
from pyrite.http.response import Headers, Response
from pyrite.objects.errors import Deleted
from pyrite.s3.authentication import Authenticator
from pyrite.s3.cors import headers_for, preflight
from pyrite.s3.errors import S3Error, of_marker, of_method, translate
from pyrite.s3.handlers import website
from pyrite.s3.payers import is_charged
from pyrite.s3.request import Place, S3Request, is_below
from pyrite.s3.routing import METHODS, route
from pyrite.s3.service import Service
from pyrite.s3.told import ToldBody

CLIENT_GONE = 499
"""What logs tell as the status of a request whose client left before it was answered; nobody is sent it."""


class Observer:
    """Hears of every request when its response is ready, or its streamed body has ended; the default forgets."""

    def on_request(
        self, request: S3Request | None, http: Request, response: Response, error: str, started_s: float, sent: int
    ) -> None:
        """`started_s` is the monotonic time at which the request's head was complete, `sent` the bytes of the body."""

    def on_defect(self, request_id: str, error: BaseException) -> None:
        """A handler raised what it should not have."""


class S3App:
    """The handler of the HTTP server."""

    def __init__(
        self,
        service: Service,
        authenticator: Authenticator,
        clock: Clock,
        observer: Observer,
        id_prefix: str,
        domains: tuple[bytes, ...] = (),
        website_domains: tuple[bytes, ...] = (),
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._clock = clock
        self._observer = observer
        self._id_prefix = id_prefix
        self._host_id = (b"x-amz-id-2", (id_prefix * 4).encode())
        self._count = 0
        self._domains = domains
        self._website_domains = website_domains

    @property
    def host_id(self) -> str:
        """What x-amz-id-2 says."""
        return self._host_id[1].decode()

    def next_id(self) -> str:
        """A request id that no other request of the store has."""
        self._count += 1
        return f"{self._id_prefix}{self._count:08X}"

    def id_headers(self) -> Headers:
        """The fields that every response carries."""
        return [(b"x-amz-request-id", self.next_id().encode()), self._host_id]

    async def handle(self, http: Request) -> Response:
        """Answer one request. Raises ClientGone when there is nobody left to answer."""
        started_s = self._clock.monotonic_s()
        request_id = self.next_id()
        request: S3Request | None = None
        code = ""
        try:
            if self._website_domains and is_below(http.head.fields.get(b"host", b""), self._website_domains):
                request = S3Request(http, request_id, self._website_domains)
                explain = partial(self._explain, request_id)
                response, code = await website.serve(self._service, request, explain, self.host_id)
            else:
                request = S3Request(http, request_id, self._domains)
                response = await self._answer(request)
        except ClientGone:
            self._observer.on_request(request, http, Response(CLIENT_GONE, []), "ClientGone", started_s, 0)
            raise
        except Exception as error:  # noqa: BLE001 - every error gets an answer; defects are reported
            failure = await self._failure(request, request_id, error)
            code = failure.code
            response = self.error_response(failure, request_id, request.place if request is not None else None)
        if request is not None and request.bucket is not None and b"origin" in request.headers:
            response.headers += headers_for(request, request.bucket)
        if request is not None and response.status < 300 and is_charged(request):
            response.headers.append((b"x-amz-request-charged", b"requester"))
        response.headers += ((b"x-amz-request-id", request_id.encode()), self._host_id)
        self._tell(request, http, response, code, started_s)
        return response

    def _tell(self, request: S3Request | None, http: Request, response: Response, code: str, started_s: float) -> None:
        """Have the observer hear of the request, where its body is streamed once that has ended."""
        body, on_request = response.body, self._observer.on_request
        if body is None or isinstance(body, (bytes, memoryview)):
            on_request(request, http, response, code, started_s, len(body or b""))
            return

        def on_end(sent: int, is_whole: bool) -> None:
            on_request(request, http, response, code or ("" if is_whole else "ClientGone"), started_s, sent)

        response.body = ToldBody(body, on_end)

    async def _failure(self, request: S3Request | None, request_id: str, error: Exception) -> S3Error:
        """The error as the client gets it; also where finding that out fails."""
        try:
            if request is not None and request.operation is not None and isinstance(error, Deleted):
                error = of_marker(error, request.operation.name)
            failure = await self._hide(request, self._explain(request_id, error))
        except ClientGone:
            raise
        except Exception as worse:  # noqa: BLE001 - every error gets an answer
            failure = self._explain(request_id, worse)
        failure = failure.shown(self._service.compat.codes)
        return of_method(failure, request.method) if request is not None else failure

    async def _answer(self, request: S3Request) -> Response:
        if request.method == "OPTIONS" and request.bucket_name:  # before any signature: browsers send none with it
            return await preflight(request, self._service.buckets)
        await self._authenticator.authenticate(request)
        operation, handler = route(request)
        request.operation = operation
        await self._service.access.authorize(request)
        return await handler(self._service, request)

    async def _hide(self, request: S3Request | None, failure: S3Error) -> S3Error:
        """Who may not list a bucket does not learn which of its keys exist: 403 instead of 404, as AWS answers."""
        if failure.code not in _TELLS_KEYS or request is None or request.bucket is None:
            return failure
        if await self._service.access.may_know(request, request.bucket, request.key):
            if self._service.compat.always_tells_marker and not failure.headers:
                failure.headers = [(b"x-amz-delete-marker", b"false")]
            return failure
        return S3Error("AccessDenied")

    def _explain(self, request_id: str, error: Exception) -> S3Error:
        known = translate(error) if isinstance(error, PyriteError) else None
        if known is None:
            self._observer.on_defect(request_id, error)
            return S3Error("InternalError")
        if known.status >= 500 and known.code != "NotImplemented":
            self._observer.on_defect(request_id, error)
        return known

    def failed(self, error: PyriteError, place: Place) -> Response:
        """The answer to a request that was given to no handler and failed."""
        request_id = self.next_id()
        failure = self._explain(request_id, error).shown(self._service.compat.codes)
        response = self.error_response(failure, request_id, place)
        response.headers += ((b"x-amz-request-id", request_id.encode()), self._host_id)
        return response

    def error_response(self, error: S3Error, request_id: str, place: Place | None) -> Response:
        """The document of an error; none for HEAD, where the status has to do."""
        response = Response(error.status, [(b"Content-Type", b"application/xml"), *error.headers])
        if error.status == 405 and not error.headers:
            response.headers.append((b"Allow", ", ".join(METHODS).encode()))
        if place is not None and place.method == "HEAD":
            if not place.key:
                response.headers.append((b"x-amz-bucket-region", self._service.region.encode()))
            response.body, response.length = None, 0
            return response
        if error.code == "InvalidRange":
            size = dict(error.details).get("ActualObjectSize", "*")
            response.headers.append((b"Content-Range", f"bytes */{size}".encode()))
        content = element("Code", error.code) + element("Message", error.message)
        content += "".join(element(name, value) for name, value in error.details)
        if place is not None:
            content += self._where(error, place)
        ids = element("RequestId", request_id) + element("HostId", self._host_id[1].decode())
        if place is not None and place.is_control:
            text = f"<ErrorResponse><Error>{content}</Error>{ids}</ErrorResponse>"
        else:
            text = f"<Error>{content}{ids}</Error>"
        response.body = (DECLARATION + text).encode()
        response.length = len(response.body)
        return response

    def _where(self, error: S3Error, place: Place) -> str:
        named = {name for name, _ in error.details}
        content = ""
        if error.code in (
            "NoSuchBucket",
            "BucketNotEmpty",
            "BucketAlreadyOwnedByYou",
            "BucketAlreadyExists",
            "InvalidBucketName",
        ):
            content += element("BucketName", place.bucket)
        conflict = error.code == "ConditionalRequestConflict" and "Condition" in named
        if (error.code in ("NoSuchKey", "NoSuchVersion") and "Key" not in named) or conflict:
            content += element("Key", place.key)
        if error.code == "NoSuchVersion" and "VersionId" not in named:
            content += element("VersionId", place.version)
        return content

    def on_http_error(self, error: HttpError) -> Response:
        """The answer to what is not a request."""
        request_id = self.next_id()
        code = _HTTP_CODES.get(error.status, "BadRequest")
        content = element("Code", code) + element("Message", error.reason) + element("RequestId", request_id)
        body = f"{DECLARATION}<Error>{content}</Error>".encode()
        headers = [
            (b"Content-Type", b"application/xml"),
            (b"x-amz-request-id", request_id.encode()),
            self._host_id,
        ]
        return Response(error.status, headers, body, close=True)


_TELLS_KEYS = frozenset(("NoSuchKey", "NoSuchVersion"))
_HTTP_CODES = {
    408: "RequestTimeout",
    414: "InvalidURI",
    431: "RequestHeaderSectionTooLarge",
    500: "InternalError",
    501: "NotImplemented",
    503: "SlowDown",
    505: "HttpVersionNotSupported",
}
