"""Drives come and go while somebody walks through them."""

from pyrite.blobs.drive import AbsentDrive, DriveState
from pyrite.blobs.driveset import DriveSet


def test_drives_that_change_under_a_walk() -> None:
    """A walk through the drives goes on with those that there were, whatever joins or leaves meanwhile."""
    drives = DriveSet({name: AbsentDrive(name, DriveState.MISSING) for name in "abc"})
    for walk in (lambda: (drive.id for drive in drives.values()), lambda: (name for name, _ in drives.items())):
        before, seen = set(drives), []
        for name in walk():
            seen.append(name)
            drives.put(AbsentDrive(f"new-{name}", DriveState.MISSING))
            drives.drop(next(iter(drives)))
        assert set(seen) == before
