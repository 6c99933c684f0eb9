"""What a process makes of the drives that it is told of."""

import shutil
from pathlib import Path

import pytest

from pyrite.blobs.drive import DriveState
from pyrite.core.entropy import SystemEntropy
from pyrite.node import drives as identities
from pyrite.node import opening
from pyrite.node.opening import OpenDrive, make_drives


def test_only_drives_that_are_there_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive that went, is blank, belongs to another store, or goes in this very moment is none, and nothing fails."""
    paths = {name: tmp_path / name for name in ("here", "blank", "foreign", "gone")}
    drives = []
    for name, path in paths.items():
        path.mkdir()
        identity = identities.format_drive(path, "foreign" if name == "foreign" else "store", SystemEntropy())
        drives.append(OpenDrive(identity.drive, path, DriveState.ONLINE))
    shutil.rmtree(paths["blank"])
    paths["blank"].mkdir()
    paths["gone"].rename(tmp_path / "elsewhere")

    def states() -> list[DriveState]:
        return [drive.state for drive in make_drives("store", tuple(drives)).values()]

    assert states() == [DriveState.ONLINE, DriveState.BLANK, DriveState.FOREIGN, DriveState.MISSING]

    def vanish(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(opening, "LocalDrive", vanish)
    assert states()[0] is DriveState.MISSING
