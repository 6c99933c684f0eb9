"""Answers in which clients trust: ranges of the right object, owners, expiry, and no setting that is silently lost."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.test_boto3 import code_of
from tests.security.conftest import client_of
from tests.security.people import OTHER, OWNER, write_identities
from tests.server import Server


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    with Server([folder / "d"], "--identities", str(write_identities(folder))) as server:
        yield server


@pytest.fixture(scope="module")
def s3(store: Server):
    return client_of(store, "s3", "admin")


@pytest.fixture
def bucket(s3, request) -> str:
    name = "a-" + "".join(c for c in request.node.name if c.isalnum()).lower()[:50]
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    return name


def ranged(s3, bucket: str, if_range: str) -> tuple[int, bytes]:
    """A read of what follows byte 4, if the object is still the one that `if_range` names."""

    def add(params: dict, **_: object) -> None:
        params["headers"]["If-Range"] = if_range

    s3.meta.events.register("before-call.s3.GetObject", add)
    try:
        answer = s3.get_object(Bucket=bucket, Key="k", Range="bytes=4-")
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Body"].read()
    finally:
        s3.meta.events.unregister("before-call.s3.GetObject", add)


def test_a_download_that_goes_on(s3, bucket: str) -> None:
    """The rest is sent of the object that was begun; of another one everything is."""
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"AAAAAAAA")["ETag"]
    assert ranged(s3, bucket, old) == (206, b"AAAA")
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"BBBBBBBB")["ETag"]
    assert ranged(s3, bucket, old) == (200, b"BBBBBBBB")
    assert ranged(s3, bucket, new) == (206, b"BBBB")
    assert ranged(s3, bucket, f"W/{new}") == (200, b"BBBBBBBB")
    modified = s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]["last-modified"]
    assert ranged(s3, bucket, modified) == (206, b"BBBB")
    assert ranged(s3, bucket, "Mon, 01 Jan 2024 00:00:00 GMT") == (200, b"BBBBBBBB")


def test_redirects_are_not_copied(s3, bucket: str) -> None:
    """Where a website sends people is said for each object, and is a change that lets one be copied to itself."""
    s3.put_object(Bucket=bucket, Key="a", Body=b"x", WebsiteRedirectLocation="/there", CacheControl="no-store")
    source = f"{bucket}/a"
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source)
    found = s3.head_object(Bucket=bucket, Key="b")
    assert "WebsiteRedirectLocation" not in found and found["CacheControl"] == "no-store"
    s3.copy_object(Bucket=bucket, Key="c", CopySource=source, WebsiteRedirectLocation="/c")
    assert s3.head_object(Bucket=bucket, Key="c")["WebsiteRedirectLocation"] == "/c"
    s3.copy_object(Bucket=bucket, Key="a", CopySource=source, WebsiteRedirectLocation="/elsewhere")
    assert s3.head_object(Bucket=bucket, Key="a")["WebsiteRedirectLocation"] == "/elsewhere"


def test_lists_tell_whose_objects_are(store: Server, s3, bucket: str) -> None:
    """An object that another account has written is shown as that one's, in every list."""
    s3.delete_public_access_block(Bucket=bucket)
    grant = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": grant}))
    s3.put_object(Bucket=bucket, Key="own")
    client_of(store, "s3", "stranger").put_object(Bucket=bucket, Key="theirs")
    first = {one["Key"]: one["Owner"]["ID"] for one in s3.list_objects(Bucket=bucket)["Contents"]}
    second = {one["Key"]: one["Owner"]["ID"] for one in s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]}
    third = {one["Key"]: one["Owner"]["ID"] for one in s3.list_object_versions(Bucket=bucket)["Versions"]}
    own = s3.list_buckets()["Owner"]["ID"]
    assert first == second == third and first["own"] == own != first["theirs"]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]


def test_every_write_tells_when_it_expires(s3, bucket: str) -> None:
    """Copies and completed uploads tell of the rule as puts do."""
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    put = s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    copied = s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    name = {"Bucket": bucket, "Key": "c"}
    upload = s3.create_multipart_upload(**name)["UploadId"]
    etag = s3.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    done = s3.complete_multipart_upload(
        **name, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    assert all('rule-id="r"' in answer["Expiration"] for answer in (put, copied, done))


def test_uploads_tell_when_they_are_aborted(s3, bucket: str) -> None:
    """A rule that aborts uploads is told where one begins and where its parts are listed; lists tell its checksum."""
    rule = {
        "ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "a"},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
    }  # fmt: skip
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    begun = s3.create_multipart_upload(Bucket=bucket, Key="a", ChecksumAlgorithm="SHA256")
    parts = s3.list_parts(Bucket=bucket, Key="a", UploadId=begun["UploadId"])
    assert begun["AbortRuleId"] == parts["AbortRuleId"] == "tidy" and begun["AbortDate"] == parts["AbortDate"]
    assert timedelta(days=1.9) < begun["AbortDate"] - datetime.now(UTC) <= timedelta(days=3)
    assert "AbortDate" not in s3.create_multipart_upload(Bucket=bucket, Key="b")
    listed = {one["Key"]: one for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]}
    assert (listed["a"]["ChecksumAlgorithm"], listed["a"]["ChecksumType"]) == ("SHA256", "COMPOSITE")
    assert "ChecksumAlgorithm" not in listed["b"]


def test_the_least_size_of_transitions(s3, bucket: str) -> None:
    """What a client says of it is kept, told again, and goes with the rules; other words are refused."""
    rule = {
        "ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""},
        "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}],
    }  # fmt: skip
    rules = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [rule]}}
    least = "TransitionDefaultMinimumObjectSize"
    assert s3.put_bucket_lifecycle_configuration(**rules)[least] == "all_storage_classes_128K"
    for word in ("all_storage_classes_128K", "varies_by_storage_class"):
        assert s3.put_bucket_lifecycle_configuration(**rules, **{least: word})[least] == word
        assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)[least] == word
    assert code_of(s3.put_bucket_lifecycle_configuration, **rules, **{least: "some"}) == ("InvalidRequest", 400)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    s3.put_bucket_lifecycle_configuration(**rules)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)[least] == "all_storage_classes_128K"


def test_what_would_be_lost_is_refused(s3, bucket: str) -> None:
    """Event holds, which there are none of, and policies that mistype an action or name none of its resources."""
    holding = {"Bucket": bucket, "Key": "k", "ObjectLockEventHold": "ON", "ObjectLockEventHoldDurationDays": 30}
    assert code_of(s3.put_object, **holding)[0] == "NotImplemented"
    assert code_of(s3.create_multipart_upload, **holding)[0] == "NotImplemented"
    of_bucket, of_objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"

    def put(action: object, resource: object, **more: object) -> None:
        statement = {"Effect": "Deny", "Principal": {"AWS": OWNER}, "Action": action, "Resource": resource, **more}
        text = json.dumps({"Version": "2012-10-17", "Statement": statement})
        s3.put_bucket_policy(Bucket=bucket, Policy=text)

    for action, resource in (
        ("s3:DeleteObjet", of_objects),
        ("s3:Nope*", of_objects),
        ("s3:ListBucket", of_objects),
        (["s3:GetObject", "s3:ListBucket"], of_bucket),
        ("s3:PutObjectAcl", of_bucket),
    ):
        assert code_of(put, action=action, resource=resource) == ("MalformedPolicy", 400), action
    for action, resource in (
        ("s3:deleteobject", of_objects),
        ("s3:Replicate*", of_objects),
        ("s3:*", of_bucket),
        (["s3:GetObject", "s3:ListBucket"], [of_bucket, of_objects]),
        ("s3:ListBucket", "*"),
    ):
        put(action, resource, Condition={"StringEquals": {"aws:PrincipalTag/none": "x"}})


def test_configurations_that_make_no_sense(s3, bucket: str) -> None:
    """Rules whose objects would be gone before they move, and words that there are not, are refused."""
    late = {
        "ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30},
        "Transitions": [{"Days": 40, "StorageClass": "GLACIER"}],
    }  # fmt: skip
    rules = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [late]}}
    assert code_of(s3.put_bucket_lifecycle_configuration, **rules) == ("InvalidArgument", 400)
    tiering = {"Id": "x", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "FOO"}]}
    put = s3.put_bucket_intelligent_tiering_configuration
    assert code_of(put, Bucket=bucket, Id="x", IntelligentTieringConfiguration=tiering) == ("MalformedXML", 400)
    named = {"Bucket": bucket, "Id": "x", "AnalyticsConfiguration": {"Id": "x"}}
    assert code_of(s3.put_bucket_analytics_configuration, **named) == ("MalformedXML", 400)
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    s3.put_object(Bucket=bucket, Key="k")
    assert "RequestCharged" not in s3.get_object(Bucket=bucket, Key="k", RequestPayer="requester")


def test_copies_of_what_was_restored(s3, bucket: str) -> None:
    """A copy is not restored because its source is, and only archives tell of a restore."""
    s3.put_object(Bucket=bucket, Key="a", Body=b"x", StorageClass="GLACIER")
    s3.restore_object(Bucket=bucket, Key="a", RestoreRequest={"Days": 5})
    assert "Restore" in s3.head_object(Bucket=bucket, Key="a")
    s3.copy_object(Bucket=bucket, Key="cold", CopySource=f"{bucket}/a", StorageClass="GLACIER")
    assert code_of(s3.get_object, Bucket=bucket, Key="cold") == ("InvalidObjectState", 403)
    s3.copy_object(Bucket=bucket, Key="warm", CopySource=f"{bucket}/a")
    assert "Restore" not in s3.head_object(Bucket=bucket, Key="warm")
    assert "Restore" not in s3.head_object(Bucket=bucket, Key="cold")


def test_locks_and_tags_are_told_to_who_may_know(store: Server, s3) -> None:
    """A read tells how its object is tagged and locked to those alone who may ask for that."""
    s3.create_bucket(Bucket="a-details", ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    made = s3.put_object(
        Bucket="a-details", Key="k", Body=b"x", Tagging="a=b", ObjectLockLegalHoldStatus="ON",
        ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until, ChecksumAlgorithm="CRC32",
    )  # fmt: skip
    told = {"TagCount", "ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus"}
    iam, nobody = client_of(store, "iam", "admin"), client_of(store, "s3", "nobody")

    def seen(actions: list[str], **more: str) -> set[str]:
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        text = json.dumps({"Version": "2012-10-17", "Statement": statement})
        iam.put_user_policy(UserName="nobody", PolicyName="p", PolicyDocument=text)
        found = nobody.get_object(Bucket="a-details", Key="k", **more)
        assert found["Body"].read() == b"x"
        assert nobody.head_object(Bucket="a-details", Key="k", **more).keys() & told == found.keys() & told
        return found.keys() & told

    assert seen(["s3:GetObject"]) == set()
    assert seen(["s3:GetObject", "s3:GetObjectTagging"]) == {"TagCount"}
    assert seen(["s3:GetObject", "s3:GetObjectLegalHold"]) == {"ObjectLockLegalHoldStatus"}
    assert seen(["s3:GetObject*"]) == told
    version = {"VersionId": made["VersionId"]}
    assert seen(["s3:GetObjectVersion", "s3:GetObjectTagging"], **version) == set()
    assert seen(["s3:GetObjectVersion*", "s3:GetObjectRetention", "s3:GetObjectLegalHold"], **version) == told
    assert s3.head_object(Bucket="a-details", Key="k").keys() & told == told


def test_lists_tell_until_when_what_is_restored(s3, bucket: str) -> None:
    """Who asks for it learns from lists which archived objects can be read; no other attribute can be asked for."""
    for key, kind in (("cold", "GLACIER"), ("restored", "GLACIER"), ("warm", "STANDARD")):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", StorageClass=kind)
    s3.restore_object(Bucket=bucket, Key="restored", RestoreRequest={"Days": 2})
    for lists, member in (
        (s3.list_objects, "Contents"),
        (s3.list_objects_v2, "Contents"),
        (s3.list_object_versions, "Versions"),
    ):
        found = {o["Key"]: o.get("RestoreStatus") for o in lists(Bucket=bucket)[member]}
        assert not any(found.values())
        asked = lists(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])[member]
        found = {o["Key"]: o.get("RestoreStatus") for o in asked}
        assert found["cold"] is None and found["warm"] is None and not found["restored"]["IsRestoreInProgress"]
        assert timedelta(days=1) < found["restored"]["RestoreExpiryDate"] - datetime.now(UTC) <= timedelta(days=3)
    assert code_of(s3.list_objects_v2, Bucket=bucket, OptionalObjectAttributes=["Size"]) == ("InvalidArgument", 400)


def test_checksums_of_parts_that_make_the_objects(s3, bucket: str) -> None:
    """An upload whose checksum is composite is completed by who states those of its parts, and by nobody else."""
    name = {"Bucket": bucket, "Key": "k"}
    for kind, stated in (("COMPOSITE", True), ("FULL_OBJECT", False)):
        algorithm = "SHA256" if kind == "COMPOSITE" else "CRC32"
        begun = s3.create_multipart_upload(**name, ChecksumAlgorithm=algorithm, ChecksumType=kind)
        upload = {**name, "UploadId": begun["UploadId"]}
        part = s3.upload_part(**upload, PartNumber=1, Body=b"x", ChecksumAlgorithm=algorithm)
        bare = {"PartNumber": 1, "ETag": part["ETag"]}
        full = {**bare, f"Checksum{algorithm}": part[f"Checksum{algorithm}"]}
        if stated:
            refused = code_of(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [bare]})
            assert refused == ("InvalidRequest", 400)
        parts = [full if stated else bare]
        assert s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["ChecksumType"] == kind
