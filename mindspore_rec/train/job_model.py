"""A job's model at work: predict the rows of parts, train on them, with the metrics of each."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

import numpy as np
from mindspore.train import Callback, RunContext

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.rounds import Rounds
from mindspore_rec.models.model_file import Model
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.guard import NonFiniteGuard
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.place import ALONE, Place
from mindspore_rec.train.rec_model import RecModel
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.window_monitor import sigmoid

OnRows = Callable[[int], None]
"""Told of so many rows more."""


class JobModel:
    """A new network of a model, its tables and its optimizer.

    Args:
        model: settings, slots and rules.
        place: this process among those of the job.
        guard: of batches whose numbers are not finite.
        clock: seconds since 1970 of the rows that are trained, for tables that keep times.
        gauc_slot: slot whose values are the groups of GAUC; empty: none.
    """

    def __init__(
        self,
        model: Model,
        place: Place = ALONE,
        *,
        guard: Optional[NonFiniteGuard] = None,
        clock: Callable[[], float],
        gauc_slot: str = "",
    ) -> None:
        self.model, self.place = model, place
        self.network = model.network()
        self.rec_model = RecModel(
            self.network,
            LogLoss(),
            model.optimizer(self.network),
            guard=guard,
            clock=clock,
            exchange=place.exchange,
            owners=place.owners,
            staleness=place.staleness,
            ends_days=False,
        )
        self.state = TrainerState(self.rec_model, about={"model": model.describe()})
        self._gauc_place = model.schema.places[gauc_slot] if gauc_slot else None
        self._predict_steps: Dict[int, PredictStep] = {}

    @property
    def tables(self) -> List[Any]:
        """The tables of the network, this rank's shares of them."""
        return [lookup.table for lookup in lookup_cells(self.network)]

    def train(self, dataset: PartDataset, on_rows: OnRows = lambda rows: None) -> PartMetrics:
        """Train on all rows; metrics of what was predicted of each before it was trained. Collective."""
        monitor = _Monitor(PartMetrics(self._gauc_place), self.place.exchange, on_rows)
        self.rec_model.online_train(dataset, callbacks=[monitor], dataset_sink_mode=False)
        return monitor.metrics

    def predict(
        self, dataset: PartDataset, on_rows: OnRows = lambda rows: None, stopped: Callable[[], bool] = lambda: False
    ) -> PartMetrics:
        """Predict all rows; no table is touched. Collective."""
        size = dataset.batch_size
        if size not in self._predict_steps:
            self._predict_steps[size] = PredictStep(self.network, self.place.exchange, self.place.owners, size)
        step, metrics = self._predict_steps[size], PartMetrics(self._gauc_place)
        step.set_train(False)
        given = ((batch, dataset.next_info()) for batch in dataset.create_tuple_iterator())
        for found in Rounds(given, self.place.exchange, stopped):
            *inputs, labels = found[0] if found is not None else dataset.empty_batch()
            logits = step(*inputs).asnumpy()
            metrics.update(labels, sigmoid(logits), metrics.groups_of(inputs[0]))
            on_rows(len(labels))
        return metrics.of_all_ranks(self.place.exchange)


class _Monitor(Callback):
    """Counts the rows of every step of all ranks."""

    def __init__(self, metrics: PartMetrics, exchange: Exchange, on_rows: OnRows) -> None:
        super().__init__()
        self.metrics, self._exchange, self._on_rows = metrics, exchange, on_rows

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Take in the rows of one step."""
        cb_params = run_context.original_args()
        result, bags = cb_params.step_result, cb_params.train_dataset_element[0]
        groups = self.metrics.groups_of(bags)
        if groups is not None and self._exchange.size > 1:
            groups = np.concatenate(self._exchange.gather(groups))
        self.metrics.update(result.labels, sigmoid(result.logits), groups)
        self._on_rows(result.rows)
