"""What training, evaluation and prediction of a batch share: lookups found once, and a compiled graph by capacity."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from mindspore import Tensor, nn

from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.train.blocks import BatchBlocks
from mindspore_rec.train.graph_thread import GraphThread
from mindspore_rec.train.hoist import Input, LookupCall, graph_array, lookup_cells, trace_lookups
from mindspore_rec.train.losses import by_row
from mindspore_rec.train.sharded_blocks import ShardedBlocks

# A tuple given to a compiled cell counts as a constant and compiles it anew at every call: tensors go in one by one.


class GraphCell(nn.Cell):
    """A cell around a network, compiled for a step.

    MindSpore 2.10 never frees a compiled cell that calls another one with ``*inputs``: a step that goes has its cells
    let go of the network, whose tables stayed in memory else.
    """

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)

    def release(self) -> None:
        """Let go of all cells within; it cannot be called any more."""
        for name, cell in list(self._cells.items()):
            if isinstance(cell, GraphCell):
                cell.release()
            delattr(self, name)


class MaskedLoss(GraphCell):
    """Masked mean loss and logits; the network's own output where it brings its loss."""

    def __init__(self, network: nn.Cell, loss_fn: Optional[nn.Cell]) -> None:
        super().__init__()
        self.network = network
        self.loss_fn = loss_fn
        self.row_loss = by_row(loss_fn)

    def construct(self, label: Tensor, mask: Tensor, *inputs: Tensor) -> Tuple[Tensor, ...]:
        logits = self.network(*inputs)
        return self.of_logits(logits, label, mask), logits

    def of_logits(self, logits: Tensor, label: Tensor, mask: Tensor) -> Tensor:
        """Return the loss."""
        if self.loss_fn is None:
            return logits
        if self.row_loss is None:
            return self.loss_fn(logits, label)
        return (self.row_loss.by_row(logits, label) * mask).sum() / mask.sum()


class HostStep(nn.Cell):
    """What the three steps share: lookups found once, one compiled graph per batch capacity."""

    def __init__(self, network: nn.Cell, exchange: Optional[Exchange] = None, owners: Sequence[int] = ()) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        hide(self, "exchange", exchange or Alone())
        hide(self, "owners", owners or range(self.exchange.size))
        hide(self, "exact_rows", 0)
        hide(self, "has_lookups", bool(lookup_cells(network)))
        hide(self, "_calls", None)
        hide(self, "_graphs", {})

    def __del__(self) -> None:
        for run, _ in self.__dict__.get("_graphs", {}).values():
            run.cell.release()
        super().__del__()

    def blocks(self, inputs: Sequence[Input], capacity: int) -> Tuple[Any, BatchBlocks]:
        """Return the compiled graph of this capacity and its blocks; `inputs` are padded to it."""
        if capacity not in self._graphs:
            if self._calls is None:
                calls: List[LookupCall] = trace_lookups(self.network, inputs) if self.has_lookups else []
                hide(self, "_calls", calls)
            if self.exchange.size > 1:
                blocks: BatchBlocks = ShardedBlocks(
                    self._calls, capacity, self.exact_rows > 0, self.exchange, self.owners
                )
            else:
                blocks = BatchBlocks(self._calls, capacity, self.exact_rows > 0)
            self._graphs[capacity] = (GraphThread(self.graph(blocks)), blocks)
        graph, blocks = self._graphs[capacity]
        blocks.attach()
        return graph, blocks

    def graph(self, blocks: BatchBlocks) -> GraphCell:
        """Return the cell to compile for these blocks."""
        raise NotImplementedError


def hide(cell: nn.Cell, name: str, value: object) -> None:
    """Set an attribute past Cell.__setattr__, so that parameters in it are not listed as the cell's own."""
    object.__setattr__(cell, name, value)


def array_of(column: Any) -> Any:
    """Return the array of a column of a batch; bags as they are."""
    if isinstance(column, Bags):
        return column
    return column.asnumpy() if isinstance(column, Tensor) else np.asarray(column)


def tensor_of(array: Input) -> Tensor:
    """Return what the graph is given of a column."""
    return Tensor.from_numpy(np.ascontiguousarray(graph_array(array)))


def pad(array: Any, rows: int) -> Any:
    """Return a column with zeros, or empty bags, behind it for so many rows."""
    if isinstance(array, Bags):
        return array.padded(rows)
    if array.shape[0] == rows:
        return array
    padded = np.zeros((rows, *array.shape[1:]), array.dtype)
    padded[: array.shape[0]] = array
    return padded
