"""Owns what a KMS key and its names have to be, and what its ciphertexts are bound to. Pure."""

import re
from collections.abc import Mapping

import msgspec

from pyrite.kms.errors import InvalidKmsInput, KeyDisabled, KeyPending
from pyrite.kms.records import KmsKeyRecord

Context = Mapping[str, str]
_ALIAS = re.compile(r"alias/[A-Za-z0-9/_-]{1,250}\Z")


def check_alias(alias: str, may_be_own: bool = False) -> None:
    """Raises InvalidKmsInput unless a key can be called so; `may_be_own`: also as only the store calls its keys."""
    if not _ALIAS.match(alias) or (alias.startswith("alias/aws/") and not may_be_own):
        raise InvalidKmsInput("An alias begins with alias/, not with alias/aws/, and has 1 to 250 of A-Z a-z 0-9 / _ -")


def purpose_of(account: str, key_id: str, number: int) -> bytes:
    """What the secret of a generation of a key is wrapped for."""
    return f"kms {account} {key_id} {number}".encode()


def check_usable(record: KmsKeyRecord) -> KmsKeyRecord:
    """Raises KeyDisabled or KeyPending unless the key may encrypt and decrypt."""
    check_not_pending(record)
    if record.state != "Enabled":
        raise KeyDisabled(f"{record.id} is disabled.")
    return record


def check_not_pending(record: KmsKeyRecord) -> KmsKeyRecord:
    """Raises KeyPending while the key waits for its deletion."""
    if record.state == "PendingDeletion":
        raise KeyPending(f"{record.id} is pending deletion.")
    return record


def bound(context: Context) -> bytes:
    """An encryption context as additional authenticated data: the same whatever its order."""
    return msgspec.json.encode(sorted(context.items()))
