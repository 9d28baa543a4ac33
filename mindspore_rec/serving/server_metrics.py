"""What the server tells Prometheus."""

from __future__ import annotations

import math
import time
from typing import Callable, Iterator, Optional

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mindspore_rec.serving.prediction import PredictorLike

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_ROWS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 16384)


class ServerMetrics:
    """Counts of requests and rows; `registry` has them, and what `PredictorMetrics` reads.

    Args:
        registry: of their own, so that several servers live in a process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter("msrec_serve_requests", "Predict requests by status", ["status"], registry=registry)
        self._seconds = Histogram(
            "msrec_serve_request_seconds", "From the head of a predict request to its answer", (), buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._rows = Counter("msrec_serve_rows", "Rows predicted", registry=registry)
        self._batch_rows = Histogram(
            "msrec_serve_batch_rows", "Rows computed at a time", (), buckets=_ROWS, registry=registry
        )

    def answered(self, status: int, seconds: float) -> None:
        """Count a predict request."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def predicted(self, rows: int) -> None:
        """Count the rows of a request that was answered."""
        self._rows.inc(rows)

    def computed(self, rows: int) -> None:
        """Count a batch; any thread may call."""
        self._batch_rows.observe(rows)


class PredictorMetrics(Collector):
    """Gauges that are read when Prometheus asks.

    Args:
        predictor: whose status is told.
        waiting_rows: how many wait.
        clock: seconds since 1970.
    """

    def __init__(
        self, predictor: PredictorLike, waiting_rows: Callable[[], int], clock: Callable[[], float] = time.time
    ) -> None:
        self._predictor = predictor
        self._waiting_rows = waiting_rows
        self._clock = clock

    def describe(self) -> Iterator[Metric]:
        """Nothing: the predictor is not asked when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges; what is not known is left out."""
        status = self._predictor.status()
        version = status.version
        yield _gauge("waiting_rows", "Rows that wait", self._waiting_rows())
        yield _gauge("version", "Version served; 0: none yet", version.number if version else 0)
        yield _gauge("newest_version", "Newest version published", status.newest)
        yield _gauge("refused", "1 while the newest version is refused", float(bool(status.refused)))
        yield _gauge("following", "1 while new versions are taken", float(status.following))
        if version is not None:
            yield _gauge("loaded_timestamp_seconds", "When that version began to answer", status.loaded_at)
            age = None if version.data_time is None else self._clock() - version.data_time / 1e3
            yield _gauge("data_age_seconds", "Since the newest row the version has seen", age)
        servable = GaugeMetricFamily(
            "msrec_serve_click_to_servable_seconds",
            "From a click to a model that has learned of it",
            labels=["quantile"],
        )
        for quantile, seconds in zip(("0.5", "0.99"), status.click_to_servable):
            if math.isfinite(seconds):
                servable.add_metric([quantile], seconds)
        yield servable
        rows = GaugeMetricFamily("msrec_serve_table_rows", "Rows of the tables served", labels=["table"])
        for table, count in status.tables.items():
            rows.add_metric([table], count)
        yield rows


def _gauge(name: str, what: str, value: Optional[float]) -> Metric:
    return GaugeMetricFamily(f"msrec_serve_{name}", what, value=value)
