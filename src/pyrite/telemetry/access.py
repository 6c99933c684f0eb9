"""Owns the access log: one JSON object for each request, buffered, appended to a file that may be rotated."""

import os
from pathlib import Path

import msgspec
import structlog

_FLUSH_BYTES = 64 * 1024


class AccessRecord(msgspec.Struct):
    """One request. Times in ISO 8601 and ms; sizes in bytes. There is never a secret in it."""

    time: str
    request_id: str
    remote: str
    operation: str
    bucket: str
    key: str
    status: int
    error: str
    received_bytes: int
    sent_bytes: int
    duration_ms: float
    access_key: str
    user_agent: str


class AccessLog:
    """Appends records to `path`; several processes may share it, each line is written whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()
        self._log = structlog.get_logger(component="access")
        self._lines: list[bytes] = []
        self._size = 0
        self._is_cut = False  # whether the last line of the file is not whole

    def write(self, record: AccessRecord) -> None:
        """Add a line; it reaches the file with the next flush."""
        line = self._encoder.encode(record) + b"\n"
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered; the file is opened anew, so that rotation needs no signal. What cannot be written is
        lost, and that is logged. A line that is cut off, as on a full file system, takes no other one with it.
        """
        if not self._lines:
            return
        block = b"".join((b"\n" if self._is_cut else b"", *self._lines))
        self._lines.clear()
        self._size = 0
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                written = os.write(descriptor, block)  # one call, between whose lines no other process writes
            finally:
                os.close(descriptor)
        except OSError as error:  # requests do not depend on it
            self._tell_loss(str(error), len(block))
            return
        self._is_cut = written < len(block)
        if self._is_cut:
            self._tell_loss("the file system took a part of it", len(block) - written)

    def _tell_loss(self, reason: str, lost_bytes: int) -> None:
        self._log.error("access_log_not_written", path=str(self._path), reason=reason, lost_bytes=lost_bytes)
