"""Evaluation and prediction of one batch; no table is touched."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import numpy as np
from mindspore import Tensor, nn

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.train.blocks import BatchBlocks
from mindspore_rec.train.host_step import GraphCell, HostStep, MaskedLoss, array_of, hide, pad, tensor_of


class EvalStep(HostStep):
    """`step(*inputs, label)` returns loss, outputs and labels; no table is touched."""

    def __init__(self, network: nn.Cell, loss_fn: nn.Cell) -> None:
        super().__init__(network)
        self.loss = MaskedLoss(network, loss_fn)

    def graph(self, blocks: BatchBlocks) -> GraphCell:
        """Return loss and logits."""
        return self.loss

    def __call__(self, *batch: Any) -> Tuple[Tensor, Tensor, Tensor]:
        """Evaluate one batch."""
        arrays = [array_of(column) for column in batch]
        rows = arrays[0].shape[0]
        capacity = _bucket(rows) if self.has_lookups and self.loss.row_loss is not None else rows
        padded = [pad(array, capacity) for array in arrays]
        mask = np.zeros((capacity, 1), np.float32)
        mask[:rows] = 1.0
        graph, blocks = self.blocks(padded[:-1], capacity)
        blocks.fill(padded[:-1], rows, create=False)
        loss, logits = graph(tensor_of(padded[-1]), tensor_of(mask), *[tensor_of(array) for array in padded[:-1]])
        return loss, logits[:rows], tensor_of(arrays[-1])


class PredictStep(HostStep):
    """`step(*inputs)` returns the output of the network; no table is touched.

    Collective where there are several ranks; each then gives batches of at most `rows` rows, or of none.

    Args:
        network: the network.
        exchange, owners: as of `RecModel`.
        rows: in a batch; 0: any number.
    """

    def __init__(
        self, network: nn.Cell, exchange: Optional[Exchange] = None, owners: Sequence[int] = (), rows: int = 0
    ) -> None:
        super().__init__(network, exchange, owners)
        hide(self, "_rows", rows)

    def graph(self, blocks: BatchBlocks) -> GraphCell:
        """Return the outputs of the network."""
        return _Predict(self.network)

    def __call__(self, *inputs: Any) -> Any:
        """Predict one batch of any size."""
        arrays = [array_of(column) for column in inputs]
        rows = arrays[0].shape[0]
        capacity = self._rows or _bucket(rows)
        padded = [pad(array, capacity) for array in arrays]
        graph, blocks = self.blocks(padded, capacity)
        blocks.fill(padded, rows, create=False)
        outputs = graph(*[tensor_of(array) for array in padded])
        return _first_rows(outputs, rows, capacity)


class _Predict(GraphCell):
    def __init__(self, network: nn.Cell) -> None:
        super().__init__()
        self.network = network

    def construct(self, *inputs: Tensor) -> Any:
        return self.network(*inputs)


def _bucket(rows: int) -> int:
    """Next power of two: few compiled shapes for requests of any size."""
    return 1 << max(rows - 1, 0).bit_length()


def _first_rows(outputs: Any, rows: int, capacity: int) -> Any:
    if isinstance(outputs, (tuple, list)):
        return type(outputs)(_first_rows(output, rows, capacity) for output in outputs)
    if isinstance(outputs, Tensor) and outputs.ndim and outputs.shape[0] == capacity:
        return outputs[:rows]
    return outputs
