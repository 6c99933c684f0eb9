"""Appends as boto3 users see them: offsets, versions, copies, sealed objects, checksums; the store is checked after."""

import base64
import os
import threading
import zlib

import pytest

from tests.conformance.test_boto3 import code_of
from tests.conformance.test_iam import client
from tests.server import Server


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("appended")
    with Server([folder / "d"], "--keyring", str(folder / "keyring")) as server:
        yield server


@pytest.fixture(scope="module")
def s3(own: Server):
    client = own.client()
    client.create_bucket(Bucket="appended")
    return client


def read(s3, key: str, **more) -> bytes:
    return s3.get_object(Bucket="appended", Key=key, **more)["Body"].read()


def append(s3, key: str, body: bytes, offset: int, **more):
    return s3.put_object(Bucket="appended", Key=key, Body=body, WriteOffsetBytes=offset, **more)


def test_a_log_grows(s3) -> None:
    """An object made at offset 0 grows line by line over pages of parts; every part and range of it can be read."""
    lines = [b"line %d\n" % n for n in range(300)]
    whole = b""
    for line in lines:
        done = append(s3, "log", line, len(whole))
        whole += line
        if whole != line:
            assert done["Size"] == len(whole)
    assert read(s3, "log") == whole
    assert read(s3, "log", Range="bytes=1000-1999") == whole[1000:2000]
    head = s3.head_object(Bucket="appended", Key="log", ChecksumMode="ENABLED")
    assert head["ContentLength"] == len(whole) and head["ETag"] == done["ETag"] and head["ETag"].endswith('-300"')
    assert head["ChecksumCRC32"] == base64.b64encode(zlib.crc32(whole).to_bytes(4, "big")).decode()
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert read(s3, "log", PartNumber=131) == lines[130]


def test_offsets_and_refusals(s3) -> None:
    """Only the end of the object is an offset; what an append cannot change is refused; nothing is changed by that."""
    assert code_of(append, s3, "refused", b"x", 1) == ("InvalidWriteOffset", 400)
    append(s3, "refused", b"one", 0, Metadata={"a": "b"}, ContentType="text/plain")
    for offset in (0, 2, 4, 10**17):
        assert code_of(append, s3, "refused", b"x", offset) == ("InvalidWriteOffset", 400)
    assert code_of(append, s3, "refused", b"x", 3, Metadata={"c": "d"}) == ("InvalidRequest", 400)
    assert code_of(append, s3, "refused", b"x", 3, Tagging="a=b") == ("InvalidRequest", 400)
    assert code_of(append, s3, "refused", b"x", 3, StorageClass="GLACIER_IR") == ("InvalidRequest", 400)
    assert code_of(append, s3, "refused", b"x", 3, ServerSideEncryption="aws:kms") == ("EncryptionTypeMismatch", 400)
    assert code_of(append, s3, "refused", b"x", 3, IfMatch='"other"') == ("PreconditionFailed", 412)
    assert code_of(append, s3, "refused", b"x", 3, IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert code_of(append, s3, "refused", b"x", 3, ChecksumCRC32="AAAAAA==")[0] == "BadDigest"
    assert read(s3, "refused") == b"one"
    append(s3, "refused", b"", 3)
    append(s3, "refused", b"two", 3, ContentType="other/type")
    found = s3.get_object(Bucket="appended", Key="refused")
    assert (found["Body"].read(), found["Metadata"], found["ContentType"]) == (b"onetwo", {"a": "b"}, "text/plain")


def test_large_and_multipart_objects_grow(s3) -> None:
    """What was put whole or in parts grows without being written again, and so does its copy, apart from it."""
    first, second, tail = os.urandom(5 << 20), os.urandom(300_000), os.urandom(200_000)
    upload = s3.create_multipart_upload(Bucket="appended", Key="parts")["UploadId"]
    parts = []
    for number, body in ((3, first), (7, second)):
        given = {"Bucket": "appended", "Key": "parts", "UploadId": upload, "PartNumber": number}
        parts.append({"PartNumber": number, "ETag": s3.upload_part(**given, Body=body)["ETag"]})
    s3.complete_multipart_upload(
        Bucket="appended", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )  # fmt: skip
    s3.put_object(Bucket="appended", Key="whole", Body=first)
    for key, base in (("parts", first + second), ("whole", first)):
        s3.copy_object(Bucket="appended", Key=key + "-copy", CopySource=f"appended/{key}")
        append(s3, key, tail, len(base))
        append(s3, key + "-copy", b"other", len(base))
        append(s3, key + "-copy", tail, len(base) + 5)
        s3.copy_object(Bucket="appended", Key=key + "-again", CopySource=f"appended/{key}-copy")
        append(s3, key, b"more", len(base) + len(tail))
        assert read(s3, key) == base + tail + b"more"
        s3.delete_object(Bucket="appended", Key=key)
        assert read(s3, key + "-copy") == base + b"other" + tail == read(s3, key + "-again")
        wanted = f"bytes={len(base) - 10}-{len(base) + 9}"
        assert read(s3, key + "-again", Range=wanted) == base[-10:] + b"other" + tail[:5]


def test_versions_stay(s3) -> None:
    """Where versions are kept every append makes one, and those before stay what they were."""
    s3.create_bucket(Bucket="appended-versions")
    s3.put_bucket_versioning(Bucket="appended-versions", VersioningConfiguration={"Status": "Enabled"})
    whole, versions = b"", []
    for n in range(5):
        body = b"%d" % n * 5000
        done = s3.put_object(Bucket="appended-versions", Key="k", Body=body, WriteOffsetBytes=len(whole))
        whole += body
        versions.append((done["VersionId"], whole))
    s3.delete_object(Bucket="appended-versions", Key="k", VersionId=versions.pop(1)[0])
    s3.delete_object(Bucket="appended-versions", Key="k", VersionId=versions.pop()[0])
    for version, content in versions:
        found = s3.get_object(Bucket="appended-versions", Key="k", VersionId=version)
        assert found["Body"].read() == content
    assert s3.get_object(Bucket="appended-versions", Key="k")["VersionId"] == versions[-1][0]


def test_sealed_objects_grow(s3) -> None:
    """Under a KMS key or the client's own, what is appended is sealed too, and takes the same key."""
    s3.put_object(Bucket="appended", Key="kms", Body=b"a" * 70_000, ServerSideEncryption="aws:kms")
    append(s3, "kms", b"b" * 70_000, 70_000)
    found = s3.get_object(Bucket="appended", Key="kms")
    assert found["Body"].read() == b"a" * 70_000 + b"b" * 70_000 and found["ServerSideEncryption"] == "aws:kms"
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    s3.put_object(Bucket="appended", Key="own", Body=b"a", **own)
    assert code_of(append, s3, "own", b"b", 1)[0] == "InvalidRequest"
    other = {**own, "SSECustomerKey": os.urandom(32)}
    assert code_of(append, s3, "own", b"b", 1, **other) == ("AccessDenied", 403)
    append(s3, "own", b"b", 1, **own)
    assert read(s3, "own", **own) == b"ab"


def test_checksums_that_cannot_grow(s3) -> None:
    """An object whose checksum is no CRC loses it, and its parts keep theirs."""
    s3.put_object(Bucket="appended", Key="sha", Body=b"a", ChecksumAlgorithm="SHA256")
    append(s3, "sha", b"b", 1, ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket="appended", Key="sha", ChecksumMode="ENABLED")
    assert not any(name.startswith("Checksum") for name in head)
    copied = s3.copy_object(Bucket="appended", Key="sha-copy", CopySource="appended/sha")["CopyObjectResult"]
    assert copied["ChecksumType"] == "FULL_OBJECT" and read(s3, "sha-copy") == b"ab"


def test_writers_race(own: Server, s3) -> None:
    """Of writers that append at once, one wins each offset: no line is lost, doubled or torn."""
    accepted: list[bytes] = []

    def write(name: bytes) -> None:
        client, done = own.client(), 0
        while done < 20:
            try:
                size = client.head_object(Bucket="appended", Key="race")["ContentLength"]
                line = name + b"-%d\n" % done
                client.put_object(Bucket="appended", Key="race", Body=line, WriteOffsetBytes=size)
            except client.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] in ("InvalidWriteOffset", "ConditionalRequestConflict")
                continue
            accepted.append(line)
            done += 1

    append(s3, "race", b"start\n", 0)
    writers = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = read(s3, "race").splitlines(keepends=True)
    assert sorted(found[1:]) == sorted(accepted) and len(accepted) == 60


def test_copies_of_what_changes(s3) -> None:
    """An object that is appended to or overwritten all the time can be copied: each copy is what it was at a moment."""
    ends = threading.Event()
    append(s3, "grows", b"0", 0)
    s3.put_object(Bucket="appended", Key="changes", Body=b"0")

    def grow() -> None:
        size = 1
        while not ends.is_set() and size < 400:
            append(s3, "grows", b"%d" % (size % 10), size)
            s3.put_object(Bucket="appended", Key="changes", Body=b"%d" % size)
            size += 1

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for n in range(20):
            for key in ("grows", "changes"):
                s3.copy_object(Bucket="appended", Key=f"of-{key}-{n}", CopySource=f"appended/{key}")
    finally:
        ends.set()
        writer.join()
    digits = b"0123456789" * 40
    for n in range(20):
        body = read(s3, f"of-grows-{n}")
        assert body == digits[: len(body)] and read(s3, f"of-changes-{n}").isdigit()


def test_the_key_by_any_of_its_names(own: Server, s3) -> None:
    """An append may name the key with which the object was made as the one before it did, and no other key."""
    kms = client(own, "kms")
    key, other = (kms.create_key()["KeyMetadata"] for _ in range(2))
    kms.create_alias(AliasName="alias/appends", TargetKeyId=key["KeyId"])
    sealed = {"ServerSideEncryption": "aws:kms"}
    for n, name in enumerate((key["KeyId"], "alias/appends", key["Arn"])):
        append(s3, "by-any-name", b"%d" % n, n, **sealed, SSEKMSKeyId=name)
    assert read(s3, "by-any-name") == b"012"
    refused = code_of(append, s3, "by-any-name", b"3", 3, **sealed, SSEKMSKeyId=other["KeyId"])
    assert refused == ("EncryptionTypeMismatch", 400)


def test_a_copy_counts_parts_anew(s3) -> None:
    """What has grown by more appends than an upload has parts is one part in its copy, as AWS says one may begin anew."""
    for n in range(1030):
        append(s3, "many", b"%d" % (n % 10), n)
    s3.copy_object(Bucket="appended", Key="anew", CopySource="appended/many")
    assert read(s3, "anew") == read(s3, "many") == b"0123456789" * 103
    parts = s3.head_object(Bucket="appended", Key="anew", PartNumber=1)
    assert parts.get("PartsCount") is None and parts["ContentLength"] == 1030
    append(s3, "anew", b"x", 1030)
    assert read(s3, "anew").endswith(b"9x")
