"""A job's model at work: predict the rows of parts, train on them, with the metrics of each."""

from __future__ import annotations

import logging
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np
from mindspore.train import Callback, RunContext

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.rounds import Rounds
from mindspore_rec.models.model_file import Model
from mindspore_rec.models.slot_network import LOGIT
from mindspore_rec.train.guard import NonFiniteGuard
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.place import ALONE, Place
from mindspore_rec.train.rec_model import RecModel
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.variables_step import VariablesStep, Watch
from mindspore_rec.train.window_monitor import sigmoid

logger = logging.getLogger(__name__)

OnRows = Callable[[int], None]
"""Told of so many rows more, of this rank."""

OnValues = Callable[[np.ndarray, Mapping[str, np.ndarray]], None]
"""Told of rows of this rank: their origins, int64[n, 2], and by name float32[n, ...]: variables, and label."""

LABEL = "label"


class JobModel:
    """A new network of a model, its tables and its optimizer.

    Args:
        model: settings, slots and rules.
        place: this process among those of the job.
        guard: of batches whose numbers are not finite.
        clock: seconds since 1970 of the rows that are trained, for tables that keep times.
        gauc_slot: slot whose values are the groups of GAUC; empty: none.
        infer_variables, train_variables: what is told of rows that are predicted, and trained; None: nothing.
    """

    def __init__(
        self,
        model: Model,
        place: Place = ALONE,
        *,
        guard: Optional[NonFiniteGuard] = None,
        clock: Callable[[], float],
        gauc_slot: str = "",
        infer_variables: Optional[Sequence[str]] = None,
        train_variables: Optional[Sequence[str]] = None,
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
            watch=None if train_variables is None else Watch(train_variables, self._watched),
        )
        self.state = TrainerState(self.rec_model, about={"model": model.describe()})
        self._gauc_place = model.schema.places[gauc_slot] if gauc_slot else None
        self._infer_variables, self._train_variables = list(infer_variables or ()), list(train_variables or ())
        self._predict_steps: Dict[int, VariablesStep] = {}
        self._monitor: Optional[_Monitor] = None

    @property
    def tables(self) -> List[Any]:
        """The tables of the network, this rank's shares of them."""
        return [lookup.table for lookup in lookup_cells(self.network)]

    def train(
        self,
        dataset: PartDataset,
        on_rows: OnRows = lambda rows: None,
        on_values: Optional[OnValues] = None,
        watched: Callable[[PartMetrics], Sequence[Callback]] = lambda metrics: (),
    ) -> PartMetrics:
        """Train on all rows; metrics and values are those of each before it was trained. Collective.

        Args:
            dataset: of the rows.
            on_rows: told of those of each step.
            on_values: told of the variables of each step.
            watched: makes further callbacks, given the metrics as they grow.
        """
        monitor = _Monitor(PartMetrics(self._gauc_place), self.place.exchange, on_rows, on_values)
        self._monitor = monitor
        callbacks = [monitor, *watched(monitor.metrics)]
        self.rec_model.online_train(dataset, callbacks=callbacks, dataset_sink_mode=False)
        self._monitor = None
        return monitor.metrics

    def predict(
        self,
        dataset: PartDataset,
        on_rows: OnRows = lambda rows: None,
        stopped: Callable[[], bool] = lambda: False,
        on_values: Optional[OnValues] = None,
    ) -> PartMetrics:
        """Predict all rows; no table is touched. Rows whose prediction is not finite are in no metric. Collective."""
        step, metrics = self._predict_step(dataset.batch_size), PartMetrics(self._gauc_place)
        given = ((batch, dataset.next_info()) for batch in dataset.create_tuple_iterator())
        left_out = 0
        for found in Rounds(given, self.place.exchange, stopped):
            *inputs, labels = found[0] if found is not None else dataset.empty_batch()
            logits, *variables = (variable.asnumpy() for variable in step(*inputs))
            groups, known = metrics.groups_of(inputs[0]), np.isfinite(logits).reshape(-1)
            left_out += int(known.size - known.sum())
            metrics.update(labels[known], sigmoid(logits[known]), None if groups is None else groups[known])
            if on_values is not None and found is not None:
                on_values(found[1].origins, {LABEL: labels, **dict(zip(self._infer_variables, variables))})
            on_rows(len(labels))
        if left_out:
            logger.warning("%d rows have no finite prediction, no metric counts them", left_out)
        return metrics.of_all_ranks(self.place.exchange)

    def _predict_step(self, size: int) -> VariablesStep:
        if size not in self._predict_steps:
            names, place = (LOGIT, *self._infer_variables), self.place
            self._predict_steps[size] = VariablesStep(self.network, names, place.exchange, place.owners, size)
        self._predict_steps[size].set_train(False)
        return self._predict_steps[size]

    def _watched(self, variables: List[np.ndarray]) -> None:
        if self._monitor is not None:
            self._monitor.tell(dict(zip(self._train_variables, variables)))


class _Monitor(Callback):
    """Counts the rows of every step of all ranks, and tells of those of this one."""

    def __init__(
        self, metrics: PartMetrics, exchange: Exchange, on_rows: OnRows, on_values: Optional[OnValues]
    ) -> None:
        super().__init__()
        self.metrics, self._exchange, self._on_rows, self._on_values = metrics, exchange, on_rows, on_values
        self._labels, self._origins = np.zeros((0, 1), np.float32), np.zeros((0, 2), np.int64)

    def on_train_step_begin(self, run_context: RunContext) -> None:
        """See which rows come."""
        cb_params = run_context.original_args()
        if cb_params.batch_info is not None:
            self._labels, self._origins = cb_params.train_dataset_element[-1], cb_params.batch_info.origins

    def tell(self, values: Mapping[str, np.ndarray]) -> None:
        """Tell of variables of the rows that were seen."""
        if self._on_values is not None:
            self._on_values(self._origins, {LABEL: self._labels, **values})

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Take in the rows of one step."""
        cb_params = run_context.original_args()
        result, bags = cb_params.step_result, cb_params.train_dataset_element[0]
        groups = self.metrics.groups_of(bags)
        if groups is not None and self._exchange.size > 1:
            groups = np.concatenate(self._exchange.gather(groups))
        self.metrics.update(result.labels, sigmoid(result.logits), groups)
        self._on_rows(bags.shape[0])
