"""`RecModel`: mindspore's Model, plus training that never stops."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

import mindspore as ms
from mindspore import nn
from mindspore.train import Model, RunContext
from mindspore.train.callback import _CallbackManager, _InternalCallbackParam

from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.distributed.rounds import Rounds, Seen, seen_by_all
from mindspore_rec.train.eval_step import EvalStep, PredictStep
from mindspore_rec.train.framework_checkpoint import TableSidecars, check_stamps, refresh_stamps
from mindspore_rec.train.guard import NonFiniteGuard
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.progress import TrainingProgress
from mindspore_rec.train.step import TrainStep
from mindspore_rec.train.stop_signals import StopSignals
from mindspore_rec.train.table_days import end_days
from mindspore_rec.train.variables_step import Watch

logger = logging.getLogger(__name__)

_MIXED_PRECISION = ("amp_level", "boost_level", "loss_scale_manager", "keep_batchnorm_fp32")


class RecModel(Model):
    """A `mindspore.Model` for recommenders.

    `train`, `eval`, `fit` and `predict` are the framework's. Where the network has `HashEmbeddingLookup` cells, they
    and `online_train` gather the rows of a batch on the host, run the dense part as one graph and apply the row
    gradients with each table's own optimizer; data sets then have one column an input and the label last.

    Args:
        network: the network, returning logits (or its loss, without `loss_fn`).
        loss_fn: loss of (logits, label), a mean over rows.
        optimizer: optimizer of the dense parameters, `network.trainable_params()`.
        metrics: as in `mindspore.Model`.
        guard: what to do with batches whose numbers are not finite; default: skip them, stop after ten in a row.
        clock: seconds since 1970, for batches that do not say when their rows were.
        exchange: between the ranks of a job, each with its part of every batch and its share of every table; only
            `online_train` works on more than one.
        owners: ranks that tables are spread over; default: all.
        exact_rows: compute so many rows at a time and sum their gradients in 64 bits: then any number of ranks whose
            parts of a batch are whole blocks give the same model, all but to the bit. 0: in one piece, faster.
        staleness: 1: of several ranks, rows of the next batch are fetched while a batch is computed, where the next one
            is there; they then lack the update of that batch. 0: in turn, exact.
        ends_days: tables end their days at midnight of the time of the rows; False: somebody else ends them.
        watch: who looks at variables of a `SlotNetwork` while it is trained.
        kwargs: further arguments of `mindspore.Model`.
    """

    def __init__(
        self,
        network: nn.Cell,
        loss_fn: Optional[nn.Cell] = None,
        optimizer: Optional[nn.Cell] = None,
        metrics: Any = None,
        *,
        guard: Optional[NonFiniteGuard] = None,
        clock: Callable[[], float] = time.time,
        exchange: Optional[Exchange] = None,
        owners: Sequence[int] = (),
        exact_rows: int = 0,
        staleness: int = 0,
        ends_days: bool = True,
        watch: Optional[Watch] = None,
        **kwargs: Any,
    ) -> None:
        self._lookups = lookup_cells(network)
        self._row_loss = loss_fn
        self._stock_options = sorted(
            key for key, value in kwargs.items() if key in _MIXED_PRECISION and value not in (None, "O0")
        )
        if self._lookups:
            if self._stock_options:
                raise ValueError(f"{self._stock_options[0]} does not work with HashEmbeddingLookup; leave it out")
            if metrics is not None and loss_fn is not None:
                kwargs = {"eval_network": EvalStep(network, loss_fn), "eval_indexes": [0, 1, 2], **kwargs}
            loss_fn = None  # the steps know it; the framework would allow no data set of more than two columns
        self._guard = guard or NonFiniteGuard()
        self._clock = clock
        self.exchange = exchange or Alone()
        self._exact_rows = exact_rows
        if staleness not in (0, 1) or (staleness and exact_rows):
            raise ValueError(f"staleness = {staleness}: expected 0 or 1, with exact_rows = {exact_rows} only 0")
        self._staleness, self._ends_days, self._watch = staleness, ends_days, watch
        self.owners = tuple(owners) or tuple(range(self.exchange.size))
        self.progress = TrainingProgress()
        super().__init__(network, loss_fn, optimizer, metrics, **kwargs)

    def online_train(
        self,
        train_dataset: Any,
        callbacks: Any = None,
        dataset_sink_mode: bool = True,
        sink_size: int = 1,
    ) -> None:
        """Train on a data set without end, batch by batch, until it is stopped.

        Returns when a callback calls `run_context.request_stop()`, on SIGTERM or SIGINT after the running step, or
        at the end of the data set where it has one. Callbacks see one epoch of `get_dataset_size()` steps.

        Args:
            train_dataset: data set whose batches are the network's inputs and the label, usually a StreamingDataset.
            callbacks: one or more callbacks.
            dataset_sink_mode: feed through the device queue. The CPU has none and is fed directly.
            sink_size: batches a sink; only 1 is supported.

        Raises:
            TypeError: dataset_sink_mode is not a bool.
            ValueError: sink_size is not 1, the mode is PYNATIVE, or a network with lookups has no optimizer.
            TrainingDivergedError: too many batches in a row were not finite.
        """
        _check_arguments(dataset_sink_mode, sink_size)
        step = self._online_step(train_dataset)
        cb_params = self._online_parameters(train_dataset, callbacks, step)
        context = RunContext(cb_params)

        def stop() -> None:
            context.request_stop()
            if hasattr(train_dataset, "stop"):
                train_dataset.stop()

        check_stamps(self._lookups)
        try:
            with StopSignals(stop), _CallbackManager(cb_params.list_callback) as callback:
                if dataset_sink_mode and ms.get_context("device_target") == "CPU":
                    logger.info("dataset_sink_mode: the CPU has no device queue, batches are fed directly")
                callback.on_train_begin(context)
                callback.on_train_epoch_begin(context)
                step.set_train(True)
                self._run_steps(train_dataset, step, callback, context)
                cb_params.batch_num = max(cb_params.cur_step_num, 1)  # an endless epoch is as long as it was
                callback.on_train_epoch_end(context)
                callback.on_train_end(context)
        finally:
            refresh_stamps(self._lookups)
        if getattr(train_dataset, "error", None) is not None:
            raise train_dataset.error

    def _run_steps(self, dataset: Any, step: nn.Cell, callback: Any, context: RunContext) -> None:
        cb_params = context.original_args()
        rounds = Rounds(_with_infos(dataset), self.exchange, context.get_stop_requested)

        def fetch_next() -> None:
            if rounds.look_ahead(getattr(dataset, "ready", True)):
                step.fetch(*(rounds.ahead[0] if rounds.ahead is not None else dataset.empty_batch()))

        for given in rounds:
            batch, info = given if given is not None else (dataset.empty_batch(), None)
            cb_params.train_dataset_element = batch
            cb_params.batch_info = info
            callback.on_train_step_begin(context)
            seen = seen_by_all(self.exchange, _seen(info))
            if isinstance(step, TrainStep):
                seconds = seen.event_time / 1000 if seen.event_time >= 0 else self._clock()
                if self._ends_days:
                    end_days(self._lookups, seconds)
                step.at(seconds)
                if self._staleness and self.exchange.size > 1:
                    step.meanwhile(fetch_next)
            outputs = step(*batch)
            result = getattr(step, "result", None)
            if result is not None and result.skipped:
                self.progress.skip(result.rows, seen, info)
                self._guard.skipped(result.skipped, result.rows, self.progress.step, self.progress.position)
            else:
                self._guard.passed()
                self.progress.advance(result.rows if result is not None else int(batch[0].shape[0]), seen, info)
                cb_params.cur_step_num = self.progress.step
                cb_params.net_outputs = outputs
                cb_params.step_result = result
                callback.on_train_step_end(context)
        # Of a stream that was not read to its end there are batches before it that nobody trained.
        info = getattr(dataset, "final_info", None) if rounds.exhausted else None
        self.progress.finish(seen_by_all(self.exchange, _seen(info)), info)

    def _online_step(self, dataset: Any) -> nn.Cell:
        """Return our step, or the framework's for mixed precision and for networks that train themselves."""
        step = self._train_network
        if not self._lookups and self._optimizer is not None and not self._stock_options:
            step = self._own_step()
        if self.exchange.size > 1 and not isinstance(step, TrainStep):
            raise ValueError("more than one rank: expected a network whose optimizer and loss the model knows")
        _expect_rows(step, dataset)
        return step

    def _online_parameters(self, dataset: Any, callbacks: Any, step: nn.Cell) -> _InternalCallbackParam:
        cb_params = _InternalCallbackParam()
        cb_params.mode = "train"
        cb_params.train_network = step
        cb_params.network = self._network
        cb_params.loss_fn = self._row_loss
        cb_params.optimizer = self._optimizer
        cb_params.parallel_mode = self._parallel_mode
        cb_params.device_number = self._device_number
        cb_params.train_dataset = dataset
        cb_params.epoch_num = 1
        cb_params.cur_epoch_num = 1
        cb_params.batch_num = dataset.get_dataset_size()
        cb_params.cur_step_num = self.progress.step
        cb_params.dataset_sink_mode = False
        cb_params.last_save_ckpt_step = None
        cb_params.latest_ckpt_file = None
        cb_params.net_outputs = None
        cb_params.progress = self.progress
        given = self._transform_callbacks(callbacks)
        cb_params.list_callback = TableSidecars.around(given, self._lookups)
        return cb_params

    def _train(self, epoch: int, train_dataset: Any, *args: Any, **kwargs: Any) -> None:
        check_stamps(self._lookups)
        _expect_rows(self._train_network, train_dataset)
        if "callbacks" in kwargs:
            kwargs["callbacks"] = TableSidecars.around(self._transform_callbacks(kwargs["callbacks"]), self._lookups)
        try:
            super()._train(epoch, train_dataset, *args, **kwargs)
        finally:
            refresh_stamps(self._lookups)

    def eval(self, valid_dataset: Any, callbacks: Any = None, dataset_sink_mode: bool = False) -> Any:
        """See `mindspore.Model.eval`; no table is touched."""
        check_stamps(self._lookups)
        return super().eval(valid_dataset, callbacks, dataset_sink_mode and not self._lookups)

    def predict(self, *predict_data: Any, backend: Optional[str] = None, config: Any = None) -> Any:
        """See `mindspore.Model.predict`; any number of rows, no table is touched."""
        check_stamps(self._lookups)
        return super().predict(*predict_data, backend=backend, config=config)

    def _build_train_network(self) -> nn.Cell:
        if not self._lookups:
            return super()._build_train_network()
        if self._optimizer is None:
            raise ValueError("optimizer is None: a network with HashEmbeddingLookup needs one for its dense parameters")
        return self._own_step()

    def _own_step(self) -> TrainStep:
        given = self._row_loss, self._optimizer, self.exchange, self.owners, self._exact_rows
        return TrainStep(self._network, *given, watch=self._watch)

    def _build_predict_network(self) -> None:
        self._predict_network = PredictStep(self._network) if self._lookups else self._network


def _with_infos(dataset: Any) -> Iterator[Tuple[Tuple[Any, ...], Any]]:
    """Batches with what the data set knows of each: it is asked once for each, also for those nobody trains."""
    for batch in dataset.create_tuple_iterator(num_epochs=1, do_copy=False):
        yield batch, dataset.next_info() if hasattr(dataset, "next_info") else None


def _seen(info: Any) -> Seen:
    """What a BatchInfo says; nothing where there is none."""
    return Seen() if info is None else Seen(getattr(info, "event_time_max", -1), info.rejected)


def _expect_rows(step: nn.Cell, dataset: Any) -> None:
    """A short batch is padded to the data set's batch size, so that the graph is compiled once."""
    rows = getattr(dataset, "batch_size", None)
    if isinstance(step, TrainStep) and isinstance(rows, int):  # the framework's may be a function, or -1
        step.expect_rows(max(rows, 0))


def _check_arguments(dataset_sink_mode: object, sink_size: object) -> None:
    if not isinstance(dataset_sink_mode, bool):
        raise TypeError(f"The input value must be a bool, but got {type(dataset_sink_mode).__name__}.")
    if not isinstance(sink_size, int) or isinstance(sink_size, bool) or sink_size < 1:
        kind = type(sink_size).__name__
        raise ValueError(f"The input value must be int and must > 0, but got '{sink_size}' with type '{kind}'.")
    if sink_size != 1:
        raise ValueError(f"The sink_size parameter only support value of 1, but got: {sink_size}")
    if ms.get_context("mode") != ms.GRAPH_MODE:
        raise ValueError("online_train works in GRAPH_MODE only: call mindspore.set_context(mode=mindspore.GRAPH_MODE)")
