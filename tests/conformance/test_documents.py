"""Every document that configures a bucket or an object: kept in meaning, and refused where it is none of the model."""

import json
import re
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.server import ACCESS_KEY, SECRET_KEY, Server

DOCUMENTS = {
    "versioning=": "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    "tagging=": "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    "cors=": "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"
    "</CORSConfiguration>",
    "lifecycle=": "<LifecycleConfiguration><Rule><ID>r</ID><Prefix>x</Prefix><Status>Enabled</Status><Expiration>"
    "<Days>9</Days></Expiration></Rule></LifecycleConfiguration>",
    "encryption=": "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
    "<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    "website=": "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>",
    "logging=": "<BucketLoggingStatus></BucketLoggingStatus>",
    "notification=": "<NotificationConfiguration></NotificationConfiguration>",
    "requestPayment=": "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
    "accelerate=": "<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>",
    "object-lock=": "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    "<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
    "publicAccessBlock=": "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true"
    "</IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>"
    "</PublicAccessBlockConfiguration>",
    "ownershipControls=": "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>"
    "</OwnershipControls>",
    "abac=": "<AbacStatus><Status>Enabled</Status></AbacStatus>",
    "analytics=&id=x": "<AnalyticsConfiguration><Id>x</Id><StorageClassAnalysis></StorageClassAnalysis>"
    "</AnalyticsConfiguration>",
    "metrics=&id=x": "<MetricsConfiguration><Id>x</Id><Filter><Prefix>p</Prefix></Filter></MetricsConfiguration>",
    "intelligent-tiering=&id=x": "<IntelligentTieringConfiguration><Id>x</Id><Status>Enabled</Status><Tiering><Days>90"
    "</Days><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering></IntelligentTieringConfiguration>",
    "inventory=&id=x": "<InventoryConfiguration><Id>x</Id><IsEnabled>false</IsEnabled><IncludedObjectVersions>All"
    "</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency></Schedule><Destination><S3BucketDestination>"
    "<Bucket>arn:aws:s3:::documents</Bucket><Format>CSV</Format></S3BucketDestination></Destination>"
    "</InventoryConfiguration>",
}
OF_OBJECTS = {
    "retention=": "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>",
    "legal-hold=": "<LegalHold><Status>OFF</Status></LegalHold>",
    "tagging=": DOCUMENTS["tagging="],
}
POLICY = (
    b'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, '
    b'"Action": "s3:PutObject", "Resource": "arn:aws:s3:::documents/*"}]}'
)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    with Server([folder / "d"], "--keyring", str(folder / "keyring")) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="documents", ObjectLockEnabledForBucket=True)
        s3.put_bucket_policy(Bucket="documents", Policy=POLICY.decode())
        s3.put_object(Bucket="documents", Key="k", Body=b"x")
        yield server


def ask(server: Server, method: str, query: str, body: bytes = b"", path: str = "/documents") -> tuple[int, str]:
    url = f"{server.endpoint}{path}?{query}"
    request = AWSRequest(method, url, data=body)
    request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    sent = urllib.request.Request(url, data=body or None, headers=dict(request.headers), method=method)
    try:
        with urllib.request.urlopen(sent) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, text.partition("<Code>")[2].partition("</Code>")[0]


def test_documents_that_are_none(own: Server) -> None:
    """An unknown element, a document cut short, one with a type declaration, and one too large change nothing."""
    for path, documents in (("/documents", DOCUMENTS), ("/documents/k", OF_OBJECTS)):
        for query, text in documents.items():
            root = text[: text.index(">") + 1]
            inner = [match.end() for match in re.finditer(r"<[A-Za-z][^/>]*>", text)]
            wrong = {
                "MalformedXML": (
                    *(text[:at] + "<Bogus>1</Bogus>" + text[at:] for at in inner),
                    text[:-3],
                    '<!DOCTYPE a [<!ENTITY b "c">]>' + text,
                    "",
                ),
                "MaxMessageLengthExceeded": (text.replace(root, root + f"<Bogus>{'x' * (3 << 20)}</Bogus>", 1),),
            }
            for code, bodies in wrong.items():
                for body in bodies:
                    status, found = ask(own, "PUT", query, body.encode(), path)
                    known = (code, "MissingRequestBodyError", "IllegalVersioningConfigurationException")
                    assert status == 400 and found in known, (path, query, body[:80], status, found)


def test_documents_survive_a_restart(own: Server) -> None:
    """What was put comes back in meaning, before and after the store was stopped."""
    for query, text in DOCUMENTS.items():
        assert ask(own, "PUT", query, text.encode())[0] in (200, 204), query
    before = {query: ask(own, "GET", query) for query in DOCUMENTS}
    for query, text in DOCUMENTS.items():
        status, found = before[query]
        assert status == 200, query
        inner = text[text.index(">") + 1 : text.rindex("</")]
        assert inner in found, (query, found)
    own.stop()
    own.start()
    assert {query: ask(own, "GET", query) for query in DOCUMENTS} == before


def test_documents_put_at_once_are_all_kept(own: Server) -> None:
    """Tools configure a bucket in parallel: no document is lost by another one, and none comes back that was deleted."""
    queries = ["cors=", "lifecycle=", "website=", "encryption=", "policy="]
    bodies = {**DOCUMENTS, "policy=": json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::at-once/none",
    }})}  # fmt: skip
    assert ask(own, "PUT", "", path="/at-once")[0] == 200
    with ThreadPoolExecutor(len(queries)) as pool:
        for _ in range(12):
            put = [pool.submit(ask, own, "PUT", query, bodies[query].encode(), "/at-once") for query in queries]
            assert {job.result()[0] for job in put} <= {200, 204}
            assert [query for query in queries if ask(own, "GET", query, path="/at-once")[0] != 200] == []
            gone = [pool.submit(ask, own, "DELETE", query, b"", "/at-once") for query in queries[:3] + queries[4:]]
            assert {job.result()[0] for job in gone} == {204}
            assert {ask(own, "GET", query, path="/at-once")[0] for query in queries[:3] + queries[4:]} == {404}


def test_no_bucket_is_locked_and_suspended(own: Server) -> None:
    """Of a lock and a suspension that come at once one is refused: without versions nothing would be kept."""
    suspended = DOCUMENTS["versioning="].replace("Enabled", "Suspended").encode()
    outcomes = set()
    with ThreadPoolExecutor(2) as pool:
        for n in range(25):
            path = f"/lock-{n}"
            assert ask(own, "PUT", "", path=path)[0] == 200
            assert ask(own, "PUT", "versioning=", DOCUMENTS["versioning="].encode(), path)[0] == 200
            lock = pool.submit(ask, own, "PUT", "object-lock=", DOCUMENTS["object-lock="].encode(), path)
            suspend = pool.submit(ask, own, "PUT", "versioning=", suspended, path)
            outcomes.add((lock.result()[0], suspend.result()[0]))
    assert outcomes <= {(200, 409), (409, 200)}
