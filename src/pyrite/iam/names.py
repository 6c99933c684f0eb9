"""Owns names, ids, secrets and tags of identities: what they may look like, and how they are made.

Source: AWS, "IAM and AWS STS quotas, name requirements, and character limits".
"""

import base64
import re
from collections.abc import Mapping

from pyrite.core.entropy import Entropy
from pyrite.iam.errors import InvalidInput, LimitExceeded

PATH_MAX_CHARS = 512
TAGS_MAX = 50
NAME_MAX_CHARS = {"user": 64, "role": 64, "group": 128, "policy": 128, "inline": 128}

_NAME = re.compile(r"[\w+=,.@-]+\Z", re.ASCII)
_PATH = re.compile(r"/(?:[\x21-\x7e]*/)?\Z")
_TAG = re.compile(r"[\w\s.:/=+\-@]*\Z")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}\Z")


def check_name(kind: str, name: str) -> str:
    """`name`, if an entity of this kind may be called so. Raises InvalidInput."""
    limit = NAME_MAX_CHARS[kind]
    if not 1 <= len(name) <= limit or not _NAME.match(name):
        what = "policy" if kind == "inline" else kind
        raise InvalidInput(f"The name of a {what} has 1 to {limit} of the characters A-Z a-z 0-9 + = , . @ - _")
    return name


def check_path(path: str) -> str:
    """`path`, if it begins and ends with a slash. Raises InvalidInput."""
    if len(path) > PATH_MAX_CHARS or not _PATH.match(path):
        raise InvalidInput("A path begins and ends with / and has at most 512 printable characters")
    return path


def check_email(email: str) -> str:
    """`email`, if it could be an address. Raises InvalidInput."""
    if email and not _EMAIL.match(email):
        raise InvalidInput(f"{email!r} is not an e-mail address")
    return email


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """`tags`, if they may be put on an identity. Raises InvalidInput or LimitExceeded."""
    if len(tags) > TAGS_MAX:
        raise LimitExceeded(f"The number of tags has reached the maximum limit of {TAGS_MAX}")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or not _TAG.match(key) or not _TAG.match(value):
            raise InvalidInput(f"The tag {key!r} has characters that tags may not have, or is too long")
        if key.lower().startswith("aws:"):
            raise InvalidInput("Tags beginning with aws: belong to the system")
    if len({key.lower() for key in tags}) != len(tags):
        raise InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return dict(tags)


def new_id(entropy: Entropy, prefix: str) -> str:
    """An id like AWS's: a prefix that tells the kind, and 16 characters that nobody can guess."""
    return prefix + base64.b32encode(entropy.bytes(10)).decode("ascii")


def new_secret(entropy: Entropy) -> str:
    """A secret access key of 40 characters."""
    return base64.b64encode(entropy.bytes(30)).decode("ascii")


def new_account_id(entropy: Entropy) -> str:
    """A 12-digit account id."""
    return str(100_000_000_000 + int.from_bytes(entropy.bytes(8), "big") % 900_000_000_000)
