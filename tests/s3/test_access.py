"""Decisions about objects that others exchange while they are made."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from pyrite.core.clock import SystemClock
from pyrite.iam.caller import Caller
from pyrite.iam.policy import Use, parse_policy
from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import NoSuchKey
from pyrite.objects.records import Attributes, BucketRecord, ObjectRecord
from pyrite.s3.access import Access
from pyrite.s3.compat import PRESETS
from pyrite.s3.errors import S3Error
from pyrite.s3.judged import Judged

OWNER = "c" * 64
BUCKET = Bucket(1, BucketRecord(1, 1, "b", OWNER, 0), 1)
OBJECT = ObjectRecord(1, 3, "e" * 32, 1, "STANDARD", None, 1, (), Attributes(tags={"public": "yes"}), OWNER)


class Owners:
    async def account_of(self, owner: str) -> str:
        return "1" * 12


class Names:
    """Objects that are there from the `after`th look on."""

    def __init__(self, record: ObjectRecord | None, after: int = 0) -> None:
        self.record, self.looks = record, -after

    async def current(self, bucket: Bucket, key: bytes) -> Any:
        self.looks += 1
        return SimpleNamespace(record=self.record) if self.looks > 0 and self.record is not None else None

    async def find(self, bucket: Bucket, key: bytes, version: int | None) -> Any:
        found = await self.current(bucket, key)
        if found is None:
            raise NoSuchKey(key.decode())
        return found


def request(*statements: dict) -> Any:
    policy = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), Use.IDENTITY)
    caller = Caller(
        kind="User", account="1" * 12, owner=OWNER, arn="arn:aws:iam::111111111111:user/u", policies=(policy,)
    )
    return SimpleNamespace(
        id="r", caller=caller, headers={}, query={}, operation=None, bucket_name="b", judged=Judged(), needed_acl=False
    )


def access(names: Names) -> Access:
    return Access(None, names, Owners(), SystemClock(), "us-east-1", PRESETS["aws"])  # type: ignore[arg-type]


def test_an_object_that_comes_after_the_look_is_not_served() -> None:
    """Who may list but not read is told that there is no such key, whatever is put under it meanwhile."""
    asked = request({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"})
    with pytest.raises(NoSuchKey):
        asyncio.run(access(Names(OBJECT, after=1)).require(asked, "s3:GetObject", BUCKET, b"k"))
    with pytest.raises(S3Error, match="AccessDenied"):
        asyncio.run(access(Names(OBJECT)).require(asked, "s3:GetObject", BUCKET, b"k"))


def test_an_object_whose_tags_were_not_those_that_decided() -> None:
    """What an owner or grants decided holds for an object with the same; where tags did, it is decided again."""
    tagged = {"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}
    asked = request({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": tagged})
    asyncio.run(access(Names(OBJECT)).require(asked, "s3:GetObject", BUCKET, b"k"))
    asked.judged.check(BUCKET, b"k", None, replace(OBJECT, modified_ms=2, etag="f" * 32))
    asked.judged.check(BUCKET, b"other", None, replace(OBJECT, attributes=Attributes()))
    also = Attributes(tags={**OBJECT.attributes.tags, "more": "tags"})
    asked.judged.check(BUCKET, b"k", None, replace(OBJECT, attributes=also))
    with pytest.raises(S3Error, match="AccessDenied"):
        asked.judged.check(BUCKET, b"k", None, replace(OBJECT, attributes=Attributes()))
    for other in (replace(OBJECT, owner="d" * 64), replace(OBJECT, acl=())):
        with pytest.raises(S3Error, match="OperationAborted"):
            asked.judged.check(BUCKET, b"k", None, other)


def test_tags_beside_access_control_lists() -> None:
    """Where lists count as well, what was decided by tags holds for an object with the same tags alone."""
    listed = Bucket(1, replace(BUCKET.record, ownership="ObjectWriter"), 1)
    hidden = {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    asked = request(everything, {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*", "Condition": hidden})
    asyncio.run(access(Names(OBJECT)).require(asked, "s3:GetObject", listed, b"k"))
    asked.judged.check(listed, b"k", None, replace(OBJECT, etag="f" * 32))
    with pytest.raises(S3Error, match="OperationAborted"):
        asked.judged.check(listed, b"k", None, replace(OBJECT, attributes=Attributes(tags={"secret": "yes"})))


def test_what_a_write_replaces_is_asked_about_only_where_tags_count() -> None:
    """A guard decides again by the tags of what is there; without a policy that looks at them there is none."""
    kept = {"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    asked = request(everything, {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": kept})
    asyncio.run(access(Names(None)).require(asked, "s3:PutObject", BUCKET, b"k"))
    guard = asked.judged.guard(BUCKET, b"k", None)
    assert guard is not None and asked.judged.guard(BUCKET, b"other", None) is None
    guard(None)
    guard(replace(OBJECT, owner="d" * 64, acl=(), attributes=Attributes(tags={"a": "b"})))
    with pytest.raises(S3Error, match="AccessDenied"):
        guard(OBJECT)
    asked = request(everything)
    asyncio.run(access(Names(OBJECT)).require(asked, "s3:PutObject", BUCKET, b"k"))
    assert asked.judged.guard(BUCKET, b"k", None) is None


def test_an_object_that_was_not_there_when_it_was_decided() -> None:
    """A denial by tags is not evaded by an object that is put while the request is decided."""
    secret = {"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}
    asked = request(
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*", "Condition": secret},
    )
    asyncio.run(access(Names(None)).require(asked, "s3:GetObject", BUCKET, b"k"))
    with pytest.raises(S3Error, match="OperationAborted"):
        asked.judged.check(BUCKET, b"k", None, OBJECT)
