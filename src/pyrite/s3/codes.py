"""Owns S3's error codes: the one table of codes, statuses and messages.

Source: AWS, "Error responses" in the Amazon S3 API Reference.
"""

from pyrite.s3.selectcodes import QUERY_CODES

CODES: dict[str, tuple[int, str]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "AnnotationLimitExceeded": (400, "An object version has at most 1000 annotations."),
    "AnnotationNameTooLong": (400, "The name of an annotation has at most 512 bytes."),
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
    "CrossLocationLoggingProhibitted": (403, "Cross S3 location logging not allowed. "),
    "EncryptionTypeMismatch": (
        400,
        "The existing object was created with a different encryption type. Subsequent write requests must include "
        "the appropriate encryption parameters in the request.",
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
    "InvalidAnnotationName": (
        400,
        "The name of an annotation has letters, digits, '_', '.' and '-', and does not begin with aws or s3.",
    ),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketAclWithBlockPublicAccessError": (
        400,
        "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
    ),
    "InvalidBucketAclWithObjectOwnership": (
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    "InvalidBucketOwnerAWSAccountID": (
        400,
        "The value of the expected bucket owner parameter must be an AWS Account ID",
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
    "IdMismatch": (400, "Document ID does not match the specified configuration ID."),
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
    "InvalidPrefix": (400, "The specified prefix is not valid."),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRetentionPeriod": (400, "The retention period must be a positive integer value."),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidS3DestinationBucket": (400, "Invalid bucket ARN."),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidTargetBucketForLogging": (
        400,
        "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants "
        "for the log-delivery group.",
    ),
    "InvalidWriteOffset": (
        400,
        "The write offset value that you specified does not match the current object size.",
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
    "LambdaNotFound": (404, "The function does not exist."),
    "LambdaRuntimeError": (500, "The function failed."),
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
    "MissingSecurityHeader": (400, "Your request was missing a required header"),
    "NoRetention": (400, "The retention period must be a positive integer value."),
    "NoSuchAnnotation": (404, "The specified annotation does not exist."),
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
    "OperationAborted": (
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    ),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PolicyTooLarge": (400, "The policy exceeds the maximum allowed document size."),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RestoreAlreadyInProgress": (409, "Object restore is already in progress"),
    "QuotaExceeded": (403, "The bucket would hold more bytes than its quota allows."),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout period. Idle "
        "connections will be closed.",
    ),
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
    "TooManyParts": (
        400,
        "You have attempted to add more parts than the maximum of 10000 that are allowed for this object. You can use "
        "the CopyObject operation to copy this object to another and then add more data to the newly copied object.",
    ),
    "TooManyTags": (400, "There are more tags than there may be."),
    "UnsupportedMediaType": (415, "The payload is not of a type that is accepted."),
    "UnexpectedContent": (400, "This request does not support content"),
    "UnresolvableGrantByEmailAddress": (400, "The e-mail address you provided does not match any account on record"),
    "WrongCustomerKey": (
        403,
        "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.",
    ),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}
CODES |= QUERY_CODES

_BUCKET = ("BucketName",)
_ARGUMENT = ("ArgumentName", "ArgumentValue")
_REFUSED = (
    "AWSAccessKeyId", "StringToSign", "SignatureProvided", "StringToSignBytes", "CanonicalRequest",
    "CanonicalRequestBytes",
)  # fmt: skip
ELEMENTS: dict[str, tuple[str, ...]] = {
    "AccessDenied": ("HeadersNotSigned", "Expires", "ServerTime", "X-Amz-Expires"),
    "AccessForbidden": ("Method", "ResourceType"),
    "AuthorizationHeaderMalformed": ("Region",),
    "AuthorizationQueryParametersError": ("Region",),
    "BadDigest": ("ExpectedDigest", "CalculatedDigest"),
    "BucketAlreadyExists": _BUCKET,
    "BucketAlreadyOwnedByYou": _BUCKET,
    "BucketNotEmpty": _BUCKET,
    "ConditionalRequestConflict": ("Condition", "Key"),
    "CrossLocationLoggingProhibitted": ("SourceBucketLocation", "TargetBucketLocation"),
    "EntityTooLarge": ("ProposedSize", "MaxSizeAllowed"),
    "EntityTooSmall": ("ProposedSize", "MinSizeAllowed", "PartNumber", "ETag"),
    "InvalidAccessKeyId": ("AWSAccessKeyId",),
    "InvalidArgument": _ARGUMENT,
    "InvalidBucketName": _BUCKET,
    "InvalidDigest": ("Content-MD5",),
    "InvalidEncryptionAlgorithmError": _ARGUMENT,
    "InvalidLocationConstraint": ("LocationConstraint",),
    "InvalidObjectState": ("StorageClass",),
    "InvalidPart": ("UploadId", "PartNumber", "ETag"),
    "InvalidPartNumber": ("ActualPartCount", "PartNumberRequested"),
    "InvalidPartOrder": ("UploadId",),
    "InvalidRange": ("RangeRequested", "ActualObjectSize"),
    "InvalidStorageClass": ("StorageClassRequested",),
    "InvalidTag": ("TagKey", "TagValue"),
    "InvalidTargetBucketForLogging": ("TargetBucket",),
    "MetadataTooLarge": ("Size", "MaxSizeAllowed"),
    "MethodNotAllowed": ("Method", "ResourceType"),
    "MissingSecurityHeader": ("MissingHeaderName",),
    "NoSuchBucket": _BUCKET,
    "NoSuchBucketPolicy": _BUCKET,
    "NoSuchCORSConfiguration": _BUCKET,
    "NoSuchKey": ("Key",),
    "NoSuchLifecycleConfiguration": _BUCKET,
    "NoSuchPublicAccessBlockConfiguration": _BUCKET,
    "NoSuchTagSet": _BUCKET,
    "NoSuchUpload": ("UploadId",),
    "NoSuchVersion": ("Key", "VersionId"),
    "NoSuchWebsiteConfiguration": _BUCKET,
    "NotImplemented": ("Header", "additionalMessage", "Resource"),
    "ObjectLockConfigurationNotFoundError": _BUCKET,
    "OwnershipControlsNotFoundError": _BUCKET,
    "PreconditionFailed": ("Condition",),
    "QuotaExceeded": ("MaxSizeAllowed",),
    "ReplicationConfigurationNotFoundError": _BUCKET,
    "RequestTimeTooSkewed": ("RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"),
    "ServerSideEncryptionConfigurationNotFoundError": _BUCKET,
    "SignatureDoesNotMatch": _REFUSED,
    "UnresolvableGrantByEmailAddress": ("EmailAddress",),
    "XAmzContentSHA256Mismatch": ("ClientComputedContentSHA256", "S3ComputedContentSHA256"),
}
"""What the document of an error may tell beside Code, Message, RequestId and HostId; nothing where it is not here.

They are those of AWS, but for Resource, which names what is not implemented, and those of QuotaExceeded, which AWS has
not.
"""
