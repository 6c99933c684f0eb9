"""Owns whether the tags of a bucket decide who may use it: attribute-based access control.

Source: AWS, PutBucketAbac in the Amazon S3 API Reference; "Using tags for attribute-based access control" in the S3
User Guide.
"""

from pyrite.aws import xml
from pyrite.core.lru import remembered
from pyrite.iam.patterns import Values
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import BucketRecord

CONFIGURATION = "abac"
_PREFIXES = ("aws:resourcetag/", "s3:buckettag/", "s3:resourcetag/")


def is_enabled(record: BucketRecord) -> bool:
    """Whether the tags of a bucket decide."""
    text = record.configurations.get(CONFIGURATION)
    return text is not None and _is_enabled(text)


@remembered
def _is_enabled(text: str) -> bool:
    return xml.parse(text.encode()).find("Status") == "Enabled"


def tags_that_count(bucket: Bucket | None, always: bool) -> dict[str, Values]:
    """The condition keys that a bucket's tags are, under the names that AWS and Ceph have for them; none where its
    tags decide nothing, unless they do `always`.
    """
    if bucket is None or not bucket.record.tags:
        return {}
    if not always and not is_enabled(bucket.record):
        return {}
    return {prefix + name.lower(): (value,) for name, value in bucket.record.tags.items() for prefix in _PREFIXES}
