"""Owns what a bucket says of who may use it, ready to be asked: its policy, its grants, its public access block."""

from typing import NamedTuple

import msgspec

from pyrite.core.lru import LruMap
from pyrite.iam.caller import Caller
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.policy import Policy, Use, parse_policy
from pyrite.iam.publicity import is_public
from pyrite.objects.buckets import DECODED_BYTES_MAX, Bucket
from pyrite.objects.records import BucketRecord, Grant

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS = (ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY)

BLOCK_ACLS, IGNORE_ACLS, BLOCK_POLICY, RESTRICT = 1, 2, 4, 8
ENFORCED = "BucketOwnerEnforced"

BOUND = "-principals"
"""A configuration of a bucket: whom its policy names, by ARN, with the unique ids that they had when it was put."""

_KEPT = 1024
_decode_bound = msgspec.json.Decoder(dict[str, str]).decode
_DENY_ALL = '{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}'
# What each permission of a bucket's access control list grants. AWS, "Access control list (ACL) overview".
_PERMISSIONS = {
    "s3:ListBucket": "READ",
    "s3:ListBucketVersions": "READ",
    "s3:ListBucketMultipartUploads": "READ",
    "s3:PutObject": "WRITE",
    "s3:DeleteObject": "WRITE",
    "s3:AbortMultipartUpload": "WRITE",
    "s3:GetBucketAcl": "READ_ACP",
    "s3:PutBucketAcl": "WRITE_ACP",
}


# The same for objects. What it does not name can be granted by policies alone.
OBJECT_PERMISSIONS = {
    "s3:GetObject": "READ",
    "s3:GetObjectVersion": "READ",
    "s3:GetObjectAcl": "READ_ACP",
    "s3:GetObjectVersionAcl": "READ_ACP",
    "s3:PutObjectAcl": "WRITE_ACP",
    "s3:PutObjectVersionAcl": "WRITE_ACP",
    "s3:GetObjectAttributes": "",
    "s3:GetObjectVersionAttributes": "",
    "s3:GetObjectTagging": "",
    "s3:GetObjectVersionTagging": "",
    "s3:PutObjectTagging": "",
    "s3:PutObjectVersionTagging": "",
    "s3:DeleteObjectTagging": "",
    "s3:DeleteObjectVersionTagging": "",
    "s3:PutObjectAnnotation": "",
    "s3:PutObjectVersionAnnotation": "",
    "s3:GetObjectAnnotation": "",
    "s3:GetObjectVersionAnnotation": "",
    "s3:ListObjectAnnotations": "",
    "s3:ListObjectVersionAnnotations": "",
    "s3:DeleteObjectAnnotation": "",
    "s3:DeleteObjectVersionAnnotation": "",
    "s3:GetObjectRetention": "",
    "s3:PutObjectRetention": "",
    "s3:GetObjectLegalHold": "",
    "s3:PutObjectLegalHold": "",
}


class BucketRules(NamedTuple):
    """The rules of a bucket. `restricted`: its policy is public, and so counts for its own account alone; `has_acls`:
    access control lists count.
    """

    owner: str
    policy: Policy | None
    grants: tuple[Grant, ...]
    ignores_public: bool
    restricted: bool
    has_acls: bool

    def grants_to(self, caller: Caller, action: str) -> bool:
        """Whether the access control list lets the caller's account, or everybody, do this."""
        wanted = _PERMISSIONS.get(action)
        return wanted is not None and self._grant(self.grants, caller, wanted)

    def object_grants_to(self, grants: tuple[Grant, ...], caller: Caller, action: str) -> bool:
        """Whether an object's access control list lets the caller's account, or everybody, do this."""
        wanted = OBJECT_PERMISSIONS.get(action)
        return bool(wanted) and self._grant(grants, caller, wanted or "")

    def _grant(self, grants: tuple[Grant, ...], caller: Caller, wanted: str) -> bool:
        return any(
            grant.permission in (wanted, "FULL_CONTROL") and self._is_meant(grant.grantee, caller) for grant in grants
        )

    def _is_meant(self, grantee: str, caller: Caller) -> bool:
        if grantee == ALL_USERS:
            return not self.ignores_public
        if grantee == AUTHENTICATED_USERS:
            return not self.ignores_public and not caller.is_anonymous
        return bool(caller.owner) and grantee == caller.owner


class Rulebook:
    """The rules of buckets, compiled once for each version of their records."""

    def __init__(self) -> None:
        self._compiled: LruMap[int, tuple[int, BucketRules]] = LruMap(_KEPT, weight_max=DECODED_BYTES_MAX)

    def of(self, bucket: Bucket) -> BucketRules:
        """The rules of a bucket."""
        known = self._compiled.get(bucket.id)
        if known is not None and known[0] == bucket.version:
            return known[1]
        rules = _compile(bucket)
        self._compiled.put(bucket.id, (bucket.version, rules), 2 * bucket.weight)
        return rules


def bound_of(record: BucketRecord) -> dict[str, str]:
    """The unique ids of those that the policy of a bucket names."""
    return _decode_bound(record.configurations.get(BOUND, "{}"))


def _compile(bucket: Bucket) -> BucketRules:
    record = bucket.record
    policy = None
    if record.policy:
        try:
            policy = parse_policy(record.policy, Use.RESOURCE, "bucket policy", bound=bound_of(record))
        except MalformedPolicy:  # it was valid when it was put: fail closed
            policy = parse_policy(_DENY_ALL, Use.RESOURCE, "unreadable bucket policy")
    block = max(record.public_block, 0)
    grants = () if record.ownership == ENFORCED else record.acl or ()
    restricted = bool(block & RESTRICT) and policy is not None and is_public(policy)
    has_acls = record.ownership != ENFORCED
    return BucketRules(record.owner, policy, grants, bool(block & IGNORE_ACLS), restricted, has_acls)
