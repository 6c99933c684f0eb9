"""Owns helpers that XML documents share: responses, parameters, URL encoding of names."""

import base64
import re
from urllib.parse import quote_from_bytes

from pyrite.aws import uri, xml
from pyrite.aws.xml import DECLARATION, NAMESPACE
from pyrite.core.counts import parse_count
from pyrite.http.response import Headers, Response
from pyrite.s3.errors import bad_argument
from pyrite.s3.request import S3Request

_PLAIN = re.compile(rb"[A-Za-z0-9/\-._~]*\Z")  # means itself in every encoding

CONTROL_NAMESPACE = "http://awss3control.amazonaws.com/doc/2018-08-20/"
XML_TYPE = (b"Content-Type", b"application/xml")


def document(
    root: str, content: str, status: int = 200, headers: Headers | None = None, namespace: str = NAMESPACE
) -> Response:
    """A response with `content` inside the element `root` of the namespace of S3, or another."""
    body = f'{DECLARATION}<{root} xmlns="{namespace}">{content}</{root}>'.encode()
    return Response(status, [XML_TYPE, *(headers or [])], body)


def empty(status: int = 204, headers: Headers | None = None) -> Response:
    """A response without a body."""
    return Response(status, headers or [], b"")


def number_parameter(request: S3Request, name: bytes, default: int, most: int) -> int:
    """A query parameter that is a count; larger ones are clamped to `most`. Raises S3Error."""
    text = request.parameter(name)
    if text is None or text == "":
        return default
    label = name.decode()
    value = parse_count(text.removeprefix("-"), 10)
    if value is None:
        raise bad_argument(f"Provided {label} not an integer or within integer range", label, text)
    if text.startswith("-") or value > 2**31 - 1:
        raise bad_argument(f"Argument {label} must be an integer between 0 and 2147483647", label, text)
    return min(value, most)


def encode_token(last: bytes) -> str:
    """Where to go on: opaque to clients, so that they do not build their own."""
    return base64.urlsafe_b64encode(b"1" + last).decode("ascii")


def decode_token(token: bytes) -> bytes:
    """Where a page begins. Raises S3Error."""
    try:
        decoded = base64.urlsafe_b64decode(token)
    except ValueError:
        decoded = b""
    if not decoded.startswith(b"1"):
        raise bad_argument("The continuation token provided is incorrect", "continuation-token")
    return decoded[1:]


class Names:
    """How names are written in a document: plain, or URL-encoded when the client asks for it."""

    def __init__(self, request: S3Request) -> None:
        kind = request.parameter(b"encoding-type")
        if kind not in (None, "url"):
            raise bad_argument("Invalid Encoding Method specified in Request", "encoding-type", kind)
        self.url = kind == "url"

    def write(self, name: bytes) -> str:
        """`name` as it stands between tags."""
        if _PLAIN.match(name):
            return name.decode("ascii")
        if self.url:
            return quote_from_bytes(name, "/-._~*")
        return xml.escape(name.decode("utf-8", "replace"))

    def write_all(self, names: list[bytes]) -> list[str]:
        """As `write`, for many: one look tells whether all of them are plain."""
        if _PLAIN.match(b"".join(names)):
            return [name.decode("ascii") for name in names]
        return [self.write(name) for name in names]

    def element(self, tag: str, name: bytes) -> str:
        """`<tag>name</tag>`."""
        return f"<{tag}>{self.write(name)}</{tag}>"

    @property
    def encoding(self) -> str:
        """The element that tells the encoding, where there is one."""
        return "<EncodingType>url</EncodingType>" if self.url else ""


def etag_element(etag: str) -> str:
    """An ETag with its quotes, escaped."""
    return f"<ETag>&quot;{etag}&quot;</ETag>"


def location_of(request: S3Request) -> str:
    """The URL of the object of a request, as CompleteMultipartUpload tells it."""
    scheme = "https" if request.http.secure else "http"
    host = request.header(b"host") or "localhost"
    key = uri.encode(request.key, "-._~/").decode()
    if request.resource_path != request.target.path:  # virtual-host style: the bucket stands in the host
        return f"{scheme}://{host}/{key}"
    return f"{scheme}://{host}/{request.bucket_name}/{key}"
