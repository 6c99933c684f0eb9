"""Owns the condition keys that stand in a request's document, which is read before the request is decided.

Source: AWS, "Actions, resources, and condition keys for Amazon S3" in the Service Authorization Reference.
"""

from collections.abc import Callable, Mapping

from pyrite.aws import xml
from pyrite.aws.dates import parse_iso
from pyrite.aws.xml import Element, MalformedXml
from pyrite.iam.patterns import Values
from pyrite.s3.errors import S3Error
from pyrite.s3.payload import read_document
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.tags import OF_BUCKET, Tags, tags_in

Keys = dict[str, Values]

_DAY_MS = 86_400_000


async def keys_of_document(request: S3Request, operation: str, now_ms: int) -> Keys:
    """The keys that the document of a request has; none where it is no such document, which its handler refuses."""
    if operation == "UntagResource":
        unwanted = tuple(tag_keys(request))
        return {"aws:tagkeys": unwanted} if unwanted else {}
    reader = _READERS.get(operation)
    if reader is None:
        return {}
    body = await read_document(request)
    try:
        return reader(xml.parse(body), now_ms) if body.strip() else {}
    except (MalformedXml, S3Error):
        return {}


def keys_of_retention(mode: str | None, until: str | None, now_ms: int) -> Keys:
    """What a retention says; the days that remain with their fraction, so that a limit is a limit."""
    keys: Keys = {}
    if mode:
        keys["s3:object-lock-mode"] = (mode,)
    until_ms = parse_iso(until) if until else None
    if until and until_ms is not None:
        keys["s3:object-lock-retain-until-date"] = (until,)
        keys["s3:object-lock-remaining-retention-days"] = (f"{(until_ms - now_ms) / _DAY_MS:.6f}",)
    return keys


def tag_keys(request: S3Request) -> list[str]:
    """The keys of the tags that UntagResource is to take away."""
    return [text_of(value) for name, value in request.target.query if name == b"tagKeys"]


def tags_asked_for(tags: Tags) -> Keys:
    """The keys of tags that a bucket is to have."""
    if not tags:
        return {}
    return {"aws:tagkeys": tuple(tags), **{f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}}


def _retention(root: Element, now_ms: int) -> Keys:
    return keys_of_retention(root.find("Mode"), root.find("RetainUntilDate"), now_ms)


def _hold(root: Element, now_ms: int) -> Keys:
    status = root.find("Status")
    return {"s3:object-lock-legal-hold": (status,)} if status else {}


def _object_tags(root: Element, now_ms: int) -> Keys:
    tags = _tags(root, "TagSet")
    keys: Keys = {f"s3:requestobjecttag/{key.lower()}": (value,) for key, value in tags.items()}
    return {**keys, "s3:requestobjecttagkeys": tuple(tags)} if tags else {}


def _bucket_tags(root: Element, now_ms: int) -> Keys:
    return tags_asked_for(_tags(root, "TagSet"))


def _resource_tags(root: Element, now_ms: int) -> Keys:
    return tags_asked_for(_tags(root, "Tags"))


def _new_bucket(root: Element, now_ms: int) -> Keys:
    location = root.find("LocationConstraint")
    return {**({"s3:locationconstraint": (location,)} if location else {}), **tags_asked_for(_tags(root, "Tags"))}


def _inventory(root: Element, now_ms: int) -> Keys:
    fields = tuple(
        field.text.strip() for part in root.children if part.name == "OptionalFields" for field in part.children
    )
    return {"s3:inventoryaccessibleoptionalfields": fields} if fields else {}


def _tags(root: Element, name: str) -> Tags:
    return next((tags_in(child, OF_BUCKET) for child in root.children if child.name == name), {})


_READERS: Mapping[str, Callable[[Element, int], Keys]] = {
    "PutObjectTagging": _object_tags,
    "PutObjectRetention": _retention,
    "PutObjectLegalHold": _hold,
    "PutBucketTagging": _bucket_tags,
    "TagResource": _resource_tags,
    "CreateBucket": _new_bucket,
    "PutBucketInventoryConfiguration": _inventory,
}
