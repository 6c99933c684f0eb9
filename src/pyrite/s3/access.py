"""Owns authorization: which actions on which resources a request needs, and asking whether its caller may.

One place for every way in: handlers ask it again for what they find out later, like the source of a copy.
"""

import structlog

from pyrite.aws.arns import bucket_arn
from pyrite.core.atonce import at_once
from pyrite.core.clock import Clock
from pyrite.http.proxies import Networks
from pyrite.iam.caller import Caller
from pyrite.iam.evaluate import Decision, Question, Reason, decide
from pyrite.iam.owners import Owners
from pyrite.iam.patterns import Context, Values
from pyrite.iam.policy import Policy
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.errors import IsDeleteMarker, NoSuchKey, NoSuchVersion
from pyrite.objects.naming import Naming
from pyrite.objects.records import Grant, ObjectRecord
from pyrite.s3.compat import Compat
from pyrite.s3.context import RequestContext
from pyrite.s3.errors import S3Error
from pyrite.s3.operations import ALSO, HEADER_ACTIONS, VERSION_ACTIONS
from pyrite.s3.payers import check_payer
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.rules import LOG_DELIVERY, OBJECT_PERMISSIONS, BucketRules, Rulebook
from pyrite.s3.versions import parse_version

_LOCKOUT_PROOF = frozenset(("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))
LOGGING_SERVICE = "logging.s3.amazonaws.com"
_MAKES_BUCKET = "CreateBucket"
LOCKOUT = "-lockout"
"""A bucket with this configuration: its policy counts for the root of its account too."""

_OF_SERVICE = bucket_arn("*")
_DECISIONS_KEPT = 65_536
_OPERATIONS_WITHOUT_ONE_KEY = frozenset(("DeleteObjects", "PostObject"))


class Access:
    """Decides for requests."""

    def __init__(
        self,
        buckets: Buckets,
        naming: Naming,
        owners: Owners,
        clock: Clock,
        region: str,
        compat: Compat,
        trusted: Networks = (),
    ) -> None:
        self._buckets = buckets
        self._naming = naming
        self._owners = owners
        self._clock = clock
        self._region = region
        self._compat = compat
        self._trusted = trusted
        self._rulebook = Rulebook()
        self._quick: dict[tuple[str, int, int, str], bool | None] = {}
        self._log = structlog.get_logger(component="access")

    async def authorize(self, request: S3Request) -> None:
        """Find the request's bucket, and raise S3Error unless its caller may do what the operation does."""
        operation = request.operation
        assert operation is not None
        if operation.scope != "service" and operation.name != _MAKES_BUCKET:
            request.bucket = await self._buckets.find(request.bucket_name)
        if request.bucket is not None and "requestPayment" in request.bucket.record.configurations:
            check_payer(request, request.bucket)
        if operation.name in _OPERATIONS_WITHOUT_ONE_KEY:
            return  # each key is asked for by itself
        key = request.key if operation.scope == "object" else b""
        for action in self._actions(request):
            await self.require(request, action, request.bucket, key)
        await self.require_headers(request, operation.name, key)

    async def require_headers(self, request: S3Request, operation: str, key: bytes) -> None:
        """Raises S3Error unless the caller may do what headers of the request ask for beside its operation.

        Whom the bucket's access control list lets write may say what becomes of its own object.
        """
        headers = HEADER_ACTIONS.get(operation, {}).items()
        asked = {
            action for name, action in headers if name in request.headers and name not in self._compat.free_headers
        }
        bucket = request.bucket
        if asked and bucket is not None and self._rulebook.of(bucket).grants_to(request.caller, "s3:PutObject"):
            asked -= {"s3:PutObjectAcl", "s3:PutObjectTagging"}
        for action in sorted(asked):
            await self.require(request, action, bucket, key)

    def _actions(self, request: S3Request) -> list[str]:
        operation = request.operation
        assert operation is not None
        actions = [operation.action]
        if operation.name in ALSO:
            actions.append(ALSO[operation.name])
        if request.query and b"versionId" in request.query:
            actions = [VERSION_ACTIONS.get(action, action) for action in actions]
        return actions

    async def require(
        self,
        request: S3Request,
        action: str,
        bucket: Bucket | None,
        key: bytes = b"",
        more: dict[str, Values] | None = None,
        version: bytes | None = None,
    ) -> None:
        """Raises S3Error unless the caller may do `action` to the bucket, or to the object `key` in it."""
        decision = await self.decide(request, action, bucket, key, more, version)
        if not decision.allowed:
            self._log.debug("denied", request_id=request.id, action=action, reason=decision.reason.value)
            if await self._is_missing(request, action, bucket, key, decision):
                return  # who may list the bucket is told that there is no such object
            raise refusal(request.caller, action, _resource(request, bucket, key), decision)
        if bucket is not None and "logging" in bucket.record.configurations and self._rulebook.of(bucket).has_acls:
            without = await self.decide(request, action, bucket, key, more, version, acls=False)
            request.needed_acl = request.needed_acl or not without.allowed

    async def _is_missing(
        self, request: S3Request, action: str, bucket: Bucket | None, key: bytes, decision: Decision
    ) -> bool:
        if bucket is None or action != "s3:GetObject" or decision.reason is Reason.EXPLICIT_DENY:
            return False
        if await self._naming.current(bucket, key) is not None:
            return False
        return await self.may_know(request, bucket, key)

    async def decide(
        self,
        request: S3Request,
        action: str,
        bucket: Bucket | None,
        key: bytes = b"",
        more: dict[str, Values] | None = None,
        version: bytes | None = None,
        acls: bool = True,
    ) -> Decision:
        """The decision about `action`; `version` is the id of the version of `key`, if it is not the request's own.

        Without `acls`, as if there were no access control lists.
        """
        caller = request.caller
        rules = self._rulebook.of(bucket) if bucket is not None else None
        if rules is not None and not acls:
            rules = rules._replace(grants=(), has_acls=False)
        account = await self._owners.account_of(rules.owner) if rules is not None else caller.account
        stored = None
        if bucket is not None and rules is not None and key and _asks_for_object(caller, rules, action):
            stored = await self._stored(request, bucket, key, version)
        known = {**_tags_of_bucket(bucket), **_tags_of_object(stored), **(more or {})}
        context = RequestContext(request, self._clock.now_ms(), self._region, self._trusted, account, known)
        resource = _resource(request, bucket, key)
        decision = _decide(caller, rules, account, action, resource, context, not _is_locked_out(bucket))
        if stored is None or rules is None or not rules.has_acls or action not in OBJECT_PERMISSIONS:
            return decision
        return await self._by_object(caller, rules, stored, decision, Question(action, resource, context, "", account))

    async def _stored(
        self, request: S3Request, bucket: Bucket, key: bytes, version: bytes | None
    ) -> ObjectRecord | None:
        """The version that is asked for, or None."""
        if version is None and bucket is request.bucket and key == request.key:
            version = request.query.get(b"versionId")
        try:
            return (await self._naming.find(bucket, key, parse_version(version))).record
        except (NoSuchKey, NoSuchVersion, IsDeleteMarker, S3Error):
            return None

    async def _by_object(
        self, caller: Caller, rules: BucketRules, stored: ObjectRecord, decision: Decision, question: Question
    ) -> Decision:
        """A decision with the object's own access control list. The bucket's policy grants only what its owner owns.

        Source: AWS, "How Amazon S3 authorizes a request for an object operation".
        """
        if decision.reason is Reason.EXPLICIT_DENY:
            return decision
        own = stored.owner == rules.owner
        if own and decision.allowed:
            return decision
        grants = stored.acl if stored.acl is not None else (Grant(stored.owner, "FULL_CONTROL"),)
        account = question.account
        if not own:  # who owns things without an account is an account of its own here
            account = await self._owners.account_of(stored.owner) or stored.owner
        return decide(
            caller,
            question._replace(
                owner=stored.owner,
                account=account,
                policy=rules.policy if own else None,
                granted=rules.object_grants_to(grants, caller, question.action),
            ),
        )

    async def may_deliver(self, source: Bucket, target: Bucket, key: bytes) -> bool:
        """Whether the logs of `source` may be written to the object `key` of `target`, as that bucket says."""
        rules = self._rulebook.of(target)
        account = await self._owners.account_of(rules.owner)
        source_account = await self._owners.account_of(source.record.owner) or source.record.owner
        keys: dict[str, Values] = {
            "aws:sourcearn": (bucket_arn(source.record.name),),
            "aws:sourceaccount": (source_account,),
            "aws:principalisawsservice": ("true",),
            "aws:principalservicename": (LOGGING_SERVICE,),
        }
        service = Caller(kind="AssumedRole", account="-", provider=LOGGING_SERVICE, is_root=True, keys=keys)
        granted = any(
            grant.grantee == LOG_DELIVERY and grant.permission in ("WRITE", "FULL_CONTROL") for grant in rules.grants
        )
        resource = f"{bucket_arn(target.record.name)}/{text_of(key)}"
        question = Question("s3:PutObject", resource, keys, rules.owner, account, rules.policy, granted)
        return decide(service, question).allowed

    async def may_know(self, request: S3Request, bucket: Bucket, key: bytes) -> bool:
        """Whether the caller may learn that an object is not there: it could list the bucket for its key."""
        return (await self.decide(request, "s3:ListBucket", bucket, b"", {"s3:prefix": (text_of(key),)})).allowed

    async def allows(self, request: S3Request, action: str, bucket: Bucket, key: bytes = b"") -> bool:
        """Whether the caller may do `action`."""
        return (await self.decide(request, action, bucket, key)).allowed

    # ---- the quick way

    def allows_quickly(self, caller: Caller, bucket: Bucket, action: str) -> bool:
        """Whether `action` is certainly allowed on every key of the bucket, whatever else the request says.

        False also where it depends on the key or on a condition. Raises Waits. `forget` has to be called
        when the rules change.
        """
        place = (caller.access_key, bucket.id, bucket.version, action)
        known = self._quick.get(place)
        if known is None:
            if len(self._quick) >= _DECISIONS_KEPT:
                self._quick.clear()
            known = self._quick[place] = self._is_certain(caller, bucket, action)
        return known

    def forget(self) -> None:
        """The rules have changed."""
        self._quick.clear()

    def _is_certain(self, caller: Caller, bucket: Bucket, action: str) -> bool:
        rules = self._rulebook.of(bucket)
        if rules.has_acls:
            return False  # each object may have an owner and an access control list of its own
        policies = list(caller.all_policies)
        if rules.policy is not None:
            policies.append(rules.policy)
        if not all(_speaks_of_all(policy, action, bucket.record.name) for policy in policies):
            return False
        account = at_once(self._owners.account_of(rules.owner))
        return _decide(caller, rules, account, action, bucket_arn(bucket.record.name, "any"), {}).allowed


def _is_locked_out(bucket: Bucket | None) -> bool:
    return bucket is not None and LOCKOUT in bucket.record.configurations


def _decide(
    caller: Caller,
    rules: BucketRules | None,
    account: str,
    action: str,
    resource: str,
    context: Context,
    master: bool = True,
) -> Decision:
    if rules is None:
        return decide(caller, Question(action, resource, context, caller.owner, caller.account))
    if rules.restricted and caller.owner != rules.owner:
        return Decision(False, Reason.EXPLICIT_DENY, "public access block")
    decision = decide(
        caller,
        Question(action, resource, context, rules.owner, account, rules.policy, rules.grants_to(caller, action)),
    )
    if master and not decision.allowed and action in _LOCKOUT_PROOF and _is_master(caller, rules):
        return Decision(True, Reason.OWNER)
    return decision


def _is_master(caller: Caller, rules: BucketRules) -> bool:
    """Whether it is the root of the owning account, which its bucket's policy cannot lock out of the policy itself."""
    return caller.kind == "Account" and not caller.sessions and caller.owner == rules.owner


def _speaks_of_all(policy: Policy, action: str, bucket: str) -> bool:
    """Whether what the policy says of an action is the same for every key of the bucket and every request."""
    whole = ("*", "arn:aws:s3:::*", f"arn:aws:s3:::{bucket}/*")
    for statement in policy.about(action):
        if statement.conditions or statement.resources is None or statement.resources.negated:
            return False
        if any(pattern.text not in whole for pattern in statement.resources.patterns):
            return False
    return True


def _asks_for_object(caller: Caller, rules: BucketRules, action: str) -> bool:
    """Whether the decision depends on what stands under the key: its tags, its owner, its access control list."""
    if rules.has_acls and action in OBJECT_PERMISSIONS:
        return True
    policies = caller.all_policies + ((rules.policy,) if rules.policy is not None else ())
    return any(policy.mentions("s3:existingobjecttag/") for policy in policies)


def _tags_of_object(stored: ObjectRecord | None) -> dict[str, Values]:
    tags = stored.attributes.tags if stored is not None else {}
    return {f"s3:existingobjecttag/{name.lower()}": (value,) for name, value in tags.items()}


def _tags_of_bucket(bucket: Bucket | None) -> dict[str, Values]:
    """The tags of a bucket, under the names that AWS and Ceph have for them."""
    if bucket is None or not bucket.record.tags:
        return {}
    prefixes = ("aws:resourcetag/", "s3:buckettag/", "s3:resourcetag/")
    return {prefix + name.lower(): (value,) for name, value in bucket.record.tags.items() for prefix in prefixes}


def _resource(request: S3Request, bucket: Bucket | None, key: bytes) -> str:
    if bucket is not None:
        return bucket_arn(bucket.record.name, text_of(key))
    return bucket_arn(request.bucket_name) if request.bucket_name else _OF_SERVICE


def refusal(caller: Caller, action: str, resource: str, decision: Decision) -> S3Error:
    """The error of a denied request. It tells who was refused what and why, never whose resource it is."""
    if caller.is_anonymous:
        return S3Error("AccessDenied")
    explicit = decision.reason is Reason.EXPLICIT_DENY
    why = f"with {decision.reason.value}" if explicit else f"because {decision.reason.value}"
    target = "" if resource == _OF_SERVICE else f' on resource: "{resource}"'
    return S3Error("AccessDenied", f"User: {caller.arn} is not authorized to perform: {action}{target} {why}")
