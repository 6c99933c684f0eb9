"""Owns the switches for what clients, suites and AWS disagree about, and the presets that set them together."""

from typing import NamedTuple


class Compat(NamedTuple):
    """Named switches; the defaults are what AWS does.

    `open_buckets`: a new bucket has neither ownership controls nor a public access block, as before April 2023.
    `display_names`: owners and grantees have a DisplayName, as before November 2025.
    `rgw_identities`: a role's trust in a caller of another account is enough for assuming it, a role's policy may
    name a Principal, which is not looked at, and a user that is deleted leaves its groups by itself.
    `no_region`: requests signed for an empty region are accepted.
    `free_headers`: headers that need no permission of their own.
    `retention_code`: a default retention of no days has an error code of its own.
    `plain_key_ids`: objects tell the id of their KMS key instead of its ARN.
    `no_default_key`: encryption under a KMS key has to name one.
    """

    open_buckets: bool = False
    display_names: bool = False
    rgw_identities: bool = False
    no_region: bool = False
    free_headers: frozenset[bytes] = frozenset()
    retention_code: bool = False
    plain_key_ids: bool = False
    no_default_key: bool = False


PRESETS = {
    "aws": Compat(),
    "s3tests": Compat(
        open_buckets=True,
        display_names=True,
        rgw_identities=True,
        no_region=True,
        free_headers=frozenset((b"x-amz-object-ownership",)),
        retention_code=True,
        plain_key_ids=True,
        no_default_key=True,
    ),
}
