"""Owns UpdateObjectEncryption: another key around the key of an object, whose bytes stay as they are.

Source: AWS, "UpdateObjectEncryption" in the Amazon S3 API Reference.
"""

from msgspec.structs import replace

from pyrite.http.response import Response
from pyrite.objects.locking import check_change_of_key
from pyrite.objects.records import Encryption, ObjectRecord
from pyrite.s3.documents import empty
from pyrite.s3.encryption import Asked, encryption_headers
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.versions import version_headers, version_of


async def update_encryption(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    asked = _parse(await read_document(request))
    version = version_of(request)
    found = await service.objects.find(bucket, request.key, version)
    check_change_of_key(found, service.clock.now_ms())
    old = found.encryption
    if old is None or old.algorithm not in ("AES256", "aws:kms"):
        raise S3Error("InvalidRequest", "Only the encryption of objects under SSE-S3 or SSE-KMS is updated")
    owner = await service.owners.account_of(bucket.record.owner)
    if asked.kms_key and await service.encryptor.account_of(request, asked.kms_key) != owner:
        raise S3Error("AccessDenied", "The KMS key has to belong to the account of the bucket's owner")
    key = await service.encryptor.open(request, old)
    sealing = await service.encryptor.as_asked(request, bucket, asked, key)

    def reseal(record: ObjectRecord) -> ObjectRecord:
        check_change_of_key(record, service.clock.now_ms())
        return _resealed(record, old, sealing.encryption)

    await service.naming.amend(bucket, request.key, version, reseal)
    return empty(200, [*encryption_headers(sealing.encryption), *version_headers(bucket, found)])


def _resealed(record: ObjectRecord, old: Encryption, new: Encryption) -> ObjectRecord:
    """The record with another envelope around the same key. Raises S3Error when another object stands there now."""
    if record.encryption != old:
        raise S3Error("ConditionalRequestConflict")
    return replace(record, encryption=new)


def _parse(body: bytes) -> Asked:
    root = parse_document(body)
    kinds = [child for child in root.children if child.name in ("SSE-KMS", "SSE-S3")]
    if root.name != "ObjectEncryption" or len(kinds) != 1 or len(root.children) != 1:
        raise S3Error("MalformedXML")
    if kinds[0].name != "SSE-KMS":
        return Asked("AES256")
    arn = (kinds[0].find("KMSKeyArn") or "").strip()
    if not arn:
        raise S3Error("MalformedXML")
    return Asked("aws:kms", arn, "", (kinds[0].find("BucketKeyEnabled") or "").strip() == "true")
