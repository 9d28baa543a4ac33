"""`HashEmbeddingLookup`: the cell a network uses where its rows live in a host table."""

from __future__ import annotations

import sys
from numbers import Real
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.common import initializer

from mindspore_rec.embedding.admission import LARGEST_COUNT, Admission, Always, ByField, MinCount
from mindspore_rec.embedding.bags import POOLINGS
from mindspore_rec.embedding.delta_score import DeltaScore
from mindspore_rec.embedding.eviction import Eviction, Unseen
from mindspore_rec.embedding.id_values import field_factors
from mindspore_rec.embedding.initial import Constant, Initial, Normal, Uniform
from mindspore_rec.embedding.optimizers import Adagrad
from mindspore_rec.embedding.row_store import SparseOptimizer
from mindspore_rec.embedding.table import HashTable


class HashEmbeddingLookup(nn.Cell):
    """Embeddings of any 64-bit ids, kept in a growing hash table in host memory.

    A network calls it inside `construct` on an ids input, or on constant columns of one; `RecModel` gathers the rows
    before the graph runs and applies their gradients after it. The table brings its own sparse optimizer, so its rows
    are no parameters of the network and are not given to the dense optimizer. The first arguments are those of
    mindspore_rec 0.3.

    Args:
        embedding_size: values of a row.
        key_dtype: type of the ids, int64 or int32.
        param_init: first values of a row, a function of (seed, id) alone: a number, or Normal, Uniform, Constant, Zero
            or One of `mindspore.common.initializer`, or the name of one.
        max_norm: rows of a larger Euclidean norm are scaled down to it where they are read; None: never.
        sparse: there is no dense table: only True.
        permit_filter_value: an id gets its row at its n-th occurrence; until then it reads as zeros.
        evict_filter_value: an id not seen in training for so many steps loses its row.
        name: name of the table in checkpoints, unique in a network; default: the name of the attribute it is set to.
        optimizer: sparse optimizer, see `mindspore_rec.embedding.optimizers`. Default: Adagrad.
        seed: seed of the initial values.
        row_type: "float32", "bfloat16" or "float16": how weights are kept, with stochastic rounding.
        padding_id: an id that reads as zeros and is never trained.
        admission: which new ids get a row, instead of permit_filter_value: a rule of
            `mindspore_rec.embedding.admission` for all ids, or one for each column, as in `field_learning_rates`.
        eviction: one or more rules of `mindspore_rec.embedding.eviction`, instead of evict_filter_value.
        max_rows: bound on the rows; 0: none but host memory.
        max_bytes: bound on the memory of the table; 0: none but 80 % of the host's, for all tables together.
        pooling: what becomes of several ids in a place (`Bags`): "sum", "mean" or "max" of their rows.
        field_learning_rates: a factor of the optimizer's learning rate for each column of the ids, 1e-6 to 1e6. Where
            the network calls the lookup several times, for the columns of all calls, one call after another. An id
            under several columns of a batch takes the smallest of their factors. Default: all 1.
        statistics: keep show, click and age of ids also where no rule asks for them.
        delta_score: keep how much the scores of ids grew since an export saved them, for exports of what changed.

    Inputs:
        ids, int64 [batch, fields]. Outputs: float32 [batch, fields, embedding_size].
    """

    def __init__(
        self,
        embedding_size: int,
        key_dtype: Any = mstype.int64,
        param_init: Any = "normal",
        max_norm: Optional[float] = None,
        sparse: bool = True,
        permit_filter_value: int = 1,
        evict_filter_value: int = sys.maxsize,
        *,
        name: str = "",
        optimizer: Optional[SparseOptimizer] = None,
        seed: int = 0,
        row_type: str = "float32",
        padding_id: Optional[int] = None,
        admission: Union[Admission, Sequence[Admission], None] = None,
        eviction: Union[Eviction, Sequence[Eviction]] = (),
        max_rows: int = 0,
        max_bytes: int = 0,
        pooling: str = "sum",
        field_learning_rates: Optional[Sequence[float]] = None,
        statistics: bool = False,
        delta_score: Optional[DeltaScore] = None,
    ) -> None:
        super().__init__()
        _check("embedding_size", embedding_size, _is_whole(embedding_size) and embedding_size >= 1, "a positive int")
        _check("key_dtype", key_dtype, key_dtype in (mstype.int64, mstype.int32), "mindspore.int64 or int32")
        _check("sparse", sparse, sparse is True, "True: rows are in a hash table")
        positive = max_norm is None or (isinstance(max_norm, Real) and 0 < max_norm < np.inf)
        _check("max_norm", max_norm, positive, "a positive number or None")
        _check("pooling", pooling, pooling in POOLINGS, f"one of {', '.join(POOLINGS)}")
        self.embedding_size = embedding_size
        self.max_norm = max_norm
        self.pooling = pooling
        self.table_name = name
        # Rows and steps of the table that belongs to a framework checkpoint; see train/framework_checkpoint.py.
        self.table_stamp = Parameter(Tensor(np.zeros(2, np.int64)), name="table_stamp", requires_grad=False)
        table = HashTable(
            embedding_size,
            optimizer or Adagrad(),
            init=_initial(param_init),
            seed=seed,
            row_type=row_type,
            padding_id=padding_id,
            admission=_admission(permit_filter_value, admission),
            eviction=_eviction(evict_filter_value, eviction),
            max_rows=max_rows,
            max_bytes=max_bytes,
            statistics=statistics,
            delta_score=delta_score,
            name=name,
        )
        # Past Cell.__setattr__: blocks are set anew for each compiled shape and are no parameters of the network.
        object.__setattr__(self, "table", table)
        factors = None if field_learning_rates is None else field_factors(field_learning_rates)
        object.__setattr__(self, "field_factors", factors)
        object.__setattr__(self, "packed", ())
        self.use_blocks((), ())

    def read_packed(self, columns: Tuple[int, ...]) -> None:
        """Have the next compilation take rows for ids: float32 [..., w], of which the table's are columns a to b - 1.

        Args:
            columns: (a, b); none: ids again.
        """
        object.__setattr__(self, "packed", columns)

    def use_blocks(self, rows: Tuple[Parameter, ...], ids: Tuple[Parameter, ...]) -> None:
        """Set what the next compilation reads: one block of rows (and their ids) per lookup of a step."""
        object.__setattr__(self, "row_blocks", rows)
        object.__setattr__(self, "id_blocks", ids)

    def construct(self, ids: Tensor) -> Tensor:
        """Return the rows of `ids`: the one block there is, else the block that was gathered for these ids."""
        if len(self.packed) == 2:
            rows = ids[..., self.packed[0] : self.packed[1]]
        elif len(self.row_blocks) == 0:
            raise RuntimeError("HashEmbeddingLookup works inside a RecModel: train, evaluate or predict through one")
        else:
            rows = self.row_blocks[0] if len(self.row_blocks) == 1 else self._matching(ids)
        if self.max_norm is not None:
            squares = ops.square(rows).sum(axis=-1, keepdims=True) / (self.max_norm * self.max_norm)
            rows = rows * ops.rsqrt(ops.maximum(squares, ops.ones_like(squares)))
        return rows

    def refresh_stamp(self) -> None:
        """Bring `table_stamp` up to date before the network's parameters are saved."""
        self.table_stamp.set_data(Tensor(np.array([len(self.table), self.table.step], np.int64)))

    def _matching(self, ids: Tensor) -> Tensor:
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


def _initial(given: Any) -> Initial:
    """What `param_init` means: as in mindspore, a number is a constant, and a name stands for the defaults of a law."""
    if isinstance(given, Real) and not isinstance(given, bool):
        return Constant(float(given))
    names: Dict[str, Initial] = {"normal": Normal(0.01), "uniform": Uniform(0.07)}
    names.update(zeros=Constant(0.0), ones=Constant(1.0))
    if isinstance(given, str) and given.lower() in names:
        return names[given.lower()]
    if isinstance(given, initializer.Normal):
        return Normal(given.sigma, given.mean)
    if isinstance(given, initializer.Uniform):
        return Uniform(given.scale)
    if isinstance(given, initializer.Constant) and isinstance(given.value, Real):
        return Constant(float(given.value))
    if isinstance(given, (initializer.Zero, initializer.One)):
        return Constant(float(isinstance(given, initializer.One)))
    kinds = "a number, Normal, Uniform, Constant, Zero or One of mindspore.common.initializer"
    raise ValueError(f"param_init = {given!r}: expected {kinds}, or one of {', '.join(names)}")


def _admission(count: int, rules: Union[Admission, Sequence[Admission], None]) -> Union[Admission, ByField]:
    whole = _is_whole(count) and 1 <= count <= LARGEST_COUNT
    _check("permit_filter_value", count, whole, f"an int from 1 to {LARGEST_COUNT}")
    if rules is None:
        return MinCount(count) if count > 1 else Always()
    _check("permit_filter_value", count, count == 1, "1 where admission is given")
    return ByField(tuple(rules)) if isinstance(rules, Sequence) else rules


def _eviction(steps: int, rules: Union[Eviction, Sequence[Eviction]]) -> Tuple[Eviction, ...]:
    _check("evict_filter_value", steps, _is_whole(steps) and steps >= 1, "a positive int")
    chosen = tuple(rules) if isinstance(rules, Sequence) else (rules,)  # frozen rules are no sequences
    if steps >= sys.maxsize:
        return chosen
    _check("evict_filter_value", steps, not chosen, "none where eviction is given")
    return (Unseen(steps=steps),)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(name: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise ValueError(f"{name} = {value!r}: expected {expected}")
