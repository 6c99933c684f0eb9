"""Owns counting requests: per operation, plain numbers in memory, published as snapshots for other processes.

A worker adds up; the sum over workers is made by whoever is asked for the metrics.
"""

from bisect import bisect_left

import msgspec

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class OperationStats(msgspec.Struct, array_like=True):
    """Requests of one operation: how many by status, how long, how many bytes."""

    by_status: dict[int, int]
    buckets: list[int]
    seconds: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0

    def add(self, other: "OperationStats") -> None:
        """Count what `other` has counted too."""
        for status, count in other.by_status.items():
            self.by_status[status] = self.by_status.get(status, 0) + count
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds
        self.received_bytes += other.received_bytes
        self.sent_bytes += other.sent_bytes


def new_stats() -> OperationStats:
    """Nothing counted yet."""
    return OperationStats({}, [0] * (len(BOUNDS_S) + 1))


class RequestCounter:
    """The requests of this process."""

    def __init__(self, operations: dict[str, OperationStats] | None = None) -> None:
        self.operations: dict[str, OperationStats] = operations or {}

    def observe(self, operation: str, status: int, seconds: float, received_bytes: int, sent_bytes: int) -> None:
        """Count one request."""
        stats = self.operations.get(operation)
        if stats is None:
            stats = self.operations[operation] = new_stats()
        stats.by_status[status] = stats.by_status.get(status, 0) + 1
        stats.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        stats.seconds += seconds
        stats.received_bytes += received_bytes
        stats.sent_bytes += sent_bytes
