"""Owns a call of the KMS API: its parameters, read strictly, and what an action works with."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pyrite.core.clock import Clock
from pyrite.iam.caller import Caller
from pyrite.iam.patterns import Values
from pyrite.kms.access import check_use
from pyrite.kms.errors import InvalidKmsInput
from pyrite.kms.keys import FoundKey, KmsKeys
from pyrite.kms.records import KmsKeyRecord

TAGS_MAX = 50

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
        if len(tags) != len(listed) or len(tags) > TAGS_MAX or any(key.startswith("aws:") for key in tags):
            raise InvalidKmsInput(f"a key has at most {TAGS_MAX} tags, each once, and none that begins with aws:")
        return tags

    async def key(self, parameter: str = "KeyId", action: str = "") -> FoundKey:
        """The key that a parameter names, once it is certain that the caller may do the action with it.

        Raises NoSuchKmsKey, KmsAccessRefused and InvalidKmsInput.
        """
        found = await self.keys.find(self.account, self.text(parameter))
        self.check(found.record, action)
        return found

    def check(self, record: KmsKeyRecord, action: str = "", context: Mapping[str, str] | None = None) -> None:
        """Raises KmsAccessRefused unless the caller may do the action with this key."""
        keys: dict[str, Values] = {**self.keys_of_request, **self.caller.keys}
        for name, value in (context or {}).items():
            keys[f"kms:encryptioncontext:{name.lower()}"] = (value,)
        if context:
            keys["kms:encryptioncontextkeys"] = tuple(context)
        check_use(self.caller, f"kms:{action or self.action}", self.keys.arn(record), record, keys)


Handler = Callable[[Call], Awaitable[Result]]
