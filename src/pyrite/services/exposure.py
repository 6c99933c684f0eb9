"""Owns how exposed a volume is: which of its shards are in doubt, and which drives are given up."""

from collections.abc import Callable, Collection

from pyrite.blobs.drive import DriveState
from pyrite.blobs.driveset import DriveSet
from pyrite.blobs.volume import VolumeRecord

REBUILD_AFTER_MS = 600_000
"""How long a drive may be away before its shards are made again elsewhere."""


class Exposure:
    """Judges volumes by the drives they stand on. `leave` names drives that are leaving, with their successors."""

    def __init__(self, drives: DriveSet, now_ms: Callable[[], int], rebuild_after_ms: int = REBUILD_AFTER_MS) -> None:
        self._drives = drives
        self._now_ms = now_ms
        self._rebuild_after_ms = rebuild_after_ms
        self._away_since_ms: dict[str, int] = {}
        self._leaving: dict[str, str] = {}
        self._lost: set[str] = set()

    def leave(self, leaving: dict[str, str], lost: Collection[str]) -> None:
        """The drives that are leaving, each with its successor or "", and those of them that will not come back."""
        self._leaving = leaving
        self._lost = set(lost)

    def look(self) -> None:
        """Note which drives are away, and since when."""
        now = self._now_ms()
        for drive_id, drive in self._drives.items():
            if drive.state is DriveState.ONLINE:
                self._away_since_ms.pop(drive_id, None)
            else:
                self._away_since_ms.setdefault(drive_id, now)

    def given_up(self, drive_id: str) -> bool:
        """Whether shards of the drive are to be made again elsewhere: it left, is leaving, or is away for long."""
        if drive_id not in self._drives or drive_id in self._leaving or drive_id in self._lost:
            return True
        since = self._away_since_ms.get(drive_id)
        return since is not None and self._now_ms() - since >= self._rebuild_after_ms

    def successor(self, drive_id: str) -> str:
        """The drive that replaces a leaving one, or ""."""
        return self._leaving.get(drive_id, "")

    def wanting(self, record: VolumeRecord) -> tuple[int, ...]:
        """The shards of a volume that have to be made again, or moved, by what is known of drives."""
        return tuple(
            shard for shard, drive_id in enumerate(record.drives) if shard in record.degraded or self.given_up(drive_id)
        )

    def is_stranded(self, record: VolumeRecord) -> bool:
        """Whether a drive of the volume leaves for good, and the others are too few for as many shards as it has."""
        leaves = any(drive_id in self._leaving or drive_id in self._lost for drive_id in record.drives)
        return leaves and sum(map(self._drives.takes_data, self._drives)) < record.layout.width

    def margin(self, record: VolumeRecord, doubted: Collection[int]) -> int:
        """How many more shards the volume could lose: negative when it cannot be read in full."""
        good = 0
        for shard, drive_id in enumerate(record.drives):
            drive = self._drives.get(drive_id)
            if drive is not None and drive.readable and shard not in record.degraded and shard not in doubted:
                good += 1
        return good - record.layout.data
