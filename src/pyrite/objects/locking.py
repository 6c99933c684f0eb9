"""Owns what object lock forbids: removing a version that is held or retained, and weakening its retention. Pure.

Source: AWS, "How S3 Object Lock works" in the Amazon S3 User Guide.
"""

from pyrite.objects.errors import Locked
from pyrite.objects.records import Lock, ObjectRecord


def check_removal(record: ObjectRecord, now_ms: int, bypass: bool) -> None:
    """Raises Locked while the version may not be removed; `bypass` lifts governance retention alone."""
    lock = record.lock
    if lock is None:
        return
    if lock.hold == "ON":
        raise Locked("the version is under a legal hold")
    if _retains(lock, now_ms) and not (lock.mode == "GOVERNANCE" and bypass):
        raise Locked(f"the version is retained in {lock.mode} mode")


def check_change_of_key(record: ObjectRecord, now_ms: int) -> None:
    """Raises Locked while a version may not get another key: who takes that away makes the bytes unreadable.

    Source: AWS, "UpdateObjectEncryption" in the Amazon S3 API Reference: it fails on any object that has a retention
    mode or a legal hold applied to it.
    """
    check_removal(record, now_ms, bypass=False)


def check_retention(old: Lock | None, new: Lock, now_ms: int, bypass: bool) -> None:
    """Raises Locked when `new` would weaken a retention that still holds."""
    if old is None or not _retains(old, now_ms):
        return
    if new.mode == old.mode and new.until_ms >= old.until_ms:
        return
    if old.mode == "GOVERNANCE" and bypass:
        return
    raise Locked(f"the version is retained in {old.mode} mode")


def _retains(lock: Lock, now_ms: int) -> bool:
    return bool(lock.mode) and lock.until_ms > now_ms
