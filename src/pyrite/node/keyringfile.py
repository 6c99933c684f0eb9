"""Owns the file of the master keys: made, read, rotated, and checked against the store that is encrypted with it.

The keys stand in it as they are, or each sealed under a key of Vault's or OpenBao's transit engine: then the file alone
opens nothing. They are opened once, when the file is read.
"""

import asyncio
import base64
import hashlib
import os
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pyrite.core.entropy import Entropy, SystemEntropy
from pyrite.core.errors import ConfigError
from pyrite.core.keyring import KEY_BYTES, Keyring, MasterKeys
from pyrite.metadata.keyspaces import STORE
from pyrite.metadata.kv import ABSENT, Batch, Engine
from pyrite.node.config import Environment
from pyrite.node.vault import Transit, TransitKey

_FORMAT = 1
_SEALED_FORMAT = 2
_USED = STORE + b"keyring"


class MasterKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key in the file: its id, 32 bytes in base64 or as the transit engine sealed them, and when it was made."""

    id: str
    key: str
    created: str


class KeyringFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file. The last key is the one that wraps. `transit`: under which key all are sealed."""

    format: int
    keys: tuple[MasterKey, ...]
    transit: TransitKey | None = None


class UsedKeys(msgspec.Struct, frozen=True, array_like=True):
    """Which master keys something in the store may be wrapped under: ids, each with a digest of the key."""

    format: int
    digests: dict[str, str]


def read_file(path: Path) -> KeyringFile:
    """Raises ConfigError."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"the keyring {path} can be read by others; chmod 600 it")
        file = msgspec.json.decode(path.read_bytes(), type=KeyringFile)
        if file.transit is None:
            _secrets_in(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the keyring {path} cannot be read: {error}") from None
    if file.format != (_FORMAT if file.transit is None else _SEALED_FORMAT) or not file.keys:
        raise ConfigError(f"the keyring {path} has no key, or is of a format that is not known")
    return file


def _secrets_in(file: KeyringFile) -> list[bytes]:
    """The keys of a file in its order. Raises ValueError, or ConfigError where the transit engine opens none."""
    if file.transit is not None:
        secrets = Transit.open(file.transit, Environment()).open_all([key.key for key in file.keys])
    else:
        secrets = [base64.b64decode(key.key, validate=True) for key in file.keys]
    if any(len(secret) != KEY_BYTES for secret in secrets):
        raise ValueError(f"a key is not {KEY_BYTES} bytes long")
    return secrets


def master_keys(file: KeyringFile) -> MasterKeys:
    """The keys of a file. Raises ConfigError where they are sealed and cannot be opened."""
    try:
        secrets = _secrets_in(file)
    except ValueError as error:
        raise ConfigError(f"the keyring cannot be opened: {error}") from None
    return MasterKeys({key.id: secret for key, secret in zip(file.keys, secrets, strict=True)}, file.keys[-1].id)


def _new_key(entropy: Entropy, transit: TransitKey | None) -> MasterKey:
    secret = entropy.bytes(KEY_BYTES)
    text = base64.b64encode(secret).decode()
    if transit is not None:
        (text,) = Transit.open(transit, Environment()).seal([secret])
    return MasterKey(entropy.bytes(8).hex(), text, datetime.now(UTC).isoformat(timespec="seconds"))


def _write(path: Path, file: KeyringFile) -> None:
    """Replace the file durably."""
    text = msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"
    new = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())  # noqa: TID251 - it is no blob
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)  # noqa: TID251
        os.close(folder)
    except OSError as error:
        raise ConfigError(f"the keyring {path} cannot be written: {error}") from None


def create_file(path: Path, transit: TransitKey | None = None) -> None:
    """Make a keyring with one key, sealed under a `transit` key if one is named. Raises ConfigError."""
    if path.exists():
        raise ConfigError(f"{path} is there already")
    number = _FORMAT if transit is None else _SEALED_FORMAT
    _write(path, KeyringFile(number, (_new_key(SystemEntropy(), transit),), transit))


def rewrap_file(path: Path) -> None:
    """Seal the keys of a file under the newest version of its transit key. Raises ConfigError."""
    file = read_file(path)
    if file.transit is None:
        raise ConfigError(f"the keys in {path} are not sealed under a transit key")
    sealed = Transit.open(file.transit, Environment()).rewrap([key.key for key in file.keys])
    keys = [msgspec.structs.replace(key, key=text) for key, text in zip(file.keys, sealed, strict=True)]
    _write(path, msgspec.structs.replace(file, keys=tuple(keys)))


def rotate_file(path: Path) -> str:
    """Add a key, which wraps from now on; its id. Raises ConfigError."""
    file = read_file(path)
    made = _new_key(SystemEntropy(), file.transit)
    _write(path, msgspec.structs.replace(file, keys=(*file.keys, made)))
    return made.id


async def retire_keys(engine: Engine, path: Path, used: Iterable[str]) -> list[str]:
    """Remove the older keys that nothing is wrapped under; their ids. Raises ConfigError.

    The store forgets them first: a file with a key too many does no harm, one that lacks a key stops every start.
    """
    file, used = read_file(path), set(used)
    kept = tuple(key for key in file.keys[:-1] if key.id in used)
    gone = [key.id for key in file.keys[:-1] if key.id not in used]
    if gone:
        left = msgspec.structs.replace(file, keys=(*kept, file.keys[-1]))
        entry = await engine.get(_USED)
        digests = {name: _digest(key) for name, key in master_keys(left).keys.items()}
        await _remember(engine, digests, entry.version if entry is not None else ABSENT)
        _write(path, left)
    return gone


def open_keyring(path: Path, drives: Iterable[Path]) -> tuple[Keyring, bool]:
    """The keyring in a file, and whether the file had to be made. Raises ConfigError."""
    if any(path.resolve().is_relative_to(drive.resolve()) for drive in drives):
        raise ConfigError(f"the keyring {path} would stand on a drive that it protects; name a file elsewhere")
    made = not path.exists()
    if made:
        create_file(path)
    return Keyring(_Reader(path).read, SystemEntropy()), made


class _Reader:
    """Reads a file again only when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: MasterKeys | None = None

    def read(self) -> MasterKeys:
        """Raises ConfigError when it cannot be read and never was; what was read before still counts then."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if self._keys is None or seen != self._seen:
                self._keys, self._seen = master_keys(read_file(self._path)), seen
        except (OSError, ConfigError):
            if self._keys is None:
                raise
        return self._keys


async def check_keyring(engine: Engine, keyring: Keyring | None, path: Path | None, made: bool = False) -> None:
    """Have the store remember the keys that it is encrypted with. Raises ConfigError when one of them is missing.

    A file that was `made` a moment ago is removed then: it is not the one that the store needs. Once the store
    remembers its key nobody removes it.
    """
    entry = await engine.get(_USED)
    used = msgspec.msgpack.decode(entry.value, type=UsedKeys).digests if entry is not None else {}
    if keyring is None:
        if used:
            raise ConfigError("this store is encrypted; start it with --keyring FILE, the file of its master keys")
        return
    assert path is not None
    digests = {name: _digest(key) for name, key in master_keys(read_file(path)).keys.items()}
    missing = [name for name, digest in used.items() if digests.get(name) != digest]
    if missing:
        if made:
            await asyncio.to_thread(path.unlink)
        raise ConfigError(f"this store is encrypted with the master keys {', '.join(missing)}, which {path} has not")
    if used != digests:
        await _remember(engine, digests, entry.version if entry is not None else ABSENT)


async def require_no_keyring(engine: Engine) -> None:
    """Raises ConfigError where the store is encrypted, and so what is written needs its keyring."""
    if await engine.get(_USED) is not None:
        raise ConfigError("this store is encrypted: name the file of its master keys in PYRITE_KEYRING")


async def check_is_of(engine: Engine, path: Path) -> None:
    """Raises ConfigError unless the file is the keyring that the store is encrypted with."""
    if await engine.get(_USED) is None:
        raise ConfigError("this store is not encrypted: it has no keyring")
    file, entry = master_keys(read_file(path)), await engine.get(_USED)
    assert entry is not None
    used = msgspec.msgpack.decode(entry.value, type=UsedKeys).digests
    if any(name not in file.keys or _digest(file.keys[name]) != digest for name, digest in used.items()):
        raise ConfigError(f"{path} is not the keyring of this store")


async def _remember(engine: Engine, digests: dict[str, str], version: int) -> None:
    batch = Batch()
    batch.expect(_USED, version)
    batch.put(_USED, msgspec.msgpack.encode(UsedKeys(_FORMAT, digests)))
    await engine.commit(batch)


def _digest(key: bytes) -> str:
    return hashlib.sha256(b"pyrite keyring " + key).hexdigest()[:32]
