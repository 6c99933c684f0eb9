"""Owns tags on the wire: the header, the document, and what tags of objects and buckets may be.

Source: AWS, "Categorizing your storage using tags" and "Tagging buckets" in the Amazon S3 User Guide.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote_plus, urlencode

from pyrite.aws.xml import Element, element
from pyrite.s3.errors import S3Error
from pyrite.s3.schemas import parse_document

OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
KEY_MAX_CHARS, VALUE_MAX_CHARS = 128, 256

_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*\Z")

Tags = dict[str, str]


def tags_of_header(raw: bytes) -> Tags:
    """The tags in x-amz-tagging, which are written like a query. Raises S3Error."""
    pairs: list[tuple[str, str]] = []
    for part in raw.decode("utf-8", "replace").split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return _checked(pairs, OBJECT_TAGS_MAX)


def header_of(tags: Tags) -> bytes:
    """Tags as x-amz-tagging has them."""
    return urlencode(tags).encode()


def tags_of_document(body: bytes, most: int) -> Tags:
    """The tags of a Tagging document. Raises S3Error or MalformedXml."""
    root = parse_document(body)
    sets = [child for child in root.children if child.name == "TagSet"]
    if root.name != "Tagging" or len(sets) != 1 or len(root.children) != 1:
        raise S3Error("MalformedXML")
    return tags_in(sets[0], most)


def tags_in(parent: Element, most: int) -> Tags:
    """The tags that stand in an element. Raises S3Error."""
    pairs = []
    for tag in parent.children:
        key, value = tag.find("Key"), tag.find("Value")
        if tag.name != "Tag" or key is None or value is None or len(tag.children) != 2:
            raise S3Error("MalformedXML")
        pairs.append((key, value))
    return _checked(pairs, most)


def merged(tags: Mapping[str, str], more: Mapping[str, str], most: int) -> Tags:
    """The tags with some added or replaced. Raises S3Error."""
    return _checked(list({**tags, **more}.items()), most)


def _checked(pairs: list[tuple[str, str]], most: int) -> Tags:
    if len(pairs) > most:
        what = "Object" if most == OBJECT_TAGS_MAX else "Bucket"
        raise S3Error("TooManyTags", f"{what} tags cannot be greater than {most}")
    tags: Tags = {}
    for key, value in pairs:
        if not 1 <= len(key) <= KEY_MAX_CHARS or not _ALLOWED.match(key):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", (("TagKey", key),))
        if len(value) > VALUE_MAX_CHARS or not _ALLOWED.match(value):
            raise S3Error(
                "InvalidTag", "The TagValue you have provided is invalid", (("TagKey", key), ("TagValue", value))
            )
        if key in tags:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", (("TagKey", key),))
        if key.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", (("TagKey", key),))
        tags[key] = value
    if len({key.lower() for key in tags}) < len(tags):  # condition keys have no case: policies would see one of them
        raise S3Error("InvalidTag", "Cannot provide multiple Tags whose keys differ only in case")
    return tags


def tagging(tags: Mapping[str, str]) -> str:
    """The content of a Tagging document."""
    return f"<TagSet>{listed(tags)}</TagSet>"


def listed(tags: Mapping[str, str]) -> str:
    """Tags as elements."""
    return "".join(f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in sorted(tags.items()))
