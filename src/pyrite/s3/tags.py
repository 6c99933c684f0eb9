"""Owns tags on the wire: the header, the document, and what tags of objects and buckets may be.

Source: AWS, "Categorizing your storage using tags" and "Tagging buckets" in the Amazon S3 User Guide.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus, urlencode

from pyrite.aws.xml import Element, element
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.schemas import parse_document

OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
KEY_MAX_CHARS, VALUE_MAX_CHARS = 128, 256

_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*\Z")

Tags = dict[str, str]


class Rules(NamedTuple):
    """How many tags something may have, what that is called, and what is said of keys that AWS keeps for itself."""

    most: int
    what: str
    reserved: str
    names_key: bool = True


OF_OBJECT = Rules(OBJECT_TAGS_MAX, "Object", "Your TagKey cannot be prefixed with aws:")
OF_BUCKET = Rules(BUCKET_TAGS_MAX, "Bucket", "System tags cannot be added/updated by requester")
OF_NEW_BUCKET = Rules(
    BUCKET_TAGS_MAX,
    "Bucket",
    'User-defined tag keys can\'t start with "aws:". This prefix is reserved for system tags. Remove "aws:" from your '
    "tag keys and try again.",
    False,
)


def tags_of_header(raw: bytes) -> Tags:
    """The tags in x-amz-tagging, which are written like a query. Raises S3Error."""
    pairs: list[tuple[str, str]] = []
    for part in raw.decode("utf-8", "replace").split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or not all(_ALLOWED.match(text) for pair in pairs for text in pair):
        raise bad_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            "x-amz-tagging",
            raw.decode("utf-8", "replace"),
        )
    return _checked(pairs, OF_OBJECT)


def header_of(tags: Tags) -> bytes:
    """Tags as x-amz-tagging has them."""
    return urlencode(tags).encode()


def tags_of_document(body: bytes, rules: Rules) -> Tags:
    """The tags of a Tagging document. Raises S3Error or MalformedXml."""
    root = parse_document(body)
    if root.name != "Tagging" or len(root.children) > 1:
        raise S3Error("MalformedXML")
    return tags_in(root.children[0], rules) if root.children else {}


def tags_in(parent: Element, rules: Rules) -> Tags:
    """The tags that stand in an element. Raises S3Error."""
    pairs = []
    for tag in parent.children:
        key, value = tag.find("Key"), tag.find("Value")
        if tag.name != "Tag" or key is None or value is None or len(tag.children) != 2:
            raise S3Error("MalformedXML")
        pairs.append((key, value))
    return _checked(pairs, rules)


def merged(tags: Mapping[str, str], more: Mapping[str, str], rules: Rules) -> Tags:
    """The tags with some added or replaced. Raises S3Error."""
    return _checked(list({**tags, **more}.items()), rules)


def _checked(pairs: list[tuple[str, str]], rules: Rules) -> Tags:
    if len(pairs) > rules.most:
        raise S3Error("TooManyTags", f"{rules.what} tags cannot be greater than {rules.most}")
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
            raise S3Error("InvalidTag", rules.reserved, (("TagKey", key),) if rules.names_key else ())
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
