"""KMS keys and server-side encryption as boto3 users see them; what stands on the drives is sealed."""

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_boto3 import code_of
from tests.server import Server

MIB = 1024 * 1024
SIZES = (0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 300_000, MIB, MIB + 1, 5 * MIB + 7)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("sealed")
    with Server([folder / f"d{n}" for n in range(4)], "--keyring", str(folder / "keyring.json")) as server:
        yield server


@pytest.fixture(scope="module")
def s3(sealed: Server):
    return sealed.client()


@pytest.fixture(scope="module")
def kms(sealed: Server):
    return sealed.client(service="kms")


@pytest.fixture
def bucket(s3, request) -> str:
    name = "e-" + hashlib.md5(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    return name


def read(s3, bucket: str, key: str, **more) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def customer(key: bytes, prefix: str = "") -> dict[str, object]:
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


def test_everything_is_sealed(sealed: Server, s3, bucket: str) -> None:
    """With a keyring every object is encrypted, reads as it was written, whole and in ranges, and lies sealed."""
    marker = b"these words are on no drive " * 8
    for size in SIZES:
        body = (marker * (size // len(marker) + 1))[:size]
        put = s3.put_object(Bucket=bucket, Key=str(size), Body=body)
        assert put["ServerSideEncryption"] == "AES256"
        assert put["ETag"].strip('"') == hashlib.md5(body).hexdigest()
        assert read(s3, bucket, str(size)) == body
        for start, stop in ((0, 1), (65_535, 65_537), (size // 2, size // 2 + 9), (size - 1, size)):
            if 0 <= start < size:
                assert read(s3, bucket, str(size), Range=f"bytes={start}-{stop - 1}") == body[start:stop]
    files = [path for drive in sealed.drives for path in (drive / "volumes").iterdir()]
    assert files and not any(marker[:28] in content for content in contents(files))


def contents(files: list[Path]) -> Iterator[bytes]:
    """What stands in files of a running store, but for those that have gone meanwhile."""
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            yield path.read_bytes()


def test_keys_of_clients(s3, bucket: str) -> None:
    """SSE-C: the key is needed for reading, is never told, and another one opens nothing."""
    key, body = os.urandom(32), os.urandom(200_000)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, **customer(key))
    assert put["SSECustomerKeyMD5"] == base64.b64encode(hashlib.md5(key).digest()).decode()
    assert put["ETag"].strip('"') != hashlib.md5(body).hexdigest()
    assert read(s3, bucket, "k", **customer(key)) == body
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == ("InvalidRequest", 400)
    assert code_of(s3.head_object, Bucket=bucket, Key="k")[1] == 400
    assert code_of(s3.get_object, Bucket=bucket, Key="k", **customer(os.urandom(32))) == ("AccessDenied", 403)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert code_of(s3.get_object, Bucket=bucket, Key="plain", **customer(key))[0] == "InvalidRequest"
    wrong = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(16)}
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"", **wrong)[0] == "InvalidArgument"


def test_copies_between_forms(s3, bucket: str) -> None:
    """An object is copied from any form of encryption to any other, and reads the same."""
    key, other, body = os.urandom(32), os.urandom(32), os.urandom(150_000)
    forms = {
        "own": {},
        "kms": {"ServerSideEncryption": "aws:kms"},
        "c": customer(key),
    }
    for name, form in forms.items():
        s3.put_object(Bucket=bucket, Key=name, Body=body, **form)
    for name in forms:
        source = customer(key, "CopySource") if name == "c" else {}
        for target, form in {**forms, "c": customer(other)}.items():
            s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/{name}", **source, **form)
            wanted = customer(other) if target == "c" else {}
            assert read(s3, bucket, "copy", **wanted) == body, (name, target)


def test_sealed_uploads(s3, bucket: str) -> None:
    """Parts are sealed each for itself; ranges across them and parts by number are right."""
    key, parts = os.urandom(32), [os.urandom(5 * MIB), os.urandom(5 * MIB + 1), os.urandom(70_000)]
    for form in ({}, {"ServerSideEncryption": "aws:kms"}, customer(key)):
        sent = form if "SSECustomerKey" in form else {}
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **form)["UploadId"]
        place = {"Bucket": bucket, "Key": "k", "UploadId": upload}
        etags = []
        for number, part in enumerate(parts, 1):
            for data in (b"first try", part):  # a part that is put again is sealed with another key
                etag = s3.upload_part(**place, PartNumber=number, Body=data, **sent)["ETag"]
            etags.append({"PartNumber": number, "ETag": etag})
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": etags})
        whole = b"".join(parts)
        assert read(s3, bucket, "k", **sent) == whole
        edge = 5 * MIB
        assert read(s3, bucket, "k", Range=f"bytes={edge - 3}-{edge + 3}", **sent) == whole[edge - 3 : edge + 4]
        assert read(s3, bucket, "k", PartNumber=3, **sent) == parts[2]
        copied = s3.create_multipart_upload(Bucket=bucket, Key="part")["UploadId"]
        source = customer(key, "CopySource") if sent else {}
        done = s3.upload_part_copy(
            Bucket=bucket, Key="part", UploadId=copied, PartNumber=1, CopySource=f"{bucket}/k",
            CopySourceRange=f"bytes=100-{edge + 99}", **source,
        )  # fmt: skip
        listed = {"Parts": [{"PartNumber": 1, "ETag": done["CopyPartResult"]["ETag"]}]}
        s3.complete_multipart_upload(Bucket=bucket, Key="part", UploadId=copied, MultipartUpload=listed)
        assert read(s3, bucket, "part") == whole[100 : edge + 100]


def test_buckets_with_an_encryption(s3, kms, bucket: str) -> None:
    """A bucket's encryption is used where the request says nothing, and given back as it was put."""
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    key = kms.create_key(Description="of a bucket")["KeyMetadata"]
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key["KeyId"]},
        "BucketKeyEnabled": True,
    }
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", key["Arn"])
    assert put["BucketKeyEnabled"]
    assert read(s3, bucket, "k") == b"body"
    kms.disable_key(KeyId=key["KeyId"])
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == ("KMS.DisabledException", 400)
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"") == ("KMS.DisabledException", 400)
    kms.enable_key(KeyId=key["KeyId"])
    assert read(s3, bucket, "k") == b"body"
    s3.delete_bucket_encryption(Bucket=bucket)
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"")["ServerSideEncryption"] == "AES256"


def test_life_of_a_key(kms) -> None:
    """A key is made, described, named, rotated, used, scheduled for deletion and kept."""
    made = kms.create_key(Description="d", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    key = made["KeyId"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=key)
    assert kms.describe_key(KeyId="alias/mine")["KeyMetadata"]["Arn"] == made["Arn"]
    assert key in [one["KeyId"] for one in kms.list_keys()["Keys"]]
    assert kms.list_aliases(KeyId=key)["Aliases"][0]["AliasName"] == "alias/mine"
    context = {"purpose": "test"}
    old = kms.encrypt(KeyId="alias/mine", Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
    kms.rotate_key_on_demand(KeyId=key)
    new = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
    for blob in (old, new):
        assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == b"secret"
    assert code_of(kms.decrypt, CiphertextBlob=old)[0] == "InvalidCiphertextException"
    assert (
        code_of(kms.decrypt, CiphertextBlob=old[:-1] + bytes([old[-1] ^ 1]), EncryptionContext=context)[0]
        == "InvalidCiphertextException"
    )
    data = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert len(data["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"] == data["Plaintext"]
    assert "Plaintext" not in kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256")
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    assert (
        code_of(kms.decrypt, CiphertextBlob=old, KeyId=other, EncryptionContext=context)[0] == "IncorrectKeyException"
    )
    again = kms.re_encrypt(CiphertextBlob=old, SourceEncryptionContext=context, DestinationKeyId=other)
    assert kms.decrypt(CiphertextBlob=again["CiphertextBlob"])["Plaintext"] == b"secret"
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=100)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 100
    assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
    gone = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert gone["KeyState"] == "PendingDeletion"
    assert code_of(kms.decrypt, CiphertextBlob=old, EncryptionContext=context)[0] == "KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    assert code_of(kms.describe_key, KeyId="nothing")[0] == "NotFoundException"


def test_key_policies_decide(sealed: Server, kms, s3, bucket: str) -> None:
    """Who may use a bucket may not use its key for that; the key's policy has the last word."""
    iam = sealed.client(service="iam")
    iam.create_user(UserName="reader")
    allow = {"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"}
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps({"Statement": [allow]}))
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = sealed.client(keys["AccessKeyId"], keys["SecretAccessKey"])
    key = kms.create_key()["KeyMetadata"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key["KeyId"])
    s3.put_object(Bucket=bucket, Key="default", Body=b"x", ServerSideEncryption="aws:kms")
    assert read(reader, bucket, "default") == b"x"  # AWS's own key of the account serves whoever may use the bucket
    assert code_of(reader.get_object, Bucket=bucket, Key="k") == ("AccessDenied", 403)
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key["KeyId"]}
    assert code_of(reader.put_object, Bucket=bucket, Key="k2", Body=b"", **named) == ("AccessDenied", 403)
    policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"])["Policy"])
    arn = iam.get_user(UserName="reader")["User"]["Arn"]
    policy["Statement"].append({"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "kms:Decrypt", "Resource": "*"})
    kms.put_key_policy(KeyId=key["KeyId"], Policy=json.dumps(policy))
    assert read(reader, bucket, "k") == b"x"
    assert code_of(reader.put_object, Bucket=bucket, Key="k2", Body=b"", **named) == ("AccessDenied", 403)
    with pytest.raises(ClientError, match="not allow you to update"):
        kms.put_key_policy(KeyId=key["KeyId"], Policy=json.dumps({"Statement": policy["Statement"][1:]}))


def test_keys_on_drives_are_wrapped(sealed: Server) -> None:
    """The secret of an access key stands in no file of the store once there is a keyring."""
    iam = sealed.client(service="iam")
    iam.create_user(UserName="hidden")
    secret = iam.create_access_key(UserName="hidden")["AccessKey"]["SecretAccessKey"].encode()
    found = [Path(folder) / name for drive in sealed.drives for folder, _, names in os.walk(drive) for name in names]
    assert found and not any(secret in content for content in contents(found))


def test_a_store_without_a_keyring_says_so(server: Server) -> None:
    """What cannot be encrypted is refused, not stored plain; SSE-C needs no keyring."""
    s3 = server.client()
    s3.create_bucket(Bucket="no-keyring")
    assert (
        code_of(s3.put_object, Bucket="no-keyring", Key="k", Body=b"", ServerSideEncryption="AES256")[0]
        == "NotImplemented"
    )
    assert (
        code_of(s3.put_object, Bucket="no-keyring", Key="k", Body=b"", ServerSideEncryption="aws:kms")[0]
        == "NotImplemented"
    )
    assert code_of(server.client(service="kms").create_key)[0] == "UnsupportedOperationException"
    key = os.urandom(32)
    s3.put_object(Bucket="no-keyring", Key="k", Body=b"body", **customer(key))
    assert read(s3, "no-keyring", "k", **customer(key)) == b"body"


def test_a_lost_keyring_is_not_replaced(tmp_path: Path) -> None:
    """A store that is encrypted does not start without its keyring, nor with another one."""
    keyring = tmp_path / "keyring"
    server = Server([tmp_path / "d"], "--keyring", str(keyring))
    with server:
        server.client().create_bucket(Bucket="b-1")
    kept = keyring.read_bytes()
    for options in ([], ["--keyring", str(keyring)]):
        keyring.unlink(missing_ok=True)
        server.options = options
        with pytest.raises(AssertionError, match="this store is encrypted"):
            server.start()
        assert not keyring.exists()
    keyring.write_bytes(kept)
    keyring.chmod(0o600)
    with server:
        assert server.client().list_buckets()["Buckets"]
