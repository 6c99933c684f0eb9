"""Owns the records of buckets, objects, uploads and parts. See docs/formats/metadata.md.

Records are MessagePack arrays; `format` comes first. Fields may be added at the end with a default; any other
change is a new format with a migration.
"""

from typing import Literal

import msgspec

from pyrite.blobs.layout import Extent

FORMAT = 1

ChecksumType = Literal["COMPOSITE", "FULL_OBJECT"]
Versioning = Literal["", "Enabled", "Suspended"]
LockMode = Literal["", "GOVERNANCE", "COMPLIANCE"]


class Grant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A grant of an access control list. `grantee` is a canonical id, or the URI of a predefined group."""

    grantee: str
    permission: Literal["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"]


class BucketRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A bucket. `id` never changes and is never used again; the keys of its objects begin with it.

    What decides who may use it: `policy` is the document as it was put; `acl` the grants, None for the owner's
    alone; `ownership` the setting of ownership controls, "" where none is made; `public_block` the four settings of
    the public access block as bits, -1 where none is made.

    `lock` says that versions can be locked; `configurations` are documents by the name of their sub-resource.
    """

    format: int
    id: int
    name: str
    owner: str
    created_ms: int
    location: str = ""
    policy: str = ""
    acl: tuple[Grant, ...] | None = None
    ownership: str = "BucketOwnerEnforced"
    public_block: int = 15
    tags: dict[str, str] = {}
    versioning: Versioning = ""
    lock: bool = False
    configurations: dict[str, str] = {}


class Checksum(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A checksum as it stands on the wire: base64, with the number of parts when it is COMPOSITE."""

    algorithm: str
    value: str
    type: ChecksumType = "FULL_OBJECT"


class Attributes(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a client may say of an object: headers to give back as they came, user metadata, and tags."""

    content_type: str = "binary/octet-stream"
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    storage_class: str = "STANDARD"
    tags: dict[str, str] = {}


class Lock(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What keeps a version from being deleted: retention until a time, and a legal hold ("": never set)."""

    mode: LockMode = ""
    until_ms: int = 0
    hold: Literal["", "ON", "OFF"] = ""


class Encryption(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How the bytes of an object are sealed: with a key of their own, which stands here `wrapped` under another.

    `algorithm` is `AES256` (the keyring's key `key_id`), `aws:kms` or `aws:kms:dsse` (a KMS key's ARN), or `SSE-C` (the
    client's key, whose MD5 in base64 is `key_id`). `context` is the encryption context as it was sent.
    """

    algorithm: str
    key_id: str
    wrapped: bytes
    context: str = ""
    bucket_key: bool = False


class Annotations(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The annotations of a version: the id under which they stand, how many they are, and how many bytes they hold."""

    id: bytes
    count: int
    size_bytes: int


class ListedObject(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first fields of an ObjectRecord: what a listing shows."""

    format: int
    size_bytes: int
    etag: str
    modified_ms: int
    storage_class: str
    checksum: Checksum | None


class ObjectRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A version of an object. `versioned`: it has an id of its own, else it is the null version; `marker`: it says that
    the object was deleted.

    Where its class is an archive, it can be read until `restored_until_ms`.

    Its bytes are `extents`; a multipart object's stand in part pages under `upload` instead, where `pages`
    holds the first part number and the first byte of each page. A `part_count` of 0 there: it is the copy of such an
    object, shares its pages, and shows no parts.
    """

    format: int
    size_bytes: int
    etag: str
    modified_ms: int
    storage_class: str
    checksum: Checksum | None
    version: int
    extents: tuple[Extent, ...]
    attributes: Attributes
    owner: str
    upload: bytes = b""
    pages: tuple[tuple[int, int], ...] = ()
    part_count: int = 0
    versioned: bool = False
    marker: bool = False
    encryption: Encryption | None = None
    lock: Lock | None = None
    acl: tuple[Grant, ...] | None = None
    restored_until_ms: int = 0
    annotations: Annotations | None = None

    @property
    def weight_bytes(self) -> int:
        """What it adds to the bytes of its bucket: its own, and those of its annotations."""
        return self.size_bytes if self.annotations is None else self.size_bytes + self.annotations.size_bytes


class HeadRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of the versions of a key behind its current one: the stamp of the `newest`, and of the `null` version (0: none).

    Whoever adds or removes such a version writes it anew, so that those who do so at once notice each other. Where
    there is no current version, the newest is a delete marker.
    """

    format: int
    newest: int
    null: int = 0


class UploadRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A multipart upload under way. `seen` is the stamp of what stood under its key when it began, 0 for nothing, -1
    where that is not known. `initiator` is the ARN of the user or session that began it, with its name; "" where
    that is the owner itself.
    """

    format: int
    initiated_ms: int
    attributes: Attributes
    owner: str
    checksum_algorithm: str = ""
    checksum_type: ChecksumType | Literal[""] = ""
    encryption: Encryption | None = None
    lock: Lock | None = None
    acl: tuple[Grant, ...] | None = None
    seen: int = -1
    initiator: str = ""
    initiator_name: str = ""


class PartRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part, in an upload under way or in a page of a completed object. `etag` is the hexadecimal MD5.

    An annotation is one too; its number is 0.

    Where the object is sealed, the part's key is derived from the object's with `salt`. Without a salt it is the
    object's own: the part was the whole object before something was appended.
    """

    format: int
    number: int
    size_bytes: int
    etag: str
    modified_ms: int
    extents: tuple[Extent, ...]
    checksum: Checksum | None = None
    salt: bytes = b""


class PartPage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Up to PAGE_PARTS consecutive parts of a completed multipart object."""

    format: int
    parts: tuple[PartRecord, ...]


class GarbageRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that lost its name: the reaper frees it when no reader can hold it any more.

    One of: a blob (`extents`), the pages of a completed upload (`upload` and `page_count`), the parts of an
    upload (`upload` alone), everything under a bucket's id (`bucket`), shard files (`files`: drive and name), or the
    annotations that stand under an id.
    """

    format: int
    extents: tuple[Extent, ...] = ()
    upload: bytes = b""
    page_count: int = 0
    bucket: int = 0
    files: tuple[tuple[str, str], ...] = ()
    annotations: bytes = b""


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_bucket = msgspec.msgpack.Decoder(BucketRecord).decode
decode_object = msgspec.msgpack.Decoder(ObjectRecord).decode
decode_head = msgspec.msgpack.Decoder(HeadRecord).decode
decode_listed = msgspec.msgpack.Decoder(ListedObject).decode
decode_upload = msgspec.msgpack.Decoder(UploadRecord).decode
decode_part = msgspec.msgpack.Decoder(PartRecord).decode
decode_page = msgspec.msgpack.Decoder(PartPage).decode
decode_garbage = msgspec.msgpack.Decoder(GarbageRecord).decode
