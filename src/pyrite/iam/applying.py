"""Owns making a store's identities what a declaration says, in one change, and telling what that changes."""

from datetime import UTC, datetime

import msgspec

from pyrite.iam import accesskeys, accounts, entities, policies, providers
from pyrite.iam.changing import Change
from pyrite.iam.declared import (
    Declaration,
    Declared,
    DeclaredAccount,
    DeclaredKey,
    DeclaredPolicy,
    DeclaredProvider,
    DeclaredRole,
    DeclaredUser,
    text_of,
)
from pyrite.iam.differences import differences
from pyrite.iam.errors import InvalidInput
from pyrite.iam.names import check_email, check_path, check_tags
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import (
    FORMAT,
    AccessKeyRecord,
    AccountRecord,
    EntityKind,
    EntityRecord,
    OwnerRecord,
    PolicyRecord,
    PolicyVersion,
    ProviderRecord,
    access_key_key,
    account_key,
    named_key,
)


class Applier:
    """Applies a declaration within one change. `lines` tell what it does: `+` made, `~` changed, `-` deleted."""

    def __init__(self, change: Change, own_account: str, prune: bool) -> None:
        self._change = change
        self._own = own_account
        self._prune = prune
        self.lines: list[str] = []

    async def apply(self, declaration: Declaration) -> list[str]:
        """Apply all of it; what changed. Raises errors of `iam/errors.py`."""
        for declared in declaration.accounts:
            await self._account(declared)
        for declared in declaration.accounts:
            for role in declared.roles:  # once all are there whom they may trust
                await self._bind(self._account_of(declared), role.name)
        return self.lines

    def _account_of(self, declared: DeclaredAccount) -> str:
        return self._own if declared.id is None else declared.id

    async def _account(self, declared: DeclaredAccount) -> None:
        account = self._account_of(declared)
        if account:
            await self._account_itself(account, declared)
        for policy in declared.policies:
            await self._policy(account, policy)
        for group in declared.groups:
            await self._entity("group", account, group)
        for user in declared.users:
            await self._user(account, user)
        for role in declared.roles:
            await self._role(account, role)
        for key in declared.keys:
            await self._key(account, "", key)
        for provider in declared.providers:
            await self._provider(account, provider)
        if self._prune:
            await self._remove_others(account, declared)

    async def _account_itself(self, account: str, declared: DeclaredAccount) -> None:
        found = await self._change.get(AccountRecord, account_key(account))
        if found is None:
            await accounts.create(self._change, declared.name, account, declared.canonical_id, declared.email)
            self.lines.append(f"+ account {account}")
            return
        if declared.canonical_id not in ("", found.canonical_id):
            raise InvalidInput(f"the canonical id of account {account} cannot be changed")
        wanted = msgspec.structs.replace(
            found, name=declared.name or found.name, email=check_email(declared.email) or found.email
        )
        if wanted != found:
            await accounts.claim(
                self._change, OwnerRecord(FORMAT, account, "", found.canonical_id, wanted.name), wanted.email
            )
            accounts.save(self._change, wanted)
            self.lines.append(f"~ account {account}")

    async def _policy(self, account: str, declared: DeclaredPolicy) -> None:
        text = text_of(declared.document)
        found = await self._change.get(PolicyRecord, named_key("policy", account, declared.name))
        if found is None:
            await policies.create(self._change, account, declared.name, text, declared.path, declared.description)
            self.lines.append(f"+ policy {account}/{declared.name}")
            return
        if declared.path not in (found.path, "/"):
            raise InvalidInput(f"the path of policy {declared.name} cannot be changed; make another policy")
        if found.document != text:
            policies.check_document(text)
            number = found.latest + 1
            kept = found.versions[-(policies.VERSIONS_MAX - 1) :]
            versions = (*kept, PolicyVersion(number, text, self._change.now_ms))
            policies.save(
                self._change,
                msgspec.structs.replace(
                    found, versions=versions, default=number, latest=number, updated_ms=self._change.now_ms
                ),
            )
            self.lines.append(f"~ policy {account}/{declared.name}: document")
            self.lines += differences("document", found.document, text)

    async def _entity(self, kind: EntityKind, account: str, declared: Declared, **more: object) -> EntityRecord:
        """Make an entity as declared; `more` are fields that only its kind has."""
        label = f"{kind} {account}/{declared.name}"
        found = await self._change.get(EntityRecord, named_key(kind, account, declared.name))
        if found is None:
            found = await entities.create(self._change, kind, account, declared.name, declared.path, declared.tags)
            self.lines.append(f"+ {label}")
            old = found
        else:
            old = found
        inline = {name: text_of(document) for name, document in declared.inline.items()}
        for name, text in inline.items():
            parse_policy(text, Use.IDENTITY, name)
        wanted = msgspec.structs.replace(
            found, path=check_path(declared.path), tags=check_tags(declared.tags), inline=inline, **more
        )
        if wanted != found:
            entities.save(self._change, wanted)
        await self._attachments(wanted, declared)
        final = await entities.find(self._change, kind, account, declared.name)
        changed = [name for name in final.__struct_fields__ if getattr(final, name) != getattr(old, name)]
        if changed and f"+ {label}" not in self.lines:
            self.lines.append(f"~ {label}: {', '.join(changed)}")
            for name in changed:
                self.lines += differences(name, getattr(old, name), getattr(final, name))
        return final

    async def _attachments(self, record: EntityRecord, declared: Declared) -> None:
        wanted = [self._policy_arn(record.account, name) for name in declared.policies]
        for arn in wanted:
            arn = await self._resolved(record.account, arn)
            if arn not in record.attached:
                await policies.attach(self._change, record.kind, record.account, record.name, arn)
        resolved = [await self._resolved(record.account, arn) for arn in wanted]
        for arn in record.attached:
            if arn not in resolved:
                await policies.detach(self._change, record.kind, record.account, record.name, arn)
        boundary = ""
        if declared.boundary:
            boundary = await self._resolved(record.account, self._policy_arn(record.account, declared.boundary))
        if boundary != record.boundary:
            await policies.set_boundary(self._change, record.kind, record.account, record.name, boundary)

    def _policy_arn(self, account: str, name: str) -> str:
        return name if name.startswith("arn:") else f"name:{name}"

    async def _resolved(self, account: str, arn: str) -> str:
        if not arn.startswith("name:"):
            return arn
        name = arn.removeprefix("name:")
        found = await self._change.get(PolicyRecord, named_key("policy", account, name))
        if found is None:
            raise InvalidInput(f"account {account} has no policy {name!r}")
        return found.arn

    async def _user(self, account: str, declared: DeclaredUser) -> None:
        more = {
            "owner": declared.canonical_id,
            "email": check_email(declared.email),
            "display_name": declared.display_name,
        }
        if declared.canonical_id:
            owner = OwnerRecord(
                FORMAT, account, declared.name, declared.canonical_id, declared.display_name or declared.name
            )
            await accounts.claim(self._change, owner, declared.email)
        record = await self._entity("user", account, declared, **more)
        for group in sorted(set(declared.groups) - set(record.groups)):
            await entities.add_to_group(self._change, account, group, record.name)
            self.lines.append(f"~ group {account}/{group}: + {record.name}")
        for group in sorted(set(record.groups) - set(declared.groups)):
            await entities.remove_from_group(self._change, account, group, record.name)
            self.lines.append(f"~ group {account}/{group}: - {record.name}")
        for key in declared.keys:
            await self._key(account, record.name, key)

    async def _role(self, account: str, declared: DeclaredRole) -> None:
        trust = text_of(declared.trust)
        await entities.trusting(self._change, trust, strict=False)
        entities.check_session_limit(declared.max_session)
        await self._entity(
            "role", account, declared, trust=trust, description=declared.description, max_session_s=declared.max_session
        )

    async def _bind(self, account: str, name: str) -> None:
        """Have a role trust those who have the names in its policy now."""
        record = await entities.find(self._change, "role", account, name)
        fields = await entities.trusting(self._change, record.trust, strict=False)
        if fields["bound"] == record.bound:
            return
        if record.bound:
            self.lines.append(f"~ role {account}/{name}: trusts others of the same names")
        entities.save(self._change, msgspec.structs.replace(record, **fields))

    async def _key(self, account: str, user: str, declared: DeclaredKey) -> None:
        found = await self._change.get(AccessKeyRecord, access_key_key(declared.access_key))
        policy, expires_ms = text_of(declared.policy), _moment_ms(declared.expires)
        label = f"key {declared.access_key} of {account}/{user or 'root'}"
        accesskeys.check_pair(declared.access_key, declared.secret_key)
        if found is None:
            made = await accesskeys.create(
                self._change,
                account,
                user,
                declared.access_key,
                declared.secret_key,
                policy,
                expires_ms,
                declared.description,
            )
            if declared.active is False:
                self._change.put(access_key_key(made.id), msgspec.structs.replace(made, active=False))
            self.lines.append(f"+ {label}")
            return
        if (found.account, found.user) != (account, user):
            raise InvalidInput(f"the access key {declared.access_key} belongs to another user")
        if policy:
            parse_policy(policy, Use.IDENTITY)
        active = found.active if declared.active is None else declared.active
        wanted = msgspec.structs.replace(
            found,
            secret=declared.secret_key,
            policy=policy,
            expires_ms=expires_ms,
            description=declared.description,
            active=active,
        )
        if wanted != found:
            self._change.put(access_key_key(found.id), wanted)
            self.lines.append(f"~ {label}")

    async def _provider(self, account: str, declared: DeclaredProvider) -> None:
        wanted = ProviderRecord(account=account, url=declared.url)
        key = named_key("provider", account, wanted.name)
        found = await self._change.get(ProviderRecord, key)
        if found is None:
            found = await providers.create(
                self._change, account, declared.url, declared.client_ids, declared.thumbprints
            )
            self.lines.append(f"+ provider {account}/{wanted.name}")
        wanted = msgspec.structs.replace(
            found,
            client_ids=tuple(declared.client_ids),
            thumbprints=tuple(declared.thumbprints),
            role_claim=declared.role_claim,
            roles=declared.roles,
        )
        if wanted != found:
            self._change.put(key, wanted)
            if f"+ provider {account}/{wanted.name}" not in self.lines:
                self.lines.append(f"~ provider {account}/{wanted.name}")

    # ---- what is not declared

    async def _remove_others(self, account: str, declared: DeclaredAccount) -> None:
        of_root = {key.access_key for key in declared.keys}
        for key in sorted(set((await accounts.find(self._change, account)).keys) - of_root):
            await accesskeys.delete(self._change, account, "", key)
            self.lines.append(f"- key {key} of {account}/root")
        users = {user.name.lower(): user for user in declared.users}
        for record in await entities.list_all(self._change, "user", account):
            kept = users.get(record.name.lower())
            keys = {key.access_key for key in kept.keys} if kept is not None else set()
            for key in sorted(set(record.keys) - keys):
                await accesskeys.delete(self._change, account, record.name, key)
                self.lines.append(f"- key {key} of {account}/{record.name}")
            if kept is None:
                await self._remove("user", record)
        for group in await entities.list_all(self._change, "group", account):
            if group.name.lower() not in {one.name.lower() for one in declared.groups}:
                await self._remove("group", group)
        for role in await entities.list_all(self._change, "role", account):
            if role.name.lower() not in {one.name.lower() for one in declared.roles}:
                await self._remove("role", role)

    async def _remove(self, kind: EntityKind, record: EntityRecord) -> None:
        if kind == "user":
            await entities.leave_groups(self._change, record.account, record.name)
        record = await entities.find(self._change, kind, record.account, record.name)
        for member in record.members:
            await entities.remove_from_group(self._change, record.account, record.name, member)
        for arn in record.attached:
            await policies.detach(self._change, kind, record.account, record.name, arn)
        if record.boundary:
            await policies.set_boundary(self._change, kind, record.account, record.name, "")
        await entities.edit(self._change, kind, record.account, record.name, inline={})
        await entities.delete(self._change, kind, record.account, record.name)
        self.lines.append(f"- {kind} {record.account}/{record.name}")


def _moment_ms(text: str) -> int:
    if not text:
        return 0
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a date of ISO 8601") from None
    return int((parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
