"""Tiers: lifecycle moves bytes to folders and to other stores, where they are read, shared, and given up."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.conformance.test_boto3 import code_of
from tests.server import ACCESS_KEY, SECRET_KEY, Server, wait_until


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    with Server([tmp_path_factory.mktemp("other") / "d"]) as server:
        server.client().create_bucket(Bucket="cold")
        yield server


@pytest.fixture(scope="module", params=[pytest.param("plain", marks=pytest.mark.long), "sealed"])
def own(request, tmp_path_factory, other: Server):
    folder = tmp_path_factory.mktemp("tiers")
    (folder / "tiers.toml").write_text(
        f'[[tier]]\nname = "shelf"\nclass = "STANDARD_IA"\nkind = "folder"\npath = "{folder / "shelf"}"\n'
        f'[[tier]]\nname = "far"\nclass = "GLACIER"\nkind = "s3"\nbucket = "cold"\nprefix = "of-store"\n'
        f'endpoint = "{other.endpoint}"\naccess_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
    )
    more = ("--keyring", str(folder / "keyring")) if request.param == "sealed" else ()
    options = ("--tiers", str(folder / "tiers.toml"), *more)
    with Server([folder / "d"], *options, environment={"PYRITE_LIFECYCLE_DAY_S": "24"}) as server:
        server.folder = folder / "shelf"
        yield server


@pytest.fixture(scope="module")
def s3(own: Server):
    client = own.client()
    client.create_bucket(Bucket="tiered")
    rules = [
        {"ID": name, "Status": "Enabled", "Filter": {"And": {"Prefix": f"{name}/", "ObjectSizeLessThan": 50 << 40}},  # small ones, too
         "Transitions": [{"Days": 0, "StorageClass": storage_class}]}
        for name, storage_class in (("shelf", "STANDARD_IA"), ("far", "GLACIER"))
    ]  # fmt: skip
    client.put_bucket_lifecycle_configuration(Bucket="tiered", LifecycleConfiguration={"Rules": rules})
    return client


def class_of(s3, key: str) -> str:
    return s3.head_object(Bucket="tiered", Key=key).get("StorageClass", "STANDARD")


def read(s3, key: str, **more) -> bytes:
    return s3.get_object(Bucket="tiered", Key=key, **more)["Body"].read()


def shelved(own: Server) -> list[Path]:
    return [path for path in own.folder.rglob("*") if path.is_file() and path.suffix != ".mark"]


def test_a_folder(own: Server, s3) -> None:
    """What was put whole, in parts, and by appends moves to the folder and reads as before; what is deleted leaves it."""
    whole, parts, tail = os.urandom(3_000_000), os.urandom(5 << 20), os.urandom(150_000)
    put = s3.put_object(Bucket="tiered", Key="shelf/whole", Body=whole, Metadata={"a": "b"})
    s3.put_object(Bucket="tiered", Key="shelf/small", Body=b"small")
    s3.put_object(Bucket="tiered", Key="shelf/empty", Body=b"")
    upload = s3.create_multipart_upload(Bucket="tiered", Key="shelf/parts")["UploadId"]
    etags = [
        s3.upload_part(Bucket="tiered", Key="shelf/parts", UploadId=upload, PartNumber=n, Body=body)["ETag"]
        for n, body in ((1, parts), (2, tail))
    ]
    listed = {"Parts": [{"PartNumber": n + 1, "ETag": etag} for n, etag in enumerate(etags)]}
    s3.complete_multipart_upload(Bucket="tiered", Key="shelf/parts", UploadId=upload, MultipartUpload=listed)
    s3.copy_object(Bucket="tiered", Key="stays", CopySource="tiered/shelf/whole")
    keys = ("shelf/whole", "shelf/small", "shelf/empty", "shelf/parts")
    wait_until(lambda: all(class_of(s3, key) == "STANDARD_IA" for key in keys))
    assert len(shelved(own)) == 4  # a blob each, and two of the upload
    assert (read(s3, "shelf/whole"), read(s3, "shelf/small"), read(s3, "shelf/empty")) == (whole, b"small", b"")
    assert read(s3, "shelf/parts") == parts + tail and read(s3, "stays") == whole
    assert read(s3, "shelf/parts", Range=f"bytes={(5 << 20) - 5}-{(5 << 20) + 4}") == parts[-5:] + tail[:5]
    head = s3.head_object(Bucket="tiered", Key="shelf/whole")
    assert (head["ETag"], head["Metadata"]) == (put["ETag"], {"a": "b"})
    s3.put_object(Bucket="tiered", Key="shelf/whole", Body=b"more", WriteOffsetBytes=len(whole))
    assert read(s3, "shelf/whole") == whole + b"more"
    s3.copy_object(Bucket="tiered", Key="kept", CopySource="tiered/shelf/parts", StorageClass="STANDARD_IA")
    for key in keys:
        s3.delete_object(Bucket="tiered", Key=key)
    wait_until(lambda: len(shelved(own)) == 2, 60)  # those of the copy
    assert read(s3, "kept") == parts + tail
    s3.delete_object(Bucket="tiered", Key="kept")
    wait_until(lambda: not shelved(own))


def test_what_is_put_into_a_class(own: Server, s3) -> None:
    """What is put or copied into a class of a tier goes there without a rule, and what is copied out of it comes back."""
    s3.create_bucket(Bucket="classes")
    s3.put_bucket_versioning(Bucket="classes", VersioningConfiguration={"Status": "Enabled"})
    body, old = os.urandom(700_000), os.urandom(200_000)
    s3.put_object(Bucket="classes", Key="put", Body=old, StorageClass="STANDARD_IA")
    put = s3.put_object(Bucket="classes", Key="put", Body=body, StorageClass="STANDARD_IA", Metadata={"a": "b"})
    s3.put_object(Bucket="classes", Key="source", Body=body)
    s3.copy_object(Bucket="classes", Key="copied", CopySource="classes/source", StorageClass="STANDARD_IA")
    upload = s3.create_multipart_upload(Bucket="classes", Key="parts", StorageClass="STANDARD_IA")["UploadId"]
    part = s3.upload_part(Bucket="classes", Key="parts", UploadId=upload, PartNumber=1, Body=body)["ETag"]
    listed = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(Bucket="classes", Key="parts", UploadId=upload, MultipartUpload=listed)
    wait_until(lambda: len(shelved(own)) == 4)
    got = s3.get_object(Bucket="classes", Key="put")
    assert (got["Body"].read(), got["VersionId"], got["Metadata"]) == (body, put["VersionId"], {"a": "b"})
    for key in ("copied", "parts", "source"):
        assert s3.get_object(Bucket="classes", Key=key)["Body"].read() == body
    for key in ("put", "parts"):
        s3.copy_object(Bucket="classes", Key="back-" + key, CopySource=f"classes/{key}", StorageClass="STANDARD")
    for version in s3.list_object_versions(Bucket="classes")["Versions"]:
        if not version["Key"].startswith("back-"):
            s3.delete_object(Bucket="classes", Key=version["Key"], VersionId=version["VersionId"])
    wait_until(lambda: not shelved(own))
    for key in ("back-put", "back-parts"):
        head = s3.get_object(Bucket="classes", Key=key)
        assert head["Body"].read() == body and head.get("StorageClass", "STANDARD") == "STANDARD"


def test_another_store(own: Server, other: Server, s3) -> None:
    """Archives stand at another store, as they were sealed; they are read once they are restored."""
    body = os.urandom(9_000_000)
    s3.put_object(Bucket="tiered", Key="far/a", Body=body)
    wait_until(lambda: class_of(s3, "far/a") == "GLACIER")
    far = other.client()
    objects = far.list_objects_v2(Bucket="cold", Prefix="of-store/").get("Contents", [])
    assert len(objects) == 1
    sealed = far.get_object(Bucket="cold", Key=objects[0]["Key"])["Body"].read()
    assert (sealed[: len(body)] == body) == ("keyring" not in " ".join(map(str, own.options)))
    assert code_of(s3.get_object, Bucket="tiered", Key="far/a") == ("InvalidObjectState", 403)
    s3.restore_object(Bucket="tiered", Key="far/a", RestoreRequest={"Days": 1})
    assert hashlib.md5(read(s3, "far/a")).digest() == hashlib.md5(body).digest()
    assert read(s3, "far/a", Range="bytes=8500000-8500009") == body[8_500_000:8_500_010]
    other.stop()
    assert code_of(s3.get_object, Bucket="tiered", Key="far/a", Range="bytes=0-9")[1] >= 500
    s3.put_object(Bucket="tiered", Key="far/b", Body=b"waits")
    other.start()
    assert read(s3, "far/a", Range="bytes=0-9") == body[:10]
    wait_until(lambda: class_of(s3, "far/b") == "GLACIER")
    s3.delete_object(Bucket="tiered", Key="far/a")
    s3.delete_object(Bucket="tiered", Key="far/b")
    wait_until(lambda: not far.list_objects_v2(Bucket="cold").get("Contents"))


def test_damage_in_a_tier_is_seen(own: Server, s3) -> None:
    """A byte that has changed in the tier is not sent to anybody, and a range beside it still is."""
    body = os.urandom(3 << 20)
    s3.put_object(Bucket="tiered", Key="shelf/damaged", Body=body)
    wait_until(lambda: class_of(s3, "shelf/damaged") == "STANDARD_IA")
    (file,) = shelved(own)
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(Exception, match=r"InternalError|IncompleteRead|Connection"):
        read(s3, "shelf/damaged")
    assert read(s3, "shelf/damaged", Range="bytes=2500000-2600000") == body[2_500_000:2_600_001]
    s3.delete_object(Bucket="tiered", Key="shelf/damaged")
    wait_until(lambda: not shelved(own))


def test_a_folder_that_is_not_mounted(own: Server, s3) -> None:
    """An empty folder in the place of a tier is not written to; what stands in the tier is told to be away, and comes back."""
    s3.put_object(Bucket="tiered", Key="shelf/first", Body=b"x" * 300_000)
    wait_until(lambda: class_of(s3, "shelf/first") == "STANDARD_IA")
    away = own.folder.with_name("away")
    own.stop()
    own.folder.rename(away)
    own.folder.mkdir()
    own.start()
    wait_until(lambda: "is it mounted" in own.log.read_text())
    assert code_of(s3.get_object, Bucket="tiered", Key="shelf/first")[1] == 503
    s3.put_object(Bucket="tiered", Key="shelf/second", Body=b"y" * 300_000)
    wait_until(lambda: "background_step_failed" in own.log.read_text())
    assert class_of(s3, "shelf/second") == "STANDARD" and not shelved(own)
    assert read(s3, "shelf/second") == b"y" * 300_000
    own.folder.rmdir()
    away.rename(own.folder)
    wait_until(lambda: class_of(s3, "shelf/second") == "STANDARD_IA")
    assert (read(s3, "shelf/first"), read(s3, "shelf/second")) == (b"x" * 300_000, b"y" * 300_000)
    for key in ("shelf/first", "shelf/second"):
        s3.delete_object(Bucket="tiered", Key=key)
    wait_until(lambda: not shelved(own))
