"""Owns uploads by a browser's form: POST to a bucket, authorized by a signed policy."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pyrite.aws import xml
from pyrite.aws.payload import STREAMING
from pyrite.aws.xml import DECLARATION, element
from pyrite.http.response import Headers, Response
from pyrite.objects.buckets import Bucket
from pyrite.objects.conditions import WriteConditions
from pyrite.objects.keys import check_key
from pyrite.objects.objects import Given, Put
from pyrite.objects.records import ObjectRecord
from pyrite.s3 import postpolicy
from pyrite.s3.acl import ownership_of_new
from pyrite.s3.causes import cause_of
from pyrite.s3.documents import XML_TYPE, empty, location_of
from pyrite.s3.encryption import encryption_headers
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.form import Form, boundary_of
from pyrite.s3.handlers.buckets import find
from pyrite.s3.headers import attributes_of, checksum_headers
from pyrite.s3.integrity import Integrity
from pyrite.s3.objectlock import lock_of_new
from pyrite.s3.payload import PUT_MAX_BYTES, too_large
from pyrite.s3.postpolicy import PostPolicy
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service
from pyrite.s3.tags import OF_OBJECT, Tags, header_of, tags_of_document
from pyrite.s3.versions import made_headers

_FILE_NAME = b"${filename}"
_STATUSES = ("200", "201", "204")


async def post_object(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    boundary = boundary_of(request.headers.get(b"content-type", b""))
    if boundary is None:
        condition = "Bucket POST must be of the enclosure-type multipart/form-data"
        raise S3Error("PreconditionFailed", None, (("Condition", condition),))
    form = Form(request.body, boundary, request.payload.sha256)
    await form.read_fields()
    policy = await _authorize(service, request, bucket, form)
    integrity = Integrity(request.headers, "")

    def check(digests: Mapping[str, bytes], size: int) -> None:
        postpolicy.check_size(policy, size)
        if size > PUT_MAX_BYTES:
            raise too_large(size)
        integrity.check(digests, size)

    attributes = attributes_of(request.headers, are_words=False)
    owner, acl = await ownership_of_new(service, request, bucket)
    sealing = await service.encryptor.for_new(request, bucket)
    lock = lock_of_new(request, bucket, service.clock.now_ms())
    given = Given(
        attributes,
        owner,
        integrity.stored.name,
        WriteConditions(guard=request.judged.guard(bucket, request.key, None)),
        lock=lock,
        acl=acl,
        sealing=sealing,
        cause=cause_of(request, "s3:ObjectCreated:Post"),
    )
    record = await service.objects.put(bucket, request.key, form, Put(given, integrity.hashers(), check))
    return _answer(request, bucket, form, record)


async def _authorize(service: Service, request: S3Request, bucket: Bucket, form: Form) -> PostPolicy | None:
    """Who sends the form, whether its policy allows it, and whether its sender may. Raises S3Error or AuthFault.

    Key and headers of the request become those of the object.
    """
    fields = {name: text_of(value) for name, value in form.fields.items()}
    if "key" not in fields:
        raise _lacking("key")
    if request.payload.mode in STREAMING:
        raise S3Error("InvalidRequest", "A form is not sent in signed chunks.")
    name = form.file_name.rpartition("/")[2].rpartition("\\")[2]
    if name:  # in every field, before the policy is held against them
        form.fields = {field: value.replace(_FILE_NAME, name.encode()) for field, value in form.fields.items()}
        fields = {field: text_of(value) for field, value in form.fields.items()}
    if not fields["key"]:
        raise bad_argument("User key must have a length greater than 0.", "key")
    policy = None
    if "policy" in fields:
        await service.authenticator.authenticate_form(request, form.fields)
        policy = postpolicy.parse(form.fields["policy"])
        postpolicy.check(policy, {**fields, "bucket": request.bucket_name}, service.clock.now_ms())
    elif any(name in fields for name in ("x-amz-signature", "signature", "awsaccesskeyid")):
        raise _lacking("policy")
    request.key = fields["key"].encode("utf-8")
    check_key(request.key)
    request.headers = {**_own_headers(request.headers), **dict(form.headers())}
    if "tagging" in fields:
        tags = _tags_of(form.fields["tagging"])
        request.headers[b"x-amz-tagging"] = header_of(tags)  # as elsewhere, for permissions and conditions too
    await service.access.require(request, "s3:PutObject", bucket, request.key)
    await service.access.require_headers(request, "PutObject", request.key)
    return policy


def _lacking(field: str) -> S3Error:
    """The refusal of a form that lacks a field."""
    message = (
        f"Bucket POST must contain a field named '{field}'.  If it is specified, please check the order of the fields."
    )
    return bad_argument(message, field, "")


def _tags_of(document: bytes) -> Tags:
    """The tags in a form's field; of a document that is about something else none, as AWS reads it. Raises S3Error."""
    return tags_of_document(document, OF_OBJECT) if xml.parse(document).name == "Tagging" else {}


def _own_headers(headers: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What the headers of the request itself still mean: nothing about the object."""
    return {name: value for name, value in headers.items() if name in (b"host", b"referer", b"user-agent", b"origin")}


def _answer(request: S3Request, bucket: Bucket, form: Form, record: ObjectRecord) -> Response:
    etag = f'"{record.etag}"'
    headers: Headers = [
        (b"ETag", etag.encode()),
        (b"Location", location_of(request).encode()),
        *(checksum_headers(record.checksum) if record.checksum is not None else []),
        *made_headers(bucket, record),
        *encryption_headers(record.encryption),
    ]
    redirect = text_of(form.fields.get("success_action_redirect", form.fields.get("redirect", b"")))
    target = _redirection(redirect, request, etag)
    if target is not None:
        headers[1] = (b"Location", target)
        return empty(303, headers)
    status = text_of(form.fields.get("success_action_status", b"204"))
    if status != "201":
        return empty(int(status) if status in _STATUSES else 204, headers)
    content = (
        element("Location", location_of(request))
        + element("Bucket", request.bucket_name)
        + element("Key", request.key_text)
        + element("ETag", etag)
    )
    body = f"{DECLARATION}<PostResponse>{content}</PostResponse>".encode()
    return Response(201, [XML_TYPE, *headers], body)


def _redirection(target: str, request: S3Request, etag: str) -> bytes | None:
    """Where a browser is sent after the upload; None where the form names no URL that it could go to."""
    if not target or any(ord(character) < 0x21 for character in target):
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    told = urlencode({"bucket": request.bucket_name, "key": request.key_text, "etag": etag}, quote_via=quote)
    query = f"{parts.query}&{told}" if parts.query else told
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment)).encode("ascii", "ignore")
