"""Owns the managed policies that every account has, as AWS names them."""

import json
from typing import Any

from pyrite.iam.errors import NoSuchEntity
from pyrite.iam.records import PolicyRecord, PolicyVersion

_OWNER = "aws"


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(*actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


_READ_S3 = ("s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*", "s3-object-lambda:List*")
_READ_IAM = (
    "iam:GenerateCredentialReport",
    "iam:GenerateServiceLastAccessedDetails",
    "iam:Get*",
    "iam:List*",
    "iam:SimulateCustomPolicy",
    "iam:SimulatePrincipalPolicy",
)

_DOCUMENTS = {
    "AdministratorAccess": _document(_allow("*")),
    "PowerUserAccess": _document(
        {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
        _allow("iam:ListRoles"),
    ),
    "ReadOnlyAccess": _document(_allow(*_READ_S3, *_READ_IAM, "kms:Describe*", "kms:Get*", "kms:List*")),
    "AmazonS3FullAccess": _document(_allow("s3:*", "s3-object-lambda:*")),
    "AmazonSNSFullAccess": _document(_allow("sns:*")),
    "AmazonSNSReadOnlyAccess": _document(_allow("sns:GetTopicAttributes", "sns:List*")),
    "AmazonS3ReadOnlyAccess": _document(_allow(*_READ_S3)),
    "IAMFullAccess": _document(_allow("iam:*")),
    "IAMReadOnlyAccess": _document(_allow(*_READ_IAM)),
    "AWSDenyAll": _document({"Sid": "DenyAll", "Effect": "Deny", "Action": "*", "Resource": "*"}),
}

BUILT_IN = {
    record.arn: record
    for record in (
        PolicyRecord(
            account=_OWNER,
            name=name,
            id="ANPA" + name.upper()[:16].ljust(16, "0"),
            versions=(PolicyVersion(1, text, 0),),
        )
        for name, text in _DOCUMENTS.items()
    )
}


def built_in(arn: str) -> PolicyRecord:
    """The managed policy of the system that `arn` names. Raises NoSuchEntity."""
    found = BUILT_IN.get(arn)
    if found is None:
        raise NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")
    return found
