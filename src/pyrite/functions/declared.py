"""Owns the functions that the operator declares in a TOML file."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pyrite.core.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
TIMEOUT_S = 60.0
MEMORY_MIB = 512

Seconds = Annotated[float, msgspec.Meta(gt=0, le=900)]
Mebibytes = Annotated[int, msgspec.Meta(ge=64, le=64 * 1024)]


class Function(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A function: the `url` of a webhook, with the `token` that it is sent, or a `file` of Python.

    `timeout_s` is how long its answer may take to begin, and each further piece of it, and how much processor time a
    Python one has. `memory_mib` is the address space of one.
    """

    name: str
    kind: Literal["webhook", "python"]
    url: str = ""
    token: str = ""
    file: str = ""
    timeout_s: Seconds = TIMEOUT_S
    memory_mib: Mebibytes = MEMORY_MIB


class Declaration(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The file. `endpoint` is the URL at which webhooks reach the store, where it is not the one it listens on."""

    endpoint: str = ""
    functions: list[Function] = msgspec.field(name="function", default_factory=list)


def read_functions(path: Path) -> Declaration:
    """What a file declares; paths in it are relative to it. Raises ConfigError."""
    try:
        declared = msgspec.toml.decode(path.read_bytes(), type=Declaration)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the functions in {path} cannot be read: {error}") from None
    names = [function.name for function in declared.functions]
    for name in names:
        if NAME.fullmatch(name) is None or names.count(name) > 1:
            raise ConfigError(f"function {name!r}: a name is 1 to 64 of A-Z a-z 0-9 _ - and is used once")
    found = [_checked(function, path.parent) for function in declared.functions]
    return Declaration(declared.endpoint.rstrip("/"), found)


def _checked(function: Function, folder: Path) -> Function:
    if function.kind == "webhook":
        if not function.url.startswith(("http://", "https://")) or function.file:
            raise ConfigError(f"function {function.name}: a webhook has a url with http or https, and no file")
        return function
    file = folder / function.file
    if not function.file or function.url or not file.is_file():
        raise ConfigError(f"function {function.name}: Python has a file that is there, and no url")
    return msgspec.structs.replace(function, file=str(file.absolute()))
