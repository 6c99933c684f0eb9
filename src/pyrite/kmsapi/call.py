"""Owns a call of the KMS API: its parameters, read strictly, and what an action works with."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pyrite.core.clock import Clock
from pyrite.iam.caller import Caller
from pyrite.iam.patterns import Values
from pyrite.kms.access import check_use
from pyrite.kms.errors import InvalidKmsInput, KmsAccessRefused
from pyrite.kms.keys import KmsKeys
from pyrite.kms.records import FoundKey, KmsKeyRecord

TAGS_MAX = 50
_ACROSS_ACCOUNTS = frozenset(
    "DescribeKey GetKeyRotationStatus Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey "
    "GenerateDataKeyWithoutPlaintext".split()
)
"""What may be done with keys of other accounts. Source: AWS, "Cross-account use" of each action."""

Result = Mapping[str, Any]


class Call(NamedTuple):
    """One call. `keys_of_request` are the condition keys of the request itself."""

    action: str
    params: Mapping[str, Any]
    caller: Caller
    keys: KmsKeys
    clock: Clock
    keys_of_request: Mapping[str, Values]

    @property
    def account(self) -> str:
        """The account in which the call works: the caller's."""
        return self.caller.account

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter that is a string. Raises InvalidKmsInput."""
        value = self.params.get(name, default)
        if not isinstance(value, str):
            raise InvalidKmsInput(f"{name} is missing or is not a string")
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A parameter that is a whole number. Raises InvalidKmsInput."""
        value = self.params.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InvalidKmsInput(f"{name} must be a number from {least} to {most}")
        return value

    def blob(self, name: str, most: int) -> bytes:
        """A parameter of bytes, which come in base64. Raises InvalidKmsInput."""
        try:
            value = base64.b64decode(self.text(name), validate=True)
        except ValueError:
            raise InvalidKmsInput(f"{name} is not base64") from None
        if not 1 <= len(value) <= most:
            raise InvalidKmsInput(f"{name} must have 1 to {most} bytes")
        return value

    def context(self, name: str = "EncryptionContext") -> dict[str, str]:
        """An encryption context. Raises InvalidKmsInput."""
        value = self.params.get(name) or {}
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise InvalidKmsInput(f"{name} must map strings to strings")
        return value

    def tags(self) -> dict[str, str]:
        """The tags of the parameters. Raises InvalidKmsInput."""
        listed = self.params.get("Tags") or []
        try:
            tags = {str(tag["TagKey"]): str(tag["TagValue"]) for tag in listed}
        except (TypeError, KeyError):
            raise InvalidKmsInput("Tags must be a list of TagKey and TagValue") from None
        if len(tags) != len(listed) or any(key.lower().startswith("aws:") for key in tags):
            raise InvalidKmsInput("a key has each tag once, and none that begins with aws:")
        return check_tags(tags)

    async def key(self, parameter: str = "KeyId", action: str = "") -> FoundKey:
        """The key that a parameter names, once it is certain that the caller may do the action with it.

        Keys of other accounts are used, not managed. Raises NoSuchKmsKey, KmsAccessRefused and InvalidKmsInput.
        """
        found = await self.keys.find(self.account, self.text(parameter))
        self.check(found.record, action)
        if found.record.account != self.account and (action or self.action) not in _ACROSS_ACCOUNTS:
            raise KmsAccessRefused(f"{self.action} is not for keys of other accounts")
        return found

    async def own_key(self) -> FoundKey:
        """As `key`, for what changes the key: those that S3 made for an account are nobody's to change, as at AWS.

        Source: AWS, "AWS managed keys" in the AWS KMS Developer Guide.
        """
        found = await self.key()
        if found.record.managed_by:
            arn = self.keys.arn(found.record)
            raise KmsAccessRefused(f"{arn} is a key that S3 made for the account: its objects depend on it")
        return found

    def tag_keys(self) -> list[str]:
        """The keys of tags in the parameters. Raises InvalidKmsInput."""
        listed = self.params.get("TagKeys") or []
        if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
            raise InvalidKmsInput("TagKeys is a list of strings")
        return listed

    def keys_of_parameters(self) -> dict[str, Values]:
        """The condition keys of the tags that the call puts or takes away, and of the alias that it is about."""
        keys: dict[str, Values] = {}
        if self.action in ("CreateKey", "TagResource"):
            tags = self.tags()
            if tags:
                keys["aws:tagkeys"] = tuple(tags)
                keys |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
        elif self.action == "UntagResource" and self.params.get("TagKeys"):
            keys["aws:tagkeys"] = tuple(self.tag_keys())
        return keys

    def check(self, record: KmsKeyRecord, action: str = "", context: Mapping[str, str] | None = None) -> None:
        """Raises KmsAccessRefused unless the caller may do the action with this key."""
        keys: dict[str, Values] = {**self.keys_of_request, **self.caller.keys, **self.keys_of_parameters()}
        keys["aws:resourceaccount"] = (record.account,)
        for name, value in (context or {}).items():
            keys[f"kms:encryptioncontext:{name.lower()}"] = (value,)
        if context:
            keys["kms:encryptioncontextkeys"] = tuple(context)
        check_use(self.caller, f"kms:{action or self.action}", self.keys.arn(record), record, keys)


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    """`tags`, if a key may have them. Raises InvalidKmsInput."""
    if len(tags) > TAGS_MAX:
        raise InvalidKmsInput(f"a key has at most {TAGS_MAX} tags")
    if len({key.lower() for key in tags}) != len(tags):  # a condition could see one of them only
        raise InvalidKmsInput("tags whose keys differ only in case are one tag to policies")
    return tags


Handler = Callable[[Call], Awaitable[Result]]
