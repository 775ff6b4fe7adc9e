"""What is noted of every request: its metrics and its log line, with the route's template and never the path.

The figures are kept as plain numbers of this process' one loop and turned into metrics when they are read: a counter and a
histogram of the library take four microseconds a request, and a read that comes again thirty in all.
"""

import logging
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import structlog
from aiohttp import web
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from shared.telemetry import logs, metrics

PROBES: Final = ("/livez", "/readyz", "/metrics")
BOUNDS: Final = metrics.SECONDS_BUCKETS

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Noted:
    """Requests of one method, route and status: how many within each bound of seconds, and their seconds in all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0


class _Requests(Collector):
    """The figures of all requests as metrics."""

    def __init__(self) -> None:
        self.noted: dict[tuple[str, str, int], _Noted] = {}

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        answered = CounterMetricFamily("counterfoil_http_requests", "Requests answered", labels=("method", "route", "status"))
        took = HistogramMetricFamily(
            "counterfoil_http_request_seconds", "From a request's head to its answer's end", labels=("method", "route")
        )
        by_route: dict[tuple[str, str], _Noted] = {}
        for (method, route, status), noted in self.noted.items():
            answered.add_metric((method, route, str(status)), sum(noted.counts))
            of_route = by_route.setdefault((method, route), _Noted())
            of_route.counts = [a + b for a, b in zip(of_route.counts, noted.counts, strict=True)]
            of_route.seconds += noted.seconds
        names = (*map(str, BOUNDS), "+Inf")
        for labels, noted in by_route.items():
            took.add_metric(labels, list(zip(names, accumulate(noted.counts), strict=True)), noted.seconds)
        yield answered
        yield took


_requests: Final = _Requests()
metrics.REGISTRY.register(_requests)


def template_of(request: web.Request) -> str:
    """The route's path as it is written in the table."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(none)"


def note(method: str, template: str, status: int, seconds: float, request_id: str) -> None:
    """Counts a request and writes its line."""
    noted = _requests.noted.get((method, template, status))
    if noted is None:
        noted = _requests.noted[method, template, status] = _Noted()
    noted.counts[bisect_left(BOUNDS, seconds)] += 1
    noted.seconds += seconds
    if logs.are_told(logging.INFO) and template not in PROBES:
        milliseconds = round(seconds * 1000, 1)
        log.info("request", method=method, route=template, status=status, milliseconds=milliseconds, request_id=request_id)
