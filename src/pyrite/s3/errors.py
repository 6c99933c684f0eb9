"""Owns S3's errors as they go to clients, and what each error by meaning becomes."""

from collections.abc import Callable, Mapping

from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.xml import MalformedXml
from pyrite.blobs.buffers import BuffersLent
from pyrite.core.errors import Corrupt, OutOfSpace, PyriteError, Unavailable
from pyrite.core.keyring import NotUnwrapped, UnknownMasterKey
from pyrite.http.errors import BodyTooLarge, BodyTooSlow, MalformedBody
from pyrite.http.response import Headers, http_date
from pyrite.iam import errors as iam
from pyrite.iam.patterns import TooLongForPolicy
from pyrite.kms import errors as kms
from pyrite.objects import errors as meaning
from pyrite.s3.codes import CODES

Details = tuple[tuple[str, str], ...]

# Errors that clients know by other codes; which ones is for compatibility to say.
_SHOWN: dict[str, str] = {
    "InvalidChecksumValue": "InvalidRequest",
    "NoRetention": "InvalidArgument",
    "TooManyTags": "BadRequest",
    "WrongCustomerKey": "AccessDenied",
}


class S3Error(PyriteError):
    """An error as it goes to the client; `details` are further elements of the document, in order, and `headers` fields
    of the response. A code of a function's own comes with a `status`.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        details: Details = (),
        headers: Headers | None = None,
        status: int | None = None,
    ) -> None:
        self.code = code
        self.headers = headers or []
        self.status, default = (status, "") if status is not None else CODES[code]
        self.message = default if message is None else message
        self.details = details
        super().__init__(f"{code}: {self.message}")

    def shown(self, codes: Mapping[str, str]) -> "S3Error":
        """The error as clients know it; `codes` stand for others."""
        code = codes.get(self.code) or _SHOWN.get(self.code)
        return S3Error(code, self.message, self.details, self.headers) if code is not None else self


def bad_argument(message: str | None, name: str, value: str | None = None) -> S3Error:
    """InvalidArgument, which names the argument and, where AWS does, tells its value."""
    told = (("ArgumentName", name),) if value is None else (("ArgumentName", name), ("ArgumentValue", value))
    return S3Error("InvalidArgument", message, told)


_FAULTS: dict[Fault, str] = {
    Fault.MALFORMED_AUTHORIZATION: "AuthorizationHeaderMalformed",
    Fault.INVALID_AUTHORIZATION: "InvalidArgument",
    Fault.MALFORMED_PRESIGN: "AuthorizationQueryParametersError",
    Fault.UNSUPPORTED: "InvalidRequest",
    Fault.MISSING_DATE: "AccessDenied",
    Fault.SKEWED: "RequestTimeTooSkewed",
    Fault.EXPIRED: "AccessDenied",
    Fault.NOT_YET_VALID: "AccessDenied",
    Fault.UNSIGNED_HEADERS: "AccessDenied",
    Fault.UNKNOWN_KEY: "InvalidAccessKeyId",
    Fault.MISMATCH: "SignatureDoesNotMatch",
    Fault.ONE_MECHANISM: "InvalidArgument",
    Fault.INVALID_TOKEN: "InvalidToken",
    Fault.BAD_CONTENT_SHA256: "InvalidArgument",
    Fault.CONTENT_SHA256_MISMATCH: "XAmzContentSHA256Mismatch",
    Fault.MISSING_DECODED_LENGTH: "MissingContentLength",
    Fault.INCOMPLETE_BODY: "IncompleteBody",
    Fault.INVALID_CHUNK_SIZE: "InvalidChunkSizeError",
    Fault.MALFORMED_TRAILER: "MalformedTrailerError",
}

_MEANINGS: dict[type[PyriteError], str] = {
    meaning.NoSuchBucket: "NoSuchBucket",
    meaning.InvalidBucketName: "InvalidBucketName",
    meaning.TooMuchConfigured: "TooManyConfigurations",
    meaning.NoSuchKey: "NoSuchKey",
    meaning.NoSuchVersion: "NoSuchVersion",
    meaning.KeyTooLong: "KeyTooLongError",
    meaning.NoSuchPart: "InvalidPartNumber",
    meaning.NoSuchAnnotation: "NoSuchAnnotation",
    meaning.TooManyAnnotations: "AnnotationLimitExceeded",
    meaning.WrongOffset: "InvalidWriteOffset",
    meaning.TooManyParts: "TooManyParts",
    meaning.EntityTooLarge: "EntityTooLarge",
    meaning.SizeMismatch: "InvalidRequest",
    iam.InvalidToken: "InvalidToken",
    iam.ExpiredToken: "ExpiredToken",
    TooLongForPolicy: "AccessDenied",
    kms.NoSuchKmsKey: "KMS.NotFoundException",
    kms.InvalidKmsInput: "KMS.NotFoundException",
    kms.KeyDisabled: "KMS.DisabledException",
    kms.KeyPending: "KMS.InvalidStateException",
    kms.InvalidCiphertext: "KMS.InvalidCiphertextException",
    UnknownMasterKey: "ServiceUnavailable",
    NotUnwrapped: "InternalError",
    MalformedXml: "MalformedXML",
    BodyTooLarge: "MaxMessageLengthExceeded",
    MalformedBody: "IncompleteBody",
    OutOfSpace: "StorageFull",
    BuffersLent: "SlowDown",
    BodyTooSlow: "RequestTimeout",
    Unavailable: "ServiceUnavailable",
    Corrupt: "InternalError",
}

_VERSIONS_LEFT = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."

_SPECIAL: dict[type[PyriteError], Callable[..., S3Error]] = {
    AuthFault: lambda e: S3Error(_FAULTS[e.fault], e.message, e.details),
    meaning.BucketExists: lambda e: S3Error("BucketAlreadyOwnedByYou" if e.own else "BucketAlreadyExists"),
    meaning.BucketNotEmpty: lambda e: S3Error("BucketNotEmpty", _VERSIONS_LEFT if e.versions else None),
    meaning.InvalidKey: lambda _: S3Error("InvalidURI", "The key is not valid UTF-8."),
    meaning.PreconditionFailed: lambda e: S3Error("PreconditionFailed", None, (("Condition", e.condition),)),
    meaning.InvalidVersionId: lambda _: S3Error("InvalidArgument", "Invalid version id specified"),
    meaning.Deleted: lambda e: S3Error("NoSuchKey", None, (), marker_headers(e)),
    meaning.IsDeleteMarker: lambda e: S3Error(
        "MethodNotAllowed",
        None,
        (("Method", "GET"), ("ResourceType", "DeleteMarker")),
        [
            *marker_headers(e),
            (b"Last-Modified", http_date(e.modified_ms // 1000)),
            (b"Allow", b"DELETE"),
        ],
    ),
    meaning.NoSuchUpload: lambda e: S3Error("NoSuchUpload", None, (("UploadId", str(e)),)),
    meaning.ConditionalConflict: lambda e: S3Error(
        "ConditionalRequestConflict", None, (("Condition", e.condition),) if e.condition else ()
    ),
    meaning.InvalidPartOrder: lambda e: S3Error("InvalidPartOrder", None, (("UploadId", e.upload_id),)),
    meaning.InvalidPart: lambda e: S3Error(
        "InvalidPart", None, (("UploadId", e.upload_id), ("PartNumber", str(e.number)), ("ETag", e.etag))
    ),
    kms.KmsAccessRefused: lambda e: S3Error("AccessDenied", str(e)),
    kms.NoKeyring: lambda e: S3Error("NotImplemented", str(e)),
    meaning.Locked: lambda _: S3Error("AccessDenied", "Access Denied because object protected by object lock."),
    meaning.QuotaExceeded: lambda e: S3Error("QuotaExceeded", None, (("MaxSizeAllowed", str(e.most)),)),
    meaning.VersionsKept: lambda _: S3Error("InvalidRequest", "Where versions are kept, no object is renamed"),
    meaning.PartTooSmall: lambda e: S3Error(
        "EntityTooSmall",
        None,
        (
            ("ProposedSize", str(e.size_bytes)),
            ("MinSizeAllowed", "5242880"),
            ("PartNumber", str(e.number)),
            ("ETag", e.etag),
        ),
    ),
    meaning.PartChecksumMismatch: lambda e: S3Error(
        "BadDigest", f"The {e.algorithm.lower()} you specified for part {e.number} did not match what we received."
    ),
    meaning.ObjectChecksumMismatch: lambda e: S3Error(
        "BadDigest", f"The {e.algorithm.lower()} you specified did not match the calculated checksum."
    ),
    meaning.OtherChecksumMode: lambda e: S3Error(
        "InvalidRequest",
        f"The upload was created using the {e.mode} checksum mode. The complete request must use the same checksum "
        "mode.",
    ),
    meaning.ChecksumMismatch: lambda e: S3Error(
        "BadDigest", f"The {e.algorithm} you specified did not match the calculated checksum."
    ),
    meaning.MissingChecksum: lambda e: S3Error(
        "InvalidRequest",
        f"The upload was created using a {e.algorithm.lower()} checksum. The complete request must include the "
        f"checksum for each part. It was missing for part {e.number} in the request.",
    ),
}


def marker_headers(error: meaning.Deleted | meaning.IsDeleteMarker) -> Headers:
    """The headers that tell of a delete marker where an object was looked for."""
    return [(b"x-amz-delete-marker", b"true"), (b"x-amz-version-id", error.version_id.encode())]


_ON_MARKERS = frozenset(("GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging", "PutObjectAcl"))


def of_marker(error: meaning.Deleted, operation: str) -> PyriteError:
    """The error for a key whose current version is a delete marker: some operations are about that version itself."""
    if operation not in _ON_MARKERS:
        return error
    headers = [*marker_headers(error), (b"Allow", b"DELETE")]
    return S3Error("MethodNotAllowed", None, (("Method", "GET"), ("ResourceType", "DeleteMarker")), headers)


def of_method(error: S3Error, method: str) -> S3Error:
    """The error with the method of the request where it tells of one."""
    if error.code != "MethodNotAllowed":
        return error
    details = tuple((name, method if name == "Method" else value) for name, value in error.details)
    return S3Error(error.code, error.message, details, error.headers)


def translate(error: PyriteError) -> S3Error | None:
    """The S3 error that `error` becomes; None when it has no business reaching a client."""
    if isinstance(error, S3Error):
        return error
    for kind in type(error).__mro__:
        if kind in _SPECIAL:
            return _SPECIAL[kind](error)
        if kind in _MEANINGS:
            return S3Error(_MEANINGS[kind])
    return None
