"""Owns what a process tells the others of itself: a small file per slot, replaced once a second."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pyrite.telemetry.requests import OperationStats


class ProcessStatus(msgspec.Struct, array_like=True):
    """One process at one moment. `oldest_under_way_ms` is when its oldest read or write under way began.

    `drives` are the states of the drives by id; "slow" is one that is online and much slower than the others.
    `background` counts what background services have done since the process began.
    """

    slot: str
    pid: int
    written_ms: int
    oldest_under_way_ms: int
    connections: int
    operations: dict[str, OperationStats]
    drives: dict[str, str]
    damaged_fragments: int
    journal_failures: int = 0
    background: dict[str, dict[str, int]] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ProcessStatus).decode
_SUFFIX = ".status"
_CONDEMNED = ".condemned"
_PLACES = "places"
_TOUCH_EVERY_MS = 3_600_000


class StatusBoard:
    """The status files of all processes of one server, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._touched_ms = 0

    def publish(self, status: ProcessStatus) -> None:
        """Replace the status of a slot. Every hour all files are touched: old ones may be swept away."""
        if status.written_ms - self._touched_ms >= _TOUCH_EVERY_MS:
            self._touched_ms = status.written_ms
            for path in (self.folder, *self.folder.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)
        path = self.folder / (status.slot + _SUFFIX)
        staging = path.with_suffix(".new")
        staging.write_bytes(_encode(status))
        os.replace(staging, path)

    def read(self) -> list[ProcessStatus]:
        """The last status of every slot."""
        found = []
        for path in sorted(self.folder.glob("*" + _SUFFIX)):
            with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
                found.append(_decode(path.read_bytes()))
        return found

    def tell_places(self, places: Mapping[str, str]) -> None:
        """Say where the drives are now, by id, for processes that are started later."""
        staging = self.folder / (_PLACES + f".{os.getpid()}.new")
        staging.write_bytes(msgspec.msgpack.encode(places))
        os.replace(staging, self.folder / _PLACES)

    def places(self) -> dict[str, str]:
        """Where the drives are, by id, as was last told; empty when nobody has."""
        try:
            return msgspec.msgpack.decode((self.folder / _PLACES).read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def condemn(self, name: str) -> None:
        """Have every process give up the copy of the names on the drive `name`: it is damaged."""
        (self.folder / (name + _CONDEMNED)).touch()

    def absolve(self, name: str) -> None:
        """The copy has been made anew."""
        (self.folder / (name + _CONDEMNED)).unlink(missing_ok=True)

    def condemned(self) -> list[str]:
        """The drives whose copies of the names are damaged."""
        return [path.name.removesuffix(_CONDEMNED) for path in sorted(self.folder.glob("*" + _CONDEMNED))]

    def slot(self, slot: str) -> ProcessStatus | None:
        """The last status of one slot: counters go on from it when a process is restarted."""
        return next((status for status in self.read() if status.slot == slot), None)
