"""Owns keys: finding, making and changing them, and what they encrypt. The secrets are wrapped under the keyring.

Source: AWS, "AWS KMS concepts" and "Encryption context" in the AWS KMS Developer Guide.
"""

import contextlib
import re
import uuid
from collections.abc import Callable, Mapping

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from pyrite.aws.arns import PARTITION, MalformedArn, parse_arn
from pyrite.core.clock import Clock
from pyrite.core.entropy import Entropy
from pyrite.core.keyring import Keyring, NotUnwrapped, Wrapped, unwrap, wrap
from pyrite.core.lru import LruMap
from pyrite.iam.changing import View
from pyrite.kms.checks import Context, bound, check_alias, check_not_pending, check_usable, purpose_of
from pyrite.kms.errors import (
    AliasExists,
    IncorrectKey,
    InvalidCiphertext,
    InvalidKmsInput,
    KeyPending,
    NoKeyring,
    NoSuchKmsKey,
)
from pyrite.kms.records import (
    ALL_KEYS,
    FORMAT,
    AliasRecord,
    Ciphertext,
    DataKey,
    FoundKey,
    KeyMaterial,
    KeyState,
    KmsKeyRecord,
    alias_key,
    aliases_of,
    decode_alias,
    decode_ciphertext,
    decode_kms_key,
    encode,
    key_key,
    keys_of,
)
from pyrite.metadata.kv import ABSENT, Batch, Conflict, Engine, after_prefix

DATA_KEY_BYTES = 32
PLAINTEXT_MAX_BYTES = 4096
S3_ALIAS = "alias/aws/s3"
_OPENED_KEPT = 1024
_ATTEMPTS = 32
_SCAN_ROWS = 1000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


_FOR_S3 = "Default key that protects my S3 objects when no other key is defined"


class KmsKeys:
    """The keys of all accounts."""

    def __init__(self, engine: Engine, keyring: Keyring | None, clock: Clock, entropy: Entropy, region: str) -> None:
        self._engine = engine
        self.view = View(engine)
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._region = region
        self._opened: LruMap[bytes, AESGCMSIV] = LruMap(_OPENED_KEPT)

    @property
    def keyring(self) -> Keyring:
        """Raises NoKeyring."""
        if self._keyring is None:
            raise NoKeyring("this store has no keyring; start it with --keyring FILE")
        return self._keyring

    def arn(self, record: KmsKeyRecord) -> str:
        """The ARN of a key."""
        return f"arn:{PARTITION}:kms:{self._region}:{record.account}:key/{record.id}"

    def alias_arn(self, record: AliasRecord) -> str:
        """The ARN of an alias."""
        return f"arn:{PARTITION}:kms:{self._region}:{record.account}:{record.name}"

    # ---- finding

    async def find(self, account: str, name: str) -> FoundKey:
        """The key that an id, an ARN or an alias means to `account`. Raises NoSuchKmsKey or InvalidKmsInput."""
        if name.startswith("arn:"):
            try:
                arn = parse_arn(name)
            except MalformedArn:
                raise InvalidKmsInput(f"Invalid arn {name}") from None
            if arn.service != "kms":
                raise InvalidKmsInput(f"Invalid arn {name}")
            account, name = arn.account, arn.resource.removeprefix("key/")
        if name.startswith("alias/"):
            entry = await self._engine.get(alias_key(account, name))
            if entry is None:
                raise NoSuchKmsKey(f"Alias arn:{PARTITION}:kms:{self._region}:{account}:{name} is not found.")
            name = decode_alias(entry.value).key
        found = await self._get(account, name)
        if found is None:
            shown = f"arn:{PARTITION}:kms:{self._region}:{account}:key/{name}"
            raise NoSuchKmsKey(f"Key '{shown}' does not exist")
        return found

    async def _get(self, account: str, key_id: str) -> FoundKey | None:
        entry = await self._engine.get(key_key(account, key_id))
        return None if entry is None else FoundKey(decode_kms_key(entry.value), entry.version)

    async def list_all(self, account: str) -> list[KmsKeyRecord]:
        """The keys of an account, by id."""
        return [decode_kms_key(value) for value in await self._scan(keys_of(account))]

    async def every_key(self) -> list[KmsKeyRecord]:
        """The keys of all accounts."""
        return [decode_kms_key(value) for value in await self._scan(ALL_KEYS)]

    async def aliases(self, account: str) -> list[AliasRecord]:
        """The aliases of an account, by name."""
        return [decode_alias(value) for value in await self._scan(aliases_of(account))]

    async def _scan(self, prefix: bytes) -> list[bytes]:
        found: list[bytes] = []
        start = prefix
        while rows := await self._engine.scan(start, after_prefix(prefix), _SCAN_ROWS):
            found += [row.value for row in rows]
            start = rows[-1].key + b"\0"
        return found

    # ---- making and changing

    async def create(
        self,
        account: str,
        policy: str,
        key_id: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        managed_by: str = "",
        bound: Mapping[str, str] | None = None,
    ) -> KmsKeyRecord:
        """Make a key; `bound` is whom its policy names. Raises NoKeyring, InvalidKmsInput."""
        record = self._new(account, policy, key_id, description, tags, managed_by, bound)
        if not await self._replace(key_key(account, record.id), ABSENT, encode(record)):
            raise InvalidKmsInput(f"there is a key {record.id!r} already")
        return record

    def _new(
        self,
        account: str,
        policy: str,
        key_id: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        managed_by: str = "",
        bound: Mapping[str, str] | None = None,
    ) -> KmsKeyRecord:
        self.check_can_make(key_id)
        key_id = key_id or str(uuid.UUID(bytes=self._entropy.bytes(16), version=4))
        return KmsKeyRecord(
            FORMAT,
            account,
            key_id,
            self._clock.now_ms(),
            policy,
            (self.new_material(1, account, key_id),),
            description,
            tags=dict(tags or {}),
            managed_by=managed_by,
            bound=dict(bound or {}),
        )

    def check_can_make(self, key_id: str) -> None:
        """Raises InvalidKmsInput or NoKeyring unless a key could be called so ("": anything) and made."""
        if key_id and not _ID.match(key_id):
            raise InvalidKmsInput("A key id has 1 to 64 of A-Z a-z 0-9 _ -")
        assert self.keyring is not None

    def new_material(self, number: int, account: str, key_id: str) -> KeyMaterial:
        """A generation of a key. Raises NoKeyring."""
        wrapped = self.keyring.wrap(self.keyring.new_key(), purpose_of(account, key_id, number))
        return KeyMaterial(number, wrapped.key_id, wrapped.secret, self._clock.now_ms())

    async def change(self, account: str, name: str, change: Callable[[KmsKeyRecord], KmsKeyRecord]) -> KmsKeyRecord:
        """Replace a key's record by what `change` makes of it. Raises as `find`, and what `change` raises."""
        for _ in range(_ATTEMPTS):
            found = await self.find(account, name)
            changed = change(found.record)
            if changed == found.record:
                return changed
            place = key_key(found.record.account, found.record.id)
            if await self._replace(place, found.version, encode(changed)):
                return changed
        raise KeyPending("the key is being changed by others; try again")

    async def _replace(self, place: bytes, version: int, value: bytes | None) -> bool:
        batch = Batch()
        batch.expect(place, version)
        if value is None:
            batch.delete(place)
        else:
            batch.put(place, value)
        try:
            await self._engine.commit(batch)
        except Conflict:
            return False
        return True

    async def set_state(self, account: str, name: str, state: KeyState) -> KmsKeyRecord:
        """Enable or disable a key. Raises KeyPending while it waits for its deletion."""
        return await self.change(account, name, lambda r: msgspec.structs.replace(check_not_pending(r), state=state))

    async def rotate(self, account: str, name: str) -> KmsKeyRecord:
        """Give a key a new generation; what older ones encrypted is still decrypted."""

        def change(record: KmsKeyRecord) -> KmsKeyRecord:
            check_usable(record)
            made = self.new_material(record.newest.number + 1, record.account, record.id)
            return msgspec.structs.replace(record, materials=(*record.materials, made))

        return await self.change(account, name, change)

    async def remove(self, record: KmsKeyRecord, now_ms: int) -> bool:
        """Delete a key that is due for good, with its aliases: what it encrypted is lost. Whether it was deleted.

        False where its deletion was cancelled meanwhile, or anything else about it has changed.
        """
        found = await self._get(record.account, record.id)
        if found is None or found.record.state != "PendingDeletion" or found.record.deletion_ms > now_ms:
            return False
        batch = Batch()
        batch.expect(key_key(record.account, record.id), found.version)
        batch.delete(key_key(record.account, record.id))
        for alias in await self.aliases(record.account):
            if alias.key == record.id:
                batch.delete(alias_key(record.account, alias.name))
        try:
            await self._engine.commit(batch)
        except Conflict:
            return False
        return True

    async def set_alias(self, account: str, alias: str, name: str, replace: bool) -> None:
        """Have `alias` mean the key called `name`. Raises AliasExists, NoSuchKmsKey or InvalidKmsInput."""
        check_alias(alias, replace)
        found = await self.find(account, name)
        place = alias_key(account, alias)
        entry = await self._engine.get(place)
        if entry is not None and not replace:
            raise AliasExists(f"An alias with the name {alias} already exists")
        if entry is None and replace and not alias.startswith("alias/aws/"):
            raise NoSuchKmsKey(f"Alias {alias} is not found.")
        record = AliasRecord(FORMAT, account, alias, found.record.id, self._clock.now_ms())
        if not await self._replace(place, entry.version if entry is not None else ABSENT, encode(record)):
            raise AliasExists(f"The alias {alias} was changed at the same time")

    async def delete_alias(self, account: str, alias: str) -> None:
        """Forget an alias. Raises NoSuchKmsKey."""
        entry = await self._engine.get(alias_key(account, alias))
        if entry is None or not await self._replace(alias_key(account, alias), entry.version, None):
            raise NoSuchKmsKey(f"Alias {alias} is not found.")

    async def for_s3(self, account: str, policy: str) -> FoundKey:
        """The key that an account's buckets use where none is named; it is made when it is first asked for."""
        try:
            return await self.find(account, S3_ALIAS)
        except NoSuchKmsKey:
            await self._make_for_s3(account, policy)
            return await self.find(account, S3_ALIAS)

    async def _make_for_s3(self, account: str, policy: str) -> None:
        """The key and its alias in one step; nothing where another request makes them at the same time."""
        record = self._new(
            account,
            policy,
            "",
            "Default key that protects my S3 objects when no other key is defined",
            managed_by="AWS",
        )
        alias = AliasRecord(FORMAT, account, S3_ALIAS, record.id, self._clock.now_ms())
        batch = Batch()
        batch.expect(alias_key(account, S3_ALIAS), ABSENT)
        batch.put(alias_key(account, S3_ALIAS), encode(alias))
        batch.expect(key_key(account, record.id), ABSENT)
        batch.put(key_key(account, record.id), encode(record))
        with contextlib.suppress(Conflict):
            await self._engine.commit(batch)

    # ---- using

    def data_key(self, record: KmsKeyRecord, context: Context, size: int = DATA_KEY_BYTES) -> DataKey:
        """A new key for data. Raises KeyDisabled, KeyPending."""
        plain = self._entropy.bytes(size)
        return DataKey(plain, self.encrypt(record, plain, context))

    def encrypt(self, record: KmsKeyRecord, plain: bytes, context: Context) -> bytes:
        """`plain` as a ciphertext blob. Raises KeyDisabled, KeyPending."""
        check_usable(record)
        material = record.newest
        sealed = wrap(self._open(record, material), plain, bound(context), self._entropy)
        return encode(Ciphertext(FORMAT, record.account, record.id, material.number, sealed))

    async def key_of(self, ciphertext: bytes) -> FoundKey:
        """The key that made a ciphertext blob. Raises InvalidCiphertext."""
        try:
            parsed = decode_ciphertext(ciphertext)
            found = await self._get(parsed.account, parsed.key)
        except msgspec.MsgspecError:
            found = None
        if found is None:
            raise InvalidCiphertext("the key that encrypted this does not exist")
        return found

    def decrypt(self, record: KmsKeyRecord, ciphertext: bytes, context: Context) -> bytes:
        """What a ciphertext blob of this key holds. Raises InvalidCiphertext, IncorrectKey, KeyDisabled, KeyPending."""
        check_usable(record)
        try:
            parsed = decode_ciphertext(ciphertext)
        except msgspec.MsgspecError:
            raise InvalidCiphertext("this is not a ciphertext blob") from None
        if (parsed.account, parsed.key) != (record.account, record.id):
            raise IncorrectKey("The key ID in the request does not identify a CMK that can perform this operation.")
        material = next((one for one in record.materials if one.number == parsed.number), None)
        if material is None:
            raise InvalidCiphertext("the generation of the key that encrypted this does not exist")
        try:
            return unwrap(self._open(record, material), parsed.sealed, bound(context))
        except NotUnwrapped:
            raise InvalidCiphertext("it was altered, or the encryption context is another one") from None

    def _open(self, record: KmsKeyRecord, material: KeyMaterial) -> AESGCMSIV:
        known = self._opened.get(material.wrapped)
        if known is None:
            purpose = purpose_of(record.account, record.id, material.number)
            known = AESGCMSIV(self.keyring.unwrap(Wrapped(material.master, material.wrapped), purpose))
            self._opened.put(material.wrapped, known)
        return known
