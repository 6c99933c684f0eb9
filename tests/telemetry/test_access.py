"""The access log: one whole line for each request, in a file that is nobody else's business."""

import json
import os
import stat
from pathlib import Path

import pytest

from pyrite.telemetry.access import AccessLog, AccessRecord


def record(key: str) -> AccessRecord:
    return AccessRecord("2026-11-30T00:00:00Z", "1", "::1", "GetObject", "b", key, 200, "", 0, 1, 0.1, "AKIA", "agent")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_log_is_not_for_everybody(tmp_path: Path, umask: int) -> None:
    """Its file is never readable by others, whatever the umask of who starts the server."""
    before = os.umask(umask)
    try:
        log = AccessLog(tmp_path / "access.log")
        log.write(record("k"))
        log.flush()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "access.log").stat().st_mode) == 0o640 & ~umask


def test_a_line_that_is_cut_off_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full file system took a part of is told as lost, and the next line stands by itself."""
    log = AccessLog(tmp_path / "access.log")
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
    log.write(record("one"))
    log.flush()
    monkeypatch.undo()
    for key in ("two", "three"):
        log.write(record(key))
        log.flush()
    cut, *whole = (tmp_path / "access.log").read_bytes().splitlines()
    assert cut.startswith(b'{"time"') and not cut.endswith(b"}")
    assert [json.loads(line)["key"] for line in whole] == ["two", "three"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """Without its folder lines are lost, and with it the next ones are there."""
    log = AccessLog(tmp_path / "logs" / "access.log")
    log.write(record("lost"))
    log.flush()
    (tmp_path / "logs").mkdir()
    log.write(record("kept"))
    log.flush()
    assert [json.loads(line)["key"] for line in (tmp_path / "logs" / "access.log").open()] == ["kept"]
