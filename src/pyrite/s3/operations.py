"""Owns the table of operations: pure data from which routing, authorization, metrics and documents derive."""

from typing import Literal, NamedTuple

Scope = Literal["service", "bucket", "object"]


class Operation(NamedTuple):
    """An S3 operation: what selects it and the IAM action that it needs.

    `marker` is the query parameter that names it, "" for the plain form; `header` a header, or `parameter` a query
    parameter, that tells it apart from the operation without it.
    """

    name: str
    method: str
    scope: Scope
    marker: str
    action: str
    header: str = ""
    parameter: str = ""


ANNOTATION_NAME = "annotationName"
CONTROL = "v20180820/tags"
"""What stands for the marker in calls of the S3 Control API, which a path and a header tell apart."""
ANSWER = "WriteGetObjectResponse"
"""The path of the call with which a function answers, and what stands for its marker."""

OPERATIONS = (
    Operation("ListBuckets", "GET", "service", "", "s3:ListAllMyBuckets"),
    Operation("CreateBucket", "PUT", "bucket", "", "s3:CreateBucket"),
    Operation("HeadBucket", "HEAD", "bucket", "", "s3:ListBucket"),
    Operation("DeleteBucket", "DELETE", "bucket", "", "s3:DeleteBucket"),
    Operation("GetBucketLocation", "GET", "bucket", "location", "s3:GetBucketLocation"),
    Operation("ListObjects", "GET", "bucket", "", "s3:ListBucket"),
    Operation("ListObjectsV2", "GET", "bucket", "list-type", "s3:ListBucket"),
    Operation("ListMultipartUploads", "GET", "bucket", "uploads", "s3:ListBucketMultipartUploads"),
    Operation("DeleteObjects", "POST", "bucket", "delete", "s3:DeleteObject"),
    Operation("PostObject", "POST", "bucket", "", "s3:PutObject"),
    Operation("PutObject", "PUT", "object", "", "s3:PutObject"),
    Operation("CopyObject", "PUT", "object", "", "s3:PutObject", "x-amz-copy-source"),
    Operation("GetObject", "GET", "object", "", "s3:GetObject"),
    Operation("HeadObject", "HEAD", "object", "", "s3:GetObject"),
    Operation("DeleteObject", "DELETE", "object", "", "s3:DeleteObject"),
    Operation("GetObjectAttributes", "GET", "object", "attributes", "s3:GetObjectAttributes"),
    Operation("CreateMultipartUpload", "POST", "object", "uploads", "s3:PutObject"),
    Operation("UploadPart", "PUT", "object", "uploadId", "s3:PutObject"),
    Operation("UploadPartCopy", "PUT", "object", "uploadId", "s3:PutObject", "x-amz-copy-source"),
    Operation("CompleteMultipartUpload", "POST", "object", "uploadId", "s3:PutObject"),
    Operation("AbortMultipartUpload", "DELETE", "object", "uploadId", "s3:AbortMultipartUpload"),
    Operation("ListParts", "GET", "object", "uploadId", "s3:ListMultipartUploadParts"),
    Operation("GetBucketAcl", "GET", "bucket", "acl", "s3:GetBucketAcl"),
    Operation("PutBucketAcl", "PUT", "bucket", "acl", "s3:PutBucketAcl"),
    Operation("GetBucketPolicy", "GET", "bucket", "policy", "s3:GetBucketPolicy"),
    Operation("PutBucketPolicy", "PUT", "bucket", "policy", "s3:PutBucketPolicy"),
    Operation("DeleteBucketPolicy", "DELETE", "bucket", "policy", "s3:DeleteBucketPolicy"),
    Operation("GetBucketPolicyStatus", "GET", "bucket", "policyStatus", "s3:GetBucketPolicyStatus"),
    Operation("GetPublicAccessBlock", "GET", "bucket", "publicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    Operation("PutPublicAccessBlock", "PUT", "bucket", "publicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    Operation("DeletePublicAccessBlock", "DELETE", "bucket", "publicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    Operation("GetBucketOwnershipControls", "GET", "bucket", "ownershipControls", "s3:GetBucketOwnershipControls"),
    Operation("PutBucketOwnershipControls", "PUT", "bucket", "ownershipControls", "s3:PutBucketOwnershipControls"),
    Operation(
        "DeleteBucketOwnershipControls", "DELETE", "bucket", "ownershipControls", "s3:PutBucketOwnershipControls"
    ),
    Operation("GetBucketTagging", "GET", "bucket", "tagging", "s3:GetBucketTagging"),
    Operation("PutBucketTagging", "PUT", "bucket", "tagging", "s3:PutBucketTagging"),
    Operation("DeleteBucketTagging", "DELETE", "bucket", "tagging", "s3:PutBucketTagging"),
    Operation("GetObjectTagging", "GET", "object", "tagging", "s3:GetObjectTagging"),
    Operation("PutObjectTagging", "PUT", "object", "tagging", "s3:PutObjectTagging"),
    Operation("DeleteObjectTagging", "DELETE", "object", "tagging", "s3:DeleteObjectTagging"),
    Operation("ListTagsForResource", "GET", "bucket", CONTROL, "s3:ListTagsForResource"),
    Operation("TagResource", "POST", "bucket", CONTROL, "s3:TagResource"),
    Operation("UntagResource", "DELETE", "bucket", CONTROL, "s3:UntagResource"),
    Operation("ListObjectVersions", "GET", "bucket", "versions", "s3:ListBucketVersions"),
    Operation("GetBucketVersioning", "GET", "bucket", "versioning", "s3:GetBucketVersioning"),
    Operation("PutBucketVersioning", "PUT", "bucket", "versioning", "s3:PutBucketVersioning"),
    Operation("GetBucketEncryption", "GET", "bucket", "encryption", "s3:GetEncryptionConfiguration"),
    Operation("PutBucketEncryption", "PUT", "bucket", "encryption", "s3:PutEncryptionConfiguration"),
    Operation("DeleteBucketEncryption", "DELETE", "bucket", "encryption", "s3:PutEncryptionConfiguration"),
    Operation("GetObjectLockConfiguration", "GET", "bucket", "object-lock", "s3:GetBucketObjectLockConfiguration"),
    Operation("PutObjectLockConfiguration", "PUT", "bucket", "object-lock", "s3:PutBucketObjectLockConfiguration"),
    Operation("GetObjectRetention", "GET", "object", "retention", "s3:GetObjectRetention"),
    Operation("PutObjectRetention", "PUT", "object", "retention", "s3:PutObjectRetention"),
    Operation("GetObjectLegalHold", "GET", "object", "legal-hold", "s3:GetObjectLegalHold"),
    Operation("PutObjectLegalHold", "PUT", "object", "legal-hold", "s3:PutObjectLegalHold"),
    Operation("GetObjectAcl", "GET", "object", "acl", "s3:GetObjectAcl"),
    Operation("PutObjectAcl", "PUT", "object", "acl", "s3:PutObjectAcl"),
    Operation("GetBucketCors", "GET", "bucket", "cors", "s3:GetBucketCORS"),
    Operation("PutBucketCors", "PUT", "bucket", "cors", "s3:PutBucketCORS"),
    Operation("DeleteBucketCors", "DELETE", "bucket", "cors", "s3:PutBucketCORS"),
    Operation("GetBucketLifecycleConfiguration", "GET", "bucket", "lifecycle", "s3:GetLifecycleConfiguration"),
    Operation("PutBucketLifecycleConfiguration", "PUT", "bucket", "lifecycle", "s3:PutLifecycleConfiguration"),
    Operation("DeleteBucketLifecycle", "DELETE", "bucket", "lifecycle", "s3:PutLifecycleConfiguration"),
    Operation("RestoreObject", "POST", "object", "restore", "s3:RestoreObject"),
    Operation("GetObjectTorrent", "GET", "object", "torrent", "s3:GetObjectTorrent"),
    Operation("GetBucketLogging", "GET", "bucket", "logging", "s3:GetBucketLogging"),
    Operation("PutBucketLogging", "PUT", "bucket", "logging", "s3:PutBucketLogging"),
    Operation("GetBucketNotificationConfiguration", "GET", "bucket", "notification", "s3:GetBucketNotification"),
    Operation("PutBucketNotificationConfiguration", "PUT", "bucket", "notification", "s3:PutBucketNotification"),
    Operation("ListenBucketNotification", "GET", "bucket", "events", "s3:ListenBucketNotification"),
    Operation("GetBucketRequestPayment", "GET", "bucket", "requestPayment", "s3:GetBucketRequestPayment"),
    Operation("PutBucketRequestPayment", "PUT", "bucket", "requestPayment", "s3:PutBucketRequestPayment"),
    Operation("GetBucketAccelerateConfiguration", "GET", "bucket", "accelerate", "s3:GetAccelerateConfiguration"),
    Operation("PutBucketAccelerateConfiguration", "PUT", "bucket", "accelerate", "s3:PutAccelerateConfiguration"),
    Operation("GetBucketAnalyticsConfiguration", "GET", "bucket", "analytics", "s3:GetAnalyticsConfiguration"),
    Operation("PutBucketAnalyticsConfiguration", "PUT", "bucket", "analytics", "s3:PutAnalyticsConfiguration"),
    Operation("DeleteBucketAnalyticsConfiguration", "DELETE", "bucket", "analytics", "s3:PutAnalyticsConfiguration"),
    Operation("GetBucketMetricsConfiguration", "GET", "bucket", "metrics", "s3:GetMetricsConfiguration"),
    Operation("PutBucketMetricsConfiguration", "PUT", "bucket", "metrics", "s3:PutMetricsConfiguration"),
    Operation("DeleteBucketMetricsConfiguration", "DELETE", "bucket", "metrics", "s3:PutMetricsConfiguration"),
    Operation(
        "GetBucketIntelligentTieringConfiguration",
        "GET",
        "bucket",
        "intelligent-tiering",
        "s3:GetIntelligentTieringConfiguration",
    ),
    Operation(
        "PutBucketIntelligentTieringConfiguration",
        "PUT",
        "bucket",
        "intelligent-tiering",
        "s3:PutIntelligentTieringConfiguration",
    ),
    Operation(
        "DeleteBucketIntelligentTieringConfiguration",
        "DELETE",
        "bucket",
        "intelligent-tiering",
        "s3:PutIntelligentTieringConfiguration",
    ),
    Operation("GetBucketInventoryConfiguration", "GET", "bucket", "inventory", "s3:GetInventoryConfiguration"),
    Operation("PutBucketInventoryConfiguration", "PUT", "bucket", "inventory", "s3:PutInventoryConfiguration"),
    Operation("DeleteBucketInventoryConfiguration", "DELETE", "bucket", "inventory", "s3:PutInventoryConfiguration"),
    Operation("GetBucketAbac", "GET", "bucket", "abac", "s3:GetBucketAbac"),
    Operation("PutBucketAbac", "PUT", "bucket", "abac", "s3:PutBucketAbac"),
    Operation("SelectObjectContent", "POST", "object", "select", "s3:GetObject"),
    Operation("RenameObject", "PUT", "object", "renameObject", "s3:PutObject"),
    Operation("UpdateObjectEncryption", "PUT", "object", "encryption", "s3:UpdateObjectEncryption"),
    Operation("PutObjectAnnotation", "PUT", "object", "annotation", "s3:PutObjectAnnotation"),
    Operation(
        "GetObjectAnnotation",
        "GET",
        "object",
        "annotation",
        "s3:GetObjectAnnotation",
        parameter=ANNOTATION_NAME,
    ),
    Operation("ListObjectAnnotations", "GET", "object", "annotation", "s3:ListObjectAnnotations"),
    Operation("DeleteObjectAnnotation", "DELETE", "object", "annotation", "s3:DeleteObjectAnnotation"),
    Operation("WriteGetObjectResponse", "POST", "service", ANSWER, "s3-object-lambda:WriteGetObjectResponse"),
    Operation("GetBucketWebsite", "GET", "bucket", "website", "s3:GetBucketWebsite"),
    Operation("PutBucketWebsite", "PUT", "bucket", "website", "s3:PutBucketWebsite"),
    Operation("DeleteBucketWebsite", "DELETE", "bucket", "website", "s3:DeleteBucketWebsite"),
    # Answered truthfully for a bucket that has no such configuration; one that is right is refused: none is kept yet.
    Operation("GetBucketReplication", "GET", "bucket", "replication", "s3:GetReplicationConfiguration"),
    Operation("PutBucketReplication", "PUT", "bucket", "replication", "s3:PutReplicationConfiguration"),
    Operation("DeleteBucketReplication", "DELETE", "bucket", "replication", "s3:PutReplicationConfiguration"),
)

VERSION_ACTIONS = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:PutObjectAnnotation": "s3:PutObjectVersionAnnotation",
    "s3:GetObjectAnnotation": "s3:GetObjectVersionAnnotation",
    "s3:ListObjectAnnotations": "s3:ListObjectVersionAnnotations",
    "s3:DeleteObjectAnnotation": "s3:DeleteObjectVersionAnnotation",
}
"""What an action becomes when the request names a version."""

VERSIONED = frozenset(
    "GetObject HeadObject DeleteObject GetObjectAttributes GetObjectAcl PutObjectAcl GetObjectTagging PutObjectTagging "
    "DeleteObjectTagging GetObjectRetention PutObjectRetention GetObjectLegalHold PutObjectLegalHold RestoreObject "
    "UpdateObjectEncryption PutObjectAnnotation GetObjectAnnotation ListObjectAnnotations "
    "DeleteObjectAnnotation".split()
)
"""The operations that take the id of a version. For all others the parameter means nothing."""

_OF_NEW_OBJECTS = {
    b"x-amz-acl": "s3:PutObjectAcl",
    b"x-amz-grant-full-control": "s3:PutObjectAcl",
    b"x-amz-grant-read": "s3:PutObjectAcl",
    b"x-amz-grant-read-acp": "s3:PutObjectAcl",
    b"x-amz-grant-write": "s3:PutObjectAcl",
    b"x-amz-grant-write-acp": "s3:PutObjectAcl",
    b"x-amz-tagging": "s3:PutObjectTagging",
    b"x-amz-object-lock-mode": "s3:PutObjectRetention",
    b"x-amz-object-lock-retain-until-date": "s3:PutObjectRetention",
    b"x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
}

_OF_CONDITIONS = {b"if-match": "s3:GetObject"}
"""Who tests an ETag learns of the content. Source: AWS, "How to prevent object overwrites with conditional writes"."""

HEADER_ACTIONS = {
    "CreateBucket": {
        b"x-amz-acl": "s3:PutBucketAcl",
        b"x-amz-grant-full-control": "s3:PutBucketAcl",
        b"x-amz-grant-read": "s3:PutBucketAcl",
        b"x-amz-grant-read-acp": "s3:PutBucketAcl",
        b"x-amz-grant-write": "s3:PutBucketAcl",
        b"x-amz-grant-write-acp": "s3:PutBucketAcl",
        b"x-amz-object-ownership": "s3:PutBucketOwnershipControls",
        b"x-amz-bucket-object-lock-enabled": "s3:PutBucketObjectLockConfiguration",
    },
    "PutObject": {**_OF_NEW_OBJECTS, **_OF_CONDITIONS},
    "CopyObject": {**_OF_NEW_OBJECTS, **_OF_CONDITIONS},
    "CreateMultipartUpload": _OF_NEW_OBJECTS,
    "CompleteMultipartUpload": _OF_CONDITIONS,
    "DeleteObject": _OF_CONDITIONS,
}
"""The further action that a header of an operation needs."""

DETAILS = {
    "s3:GetObjectTagging": frozenset((b"x-amz-tagging-count",)),
    "s3:GetObjectRetention": frozenset((b"x-amz-object-lock-mode", b"x-amz-object-lock-retain-until-date")),
    "s3:GetObjectLegalHold": frozenset((b"x-amz-object-lock-legal-hold",)),
}
"""What is told of an object only to those who may do this. Source: AWS, HeadObject in the Amazon S3 API Reference."""

ALSO = {"GetObjectAttributes": "s3:GetObject"}
"""The further action that an operation always needs."""

MARKERS = frozenset(
    "abac accelerate acl analytics annotation annotations append attributes cors delete encryption events inventory "
    "intelligent-tiering legal-hold lifecycle list-type location logging metadataAnnotationTable "
    "metadataConfiguration metadataInventoryTable metadataJournalTable metadataTable metrics notification "
    "object-lock ownershipControls policy policyStatus publicAccessBlock renameObject replication requestPayment "
    "restore retention select tagging torrent uploadId uploads versioning versions website".split()
)
"""Every query parameter that selects an operation of the S3 model, implemented here or not."""

PARAMETERS = frozenset(
    "annotation-prefix annotationName bucket-region continuation-token delimiter encoding-type fetch-owner key-marker "
    "marker max-annotation-results max-buckets max-keys "
    "max-parts max-uploads part-number-marker partNumber prefix response-cache-control "
    "response-content-disposition response-content-encoding response-content-language response-content-type "
    "response-expires id start-after upload-id-marker version-id-marker versionId x-id AWSAccessKeyId Expires "
    "Signature select-type allow-unordered".split()
)
"""Query parameters that qualify an operation. They may be empty; any other empty one is an unknown sub-resource."""
