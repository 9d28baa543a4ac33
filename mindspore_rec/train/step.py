"""Training of one batch: gather on the host, compute in the graph, update on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from mindspore_rec.distributed.dense_sum import combine
from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.train.blocks import BatchBlocks
from mindspore_rec.train.graph_thread import GraphThread, nothing
from mindspore_rec.train.hoist import graph_array
from mindspore_rec.train.host_step import GraphCell, HostStep, MaskedLoss, array_of, hide, pad, tensor_of
from mindspore_rec.train.sharded_blocks import ShardedBlocks
from mindspore_rec.train.variables_step import Watch, WatchedLoss


@dataclass(frozen=True)
class StepResult:
    """What one training step did.

    Attributes:
        loss: mean loss over the real rows, before the update.
        logits: float32[rows, ...] output of the network before the update, None where the network returns its loss.
        labels: the labels of these rows, None likewise.
        rows: real rows of the batch.
        skipped: why nothing was updated; empty where the step was made.
    """

    loss: float
    logits: Optional[np.ndarray]
    labels: Optional[np.ndarray]
    rows: int
    skipped: str = ""


@dataclass(frozen=True)
class _Found:
    """What the graph gave for this rank's rows.

    Attributes:
        loss: mean.
        outputs: by row.
        row_grads: gradients of embedding rows; times `scale` they are those of the summed loss.
        dense_grads: gradients of dense parameters, of the mean loss.
        dense_sums: of the summed loss in float64, where rows were computed block by block.
        watched: variables that somebody looks at.
    """

    loss: float
    outputs: np.ndarray
    row_grads: List[np.ndarray]
    scale: float
    dense_grads: List[Tensor]
    dense_sums: Sequence[np.ndarray] = ()
    watched: Sequence[np.ndarray] = ()


class _Gradients(GraphCell):
    """What the loss returns, and the gradient of each given parameter, by one forward and backward pass."""

    def __init__(self, loss: MaskedLoss, weights: Sequence[Parameter]) -> None:
        super().__init__()
        self.loss = loss
        self.gradient = ops.value_and_grad(self.loss, None, ParameterTuple(weights), has_aux=True)

    def construct(self, label: Tensor, mask: Tensor, *inputs: Tensor) -> Tuple[Any, ...]:
        return self.gradient(label, mask, *inputs)


class _ApplyDense(nn.Cell):
    def __init__(self, optimizer: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer

    def construct(self, *grads: Tensor) -> Any:
        return self.optimizer(grads)


class TrainStep(HostStep):
    """One step: `step(*inputs, label)` returns the loss; `result` tells the rest.

    Nothing is updated, in no table and no parameter, where the loss or any gradient is not finite.
    """

    def __init__(
        self,
        network: nn.Cell,
        loss_fn: Optional[nn.Cell],
        optimizer: nn.Cell,
        exchange: Optional[Exchange] = None,
        owners: Sequence[int] = (),
        exact_rows: int = 0,
        watch: Optional[Watch] = None,
    ) -> None:
        super().__init__(network, exchange, owners)
        hide(self, "exact_rows", exact_rows)
        hide(self, "watch", watch)
        self.loss = MaskedLoss(network, loss_fn) if watch is None else WatchedLoss(network, loss_fn, watch.names)
        if exact_rows and not (self.has_lookups and self.loss.row_loss is not None):
            raise ValueError(f"exact_rows = {exact_rows}: expected 0 where there is no lookup, or no loss by row")
        self.optimizer = optimizer
        hide(self, "batch_size", 0)
        hide(self, "result", None)
        hide(self, "seconds", None)
        hide(self, "_meanwhile", None)
        hide(self, "_fetched", None)
        hide(self, "_apply_dense", GraphThread(_ApplyDense(optimizer)))
        hide(self, "_dense", list(optimizer.parameters))

    def at(self, seconds: Optional[float]) -> None:
        """Say when the next batches are, in seconds since 1970; None: when they are trained."""
        hide(self, "seconds", seconds)

    def expect_rows(self, batch_size: int) -> None:
        """Compile for this many rows from the start, even if the first batch is shorter."""
        hide(self, "batch_size", batch_size)

    def graph(self, blocks: BatchBlocks) -> GraphCell:
        """Return loss, logits and gradients of rows and dense parameters."""
        return _Gradients(self.loss, [*blocks.row_parameters, *self._dense])

    def __call__(self, *batch: Any) -> Tensor:
        """Train one batch; the last column is the label where there is a loss function."""
        arrays = [array_of(column) for column in batch]
        rows = arrays[0].shape[0]
        labelled = self.loss.loss_fn is not None
        padded, capacity = self._padded(arrays)
        inputs = padded[:-1] if labelled else padded
        mask = np.zeros((capacity, 1), np.float32)
        mask[:rows] = 1.0
        graph, blocks = self.blocks(inputs, capacity)
        fetched = self._take("_fetched")
        if fetched is not None and isinstance(blocks, ShardedBlocks):
            prepared = blocks.fill_fetched(inputs, rows, fetched)
        else:
            prepared = blocks.fill(inputs, rows, create=True)
        given = [padded[-1] if labelled else mask, mask, *[graph_array(column) for column in inputs]]
        if self.exact_rows:
            found = self._compute_by_blocks(blocks, given, rows)
        else:
            found = self._compute(graph, len(blocks.row_parameters), given, rows)
        if self.watch is not None and rows:
            self.watch.tell(list(found.watched))
        sums, usable = blocks.sum_gradients(prepared, found.row_grads, rows, found.scale)
        loss, all_rows, grads = found.loss, rows, found.dense_grads
        if self.exchange.size > 1 or blocks.exact:
            totals = [grad.asnumpy() * np.float32(rows) for grad in grads] if not blocks.exact else found.dense_sums
            all_rows, loss, usable, means = combine(self.exchange, rows, loss * rows, usable, totals)
            grads = [tensor_of(mean) for mean in means]
        skipped = ""
        if not np.isfinite(loss):
            skipped = f"loss is {loss}"
        elif not usable or not all(_usable(grad.asnumpy()) for grad in grads):
            skipped = "a gradient is not finite"
        elif all_rows:
            self._apply_dense(*grads)
            blocks.apply(prepared, sums, arrays[-1] if labelled else None, self.seconds)
        outputs, labels = (found.outputs, arrays[-1]) if labelled else (None, None)
        if outputs is not None and labels is not None and self.exchange.size > 1:
            outputs, labels = (np.concatenate(self.exchange.gather(part)) for part in (outputs, labels))
        hide(self, "result", StepResult(loss, outputs, labels, all_rows, skipped))
        return Tensor(np.float32(loss))

    def meanwhile(self, fetch: Callable[[], None]) -> None:
        """Have something done beside the computation of the next batch: `fetch` of the one after it, say."""
        hide(self, "_meanwhile", fetch)

    def fetch(self, *batch: Any) -> None:
        """Ask the other ranks for the rows of the next batch before its turn. Collective."""
        padded, capacity = self._padded([array_of(column) for column in batch])
        inputs = padded[:-1] if self.loss.loss_fn is not None else padded
        _, blocks = self.blocks(inputs, capacity)
        if isinstance(blocks, ShardedBlocks):
            hide(self, "_fetched", blocks.fetch(inputs, array_of(batch[0]).shape[0]))

    def _padded(self, arrays: Sequence[np.ndarray]) -> Tuple[List[np.ndarray], int]:
        """The columns of a batch with as many rows as the graph wants, and how many that are."""
        rows = arrays[0].shape[0]
        fixed = self.has_lookups and self.loss.row_loss is not None
        capacity = max(rows, self.batch_size, self.exact_rows) if fixed else rows
        return [pad(array, capacity) for array in arrays], capacity

    def _take(self, name: str) -> Any:
        """Return what an attribute holds, once."""
        held = getattr(self, name)
        hide(self, name, None)
        return held

    def _compute(self, graph: Any, tables: int, inputs: Sequence[np.ndarray], rows: int) -> _Found:
        """Run the graph; a rank without rows has nothing to compute."""
        meanwhile = self._take("_meanwhile") or nothing
        if not rows:
            meanwhile()
            dense = [tensor_of(np.zeros(parameter.shape, np.float32)) for parameter in self._dense]
            none = [np.zeros((0, 1), np.float32)] * tables
            return _Found(0.0, np.zeros((0, *inputs[0].shape[1:]), np.float32), none, 0.0, dense)
        (loss, logits, *watched), grads = graph(*[tensor_of(array) for array in inputs], meanwhile=meanwhile)
        return _Found(
            float(loss.asnumpy()),
            logits.asnumpy()[:rows] if logits.ndim else logits.asnumpy(),
            [grad.asnumpy() for grad in grads[:tables]],
            float(rows),
            list(grads[tables:]),
            watched=[variable.asnumpy()[:rows] for variable in watched],
        )

    def _compute_by_blocks(self, whole: BatchBlocks, inputs: Sequence[np.ndarray], rows: int) -> _Found:
        """Run the graph for blocks of rows in turn; what they give is summed in 64 bits, so that cuts do not show."""
        tables, size = len(whole.row_parameters), self.exact_rows
        dense = [np.zeros(parameter.shape, np.float64) for parameter in self._dense]
        parts: List[_Found] = []
        for begin in range(0, rows, size):
            count = min(size, rows - begin)
            part = [pad(array[begin : begin + size], size) for array in inputs]
            graph, blocks = self.blocks(part[2:], size)
            blocks.copy_rows(whole, begin, count, part[2:])
            found = self._compute(graph, tables, part, count)
            for total, grad in zip(dense, found.dense_grads):
                total += grad.asnumpy().astype(np.float64) * count
            scaled = [grad[:count] * np.float32(count) for grad in found.row_grads]
            parts.append(_Found(found.loss * count, found.outputs, scaled, 1.0, [], watched=found.watched))
        if not parts:
            parts = [_Found(0.0, np.zeros((0, *inputs[0].shape[1:]), np.float32), [np.zeros((0, 1))] * tables, 1.0, [])]
        row_grads = [np.concatenate([part.row_grads[k] for part in parts]) for k in range(tables)]
        loss = sum(part.loss for part in parts) / max(rows, 1)
        watched = [np.concatenate(pieces) for pieces in zip(*[part.watched for part in parts])]
        return _Found(loss, np.concatenate([part.outputs for part in parts]), row_grads, 1.0, [], dense, watched)


def _usable(grad: np.ndarray) -> bool:
    """Whether a dense gradient is finite and its squares are too."""
    flat = grad.reshape(-1)
    return bool(np.isfinite(np.dot(flat, flat)))
