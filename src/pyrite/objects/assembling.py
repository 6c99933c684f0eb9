"""Owns making one object of parts: which parts, in which order, with which checksum, on which pages. Pure."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyrite.aws import checksums
from pyrite.aws.checksums import ALGORITHMS, CRC64NVME
from pyrite.core.clock import stamp_ms
from pyrite.core.units import MIB
from pyrite.objects.conditions import strip_etag
from pyrite.objects.errors import (
    InvalidPart,
    InvalidPartOrder,
    MissingChecksum,
    ObjectChecksumMismatch,
    OtherChecksumMode,
    PartChecksumMismatch,
    PartTooSmall,
    SizeMismatch,
)
from pyrite.objects.records import FORMAT, Checksum, ChecksumType, ObjectRecord, PartPage, PartRecord, UploadRecord

PART_MIN_BYTES = 5 * MIB
PAGE_PARTS = 128


class CompletePart(NamedTuple):
    """A part as the client lists it; checksums by algorithm name."""

    number: int
    etag: str
    checksums: Mapping[str, str]


class Page(NamedTuple):
    """A page with the number of its first part and its first byte in the object."""

    number: int
    start: int
    record: PartPage


def last_of_each(wanted: Sequence[CompletePart]) -> list[CompletePart]:
    """The parts listed, where one that stands there several times in a row counts as it stands there last."""
    return [part for n, part in enumerate(wanted) if n + 1 == len(wanted) or wanted[n + 1].number != part.number]


def kind_of(upload: UploadRecord) -> ChecksumType:
    """Of what kind the checksum of an upload's object is."""
    if upload.checksum_type:
        return upload.checksum_type
    return ALGORITHMS[upload.checksum_algorithm].default_type if upload.checksum_algorithm else "FULL_OBJECT"


def check_given(upload: UploadRecord, wanted: Sequence[CompletePart]) -> None:
    """Raises MissingChecksum where the object's checksum is made of those of its parts and one is not stated, and
    PartChecksumMismatch where that of another algorithm is.
    """
    algorithm = upload.checksum_algorithm
    if algorithm and kind_of(upload) == "COMPOSITE":
        for part in wanted:
            other = next((name for name in part.checksums if name != algorithm), None)
            if other is not None:
                raise PartChecksumMismatch(other, part.number)
            if algorithm not in part.checksums:
                raise MissingChecksum(part.number, algorithm)


def choose(
    uploaded: Mapping[int, PartRecord], wanted: Sequence[CompletePart], upload_id: str = "", checked: bool = True
) -> list[PartRecord]:
    """The parts listed; unless they are `checked`, no checksum may be stated of one.

    Raises InvalidPart, InvalidPartOrder, PartTooSmall.
    """
    if any(later.number <= earlier.number for earlier, later in itertools.pairwise(wanted)):
        raise InvalidPartOrder(upload_id)
    chosen = []
    for listed in wanted:
        part = uploaded.get(listed.number)
        agrees = part is not None and (_checksums_agree(part, listed.checksums) if checked else not listed.checksums)
        if part is None or strip_etag(listed.etag) != part.etag or not agrees:
            raise InvalidPart(listed.number, strip_etag(listed.etag), upload_id)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size_bytes < PART_MIN_BYTES:
            raise PartTooSmall(part.number, part.size_bytes, part.etag)
    return chosen


def _checksums_agree(part: PartRecord, given: Mapping[str, str]) -> bool:
    for algorithm, value in given.items():
        if part.checksum is not None and part.checksum.algorithm == algorithm and part.checksum.value != value:
            return False
    return True


def check_mode(upload: UploadRecord, kind: ChecksumType | None) -> None:
    """Raises OtherChecksumMode unless an upload is completed with the type of checksum that it was begun with."""
    if kind is not None and (not upload.checksum_algorithm or kind != kind_of(upload)):
        raise OtherChecksumMode(kind_of(upload) if upload.checksum_algorithm else "null")


def _check_stated(upload: UploadRecord, given: Checksum, kind: ChecksumType | None, made: Checksum) -> None:
    """Raises ObjectChecksumMismatch unless what the client states of the whole object is so.

    Where the upload was begun without an algorithm, that of another one says nothing. A checksum of the whole has to
    be stated with its type.
    """
    if not upload.checksum_algorithm and given.algorithm != made.algorithm:
        return
    same = given.algorithm == made.algorithm and given.value in (made.value, _without_count(made))
    if not same or (upload.checksum_algorithm and made.type == "FULL_OBJECT" and kind is None):
        raise ObjectChecksumMismatch(made.algorithm)


def _without_count(checksum: Checksum) -> str:
    return checksum.value.partition("-")[0]


def object_checksum(
    upload: UploadRecord, parts: Sequence[PartRecord], given: Checksum | None, kind: ChecksumType | None
) -> Checksum | None:
    """The object's checksum from those of its parts, checked against what the client gave.

    An upload without an algorithm gets a full-object CRC64NVME, as AWS adds it. Raises ChecksumMismatch.
    """
    algorithm = ALGORITHMS[upload.checksum_algorithm or CRC64NVME.name]
    own_kind = kind_of(upload)
    digests = []
    for part in parts:
        if part.checksum is None or part.checksum.algorithm != algorithm.name:
            return None
        digest = checksums.decode(part.checksum.value, algorithm)
        assert digest is not None
        digests.append(digest)
    if own_kind == "COMPOSITE":
        value = checksums.composite(algorithm, digests)
    else:
        sizes = [part.size_bytes for part in parts]
        value = checksums.full_object(algorithm, list(zip(digests, sizes, strict=True)))
    if given is not None:
        _check_stated(upload, given, kind, Checksum(algorithm.name, value, own_kind))
    return Checksum(algorithm.name, value, own_kind)


def check_size(parts: Sequence[PartRecord], announced: int | None, limit_bytes: int) -> None:
    """Raises SizeMismatch unless the object is as long as announced, and no longer than `limit_bytes`."""
    size = sum(part.size_bytes for part in parts)
    if size > limit_bytes or (announced is not None and announced != size):
        raise SizeMismatch(f"the parts have {size} bytes together")


def paginate(parts: Sequence[PartRecord]) -> list[Page]:
    """The parts in pages of PAGE_PARTS."""
    pages = []
    position = 0
    for first in range(0, len(parts), PAGE_PARTS):
        group = tuple(parts[first : first + PAGE_PARTS])
        pages.append(Page(group[0].number, position, PartPage(FORMAT, group)))
        position += sum(part.size_bytes for part in group)
    return pages


def assembled(
    upload_id: bytes, upload: UploadRecord, chosen: Sequence[PartRecord], checksum: Checksum | None, version: int
) -> ObjectRecord:
    """The object that an upload becomes, of these parts."""
    return ObjectRecord(
        FORMAT,
        sum(part.size_bytes for part in chosen),
        multipart_etag(chosen),
        stamp_ms(version),
        upload.attributes.storage_class,
        checksum,
        version,
        (),
        upload.attributes,
        upload.owner,
        upload_id,
        tuple((page.number, page.start) for page in paginate(chosen)),
        len(chosen),
        lock=upload.lock,
        acl=upload.acl,
        encryption=upload.encryption,
    )


def multipart_etag(parts: Sequence[PartRecord]) -> str:
    """MD5 of the parts' MD5s, a dash, and how many there are."""
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"
