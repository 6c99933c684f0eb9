"""Owns the table of key spaces and the order-preserving encoding of keys. See docs/formats/metadata.md.

A key is one byte that names the space, then fields in the order in which they sort. Numbers are fixed-width
big-endian. Bytes that end the key stand raw; bytes in the middle are escaped (00 becomes 00 FF) and end in
00 00, so that a shorter string sorts before every longer one that starts with it.
"""

BUCKETS = b"b"  # name                                    -> BucketRecord
OBJECTS = b"o"  # bucket id, key                          -> ObjectRecord (the current version)
VERSIONS = b"v"  # bucket id, escaped key, version inverted -> ObjectRecord (one behind the current, or a delete marker)
HEADS = b"h"  # bucket id, key                            -> HeadRecord (of a key that has rows in VERSIONS)
UPLOADS = b"u"  # bucket id, escaped key, upload id       -> UploadRecord
PARTS = b"p"  # upload id, part number                    -> PartRecord (of an upload under way)
PAGES = b"m"  # upload id, page number                    -> PartPage (of a completed multipart object)
ANNOTATIONS = b"A"  # annotations id, name                -> PartRecord (of an annotation)
REFERENCES = b"r"  # blob id                              -> counter of references beyond the first
GARBAGE = b"g"  # stamp, nonce                            -> GarbageRecord
USAGE = b"n"  # bucket id, kind                           -> counter
VOLUMES = b"V"  # volume id                               -> VolumeRecord
VOLUME_FREED = b"F"  # volume id                          -> counter of freed bytes
REPAIRS = b"R"  # volume id                                -> RepairRecord
SCRUBBED = b"C"  # volume id                               -> counter: when it was last verified, in ms
IDENTITIES = b"I"  # kind, fields                         -> records of iam/records.py
KMS = b"K"  # kind, escaped account, name                -> records of kms/records.py
LOGS = b"L"  # bucket id, stamp, nonce                    -> LogRecord: access log lines that wait for delivery
EVENTS = b"e"  # escaped target, stamp, nonce             -> EventRecord: waits for delivery
DRIVES = b"D"  # drive id                                 -> DriveRecord
STORE = b"S"  # name                                      -> StoreRecord

PLACEMENT = STORE + b"placement"
"""A counter that grows when a shard or a drive has moved: processes then load what they know of them again."""

RULES = STORE + b"rules"
"""A counter that grows with every change of what decides who may do what: identities, policies, access of buckets."""

NAMES_VERIFIED = STORE + b"names-verified"
"""A counter: when every copy of the names and every log was last read and found good, in ms."""

USAGE_OBJECTS = b"o"
USAGE_BYTES = b"s"
USAGE_VERSIONS = b"v"


def number(value: int) -> bytes:
    """An unsigned 64-bit number as it stands in a key."""
    return value.to_bytes(8, "big")


def escape(raw: bytes) -> bytes:
    """`raw` as it stands in the middle of a key."""
    return raw.replace(b"\x00", b"\x00\xff") + b"\x00\x00"


def unescape(key: bytes, start: int) -> tuple[bytes, int]:
    """The escaped field that begins at `start` of `key`, and where the next field begins."""
    end = start
    while True:
        end = key.index(b"\x00", end)
        if key[end + 1] == 0:
            return key[start:end].replace(b"\x00\xff", b"\x00"), end + 2
        end += 2
