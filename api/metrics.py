"""What the API measures of itself, for Prometheus: requests, latency, bytes in, and the state of the queue.

Routes are named by their template, never by the path, so that the number of series stays small. Gauges are read when
they are scraped, the backlog at most every two seconds.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger

# Values by the values of the labels.
Reader = Callable[[], Mapping[tuple[str, ...], float]]
LATENCY_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

log = get_logger(__name__)


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "leaktrace_api_requests_total",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "leaktrace_api_request_seconds",
            "Time from the first byte of a request to the last of its answer",
            ["method", "route"],
            registry=self.registry,
            buckets=LATENCY_BUCKETS_SECONDS,
        )
        self._bytes_in = Counter(
            "leaktrace_api_received_bytes_total", "Bytes of request bodies", ["route"], registry=self.registry
        )

    def count(self, *, method: str, route: str, status: int, seconds: float, bytes_in: int) -> None:
        """Note one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        self._bytes_in.labels(route).inc(bytes_in)

    def watch(self, gauges: dict[str, tuple[str, Callable[[], float]]]) -> None:
        """Add gauges (name -> description, reader) that are read at each scrape."""
        self.watch_labelled({name: (told, (), _unlabelled(read)) for name, (told, read) in gauges.items()})

    def watch_labelled(self, gauges: dict[str, tuple[str, tuple[str, ...], Reader]]) -> None:
        """Add gauges (name -> description, label names, reader of values by labels) that are read at each scrape."""
        self.registry.register(_Readings(gauges))

    def exposition(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)


class _Readings(Collector):
    """Gauges read on demand; one whose server is away is left out, which an alert can see."""

    def __init__(self, gauges: dict[str, tuple[str, tuple[str, ...], Reader]]) -> None:
        self._gauges = gauges

    def describe(self) -> Iterator[Metric]:
        """Names alone, so that registering reads nothing."""
        for name, (description, labels, _) in self._gauges.items():
            yield GaugeMetricFamily(name, description, labels=labels)

    def collect(self) -> Iterator[Metric]:
        """Called at each scrape."""
        for name, (description, labels, read) in self._gauges.items():
            family = GaugeMetricFamily(name, description, labels=labels)
            try:
                for values, value in read().items():
                    family.add_metric(values, value)
            except Unavailable as error:
                log.warning("gauge_unreadable", gauge=name, error=str(error))
                continue
            yield family


def _unlabelled(read: Callable[[], float]) -> Reader:
    return lambda: {(): read()}
