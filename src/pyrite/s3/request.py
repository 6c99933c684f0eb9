"""Owns the S3 view of an HTTP request: bucket, key, query, headers, who sent it."""

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

from pyrite.aws.payload import ChunkSigner
from pyrite.aws.uri import Target, decode, split_target
from pyrite.http.hosting import Request
from pyrite.iam.caller import ANONYMOUS, Caller
from pyrite.objects.buckets import Bucket
from pyrite.s3.errors import S3Error
from pyrite.s3.judged import Judged
from pyrite.s3.operations import ANSWER, CONTROL, Operation

ACCOUNT_ID = b"x-amz-account-id"
_CONTROL_PATH = f"/{CONTROL}/".encode()
_ANSWER_PATH = f"/{ANSWER}".encode()
_BUCKET_ARN = b"arn:aws:s3:::"


class Signature(NamedTuple):
    """How a request was signed: the algorithm, where the signature stands, and how old a presigned one is."""

    version: str = ""
    auth_type: str = ""
    age_ms: int | None = None


class PayloadRule(NamedTuple):
    """How the body is protected: by its SHA-256 in hex, by chunk signatures (`signer`), or not at all."""

    mode: bytes
    sha256: str = ""
    signer: ChunkSigner | None = None


class Place(NamedTuple):
    """What a request is about, for error documents: its method, bucket and key as text, and whether S3 Control's."""

    method: str
    bucket: str
    key: str
    is_control: bool = False
    version: str = ""

    @property
    def resource(self) -> str:
        """Bucket and key as a path."""
        if not self.bucket:
            return "/"
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"


class S3Request:
    """One request on its way through the layer; `caller`, `signature` and `payload` are set by
    authentication, `operation` by routing, `bucket` (where there is one) and `needed_acl` (only an access control list
    let it through) by authorization, which notes in `judged` what it looked at, `document` by who reads it first,
    `named_keys` by an operation on several.
    `is_control`: it is a call of the S3 Control API about a bucket; `is_answer`: it is a function's answer.
    """

    __slots__ = (
        "_domains",
        "body",
        "bucket",
        "bucket_name",
        "caller",
        "document",
        "headers",
        "http",
        "id",
        "is_answer",
        "is_control",
        "judged",
        "key",
        "method",
        "named_keys",
        "needed_acl",
        "operation",
        "payload",
        "query",
        "resource_path",
        "signature",
        "target",
    )

    def __init__(self, http: Request, request_id: str, domains: tuple[bytes, ...]) -> None:
        head = http.head
        self.http = http
        self.id = request_id
        self.method = head.method.decode("ascii")
        self.headers: Mapping[bytes, bytes] = head.fields
        self.body = http.body
        self.query: dict[bytes, bytes] = {}
        self.operation: Operation | None = None
        self.caller: Caller = ANONYMOUS
        self.signature = Signature()
        self.bucket: Bucket | None = None
        self.needed_acl = False
        self.document: bytes | None = None
        self.named_keys: tuple[str, ...] = ()
        self.judged = Judged()
        self.payload = PayloadRule(b"UNSIGNED-PAYLOAD")
        self._domains = domains
        self.address(split_target(head.target))

    def address(self, target: Target) -> None:
        """Find bucket and key: virtual-host style below a configured domain, else path style. Raises S3Error."""
        self.target, domains = target, self._domains
        self.query = {}
        for name, value in target.query:
            self.query.setdefault(name, value)
        path = self.target.path
        if not path.startswith(b"/"):
            raise S3Error("InvalidURI")
        bucket = _bucket_of_host(self.headers.get(b"host", b""), domains) if domains else b""
        self.is_answer = path == _ANSWER_PATH and self.method == "POST"
        is_control = path.startswith(_CONTROL_PATH) and ACCOUNT_ID in self.headers
        self.is_control = is_control and bucket in (b"", self.headers[ACCOUNT_ID])  # which clients put before the host
        if self.is_control:
            self._address_resource(decode(path[len(_CONTROL_PATH) :]))
            return
        if self.is_answer:
            self.resource_path, self.bucket_name, self.key = path, "", b""
            return
        self.resource_path = b"/" + bucket + path if bucket else path
        if bucket:
            key = path[1:]
        else:
            bucket, _, key = path[1:].partition(b"/")
        try:
            self.bucket_name = decode(bucket).decode("utf-8")
        except UnicodeDecodeError:
            raise S3Error("InvalidBucketName") from None
        self.key = decode(key)

    def _address_resource(self, arn: bytes) -> None:
        """Find the bucket that an ARN names; none where it names something else."""
        name = arn.removeprefix(_BUCKET_ARN)
        is_bucket = name != arn and b"/" not in name
        self.resource_path, self.key = self.target.path, b""
        self.bucket_name = text_of(name) if is_bucket else ""

    def header(self, name: bytes) -> str | None:
        """A header as text, or None. Bytes that are not UTF-8 read as Latin-1."""
        value = self.headers.get(name)
        return None if value is None else text_of(value)

    def parameter(self, name: bytes) -> str | None:
        """A query parameter as text, or None."""
        value = self.query.get(name)
        return None if value is None else text_of(value)

    @property
    def key_text(self) -> str:
        """The key for documents and messages."""
        return self.key.decode("utf-8", "replace")

    @property
    def place(self) -> Place:
        """What the request is about."""
        version = text_of(self.query.get(b"versionId", b""))
        return Place(self.method, self.bucket_name, self.key_text, self.is_control, version)


def text_of(value: bytes) -> str:
    """Header or query bytes as text."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def is_below(host: bytes, domains: tuple[bytes, ...]) -> bool:
    """Whether a Host header names a bucket of one of the domains."""
    return bool(_bucket_of_host(host, domains))


def _bucket_of_host(host: bytes, domains: tuple[bytes, ...]) -> bytes:
    name = host.lower().rpartition(b":")[0] if b":" in host and not host.endswith(b"]") else host.lower()
    for domain in domains:
        if name.endswith(b"." + domain) and not _is_address(name):
            return name[: -len(domain) - 1]
    return b""


def _is_address(name: bytes) -> bool:
    try:
        ipaddress.ip_address(name.decode("latin-1").strip("[]"))
    except ValueError:
        return False
    return True
