"""Owns the way from an access key (and a session token) to the caller and the secret that checks its signature.

What was found is kept until the rules change, which `metadata/rules.py` tells every process.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pyrite.aws.arns import PARTITION
from pyrite.core.clock import Clock
from pyrite.core.keyring import Keyring
from pyrite.core.lru import LruMap
from pyrite.iam import accounts, entities, policies
from pyrite.iam.accesskeys import TEMPORARY_PREFIX
from pyrite.iam.caller import Caller
from pyrite.iam.changing import View
from pyrite.iam.describing import DENY_ALL, compiled, federated, key_limits, keys_of, root_of, session_keys, tag_keys
from pyrite.iam.errors import ExpiredToken, InvalidToken, NoSuchEntity
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Policy
from pyrite.iam.records import (
    FORMAT,
    TOKEN_KEYS,
    AccessKeyRecord,
    EntityKind,
    EntityRecord,
    KeyUseRecord,
    TokenKeyRecord,
    access_key_key,
    encode,
    key_use_key,
)
from pyrite.iam.tokens import Session, unseal
from pyrite.metadata.kv import Batch, Engine
from pyrite.metadata.rules import Rules

_KEPT = 4096
_USE_EVERY_MS = 300_000


class RootKey(NamedTuple):
    """The access key of the store's own root, which stands in its configuration."""

    access_key: str
    secret: str
    account: str


class Found(NamedTuple):
    """A caller, and the secret with which it signs."""

    caller: Caller
    secret: str


class Callers:
    """Everybody who may sign a request."""

    def __init__(
        self, engine: Engine, clock: Clock, root: RootKey, rules: Rules, keyring: Keyring | None = None
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._view = View(engine, keyring)
        self._clock = clock
        self._root = root
        self._known: LruMap[tuple[str, str], Found] = LruMap(_KEPT)
        self._mark = rules.mark
        self._uses: dict[str, tuple[int, str, str]] = {}
        self._told: LruMap[str, int] = LruMap(_KEPT)

    @property
    def mark(self) -> int:
        """The mark of the rules that was last seen; another one means that everything may be otherwise."""
        return self._mark

    async def find(self, access_key: str, token: str = "") -> Found | None:
        """The caller with this key, and with this token where the key is temporary; None for an unknown key.

        Raises InvalidToken or ExpiredToken.
        """
        found = self._kept(access_key, token)
        if found is None:
            mark = self._mark
            found = await self._load(access_key, token)
            if found is None:
                return None
            if mark == self._mark == self._rules.mark:  # else it may be from before the rules changed
                self._known.put((access_key, token), found)
        self._check_expiry(found)
        return found

    def known(self, access_key: str) -> Found | None:
        """The caller with a permanent key, if it was found since the rules last changed. Raises ExpiredToken."""
        found = self._kept(access_key, "")
        if found is not None:
            self._check_expiry(found)
        return found

    def _kept(self, access_key: str, token: str) -> Found | None:
        mark = self._rules.mark
        if mark != self._mark:
            self._mark = mark
            self._known.clear()
        return self._known.get((access_key, token))

    def _check_expiry(self, found: Found) -> None:
        if found.caller.expires_s and self._clock.now_ms() >= found.caller.expires_s * 1000:
            raise ExpiredToken("The provided token has expired.")

    async def _load(self, access_key: str, token: str) -> Found | None:
        try:
            if token:
                return await self._load_session(access_key, token)
            if access_key == self._root.access_key:
                account = await accounts.find(self._view, self._root.account)
                return Found(root_of(account, access_key), self._root.secret)
            record = await self._view.get(AccessKeyRecord, access_key_key(access_key))
            if record is None or not record.active:
                return None
            return Found(await self._holder(record), record.secret)
        except NoSuchEntity:
            return None

    async def _holder(self, record: AccessKeyRecord) -> Caller:
        limits, expires_s = key_limits(record), record.expires_ms // 1000
        if not record.user:
            account = await accounts.find(self._view, record.account)
            return root_of(account, record.id, limits, expires_s)
        user = await entities.find(self._view, "user", record.account, record.user)
        return await self.caller_of_user(user, record.id, limits, expires_s)

    async def caller_of_user(
        self,
        user: EntityRecord,
        access_key: str = "",
        limits: tuple[tuple[Policy, ...], ...] = (),
        expires_s: int = 0,
        more: Mapping[str, Values] | None = None,
    ) -> Caller:
        """The caller that a user is."""
        owner = user.owner or await self.owner_of(user.account)
        return Caller(
            kind="User",
            access_key=access_key,
            account=user.account,
            owner=owner,
            arn=user.arn,
            principal_arn=user.arn,
            id=user.id,
            unique=user.id,
            name=user.name,
            is_root=bool(user.owner),
            policies=await self._policies_of(user),
            boundary=await self._managed(user.account, (user.boundary,) if user.boundary else ()),
            limits=limits,
            keys={
                **keys_of(user.account, user.arn, "User", user.id),
                "aws:username": (user.name,),
                **tag_keys(user.tags),
                **(more or {}),
            },
            expires_s=expires_s,
        )

    async def caller_of_role(self, role: EntityRecord, session: Session) -> Caller:
        """The caller that a session of a role is."""
        user_id = f"{role.id}:{session.session_name}"
        return Caller(
            kind="AssumedRole",
            access_key=session.access_key,
            account=role.account,
            owner=await self.owner_of(role.account),
            arn=f"arn:{PARTITION}:sts::{role.account}:assumed-role/{role.name}/{session.session_name}",
            principal_arn=role.arn,
            id=user_id,
            unique=role.id,
            name=role.name,
            provider=session.provider,
            policies=await self._policies_of(role),
            boundary=await self._managed(role.account, (role.boundary,) if role.boundary else ()),
            sessions=await self._session_policies(session),
            keys={
                **keys_of(role.account, role.arn, "AssumedRole", user_id),
                **tag_keys({**role.tags, **session.tags}),
                **session_keys(session),
            },
            expires_s=session.expires_s,
            passed_on={key: session.tags[key] for key in session.transitive if key in session.tags},
        )

    async def _load_session(self, access_key: str, token: str) -> Found:
        record = await self._view.get(TokenKeyRecord, TOKEN_KEYS)
        session = unseal(token, {number: key for number, key, _ in record.keys} if record is not None else {})
        if session.access_key != access_key:
            raise InvalidToken("the token belongs to another access key")
        try:
            return Found(await self._caller_of_session(session), session.secret)
        except NoSuchEntity:
            raise InvalidToken("who began the session does not exist any more") from None

    async def _caller_of_session(self, session: Session) -> Caller:
        kind: EntityKind = "role" if session.kind == "role" else "user"
        if kind == "user" and not session.name:
            account = await accounts.find(self._view, session.account)
            limits, sessions = await self._limits(session)
            caller = root_of(account, session.access_key, limits, session.expires_s, session_keys(session))
            return caller if session.kind == "user" else federated(caller, session, sessions)
        entity = await entities.find(self._view, kind, session.account, session.name)
        if entity.id != session.id:
            raise NoSuchEntity(f"the {kind} was made again")
        if kind == "role":
            return await self.caller_of_role(entity, session)
        limits, sessions = await self._limits(session)
        more = session_keys(session)
        caller = await self.caller_of_user(entity, session.access_key, limits, session.expires_s, more)
        return caller if session.kind == "user" else federated(caller, session, sessions)

    async def _limits(self, session: Session) -> tuple[tuple[tuple[Policy, ...], ...], tuple[tuple[Policy, ...], ...]]:
        """What holds always in a session that a user began, and what only holds where it is not named itself."""
        limits, sessions = await self._parent_limits(session), await self._session_policies(session)
        return (limits, sessions) if session.kind == "federated" else (limits + sessions, ())

    async def _parent_limits(self, session: Session) -> tuple[tuple[Policy, ...], ...]:
        """What the access key limits with which a user began a session. Raises NoSuchEntity when it has ended."""
        if session.parent_key == self._root.access_key:
            return ()
        record = await self._view.get(AccessKeyRecord, access_key_key(session.parent_key))
        over = record is None or not record.active or 0 < record.expires_ms <= self._clock.now_ms()
        if record is None or over:
            raise NoSuchEntity("the access key of the session has ended")
        return key_limits(record)

    async def _session_policies(self, session: Session) -> tuple[tuple[Policy, ...], ...]:
        if session.policies is None and session.policy_arns is None:
            return ((),) if session.kind == "federated" else ()
        texts = tuple(compiled("session policy", text) for text in session.policies or ())
        return (texts + await self._managed(session.account, session.policy_arns or ()),)

    async def owner_of(self, account: str) -> str:
        """The canonical id of an account; its own id where it is not recorded."""
        try:
            return (await accounts.find(self._view, account)).canonical_id
        except NoSuchEntity:
            return account

    async def _policies_of(self, entity: EntityRecord) -> tuple[Policy, ...]:
        found = [compiled(name, text) for name, text in entity.inline.items()]
        found += await self._managed(entity.account, entity.attached)
        for name in entity.groups:
            group = await entities.find(self._view, "group", entity.account, name)
            found += [compiled(f"{name}/{label}", text) for label, text in group.inline.items()]
            found += await self._managed(entity.account, group.attached)
        return tuple(found)

    async def _managed(self, account: str, arns: Iterable[str]) -> tuple[Policy, ...]:
        found = []
        for arn in arns:
            try:
                found.append(compiled(arn, (await policies.find(self._view, account, arn)).document))
            except NoSuchEntity:
                found.append(compiled(arn, DENY_ALL))  # what cannot be read must not be taken for a grant
        return tuple(found)

    # ---- when keys were last used

    def note_use(self, access_key: str, service: str, region: str) -> None:
        """Remember that a key was used now, to within the second after which uses are told."""
        if access_key not in self._uses and not access_key.startswith(TEMPORARY_PREFIX):
            self._uses[access_key] = (self._clock.now_ms(), service, region)

    async def tell_uses(self) -> None:
        """Store when keys were last used, for each at most every five minutes."""
        uses, self._uses = self._uses, {}
        due = {key: use for key, use in uses.items() if use[0] - (self._told.get(key) or 0) >= _USE_EVERY_MS}
        if not due:
            return
        batch = Batch()
        for key, (used_ms, service, region) in due.items():
            if key != self._root.access_key:
                batch.put(key_use_key(key), encode(KeyUseRecord(FORMAT, used_ms, service, region)))
            self._told.put(key, used_ms)
        if batch.writes:
            await self._engine.commit(batch)
