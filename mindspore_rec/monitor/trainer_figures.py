"""The figures of a trainer that monitors show, and where a monitor gets them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Mapping, Protocol

from mindspore_rec.embedding.explanation import TableStats


@dataclass(frozen=True)
class Figure:
    """A figure, or one of each table.

    Attributes:
        name: in words of Prometheus, without prefix.
        group: of TensorBoard.
        help: what it says, in one line.
        counts: whether it counts up from the beginning of training.
    """

    name: str
    group: str
    help: str
    counts: bool = False


FIGURES = (
    Figure("rows", "rows", "Rows trained", counts=True),
    Figure("rejected_rows", "rows", "Rows the feature engineering refused", counts=True),
    Figure("skipped_rows", "rows", "Rows of batches that were not finite and not trained", counts=True),
    Figure("steps", "rows", "Updates made", counts=True),
    Figure("samples_per_second", "speed", "Rows trained a second since the report before"),
    Figure("loss", "model", "Mean loss of the rows since the report before"),
    Figure("auc", "model", "Progressive AUC of the newest metrics_window rows"),
    Figure("log_loss", "model", "Progressive log loss of these rows, in nats"),
    Figure("calibration", "model", "Clicks over predicted clicks of these rows"),
    Figure("lag_messages", "stream", "Messages in the topic, or this trainer's shard of it, that wait to be trained"),
    Figure("event_lag_seconds", "stream", "Seconds since the newest row that was trained happened"),
    Figure("checkpoint_seconds", "checkpoint", "Seconds the newest checkpoint took to write"),
    Figure("checkpoint_stall_seconds", "checkpoint", "Seconds training waited for the newest one to begin"),
    Figure("publication_version", "publication", "Newest publication written"),
    Figure("publication_held", "publication", "1 where the gate holds it back from servers, else 0"),
    Figure("publication_bytes", "publication", "Bytes of its files"),
    Figure("publication_click_to_servable_p50_seconds", "publication", "Median from a click to a publication with it"),
    Figure("publication_click_to_servable_p99_seconds", "publication", "99th percentile of that"),
    Figure("report_timestamp_seconds", "speed", "When these figures were taken, in seconds since 1970"),
)
TABLE_FIGURES = (
    Figure("table_rows", "tables", "Ids with a row"),
    Figure("table_bytes", "tables", "Memory of rows, index, statistics and waiting ids"),
    Figure("table_waiting_ids", "tables", "Ids that wait for admission"),
    Figure("table_admitted_rows", "tables", "Rows given out", counts=True),
    Figure("table_evicted_rows", "tables", "Rows given up", counts=True),
    Figure("table_refused_ids", "tables", "Ids turned away for lack of room, once a batch", counts=True),
)


@dataclass(frozen=True)
class TrainerFigures:
    """Figures at one moment; what is not known is absent.

    Attributes:
        rows: trained since the beginning, over all restarts.
        event_time: of the newest row seen, in milliseconds since 1970; -1: unknown.
        values: of `FIGURES`, by name.
        tables: of `TABLE_FIGURES` by name, for each table; empty where they were not read.
    """

    rows: int = 0
    event_time: int = -1
    values: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class FigureSink(Protocol):
    """Shows figures somewhere. The training thread calls it."""

    @property
    def wants_tables(self) -> bool:
        """Whether the next report is to have figures of tables, which take time to read."""

    def begin(self, rows: int) -> None:
        """Training begins, or goes on, after so many rows."""

    def step(self, seconds: float) -> None:
        """A step was made in so many seconds."""

    def report(self, figures: TrainerFigures) -> None:
        """There are new figures."""

    def close(self) -> None:
        """Training has ended. A second call does nothing."""


def table_values(stats: TableStats) -> Dict[str, float]:
    """`TABLE_FIGURES` of a table."""
    return {
        "table_rows": stats.rows,
        "table_bytes": stats.nbytes,
        "table_waiting_ids": stats.waiting,
        "table_admitted_rows": stats.admitted,
        "table_evicted_rows": stats.evicted,
        "table_refused_ids": stats.refused,
    }
