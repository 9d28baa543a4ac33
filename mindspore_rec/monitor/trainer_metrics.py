"""The trainer's figures for Prometheus: a small HTTP server that answers with the newest; see docs/monitoring.md."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Iterator, Mapping, Optional, Type, Union

from prometheus_client import CollectorRegistry, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mindspore_rec.config import ConfigError
from mindspore_rec.monitor.trainer_figures import FIGURES, TABLE_FIGURES, Figure, TrainerFigures

logger = logging.getLogger(__name__)

PREFIX = "msrec_train_"
STEP_SECONDS = Figure("step_seconds", "speed", "Seconds of a training step, without the wait for its batch")
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class TrainerMetrics:
    """A `FigureSink` that Prometheus reads.

    Figures of tables are read after somebody asked for metrics, so the first answer may lack them; later ones have the
    newest that are known.

    Args:
        host: address to listen on.
        port: to listen on; 0: any that is free.
        now: seconds since 1970.

    Raises:
        ConfigError: the port cannot be had.
    """

    def __init__(self, host: str, port: int, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._newest = TrainerFigures()
        self._tables: Mapping[str, Mapping[str, float]] = {}
        self._asked = True
        registry = CollectorRegistry()
        self._steps = Histogram(PREFIX + STEP_SECONDS.name, STEP_SECONDS.help, buckets=_BUCKETS, registry=registry)
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"metrics_port = {port}, metrics_host = {host!r}: expected an address that can be bound to: {reason}"
            ) from None
        self._open: Optional[Any] = self._server
        logger.info("metrics for Prometheus at http://%s:%d/metrics", host, self.port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    @property
    def wants_tables(self) -> bool:
        """Whether somebody asked since tables were read."""
        return self._asked

    def begin(self, rows: int) -> None:
        """Nothing: counters go on where the checkpoint was."""

    def step(self, seconds: float) -> None:
        """Count a step."""
        self._steps.observe(seconds)

    def report(self, figures: TrainerFigures) -> None:
        """Answer with these from now on."""
        if figures.tables:
            self._tables, self._asked = figures.tables, False
        self._newest = figures

    def close(self) -> None:
        """Answer no longer."""
        server, self._open = self._open, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is depends on what is known."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The newest figures; a thread of the server calls it."""
        newest, tables = self._newest, self._tables
        self._asked = True
        values = dict(newest.values)
        if newest.event_time >= 0:  # goes on while no batch comes
            values["event_lag_seconds"] = self._now() - newest.event_time / 1000
        for figure in FIGURES:
            if figure.name in values:
                family = _family(figure)(PREFIX + figure.name, figure.help)
                family.add_metric([], values[figure.name])
                yield family
        for figure in TABLE_FIGURES:
            by_table = _family(figure)(PREFIX + figure.name, figure.help, labels=["table"])
            for name, of_table in tables.items():
                by_table.add_metric([name], of_table[figure.name])
            yield by_table


def metric_name(figure: Figure) -> str:
    """What Prometheus calls it.

    >>> metric_name(FIGURES[0])
    'msrec_train_rows_total'
    """
    return PREFIX + figure.name + ("_total" if figure.counts else "")


def _family(figure: Figure) -> Union[Type[CounterMetricFamily], Type[GaugeMetricFamily]]:
    return CounterMetricFamily if figure.counts else GaugeMetricFamily
