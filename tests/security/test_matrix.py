"""Every operation of the table, asked by everybody who may not: refused as AWS refuses, and nothing changes."""

import hashlib
import json
from collections.abc import Callable
from typing import NamedTuple

import pytest
from botocore.credentials import Credentials

from pyrite.iamapi.app import SERVICE_OF
from pyrite.iamapi.authorization import DENIABLE, FREE, SELF_DECIDED
from pyrite.s3.operations import ANSWER, CONTROL, OPERATIONS, Operation
from tests.security.conftest import client_of
from tests.security.people import OWNER, SECRET, allow, as_, document
from tests.security.wire import Answer, Wire
from tests.server import Server

BUCKET, KEY = "matrix", "dir/object"
ACL = b"<AccessControlPolicy><Owner></Owner><AccessControlList></AccessControlList></AccessControlPolicy>"
TAGGING = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
POLICY = document(allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal={"AWS": OWNER})).encode()
BLOCK = b"<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls></PublicAccessBlockConfiguration>"
CONTROLS = b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
DELETE = f"<Delete><Object><Key>{KEY}</Key></Object></Delete>".encode()
FORM = (
    b'--xYz\r\nContent-Disposition: form-data; name="key"\r\n\r\nposted\r\n'
    b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ndata\r\n--xYz--\r\n'
)
SSE = b"<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
EXPIRY = b"<Prefix>x</Prefix><Status>Enabled</Status><Expiration><Days>9</Days></Expiration>"
BODIES = {
    "PostObject": FORM,
    "PutObjectAcl": ACL,
    "PutBucketEncryption": b"<ServerSideEncryptionConfiguration><Rule>%b</Rule></ServerSideEncryptionConfiguration>"
    % SSE,
    "PutBucketCors": b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod>"
    b"<AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
    "PutBucketLifecycleConfiguration": b"<LifecycleConfiguration><Rule>%b</Rule></LifecycleConfiguration>" % EXPIRY,
    "PutObjectLockConfiguration": b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    b"</ObjectLockConfiguration>",
    "PutObjectRetention": b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate>"
    b"</Retention>",
    "PutObjectLegalHold": b"<LegalHold><Status>OFF</Status></LegalHold>",
    "RestoreObject": b"<RestoreRequest><Days>1</Days></RestoreRequest>",
    "PutObject": b"changed",
    "PutObjectAnnotation": b"changed",
    "UploadPart": b"changed",
    "DeleteObjects": DELETE,
    "PutBucketAcl": ACL,
    "PutBucketPolicy": POLICY,
    "PutPublicAccessBlock": BLOCK,
    "PutBucketOwnershipControls": CONTROLS,
    "PutBucketTagging": TAGGING,
    "WriteGetObjectResponse": b"an answer",
    "TagResource": b"<TagResourceRequest><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></TagResourceRequest>",
    "PutBucketVersioning": b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    "PutObjectTagging": TAGGING,
    "PutBucketLogging": b"<BucketLoggingStatus></BucketLoggingStatus>",
    "PutBucketNotificationConfiguration": b"<NotificationConfiguration></NotificationConfiguration>",
    "PutBucketRequestPayment": b"<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
    "PutBucketAccelerateConfiguration": b"<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>",
    "PutBucketWebsite": b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
    b"</WebsiteConfiguration>",
    "SelectObjectContent": b"<SelectObjectContentRequest><Expression>SELECT * FROM S3Object</Expression>"
    b"<ExpressionType>SQL</ExpressionType><InputSerialization><CSV/></InputSerialization>"
    b"<OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>",
    "PutBucketInventoryConfiguration": b"<InventoryConfiguration><Id>x</Id><IsEnabled>true</IsEnabled>"
    b"<Destination><S3BucketDestination><Bucket>arn:aws:s3:::matrix</Bucket><Format>CSV</Format></S3BucketDestination>"
    b"</Destination><IncludedObjectVersions>All</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency>"
    b"</Schedule></InventoryConfiguration>",
    "PutBucketAbac": b"<AbacStatus><Status>Disabled</Status></AbacStatus>",
    "PutBucketAnalyticsConfiguration": b"<AnalyticsConfiguration><Id>x</Id><StorageClassAnalysis>"
    b"</StorageClassAnalysis></AnalyticsConfiguration>",
    "PutBucketMetricsConfiguration": b"<MetricsConfiguration><Id>x</Id></MetricsConfiguration>",
    "PutBucketIntelligentTieringConfiguration": b"<IntelligentTieringConfiguration><Id>x</Id>"
    b"<Status>Enabled</Status><Tiering><Days>90</Days><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>"
    b"</IntelligentTieringConfiguration>",
}


class Prepared(NamedTuple):
    """A request of an operation that its owner could make."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Place(NamedTuple):
    """What the requests are about."""

    upload: str
    etag: str


def prepare(operation: Operation, place: Place, bucket: str = BUCKET) -> Prepared:
    path = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/{KEY}"}[operation.scope]
    query = [f"{operation.marker}="] if operation.marker not in ("", "list-type", "uploadId", CONTROL, ANSWER) else []
    if operation.marker == "list-type":
        query.append("list-type=2")
    if operation.marker == "uploadId":
        query.append(f"uploadId={place.upload}")
    if operation.marker in ("analytics", "inventory", "metrics", "intelligent-tiering"):
        query.append("id=x")
    if operation.marker == "annotation" and operation.name != "ListObjectAnnotations":
        query.append("annotationName=x")
    if operation.marker == "events":
        query = ["events=x"]
    if operation.marker == "select":
        query.append("select-type=2")
    if operation.name.startswith("UploadPart"):
        query.append("partNumber=1")
    headers = {"x-amz-copy-source": f"/{bucket}/{KEY}"} if operation.header else {}
    if operation.marker == CONTROL:
        path = f"/{CONTROL}/arn%3Aaws%3As3%3A%3A%3A{bucket}"
        headers["x-amz-account-id"] = OWNER
    if operation.marker == ANSWER:
        path, headers = f"/{ANSWER}", {"x-amz-request-route": "0" * 16, "x-amz-request-token": "0" * 64}
    if operation.name == "UntagResource":
        query = ["tagKeys=kept"]
    if operation.name == "CopyObject":
        headers["x-amz-metadata-directive"] = "REPLACE"
    if operation.name == "RenameObject":
        headers["x-amz-rename-source"] = f"/{bucket}/{KEY}-absent"
    if operation.name == "GetObjectAttributes":
        headers["x-amz-object-attributes"] = "ETag"
    if operation.name == "PostObject":
        headers["Content-Type"] = "multipart/form-data; boundary=xYz"
    body = BODIES.get(operation.name, b"")
    if operation.name == "CompleteMultipartUpload":
        part = f"<Part><PartNumber>1</PartNumber><ETag>{place.etag}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    if operation.name == "DeleteObjects":
        headers["x-amz-checksum-sha256"] = _digest(body)
    return Prepared(operation.method, path + ("?" + "&".join(query) if query else ""), headers, body)


def _digest(body: bytes) -> str:
    import base64

    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.fixture(scope="module")
def place(secure: Server) -> Place:
    """A bucket with an object and an upload."""
    s3 = client_of(secure, "s3", "admin")
    s3.create_bucket(Bucket=BUCKET, ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"the object")
    s3.put_object_annotation(Bucket=BUCKET, Key=KEY, AnnotationName="x", AnnotationPayload=b"an annotation")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=KEY)["UploadId"]
    etag = s3.upload_part(Bucket=BUCKET, Key=KEY, UploadId=upload, PartNumber=1, Body=b"a part")["ETag"]
    return Place(upload, etag)


def state_of(secure: Server, place: Place) -> str:
    """All that a request could have changed."""
    s3, iam = client_of(secure, "s3", "admin"), client_of(secure, "iam", "admin")
    seen: list[object] = [
        [(b["Name"]) for b in s3.list_buckets()["Buckets"]],
        [(o["Key"], o["ETag"], str(o["LastModified"])) for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]],
        s3.get_object_tagging(Bucket=BUCKET, Key=KEY)["TagSet"],
        s3.list_object_annotations(Bucket=BUCKET, Key=KEY)["Annotations"],
        [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])],
        [(p["PartNumber"], p["ETag"]) for p in s3.list_parts(Bucket=BUCKET, Key=KEY, UploadId=place.upload)["Parts"]],
        s3.get_bucket_acl(Bucket=BUCKET)["Grants"],
        s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"],
        s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"],
        _code(lambda: s3.get_bucket_policy(Bucket=BUCKET)),
        _code(lambda: s3.get_bucket_tagging(Bucket=BUCKET)),
        s3.get_bucket_versioning(Bucket=BUCKET).get("Status"),
        *(_code(lambda get=get: get(Bucket=BUCKET)) for get in (s3.get_bucket_cors, s3.get_bucket_encryption)),
        _code(lambda: s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)),
        _code(lambda: s3.get_object_lock_configuration(Bucket=BUCKET)),
        [u["UserName"] for u in iam.list_users()["Users"]],
        [r["RoleName"] for r in iam.list_roles()["Roles"]],
        [g["GroupName"] for g in iam.list_groups()["Groups"]],
        [p["PolicyName"] for p in iam.list_policies(Scope="Local")["Policies"]],
        [iam.list_access_keys(UserName=n)["AccessKeyMetadata"] for n in ("admin", "nobody", "bounded", "denied")],
        [iam.list_attached_user_policies(UserName=n)["AttachedPolicies"] for n in ("nobody", "bounded", "denied")],
    ]
    return json.dumps(seen, default=str, sort_keys=True)


def _code(call: Callable[[], dict]) -> str:
    try:
        return str({name: value for name, value in call().items() if name != "ResponseMetadata"})
    except Exception as error:
        return str(error)


def session_of(secure: Server) -> Credentials:
    """A session of a role that may do everything, with a policy that allows nothing."""
    policy = document(allow("sns:Publish"))
    sts = client_of(secure, "sts", "admin")
    arn = f"arn:aws:iam::{OWNER}:role/worker"
    got = sts.assume_role(RoleArn=arn, RoleSessionName="narrowed", Policy=policy)["Credentials"]
    return Credentials(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])


NAMED = ("nobody", "bounded", "denied", "narrow", "session", "otherroot", "stranger")


def credentials_of(secure: Server, who: str) -> Credentials:
    return session_of(secure) if who == "session" else as_(who)


def check_refused(operation: Operation, answer: Answer, code: str = "AccessDenied") -> None:
    if operation.name == "DeleteObjects" and answer.status == 200:  # each key has its own answer
        assert b"<Deleted>" not in answer.body and answer.code == "AccessDenied", (operation.name, answer)
        return
    assert answer.status == 403, (operation.name, answer)
    if operation.method != "HEAD":
        assert answer.code == code, (operation.name, answer)


@pytest.mark.parametrize("who", NAMED)
def test_callers_without_permission(secure: Server, wire: Wire, place: Place, who: str) -> None:
    """A user, session or account that lacks the permission is denied each operation, for each reason there is."""
    before, credentials = state_of(secure, place), credentials_of(secure, who)
    for operation in OPERATIONS:
        prepared = prepare(operation, place)
        answer = wire.signed(credentials, *prepared)
        if who in ("otherroot", "stranger") and operation.name == "WriteGetObjectResponse":
            assert answer.code == "InvalidRequest"
            continue
        if who in ("otherroot", "stranger") and operation.name in ("ListBuckets", "CreateBucket"):
            assert (answer.status, answer.code) in ((200, ""), (409, "BucketAlreadyExists")), (operation.name, answer)
            assert BUCKET.encode() not in answer.body or operation.name == "CreateBucket"
            continue
        check_refused(operation, answer)
    assert state_of(secure, place) == before


def test_nobody_in_particular(secure: Server, wire: Wire, place: Place) -> None:
    """Without a signature nothing is allowed."""
    before = state_of(secure, place)
    for operation in OPERATIONS:
        check_refused(operation, wire.send(*prepare(operation, place)))
    assert state_of(secure, place) == before


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (Credentials("unknown", SECRET), "InvalidAccessKeyId"),
        (Credentials("ownerroot", "not-the-secret"), "SignatureDoesNotMatch"),
        (Credentials("admin", SECRET, "not-a-token"), "InvalidToken"),
    ],
)
def test_credentials_that_are_wrong(
    secure: Server, wire: Wire, place: Place, credentials: Credentials, code: str
) -> None:
    """An unknown key, a wrong secret, and a token that is none are told apart, and none does anything."""
    before = state_of(secure, place)
    for operation in OPERATIONS:
        prepared = prepare(operation, place)
        answer = wire.signed(credentials, *prepared)
        assert answer.status == (400 if code == "InvalidToken" else 403), (operation.name, answer)
        if operation.method != "HEAD":
            assert answer.code == code, (operation.name, answer)
    assert state_of(secure, place) == before


def test_expired_urls(secure: Server, wire: Wire, place: Place) -> None:
    """A presigned URL of the owner that is past its time does nothing."""
    before = state_of(secure, place)
    for operation in OPERATIONS:
        method, target, headers, body = prepare(operation, place)
        answer = wire.send(method, wire.presign(as_("admin"), method, target, headers, 0), headers, body)
        check_refused(operation, answer)
    assert state_of(secure, place) == before


def test_a_tampered_body(secure: Server, wire: Wire, place: Place) -> None:
    """A body other than the signed one is refused wherever there is a body."""
    before = state_of(secure, place)
    for operation in OPERATIONS:
        method, target, headers, body = prepare(operation, place)
        if not body:
            continue
        signed = wire.sign(as_("admin"), method, target, headers, body)
        answer = wire.send(method, target, signed, b"x" * len(body))
        assert answer.status == 400 and answer.code, (operation.name, answer)
    assert state_of(secure, place) == before


def test_the_requests_are_those_of_the_operations(secure: Server, wire: Wire, place: Place) -> None:
    """The control: who may do it is not refused, so that each refusal above was one of permission."""
    s3 = client_of(secure, "s3", "admin")
    for operation in OPERATIONS:
        if operation.name in ("DeleteBucket", "AbortMultipartUpload", "DeleteObject", "DeleteObjects"):
            continue
        if operation.name == "ListenBucketNotification":  # it goes on until one of both hangs up
            continue
        if operation.name == "DeleteObjectAnnotation":  # the version is retained by now, and its annotation with it
            continue
        # Nothing here is archived, there are no torrents and no keyring, no bucket that takes inventories, and what has
        # versions by now is not renamed.
        if operation.name in (
            "PutBucketInventoryConfiguration",
            "RestoreObject",
            "GetObjectTorrent",
            "UpdateObjectEncryption",
            "RenameObject",
            "WriteGetObjectResponse",  # nobody waits for an answer
            "PutBucketReplication",  # what is right is not implemented
        ):
            continue
        if operation.name == "CompleteMultipartUpload":  # the part has been written anew
            parts = s3.list_parts(Bucket=BUCKET, Key=KEY, UploadId=place.upload)["Parts"]
            place = place._replace(etag=parts[0]["ETag"])
        answer = wire.signed(as_("admin"), *prepare(operation, place))
        assert answer.status not in (400, 403, 405, 501), (operation.name, answer)
        if operation.name == "CompleteMultipartUpload":
            assert answer.status == 200
    for name in ("DeleteObjectAnnotation", "DeleteObjects", "DeleteObject"):
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"again")
        operation = next(o for o in OPERATIONS if o.name == name)
        assert wire.signed(as_("admin"), *prepare(operation, place)).status in (200, 204)


ALWAYS = FREE | SELF_DECIDED


@pytest.mark.parametrize("who", ("nobody", "bounded", "denied", "narrow", "session"))
def test_actions_without_permission(secure: Server, wire: Wire, who: str) -> None:
    """No action of IAM or STS is allowed without permission, whatever its parameters are."""
    credentials = credentials_of(secure, who)
    parameters = (
        "UserName=admin&RoleName=worker&GroupName=g&PolicyName=p&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess"
        f"&Name=t&TopicArn=arn:aws:sns:us-east-1:{OWNER}:t"
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for action, service in SERVICE_OF.items():
        if action in ALWAYS or (action in DENIABLE and who != "denied"):
            continue
        body = f"Action={action}&Version=2010-05-08&{parameters}".encode()
        answer = wire.signed(credentials, "POST", "/", form, body, service)
        refusal = "AuthorizationError" if service == "sns" else "AccessDenied"
        assert (answer.status, answer.code) == (403, refusal), (action, answer)


UNSIGNED_ANSWERS = {
    "AssumeRoleWithWebIdentity": (400, "InvalidIdentityToken"),
    "AssumeRoleWithLDAPIdentity": (400, "InvalidAction"),
    "AssumeRoleWithCertificate": (400, "InvalidIdentityToken"),
}


def test_actions_of_nobody(wire: Wire) -> None:
    """No action is allowed without a signature; the one that takes a token instead looks at the token."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for action in SERVICE_OF:
        body = f"Action={action}&RoleArn=arn:aws:iam::{OWNER}:role/worker&RoleSessionName=me&WebIdentityToken=a.b.c"
        answer = wire.send("POST", "/", form, body.encode())
        wanted = UNSIGNED_ANSWERS.get(action, (403, "MissingAuthenticationToken"))
        assert (answer.status, answer.code) == wanted, (action, answer)
