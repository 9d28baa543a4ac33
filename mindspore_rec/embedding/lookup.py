"""`HashEmbeddingLookup`: the cell a network uses where its rows live in a host table."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from mindspore_rec.embedding.field_rates import field_factors
from mindspore_rec.embedding.optimizers import Adagrad
from mindspore_rec.embedding.table import HashTable, SparseOptimizer


class HashEmbeddingLookup(nn.Cell):
    """Embeddings of any 64-bit ids, kept in a growing hash table in host memory.

    A network calls it inside `construct` on an ids input, or on constant columns of one; `RecModel` gathers the rows
    before the graph runs and applies their gradients after it. The table brings its own sparse optimizer, so its rows
    are no parameters of the network and are not given to the dense optimizer.

    Args:
        embedding_size: values of a row.
        name: name of the table in checkpoints, unique in a network; default: the name of the attribute it is set to.
        optimizer: sparse optimizer, see `mindspore_rec.embedding.optimizers`. Default: Adagrad.
        init: new rows are uniform in [-init, init), a function of (seed, id) alone.
        seed: seed of the initial values.
        max_rows: bound on the rows; default: what 80 % of host memory holds.
        field_learning_rates: a factor of the optimizer's learning rate for each column of the ids, 1e-6 to 1e6. Where
            the network calls the lookup several times, for the columns of all calls, one call after another. An id
            under several columns of a batch takes the smallest of their factors. Default: all 1.

    Inputs:
        ids, int64 [batch, fields]. Outputs: float32 [batch, fields, embedding_size].
    """

    def __init__(
        self,
        embedding_size: int,
        *,
        name: str = "",
        optimizer: Optional[SparseOptimizer] = None,
        init: float = 0.01,
        seed: int = 0,
        max_rows: int = 0,
        field_learning_rates: Optional[Sequence[float]] = None,
    ) -> None:
        super().__init__()
        if not isinstance(embedding_size, int) or isinstance(embedding_size, bool) or embedding_size < 1:
            raise ValueError(f"embedding_size must be a positive int, got {embedding_size!r}")
        self.embedding_size = embedding_size
        self.table_name = name
        # What a framework checkpoint says of the table it belongs to: rows and steps (see checkpoint/framework.py).
        self.table_stamp = Parameter(Tensor(np.zeros(2, np.int64)), name="table_stamp", requires_grad=False)
        # Past Cell.__setattr__: blocks are set anew for each compiled shape and are no parameters of the network.
        table = HashTable(embedding_size, optimizer or Adagrad(), init=init, seed=seed, max_rows=max_rows)
        object.__setattr__(self, "table", table)
        factors = None if field_learning_rates is None else field_factors(field_learning_rates)
        object.__setattr__(self, "field_factors", factors)
        self.use_blocks((), ())

    def use_blocks(self, rows: Tuple[Parameter, ...], ids: Tuple[Parameter, ...]) -> None:
        """Set what the next compilation reads: one block of rows (and their ids) per lookup of a step."""
        object.__setattr__(self, "row_blocks", rows)
        object.__setattr__(self, "id_blocks", ids)

    def construct(self, ids: Tensor) -> Tensor:
        """Return the rows of `ids`: the one block there is, else the block that was gathered for these ids."""
        if len(self.row_blocks) == 0:
            raise RuntimeError("HashEmbeddingLookup works inside a RecModel: train, evaluate or predict through one")
        if len(self.row_blocks) == 1:
            return self.row_blocks[0]
        # Several lookups of one table share this code, so the ids tell the blocks apart. Where two blocks hold the
        # same id at a position their rows are equal, and the mean of them is that row, its gradient shared.
        matches = ops.zeros(ids.shape, mstype.float32)
        rows = ops.zeros((*ids.shape, self.embedding_size), mstype.float32)
        for k in range(len(self.row_blocks)):
            if self.id_blocks[k].shape == ids.shape:
                match = ops.cast(ops.equal(ids, self.id_blocks[k]), mstype.float32)
                matches = matches + match
                rows = rows + ops.expand_dims(match, -1) * self.row_blocks[k]
        return rows / ops.expand_dims(matches, -1)

    def refresh_stamp(self) -> None:
        """Bring `table_stamp` up to date before the network's parameters are saved."""
        self.table_stamp.set_data(Tensor(np.array([len(self.table), self.table.step], np.int64)))
