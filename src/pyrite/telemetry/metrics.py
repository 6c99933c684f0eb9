"""Owns the Prometheus exposition: the sum over all processes, in prometheus-client's families."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from pyrite.telemetry.requests import BOUNDS_S, OperationStats, new_stats
from pyrite.telemetry.status import ProcessStatus

CONTENT_TYPE = CONTENT_TYPE_LATEST


class StoreGauges:
    """Numbers of the store as a whole, at one moment: (name, help, labels, value)."""

    def __init__(self, rows: Iterable[tuple[str, str, dict[str, str], float]]) -> None:
        self.rows = list(rows)


class _Snapshot(Collector):
    def __init__(self, statuses: Sequence[ProcessStatus], gauges: StoreGauges) -> None:
        self._statuses = statuses
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        yield from _request_families(_sum(self._statuses))
        connections = GaugeMetricFamily("pyrite_connections", "Open client connections", labels=["process"])
        for status in self._statuses:
            connections.add_metric([status.slot], status.connections)
        yield connections
        damaged = sum(status.damaged_fragments for status in self._statuses)
        yield CounterMetricFamily(
            "pyrite_damaged_fragments", "Fragments found missing or wrong by reads", value=damaged
        )
        done = CounterMetricFamily("pyrite_background", "What background services did", labels=["service", "event"])
        for status in self._statuses:
            for service, events in sorted(status.background.items()):
                for event, count in sorted(events.items()):
                    done.add_metric([service, event], count)
        yield done
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, labels, value in self._gauges.rows:
            family = families.setdefault(name, GaugeMetricFamily(name, text, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()


def _sum(statuses: Sequence[ProcessStatus]) -> dict[str, OperationStats]:
    total: dict[str, OperationStats] = {}
    for status in statuses:
        for name, stats in status.operations.items():
            total.setdefault(name, new_stats()).add(stats)
    return total


def _request_families(operations: dict[str, OperationStats]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "pyrite_s3_requests", "Requests by operation and status", labels=["operation", "status"]
    )
    received = CounterMetricFamily("pyrite_s3_received_bytes", "Bytes of request bodies", labels=["operation"])
    sent = CounterMetricFamily("pyrite_s3_sent_bytes", "Bytes of response bodies", labels=["operation"])
    latency = HistogramMetricFamily(
        "pyrite_s3_request_seconds", "Time from a request's head to its response's head", labels=["operation"]
    )
    for name, stats in sorted(operations.items()):
        for status, count in sorted(stats.by_status.items()):
            requests.add_metric([name, str(status)], count)
        received.add_metric([name], stats.received_bytes)
        sent.add_metric([name], stats.sent_bytes)
        counts, running = [], 0
        for bound, count in zip((*BOUNDS_S, "+Inf"), stats.buckets, strict=True):
            running += count
            counts.append((str(bound), float(running)))
        latency.add_metric([name], counts, stats.seconds)
    yield from (requests, received, sent, latency)


def expose(statuses: Sequence[ProcessStatus], gauges: StoreGauges) -> bytes:
    """The metrics page."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(statuses, gauges))
    return generate_latest(registry)
