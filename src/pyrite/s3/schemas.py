"""Owns which elements the documents of requests may have: an unknown one is an error, not a setting that is lost.

Source: the data types of the Amazon S3 API Reference.
"""

from collections.abc import Mapping

from pyrite.aws import xml
from pyrite.aws.xml import Element
from pyrite.s3.errors import S3Error

_ACL = {
    "Owner": "ID DisplayName",
    "AccessControlList": "Grant",
    "Grant": "Grantee Permission",
    "Grantee": "ID URI EmailAddress DisplayName Type",
}
_FORMS = {
    "InputSerialization": "CSV JSON Parquet CompressionType",
    "OutputSerialization": "CSV JSON",
    "CSV": "AllowQuotedRecordDelimiter Comments FieldDelimiter FileHeaderInfo QuoteCharacter QuoteEscapeCharacter "
    "QuoteFields RecordDelimiter",
    "JSON": "Type RecordDelimiter",
}
_FILTER = {"Filter": "Prefix Tag And AccessPointArn", "And": "Prefix Tag AccessPointArn", "Tag": "Key Value"}
SCHEMAS: dict[str, Mapping[str, str]] = {
    "VersioningConfiguration": {"VersioningConfiguration": "Status MfaDelete"},
    "CreateBucketConfiguration": {
        "CreateBucketConfiguration": "LocationConstraint Location Bucket Tags",
        "Location": "Name Type",
        "Bucket": "DataRedundancy Type",
        "Tags": "Tag",
        "Tag": "Key Value",
    },
    "OwnershipControls": {"OwnershipControls": "Rule", "Rule": "ObjectOwnership"},
    "Retention": {"Retention": "Mode RetainUntilDate"},
    "AbacStatus": {"AbacStatus": "Status"},
    "AccelerateConfiguration": {"AccelerateConfiguration": "Status"},
    "RequestPaymentConfiguration": {"RequestPaymentConfiguration": "Payer"},
    "PublicAccessBlockConfiguration": {
        "PublicAccessBlockConfiguration": "BlockPublicAcls BlockPublicPolicy IgnorePublicAcls RestrictPublicBuckets"
    },
    "AccessControlPolicy": {"AccessControlPolicy": "Owner AccessControlList", **_ACL},
    "Tagging": {"Tagging": "TagSet", "TagSet": "Tag", "Tag": "Key Value"},
    "TagResourceRequest": {"TagResourceRequest": "Tags", "Tags": "Tag", "Tag": "Key Value"},
    "Delete": {"Delete": "Object Quiet", "Object": "Key VersionId ETag LastModifiedTime Size"},
    "CompleteMultipartUpload": {
        "CompleteMultipartUpload": "Part",
        "Part": "ETag PartNumber ChecksumCRC32 ChecksumCRC32C ChecksumCRC64NVME ChecksumMD5 ChecksumSHA1 "
        "ChecksumSHA256 ChecksumSHA512 ChecksumXXHASH128 ChecksumXXHASH3 ChecksumXXHASH64",
    },
    "CORSConfiguration": {
        "CORSConfiguration": "CORSRule",
        "CORSRule": "AllowedHeader AllowedMethod AllowedOrigin ExposeHeader ID MaxAgeSeconds",
    },
    "ServerSideEncryptionConfiguration": {
        "ServerSideEncryptionConfiguration": "Rule",
        "Rule": "ApplyServerSideEncryptionByDefault BlockedEncryptionTypes BucketKeyEnabled",
        "ApplyServerSideEncryptionByDefault": "SSEAlgorithm KMSMasterKeyID",
        "BlockedEncryptionTypes": "EncryptionType",
    },
    "ObjectEncryption": {"ObjectEncryption": "SSE-KMS SSE-S3", "SSE-KMS": "KMSKeyArn BucketKeyEnabled"},
    "LifecycleConfiguration": {
        "LifecycleConfiguration": "Rule",
        "Rule": "ID Prefix Filter Status Expiration Transition NoncurrentVersionExpiration NoncurrentVersionTransition "
        "AbortIncompleteMultipartUpload",
        "Filter": "Prefix Tag ObjectSizeGreaterThan ObjectSizeLessThan And",
        "And": "Prefix Tag ObjectSizeGreaterThan ObjectSizeLessThan",
        "Tag": "Key Value",
        "Expiration": "Date Days ExpiredObjectDeleteMarker",
        "Transition": "Date Days StorageClass",
        "NoncurrentVersionExpiration": "NoncurrentDays NewerNoncurrentVersions",
        "NoncurrentVersionTransition": "NoncurrentDays NewerNoncurrentVersions StorageClass",
        "AbortIncompleteMultipartUpload": "DaysAfterInitiation",
    },
    "NotificationConfiguration": {
        "NotificationConfiguration": "TopicConfiguration QueueConfiguration CloudFunctionConfiguration "
        "EventBridgeConfiguration",
        "TopicConfiguration": "Id Topic Event Filter",
        "QueueConfiguration": "Id Queue Event Filter",
        "CloudFunctionConfiguration": "Id CloudFunction Event Filter InvocationRole",
        "Filter": "S3Key",
        "S3Key": "FilterRule",
        "FilterRule": "Name Value",
    },
    "ObjectLockConfiguration": {
        "ObjectLockConfiguration": "ObjectLockEnabled Rule",
        "Rule": "DefaultRetention",
        "DefaultRetention": "Mode Days Years",
    },
    "WebsiteConfiguration": {
        "WebsiteConfiguration": "ErrorDocument IndexDocument RedirectAllRequestsTo RoutingRules",
        "ErrorDocument": "Key",
        "IndexDocument": "Suffix",
        "RedirectAllRequestsTo": "HostName Protocol",
        "RoutingRules": "RoutingRule",
        "RoutingRule": "Condition Redirect",
        "Condition": "HttpErrorCodeReturnedEquals KeyPrefixEquals",
        "Redirect": "HostName HttpRedirectCode Protocol ReplaceKeyPrefixWith ReplaceKeyWith",
    },
    "RestoreRequest": {
        "RestoreRequest": "Days Type Tier Description GlacierJobParameters SelectParameters OutputLocation",
        "GlacierJobParameters": "Tier",
        "SelectParameters": "InputSerialization ExpressionType Expression OutputSerialization",
        **_FORMS,
        "OutputLocation": "S3",
        "S3": "BucketName Prefix Encryption CannedACL AccessControlList Tagging UserMetadata StorageClass",
        "Encryption": "EncryptionType KMSKeyId KMSContext",
        **_ACL,
        "Tagging": "TagSet",
        "TagSet": "Tag",
        "Tag": "Key Value",
        "UserMetadata": "MetadataEntry",
        "MetadataEntry": "Name Value",
    },
    "SelectObjectContentRequest": {
        "SelectObjectContentRequest": "Expression ExpressionType RequestProgress InputSerialization "
        "OutputSerialization ScanRange",
        "RequestProgress": "Enabled",
        "ScanRange": "Start End",
        **_FORMS,
    },
    "LegalHold": {"LegalHold": "Status"},
    "BucketLoggingStatus": {
        "BucketLoggingStatus": "LoggingEnabled",
        "LoggingEnabled": "TargetBucket TargetPrefix TargetGrants TargetObjectKeyFormat",
        "TargetGrants": "Grant",
        "Grant": "Grantee Permission",
        "Grantee": "ID URI EmailAddress DisplayName Type",
        "TargetObjectKeyFormat": "SimplePrefix PartitionedPrefix",
        "PartitionedPrefix": "PartitionDateSource",
    },
    "AnalyticsConfiguration": {
        "AnalyticsConfiguration": "Id Filter StorageClassAnalysis",
        "StorageClassAnalysis": "DataExport",
        "DataExport": "OutputSchemaVersion Destination",
        "Destination": "S3BucketDestination",
        "S3BucketDestination": "Format BucketAccountId Bucket Prefix",
        **_FILTER,
    },
    "MetricsConfiguration": {"MetricsConfiguration": "Id Filter", **_FILTER},
    "IntelligentTieringConfiguration": {
        "IntelligentTieringConfiguration": "Id Filter Status Tiering",
        "Tiering": "Days AccessTier",
        **_FILTER,
    },
    "InventoryConfiguration": {
        "InventoryConfiguration": "Destination IsEnabled Filter Id IncludedObjectVersions OptionalFields Schedule",
        "Destination": "S3BucketDestination",
        "S3BucketDestination": "AccountId Bucket Format Prefix Encryption",
        "Encryption": "SSE-S3 SSE-KMS",
        "SSE-KMS": "KeyId",
        "Filter": "Prefix",
        "OptionalFields": "Field",
        "Schedule": "Frequency",
    },
}
"""By root element: the children that each element may have."""


_NOT_HERE = frozenset(("EventHold", "EventHoldDuration", "DefaultEventHold"))


def parse_document(body: bytes, elements_max: int = xml.ELEMENTS_USUALLY_MAX) -> Element:
    """The root element of a document that a client sends. Raises MalformedXml, or S3Error for unknown elements."""
    root = xml.parse(body, elements_max)
    if _has(root, _NOT_HERE):
        raise S3Error("NotImplemented", "Object lock has no event holds here")
    check_known(root)
    return root


def _has(element: Element, names: frozenset[str]) -> bool:
    return element.name in names or any(_has(child, names) for child in element.children)


def check_known(root: Element) -> None:
    """Raises S3Error where a document has an element that its schema does not."""
    schema = SCHEMAS.get(root.name)
    if schema is not None and not _is_known(root, schema):
        raise S3Error("MalformedXML")


def _is_known(element: Element, schema: Mapping[str, str]) -> bool:
    known = schema.get(element.name, "").split()
    return all(child.name in known and _is_known(child, schema) for child in element.children)
