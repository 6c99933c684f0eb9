"""Owns when processes that died are started again: at once, and later and later where they die early. Pure."""

PAUSE_S = 0.2
PAUSE_MAX_S = 30.0
LIVED_S = 10.0
"""A process that lived as long as this, in seconds, began well: the next pause is the shortest again."""


class Restarts:
    """Which processes, by slot, are waiting to be started again. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._due: dict[str, float] = {}

    @property
    def waiting(self) -> bool:
        """Whether there are any."""
        return bool(self._due)

    def began(self, slot: str, now_s: float) -> None:
        """A process was started."""
        self._began[slot] = now_s
        self._due.pop(slot, None)

    def died(self, slot: str, now_s: float) -> float:
        """A process has ended; in how many seconds it is due again."""
        lived_s = now_s - self._began.get(slot, now_s)
        last_s = self._pauses.get(slot)
        pause_s = PAUSE_S if last_s is None or lived_s >= LIVED_S else min(2 * last_s, PAUSE_MAX_S)
        self._pauses[slot] = pause_s
        self._due[slot] = now_s + pause_s
        return pause_s

    def until_due(self, now_s: float, most_s: float) -> float:
        """In how many seconds the next one is due, at most `most_s`."""
        soonest_s = min((due_s - now_s for due_s in self._due.values()), default=most_s)
        return min(max(soonest_s, 0.0), most_s)

    def due(self, now_s: float) -> list[str]:
        """The slots whose time has come."""
        return [slot for slot, due_s in self._due.items() if due_s <= now_s]
