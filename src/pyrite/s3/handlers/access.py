"""Owns what decides who may use a bucket: policy, access control list, ownership controls, public access block."""

import json

import msgspec
from msgspec.structs import replace

from pyrite.aws.arns import bucket_arn
from pyrite.aws.xml import element
from pyrite.http.response import Response
from pyrite.iam import bindings
from pyrite.iam.errors import MalformedPolicy
from pyrite.iam.patterns import Pattern
from pyrite.iam.policy import Policy, Use, check_sids, parse_policy
from pyrite.iam.publicity import is_public
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import BucketRecord, ObjectRecord
from pyrite.s3 import acl
from pyrite.s3.causes import cause_of
from pyrite.s3.context import is_known_key
from pyrite.s3.deciding import LOCKOUT
from pyrite.s3.documents import document, empty
from pyrite.s3.errors import S3Error
from pyrite.s3.handlers.buckets import find, find_judged
from pyrite.s3.payload import read_document
from pyrite.s3.policyactions import fits, is_known
from pyrite.s3.request import S3Request
from pyrite.s3.rules import BLOCK_POLICY, BOUND, ENFORCED, bound_of
from pyrite.s3.schemas import parse_document
from pyrite.s3.service import Service
from pyrite.s3.versions import named_version, version_headers, version_of

POLICY_MAX_BYTES = 20 * 1024

_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


# ---- policy


async def get_policy(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    text = await bindings.shown(service.owners.view, _policy_of(bucket, request), bound_of(bucket.record))
    return Response(200, [(b"Content-Type", b"application/json")], text.encode())


def _policy_of(bucket: Bucket, request: S3Request) -> str:
    if not bucket.record.policy:
        raise S3Error("NoSuchBucketPolicy", None, (("BucketName", request.bucket_name),))
    return bucket.record.policy


async def put_policy(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    body = await read_document(request)
    if len(body) > POLICY_MAX_BYTES:
        raise S3Error("PolicyTooLarge", f"The policy has more than the {POLICY_MAX_BYTES} bytes that one may have")
    try:
        text = body.decode("utf-8")
        _check_form(text)
        policy = parse_policy(text, Use.RESOURCE)
        check_statements(policy, request.bucket_name, service.compat.misfit_actions)
        if not service.compat.repeated_sids:
            check_sids(policy.statements)
        bound = await bindings.bind(service.owners.view, policy, not service.compat.rgw_identities)
    except UnicodeDecodeError:
        raise S3Error("MalformedPolicy", "The policy is not UTF-8") from None
    except MalformedPolicy as error:
        raise S3Error("MalformedPolicy", str(error)) from None
    if max(bucket.record.public_block, 0) & BLOCK_POLICY and is_public(policy):
        raise S3Error(
            "AccessDenied",
            f"User: {request.caller.arn} is not authorized to perform: s3:PutBucketPolicy on resource: "
            f'"{bucket_arn(request.bucket_name)}" because public policies are blocked by the BlockPublicPolicy block '
            "public access setting. Call DeletePublicAccessBlock first if everybody shall have access.",
        )
    confirmed = (request.header(b"x-amz-confirm-remove-self-bucket-access") or "").lower() == "true"
    beside = {BOUND: msgspec.json.encode(bound).decode()} if bound else {}
    if confirmed and service.compat.confirmed_lockout:
        beside[LOCKOUT] = "1"
    await service.buckets.edit(bucket, lambda found: _with_policy(found, text, beside))
    return empty()


def _check_form(text: str) -> None:
    """Raises MalformedPolicy, as S3 says it, unless a text is a JSON object with statements."""
    try:
        document = json.loads(text) if text.startswith("{") else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    if "Statement" not in document:
        raise MalformedPolicy("Missing required field Statement")


def check_statements(policy: Policy, bucket: str, misfits: bool) -> None:
    """Raises MalformedPolicy unless each statement speaks of S3 actions on this bucket, which fit unless `misfits`."""
    for statement in policy.statements:
        if statement.allows and statement.principals is not None and statement.principals.negated:
            raise MalformedPolicy("Allow with NotPrincipal is not allowed")
        for condition in statement.conditions:
            if not is_known_key(condition.key):
                raise MalformedPolicy(f"Policy has an invalid condition key: {condition.key}")
        for action in statement.actions.patterns:
            if not is_known(action.text):
                raise MalformedPolicy("Policy has invalid action")
        assert statement.resources is not None
        places = [resource.text for resource in statement.resources.patterns]
        negated = misfits or statement.actions.negated or statement.resources.negated
        for action in () if negated else statement.actions.patterns:
            if not fits(action.text, places):
                raise MalformedPolicy("Action does not apply to any resource(s) in statement")
        for resource in statement.resources.patterns:
            named = resource.text.rpartition(":")[2].partition("/")[0]
            speaks = resource.is_always or resource.text.startswith("arn:aws:s3:")
            if not speaks or not ("${" in named or Pattern(named, False).matches(bucket, None)):
                raise MalformedPolicy("Policy has invalid resource")


async def delete_policy(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await service.buckets.edit(bucket, lambda found: _with_policy(found, "", {}))
    return empty()


def _with_policy(record: BucketRecord, text: str, beside: dict[str, str]) -> BucketRecord:
    """The record with another policy, and with what is kept `beside` that in place of what was."""
    kept = {name: value for name, value in record.configurations.items() if name not in (LOCKOUT, BOUND)}
    return replace(record, policy=text, configurations={**kept, **beside})


async def get_policy_status(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    by_acl = service.compat.status_of_acl
    text = bucket.record.policy if by_acl else _policy_of(bucket, request)
    try:
        public = bool(text) and is_public(parse_policy(text, Use.RESOURCE))
    except MalformedPolicy:
        public = False  # it denies everything
    if by_acl and bucket.record.ownership != ENFORCED:
        public = public or acl.is_public(bucket.record.acl or ())
    return document("PolicyStatus", f"<IsPublic>{str(public).lower()}</IsPublic>")


# ---- access control list


async def get_acl(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    record = bucket.record
    grants = record.acl if record.acl is not None and record.ownership != ENFORCED else acl.private(record.owner)
    return await acl.access_control_policy(service, record.owner, grants)


async def put_acl(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    record = bucket.record
    grants = await _wanted_grants(service, request, record.owner, "")
    if record.ownership == ENFORCED:
        acl.check_enforced(service, request, grants, record.owner)
        return empty(200)
    acl.check_block(bucket, grants)
    await service.buckets.change(bucket, acl=grants)
    return empty(200)


async def _wanted_grants(service: Service, request: S3Request, owner: str, bucket_owner: str) -> acl.Grants:
    """The grants that headers or the document ask for. Raises S3Error."""
    grants = await acl.grants_of_headers(service, request, owner, bucket_owner)
    body = await read_document(request)
    if grants is not None and body.strip():
        raise S3Error("UnexpectedContent")
    if grants is None:
        if not body.strip():
            raise S3Error("MissingSecurityHeader", None, (("MissingHeaderName", "x-amz-acl"),))
        grants = await acl.grants_of_document(service, body, owner)
    return grants


async def get_object_acl(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    record = await find_judged(service, request, bucket)
    if bucket.record.ownership == ENFORCED:
        owner, grants = bucket.record.owner, acl.private(bucket.record.owner)
    else:
        owner, grants = record.owner, record.acl if record.acl is not None else acl.private(record.owner)
    response = await acl.access_control_policy(service, owner, grants)
    response.headers += version_headers(bucket, record)
    return response


async def put_object_acl(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    version = version_of(request)
    record = await service.objects.find(bucket, request.key, version)
    if bucket.record.ownership == ENFORCED:
        owner = bucket.record.owner
        acl.check_enforced(service, request, await _wanted_grants(service, request, owner, owner), owner)
        return empty(200, version_headers(bucket, record))
    grants = await _wanted_grants(service, request, record.owner, bucket.record.owner)
    acl.check_block(bucket, grants)

    def change(found: ObjectRecord) -> ObjectRecord:
        request.judged.check(bucket, request.key, named_version(request), found)
        return replace(found, acl=grants)

    changed = await service.naming.amend(bucket, request.key, version, change, cause_of(request, "s3:ObjectAcl:Put"))
    return empty(200, version_headers(bucket, changed))


# ---- ownership controls


async def get_ownership(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    if not bucket.record.ownership:
        raise S3Error("OwnershipControlsNotFoundError", None, (("BucketName", request.bucket_name),))
    return document("OwnershipControls", f"<Rule>{element('ObjectOwnership', bucket.record.ownership)}</Rule>")


async def put_ownership(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    root = parse_document(await read_document(request))
    rules = [child for child in root.children if child.name == "Rule"]
    wanted = rules[0].find("ObjectOwnership") if len(rules) == 1 and root.name == "OwnershipControls" else None
    if wanted not in acl.OWNERSHIPS:
        raise S3Error("MalformedXML")
    grants = bucket.record.acl
    if wanted == ENFORCED and grants is not None and grants != acl.private(bucket.record.owner):
        raise S3Error("InvalidBucketAclWithObjectOwnership")
    await service.buckets.change(bucket, ownership=wanted)
    return empty(200)


async def delete_ownership(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await service.buckets.change(bucket, ownership="")
    return empty()


# ---- public access block


async def get_block(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    block = bucket.record.public_block
    if block < 0:
        raise S3Error("NoSuchPublicAccessBlockConfiguration", None, (("BucketName", request.bucket_name),))
    content = "".join(element(name, str(bool(block >> i & 1)).lower()) for i, name in enumerate(_BLOCKS))
    return document("PublicAccessBlockConfiguration", content)


async def put_block(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    root = parse_document(await read_document(request))
    if root.name != "PublicAccessBlockConfiguration" or any(child.name not in _BLOCKS for child in root.children):
        raise S3Error("MalformedXML")
    block = 0
    for i, name in enumerate(_BLOCKS):
        value = (root.find(name) or "false").strip().lower()
        if value not in ("true", "false"):
            raise S3Error("MalformedXML")
        block |= (value == "true") << i
    await service.buckets.change(bucket, public_block=block)
    return empty(200)


async def delete_block(service: Service, request: S3Request) -> Response:
    bucket = await find(service, request)
    await service.buckets.change(bucket, public_block=-1)
    return empty()
