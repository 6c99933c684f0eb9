"""Condition keys that a request's document, form or connection has decide as those of headers do."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import urllib3

from tests.conformance.test_iam import client, code_of
from tests.server import Server

BUCKET = "conditions"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Server([tmp_path_factory.mktemp("conditions") / "d"]) as server:
        client(server, "s3").create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        yield server


@pytest.fixture(scope="module")
def key(store: Server) -> dict:
    """The access key of a user who may do all that the bucket's policy does not deny."""
    iam = client(store, "iam")
    iam.create_user(UserName="ada")
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": allow})
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=document)
    return iam.create_access_key(UserName="ada")["AccessKey"]


@pytest.fixture
def s3(store: Server, key: dict):
    yield client(store, "s3", key)
    client(store, "s3").delete_bucket_policy(Bucket=BUCKET)


def deny(store: Server, action: str, condition: dict) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        "Condition": condition,
    }
    deliver = {
        "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }  # fmt: skip
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement, deliver]})
    client(store, "s3").put_bucket_policy(Bucket=BUCKET, Policy=text)


def tags(**wanted: str) -> dict:
    return {"TagSet": [{"Key": name, "Value": value} for name, value in wanted.items()]}


def test_tags_in_documents_headers_and_forms(store: Server, s3) -> None:
    """A tag that nobody may give an object is refused however it is written: by document, header or form."""
    s3.put_object(Bucket=BUCKET, Key="o", Body=b"x")
    deny(store, "s3:PutObject*", {"StringEquals": {"s3:RequestObjectTag/level": "top secret"}})
    wanted = {"Bucket": BUCKET, "Key": "o"}
    assert code_of(s3.put_object_tagging, **wanted, Tagging=tags(level="top secret")) == "AccessDenied"
    for spelled in ("level=top%20secret", "level=top+secret", "a=b&level=top+secret"):
        assert code_of(s3.put_object, **wanted, Tagging=spelled) == "AccessDenied"
    s3.put_object_tagging(**wanted, Tagging=tags(level="low"))
    s3.put_object(**wanted, Tagging="level=low")
    both = tags(level="top secret", Level="low")  # a policy would see one of them
    assert code_of(s3.put_object_tagging, **wanted, Tagging=both) == "InvalidTag"
    assert code_of(s3.put_object, **wanted, Tagging="Level=low&level=top+secret") == "InvalidTag"
    assert s3.get_object_tagging(**wanted)["TagSet"] == [{"Key": "level", "Value": "low"}]

    def post(level: str) -> int:
        text = f"<Tagging><TagSet><Tag><Key>level</Key><Value>{level}</Value></Tag></TagSet></Tagging>"
        form = s3.generate_presigned_post(BUCKET, "form", {"tagging": text}, [{"tagging": text}])
        fields = {**form["fields"], "file": ("f", b"posted")}
        return urllib3.PoolManager().request("POST", form["url"], fields=fields).status

    assert (post("top secret"), post("low")) == (403, 204)
    assert s3.get_object_tagging(Bucket=BUCKET, Key="form")["TagSet"] == [{"Key": "level", "Value": "low"}]
    deny(store, "s3:PutObjectTagging", {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": "owner"}})
    assert code_of(s3.put_object_tagging, **wanted, Tagging=tags(owner="me")) == "AccessDenied"
    s3.put_object_tagging(**wanted, Tagging=tags(level="low"))


def test_retention_in_documents_and_headers(store: Server, s3) -> None:
    """Limits on how long and how strictly objects may be locked hold for the document and for headers."""
    wanted, now = {"Bucket": BUCKET, "Key": "locked"}, datetime.now(UTC)
    s3.put_object(**wanted, Body=b"x")
    long, short = now + timedelta(days=10, hours=1), now + timedelta(hours=1)
    deny(store, "s3:PutObject*", {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}})
    governed = {"Mode": "GOVERNANCE", "RetainUntilDate": long}
    assert code_of(s3.put_object_retention, **wanted, Retention=governed) == "AccessDenied"
    headers = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": long}
    assert code_of(s3.put_object, **wanted, **headers) == "AccessDenied"
    s3.put_object_retention(**wanted, Retention={**governed, "RetainUntilDate": short})
    deny(store, "s3:PutObjectRetention", {"StringEquals": {"s3:object-lock-mode": "COMPLIANCE"}})
    strict = {"Mode": "COMPLIANCE", "RetainUntilDate": short}
    assert code_of(s3.put_object_retention, **wanted, Retention=strict) == "AccessDenied"
    deny(store, "s3:PutObjectLegalHold", {"StringEquals": {"s3:object-lock-legal-hold": "OFF"}})
    s3.put_object_legal_hold(**wanted, LegalHold={"Status": "ON"})
    assert code_of(s3.put_object_legal_hold, **wanted, LegalHold={"Status": "OFF"}) == "AccessDenied"


def test_where_and_with_which_tags_buckets_are_made(store: Server) -> None:
    """Location and tags of a new bucket are conditions, and the bucket has the tags from its beginning."""
    iam = client(store, "iam")
    iam.create_user(UserName="maker")
    allow = {
        "Effect": "Allow", "Action": ["s3:CreateBucket", "s3:TagResource"], "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestTag/team": "vision"}},
    }  # fmt: skip
    no_eu = {"Effect": "Deny", "Action": "s3:CreateBucket", "Resource": "*",
             "Condition": {"StringEquals": {"s3:LocationConstraint": "EU"}}}  # fmt: skip
    iam.put_user_policy(
        UserName="maker", PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow, no_eu]}),
    )  # fmt: skip
    s3 = client(store, "s3", iam.create_access_key(UserName="maker")["AccessKey"])
    team = [{"Key": "team", "Value": "vision"}]
    assert code_of(s3.create_bucket, Bucket="untagged") == "AccessDenied"
    wrong = {"Tags": [{"Key": "team", "Value": "sound"}]}
    assert code_of(s3.create_bucket, Bucket="wrong", CreateBucketConfiguration=wrong) == "AccessDenied"
    abroad = {"Tags": team, "LocationConstraint": "EU"}
    assert code_of(s3.create_bucket, Bucket="abroad", CreateBucketConfiguration=abroad) == "AccessDenied"
    s3.create_bucket(Bucket="tagged", CreateBucketConfiguration={"Tags": team})
    root = client(store, "s3")
    assert root.get_bucket_tagging(Bucket="tagged")["TagSet"] == team
    directory = {"Location": {"Type": "AvailabilityZone", "Name": "a"}, "Bucket": {"Type": "Directory"}}
    assert code_of(root.create_bucket, Bucket="directory", CreateBucketConfiguration=directory) == "NotImplemented"


def test_objects_are_only_made_where_there_is_none(store: Server, s3) -> None:
    """A policy may ask for If-None-Match where an object is made, and let parts be written without it."""
    condition = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    deny(store, "s3:PutObject", condition)
    assert code_of(s3.put_object, Bucket=BUCKET, Key="once") == "AccessDenied"
    s3.put_object(Bucket=BUCKET, Key="once", IfNoneMatch="*")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    named = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
    etag = s3.upload_part(**named, PartNumber=1, Body=b"x")["ETag"]
    listed = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    assert code_of(s3.complete_multipart_upload, **named, **listed) == "AccessDenied"
    s3.complete_multipart_upload(**named, **listed, IfNoneMatch="*")


def test_fields_of_inventories(store: Server, s3) -> None:
    """Which optional fields an inventory may have is a condition."""
    deny(
        store,
        "s3:PutInventoryConfiguration",
        {"ForAnyValue:StringEquals": {"s3:InventoryAccessibleOptionalFields": "ETag"}},
    )
    inventory = {
        "Id": "i", "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": {"Bucket": f"arn:aws:s3:::{BUCKET}", "Format": "CSV"}},
    }  # fmt: skip
    put = s3.put_bucket_inventory_configuration
    with_tags = {**inventory, "OptionalFields": ["Size", "ETag"]}
    assert code_of(put, Bucket=BUCKET, Id="i", InventoryConfiguration=with_tags) == "AccessDenied"
    put(Bucket=BUCKET, Id="i", InventoryConfiguration={**inventory, "OptionalFields": ["Size"]})


def test_keys_that_do_not_exist(store: Server, s3) -> None:
    """A policy with an S3 condition key that there is not is refused: it would deny nothing."""
    with pytest.raises(s3.exceptions.ClientError) as caught:
        deny(store, "s3:GetObject", {"StringEquals": {"s3:RequestObjectTags/level": "a"}})
    assert caught.value.response["Error"]["Code"] == "MalformedPolicy"
    for known in ("s3:ExistingObjectTag/a", "s3:TlsVersion", "s3:DataAccessPointArn", "aws:SourceVpce", "s3:x-amz-acl"):
        deny(store, "s3:GetObject", {"StringEquals": {known: "a"}})


def test_old_versions_of_tls(certificate, tmp_path) -> None:
    """A policy may ask for a version of TLS: what is older is refused."""
    with Server([tmp_path / "d"], "--workers", "1", tls=certificate) as server:
        s3 = server.client()
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
        for least, code in (("1.3", ""), ("1.4", "AccessDenied")):
            statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
                         "Resource": f"arn:aws:s3:::{BUCKET}/*",
                         "Condition": {"NumericLessThan": {"s3:TlsVersion": least}}}  # fmt: skip
            text = json.dumps({"Version": "2012-10-17", "Statement": statement})
            s3.put_bucket_policy(Bucket=BUCKET, Policy=text)
            if code:
                assert code_of(s3.get_object, Bucket=BUCKET, Key="k") == code
            else:
                assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


def test_headers_of_new_objects_say_nothing_elsewhere(store: Server, s3) -> None:
    """What only a new object's headers say does not stand for what a document says, or for the tags of a copy."""
    root = client(store, "s3")
    until = datetime.now(UTC) + timedelta(days=2)
    root.put_object(Bucket=BUCKET, Key="held", Body=b"x")
    root.put_object_retention(Bucket=BUCKET, Key="held", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    deny(store, "s3:PutObjectRetention", {"StringNotEquals": {"s3:object-lock-mode": "GOVERNANCE"}})
    s3.meta.events.register(
        "before-call.s3.PutObjectRetention",
        lambda params, **_: params["headers"].update({"x-amz-object-lock-mode": "GOVERNANCE"}),
    )
    lifting = {"Bucket": BUCKET, "Key": "held", "Retention": {}, "BypassGovernanceRetention": True}
    assert code_of(s3.put_object_retention, **lifting) == "AccessDenied"
    assert root.get_object_retention(Bucket=BUCKET, Key="held")["Retention"]["Mode"] == "GOVERNANCE"
    deny(store, "s3:PutObjectTagging", {"StringNotEquals": {"s3:RequestObjectTag/class": "secret"}})
    s3.meta.events.register(
        "before-call.s3.PutObjectTagging",
        lambda params, **_: params["headers"].update({"x-amz-tagging": "class=secret"}),
    )
    assert code_of(s3.put_object_tagging, Bucket=BUCKET, Key="held", Tagging=tags(other="public")) == "AccessDenied"
    root.delete_bucket_policy(Bucket=BUCKET)
    root.put_object(Bucket=BUCKET, Key="tagged", Body=b"x", Tagging="class=secret")
    deny(store, "s3:PutObject", {"StringNotEquals": {"s3:RequestObjectTag/class": "public"}})
    copy = {"Bucket": BUCKET, "Key": "copied", "CopySource": f"{BUCKET}/tagged", "Tagging": "class=public"}
    assert code_of(s3.copy_object, **copy) == "AccessDenied"
    assert s3.copy_object(**copy, TaggingDirective="REPLACE")["CopyObjectResult"]


ADA = {"StringEquals": {"aws:username": "ada"}}


def with_header(s3, operation: str, name: str, value: str):
    """Add a header that the SDK does not know to the next requests of an operation."""

    def add(request, **_) -> None:
        request.headers[name] = value

    event = f"before-sign.s3.{operation}"
    s3.meta.events.register(event, add, unique_id=event)
    return lambda: s3.meta.events.unregister(event, add, unique_id=event)


@pytest.mark.parametrize("grant", ["full-control", "read", "read-acp", "write", "write-acp"])
def test_a_grant_in_a_header_is_a_right_of_its_own(store: Server, s3, grant: str) -> None:
    """Who may put objects and not their access lists may send no header that grants anything."""
    deny(store, "s3:PutObjectAcl", ADA)
    s3.put_object(Bucket=BUCKET, Key="plain", Body=b"x")
    remove = with_header(
        s3, "PutObject", f"x-amz-grant-{grant}", 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
    )
    assert code_of(s3.put_object, Bucket=BUCKET, Key="granted", Body=b"x") == "AccessDenied"
    remove()
    assert code_of(client(store, "s3").head_object, Bucket=BUCKET, Key="granted") == "404"


def test_conditions_of_writers_tell_nothing_of_content(store: Server, s3) -> None:
    """Who may not read an object learns nothing of its ETag by conditions of writes and deletions."""
    owner = client(store, "s3")
    etag = owner.put_object(Bucket=BUCKET, Key="guessed", Body=b"secret")["ETag"]
    deny(store, "s3:GetObject", ADA)
    named = {"Bucket": BUCKET, "Key": "guessed"}
    for guess in (etag, '"00000000000000000000000000000000"'):
        assert code_of(s3.put_object, **named, Body=b"x", IfMatch=guess) == "AccessDenied"
        told = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "guessed", "ETag": guess}]})
        assert [error["Code"] for error in told["Errors"]] == ["AccessDenied"]
    assert owner.get_object(**named)["Body"].read() == b"secret"


def test_a_copy_source_hides_no_tags(store: Server, s3) -> None:
    """A header of copies beside tags of an upload does not make the tags unseen by the policy."""
    deny(store, "s3:PutObject", {"StringEquals": {"s3:RequestObjectTag/class": "secret"}})
    client(store, "s3").put_object(Bucket=BUCKET, Key="source", Body=b"x")
    tagged = {"Bucket": BUCKET, "Key": "tagged", "Tagging": "class=secret"}
    assert code_of(s3.create_multipart_upload, **tagged) == "AccessDenied"
    remove = with_header(s3, "CreateMultipartUpload", "x-amz-copy-source", f"/{BUCKET}/source")
    assert code_of(s3.create_multipart_upload, **tagged) == "AccessDenied"
    remove()
    assert "Uploads" not in client(store, "s3").list_multipart_uploads(Bucket=BUCKET)
