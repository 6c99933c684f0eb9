"""Owns what can go wrong with buckets, objects and uploads, by meaning. `s3/errors.py` knows the codes."""

from pyrite.core.errors import PyriteError


class ObjectsError(PyriteError):
    """Root of the errors of this layer."""


class NoSuchBucket(ObjectsError):
    """There is no bucket of this name."""


class BucketExists(ObjectsError):
    """A bucket of this name exists already; `own` tells whether it is the caller's."""

    def __init__(self, own: bool) -> None:
        super().__init__("the bucket exists")
        self.own = own


class BucketNotEmpty(ObjectsError):
    """The bucket still holds objects, or only `versions` of such."""

    def __init__(self, name: str, versions: bool = False) -> None:
        super().__init__(name)
        self.versions = versions


class TooMuchConfigured(ObjectsError):
    """The configurations of a bucket are too large together."""


class InvalidBucketName(ObjectsError):
    """The name breaks the rules for bucket names."""


class NoSuchKey(ObjectsError):
    """There is no object of this key."""


class NoSuchVersion(ObjectsError):
    """There is no version of this id."""


class InvalidVersionId(ObjectsError):
    """What was given cannot be the id of a version."""


class Deleted(NoSuchKey):
    """The newest version of the key is the delete marker `version_id`."""

    def __init__(self, key: str, version_id: str) -> None:
        super().__init__(key)
        self.version_id = version_id


class IsDeleteMarker(ObjectsError):
    """The version is a delete marker, which can only be deleted."""

    def __init__(self, version_id: str, stamp: int, modified_ms: int) -> None:
        super().__init__(f"version {version_id} is a delete marker")
        self.version_id = version_id
        self.stamp = stamp
        self.modified_ms = modified_ms


class Locked(ObjectsError):
    """Object lock protects the version."""


class BadNotification(ObjectsError):
    """The document says not whom to tell of what; the message says why, or is empty where it is malformed."""


class QuotaExceeded(ObjectsError):
    """The bucket may not hold that many bytes; `most` is what it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the bucket may hold {most} bytes")
        self.most = most


class VersionsKept(ObjectsError):
    """The bucket keeps versions, with which this cannot be done."""


class KeyTooLong(ObjectsError):
    """The key has more than KEY_MAX_BYTES bytes."""


class InvalidKey(ObjectsError):
    """The key is not UTF-8."""


class PreconditionFailed(ObjectsError):
    """A condition of the request does not hold; `condition` is the header that said it."""

    def __init__(self, condition: str) -> None:
        super().__init__(f"{condition} does not hold")
        self.condition = condition


class ConditionalConflict(ObjectsError):
    """Too many concurrent writers; the request may be tried again. `condition` is the header that met one."""

    def __init__(self, what: str, condition: str = "") -> None:
        super().__init__(what)
        self.condition = condition


class Outdated(ObjectsError):
    """What a change was decided on is not so any more."""


class NoSuchUpload(ObjectsError):
    """There is no multipart upload of this id."""


class InvalidPart(ObjectsError):
    """A part that is to be completed was not uploaded, or has another ETag or checksum."""

    def __init__(self, number: int, etag: str, upload_id: str = "") -> None:
        super().__init__(f"part {number} is not what was uploaded")
        self.number = number
        self.etag = etag
        self.upload_id = upload_id


class InvalidPartOrder(ObjectsError):
    """The parts to complete are not in ascending order."""

    def __init__(self, upload_id: str = "") -> None:
        super().__init__("parts must be listed in ascending order")
        self.upload_id = upload_id


class PartTooSmall(ObjectsError):
    """A part other than the last is smaller than PART_MIN_BYTES."""

    def __init__(self, number: int, size_bytes: int, etag: str) -> None:
        super().__init__(f"part {number} is too small")
        self.number = number
        self.size_bytes = size_bytes
        self.etag = etag


class WrongOffset(ObjectsError):
    """Bytes can only be appended at the end of the object, which is at `size_bytes`."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the object has {size_bytes} bytes")
        self.size_bytes = size_bytes


class TooManyParts(ObjectsError):
    """The object has as many parts as an object can have."""


class EntityTooLarge(ObjectsError):
    """The object would be larger than an object can be."""


class NoSuchAnnotation(ObjectsError):
    """The version has no annotation of this name."""


class TooManyAnnotations(ObjectsError):
    """The version has as many annotations as a version can have."""


class NoSuchPart(ObjectsError):
    """The object has no part of this number."""


class ChecksumMismatch(ObjectsError):
    """The checksum that was given is not that of the bytes; `algorithm` names it."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(f"the {algorithm} that was given does not match")
        self.algorithm = algorithm


class ObjectChecksumMismatch(ChecksumMismatch):
    """The checksum of a whole object is not what its parts make, or is not stated in full."""


class PartChecksumMismatch(ChecksumMismatch):
    """The checksum that is stated of a part is of another algorithm than the upload's."""

    def __init__(self, algorithm: str, number: int) -> None:
        super().__init__(algorithm)
        self.number = number


class OtherChecksumMode(ObjectsError):
    """An upload is completed with another type of checksum than it was begun with: `mode`, "null" for none."""

    def __init__(self, mode: str) -> None:
        super().__init__(f"the upload was begun with the checksum mode {mode}")
        self.mode = mode


class MissingChecksum(ObjectsError):
    """An upload whose checksum is made of those of its parts is completed without stating that of part `number`."""

    def __init__(self, number: int, algorithm: str) -> None:
        super().__init__(f"the {algorithm} of part {number} is missing")
        self.number = number
        self.algorithm = algorithm


class SizeMismatch(ObjectsError):
    """The object is not as long as the request says."""
