"""Which ids each lookup of a network reads: found by one dry run before anything is compiled."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_rec.embedding.bags import Bags
from mindspore_rec.embedding.lookup import HashEmbeddingLookup

Input = Union[np.ndarray, Bags]


def graph_array(given: Input) -> np.ndarray:
    """What the graph is given of an input of the network."""
    return given.placeholder if isinstance(given, Bags) else given


@dataclass(frozen=True)
class LookupCall:
    """One call of a lookup in a step.

    Attributes:
        cell: the lookup.
        input_index: the network input its ids come from.
        columns: columns of that input (flattened to [batch, columns]), in the order of the ids.
        shape: shape of the ids without the batch dimension.
    """

    cell: HashEmbeddingLookup
    input_index: int
    columns: Tuple[int, ...]
    shape: Tuple[int, ...]

    def bags(self, inputs: Sequence[Input], rows: int) -> Optional[Bags]:
        """Return what this call reads of the first `rows` rows; None where there is one id in each place."""
        source = inputs[self.input_index]
        return source.first_rows(rows).of_columns(self.columns) if isinstance(source, Bags) else None

    def ids(self, inputs: Sequence[Input]) -> np.ndarray:
        """Return the ids of this call, int64 [rows, columns], a view where all columns are read in order; of bags
        what the graph gets in their place."""
        source = graph_array(inputs[self.input_index])
        flat = source.reshape(source.shape[0], -1)
        if self.columns != tuple(range(flat.shape[1])):
            flat = flat[:, list(self.columns)]
        return flat.astype(np.int64, copy=False)


def lookup_cells(network: nn.Cell) -> List[HashEmbeddingLookup]:
    """Return the lookups of a network, each named after its table.

    Raises:
        ValueError: two of them have the same table name.
    """
    found: Dict[str, HashEmbeddingLookup] = {}
    for path, cell in network.cells_and_names():
        if isinstance(cell, HashEmbeddingLookup) and cell not in found.values():
            cell.table_name = cell.table_name or path.replace(".", "_") or "embedding"
            if cell.table_name in found:
                raise ValueError(f"two HashEmbeddingLookup are named {cell.table_name!r}; give each its own name")
            cell.table.name = cell.table_name
            found[cell.table_name] = cell
    return list(found.values())


def trace_lookups(network: nn.Cell, given: Sequence[Input]) -> List[LookupCall]:
    """Run `network` once on inputs whose integers are replaced by codes, and read off what each lookup was given.

    Raises:
        ValueError: ids were computed, or mix several inputs.
    """
    inputs = [graph_array(column) for column in given]
    coded: List[np.ndarray] = []
    owners: List[int] = []
    base = 0
    for k, array in enumerate(inputs):
        if array.dtype in (np.int64, np.int32) and array.ndim >= 1:
            codes = np.arange(base, base + array.size, dtype=array.dtype).reshape(array.shape)
            owners += [k] * array.size
            base += array.size
            coded.append(codes)
        else:
            coded.append(array)
    owner_of = np.array(owners, dtype=np.int64)
    calls: List[LookupCall] = []

    def record(cell: HashEmbeddingLookup, ids: Tensor) -> Tensor:
        calls.append(_decode(cell, ids.asnumpy(), inputs, coded, owner_of))
        return Tensor(np.zeros((*ids.shape, cell.embedding_size), np.float32))

    training = network.training
    network.set_train(False)
    try:
        with recorded(lookup_cells(network), record), pynative():
            network(*[Tensor(array) for array in coded])
    finally:
        network.set_train(training)
    return calls


def _decode(
    cell: HashEmbeddingLookup,
    seen: np.ndarray,
    inputs: Sequence[np.ndarray],
    coded: Sequence[np.ndarray],
    owner_of: np.ndarray,
) -> LookupCall:
    refusal = (
        f"lookup {cell.table_name!r}: its ids must be an integer input of the network or constant columns of one, "
        f"in the order of the rows"
    )
    if seen.dtype not in (np.int64, np.int32):
        raise ValueError(f"{refusal}; got {seen.dtype}")
    codes = seen.reshape(seen.shape[0], -1) if seen.ndim else seen.reshape(1, 1)
    if codes.size == 0 or codes.min() < 0 or codes.max() >= owner_of.size:
        raise ValueError(f"{refusal}; they were computed")
    index = int(owner_of[codes[0, 0]])
    source = coded[index].reshape(inputs[index].shape[0], -1)
    columns = codes[0] - source[0, 0]
    inside = (columns >= 0).all() and (columns < source.shape[1]).all()
    if codes.shape[0] != source.shape[0] or not inside or not np.array_equal(source[:, columns], codes):
        raise ValueError(f"{refusal}; they were computed or come from several inputs")
    return LookupCall(cell, index, tuple(int(c) for c in columns), tuple(seen.shape[1:]))


@contextmanager
def recorded(
    cells: Sequence[HashEmbeddingLookup], record: Callable[[HashEmbeddingLookup, Tensor], Tensor]
) -> Iterator[None]:
    """Let the lookups report their ids, and return what `record` makes of them, instead of rows."""
    for cell in cells:
        object.__setattr__(cell, "construct", lambda ids, cell=cell: record(cell, ids))
    try:
        yield
    finally:
        for cell in cells:
            object.__delattr__(cell, "construct")


@contextmanager
def pynative() -> Iterator[None]:
    """Run cells op by op, without compiling them."""
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    try:
        yield
    finally:
        ms.set_context(mode=mode)
