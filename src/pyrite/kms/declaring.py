"""Owns making the KMS keys that a declaration of identities names, and telling what that changes."""

import msgspec

from pyrite.iam.bindings import bind
from pyrite.iam.declared import DeclaredKmsKey, text_of
from pyrite.iam.policy import Use, parse_policy
from pyrite.kms.access import default_policy
from pyrite.kms.checks import check_alias
from pyrite.kms.errors import NoSuchKmsKey
from pyrite.kms.keys import KmsKeys
from pyrite.kms.records import KmsKeyRecord


async def apply_key(keys: KmsKeys, account: str, declared: DeclaredKmsKey, dry_run: bool) -> list[str]:
    """Make a key as declared. Raises NoKeyring, MalformedPolicy, InvalidKmsInput and AliasExists."""
    policy, label = text_of(declared.policy) or default_policy(account), f"kms_key {account}/{declared.id}"
    bound = await bind(keys.view, parse_policy(policy, Use.RESOURCE, label), strict=False)

    def change(record: KmsKeyRecord) -> KmsKeyRecord:
        return msgspec.structs.replace(
            record, policy=policy, bound=bound, description=declared.description, tags=declared.tags
        )

    lines: list[str] = []
    try:
        found = (await keys.find(account, declared.id)).record
        if change(found) != found:
            lines.append(f"~ {label}")
            if not dry_run:
                await keys.change(account, declared.id, change)
    except NoSuchKmsKey:
        lines.append(f"+ {label}")
        if dry_run:
            keys.check_can_make(declared.id)
            for alias in declared.aliases:
                check_alias(alias)
            return lines
        await keys.create(account, policy, declared.id, declared.description, declared.tags, bound=bound)
    known = {alias.name: alias.key for alias in await keys.aliases(account)}
    for alias in declared.aliases:
        if known.get(alias) != declared.id:
            lines.append(f"~ {label}: {alias}")
            if not dry_run:
                await keys.set_alias(account, alias, declared.id, replace=alias in known)
    return lines
