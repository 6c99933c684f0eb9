"""Owns the drives of a store as one process holds them: which there are, and which take new data."""

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView

from pyrite.blobs.drive import Drive, DriveError, DriveState
from pyrite.blobs.placement import Candidate


class DriveSet(Mapping[str, Drive]):
    """Drives by id. They come and go while the process runs; who holds the set sees it.

    Whoever walks through them, on any thread and however long, sees those that there were when he began.
    """

    def __init__(self, drives: Mapping[str, Drive]) -> None:
        self._drives = dict(drives)
        self._closed: set[str] = set()
        self._slow: set[str] = set()
        self._domains: dict[str, str] = {}

    def __getitem__(self, drive_id: str) -> Drive:
        return self._drives[drive_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drives)

    def values(self) -> ValuesView[Drive]:
        return self._drives.values()

    def items(self) -> ItemsView[str, Drive]:
        return self._drives.items()

    def __len__(self) -> int:
        return len(self._drives)

    @property
    def members(self) -> int:
        """How many drives take part: those that are leaving do not count."""
        return len(self._drives) - len(self._closed & self._drives.keys())

    def put(self, drive: Drive) -> None:
        """Add a drive, or take another object for one that is there."""
        self._drives = {**self._drives, drive.id: drive}

    def drop(self, drive_id: str) -> None:
        """Forget a drive that does not belong to the store any more."""
        drive = self._drives.get(drive_id)
        self._drives = {name: one for name, one in self._drives.items() if name != drive_id}
        if drive is not None:
            drive.close()
        self._closed.discard(drive_id)
        self._slow.discard(drive_id)

    def describe(self, drive_id: str, takes_data: bool, domain: str = "", slow: bool = False) -> None:
        """Whether new data may go to a drive, its failure domain ("": a domain of its own), and whether it is slow."""
        for holds, names in ((not takes_data, self._closed), (slow, self._slow)):
            if holds:
                names.add(drive_id)
            else:
                names.discard(drive_id)
        self._domains[drive_id] = domain

    def takes_data(self, drive_id: str) -> bool:
        """Whether new data may go to the drive: it is online and not leaving."""
        drive = self._drives.get(drive_id)
        return drive is not None and drive.state is DriveState.ONLINE and drive_id not in self._closed

    def is_slow(self, drive_id: str) -> bool:
        """Whether to do without the drive where that is possible: it is known to be slow, or a call is stuck in it."""
        drive = self._drives.get(drive_id)
        return drive_id in self._slow or (drive is not None and drive.stuck)

    @property
    def quick(self) -> int:
        """How many drives take new data and are not slow."""
        return sum(self.takes_data(drive_id) and not self.is_slow(drive_id) for drive_id in self._drives)

    def domain(self, drive_id: str) -> str:
        """The failure domain of a drive; its own id where it has no label."""
        return self._domains.get(drive_id) or drive_id

    def candidates(self, but: Sequence[str] = ()) -> list[Candidate]:
        """The drives that new data may go to, except for those in `but`. Blocks."""
        found = (self.candidate(drive_id) for drive_id in self._drives if drive_id not in but)
        return [candidate for candidate in found if candidate is not None]

    def candidate(self, drive_id: str) -> Candidate | None:
        """A drive as one that new data may go to; None where it may not. Blocks."""
        drive = self._drives.get(drive_id)
        if drive is None or not self.takes_data(drive_id):
            return None
        try:
            free = drive.space().free_bytes
        except DriveError:
            return None
        return Candidate(drive_id, free, self.domain(drive_id), self.is_slow(drive_id))
