"""Writes docs/operations.md: every operation of the S3 model that boto3 carries, and its state here.

`python -m tests.conformance.operations` writes the page; a test keeps it true.
"""

import sys
from pathlib import Path

import botocore.session

from pyrite.s3.operations import OPERATIONS

PAGE = Path(__file__).parent.parent.parent / "docs" / "operations.md"
SAME = {
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "ListBucketAnalyticsConfigurations": "GetBucketAnalyticsConfiguration",
    "ListBucketMetricsConfigurations": "GetBucketMetricsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetBucketIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetBucketInventoryConfiguration",
}
"""Operations that are another one of the table, told apart by less than what routes them."""

ELSEWHERE = {
    "CreateBucketMetadataConfiguration": "tables of metadata are a service of AWS's own",
    "CreateBucketMetadataTableConfiguration": "tables of metadata are a service of AWS's own",
    "DeleteBucketMetadataConfiguration": "tables of metadata are a service of AWS's own",
    "DeleteBucketMetadataTableConfiguration": "tables of metadata are a service of AWS's own",
    "GetBucketMetadataConfiguration": "tables of metadata are a service of AWS's own",
    "GetBucketMetadataTableConfiguration": "tables of metadata are a service of AWS's own",
    "UpdateBucketMetadataInventoryTableConfiguration": "tables of metadata are a service of AWS's own",
    "UpdateBucketMetadataJournalTableConfiguration": "tables of metadata are a service of AWS's own",
    "UpdateBucketMetadataAnnotationTableConfiguration": "tables of metadata are a service of AWS's own",
    "CreateSession": "directory buckets are AWS's own; here every bucket is as fast",
    "ListDirectoryBuckets": "directory buckets are AWS's own; here every bucket is as fast",
    "GetObjectTorrent": "AWS offers it no more",
}
PARTLY = {
    "GetBucketReplication": "answers that there is none; see PutBucketReplication",
    "DeleteBucketReplication": "answers that there is none any more",
    "GetObjectTorrent": "answers that there are no torrents",
    "PutBucketAnalyticsConfiguration": "kept and given back; nothing is analysed",
    "PutBucketIntelligentTieringConfiguration": "kept and given back; there is one tier",
    "PutBucketAccelerateConfiguration": "kept and given back; there is nothing to accelerate",
    "RestoreObject": "done at once: an archived object is read where its bytes stand; no SELECT in it",
    "PutBucketInventoryConfiguration": "CSV and Parquet, no ORC; no SSE-KMS; event holds and reference dates are not told",
    "PutBucketNotificationConfiguration": "topics and the operator's targets; no EventBridge",
}


NOT_YET = {"PutBucketReplication": "says what is wrong in a configuration; one that is right is refused"}


def state_of(name: str, known: set[str]) -> tuple[str, str]:
    """The state of an operation, and a remark."""
    if name in ELSEWHERE:
        return "no", ELSEWHERE[name]
    if name in NOT_YET:
        return "not yet", NOT_YET[name]
    if name in PARTLY and SAME.get(name, name) in known:
        return "in part", PARTLY[name]
    return ("yes", "") if SAME.get(name, name) in known else ("not yet", "")


def page() -> str:
    """The page."""
    model = botocore.session.get_session().get_service_model("s3")
    known = {operation.name for operation in OPERATIONS}
    rows = [(name, *state_of(name, known)) for name in sorted(model.operation_names)]
    counts = {state: sum(1 for row in rows if row[1] == state) for state in ("yes", "in part", "not yet", "no")}
    head = (
        "# The operations of S3\n\n"
        "Made from the operation table and the S3 model of boto3; `python -m tests.conformance.operations` writes it.\n"
        "Beside these there are uploads by forms (POST on a bucket), preflights (OPTIONS), and of the S3 Control API\n"
        "ListTagsForResource, TagResource and UntagResource for buckets, which Terraform needs. What is not yet there, or\n"
        "is AWS's own, answers NotImplemented.\n\n"
        + ", ".join(f"{count} {state}" for state, count in counts.items())
        + f", of {len(rows)}.\n\n| operation | here | |\n|---|---|---|\n"
    )
    return head + "".join(f"| {name} | {state} | {remark} |\n" for name, state, remark in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
