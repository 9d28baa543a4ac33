"""Training, evaluation and prediction of one batch: gather on the host, compute in the graph, update on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from mindspore_rec.distributed.dense_sum import combine
from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.train.blocks import BatchBlocks
from mindspore_rec.train.graph_thread import GraphThread
from mindspore_rec.train.hoist import LookupCall, lookup_cells, trace_lookups
from mindspore_rec.train.losses import by_row
from mindspore_rec.train.sharded_blocks import ShardedBlocks


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
    """What the graph gave for this rank's rows: mean loss, outputs, gradients of rows and of dense parameters."""

    loss: float
    outputs: np.ndarray
    row_grads: List[np.ndarray]
    dense_grads: List[Tensor]


# A tuple given to a compiled cell counts as a constant and compiles it anew at every call: tensors go in one by one.


class _Loss(nn.Cell):
    """Masked mean loss and logits; the network's own output where it brings its loss."""

    def __init__(self, network: nn.Cell, loss_fn: Optional[nn.Cell]) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.loss_fn = loss_fn
        self.row_loss = by_row(loss_fn)

    def construct(self, label: Tensor, mask: Tensor, *inputs: Tensor) -> Tuple[Tensor, Tensor]:
        logits = self.network(*inputs)
        if self.loss_fn is None:
            return logits, logits
        if self.row_loss is None:
            return self.loss_fn(logits, label), logits
        return (self.row_loss.by_row(logits, label) * mask).sum() / mask.sum(), logits


class _Gradients(nn.Cell):
    """Loss, logits and the gradient of each given parameter, by one forward and backward pass."""

    def __init__(self, loss: _Loss, weights: Sequence[Parameter]) -> None:
        super().__init__(auto_prefix=False)
        self.loss = loss
        self.gradient = ops.value_and_grad(self.loss, None, ParameterTuple(weights), has_aux=True)

    def construct(self, label: Tensor, mask: Tensor, *inputs: Tensor) -> Tuple[Any, ...]:
        (loss, logits), grads = self.gradient(label, mask, *inputs)
        return loss, logits, grads


class _ApplyDense(nn.Cell):
    def __init__(self, optimizer: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer

    def construct(self, *grads: Tensor) -> Any:
        return self.optimizer(grads)


class HostStep(nn.Cell):
    """What the three steps share: lookups found once, one compiled graph per batch capacity."""

    def __init__(self, network: nn.Cell, exchange: Optional[Exchange] = None, owners: Sequence[int] = ()) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        _hide(self, "exchange", exchange or Alone())
        _hide(self, "owners", owners or range(self.exchange.size))
        _hide(self, "has_lookups", bool(lookup_cells(network)))
        _hide(self, "_calls", None)
        _hide(self, "_graphs", {})

    def blocks(self, inputs: Sequence[np.ndarray], capacity: int) -> Tuple[Any, BatchBlocks]:
        """Return the compiled graph of this capacity and its blocks; `inputs` are padded to it."""
        if capacity not in self._graphs:
            if self._calls is None:
                calls: List[LookupCall] = trace_lookups(self.network, inputs) if self.has_lookups else []
                _hide(self, "_calls", calls)
            if self.exchange.size > 1:
                blocks: BatchBlocks = ShardedBlocks(self._calls, capacity, self.exchange, self.owners)
            else:
                blocks = BatchBlocks(self._calls, capacity)
            self._graphs[capacity] = (GraphThread(self.graph(blocks)), blocks)
        graph, blocks = self._graphs[capacity]
        blocks.attach()
        return graph, blocks

    def graph(self, blocks: BatchBlocks) -> nn.Cell:
        """Return the cell to compile for these blocks."""
        raise NotImplementedError


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
    ) -> None:
        super().__init__(network, exchange, owners)
        self.loss = _Loss(network, loss_fn)
        self.optimizer = optimizer
        _hide(self, "batch_size", 0)
        _hide(self, "result", None)
        _hide(self, "seconds", None)
        _hide(self, "_apply_dense", GraphThread(_ApplyDense(optimizer)))
        _hide(self, "_dense", list(optimizer.parameters))

    def at(self, seconds: Optional[float]) -> None:
        """Say when the next batches are, in seconds since 1970; None: when they are trained."""
        _hide(self, "seconds", seconds)

    def expect_rows(self, batch_size: int) -> None:
        """Compile for this many rows from the start, even if the first batch is shorter."""
        _hide(self, "batch_size", batch_size)

    def graph(self, blocks: BatchBlocks) -> nn.Cell:
        """Return loss, logits and gradients of rows and dense parameters."""
        return _Gradients(self.loss, [*blocks.row_parameters, *self._dense])

    def __call__(self, *batch: Any) -> Tensor:
        """Train one batch; the last column is the label where there is a loss function."""
        arrays = [_array(column) for column in batch]
        rows = arrays[0].shape[0]
        labelled = self.loss.loss_fn is not None
        capacity = max(rows, self.batch_size) if self.has_lookups and self.loss.row_loss is not None else rows
        padded = [_pad(array, capacity) for array in arrays]
        inputs = padded[:-1] if labelled else padded
        mask = np.zeros((capacity, 1), np.float32)
        mask[:rows] = 1.0
        graph, blocks = self.blocks(inputs, capacity)
        prepared = blocks.fill(inputs, rows, create=True)
        label = padded[-1] if labelled else mask
        found = self._compute(graph, len(blocks.row_parameters), [label, mask, *inputs], rows)
        sums, usable = blocks.sum_gradients(prepared, found.row_grads, rows)
        loss, all_rows, grads = found.loss, rows, found.dense_grads
        if self.exchange.size > 1:
            all_rows, loss, usable, means = combine(self.exchange, rows, loss, usable, [g.asnumpy() for g in grads])
            grads = [_tensor(mean) for mean in means]
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
        _hide(self, "result", StepResult(loss, outputs, labels, all_rows, skipped))
        return Tensor(np.float32(loss))

    def _compute(self, graph: Any, tables: int, inputs: Sequence[np.ndarray], rows: int) -> _Found:
        """Run the graph; a rank without rows has nothing to compute."""
        if not rows:
            dense = [_tensor(np.zeros(parameter.shape, np.float32)) for parameter in self._dense]
            none = [np.zeros((0, 1), np.float32)] * tables
            return _Found(0.0, np.zeros((0, *inputs[0].shape[1:]), np.float32), none, dense)
        loss, logits, grads = graph(*[_tensor(array) for array in inputs])
        row_grads = [grad.asnumpy() for grad in grads[:tables]]
        return _Found(
            float(loss.asnumpy()),
            logits.asnumpy()[:rows] if logits.ndim else logits.asnumpy(),
            row_grads,
            list(grads[tables:]),
        )


class EvalStep(HostStep):
    """`step(*inputs, label)` returns loss, outputs and labels; no table is touched."""

    def __init__(self, network: nn.Cell, loss_fn: nn.Cell) -> None:
        super().__init__(network)
        self.loss = _Loss(network, loss_fn)

    def graph(self, blocks: BatchBlocks) -> nn.Cell:
        """Return loss and logits."""
        return self.loss

    def __call__(self, *batch: Any) -> Tuple[Tensor, Tensor, Tensor]:
        """Evaluate one batch."""
        arrays = [_array(column) for column in batch]
        rows = arrays[0].shape[0]
        capacity = _bucket(rows) if self.has_lookups and self.loss.row_loss is not None else rows
        padded = [_pad(array, capacity) for array in arrays]
        mask = np.zeros((capacity, 1), np.float32)
        mask[:rows] = 1.0
        graph, blocks = self.blocks(padded[:-1], capacity)
        blocks.fill(padded[:-1], rows, create=False)
        loss, logits = graph(_tensor(padded[-1]), _tensor(mask), *[_tensor(array) for array in padded[:-1]])
        return loss, logits[:rows], _tensor(arrays[-1])


class PredictStep(HostStep):
    """`step(*inputs)` returns the output of the network; no table is touched."""

    def graph(self, blocks: BatchBlocks) -> nn.Cell:
        """Return the outputs of the network."""
        return _Predict(self.network)

    def __call__(self, *inputs: Any) -> Any:
        """Predict one batch of any size."""
        arrays = [_array(column) for column in inputs]
        rows = arrays[0].shape[0]
        capacity = _bucket(rows)
        padded = [_pad(array, capacity) for array in arrays]
        graph, blocks = self.blocks(padded, capacity)
        blocks.fill(padded, rows, create=False)
        outputs = graph(*[_tensor(array) for array in padded])
        return _first_rows(outputs, rows, capacity)


class _Predict(nn.Cell):
    def __init__(self, network: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, *inputs: Tensor) -> Any:
        return self.network(*inputs)


def _hide(cell: nn.Cell, name: str, value: object) -> None:
    """Set an attribute past Cell.__setattr__, so that parameters in it are not listed as the cell's own."""
    object.__setattr__(cell, name, value)


def _array(column: Any) -> np.ndarray:
    return column.asnumpy() if isinstance(column, Tensor) else np.asarray(column)


def _tensor(array: np.ndarray) -> Tensor:
    return Tensor.from_numpy(np.ascontiguousarray(array))


def _pad(array: np.ndarray, rows: int) -> np.ndarray:
    if array.shape[0] == rows:
        return array
    padded = np.zeros((rows, *array.shape[1:]), array.dtype)
    padded[: array.shape[0]] = array
    return padded


def _bucket(rows: int) -> int:
    """Next power of two: few compiled shapes for requests of any size."""
    return 1 << max(rows - 1, 0).bit_length()


def _usable(grad: np.ndarray) -> bool:
    """Whether a dense gradient is finite and its squares are too."""
    flat = grad.reshape(-1)
    return bool(np.isfinite(np.dot(flat, flat)))


def _first_rows(outputs: Any, rows: int, capacity: int) -> Any:
    if isinstance(outputs, (tuple, list)):
        return type(outputs)(_first_rows(output, rows, capacity) for output in outputs)
    if isinstance(outputs, Tensor) and outputs.ndim and outputs.shape[0] == capacity:
        return outputs[:rows]
    return outputs
