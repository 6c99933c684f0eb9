"""Locks hold against every operation of the table that writes: nothing makes a locked version unreadable or weaker.

Each operation has attempts, which the root of the account makes, or a reason why it cannot touch a version's bytes. An
attempt is made on a version for each kind of lock and each way in which a version can stand: current, noncurrent,
assembled from parts, grown by an append, sealed under a KMS key, and the null version of before there were versions.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import NamedTuple
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from pyrite.s3.errors import S3Error
from pyrite.s3.operations import OPERATIONS
from pyrite.s3.request import S3Request
from pyrite.s3.routing import route
from tests.conformance.test_boto3 import code_of
from tests.conformance.test_browsers import encode
from tests.security.wire import Answer, Wire
from tests.server import ACCESS_KEY, SECRET_KEY, Server, wait_until

pytestmark = pytest.mark.xdist_group("locks")  # one store, and what is made of it in one order

ROOT = Credentials(ACCESS_KEY, SECRET_KEY)
BUCKET, OPEN = "locks-hold", "locks-open"
LOCKS = ("COMPLIANCE", "GOVERNANCE", "hold")
KINDS = ("current", "noncurrent", "parts", "appended", "kms", "null")
PART = os.urandom(5 << 20)
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(days=20)
LOCKED = "AccessDenied"
DONE = ""
BYPASS = {"x-amz-bypass-governance-retention": "true"}
PLAIN = {"x-amz-annotation-directive": "EXCLUDE"}
NAME = "annotationName=label"


class Version(NamedTuple):
    """A locked version: how it is locked and how it stands, what names it, and what is read there."""

    lock: str
    kind: str
    key: str
    id: str
    body: bytes
    upload: str = ""
    label: bytes = b""


class Step(NamedTuple):
    """A request of an attempt, and the codes of which one is answered: "" where it is done."""

    method: str
    target: str
    headers: dict[str, str] | None = None
    body: bytes = b""
    codes: tuple[str, ...] = (LOCKED,)
    anonymous: bool = False


class Reads:
    """What an attempt yields where versions have to stand right now: afterwards it takes back what it has done."""


Steps = Generator[Step | Reads, Answer, None]


class Each(NamedTuple):
    """An attempt on each version, but for those with a lock that it may lift. `deadly`: it spoils what has no lock."""

    steps: Callable[["Stage", Version], Steps]
    lifts: tuple[str, ...] = ()
    deadly: bool = False


class Once(NamedTuple):
    """An attempt on the bucket with all of them."""

    steps: Callable[["Stage"], Steps]


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def path_of(key: str, query: str = "", bucket: str = BUCKET) -> str:
    return f"/{bucket}/{quote(key)}" + (f"?{query}" if query else "")


def on(query: str, bucket: str = BUCKET) -> str:
    return f"/{bucket}?{query}"


def named(version: Version, query: str = "") -> str:
    """The target that names the version itself."""
    return path_of(version.key, f"{query}&versionId={version.id}" if query else f"versionId={version.id}")


def source_of(version: Version) -> dict[str, str]:
    return {"x-amz-copy-source": f"{path_of(version.key)}?versionId={version.id}"}


def document(name: str, content: str) -> bytes:
    return f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'.encode()


def tag(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


def retention(mode: str, until: str) -> bytes:
    return document("Retention", tag("Mode", mode) + tag("RetainUntilDate", until))


def upload_in(answer: Answer) -> str:
    return answer.body.decode().partition("<UploadId>")[2].partition("<")[0]


def completion(etag: str) -> bytes:
    return document("CompleteMultipartUpload", tag("Part", tag("PartNumber", "1") + tag("ETag", etag)))


class Stage:
    """The server, the bucket with the locked versions, and an open one without versions or locks beside it."""

    def __init__(self, server: Server) -> None:
        self.wire = Wire(server.endpoint)
        self.s3, self.kms = server.client(), server.client(service="kms")
        self.key = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.other_key = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.made: list[Version] = []
        self.count = 0
        for bucket in (BUCKET, OPEN):
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_object(Bucket=BUCKET, Key="other", Body=b"other")
        nulls = [self.begin_null(lock) for lock in LOCKS]
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self.s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
        for version in nulls:
            self.lock(version)
        self.stands = {(version.lock, version.kind): self.labelled(version) for version in nulls}
        self.renew({(lock, kind) for lock in LOCKS for kind in KINDS if kind != "null"})

    # ---- versions

    def begin_null(self, lock: str) -> Version:
        body = os.urandom(90_000)
        self.s3.put_object(Bucket=BUCKET, Key=f"{lock}/null", Body=body)
        return Version(lock, "null", f"{lock}/null", "null", body)

    def lock(self, version: Version) -> None:
        """Lock a version that stands."""
        place = {"Bucket": BUCKET, "Key": version.key, "VersionId": version.id}
        if version.lock == "hold":
            self.s3.put_object_legal_hold(**place, LegalHold={"Status": "ON"})
        elif version.lock:
            self.s3.put_object_retention(**place, Retention={"Mode": version.lock, "RetainUntilDate": UNTIL})

    def labelled(self, version: Version) -> Version:
        """The version with an annotation."""
        label = f"label of {version.key}".encode()
        self.s3.put_object_annotation(
            Bucket=BUCKET, Key=version.key, VersionId=version.id, AnnotationName="label", AnnotationPayload=label
        )
        return version._replace(label=label)

    def make(self, lock: str, kind: str) -> Version:
        """A new version of that kind under a new key."""
        self.count += 1
        key = f"{lock or 'free'}/{kind}-{self.count}"
        place = {"Bucket": BUCKET, "Key": key}
        locked: dict[str, object] = {}
        if lock == "hold":
            locked = {"ObjectLockLegalHoldStatus": "ON"}
        elif lock:
            locked = {"ObjectLockMode": lock, "ObjectLockRetainUntilDate": UNTIL}
        body = os.urandom(300_000 if kind == "noncurrent" else 1_000)
        upload = ""
        if kind == "parts":
            body, upload = PART + body, self.s3.create_multipart_upload(**place, **locked)["UploadId"]
            given = {**place, "UploadId": upload}
            parts = [
                {"PartNumber": n, "ETag": self.s3.upload_part(**given, PartNumber=n, Body=part)["ETag"]}
                for n, part in ((1, PART), (2, body[len(PART) :]))
            ]
            put = self.s3.complete_multipart_upload(**given, MultipartUpload={"Parts": parts})
        elif kind == "appended":
            self.s3.put_object(**place, Body=body[:400])
            put = self.s3.put_object(**place, Body=body[400:], WriteOffsetBytes=400)
            self.lock(Version(lock, kind, key, put["VersionId"], body))
        elif kind == "kms":
            put = self.s3.put_object(
                **place, Body=body, ServerSideEncryption="aws:kms", SSEKMSKeyId=self.key, **locked
            )  # fmt: skip
        else:
            put = self.s3.put_object(**place, Body=body, **locked)
        version = self.labelled(Version(lock, kind, key, put["VersionId"], body, upload))
        if kind == "noncurrent":
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"newer")
        return version

    def renew(self, which: set[tuple[str, str]]) -> None:
        """Have other versions stand where these stood; those are looked at again at the end."""
        for lock, kind in sorted(which):
            if (lock, kind) in self.stands:
                self.made.append(self.stands[lock, kind])
            self.stands[lock, kind] = self.make(lock, kind)
        self.before = self.listed()

    def listed(self, prefix: str = "") -> dict[tuple[str, str], str]:
        """All versions by key and id, and whether they are current: "true" or "false"."""
        found: dict[tuple[str, str], str] = {}
        after = ""
        while True:
            page = self.wire.signed(ROOT, "GET", on(f"versions&prefix={prefix}{after}")).body.decode()
            found |= {(key, version): latest for key, version, latest in VERSION.findall(page)}
            if "<IsTruncated>true" not in page:
                return found
            key, version = (page.partition(f"<Next{name}>")[2].partition("<")[0] for name in MARKERS)
            after = f"&key-marker={quote(key, safe='')}&version-id-marker={version}"

    # ---- attempts

    def send(self, step: Step) -> Answer:
        if step.anonymous:
            return self.wire.send(step.method, step.target, step.headers, step.body)
        headers = dict(step.headers or {})
        if step.body:
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(step.body).digest()).decode()
        return self.wire.signed(ROOT, step.method, step.target, headers, step.body)

    def run(self, steps: Steps, operations: set[str]) -> list[str]:
        """Do what an attempt does; what was answered otherwise than it says, and what does not stand where it asks."""
        wrong: list[str] = []
        try:
            step = next(steps)
            while True:
                if isinstance(step, Reads):
                    wrong += self.wrong_in(list(self.stands.values()))
                    step = next(steps)
                    continue
                operations.add(operation_of(step))
                answer = self.send(step)
                if answer.code not in step.codes:
                    wrong.append(f"{step.method} {step.target} {step.headers}: {answer.status} {answer.code!r}")
                step = steps.send(answer)
        except StopIteration:
            return wrong

    def wrong_in(self, versions: list[Version]) -> list[str]:
        """What is not as it has to be of locked versions."""
        listed = self.listed()
        return [
            f"{version.lock} {version.kind} {named(version)}: {what}"
            for version in versions
            for what in self.wrong_with(version, (version.key, version.id) in listed)
        ]

    def wrong_with(self, version: Version, is_listed: bool) -> Iterator[str]:
        if not is_listed:
            yield "is not listed"
        got = self.wire.signed(ROOT, "GET", named(version))
        if (got.status, got.body) != (200, version.body):
            yield f"GET answers {got.status} {got.code}, {len(got.body)} of {len(version.body)} bytes"
        head = self.wire.signed(ROOT, "HEAD", named(version))
        mode, until, hold = (head.headers.get(f"x-amz-object-lock-{name}", "") for name in OF_LOCKS)
        if version.lock == "hold" and hold != "ON":
            yield f"HEAD answers {head.status} and tells the hold {hold!r}"
        if version.lock in ("COMPLIANCE", "GOVERNANCE"):
            told = datetime.fromisoformat(until) if until else None
            if mode != version.lock or told is None or told < UNTIL:
                yield f"HEAD answers {head.status} and tells {mode!r} until {until!r}"
        if version.label:
            label = self.wire.signed(ROOT, "GET", named(version, f"annotation&{NAME}"))
            if label.body != version.label:
                yield f"its annotation answers {label.status} {label.code}"

    def displaced(self) -> set[tuple[str, str]]:
        """Which versions are not current any more; those that were not before stand as they stood."""
        changed = {key for (key, _), _ in self.listed().items() ^ self.before.items()}
        kept = ("noncurrent", "null")
        return {place for place, one in self.stands.items() if one.key in changed and one.kind not in kept}


OF_LOCKS = ("mode", "retain-until-date", "legal-hold")
MARKERS = ("KeyMarker", "VersionIdMarker")
VERSION = re.compile(
    "<Version><Key>([^<]*)</Key><VersionId>([^<]*)</VersionId><IsLatest>([^<]*)</IsLatest>"
)  # fmt: skip


def operation_of(step: Step) -> str:
    """The name of the operation that a request is routed to, "" where it is refused before that."""
    fields = {name.lower().encode(): value.encode() for name, value in (step.headers or {}).items()}
    head = SimpleNamespace(method=step.method.encode(), target=step.target.encode(), fields=fields)
    try:
        return route(S3Request(SimpleNamespace(head=head, body=None), "", ()))[0].name  # type: ignore[arg-type]
    except S3Error:
        return ""


# ---- attempts on objects


def removal(headers: dict[str, str], target: Callable[[Version], str] = named, *codes: str) -> Callable:
    """DELETE of a version, or of the key."""

    def steps(stage: Stage, version: Version) -> Steps:
        yield Step("DELETE", target(version), headers, codes=codes or (LOCKED,))

    return steps


def listed_removal(headers: dict[str, str], quiet: bool = False) -> Callable:
    """A version in a list of those to be deleted."""

    def steps(stage: Stage, version: Version) -> Steps:
        item = tag("Object", tag("Key", version.key) + tag("VersionId", version.id))
        body = document("Delete", item + tag("Quiet", str(quiet).lower()))
        yield Step("POST", on("delete"), headers, body)

    return steps


def listed_key(stage: Stage, version: Version) -> Steps:
    """The key in a list, twice: nothing but delete markers."""
    item = tag("Object", tag("Key", version.key))
    yield Step("POST", on("delete"), BYPASS, document("Delete", item * 2), (DONE,))


def appended(stage: Stage, version: Version) -> Steps:
    """More bytes behind the current ones, and over those of the version."""
    head = yield Step("HEAD", path_of(version.key), codes=(DONE,))
    offset = {"x-amz-write-offset-bytes": head.headers["content-length"]}
    yield Step("PUT", path_of(version.key), offset, b"more", (DONE,))
    yield Step("PUT", path_of(version.key), {"x-amz-write-offset-bytes": "0"}, b"over", ("InvalidWriteOffset",))


def overwritten(stage: Stage, version: Version) -> Steps:
    """More bytes behind the current ones, then others, none, and an archive; a version cannot be named."""
    yield from appended(stage, version)
    yield Step("PUT", path_of(version.key), body=b"other", codes=(DONE,))
    yield Step("PUT", path_of(version.key), {"x-amz-storage-class": "GLACIER"}, b"cold", (DONE,))
    yield Step("PUT", path_of(version.key), {"x-amz-object-lock-legal-hold": "OFF"}, b"free", (DONE,))
    yield Step("PUT", path_of(version.key), codes=(DONE,))
    yield Step("PUT", named(version), body=b"other", codes=("InvalidArgument",))


def copied_over(stage: Stage, version: Version) -> Steps:
    """Another object, and the version itself with another lock and key, copied onto the key."""
    free = {"x-amz-metadata-directive": "REPLACE", "x-amz-object-lock-legal-hold": "OFF"}
    yield Step("PUT", path_of(version.key), source_of(version) | free, codes=(DONE,))
    sealed = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": stage.other_key}
    yield Step("PUT", path_of(version.key), source_of(version) | sealed, codes=(DONE,))
    yield Step("PUT", path_of(version.key), {"x-amz-copy-source": path_of("other")}, codes=(DONE,))


def copied_away(stage: Stage, version: Version) -> Steps:
    """The bytes shared with copies, which are overwritten, appended to, renamed and deleted where nothing is kept."""
    for n, ends in enumerate(("overwritten", "grown", "renamed")):
        copy = path_of(f"{version.key}-{ends}", bucket=OPEN)
        yield Step("PUT", copy, source_of(version) | (PLAIN if n else {}), codes=(DONE,))
        if ends == "overwritten":
            yield Step("PUT", copy, body=b"other", codes=(DONE,))
        elif ends == "grown":
            offset = {"x-amz-write-offset-bytes": str(len(version.body))}
            yield Step("PUT", copy, offset, b"more", (DONE,))
        else:
            renaming = {"x-amz-rename-source": quote(f"{version.key}-{ends}")}
            yield Step("PUT", f"{copy}-again?renameObject", renaming, codes=(DONE,))
            copy += "-again"
        yield Step("DELETE", copy, codes=(DONE,))


def renamed(stage: Stage, version: Version) -> Steps:
    """The key away, and another one to it."""
    codes = ("InvalidRequest",)
    away = {"x-amz-rename-source": quote(version.key)}
    yield Step("PUT", path_of(version.key + "-away", "renameObject"), away, codes=codes)
    yield Step("PUT", path_of(version.key, "renameObject"), {"x-amz-rename-source": "other"}, codes=codes)


def posted(stage: Stage, version: Version) -> Steps:
    """A form onto the key."""
    made = stage.s3.generate_presigned_post(BUCKET, version.key, ExpiresIn=60)
    body, kind = encode(made["fields"], b"of a form")
    yield Step("POST", f"/{BUCKET}", {"Content-Type": kind}, body, (DONE,), anonymous=True)


# ---- attempts by uploads


def begun(stage: Stage, version: Version) -> Steps:
    """An upload with no lock, which stays open."""
    free = {"x-amz-object-lock-legal-hold": "OFF"}
    yield Step("POST", path_of(version.key, "uploads"), free, codes=(DONE,))


def part_again(stage: Stage, version: Version) -> Steps:
    """A part of the very upload that the version was made by, and of another one of its key."""
    if version.upload:
        query = f"partNumber=1&uploadId={version.upload}"
        yield Step("PUT", path_of(version.key, query), body=b"other", codes=("NoSuchUpload",))
    upload = upload_in((yield Step("POST", path_of(version.key, "uploads"), codes=(DONE,))))
    for body in (b"first", b"second"):
        yield Step("PUT", path_of(version.key, f"partNumber=1&uploadId={upload}"), body=body, codes=(DONE,))


def part_copied(stage: Stage, version: Version) -> Steps:
    """The version's bytes as a part that is replaced, then aborted; and as one of its own upload."""
    if version.upload:
        query = f"partNumber=1&uploadId={version.upload}"
        yield Step("PUT", path_of(version.key, query), source_of(version), codes=("NoSuchUpload",))
    upload = upload_in((yield Step("POST", path_of(version.key, "uploads"), codes=(DONE,))))
    query = f"partNumber=1&uploadId={upload}"
    yield Step("PUT", path_of(version.key, query), source_of(version), codes=(DONE,))
    yield Step("PUT", path_of(version.key, query), {"x-amz-copy-source": path_of("other")}, codes=(DONE,))
    yield Step("DELETE", path_of(version.key, f"uploadId={upload}"), codes=(DONE,))


def completed(stage: Stage, version: Version) -> Steps:
    """The version's own upload completed again with fewer parts, and another one of its key."""
    etag = f'"{hashlib.md5(PART).hexdigest()}"'
    if version.upload:
        yield Step("POST", path_of(version.key, f"uploadId={version.upload}"), {}, completion(etag), (DONE,))
    upload = upload_in((yield Step("POST", path_of(version.key, "uploads"), codes=(DONE,))))
    part = yield Step("PUT", path_of(version.key, f"partNumber=1&uploadId={upload}"), body=b"part", codes=(DONE,))
    yield Step(
        "POST", path_of(version.key, f"uploadId={upload}"), {}, completion(part.headers["etag"]), (DONE,)
    )  # fmt: skip
    if version.upload:
        again = path_of(version.key, f"uploadId={version.upload}")
        yield Step("POST", again, {}, completion(etag), ("NoSuchUpload",))


def aborted(stage: Stage, version: Version) -> Steps:
    """The upload that the version was made by, and another one of its key."""
    upload = upload_in((yield Step("POST", path_of(version.key, "uploads"), codes=(DONE,))))
    yield Step("PUT", path_of(version.key, f"partNumber=1&uploadId={upload}"), source_of(version), codes=(DONE,))
    yield Step("DELETE", path_of(version.key, f"uploadId={upload}"), codes=(DONE,))
    if version.upload:
        for _ in range(2):
            yield Step("DELETE", path_of(version.key, f"uploadId={version.upload}"), codes=(DONE,))


# ---- attempts on locks, keys, and what stands beside the bytes


def weakened(headers: dict[str, str]) -> Callable:
    """A shorter, another, an earlier, a past or no retention; a date that only looks later as text."""

    def steps(stage: Stage, version: Version) -> Steps:
        codes = (DONE,) if version.lock == "hold" else (LOCKED,)  # a hold is beside retention, which it does not take
        other = "GOVERNANCE" if version.lock == "COMPLIANCE" else "COMPLIANCE"
        mode = "GOVERNANCE" if version.lock == "hold" else version.lock
        east = (UNTIL - timedelta(hours=1)).astimezone(timezone(timedelta(hours=14))).isoformat()
        target = named(version, "retention")
        yield Step("PUT", target, headers, document("Retention", ""), codes)
        yield Step("PUT", target, headers, retention(mode, iso(UNTIL - timedelta(seconds=1))), codes)
        if version.lock != "hold":
            yield Step("PUT", target, headers, retention(mode, east), codes)
            yield Step("PUT", target, headers, retention(other, iso(UNTIL - timedelta(days=1))), codes)
            yield Step("PUT", target, headers, retention(other, iso(UNTIL + timedelta(days=1))), codes)
        yield Step("PUT", target, headers, retention(mode, "2020-01-01T00:00:00Z"), ("InvalidArgument",))
        yield Step("PUT", target, headers, document("Retention", tag("Mode", mode)), ("MalformedXML",))
        yield Step("PUT", target, headers, retention(mode, iso(UNTIL)), (DONE,))

    return steps


def released(stage: Stage, version: Version) -> Steps:
    """A hold taken off a version that is retained, then put on and taken off."""
    for status in ("OFF", "ON", "OFF"):
        yield Step("PUT", named(version, "legal-hold"), {}, document("LegalHold", tag("Status", status)), (DONE,))


def resealed(stage: Stage, version: Version) -> Steps:
    """Another key around the version's, of the account's own and the store's."""
    kms = document("ObjectEncryption", tag("SSE-KMS", tag("KMSKeyArn", stage.other_key)))
    yield Step("PUT", named(version, "encryption"), {}, kms)
    yield Step("PUT", named(version, "encryption"), {}, document("ObjectEncryption", "<SSE-S3/>"))


def relabelled(stage: Stage, version: Version) -> Steps:
    """Another payload in the place of an annotation."""
    yield Step("PUT", named(version, f"annotation&{NAME}"), {}, b"another label")


def labelled_more(stage: Stage, version: Version) -> Steps:
    """A second annotation, which a lock allows; it is locked then as well."""
    added = named(version, "annotation&annotationName=more")
    yield Step("PUT", added, {}, b"more", (DONE, LOCKED))
    yield Step("PUT", added, {}, b"again")
    yield Step("DELETE", added)


def unlabelled(headers: dict[str, str]) -> Callable:
    def steps(stage: Stage, version: Version) -> Steps:
        yield Step("DELETE", named(version, f"annotation&{NAME}"), headers)

    return steps


def restored(stage: Stage, version: Version) -> Steps:
    """A restore for a day of what is no archive."""
    body = document("RestoreRequest", tag("Days", "1"))
    yield Step("POST", named(version, "restore"), {}, body, ("InvalidObjectState",))


def tagged(stage: Stage, version: Version) -> Steps:
    tags = tag("TagSet", tag("Tag", tag("Key", "a") + tag("Value", "b")))
    yield Step("PUT", named(version, "tagging"), {}, document("Tagging", tags), (DONE,))


def untagged(stage: Stage, version: Version) -> Steps:
    yield Step("DELETE", named(version, "tagging"), codes=(DONE,))


# ---- attempts on the bucket


def anonymous_attack(stage: Stage) -> Steps:
    """What anybody whom everything is allowed would do; without the bypass, which is allowed then."""
    for version in stage.stands.values():
        yield Step("DELETE", named(version), anonymous=True)
        yield Step("DELETE", named(version, f"annotation&{NAME}"), anonymous=True)
        if version.lock != "hold":
            shorter = retention(version.lock, iso(UNTIL - timedelta(days=1)))
            md5 = {"Content-MD5": base64.b64encode(hashlib.md5(shorter).digest()).decode()}
            yield Step("PUT", named(version, "retention"), md5, shorter, anonymous=True)


def policy(effect: str, *actions: str) -> bytes:
    allowed = ", ".join(f'"{action}"' for action in actions)
    where = f'["arn:aws:s3:::{BUCKET}", "arn:aws:s3:::{BUCKET}/*"]'
    statement = f'{{"Effect": "{effect}", "Principal": "*", "Action": [{allowed}], "Resource": {where}}}'
    return f'{{"Version": "2012-10-17", "Statement": [{statement}]}}'.encode()


def opened_by_policy(stage: Stage) -> Steps:
    """Everybody may do everything with the bucket."""
    yield Step("DELETE", on("publicAccessBlock"), codes=(DONE,))
    yield Step("PUT", on("policy"), {}, policy("Allow", "s3:*"), (DONE,))
    yield Step("DELETE", named(stage.make("", "current")), codes=(DONE,), anonymous=True)  # it is the lock that refuses
    yield from anonymous_attack(stage)
    yield Step("DELETE", on("policy"), codes=(DONE,))


def closed_by_policy(stage: Stage) -> Steps:
    """Nobody may read, nor take that back: access, not bytes, and the root takes it back."""
    yield Step("PUT", on("policy"), {}, policy("Deny", "s3:*"), (DONE,))
    yield Step("DELETE", on("policy"), codes=(DONE,))


def opened_by_lists(stage: Stage) -> Steps:
    """Everybody may write by the access control list of the bucket."""
    owner = document("OwnershipControls", tag("Rule", tag("ObjectOwnership", "ObjectWriter")))
    yield Step("PUT", on("ownershipControls"), {}, owner, (DONE,))
    yield Step("DELETE", on("publicAccessBlock"), codes=(DONE,))
    yield Step("PUT", on("acl"), {"x-amz-acl": "public-read-write"}, codes=(DONE,))
    yield from anonymous_attack(stage)
    yield Step("PUT", on("acl"), {"x-amz-acl": "private"}, codes=(DONE,))


def closed_by_lists(stage: Stage) -> Steps:
    """Lists of the versions that give nothing to their owner: the root may read all the same."""
    owner = document("OwnershipControls", tag("Rule", tag("ObjectOwnership", "ObjectWriter")))
    yield Step("PUT", on("ownershipControls"), {}, owner, (DONE,))
    yield Step("DELETE", on("publicAccessBlock"), codes=(DONE,))
    for version in stage.stands.values():
        for name in ("public-read-write", "private"):
            yield Step("PUT", named(version, "acl"), {"x-amz-acl": name}, codes=(DONE,))
    yield Reads()
    enforced = document("OwnershipControls", tag("Rule", tag("ObjectOwnership", "BucketOwnerEnforced")))
    yield Step("PUT", on("ownershipControls"), {}, enforced, (DONE,))


def made_again(stage: Stage) -> Steps:
    """The bucket made once more, without locks."""
    yield Step("PUT", f"/{BUCKET}", codes=(DONE,))
    yield Step("PUT", f"/{BUCKET}", {"x-amz-bucket-object-lock-enabled": "false"}, codes=(DONE,))


def deleted_bucket(stage: Stage) -> Steps:
    for headers in ({}, {"x-minio-force-delete": "true"}, BYPASS):
        yield Step("DELETE", f"/{BUCKET}", headers, codes=("BucketNotEmpty",))


def suspended(stage: Stage) -> Steps:
    """Versioning suspended, so that what is written next would replace the null version."""
    for status in ("Suspended", "Disabled"):
        body = document("VersioningConfiguration", tag("Status", status))
        yield Step("PUT", on("versioning"), {}, body, ("InvalidBucketState", "MalformedXML"))
    for version in stage.stands.values():
        if version.kind == "null":
            yield Step("PUT", path_of(version.key), body=b"other", codes=(DONE,))
            yield Step("DELETE", path_of(version.key), codes=(DONE,))


def unlocked_bucket(stage: Stage) -> Steps:
    """No lock, a shorter one, and none by default for the bucket."""
    enabled = tag("ObjectLockEnabled", "Enabled")
    day = tag("Rule", tag("DefaultRetention", tag("Mode", "GOVERNANCE") + tag("Days", "1")))
    for content, code in (
        (tag("ObjectLockEnabled", "Disabled"), "MalformedXML"),
        ("", "MalformedXML"),
        (enabled + day, DONE),
        (enabled, DONE),
    ):
        yield Step("PUT", on("object-lock"), {}, document("ObjectLockConfiguration", content), (code,))
        for version in stage.stands.values():
            yield Step("DELETE", named(version))


def sealed_by_default(stage: Stage) -> Steps:
    """Another key for what comes, which is gone then."""
    key = stage.kms.create_key()["KeyMetadata"]["KeyId"]
    default = tag("SSEAlgorithm", "aws:kms") + tag("KMSMasterKeyID", key)
    rule = tag("Rule", tag("ApplyServerSideEncryptionByDefault", default))
    yield Step("PUT", on("encryption"), {}, document("ServerSideEncryptionConfiguration", rule), (DONE,))
    stage.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    yield Reads()
    yield Step("DELETE", on("encryption"), codes=(DONE,))


def unsealed_by_default(stage: Stage) -> Steps:
    yield Step("DELETE", on("encryption"), codes=(DONE,))


PAST = tag("Expiration", tag("Date", "2020-01-01T00:00:00Z"))
NONCURRENT = tag("NoncurrentVersionExpiration", tag("NoncurrentDays", "1"))
ENABLED = tag("Status", "Enabled")


def rules(*contents: str, prefix: str = "") -> bytes:
    items = "".join(tag("Rule", tag("Filter", tag("Prefix", prefix)) + ENABLED + content) for content in contents)
    return document("LifecycleConfiguration", items)


def expired(stage: Stage) -> Steps:
    """Rules by which everything is gone, as is what no lock keeps and stands behind all that is locked."""
    for _ in range(2):
        stage.s3.put_object(Bucket=BUCKET, Key="~free", Body=b"free")
    whole = rules(PAST + NONCURRENT, tag("Expiration", tag("ExpiredObjectDeleteMarker", "true")))
    yield Step("PUT", on("lifecycle"), {}, whole, (DONE,))
    wait_until(lambda: not stage.listed("~free"))
    yield Reads()
    yield Step("DELETE", on("lifecycle"), codes=(DONE,))


def expiring_late(stage: Stage) -> Steps:
    """A rule whose days come to no date that there is: its versions are read all the same."""
    yield Step(
        "PUT", on("lifecycle"), {}, rules(tag("Expiration", tag("Days", "9999999999"))), (DONE, "InvalidArgument")
    )
    yield Reads()
    yield Step("DELETE", on("lifecycle"), codes=(DONE,))


def configured(marker: str, body: bytes, undo: Callable[[], Step]) -> Callable:
    """A configuration under which the versions are read, then taken back."""

    def steps(stage: Stage) -> Steps:
        yield Step("PUT", on(marker), {}, body, (DONE,))
        yield Reads()
        yield undo()

    return steps


def payer(who: str) -> bytes:
    return document("RequestPaymentConfiguration", tag("Payer", who))


def abac(status: str) -> bytes:
    return document("AbacStatus", tag("Status", status))


CORS = document("CORSConfiguration", tag("CORSRule", tag("AllowedMethod", "DELETE") + tag("AllowedOrigin", "*")))
WEBSITE = document("WebsiteConfiguration", tag("RedirectAllRequestsTo", tag("HostName", "example.com")))
FORCE = {"x-minio-force-delete": "true"}

ATTEMPTS: dict[str, str | tuple[Each | Once, ...]] = {
    "CreateBucket": (Once(made_again),),
    "DeleteBucket": (Once(deleted_bucket),),
    "DeleteObjects": (
        Each(listed_removal({}), deadly=True),
        Each(listed_removal(BYPASS, quiet=True), ("GOVERNANCE",), deadly=True),
        Each(listed_key),
    ),
    "PostObject": (Each(posted),),
    "PutObject": (Each(overwritten),),
    "CopyObject": (Each(copied_away), Each(copied_over)),
    "DeleteObject": (
        Each(removal({}), deadly=True),
        Each(removal(BYPASS), ("GOVERNANCE",), deadly=True),
        Each(removal({"x-amz-bypass-governance-retention": "false"}), deadly=True),
        Each(removal(FORCE), deadly=True),
        Each(removal(FORCE | BYPASS, lambda version: path_of(version.key), "InvalidRequest")),
        Each(removal(FORCE, lambda version: path_of(version.key.partition("/")[0] + "/"), "InvalidRequest")),
        Each(removal(BYPASS, lambda version: path_of(version.key), DONE)),
    ),
    "CreateMultipartUpload": (Each(begun),),
    "UploadPart": (Each(part_again),),
    "UploadPartCopy": (Each(part_copied),),
    "CompleteMultipartUpload": (Each(completed),),
    "AbortMultipartUpload": (Each(aborted),),
    "PutBucketAcl": (Once(opened_by_lists),),
    "PutBucketPolicy": (Once(opened_by_policy), Once(closed_by_policy)),
    "DeleteBucketPolicy": "It takes rules of access away, of which none keeps a version.",
    "PutPublicAccessBlock": "It only narrows whom policies and lists may let in.",
    "DeletePublicAccessBlock": (Once(opened_by_policy),),
    "PutBucketOwnershipControls": (Once(closed_by_lists),),
    "DeleteBucketOwnershipControls": "It decides whether lists count, which is access alone.",
    "PutBucketTagging": "The tags of a bucket name it in policies and bills, and no version.",
    "DeleteBucketTagging": "The tags of a bucket name it in policies and bills, and no version.",
    "PutObjectTagging": (Each(tagged),),
    "DeleteObjectTagging": (Each(untagged),),
    "TagResource": "The tags of a bucket name it in policies and bills, and no version.",
    "UntagResource": "The tags of a bucket name it in policies and bills, and no version.",
    "PutBucketVersioning": (Once(suspended),),
    "PutBucketEncryption": (Once(sealed_by_default),),
    "DeleteBucketEncryption": (Once(unsealed_by_default),),
    "PutObjectLockConfiguration": (Once(unlocked_bucket),),
    "PutObjectRetention": (Each(weakened({})), Each(weakened(BYPASS), ("GOVERNANCE",))),
    "PutObjectLegalHold": (Each(released, ("hold",)),),
    "PutObjectAcl": (Once(closed_by_lists),),
    "PutBucketCors": (Once(configured("cors", CORS, lambda: Step("DELETE", on("cors"), codes=(DONE,)))),),
    "DeleteBucketCors": "It says what browsers may show to scripts, after a request has been decided.",
    "PutBucketLifecycleConfiguration": (Once(expiring_late), Once(expired)),
    "DeleteBucketLifecycle": "It takes rules away, of which none keeps a version.",
    "RestoreObject": (Each(restored),),
    "PutBucketLogging": "Logs are new objects under keys of their own.",
    "PutBucketNotificationConfiguration": "It says who hears of changes that were made.",
    "PutBucketRequestPayment": (
        Once(
            configured(
                "requestPayment",
                payer("Requester"),
                lambda: Step("PUT", on("requestPayment"), {}, payer("BucketOwner"), (DONE,)),
            )
        ),
    ),
    "PutBucketAccelerateConfiguration": "It is kept and given back, and nothing asks for it.",
    "PutBucketAnalyticsConfiguration": "It is kept and given back, and nothing asks for it.",
    "DeleteBucketAnalyticsConfiguration": "It is kept and given back, and nothing asks for it.",
    "PutBucketMetricsConfiguration": "It is kept and given back, and nothing asks for it.",
    "DeleteBucketMetricsConfiguration": "It is kept and given back, and nothing asks for it.",
    "PutBucketIntelligentTieringConfiguration": "It is kept and given back, and nothing asks for it.",
    "DeleteBucketIntelligentTieringConfiguration": "It is kept and given back, and nothing asks for it.",
    "PutBucketInventoryConfiguration": "Inventories are new objects under keys of their own.",
    "DeleteBucketInventoryConfiguration": "Inventories are new objects under keys of their own.",
    "PutBucketAbac": (
        Once(configured("abac", abac("Enabled"), lambda: Step("PUT", on("abac"), {}, abac("Disabled"), (DONE,)))),
    ),
    "SelectObjectContent": "It reads an object, and writes nothing but its answer.",
    "RenameObject": (Each(renamed),),
    "UpdateObjectEncryption": (Each(resealed),),
    "PutObjectAnnotation": (Each(relabelled, deadly=True), Each(labelled_more)),
    "DeleteObjectAnnotation": (
        Each(unlabelled({}), deadly=True),
        Each(unlabelled(BYPASS), ("GOVERNANCE",), deadly=True),
    ),
    "WriteGetObjectResponse": "A function answers a reader with it, who asked for the object through the function.",
    "PutBucketWebsite": (
        Once(configured("website", WEBSITE, lambda: Step("DELETE", on("website"), codes=(DONE,)))),
    ),
    "DeleteBucketWebsite": "It takes pages away from an address that names no versions.",
    "PutBucketReplication": "It is refused: nothing is replicated.",
    "DeleteBucketReplication": "There is nothing to delete: nothing is replicated.",
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage of all attempts; at its end all versions that were ever locked are looked at once more."""
    folder = tmp_path_factory.mktemp("locks-hold")
    options = ("--keyring", str(folder / "keyring"))
    with Server([folder / "drive"], *options, environment={"PYRITE_LIFECYCLE_DAY_S": "0.02"}) as server:
        made = Stage(server)
        yield made
        assert made.wrong_in([*made.made, *made.stands.values()]) == []


def test_every_operation_that_writes_is_considered() -> None:
    """Each operation of the table that is not asked by GET or HEAD has its attempts, or a reason of one sentence."""
    assert set(ATTEMPTS) == {one.name for one in OPERATIONS if one.method in ("PUT", "POST", "DELETE")}
    reasons = [reason for reason in ATTEMPTS.values() if isinstance(reason, str)]
    assert [reason for reason in reasons if reason.count(".") != 1 or not reason.endswith(".")] == []
    assert all(attempts for attempts in ATTEMPTS.values())


@pytest.mark.parametrize("name", [name for name, attempts in ATTEMPTS.items() if not isinstance(attempts, str)])
def test_locks_hold(stage: Stage, name: str) -> None:
    """What the root tries by an operation leaves every locked version readable, listed, and locked as it was."""
    wrong: list[str] = []
    operations: set[str] = set()
    attempts = ATTEMPTS[name]
    assert not isinstance(attempts, str)
    for n, attempt in enumerate(attempts, 1):
        if isinstance(attempt, Once):
            wrong += stage.run(attempt.steps(stage), operations)
        else:
            for version in [one for one in stage.stands.values() if one.lock not in attempt.lifts]:
                wrong += stage.run(attempt.steps(stage, version), operations)
        displaced = stage.displaced()
        if displaced or n == len(attempts):
            wrong += stage.wrong_in(list(stage.stands.values()))
        if displaced:
            stage.renew(displaced)
    assert wrong == []
    assert name in operations, "no attempt is a request of this operation"


DEADLY = [
    (name, n)
    for name, attempts in ATTEMPTS.items()
    if not isinstance(attempts, str)
    for n, attempt in enumerate(attempts)
    if isinstance(attempt, Each) and attempt.deadly
]


@pytest.mark.parametrize(("name", "n"), DEADLY)
@pytest.mark.parametrize("kind", ["current", "noncurrent", "kms"])
def test_what_is_not_locked_does_not_stand(stage: Stage, name: str, n: int, kind: str) -> None:
    """The attempts that locks refuse do spoil what is not locked: it is the lock that keeps a version."""
    version = stage.make("", kind)
    assert list(stage.wrong_with(version, True)) == []
    stage.run(ATTEMPTS[name][n].steps(stage, version), set())
    assert list(stage.wrong_with(version, True)) != []


@pytest.mark.parametrize("name", ["retention", "hold"])
def test_a_hold_beside_a_retention(stage: Stage, name: str) -> None:
    """Of a retention and a hold on the same version each one holds when the other is lifted."""
    version = stage.make("GOVERNANCE", "current")
    place = {"Bucket": BUCKET, "Key": version.key, "VersionId": version.id}
    stage.s3.put_object_legal_hold(**place, LegalHold={"Status": "ON"})
    if name == "hold":
        stage.s3.put_object_legal_hold(**place, LegalHold={"Status": "OFF"})
    else:
        stage.s3.put_object_retention(**place, Retention={}, BypassGovernanceRetention=True)
        version = version._replace(lock="hold")
    bypass = {} if name == "hold" else {"BypassGovernanceRetention": True}
    assert code_of(stage.s3.delete_object, **place, **bypass) == (LOCKED, 403)
    assert stage.wrong_in([version]) == []


@pytest.mark.parametrize("lock", ["COMPLIANCE", "GOVERNANCE"])
@pytest.mark.parametrize("until", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z"])
def test_dates_that_no_client_can_read(stage: Stage, lock: str, until: str) -> None:
    """A retention that is lengthened as far as it goes is told so that clients can read the version still."""
    version = stage.make(lock, "current")
    answer = stage.send(Step("PUT", named(version, "retention"), {}, retention(lock, until)))
    assert answer.status in (200, 400)
    got = stage.s3.get_object(Bucket=BUCKET, Key=version.key, VersionId=version.id)
    assert (got["Body"].read(), got["ObjectLockMode"]) == (version.body, lock)
    assert got["ObjectLockRetainUntilDate"] >= UNTIL


def test_archived_versions_are_restored(stage: Stage) -> None:
    """A lock lets lifecycle move a version to an archive, as AWS does: restored, it is read, and it stays locked."""
    versions = [stage.make(lock, kind) for lock in LOCKS for kind in ("current", "noncurrent", "parts", "kms")]
    prefixes = {version.key for version in versions}
    moves = tag("Transition", tag("Days", "0") + tag("StorageClass", "GLACIER"))
    moves += tag("NoncurrentVersionTransition", tag("NoncurrentDays", "0") + tag("StorageClass", "GLACIER"))
    whole = document(
        "LifecycleConfiguration",
        "".join(
            tag("Rule", tag("Filter", tag("Prefix", prefix)) + ENABLED + moves) for prefix in sorted(prefixes)
        ),
    )  # fmt: skip
    sizes = {"x-amz-transition-default-minimum-object-size": "varies_by_storage_class"}  # small ones, too
    assert stage.send(Step("PUT", on("lifecycle"), sizes, whole)).status == 200

    def is_cold(version: Version) -> bool:
        head = stage.wire.signed(ROOT, "HEAD", named(version))
        return head.headers.get("x-amz-storage-class") == "GLACIER"

    wait_until(lambda: all(is_cold(version) for version in versions))
    assert stage.send(Step("DELETE", on("lifecycle"))).status == 204
    body = document("RestoreRequest", tag("Days", "1"))
    for version in versions:
        assert stage.wire.signed(ROOT, "GET", named(version)).code == "InvalidObjectState"
        assert stage.send(Step("POST", named(version, "restore"), {}, body)).status == 202
        assert stage.send(Step("POST", named(version, "restore"), {}, body)).status == 200
        assert stage.send(Step("DELETE", named(version))).code == LOCKED
    assert stage.wrong_in(versions) == []


def test_a_key_that_the_owner_chose_is_the_owners(stage: Stage) -> None:
    """What is sealed under a key that is to be deleted is not read until that is cancelled, and its lock holds on.

    A lock does not keep a key that its owner chose: AWS, too, lets it be disabled and deleted, and the bytes are lost.
    """
    key = stage.kms.create_key()["KeyMetadata"]["KeyId"]
    sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL}
    put = stage.s3.put_object(Bucket=BUCKET, Key="chosen", Body=b"sealed", **sealed, **locked)
    version = Version("COMPLIANCE", "kms", "chosen", put["VersionId"], b"sealed")
    stage.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert stage.wire.signed(ROOT, "GET", named(version)).status == 400
    assert stage.wire.signed(ROOT, "DELETE", named(version)).code == LOCKED
    stage.kms.cancel_key_deletion(KeyId=key)
    stage.kms.enable_key(KeyId=key)
    assert stage.wrong_in([version]) == []


@pytest.mark.parametrize("call", ["disable_key", "schedule_key_deletion", "put_key_policy"])
def test_the_accounts_own_key_is_nobodys(stage: Stage, call: str) -> None:
    """The key that seals where none is named is neither disabled nor deleted nor closed: nobody chose to hold it.

    Source: AWS, "AWS managed keys" in the AWS KMS Developer Guide: nobody changes their properties or key policies, or
    schedules them for deletion.
    """
    locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL}
    put = stage.s3.put_object(Bucket=BUCKET, Key="own", Body=b"sealed", ServerSideEncryption="aws:kms", **locked)
    version = Version("COMPLIANCE", "kms", "own", put["VersionId"], b"sealed")
    key = stage.kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["KeyId"]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    closed = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    more = {"Policy": closed, "BypassPolicyLockoutSafetyCheck": True} if call == "put_key_policy" else {}
    refused = False
    try:
        getattr(stage.kms, call)(KeyId=key, **more)
    except ClientError:
        refused = True
    wrong = stage.wrong_in([version])
    with contextlib.suppress(ClientError):  # so that the next one finds the key as this one did
        stage.kms.cancel_key_deletion(KeyId=key)
    with contextlib.suppress(ClientError):
        stage.kms.enable_key(KeyId=key)
    assert (refused, wrong) == (True, [])
