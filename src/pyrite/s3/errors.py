"""Owns S3's error codes: the one table of codes, statuses and messages, and what each error by meaning becomes.

Source: AWS, "Error responses" in the Amazon S3 API Reference.
"""

from collections.abc import Callable, Mapping

from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.xml import MalformedXml
from pyrite.core.errors import Corrupt, OutOfSpace, PyriteError, Unavailable
from pyrite.core.keyring import NotUnwrapped, UnknownMasterKey
from pyrite.http.errors import BodyTooLarge, MalformedBody
from pyrite.http.response import Headers, http_date
from pyrite.iam import errors as iam
from pyrite.kms import errors as kms
from pyrite.objects import errors as meaning
from pyrite.s3.selectcodes import QUERY_CODES

Details = tuple[tuple[str, str], ...]

CODES: dict[str, tuple[int, str]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "AuthorizationHeaderMalformed": (400, "The authorization header you provided is invalid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters are invalid."),
    "BadDigest": (400, "The Content-MD5 or checksum value that you specified did not match what the server received."),
    "BadRequest": (400, "Bad Request"),
    "BucketAlreadyExists": (
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Select a different name and try again.",
    ),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "ConditionalRequestConflict": (
        409,
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "ExpiredToken": (400, "The provided token has expired."),
    "IllegalLocationConstraintException": (
        400,
        "The specified location-constraint is not valid for the region this request was sent to.",
    ),
    "IllegalVersioningConfigurationException": (
        400,
        "The versioning configuration specified in the request is invalid.",
    ),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header"),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketAclWithBlockPublicAccessError": (
        400,
        "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
    ),
    "InvalidBucketAclWithObjectOwnership": (
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidChunkSizeError": (403, "Only the last chunk is allowed to have a size less than 8192 bytes"),
    "InvalidBucketState": (409, "The request is not valid for the current state of the bucket."),
    "InvalidEncryptionAlgorithmError": (
        400,
        "The encryption request you specified is not valid. The valid value is AES256.",
    ),
    "InvalidChecksumValue": (400, "Value for a checksum header is invalid."),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidObjectState": (403, "The operation is not valid for the object's storage class"),
    "InvalidPart": (
        400,
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag.",
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidPolicyDocument": (
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": (
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRetentionPeriod": (400, "The retention period must be a positive integer value."),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidTargetBucketForLogging": (
        400,
        "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants "
        "for the log-delivery group.",
    ),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KMS.DisabledException": (400, "The request was rejected because the specified KMS key is not enabled."),
    "KMS.InvalidCiphertextException": (400, "The ciphertext of the object's key is not valid."),
    "KMS.InvalidStateException": (400, "The state of the KMS key is not valid for this request."),
    "KMS.NotFoundException": (400, "The KMS key does not exist."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedACLError": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MalformedPolicy": (400, "Policies must be valid JSON and the first byte must be '{'"),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MalformedPOSTRequest": (400, "The body of your POST request is not well-formed multipart/form-data."),
    "MaxPostPreDataLengthExceeded": (
        400,
        "Your POST request fields preceding the upload file were too large.",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "MissingSecurityHeader": (400, "Your request was missing a required header."),
    "NoRetention": (400, "The retention period must be a positive integer value."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": (404, "The specified object does not have a ObjectLock configuration"),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
        "or completed.",
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist for this bucket"),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PolicyTooLarge": (400, "The policy exceeds the maximum allowed document size."),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RestoreAlreadyInProgress": (409, "Object restore is already in progress"),
    "QuotaExceeded": (403, "The bucket would hold more bytes than its quota allows."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and "
        "signing method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "StorageFull": (507, "The store has no space left for this write."),
    "TooManyConfigurations": (
        400,
        "You are attempting to create a new configuration but have already reached the limit.",
    ),
    "TooManyTags": (400, "There are more tags than there may be."),
    "UnexpectedContent": (400, "This request does not support content"),
    "UnresolvableGrantByEmailAddress": (400, "The e-mail address you provided does not match any account on record"),
    "WrongCustomerKey": (403, "The customer key that was given is not the one of the object"),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}
CODES |= QUERY_CODES


# Errors that clients know by other codes; which ones is for compatibility to say.
_SHOWN: dict[str, str] = {
    "InvalidChecksumValue": "InvalidRequest",
    "NoRetention": "InvalidArgument",
    "TooManyTags": "BadRequest",
    "WrongCustomerKey": "AccessDenied",
}


class S3Error(PyriteError):
    """An error as it goes to the client; `details` are further elements of the document, in order, and `headers` fields
    of the response.
    """

    def __init__(
        self, code: str, message: str | None = None, details: Details = (), headers: Headers | None = None
    ) -> None:
        self.code = code
        self.headers = headers or []
        self.status, default = CODES[code]
        self.message = message or default
        self.details = details
        super().__init__(f"{code}: {self.message}")

    def shown(self, codes: Mapping[str, str]) -> "S3Error":
        """The error as clients know it; `codes` stand for others."""
        code = codes.get(self.code) or _SHOWN.get(self.code)
        return S3Error(code, self.message, self.details, self.headers) if code is not None else self


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
    meaning.BucketNotEmpty: "BucketNotEmpty",
    meaning.InvalidBucketName: "InvalidBucketName",
    meaning.NoSuchKey: "NoSuchKey",
    meaning.NoSuchVersion: "NoSuchVersion",
    meaning.KeyTooLong: "KeyTooLongError",
    meaning.ConditionalConflict: "ConditionalRequestConflict",
    meaning.NoSuchUpload: "NoSuchUpload",
    meaning.InvalidPart: "InvalidPart",
    meaning.InvalidPartOrder: "InvalidPartOrder",
    meaning.NoSuchPart: "InvalidPartNumber",
    meaning.SizeMismatch: "InvalidRequest",
    iam.InvalidToken: "InvalidToken",
    iam.ExpiredToken: "ExpiredToken",
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
    Unavailable: "ServiceUnavailable",
    Corrupt: "InternalError",
}

_SPECIAL: dict[type[PyriteError], Callable[..., S3Error]] = {
    AuthFault: lambda e: S3Error(_FAULTS[e.fault], e.message, e.details),
    meaning.BucketExists: lambda e: S3Error("BucketAlreadyOwnedByYou" if e.own else "BucketAlreadyExists"),
    meaning.InvalidKey: lambda _: S3Error("InvalidURI", "The key is not valid UTF-8."),
    meaning.PreconditionFailed: lambda e: S3Error("PreconditionFailed", None, (("Condition", e.condition),)),
    meaning.InvalidVersionId: lambda _: S3Error("InvalidArgument", "Invalid version id specified"),
    meaning.Deleted: lambda e: S3Error("NoSuchKey", None, (), _marker_headers(e)),
    meaning.IsDeleteMarker: lambda e: S3Error(
        "MethodNotAllowed",
        None,
        (("Method", "GET"), ("ResourceType", "DeleteMarker")),
        [
            *_marker_headers(e),
            (b"Last-Modified", http_date(e.modified_ms // 1000)),
            (b"Allow", b"DELETE"),
        ],
    ),
    kms.KmsAccessRefused: lambda e: S3Error("AccessDenied", str(e)),
    kms.NoKeyring: lambda e: S3Error("NotImplemented", str(e)),
    meaning.Locked: lambda e: S3Error("AccessDenied", f"Access Denied because object protected by object lock: {e}"),
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
    meaning.ChecksumMismatch: lambda e: S3Error(
        "BadDigest", f"The {e.algorithm} you specified did not match the calculated checksum."
    ),
}


def _marker_headers(error: meaning.Deleted | meaning.IsDeleteMarker) -> Headers:
    return [(b"x-amz-delete-marker", b"true"), (b"x-amz-version-id", error.version_id.encode())]


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
