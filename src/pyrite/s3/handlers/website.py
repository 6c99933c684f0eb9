"""Owns websites: pages for browsers, from buckets that are configured as one, to whom everybody may read.

It answers what comes to a website domain and nothing else: without signatures, GET and HEAD only, errors as pages.
"""

from collections.abc import Callable
from http import HTTPStatus

from pyrite.aws import uri
from pyrite.aws.xml import escape
from pyrite.core.errors import PyriteError
from pyrite.http.errors import ClientGone
from pyrite.http.response import Response
from pyrite.objects.errors import NoSuchKey
from pyrite.s3 import websites
from pyrite.s3.cors import preflight
from pyrite.s3.errors import S3Error, translate
from pyrite.s3.handlers.reads import get_object, head_object
from pyrite.s3.operations import Operation
from pyrite.s3.payers import check_payer
from pyrite.s3.request import S3Request
from pyrite.s3.service import Service
from pyrite.s3.websites import Rule, Website

OPERATION = Operation("GetWebsite", "GET", "object", "", "s3:GetObject")
"""What a request for a page is in metrics and logs."""

_HTML = (b"Content-Type", b"text/html; charset=utf-8")
_MOVED = b"x-amz-website-redirect-location"
Explain = Callable[[Exception], S3Error]


async def serve(service: Service, request: S3Request, explain: Explain, host_id: str) -> tuple[Response, str]:
    """The page that is asked for, or one that tells why not; and the code of the error."""
    request.operation = OPERATION
    request.query = {}  # a page has no versions, parts or sub-resources
    try:
        request.bucket = await service.buckets.find(request.bucket_name)
        site = websites.of(request.bucket)
        if request.method == "OPTIONS":
            return await preflight(request, service.buckets), ""
        if site is None:
            raise S3Error("NoSuchWebsiteConfiguration")
        if request.method not in ("GET", "HEAD"):
            raise S3Error("MethodNotAllowed", None, (("Method", request.method), ("ResourceType", "OBJECT")))
        if "requestPayment" in request.bucket.record.configurations:
            check_payer(request, request.bucket)
        return await _page(service, request, site, explain, host_id)
    except ClientGone:
        raise
    except Exception as error:  # noqa: BLE001 - every error gets a page; `explain` reports defects
        failure = explain(error)
        return _error_page(request, failure, host_id), failure.code


async def _page(
    service: Service, request: S3Request, site: Website, explain: Explain, host_id: str
) -> tuple[Response, str]:
    asked = request.key
    if site.everything is not None:
        return _redirect(request, Rule("", "", site.everything), asked), ""
    rule = site.rule_for(asked)
    if rule is not None:
        return _redirect(request, rule, asked), ""
    suffix = site.suffix.encode()
    try:
        return await _object(service, request, asked + suffix if asked.endswith(b"/") or not asked else asked), ""
    except PyriteError as error:
        failure = explain(error)
    folder = asked + b"/" + suffix
    if failure.status in (403, 404) and asked and not asked.endswith(b"/") and await _is_page(service, request, folder):
        return _to_folder(asked), ""
    rule = site.rule_for(asked, failure.status)
    if rule is not None:
        return _redirect(request, rule, asked), failure.code
    return await _own_error_page(service, request, site, failure, host_id), failure.code


async def _object(service: Service, request: S3Request, key: bytes) -> Response:
    """An object as a page. Raises PyriteError."""
    request.key = key
    await service.access.require(request, OPERATION.action, request.bucket, key)
    response = await (get_object if request.method == "GET" else head_object)(service, request)
    moved = next((value for name, value in response.headers if name.lower() == _MOVED), None)
    if moved is None or response.status not in (200, 206):
        return response
    closer = getattr(response.body, "aclose", None)
    if closer is not None:
        await closer()
    return Response(301, [(b"Location", moved)], b"")


async def _is_page(service: Service, request: S3Request, key: bytes) -> bool:
    """Whether everybody may read an object that is there."""
    bucket = request.bucket
    assert bucket is not None
    try:
        await service.objects.find(bucket, key)
    except NoSuchKey:
        return False
    return await service.access.allows(request, OPERATION.action, bucket, key)


async def _own_error_page(
    service: Service, request: S3Request, site: Website, failure: S3Error, host_id: str
) -> Response:
    """The site's own page for errors of the client, if it has one that everybody may read."""
    if not site.error_key or not 400 <= failure.status < 500:
        return _error_page(request, failure, host_id)
    asked = request.key
    for name in (b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"):
        if name in request.headers:  # they speak of the page that was asked for
            request.headers = {key: value for key, value in request.headers.items() if key != name}
    try:
        response = await _object(service, request, site.error_key.encode())
    except PyriteError as error:
        request.key = asked
        return _error_page(request, failure, host_id, _of_error_page(site, translate(error)))
    if response.status == 200:
        response.status = failure.status
    return response


def _to_folder(key: bytes) -> Response:
    """To the same name with a slash. A slash at its beginning is encoded: `//name` would be another host."""
    rest = key.lstrip(b"/")
    path = b"/" + b"%2F" * (len(key) - len(rest)) + uri.encode(rest, "-._~/")
    return Response(302, [(b"Location", path + b"/")], b"")


def _redirect(request: S3Request, rule: Rule, key: bytes) -> Response:
    protocol = "https" if request.http.secure else "http"
    location = rule.location(key, protocol, request.header(b"host") or "localhost")
    return Response(rule.redirect.status, [(b"Location", location)], b"")


def _of_error_page(site: Website, failure: S3Error | None) -> str:
    """What is said where the site's own page for errors cannot be read, either."""
    failure = failure or S3Error("InternalError")
    details = [("Code", failure.code), ("Message", failure.message)]
    if failure.code == "NoSuchKey":
        details.append(("Key", site.error_key))
    heading = "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n"
    return f"{heading}<ul>\n{_listed(details)}</ul>\n"


def _listed(details: list[tuple[str, str]]) -> str:
    return "".join(f"<li>{escape(name)}: {escape(value)}</li>\n" for name, value in details)


def _error_page(request: S3Request, failure: S3Error, host_id: str, beside: str = "") -> Response:
    title = f"{failure.status} {HTTPStatus(failure.status).phrase}"
    details = [("Code", failure.code), ("Message", failure.message), *failure.details]
    if failure.code == "NoSuchKey":
        details.append(("Key", request.key_text))
    if failure.code in ("NoSuchBucket", "NoSuchWebsiteConfiguration"):
        details.append(("BucketName", request.bucket_name))
    details += [("RequestId", request.id), ("HostId", host_id)]
    page = (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{_listed(details)}</ul>\n"
        f"{beside}<hr/>\n</body>\n</html>\n"
    ).encode()
    response = Response(failure.status, [_HTML, *failure.headers], page)
    if request.method == "HEAD":
        response.body = None
    return response
