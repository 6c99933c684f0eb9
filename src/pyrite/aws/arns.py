"""Owns Amazon Resource Names: taking them apart. Pure.

Source: AWS, "Identify AWS resources with Amazon Resource Names" in the IAM User Guide.
"""

from typing import NamedTuple

from pyrite.core.errors import PyriteError

PARTITION = "aws"


class MalformedArn(PyriteError):
    """What should be an ARN is none."""


class Arn(NamedTuple):
    """The fields of `arn:partition:service:region:account:resource`; the resource may contain colons."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn:
    """The fields of `text`. Raises MalformedArn."""
    fields = text.split(":", 5)
    if len(fields) != 6 or fields[0] != "arn":
        raise MalformedArn(f"{text!r} is not an ARN")
    return Arn(*fields[1:])


def iam_arn(account: str, resource: str) -> str:
    """The ARN of an identity: a user, group, role, policy or provider, or `root`."""
    return f"arn:{PARTITION}:iam::{account}:{resource}"


def bucket_arn(bucket: str, key: str = "") -> str:
    """The ARN of a bucket, or of an object in it."""
    return f"arn:{PARTITION}:s3:::{bucket}/{key}" if key else f"arn:{PARTITION}:s3:::{bucket}"
