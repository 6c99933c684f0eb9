"""Owns the switches for what clients, suites and AWS disagree about, and the presets that set them together."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Compat(NamedTuple):
    """Named switches; the defaults are what AWS does.

    `open_buckets`: a new bucket has neither ownership controls nor a public access block, as before April 2023.
    `display_names`: owners and grantees have a DisplayName, as before November 2025.
    `rgw_identities`: a role's trust in a caller of another account is enough for assuming it, a role's policy may
    name a Principal, which is not looked at, policies may name who is not there, and a user that is deleted leaves
    its groups by itself.
    `no_region`: requests signed for an empty region are accepted.
    `free_headers`: headers that need no permission of their own.
    `codes`: error codes that stand for others.
    `plain_key_ids`: objects tell the id of their KMS key instead of its ARN.
    `no_default_key`: encryption under a KMS key has to name one.
    `lenient_filters`: a lifecycle filter may have several conditions without an And, and rules move small objects.
    `etag_none_match`: If-None-Match of a write may be an ETag, and If-Match `*`.
    `any_location`: a bucket may be made for any location, which it then tells.
    `groups_first`: access control lists tell groups before their owner, and headers' grants in the headers' order.
    `strict_private`: the canned list "private" is refused like others where access control lists are disabled.
    `bare_encryption`: a bucket whose encryption is not configured says so, though objects are encrypted.
    `status_of_acl`: a bucket without a policy has a policy status, and what its access control list grants counts.
    `lists_all_parts`: the attributes of an object list its parts also where they have no checksums of their own.
    `always_tells_marker`: answers to reads of missing objects tell that it is no delete marker.
    `confirmed_lockout`: who confirms it may lock the account's root out of a bucket's policy.
    `repeated_parts`: of several entries for one part the last counts when an upload is completed.
    `parts_without_checksums`: an upload whose checksum is made of its parts' is completed without stating theirs.
    `needs_customer_key`: completing an upload that is sealed with a client's key takes that key.
    `log_policies_name_prefixes`: who may deliver logs is asked for the prefix of their keys; the target bucket may be
    another account's.
    `repeated_sids`: statements of a bucket's policy may have the same id.
    `tagging_ok`: PutBucketTagging answers 200.
    `plain_prefix`: the first version of listings tells the prefix as it is, whatever the encoding of keys.
    `loose_select`: queries speak Ceph's dialect: any name after FROM, text in double quotes, arrays gone through.
    `bucket_tags_count`: the tags of every bucket are condition keys, not only where attribute-based access is enabled.
    `misfit_actions`: a bucket's policy may name actions on what they cannot be done to.
    `bypass_anywhere`: who deletes may ask for lifting governance retention also where nothing can be locked.
    `loose_lists`: lists take an empty token and tell StartAfter beside one. AWS refuses the first, omits the other.
    `any_expected_owner`: an expected owner that is no account is another one; AWS says that it is none.
    `counted_composites`: attributes tell composite checksums with the number of parts; AWS tells them without.
    `untyped_checksums`: the checksum of a whole object may be stated without its type, which AWS takes for a wrong one.
    `unsatisfiable_parts`: a part copied from behind the end of its source is InvalidRange; AWS says InvalidArgument.
    `strips_aws_chunked`: aws-chunked is never kept as a coding; AWS keeps it where the body is not sent so.
    `constant_time_copies`: the copy of a multipart object keeps its ETag, its parts and its checksum. AWS tells the MD5
    and the checksum of the whole, for which the object is read.
    `no_torrents`: objects have no torrents, where AWS implements them no more.
    """

    open_buckets: bool = False
    display_names: bool = False
    rgw_identities: bool = False
    no_region: bool = False
    free_headers: frozenset[bytes] = frozenset()
    codes: Mapping[str, str] = {}
    plain_key_ids: bool = False
    no_default_key: bool = False
    lenient_filters: bool = False
    etag_none_match: bool = False
    any_location: bool = False
    groups_first: bool = False
    strict_private: bool = False
    bare_encryption: bool = False
    status_of_acl: bool = False
    lists_all_parts: bool = False
    always_tells_marker: bool = False
    confirmed_lockout: bool = False
    repeated_parts: bool = False
    parts_without_checksums: bool = False
    needs_customer_key: bool = False
    log_policies_name_prefixes: bool = False
    repeated_sids: bool = False
    tagging_ok: bool = False
    plain_prefix: bool = False
    loose_select: bool = False
    no_torrents: bool = False
    bucket_tags_count: bool = False
    misfit_actions: bool = False
    constant_time_copies: bool = False
    bypass_anywhere: bool = False
    loose_lists: bool = False
    any_expected_owner: bool = False
    counted_composites: bool = False
    untyped_checksums: bool = False
    unsatisfiable_parts: bool = False
    strips_aws_chunked: bool = False


PRESETS = {
    "aws": Compat(),
    "s3tests": Compat(
        open_buckets=True,
        display_names=True,
        rgw_identities=True,
        no_region=True,
        free_headers=frozenset(
            (
                b"x-amz-acl",
                b"x-amz-grant-full-control",
                b"x-amz-grant-read",
                b"x-amz-grant-read-acp",
                b"x-amz-grant-write",
                b"x-amz-grant-write-acp",
                b"x-amz-object-ownership",
                b"x-amz-tagging",
            )
        ),
        codes={
            "InvalidChecksumValue": "BadDigest",
            "InvalidPartNumber": "InvalidPart",
            "NoRetention": "InvalidRetentionPeriod",
            "TooManyTags": "InvalidTag",
            "WrongCustomerKey": "InvalidRequest",
        },
        plain_key_ids=True,
        no_default_key=True,
        lenient_filters=True,
        etag_none_match=True,
        any_location=True,
        groups_first=True,
        strict_private=True,
        bare_encryption=True,
        status_of_acl=True,
        lists_all_parts=True,
        always_tells_marker=True,
        confirmed_lockout=True,
        repeated_parts=True,
        parts_without_checksums=True,
        needs_customer_key=True,
        log_policies_name_prefixes=True,
        repeated_sids=True,
        tagging_ok=True,
        plain_prefix=True,
        loose_select=True,
        no_torrents=True,
        bucket_tags_count=True,
        misfit_actions=True,
        bypass_anywhere=True,
        loose_lists=True,
        any_expected_owner=True,
        counted_composites=True,
        untyped_checksums=True,
        unsatisfiable_parts=True,
        strips_aws_chunked=True,
    ),
}


SWITCHES = tuple(name for name, default in Compat._field_defaults.items() if isinstance(default, bool))
"""The switches that can be named by themselves, beside a preset."""


def compat_of(text: str) -> Compat:
    """The switches that `text` names: a preset, and further switches behind commas, such as `aws,no-region`.

    Raises KeyError with the first name that is neither.
    """
    first, *more = (part.strip() for part in text.split(","))
    chosen: dict[str, Any] = {_switch(name): True for name in more}
    return PRESETS[first]._replace(**chosen)


def _switch(name: str) -> str:
    field = name.replace("-", "_")
    if field not in SWITCHES:
        raise KeyError(name)
    return field
