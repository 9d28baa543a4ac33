"""Callback: every few seconds what was learned becomes a publication, while training goes on."""

from __future__ import annotations

import copy
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np
from mindspore.train import Callback, RunContext

from mindspore_rec.config import ConfigError, PublishConfig
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.table import HashTable
from mindspore_rec.embedding.table_rows import ChangedRows, TableRows
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.models.slot_network import SlotNetwork
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import ExportedModel, read_export
from mindspore_rec.serving.interval_figures import IntervalFigures
from mindspore_rec.serving.manifest import Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.serving.publication_writer import Captured, Gate, PublicationWriter, Written
from mindspore_rec.train.dense_parameters import dense_parameters
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.rec_model import RecModel

logger = logging.getLogger(__name__)

_ANY_AGE = 1 << 30  # days


class Publisher(Callback):
    """Publishes full states and deltas of `online_train`, from a thread of its own.

    The first publication, and one after a failure, is full: it has all rows. Collective where there are several ranks:
    all of them have one, and rank 0 decides when.

    Args:
        folder: of the publications; the ranks share it.
        model: that is trained.
        config: how often, and what.
        inputs: of a feature spec, what the network is given.
        about: what the manifests call the model.
        window: the newest rows, for the figures of publications.
        gate: what holds publications back; None: nothing.
        clock: seconds, monotonic.
        wall_clock: seconds since 1970.

    Attributes:
        last: the newest outcome; None before the first.
        last_stall: seconds that training waited for it.
    """

    def __init__(
        self,
        folder: PublicationFolder,
        model: RecModel,
        config: PublishConfig,
        inputs: Callable[[Mapping[str, Any]], NetworkInputs],
        about: Mapping[str, Any],
        window: ProgressiveWindow,
        gate: Optional[Gate] = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.last: Optional[Written] = None
        self.last_stall = 0.0
        self._folder, self._model, self._config = folder, model, config
        self._inputs, self._about = inputs, dict(about)
        self._window, self._gate, self._clock, self._wall_clock = window, gate, clock, wall_clock
        self._exchange = model.exchange
        self._tables = {cell.table_name: cell.table for cell in lookup_cells(model.train_network)}
        self._network: Any = None
        self._writer: Optional[PublicationWriter] = None
        self._rule = _rule(config, self._tables)
        self._interval = IntervalFigures(clock)
        self._spec: Dict[str, Any] = {}
        self._lag = -1
        self._whole, self._version = True, 0
        self._begun, self._published_step = clock(), -1

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Take in what the step saw, and publish where that is due."""
        params = run_context.original_args()
        result, info = params.step_result, params.get("batch_info")
        first, last = (info.event_time_min, info.event_time_max) if info is not None else (-1, -1)
        if result is not None:
            self._interval.add(result.rows, result.labels, result.logits, first, last)
        if info is not None:
            self._lag = info.lag
        if self._writer is None:
            self._network, self._spec = params.network, _spec(params.train_dataset)
            self._writer = self._new_writer()
        self._note(self._writer.take())
        due = self._clock() - self._begun >= self._config.publish_seconds and not self._writer.busy
        self._publish(self._writer, due)

    def on_train_end(self, run_context: RunContext) -> None:
        """Publish what was learned since the last one, and wait until all is written."""
        if self._writer is None:
            return
        self.wait()
        self._publish(self._writer, self._model.progress.step != self._published_step)
        self.wait()
        self._writer.close()
        self._writer = None

    def wait(self) -> None:
        """Wait until what was begun is written."""
        if self._writer is not None:
            self._note(self._writer.take(wait=True))

    def _new_writer(self) -> PublicationWriter:
        rank, size = self._exchange.rank, self._exchange.size
        if rank:
            return PublicationWriter(self._folder, None, self._config, self._gate, rank, size)
        self._folder.publications.mkdir(parents=True, exist_ok=True)
        self._folder.clean()
        self._version = self._folder.newest()
        self._graphs = tempfile.TemporaryDirectory(prefix="publish-")  # as long as this callback
        return PublicationWriter(
            self._folder, self._export_graphs(Path(self._graphs.name)), self._config, self._gate, 0, size
        )

    def _export_graphs(self, folder: Path) -> ExportedModel:
        """Compile the graphs once: publications have them with other parameters."""
        rows = {name: _no_rows(table.dim) for name, table in self._tables.items()}
        weighted = not isinstance(self._network, SlotNetwork)
        ModelExport(self._network, self._inputs(self._spec), weighted=weighted).write_into(
            folder, rows, self._source(), "native"
        )
        return read_export(folder)

    def _publish(self, writer: PublicationWriter, due: bool) -> None:
        """Begin a publication, where rank 0 wants one; a whole one, where any rank has to."""
        first = self._exchange.rank == 0
        told = self._exchange.sum(np.array([due and first, self._version + 1 if first else 0, self._whole], np.float32))
        if not told[0]:
            return
        self._note(writer.take(wait=True))  # rank 0 was last to write the one before
        begin = self._clock()
        self._version = int(told[1])
        writer.begin(self._capture(whole=bool(told[2])))
        self._whole, self._published_step, self._begun = False, self._model.progress.step, self._clock()
        self.last_stall = self._begun - begin

    def _capture(self, whole: bool) -> Captured:
        progress = self._model.progress
        figures = {
            "rows_trained": progress.rows_trained,
            "rows_rejected": progress.rows_rejected,
            "rows_skipped": progress.rows_skipped,
        }
        if self._lag >= 0:
            figures["lag_messages"] = self._lag
        changed: Dict[str, ChangedRows] = {}
        for name, table in self._tables.items():
            changed[name] = table.export_changed(self._rule, whole)
            figures[f"table_{name}_rows"] = len(table)
            figures[f"table_{name}_mib"] = table.nbytes / 2**20
            figures[f"table_{name}_evicted"] = table.evicted
        dense = dense_parameters(self._network) if self._exchange.rank == 0 else []
        return Captured(
            version=self._version,
            whole=whole,
            changed=changed,
            dense={parameter.name: parameter.asnumpy().copy() for parameter in dense},
            source=self._source(),
            interval=self._interval.take(),
            window=copy.deepcopy(self._window),
            figures={name: float(value) for name, value in figures.items()},
            created=self._wall_clock(),
        )

    def _source(self) -> Source:
        progress = self._model.progress
        time = progress.event_time
        return Source(model=self._about, spec=self._spec, step=progress.step, data_time=time if time >= 0 else None)

    def _note(self, written: Optional[Written]) -> None:
        if written is None:
            return
        self.last = written
        if written.error:
            self._whole = True  # what that one held is in no publication
            place = self._folder.path
            logger.error(
                "no publication %d was written to %s: %s; training goes on", written.version, place, written.error
            )
        elif written.manifest is not None:
            kind, mib, waited = written.manifest.kind, written.manifest.nbytes / 2**20, 1000 * self.last_stall
            figures = written.version, kind, mib, written.seconds, waited
            logger.debug("publication %d (%s, %.1f MiB, %.2f s, training waited %.0f ms)", *figures)


def _no_rows(dim: int) -> TableRows:
    none = np.empty(0, np.float32)
    return TableRows(np.empty(0, np.int64), np.empty((0, dim), np.float32), {}, none, none, np.empty(0, np.int32))


def _rule(config: PublishConfig, tables: Mapping[str, HashTable]) -> Optional[ExportRule]:
    if not config.publish_min_show:
        return None
    for name, table in tables.items():
        if not table.has_statistics:
            raise ConfigError(
                f"publish_min_show = {config.publish_min_show:g}: expected 0, or statistics = true, for table {name} "
                f"does not count how often ids are shown"
            )
    return ExportRule(1.0, 1.0, config.publish_min_show, delta_keep_days=_ANY_AGE)


def _spec(dataset: Any) -> Dict[str, Any]:
    text = getattr(dataset, "spec_json", None)
    spec: Dict[str, Any] = json.loads(text) if text else {}
    return spec
