"""Metrics in Prometheus' form. A service declares its own beside what they measure, on this registry."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECORDS_BUCKETS: Final = (1, 10, 50, 100, 250, 500, 1000, 2000, 5000)


def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
    return Counter(f"counterfoil_{name}", text, labels, registry=REGISTRY)


def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
    return Gauge(f"counterfoil_{name}", text, labels, registry=REGISTRY)


def seconds(name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
    """A duration in seconds; the name should end in `_seconds`."""
    return Histogram(f"counterfoil_{name}", text, labels, registry=REGISTRY, buckets=SECONDS_BUCKETS)


def sizes(name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
    """A number of records."""
    return Histogram(f"counterfoil_{name}", text, labels, registry=REGISTRY, buckets=RECORDS_BUCKETS)


def exposition() -> bytes:
    """All metrics as Prometheus reads them."""
    return generate_latest(REGISTRY)
