"""Owns authorization: which actions on which resources a request needs, and asking whether its caller may.

One place for every way in: handlers ask it again for what they find out later, like the source of a copy.
"""

from collections.abc import Callable
from functools import partial

import structlog

from pyrite.aws.arns import bucket_arn
from pyrite.core.atonce import at_once
from pyrite.core.clock import Clock
from pyrite.http.proxies import Networks
from pyrite.iam.caller import Caller
from pyrite.iam.evaluate import Decision, Question, Reason, decide
from pyrite.iam.owners import Owners
from pyrite.iam.patterns import Values
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.errors import IsDeleteMarker, NoSuchKey, NoSuchVersion
from pyrite.objects.naming import Naming
from pyrite.objects.records import Grant, ObjectRecord
from pyrite.s3.abac import tags_that_count
from pyrite.s3.compat import Compat
from pyrite.s3.context import RequestContext
from pyrite.s3.deciding import (
    asks_for_object,
    asks_for_tags,
    by_rules,
    is_locked_out,
    refusal,
    resource_of,
    speaks_of_all,
    tags_of_object,
)
from pyrite.s3.documentkeys import keys_of_document
from pyrite.s3.errors import S3Error
from pyrite.s3.judged import same_tags
from pyrite.s3.operations import ALSO, HEADER_ACTIONS, VERSION_ACTIONS, Operation
from pyrite.s3.payers import check_payer
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.rules import LOG_DELIVERY, OBJECT_PERMISSIONS, BucketRules, Rulebook
from pyrite.s3.versions import named_version, parse_version

LISTING = "s3:ListBucket"
"""Who may do this may know which keys there are."""

LOGGING_SERVICE = "logging.s3.amazonaws.com"
_MAKES_BUCKET = "CreateBucket"
_DECISIONS_KEPT = 65_536
_OF_WRITERS = frozenset(("s3:PutObjectAcl", "s3:PutObjectTagging"))
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

    def about(self, request: S3Request) -> RequestContext:
        """The condition keys of a request."""
        return RequestContext(request, self._clock.now_ms(), self._region, self._trusted)

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
        more = await keys_of_document(request, operation.name, self._clock.now_ms())
        version = named_version(request)
        for action in self._actions(operation, version is not None):
            await self.require(request, action, request.bucket, key, more, version)
        await self.require_headers(request, operation.name, key)

    async def require_headers(self, request: S3Request, operation: str, key: bytes) -> None:
        """Raises S3Error unless the caller may do what headers of the request ask for beside its operation.

        Whom the bucket's access control list lets write may say what becomes of its own object.
        """
        headers = HEADER_ACTIONS.get(operation, {}).items()
        asked = {
            action for name, action in headers if name in request.headers and name not in self._compat.free_headers
        }
        for action in sorted(asked):
            await self.require(request, action, request.bucket, key, granted=self._follows(request, action))

    def _follows(self, request: S3Request, action: str) -> bool:
        """Whether an access control list that lets another account write lets it do this to what it writes, too."""
        if request.bucket is None or action not in _OF_WRITERS:
            return False
        rules = self._rulebook.of(request.bucket)
        return request.caller.owner != rules.owner and rules.grants_to(request.caller, "s3:PutObject")

    @staticmethod
    def _actions(operation: Operation, of_version: bool) -> list[str]:
        actions = [operation.action]
        if operation.name in ALSO:
            actions.append(ALSO[operation.name])
        return [VERSION_ACTIONS.get(action, action) for action in actions] if of_version else actions

    async def require(
        self,
        request: S3Request,
        action: str,
        bucket: Bucket | None,
        key: bytes = b"",
        more: dict[str, Values] | None = None,
        version: bytes | None = None,
        granted: bool = False,
    ) -> None:
        """Raises S3Error unless the caller may do `action` to the bucket, or to the object `key` in it.

        Raises NoSuchKey where the caller could list the bucket and so may know that there is no such object.
        """
        decision = await self.decide(request, action, bucket, key, more, version, granted=granted)
        if not decision.allowed:
            self._log.debug("denied", request_id=request.id, action=action, reason=decision.reason.value)
            if await self._is_missing(request, action, bucket, key, decision):
                raise NoSuchKey(text_of(key))
            raise refusal(request.caller, action, resource_of(request, bucket, key), decision)
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

    async def require_own(self, request: S3Request, action: str, resource: str) -> None:
        """Raises S3Error unless the caller's identity may do `action` to a resource of its own account."""
        caller = request.caller
        context = RequestContext(request, self._clock.now_ms(), self._region, self._trusted, caller.account)
        decision = decide(caller, Question(action, resource, context, caller.owner, caller.account))
        if not decision.allowed:
            raise refusal(caller, action, resource, decision)

    async def decide(
        self,
        request: S3Request,
        action: str,
        bucket: Bucket | None,
        key: bytes = b"",
        more: dict[str, Values] | None = None,
        version: bytes | None = None,
        acls: bool = True,
        granted: bool = False,
    ) -> Decision:
        """The decision about `action`; `version` is the id of the version of `key` that it is about.

        Without `acls`, as if there were no access control lists; `granted` as in `by_rules`.
        """
        caller = request.caller
        rules = self._rulebook.of(bucket) if bucket is not None else None
        if rules is not None and not acls:
            rules = rules._replace(grants=(), has_acls=False)
        account = await self._owners.account_of(rules.owner) if rules is not None else caller.account
        stored = None
        if bucket is not None and rules is not None and key and asks_for_object(caller, rules, action):
            stored = await self._stored(bucket, key, version)
            request.judged.note(bucket, key, version, stored)
        tags, now_ms = tags_that_count(bucket, self._compat.bucket_tags_count), self._clock.now_ms()
        resource = resource_of(request, bucket, key)

        def context_of(found: ObjectRecord | None) -> RequestContext:
            known = {**tags, **tags_of_object(found), **(more or {})}
            return RequestContext(request, now_ms, self._region, self._trusted, account, known, version)

        def decided_on(found: ObjectRecord | None) -> Decision:
            context = context_of(found)
            return by_rules(caller, rules, account, action, resource, context, not is_locked_out(bucket), granted)

        decision = decided_on(stored)
        by_object = stored is not None and rules is not None and rules.has_acls and action in OBJECT_PERMISSIONS
        if bucket is not None and rules is not None and key and asks_for_tags(caller, rules):
            if by_object:  # who owns it counts, too, which is not decided again
                request.judged.note_again(bucket, key, version, partial(same_tags, stored))
            elif decision.allowed:
                request.judged.note_again(bucket, key, version, partial(_again, caller, action, resource, decided_on))
        if not by_object or stored is None or rules is None:
            return decision
        question = Question(action, resource, context_of(stored), "", account)
        return await self._by_object(caller, rules, stored, decision, question)

    async def _stored(self, bucket: Bucket, key: bytes, version: bytes | None) -> ObjectRecord | None:
        """The version that is asked for, or None."""
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

    async def may_deliver(self, source: Bucket, target: Bucket, key: bytes, provider: str = LOGGING_SERVICE) -> bool:
        """Whether what a service tells of `source` may be written to the object `key` of `target`, as that bucket says.

        The logging service may also be granted so by an access control list.
        """
        rules = self._rulebook.of(target)
        account = await self._owners.account_of(rules.owner)
        source_account = await self._owners.account_of(source.record.owner) or source.record.owner
        keys: dict[str, Values] = {
            "aws:sourcearn": (bucket_arn(source.record.name),),
            "aws:sourceaccount": (source_account,),
            "aws:principalisawsservice": ("true",),
            "aws:principalservicename": (provider,),
            "s3:x-amz-acl": ("bucket-owner-full-control",),
        }
        service = Caller(kind="AssumedRole", account="-", provider=provider, is_root=True, keys=keys)
        granted = provider == LOGGING_SERVICE and any(
            grant.grantee == LOG_DELIVERY and grant.permission in ("WRITE", "FULL_CONTROL") for grant in rules.grants
        )
        resource = f"{bucket_arn(target.record.name)}/{text_of(key)}"
        question = Question("s3:PutObject", resource, keys, rules.owner, account, rules.policy, granted)
        return decide(service, question).allowed

    async def may_know(self, request: S3Request, bucket: Bucket, key: bytes) -> bool:
        """Whether the caller may learn that an object is not there: it could list the bucket for its key."""
        return (await self.decide(request, LISTING, bucket, b"", {"s3:prefix": (text_of(key),)})).allowed

    async def allows(
        self, request: S3Request, action: str, bucket: Bucket, key: bytes = b"", version: bytes | None = None
    ) -> bool:
        """Whether the caller may do `action`."""
        return (await self.decide(request, action, bucket, key, version=version)).allowed

    # ---- the quick way

    def allows_quickly(self, caller: Caller, bucket: Bucket, action: str) -> bool:
        """Whether `action` is certainly allowed on every key of the bucket, or on it, whatever else the request says.

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
        if not all(speaks_of_all(policy, action, bucket.record.name) for policy in policies):
            return False
        account = at_once(self._owners.account_of(rules.owner))
        resource = bucket_arn(bucket.record.name, "" if action == LISTING else "any")
        return by_rules(caller, rules, account, action, resource, {}).allowed


def _again(
    caller: Caller,
    action: str,
    resource: str,
    decided_on: Callable[[ObjectRecord | None], Decision],
    found: ObjectRecord | None,
) -> None:
    """Raises S3Error where what was allowed is not, with the tags of what stands there now."""
    decision = decided_on(found)
    if not decision.allowed:
        raise refusal(caller, action, resource, decision)
