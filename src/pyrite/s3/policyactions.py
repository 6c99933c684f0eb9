"""Owns which actions there are that a bucket's policy can speak of, and on what: a mistyped one would protect nothing.

Source: AWS, "Actions, resources, and condition keys for Amazon S3" in the Service Authorization Reference.
"""

from collections.abc import Iterable

from pyrite.iam.patterns import Pattern
from pyrite.s3.operations import ALSO, HEADER_ACTIONS, OPERATIONS, VERSION_ACTIONS

_OF_OBJECTS = frozenset(
    (
        *(operation.action for operation in OPERATIONS if operation.scope == "object"),
        *VERSION_ACTIONS.values(),
        *HEADER_ACTIONS["PutObject"].values(),
        *ALSO.values(),
        "s3:BypassGovernanceRetention",
        "s3:DeleteObject",
        "s3:ReplicateDelete",
        "s3:ReplicateObject",
        "s3:ReplicateTags",
        "s3:ObjectOwnerOverrideToBucketOwner",
        "s3:GetObjectVersionForReplication",
        "s3:GetObjectVersionTorrent",
        "s3:InitiateReplication",
    )
)
_OF_BUCKETS = (
    frozenset(
        (
            *(operation.action for operation in OPERATIONS if operation.scope == "bucket"),
            *HEADER_ACTIONS["CreateBucket"].values(),
            "s3:PutReplicationConfiguration",
            "s3:CreateBucketMetadataTableConfiguration",
            "s3:DeleteBucketMetadataTableConfiguration",
            "s3:GetBucketMetadataTableConfiguration",
            "s3:UpdateBucketMetadataAnnotationTableConfiguration",
            "s3:UpdateBucketMetadataInventoryTableConfiguration",
            "s3:UpdateBucketMetadataJournalTableConfiguration",
            "s3:ListTagsForResource",
            "s3:TagResource",
            "s3:UntagResource",
        )
    )
    - _OF_OBJECTS
)


def is_known(action: str) -> bool:
    """Whether a pattern of an action, s3:... or *, stands for any."""
    return _any(action, _OF_OBJECTS) or _any(action, _OF_BUCKETS)


def fits(action: str, resources: Iterable[str]) -> bool:
    """Whether what a pattern of an action stands for can be done to any of the resources: buckets, or their objects."""
    named = [resource.rpartition(":")[2] for resource in resources]
    objects = any("/" in one or one.endswith("*") or "${" in one for one in named)
    buckets = any("/" not in one or one.startswith("*") or "${" in one for one in named)
    return (objects and _any(action, _OF_OBJECTS)) or (buckets and _any(action, _OF_BUCKETS))


def _any(action: str, known: frozenset[str]) -> bool:
    pattern = Pattern(action.lower(), False)
    return any(pattern.matches(one.lower(), None) for one in known)
