"""Owns the body of a browser's form: its fields, then its file as a stream. The parser is python-multipart's.

Source: AWS, "POST Object" in the Amazon S3 API Reference; RFC 7578.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from pyrite.http.body import RequestBody
from pyrite.s3.errors import S3Error
from pyrite.s3.payload import take_view
from pyrite.s3.request import text_of

FIELDS_MAX_BYTES = 20 * 1024
FIELDS_MAX = 200


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary of a form, or None where a request carries no form."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    return boundary if kind == b"multipart/form-data" and boundary else None


class Form:
    """A form that is being received. `fields` are those before the file, by their names in lower case.

    Where the headers of the request are signed, `sha256` is what its body has to come to.
    """

    def __init__(self, body: RequestBody, boundary: bytes, sha256: str = "") -> None:
        self._expected = sha256
        self._digest = hashlib.sha256()
        self.length: int | None = None
        self.fields: dict[str, bytes] = {}
        self.has_file = False
        self.file_name = ""
        self._body = body
        self._parser = _parser_of(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_end": self._on_end,
            },
        )
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._value = b""
        self._views: deque[memoryview] = deque()
        self._in_file = self._file_ended = self._ended = False

    # ---- what the parser tells

    def _on_part_begin(self) -> None:
        self._headers, self._header, self._value = {}, [b"", b""], b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = text_of(options.get(b"name", b"")).lower()
        if self._name == "file" and not self.has_file:
            self.has_file = self._in_file = True
            self.file_name = text_of(options.get(b"filename", b""))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._views.append(memoryview(data)[start:end])
        elif not self.has_file:
            self._value += data[start:end]
            if sum(map(len, self.fields.values())) + len(self._value) > FIELDS_MAX_BYTES:
                raise S3Error("MaxPostPreDataLengthExceeded")

    def _on_part_end(self) -> None:
        if self._in_file:
            self._in_file, self._file_ended = False, True
        elif not self.has_file and self._name:
            if len(self.fields) == FIELDS_MAX:
                raise S3Error("MaxPostPreDataLengthExceeded")
            self.fields.setdefault(self._name, self._value)

    def _on_end(self) -> None:
        self._ended = True

    # ---- reading

    async def _more(self) -> bool:
        """Take in some of the body; False at its end. Raises S3Error."""
        data = await self._body.read()
        if not data:
            if not self._ended:
                raise S3Error("MalformedPOSTRequest")
            return False
        if self._expected:
            self._digest.update(data)
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise S3Error("MalformedPOSTRequest") from None
        return True

    async def read_fields(self) -> None:
        """Read up to where the file begins. Raises S3Error when there is no file."""
        while not self.has_file:
            if not await self._more():
                raise S3Error(
                    "InvalidArgument",
                    "POST requires exactly one file upload per request.",
                    (("ArgumentName", "file"), ("ArgumentValue", "0")),
                )

    def take_all(self) -> None:
        """The bytes of the file are not here yet."""
        return

    async def read_into(self, target: memoryview) -> int:
        """Fill `target` with bytes of the file, less only at its end."""
        filled = 0
        while filled < len(target):
            if not self._views:
                if self._file_ended:
                    await self._check_whole()
                    break
                await self._more()
                continue
            filled += take_view(self._views, target[filled:])
        return filled

    async def _check_whole(self) -> None:
        """Where the body is signed, take in what lies behind the file. Raises S3Error unless it is what was signed."""
        if not self._expected:
            return
        while await self._more():
            pass
        expected, self._expected, found = self._expected, "", self._digest.hexdigest()
        if found != expected:
            told = (("ClientComputedContentSHA256", expected), ("S3ComputedContentSHA256", found))
            raise S3Error("XAmzContentSHA256Mismatch", None, told)

    def headers(self) -> Iterator[tuple[bytes, bytes]]:
        """The fields that say of the object what headers of a PUT would."""
        for name, value in self.fields.items():
            if name == "acl":
                yield b"x-amz-acl", value
            elif name in _AS_HEADERS or name.startswith("x-amz-"):
                yield name.encode("utf-8"), value


def _parser_of(boundary: bytes, callbacks: dict[str, Callable[..., None]]) -> MultipartParser:
    """A parser for forms with this boundary. Raises S3Error where it is too long."""
    try:
        return MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
    except FormParserError:
        raise S3Error("MalformedPOSTRequest") from None


_AS_HEADERS = frozenset(
    "cache-control content-type content-disposition content-encoding content-language expires".split()
)
