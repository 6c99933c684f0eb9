"""Owns access control lists on the wire: canned ones, grant headers, the document, and how they are shown.

Source: AWS, "Access control list (ACL) overview" in the Amazon S3 User Guide.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

from pyrite.aws.xml import Element, element
from pyrite.http.response import Response
from pyrite.objects.buckets import CLOSED, Access, Bucket
from pyrite.objects.records import Grant
from pyrite.s3.documents import document
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.rules import ALL_USERS, AUTHENTICATED_USERS, BLOCK_ACLS, ENFORCED, GROUPS, LOG_DELIVERY
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service

GRANTS_MAX = 100
OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")

_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_GRANT_HEADERS = {
    b"x-amz-grant-full-control": "FULL_CONTROL",
    b"x-amz-grant-read": "READ",
    b"x-amz-grant-read-acp": "READ_ACP",
    b"x-amz-grant-write": "WRITE",
    b"x-amz-grant-write-acp": "WRITE_ACP",
}
_GRANT_HEADERS_IN_ORDER = tuple(
    b"x-amz-grant-" + name for name in (b"read", b"write", b"read-acp", b"write-acp", b"full-control")
)
_PERMISSIONS = get_args(Grant.__annotations__["permission"])
_CANNED = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
    "aws-exec-read": (),
}
_GRANTEES = ("", "CanonicalUser", "Group", "AmazonCustomerByEmail")
_AS_SENT: Mapping[str, str] = {}
_IN_DOCUMENT = {"id": "CanonicalUser/ID", "uri": "Group/URI"}
_TO_BUCKET_OWNER = {"bucket-owner-read": "READ", "bucket-owner-full-control": "FULL_CONTROL"}

Grants = tuple[Grant, ...]


def private(owner: str) -> Grants:
    """The grants of what its owner alone may use."""
    return (Grant(owner, "FULL_CONTROL"),)


def is_public(grants: Grants) -> bool:
    """Whether everybody, or everybody with an account, is granted something."""
    return any(grant.grantee in (ALL_USERS, AUTHENTICATED_USERS) for grant in grants)


async def access_of_new(service: Service, request: S3Request) -> Access:
    """What a new bucket says of who may use it: what the headers ask for, else the preset's default. Raises S3Error."""
    given = request.header(b"x-amz-object-ownership")
    if given is not None and given not in OWNERSHIPS:
        raise bad_argument(f"Invalid x-amz-object-ownership header: {given}", "x-amz-object-ownership")
    ownership = given if given is not None else "" if service.compat.open_buckets else CLOSED.ownership
    block = -1 if service.compat.open_buckets else CLOSED.public_block
    grants = await grants_of_headers(service, request, request.caller.owner)
    if grants is not None and ownership == ENFORCED:
        if grants != private(request.caller.owner):
            raise S3Error("InvalidBucketAclWithObjectOwnership")
        grants = None
    if grants is not None and is_public(grants) and block & 1 and block >= 0:
        raise S3Error("InvalidBucketAclWithBlockPublicAccessError")
    return Access(grants, ownership, block)


class Ownership(NamedTuple):
    """Whom a new object belongs to, and its grants; None for the owner's alone."""

    owner: str
    grants: Grants | None


async def ownership_of_new(service: Service, request: S3Request, bucket: Bucket) -> Ownership:
    """What a request says of who may use the object that it makes. Raises S3Error."""
    record = bucket.record
    canned = request.header(b"x-amz-acl")
    full = canned == "bucket-owner-full-control"
    if record.ownership == ENFORCED:
        grants = await grants_of_headers(service, request, record.owner)
        if grants is not None:
            check_enforced(service, request, grants, record.owner)
        return Ownership(record.owner, None)
    owner = request.caller.owner or record.owner
    if record.ownership == "BucketOwnerPreferred" and full:
        owner = record.owner
    grants = await grants_of_headers(service, request, owner, record.owner)
    check_block(bucket, grants)
    return Ownership(owner, grants)


def check_enforced(service: Service, request: S3Request, grants: Grants, owner: str) -> None:
    """Raises S3Error unless `grants` say what holds anyway where access control lists are disabled."""
    strict = service.compat.strict_private and request.header(b"x-amz-acl") == "private"
    if grants != private(owner) or strict:
        raise S3Error("AccessControlListNotSupported")


def check_block(bucket: Bucket, grants: Grants | None) -> None:
    """Raises S3Error when the public access block forbids such grants."""
    if grants is not None and max(bucket.record.public_block, 0) & BLOCK_ACLS and is_public(grants):
        raise S3Error("AccessDenied")


async def grants_of_headers(service: Service, request: S3Request, owner: str, bucket_owner: str = "") -> Grants | None:
    """The grants that x-amz-acl or x-amz-grant-* headers ask for; None when there are none. Raises S3Error."""
    canned = request.header(b"x-amz-acl")
    order = _GRANT_HEADERS if not service.compat.groups_first else _GRANT_HEADERS_IN_ORDER
    explicit = [(name, request.header(name)) for name in order if name in request.headers]
    if canned is not None:
        if explicit:
            raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
        if canned not in _CANNED:
            raise bad_argument("", "x-amz-acl", canned)
        further = [Grant(grantee, permission) for grantee, permission in _CANNED[canned]]  # type: ignore[arg-type]
        if canned in _TO_BUCKET_OWNER and bucket_owner not in ("", owner):
            further.append(Grant(bucket_owner, _TO_BUCKET_OWNER[canned]))  # type: ignore[arg-type]
        return (*private(owner), *further)
    if not explicit:
        return None
    grants: list[Grant] = []
    for name, value in explicit:
        for part in (value or "").split(","):
            grantee = await _grantee_of(service, part, text_of(name))
            grants.append(Grant(grantee, _GRANT_HEADERS[name]))  # type: ignore[arg-type]
    return _checked(grants)


async def _grantee_of(service: Service, text: str, header: str) -> str:
    kind, equals, value = text.strip().partition("=")
    value = value.strip().strip('"')
    if not equals or kind.strip().lower() not in ("id", "uri", "emailaddress"):
        raise bad_argument("Argument format not recognized", header, text.strip())
    return await _resolve(service, kind.strip().lower(), value)


async def _resolve(service: Service, kind: str, value: str, in_document: Mapping[str, str] = _AS_SENT) -> str:
    """The grantee that an id, a URI or an e-mail address means; errors call it as `in_document`. Raises S3Error."""
    if kind == "uri" and value in GROUPS:
        return value
    if kind == "id" and await service.owners.find(value) is not None:
        return value
    if kind == "emailaddress":
        found = await service.owners.by_email(value)
        if found is not None:
            return found
        raise S3Error("UnresolvableGrantByEmailAddress", None, (("EmailAddress", value),))
    if kind == "id":
        raise bad_argument("Invalid id", in_document.get(kind, kind), value)
    raise bad_argument("Invalid group uri", in_document.get(kind, kind), value)


def _checked(grants: list[Grant]) -> Grants:
    if len(grants) > GRANTS_MAX:
        raise S3Error("InvalidRequest", f"An access control list has at most {GRANTS_MAX} grants")
    return tuple(grants)


async def grants_of_document(service: Service, body: bytes, owner: str) -> Grants:
    """The grants of an AccessControlPolicy document. Raises S3Error or MalformedXml."""
    root = parse_document(body)
    listed = [child for child in root.children if child.name == "AccessControlList"]
    owners = [child for child in root.children if child.name == "Owner"]
    if root.name != "AccessControlPolicy" or len(listed) != 1 or len(owners) != 1:
        raise S3Error("MalformedACLError")
    named = owners[0].find("ID") or owner
    if named != owner:
        if await service.owners.find(named) is None:
            raise bad_argument("Invalid id", "CanonicalUser/ID", named)
        raise S3Error("AccessDenied")
    return await grants_of_elements(service, listed[0].children)


async def grants_of_elements(service: Service, elements: Sequence[Element]) -> Grants:
    """The grants that elements called Grant are. Raises S3Error."""
    return _checked([await _grant_of(service, item) for item in elements])


async def _grant_of(service: Service, item: Element) -> Grant:
    grantees = [child for child in item.children if child.name == "Grantee"]
    permission = item.find("Permission")
    if item.name != "Grant" or len(grantees) != 1 or permission not in _PERMISSIONS:
        raise S3Error("MalformedACLError")
    if grantees[0].kind not in _GRANTEES:
        raise S3Error("MalformedACLError")
    for kind in ("ID", "URI", "EmailAddress"):
        value = grantees[0].find(kind)
        if value is not None:
            grantee = await _resolve(service, kind.lower(), value.strip(), _IN_DOCUMENT)
            return Grant(grantee, permission)  # type: ignore[arg-type]
    raise S3Error("MalformedACLError")


async def access_control_policy(service: Service, owner: str, grants: Grants) -> Response:
    """The document of an access control list."""
    if service.compat.groups_first:
        grants = tuple(sorted(grants, key=lambda grant: grant.grantee not in GROUPS))
    shown = "".join([await _shown(service, grant) for grant in grants])
    content = f"<Owner>{await _named(service, owner)}</Owner><AccessControlList>{shown}</AccessControlList>"
    return document("AccessControlPolicy", content)


async def _shown(service: Service, grant: Grant) -> str:
    if grant.grantee in GROUPS:
        grantee = f'<Grantee {_XSI} xsi:type="Group">{element("URI", grant.grantee)}</Grantee>'
    else:
        grantee = f'<Grantee {_XSI} xsi:type="CanonicalUser">{await _named(service, grant.grantee)}</Grantee>'
    return f"<Grant>{grantee}<Permission>{grant.permission}</Permission></Grant>"


async def _named(service: Service, canonical_id: str) -> str:
    name = await service.owners.name_of(canonical_id) if service.compat.display_names else ""
    return element("ID", canonical_id) + (element("DisplayName", name) if name else "")
