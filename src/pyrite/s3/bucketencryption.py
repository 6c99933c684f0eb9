"""Owns the encryption that a bucket asks for of new objects: the document, and what it means."""

from typing import NamedTuple

from pyrite.aws import xml
from pyrite.aws.xml import Element, element
from pyrite.core.lru import remembered
from pyrite.objects.buckets import Bucket
from pyrite.s3.errors import S3Error, bad_argument

_ALGORITHMS = ("AES256", "aws:kms", "aws:kms:dsse")


class DefaultEncryption(NamedTuple):
    """What new objects get where their requests say nothing."""

    algorithm: str
    kms_key: str = ""
    bucket_key: bool = False
    blocks_customer_keys: bool = False


def default_of(bucket: Bucket) -> DefaultEncryption | None:
    """The encryption that a bucket asks for; None where it is not configured."""
    text = bucket.record.configurations.get("encryption")
    return None if text is None else _parsed(text)


@remembered
def _parsed(text: str) -> DefaultEncryption:
    return parse(xml.parse(text.encode()))


def parse(root: Element) -> DefaultEncryption:
    """What a ServerSideEncryptionConfiguration says. Raises S3Error."""
    rules = [child for child in root.children if child.name == "Rule"]
    if root.name != "ServerSideEncryptionConfiguration" or len(rules) != 1 or len(root.children) != 1:
        raise S3Error("MalformedXML")
    rule = rules[0]
    defaults = [child for child in rule.children if child.name == "ApplyServerSideEncryptionByDefault"]
    algorithm, kms_key = "AES256", ""
    if defaults:
        algorithm = (defaults[0].find("SSEAlgorithm") or "").strip()
        kms_key = (defaults[0].find("KMSMasterKeyID") or "").strip()
    elif not any(child.name in ("BucketKeyEnabled", "BlockedEncryptionTypes") for child in rule.children):
        raise S3Error("MalformedXML")
    if algorithm not in _ALGORITHMS:
        raise S3Error("MalformedXML")
    if kms_key and algorithm == "AES256":
        raise bad_argument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            "ApplyServerSideEncryptionByDefault",
        )
    blocked = [child for child in rule.children if child.name == "BlockedEncryptionTypes"]
    kinds = [kind.text for child in blocked for kind in child.children]
    if any(kind not in ("SSE-C", "NONE") for kind in kinds):
        raise S3Error("MalformedXML")
    if (rule.find("BucketKeyEnabled") or "false").strip() not in ("true", "false"):
        raise S3Error("MalformedXML")
    return DefaultEncryption(
        algorithm, kms_key, (rule.find("BucketKeyEnabled") or "").strip() == "true", "SSE-C" in kinds
    )


def written(default: DefaultEncryption) -> str:
    """The document of a configuration, without its declaration."""
    key = element("KMSMasterKeyID", default.kms_key) if default.kms_key else ""
    by_default = f"<SSEAlgorithm>{default.algorithm}</SSEAlgorithm>{key}"
    blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
    return (
        f"<Rule><ApplyServerSideEncryptionByDefault>{by_default}</ApplyServerSideEncryptionByDefault>"
        f"<BucketKeyEnabled>{str(default.bucket_key).lower()}</BucketKeyEnabled>"
        f"{blocked if default.blocks_customer_keys else ''}</Rule>"
    )
