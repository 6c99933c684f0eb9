"""Owns which handler answers which operation, and finding the operation that a request names."""

from collections.abc import Awaitable, Callable

from pyrite.aws import sigv2
from pyrite.http.response import Response
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.handlers import (
    access,
    annotations,
    answering,
    appending,
    archive,
    buckets,
    configurations,
    copying,
    deletes,
    listedconfigurations,
    listening,
    lists,
    locks,
    logs,
    multipart,
    notifications,
    posting,
    reads,
    renaming,
    replicating,
    resealing,
    selecting,
    tagging,
    transforming,
    uploadlists,
)
from pyrite.s3.handlers.transforming import LAMBDA
from pyrite.s3.operations import (
    ANNOTATION_NAME,
    ANSWER,
    CONTROL,
    MARKERS,
    OPERATIONS,
    PARAMETERS,
    VERSIONED,
    Operation,
    Scope,
)
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.service import Service

HandlerOf = Callable[[Service, S3Request], Awaitable[Response]]

HANDLERS: dict[str, HandlerOf] = {
    "ListBuckets": buckets.list_buckets,
    "CreateBucket": buckets.create_bucket,
    "HeadBucket": buckets.head_bucket,
    "DeleteBucket": buckets.delete_bucket,
    "GetBucketLocation": buckets.get_location,
    "GetBucketAcl": access.get_acl,
    "PutBucketAcl": access.put_acl,
    "GetBucketPolicy": access.get_policy,
    "PutBucketPolicy": access.put_policy,
    "DeleteBucketPolicy": access.delete_policy,
    "GetBucketPolicyStatus": access.get_policy_status,
    "GetPublicAccessBlock": access.get_block,
    "PutPublicAccessBlock": access.put_block,
    "DeletePublicAccessBlock": access.delete_block,
    "GetBucketOwnershipControls": access.get_ownership,
    "PutBucketOwnershipControls": access.put_ownership,
    "DeleteBucketOwnershipControls": access.delete_ownership,
    "GetBucketVersioning": buckets.get_versioning,
    "PutBucketVersioning": buckets.put_versioning,
    "ListObjectVersions": lists.list_versions,
    "ListObjects": lists.list_objects,
    "ListObjectsV2": lists.list_objects_v2,
    "ListMultipartUploads": uploadlists.list_uploads,
    "DeleteObjects": deletes.delete_objects,
    "PostObject": posting.post_object,
    "PutObject": appending.put_object,
    "CopyObject": copying.copy_object,
    "GetObject": transforming.get_object,
    "GetObjectTorrent": reads.get_torrent,
    "HeadObject": transforming.head_object,
    "DeleteObject": deletes.delete_object,
    "GetObjectAttributes": reads.get_attributes,
    "GetObjectAcl": access.get_object_acl,
    "PutObjectAcl": access.put_object_acl,
    "GetObjectTagging": tagging.get_object_tagging,
    "PutObjectTagging": tagging.put_object_tagging,
    "DeleteObjectTagging": tagging.delete_object_tagging,
    "GetBucketTagging": tagging.get_bucket_tagging,
    "PutBucketTagging": tagging.put_bucket_tagging,
    "DeleteBucketTagging": tagging.delete_bucket_tagging,
    "ListTagsForResource": tagging.list_tags,
    "TagResource": tagging.tag_resource,
    "UntagResource": tagging.untag_resource,
    "CreateMultipartUpload": multipart.create_upload,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": multipart.upload_part_copy,
    "CompleteMultipartUpload": multipart.complete_upload,
    "AbortMultipartUpload": multipart.abort_upload,
    "ListParts": uploadlists.list_parts,
    "GetObjectLockConfiguration": locks.get_configuration,
    "PutObjectLockConfiguration": locks.put_configuration,
    "GetObjectRetention": locks.get_retention,
    "PutObjectRetention": locks.put_retention,
    "GetObjectLegalHold": locks.get_hold,
    "PutObjectLegalHold": locks.put_hold,
    "GetBucketLifecycleConfiguration": configurations.get_configuration,
    "PutBucketLifecycleConfiguration": configurations.put_configuration,
    "DeleteBucketLifecycle": configurations.delete_configuration,
    "RestoreObject": archive.restore_object,
    "GetBucketLogging": logs.get_logging,
    "PutBucketLogging": logs.put_logging,
    "GetBucketNotificationConfiguration": notifications.get_notifications,
    "PutBucketNotificationConfiguration": notifications.put_notifications,
    "ListenBucketNotification": listening.listen,
    "GetBucketRequestPayment": configurations.get_configuration,
    "PutBucketRequestPayment": configurations.put_configuration,
    "GetBucketAccelerateConfiguration": configurations.get_configuration,
    "PutBucketAccelerateConfiguration": configurations.put_configuration,
    "GetBucketInventoryConfiguration": listedconfigurations.get_some,
    "PutBucketInventoryConfiguration": listedconfigurations.put_one,
    "DeleteBucketInventoryConfiguration": listedconfigurations.delete_one,
    "GetBucketAbac": configurations.get_configuration,
    "PutBucketAbac": configurations.put_configuration,
    "SelectObjectContent": selecting.select_content,
    "RenameObject": renaming.rename_object,
    "UpdateObjectEncryption": resealing.update_encryption,
    **{
        f"{verb}Bucket{kind}Configuration": handler
        for kind in ("Analytics", "Metrics", "IntelligentTiering")
        for verb, handler in (
            ("Get", listedconfigurations.get_some),
            ("Put", listedconfigurations.put_one),
            ("Delete", listedconfigurations.delete_one),
        )
    },
    "WriteGetObjectResponse": answering.write_response,
    "PutObjectAnnotation": annotations.put_annotation,
    "GetObjectAnnotation": annotations.get_annotation,
    "ListObjectAnnotations": annotations.list_annotations,
    "DeleteObjectAnnotation": annotations.delete_annotation,
    "GetBucketWebsite": configurations.get_configuration,
    "PutBucketWebsite": configurations.put_configuration,
    "DeleteBucketWebsite": configurations.delete_configuration,
    "GetBucketCors": configurations.get_configuration,
    "PutBucketCors": configurations.put_configuration,
    "DeleteBucketCors": configurations.delete_configuration,
    "GetBucketEncryption": configurations.get_configuration,
    "PutBucketEncryption": configurations.put_configuration,
    "DeleteBucketEncryption": configurations.delete_configuration,
    "PutBucketReplication": replicating.put_replication,
    "DeleteBucketReplication": buckets.delete_absent,
    **dict.fromkeys(buckets.ABSENT_CONFIGURATIONS, buckets.absent_configuration),
}

_ROUTES = {(o.method, o.scope, o.marker, bool(o.header or o.parameter)): (o, HANDLERS[o.name]) for o in OPERATIONS}
_NAMES = frozenset(name.encode() for name in MARKERS)
_QUALIFIERS = frozenset(name.encode() for name in PARAMETERS)
_NOT_IN_V2 = (_NAMES | {LAMBDA}) - sigv2.SIGNED_PARAMETERS - {b"list-type"}
_LISTS = frozenset(("ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "ListParts"))
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


def route(request: S3Request) -> tuple[Operation, HandlerOf]:
    """The operation that a request names. Raises S3Error; an unknown sub-resource never falls through."""
    if request.signature.version == "AWS":
        _refuse_unsigned(request)
    if request.is_control:
        _check_control(request)
    _check_parameters(request)
    scope: Scope = "object" if request.key else "bucket" if request.bucket_name else "service"
    marker = _marker(request)
    if marker == "annotation":
        told_apart = ANNOTATION_NAME.encode() in request.query
    else:
        told_apart = request.method == "PUT" and b"x-amz-copy-source" in request.headers
    found = _ROUTES.get((request.method, scope, marker, told_apart)) or _ROUTES.get(
        (request.method, scope, marker, False)
    )
    if found is not None:
        check_version(request, found[0])
        return found
    allowed = [method for method in METHODS if (method, scope, marker, False) in _ROUTES]
    if marker or not allowed:
        raise S3Error("NotImplemented", None, (("Resource", marker or request.place.resource),))
    raise S3Error("MethodNotAllowed", None, (("Method", request.method), ("ResourceType", scope.upper())))


def _check_parameters(request: S3Request) -> None:
    """Raises S3Error for parameters that select two operations, or that a write of an object cannot mean: it never
    falls through to another one.
    """
    query = request.query
    if not query or request.is_control or request.is_answer:
        return
    markers = sorted(name.decode() for name in query if name in _NAMES)
    if len(markers) > 1:
        message = "Conflicting query string parameters: " + ", ".join(markers)
        raise bad_argument(message, "ResourceType", markers[0])
    if not request.key or request.method not in ("PUT", "POST", "DELETE"):
        return
    if b"partNumber" in query and b"uploadId" not in query:  # AWS tells the name as the value, too
        message = "This operation does not accept partNumber without uploadId"
        raise bad_argument(message, "partNumber", "partNumber")
    if request.method == "PUT" and b"uploadId" in query and b"partNumber" not in query:
        told = (("Method", "PUT"), ("ResourceType", "UPLOAD"))
        raise S3Error("MethodNotAllowed", None, told, [(b"Allow", b"DELETE, POST, GET")])


def check_version(request: S3Request, operation: Operation) -> None:
    """Raises S3Error where a write that makes a version names one, or a list."""
    if b"versionId" not in request.query or operation.name in VERSIONED:
        return
    is_write = operation.scope == "object" and operation.method in ("PUT", "POST")
    if is_write or operation.name in _LISTS:
        value = text_of(request.query[b"versionId"])
        raise bad_argument("This operation does not accept a version-id.", "versionId", value)


def _check_control(request: S3Request) -> None:
    """Raises S3Error where a call of the S3 Control API is about something that is not here."""
    if not request.bucket_name:
        raise S3Error("InvalidRequest", "Only buckets have tags here: arn:aws:s3:::NAME")
    if (request.method, "bucket", CONTROL, False) not in _ROUTES:
        raise S3Error("MethodNotAllowed", None, (("Method", request.method), ("ResourceType", "TAGS")))


def _refuse_unsigned(request: S3Request) -> None:
    """Raises S3Error where a parameter that selects what is done is not under a signature of Version 2."""
    unsigned = _NOT_IN_V2.intersection(request.query)
    if request.is_control:
        raise S3Error("AccessDenied", "Signature Version 2 does not cover this call; sign with Version 4")
    if unsigned:
        name = min(unsigned).decode()
        raise S3Error("AccessDenied", f"Signature Version 2 does not cover the parameter {name}; sign with Version 4")


def _marker(request: S3Request) -> str:
    """What selects the operation: mostly a query parameter. Attributes and uploads are told apart by it alone."""
    if request.is_control or request.is_answer:
        return CONTROL if request.is_control else ANSWER
    for name, value in request.query.items():
        if name in _NAMES:
            return name.decode("ascii")
        is_unknown = not value and name not in _QUALIFIERS and not name.lower().startswith(b"x-")
        if is_unknown and request.method not in ("GET", "HEAD"):  # a read destroys nothing: AWS ignores it there
            raise S3Error("NotImplemented", f"The sub-resource {name.decode('latin-1')!r} is not known")
    return ""
