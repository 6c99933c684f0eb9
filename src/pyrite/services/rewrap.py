"""Owns moving everything that is wrapped under older master keys to the newest one. No byte of an object moves.

A pass over all names begins some time after the newest key was first seen, so that no process wraps under another any
more. Uploads come first: an object that one becomes meanwhile is found behind them.
"""

from collections import Counter

import msgspec

from pyrite.core.keyring import Keyring, NotUnwrapped, UnknownMasterKey, Wrapped
from pyrite.iam.secretrecords import SECRET_SPACES, master_of, sealed, unsealed
from pyrite.kms.keys import KmsKeys
from pyrite.kms.records import ALL_KEYS, decode_kms_key
from pyrite.kms.upkeep import rewrap_key
from pyrite.metadata.keyspaces import OBJECTS, STORE, UPLOADS, VERSIONS
from pyrite.metadata.kv import Batch, Conflict, Engine, Row, after_prefix
from pyrite.objects.records import Encryption, ObjectRecord, UploadRecord, decode_object, decode_upload, encode
from pyrite.objects.sealing import KEY_PURPOSE

SETTLE_MS = 60_000
AGAIN_MS = 86_400_000
_STEP_ROWS = 500
_SPACES = (UPLOADS, OBJECTS, VERSIONS)
_PROGRESS = STORE + b"rewrapped"


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """The master key to which everything was moved last, and when that pass ended."""

    format: int
    key_id: str
    ended_ms: int


class Rewrapper:
    """Rewraps what older master keys hold, a page of names at a time."""

    def __init__(self, engine: Engine, keyring: Keyring, keys: KmsKeys) -> None:
        self._engine = engine
        self._keyring = keyring
        self._keys = keys
        self._seen = ("", 0)
        self._place = b""

    async def step(self, now_ms: int) -> int:
        """Look at one page of names; how many were rewrapped. Does nothing while there is nothing to do."""
        newest = self._keyring.newest
        if self._seen[0] != newest:
            self._seen, self._place = (newest, now_ms), b""
        if not self._place and not await self._is_due(newest, now_ms):
            return 0
        return await self._page(newest, now_ms)

    @property
    def is_busy(self) -> bool:
        """Whether a pass is under way."""
        return bool(self._place)

    async def _is_due(self, newest: str, now_ms: int) -> bool:
        entry = await self._engine.get(_PROGRESS)
        last = msgspec.msgpack.decode(entry.value, type=Progress) if entry is not None else Progress(1, "", 0)
        if last.key_id == newest and len(self._keyring.ids) > 1 and now_ms - last.ended_ms < AGAIN_MS:
            return False
        if last.key_id == newest and len(self._keyring.ids) == 1:
            return False
        return now_ms - self._seen[1] >= SETTLE_MS

    async def _page(self, newest: str, now_ms: int) -> int:
        space = next((one for one in _SPACES if self._place.startswith(one)), _SPACES[0])
        start = self._place or space
        rows = await self._engine.scan(start, after_prefix(space), _STEP_ROWS)
        done = sum([await self._rewrap(row, newest) for row in rows])
        if len(rows) == _STEP_ROWS:
            self._place = rows[-1].key + b"\0"
        elif space != _SPACES[-1]:
            self._place = _SPACES[_SPACES.index(space) + 1]
        else:
            done += await self._rest(newest)
            self._place = b""
            batch = Batch()
            batch.put(_PROGRESS, msgspec.msgpack.encode(Progress(1, newest, now_ms)))
            await self._engine.commit(batch)
        return done

    async def _rewrap(self, row: Row, newest: str) -> int:
        record = _decode(row.key[:1], row.value)
        encryption = record.encryption
        if encryption is None or encryption.algorithm != "AES256" or encryption.key_id == newest:
            return 0
        try:
            wrapped = self._keyring.rewrap(Wrapped(encryption.key_id, encryption.wrapped), KEY_PURPOSE)
        except (UnknownMasterKey, NotUnwrapped):
            return 0  # a read of it says so
        again = Encryption("AES256", wrapped.key_id, wrapped.secret)
        return await self._replace(row, encode(msgspec.structs.replace(record, encryption=again)))

    async def _replace(self, row: Row, value: bytes) -> int:
        batch = Batch()
        batch.expect(row.key, row.version)
        batch.put(row.key, value)
        try:
            await self._engine.commit(batch)
        except Conflict:
            return 0  # it was changed meanwhile: the next pass looks again
        return 1

    async def _rest(self, newest: str) -> int:
        """The secrets of KMS keys, of access keys and of tokens."""
        done = sum([await rewrap_key(self._keys, record) for record in await self._keys.every_key()])
        for space in SECRET_SPACES:
            start = space
            while rows := await self._engine.scan(start, after_prefix(space), _STEP_ROWS):
                for row in rows:
                    if master_of(row.value) != newest:
                        plain = unsealed(row.key, row.value, self._keyring)
                        done += await self._replace(row, sealed(row.key, plain, self._keyring))
                start = rows[-1].key + b"\0"
        return done


async def count_uses(engine: Engine) -> Counter[str]:
    """How many things are wrapped under each master key, by its id. Reads all metadata twice.

    Names move while they are counted: an upload becomes an object, an object a version behind another, a version the
    current object again, and a rename gives an object an earlier key. So spaces are read in the order in which names
    move forward, then in the other order from the last key to the first, and what either pass finds counts.
    """
    found: Counter[str] = Counter()
    for space in (*_SPACES, ALL_KEYS, *SECRET_SPACES):
        await _count(engine, space, found, reverse=False)
    again: Counter[str] = Counter()
    for space in (UPLOADS, VERSIONS, OBJECTS):
        await _count(engine, space, again, reverse=True)
    return found | again


async def _count(engine: Engine, space: bytes, found: Counter[str], reverse: bool) -> None:
    start, end = space, after_prefix(space)
    while rows := await engine.scan(start, end, _STEP_ROWS, reverse):
        for row in rows:
            found.update(_masters(space, row.value))
        start, end = (start, rows[-1].key) if reverse else (rows[-1].key + b"\0", end)


def _decode(space: bytes, value: bytes) -> ObjectRecord | UploadRecord:
    return decode_upload(value) if space == UPLOADS else decode_object(value)


def _masters(space: bytes, value: bytes) -> list[str]:
    if space in _SPACES:
        encryption = _decode(space, value).encryption
        return [encryption.key_id] if encryption is not None and encryption.algorithm == "AES256" else []
    if space == ALL_KEYS:
        return [material.master for material in decode_kms_key(value).materials]
    return [name] if (name := master_of(value)) else []
