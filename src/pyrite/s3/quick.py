"""Owns the quick way of plain signed requests for small objects: no request object, no layers, no body to wait for.

It answers only what it is certain of. Everything else (errors, conditions, ranges, queries, escapes in the path,
objects that are not at hand) it leaves to `s3/app.py`, which decides it alone: nothing that is given up here has
had an effect, or its effect is the same when it is done again.
"""

from collections.abc import Callable, Mapping

from pyrite.aws.checksums import ALGORITHMS
from pyrite.aws.errors import AuthFault
from pyrite.aws.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD
from pyrite.aws.uri import Target
from pyrite.core.atonce import Waits, at_once
from pyrite.core.errors import PyriteError, Unavailable
from pyrite.core.lru import LruMap
from pyrite.http.head import RequestHead
from pyrite.http.hosting import Answer
from pyrite.http.response import Headers, Response
from pyrite.iam.caller import Caller
from pyrite.objects.buckets import DECODED_BYTES_MAX, Bucket
from pyrite.objects.errors import NoSuchKey
from pyrite.objects.events import LISTENERS
from pyrite.objects.ingest import Received
from pyrite.objects.keys import KEY_MAX_BYTES
from pyrite.objects.objects import Given
from pyrite.s3.access import LISTING
from pyrite.s3.authentication import Authenticator
from pyrite.s3.encryption import REQUEST_HEADERS, encryption_headers
from pyrite.s3.headers import (
    ARCHIVES,
    TELL_NOTHING,
    WRITE_OFFSET,
    attributes_of,
    checksum_headers,
    expiration_headers,
    object_headers,
)
from pyrite.s3.integrity import Integrity
from pyrite.s3.operations import DETAILS, HEADER_ACTIONS
from pyrite.s3.request import ACCOUNT_ID, Place
from pyrite.s3.rules import ENFORCED
from pyrite.s3.service import Service
from pyrite.s3.versions import made_headers, version_headers

_CONDITIONS = frozenset(
    (
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"x-amz-if-match-last-modified-time",
        b"x-amz-if-match-size",
    )
)
_ELSEWHERE = _CONDITIONS | frozenset(
    (
        b"range",
        b"origin",
        b"expect",
        b"x-amz-expected-bucket-owner",
        b"x-amz-security-token",
        b"x-amz-copy-source",
        ACCOUNT_ID,
    )
)
_ELSEWHERE |= frozenset(HEADER_ACTIONS["PutObject"]) | REQUEST_HEADERS | {WRITE_OFFSET}
_PLAIN = TELL_NOTHING | {algorithm.header.encode() for algorithm in ALGORITHMS.values()}
_PLAIN |= {
    b"cache-control",
    b"content-disposition",
    b"content-encoding",
    b"content-language",
    b"expires",
    b"x-amz-checksum-mode",
    b"x-amz-storage-class",
    b"x-amz-user-agent",
}
"""What a plain request may have. Other headers are looked at: those that begin with x-amz- may ask for anything."""
_ACTIONS = {b"GET": "s3:GetObject", b"HEAD": "s3:GetObject", b"PUT": "s3:PutObject", b"DELETE": "s3:DeleteObject"}
# Some SDKs name the operation in the query, which changes nothing but the signature.
_NAMES = {b"x-id=" + name: ((b"x-id", name),) for name in (b"GetObject", b"HeadObject", b"PutObject", b"DeleteObject")}
_NO_BODY_HASHES = frozenset((EMPTY_SHA256.encode(), UNSIGNED_PAYLOAD))

_BUCKETS_KEPT = 1024
_META = b"x-amz-meta-"
_WATCHED = frozenset(("logging", "notification", LISTENERS, "requestPayment"))
"""Configurations of buckets whose requests go the long way, which tells of them, or asks who pays."""


def _is_plain(fields: Mapping[bytes, bytes]) -> bool:
    """Whether the headers of a request ask for nothing that the quick way does not know."""
    if fields.keys() <= _PLAIN:
        return True
    if not _ELSEWHERE.isdisjoint(fields):
        return False
    return all(name in _PLAIN or not name.startswith(b"x-amz-") or name.startswith(_META) for name in fields)


OnQuick = Callable[[str, Response, float, int], None]
"""Hears of each answer: the operation, the response, when the request was complete, and the bytes of its body."""


class QuickWay:
    """Answers plain requests. `identify` of the authenticator is the same check as everywhere."""

    def __init__(
        self,
        service: Service,
        authenticator: Authenticator,
        id_headers: Callable[[], Headers],
        failed: Callable[[PyriteError, Place], Response],
        now_s: Callable[[], float],
        on_quick: OnQuick,
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._id_headers = id_headers
        self._failed = failed
        self._now_s = now_s
        self._on_quick = on_quick
        self._buckets: LruMap[bytes, Bucket] = LruMap(_BUCKETS_KEPT, weight_max=DECODED_BYTES_MAX)
        self._mark = -1

    def answer(self, head: RequestHead, body: bytes) -> Answer:
        """The response to a whole request, at once or as a coroutine; None when it is not for this way."""
        target, fields, method = head.target, head.fields, head.method
        path, _, query = target.partition(b"?")
        if (query and query not in _NAMES) or b"%" in path or path[:1] != b"/" or not _is_plain(fields):
            return None
        name, _, key = path[1:].partition(b"/")
        if not key or len(key) > KEY_MAX_BYTES or method not in _ACTIONS:
            return None
        started_s = self._now_s()
        try:
            caller = self._authenticator.identify(head, Target(path, _NAMES[query] if query else ()))
            if caller is None:
                return None
            bucket = self._bucket(name)
            if not _WATCHED.isdisjoint(bucket.record.configurations):
                return None
            if not self._service.access.allows_quickly(caller, bucket, _ACTIONS[method]):
                return None
            if method == b"PUT" and b"content-length" in fields:
                return self._put(caller, bucket, key, fields, body, started_s)
            if fields[b"x-amz-content-sha256"] not in _NO_BODY_HASHES:
                return None
            if method in (b"GET", b"HEAD"):
                return self._read(caller, bucket, key, fields, method == b"GET", started_s)
            return self._delete(bucket, key, started_s) if method == b"DELETE" else None
        except (AuthFault, PyriteError, Waits, UnicodeDecodeError):
            return None

    def _bucket(self, name: bytes) -> Bucket:
        """The bucket as it is since the rules last changed. Raises NoSuchBucket or Waits.

        It may have been deleted since: writes depend on its version, and what a read finds under the id of a bucket
        is in it, because only empty buckets are deleted and ids are never used again.
        """
        if self._authenticator.mark != self._mark:
            self._mark = self._authenticator.mark
            self._buckets.clear()
            self._service.access.forget()
        bucket = self._buckets.get(name)
        if bucket is None or self._service.buckets.is_outdated(bucket):
            bucket = at_once(self._service.buckets.find(name.decode()))
            self._buckets.put(name, bucket, bucket.weight)
        return bucket

    def _read(
        self, caller: Caller, bucket: Bucket, key: bytes, fields: dict[bytes, bytes], with_body: bool, started_s: float
    ) -> Response | None:
        service = self._service
        found = at_once(service.naming.current(bucket, key))
        if found is None:
            return self._missing(caller, bucket, key, with_body, started_s)
        record = found.record
        if (record.attributes.tags or record.lock is not None) and not self._tells_all(caller, bucket):
            return None
        headers = object_headers(record, fields.get(b"x-amz-checksum-mode", b"").upper() == b"ENABLED")
        headers += version_headers(bucket, record) + expiration_headers(bucket, key, record) + self._id_headers()
        if record.encryption is not None and record.encryption.algorithm == "SSE-C":
            return None
        if record.storage_class in ARCHIVES:
            return None
        if not with_body:
            response = Response(200, headers, None, record.size_bytes)
        elif not record.size_bytes:
            response = Response(200, headers, b"")
        else:
            sealed_with: bytes | None = None
            encryption = record.encryption
            if encryption is not None:
                if encryption.algorithm != "AES256":
                    return None
                sealed_with = service.encryptor.open_quickly(encryption)
            view = service.reading.now(record, 0, record.size_bytes, sealed_with)
            if view is None:
                return None
            response = Response(200, headers, view)
        self._on_quick("GetObject" if with_body else "HeadObject", response, started_s, 0)
        return response

    def _tells_all(self, caller: Caller, bucket: Bucket) -> bool:
        """Whether the caller may certainly know of each object how it is tagged and locked."""
        return all(self._service.access.allows_quickly(caller, bucket, action) for action in DETAILS)

    def _missing(
        self, caller: Caller, bucket: Bucket, key: bytes, with_body: bool, started_s: float
    ) -> Response | None:
        """The answer when there is no such object and the bucket is still there: many clients probe for keys."""
        if not self._service.access.allows_quickly(caller, bucket, LISTING):
            return None  # perhaps the caller must not learn it
        if bucket.record.versioning or at_once(self._service.buckets.find(bucket.record.name)).id != bucket.id:
            return None
        place = Place("GET" if with_body else "HEAD", bucket.record.name, key.decode())
        response = self._failed(NoSuchKey(place.key), place)
        self._on_quick("GetObject" if with_body else "HeadObject", response, started_s, 0)
        return response

    def _unavailable(self, error: Unavailable, operation: str, place: Place, started_s: float) -> Response:
        """The answer to a write whose outcome is not known: it is not tried a second time."""
        response = self._failed(error, place)
        self._on_quick(operation, response, started_s, 0)
        return response

    async def _put(
        self, caller: Caller, bucket: Bucket, key: bytes, fields: dict[bytes, bytes], body: bytes, started_s: float
    ) -> Response | None:
        service = self._service
        declared = fields[b"x-amz-content-sha256"]
        try:
            # A form that is not the digest of this body is refused by `sum_up`, and decided by the long way.
            integrity = Integrity(fields, "" if declared == UNSIGNED_PAYLOAD else declared.decode("latin-1"))
            digests = integrity.sum_up(body)
            owner = bucket.record.owner if bucket.record.ownership == ENFORCED else caller.owner
            if not service.encryptor.may_seal_quickly(bucket):
                return None
            if bucket.record.lock:
                return None  # its objects may have a retention from the start
            sealing = service.encryptor.quick()
            given = Given(attributes_of(fields), owner, integrity.stored.name, sealing=sealing)
            record = await service.objects.put_small(bucket, key, Received(body, digests), given)
        except Unavailable as error:  # it may have been done
            return self._unavailable(error, "PutObject", Place("PUT", bucket.record.name, key.decode()), started_s)
        except (AuthFault, PyriteError):
            return None
        assert record.checksum is not None
        headers = [(b"ETag", b'"%b"' % record.etag.encode()), *checksum_headers(record.checksum)]
        headers += made_headers(bucket, record) + encryption_headers(record.encryption)
        headers += expiration_headers(bucket, key, record)
        response = Response(200, headers + self._id_headers(), b"")
        self._on_quick("PutObject", response, started_s, len(body))
        return response

    async def _delete(self, bucket: Bucket, key: bytes, started_s: float) -> Response | None:
        try:
            if bucket.record.versioning or not (await self._service.objects.delete(bucket, key)).existed:
                return None  # nothing was there, perhaps not even the bucket; or there are versions
        except Unavailable as error:  # it may have been done
            place = Place("DELETE", bucket.record.name, key.decode())
            return self._unavailable(error, "DeleteObject", place, started_s)
        except PyriteError:
            return None
        response = Response(204, self._id_headers(), b"")
        self._on_quick("DeleteObject", response, started_s, 0)
        return response
