"""Owns the object as a file of DuckDB of which only the ranges that are asked for come through the pipe."""

import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

RANGES = "ranges"
_READ_AHEAD_BYTES = 64 << 10


class RangeFiles(AbstractFileSystem):  # type: ignore[misc]
    """A file system with one file. `fetch` gives the bytes from `start` to `stop`."""

    protocol = RANGES
    cachable = False

    def __init__(self, fetch: Callable[[int, int], bytes], size_bytes: int) -> None:
        super().__init__()
        self._fetch = fetch
        self._size_bytes = size_bytes
        self._lock = threading.Lock()

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What there is to know of the file."""
        return {"name": path, "size": self._size_bytes, "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """It does."""
        return True

    def modified(self, path: str) -> datetime:
        """Never: the bytes of a version do not change."""
        return datetime.fromtimestamp(0, UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        """A path names itself."""
        return [path]

    def open(self, path: str, mode: str = "rb", **_: Any) -> "RangeFile":
        """The file, for reading."""
        return RangeFile(self._read, self._size_bytes)

    def _read(self, start: int, stop: int) -> bytes:
        with self._lock:
            return self._fetch(start, stop)


class _Place(threading.local):
    at = 0


class RangeFile(io.RawIOBase):
    """A file that is read by ranges; small reads near each other cost one.

    DuckDB reads ahead in threads of its own, each by a seek and a read: each thread has its own place.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self.size = size
        self._place = _Place()
        self._held = (0, b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._place.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._place.at = {io.SEEK_SET: 0, io.SEEK_CUR: self._place.at, io.SEEK_END: self.size}[whence] + offset
        return self._place.at

    def read(self, size: int = -1) -> bytes:
        """Bytes from here."""
        start = self._place.at
        stop = self.size if size < 0 else min(start + size, self.size)
        held_at, held = self._held
        if not held_at <= start <= stop <= held_at + len(held):
            held_at, held = start, self._fetch(start, min(max(stop, start + _READ_AHEAD_BYTES), self.size))
            self._held = held_at, held
        data = held[start - held_at : stop - held_at]
        self._place.at = start + len(data)
        return data
