"""Counts and times of requests, and the platform's own figures, for Prometheus.

Kept as plain numbers and turned into samples only for a scrape: the hot read costs about
20 µs, a labelled Prometheus counter would cost a tenth of that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class FigureSource(Protocol):
    """Something that knows figures of its own."""

    def counters(self) -> Mapping[str, tuple[str, Mapping[tuple[tuple[str, str], ...], float]]]:
        """Return name → (what it counts, labels → value)."""
        ...

    def gauges(self) -> Mapping[str, tuple[str, float]]:
        """Return name → (what it is, value)."""
        ...


class Telemetry:
    """What the HTTP surface did. One event loop writes it."""

    def __init__(self, sources: Callable[[], Iterable[FigureSource]] = tuple) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, list[float]] = {}
        self._sources = sources
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; *route* is the pattern and never the path, so labels are bounded."""
        name = (method, route, status)
        self._requests[name] = self._requests.get(name, 0) + 1
        cells = self._seconds.get(route)
        if cells is None:
            cells = self._seconds[route] = [0.0] * (len(_BOUNDS_SECONDS) + 2)
        cells[bisect_left(_BOUNDS_SECONDS, seconds)] += 1
        cells[-1] += seconds

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families, as `prometheus_client` asks for them."""
        requests = CounterMetricFamily(
            "agentflow_serving_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        for (method, route, status), count in self._requests.items():
            requests.add_metric([method, route, str(status)], count)
        yield requests
        times = HistogramMetricFamily(
            "agentflow_serving_request_seconds", "Time to the last byte.", labels=["route"]
        )
        for route, cells in self._seconds.items():
            times.add_metric([route], buckets=_buckets(cells), sum_value=cells[-1])
        yield times
        for source in self._sources():
            yield from _families(source)


def _buckets(cells: list[float]) -> list[tuple[str, float]]:
    total, buckets = 0.0, []
    for bound, count in zip((*_BOUNDS_SECONDS, None), cells[:-1], strict=True):
        total += count
        buckets.append(("+Inf" if bound is None else str(bound), total))
    return buckets


def _families(source: FigureSource) -> Iterator[Metric]:
    for name, (text, samples) in source.counters().items():
        labels = [label for label, _ in next(iter(samples), ())]
        counter = CounterMetricFamily(name, text, labels=labels)
        for key, value in samples.items():
            counter.add_metric([value for _, value in key], value)
        yield counter
    for name, (text, gauge) in source.gauges().items():
        yield GaugeMetricFamily(name, text, value=gauge)
