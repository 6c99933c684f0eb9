"""Owns a single decision about a bucket or an object: what the rules say, and what of them is certain. Pure."""

from pyrite.aws.arns import bucket_arn
from pyrite.iam.caller import Caller
from pyrite.iam.evaluate import Decision, Question, Reason, decide
from pyrite.iam.patterns import Context, Values
from pyrite.iam.policy import Policy
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import ObjectRecord
from pyrite.s3.errors import S3Error
from pyrite.s3.request import S3Request, text_of
from pyrite.s3.rules import OBJECT_PERMISSIONS, BucketRules

LOCKOUT = "-lockout"
"""A bucket with this configuration: its policy counts for the root of its account too."""

_LOCKOUT_PROOF = frozenset(("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))
_OF_SERVICE = bucket_arn("*")


def is_locked_out(bucket: Bucket | None) -> bool:
    """Whether the policy of a bucket counts for the root of its account too."""
    return bucket is not None and LOCKOUT in bucket.record.configurations


def by_rules(
    caller: Caller,
    rules: BucketRules | None,
    account: str,
    action: str,
    resource: str,
    context: Context,
    master: bool = True,
    granted: bool = False,
) -> Decision:
    """The decision by the caller's policies and the rules of the bucket, if there is one.

    `granted`: an access control list lets the caller's account do it, whatever the action.
    """
    if rules is None:
        return decide(caller, Question(action, resource, context, caller.owner, caller.account))
    if rules.restricted and caller.owner != rules.owner:
        return Decision(False, Reason.EXPLICIT_DENY, "public access block")
    decision = decide(
        caller,
        Question(
            action, resource, context, rules.owner, account, rules.policy, granted or rules.grants_to(caller, action)
        ),
    )
    if master and not decision.allowed and action in _LOCKOUT_PROOF and _is_master(caller, rules):
        return Decision(True, Reason.OWNER)
    return decision


def _is_master(caller: Caller, rules: BucketRules) -> bool:
    """Whether it is the root of the owning account, which its bucket's policy cannot lock out of the policy itself."""
    return caller.kind == "Account" and not caller.sessions and not caller.limits and caller.owner == rules.owner


def speaks_of_all(policy: Policy, action: str, bucket: str) -> bool:
    """Whether what the policy says of an action is the same for every key of the bucket and every request."""
    whole = ("*", "arn:aws:s3:::*", f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}")
    for statement in policy.about(action):
        if statement.conditions or statement.resources is None or statement.resources.negated:
            return False
        if any(pattern.text not in whole for pattern in statement.resources.patterns):
            return False
    return True


def asks_for_object(caller: Caller, rules: BucketRules, action: str) -> bool:
    """Whether the decision depends on what stands under the key: its tags, its owner, its access control list."""
    return (rules.has_acls and action in OBJECT_PERMISSIONS) or asks_for_tags(caller, rules)


def asks_for_tags(caller: Caller, rules: BucketRules) -> bool:
    """Whether anything that decides may look at the tags of what stands under a key."""
    policies = caller.all_policies + ((rules.policy,) if rules.policy is not None else ())
    return any(policy.mentions("s3:existingobjecttag/") for policy in policies)


def tags_of_object(stored: ObjectRecord | None) -> dict[str, Values]:
    """The condition keys of an object's tags."""
    tags = stored.attributes.tags if stored is not None else {}
    return {f"s3:existingobjecttag/{name.lower()}": (value,) for name, value in tags.items()}


def resource_of(request: S3Request, bucket: Bucket | None, key: bytes) -> str:
    """The ARN of what is decided about."""
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
