"""What is noted of every request: its metrics and its log line, with the route's template and never the path."""

from typing import Final

import structlog
from aiohttp import web
from prometheus_client import Counter, Histogram

from shared.telemetry import metrics

PROBES: Final = ("/livez", "/readyz", "/metrics")

log = structlog.get_logger(__name__)

REQUESTS: Final = metrics.counter("http_requests_total", "Requests answered", ("method", "route", "status"))
DURATION: Final = metrics.seconds("http_request_seconds", "From a request's head to its answer's end", ("method", "route"))
_counted: Final[dict[tuple[str, str, int], tuple[Counter, Histogram]]] = {}


def template_of(request: web.Request) -> str:
    """The route's path as it is written in the table."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(none)"


def note(method: str, template: str, status: int, seconds: float, request_id: str) -> None:
    """Counts a request and writes its line."""
    counted = _counted.get((method, template, status))
    if counted is None:
        counted = REQUESTS.labels(method, template, str(status)), DURATION.labels(method, template)
        _counted[method, template, status] = counted
    counted[0].inc()
    counted[1].observe(seconds)
    if template not in PROBES:
        milliseconds = round(seconds * 1000, 1)
        log.info("request", method=method, route=template, status=status, milliseconds=milliseconds, request_id=request_id)
