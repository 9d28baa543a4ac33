"""The rows of one batch on their way into and out of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from mindspore import Parameter, Tensor

from mindspore_rec.embedding.bag_ids import BagIds, bags_of_ids, distinct_of_bags
from mindspore_rec.embedding.bags import Pool
from mindspore_rec.embedding.dedupe import DistinctIds, distinct_ids
from mindspore_rec.embedding.id_values import exact_sums, smallest_of_columns, sum_of_rows
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.ranges import in_parallel
from mindspore_rec.embedding.table import Prepared
from mindspore_rec.train.hoist import Input, LookupCall

IdsKey = Tuple[Tuple[int, Tuple[int, ...]], ...]


@dataclass
class TableBlocks:
    """All calls of one lookup: a block of rows for each, in buffers that are filled anew every step.

    Attributes:
        pools: what pooled the rows of the batch that the buffers hold, for each call that reads bags.
    """

    cell: HashEmbeddingLookup
    calls: List[LookupCall]
    buffers: List[np.ndarray]
    rows: Tuple[Parameter, ...]
    ids: Tuple[Parameter, ...]
    pools: Sequence[Optional[Pool]] = ()

    @property
    def key(self) -> IdsKey:
        """What this table reads; tables that read the same share the search for distinct ids."""
        return tuple((call.input_index, call.columns) for call in self.calls)

    @property
    def widths(self) -> List[int]:
        """Columns of each call."""
        return [len(call.columns) for call in self.calls]

    def by_column(self, distinct: DistinctIds, values: Optional[np.ndarray]) -> Optional[np.ndarray]:
        """Return [u], what each id gets of the values of columns, where the lookup has such values."""
        return None if values is None else smallest_of_columns(distinct, values, self.widths)

    def read(self, batch: Prepared, rows: int) -> None:
        """Gather the rows of a batch of `rows` rows."""
        if len(self.buffers) == 1 and not isinstance(batch.distinct, BagIds):
            used = rows * self.widths[0]
            self.cell.table.read(batch, out=self.buffers[0].reshape(-1, self.cell.embedding_size)[:used])
            self.pools = [None]
            self.publish(rows)
        else:
            self.fill(self.cell.table.read(batch), rows, batch.distinct)

    def fill(self, gathered: np.ndarray, rows: int, distinct: DistinctIds) -> None:
        """Take over float32[n, dim], the rows of all calls for a batch of `rows` rows with these ids."""
        begin, dim = 0, self.cell.embedding_size
        bags = distinct.bags if isinstance(distinct, BagIds) else ()
        self.pools = [Pool(each, self.cell.pooling) for each in bags] or [None] * len(self.buffers)
        for k, (buffer, width) in enumerate(zip(self.buffers, self.widths)):
            pool, into = self.pools[k], buffer.reshape(-1, dim)[: rows * width]
            count = pool.values if pool is not None else rows * width
            if pool is not None:
                pool.forward(gathered[begin : begin + count], out=into)
            else:
                into[:] = gathered[begin : begin + count]
            begin += count
        self.publish(rows)

    def gradients(self, grads: Sequence[np.ndarray], rows: int) -> np.ndarray:
        """Return [n, dim], the gradients of the gathered rows, from those of the buffers, [capacity, ..., dim]."""
        parts = [grad[:rows].reshape(-1, self.cell.embedding_size) for grad in grads]
        parts = [part if pool is None else pool.backward(part) for part, pool in zip(parts, self.pools)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def publish(self, rows: int) -> None:
        """Hand buffers with so many rows to the graph, which is done with them once the outputs have been read."""
        for buffer, parameter in zip(self.buffers, self.rows):
            buffer[rows:] = 0.0
            parameter.set_data(Tensor.from_numpy(buffer))


class BatchBlocks:
    """Graph parameters that hold the rows of a batch of up to `capacity` rows, for each lookup of a network.

    Args:
        calls: the lookups.
        capacity: rows there is room for.
        exact: gradients are summed in 64 bits, so that their order does not show in 32.
    """

    def __init__(self, calls: Sequence[LookupCall], capacity: int, exact: bool = False) -> None:
        self.capacity, self.exact = capacity, exact
        cells: Dict[str, List[LookupCall]] = {}
        for call in calls:
            cells.setdefault(call.cell.table_name, []).append(call)
        self.tables = [_make(table_calls, capacity) for table_calls in cells.values()]

    @property
    def row_parameters(self) -> List[Parameter]:
        """The blocks a gradient is wanted for, in the order `sum_gradients` takes it."""
        return [block for table in self.tables for block in table.rows]

    def attach(self) -> None:
        """Make the lookups read these blocks in the next compilation."""
        for table in self.tables:
            table.cell.use_blocks(table.rows, table.ids)

    def fill(self, inputs: Sequence[Input], rows: int, create: bool) -> List[Any]:
        """Gather the rows of the first `rows` rows of `inputs`; the rest of the blocks becomes zero.

        Args:
            create: give unknown ids a row (training); else they read as zeros.

        Returns:
            what `sum_gradients` and `apply` want to know of each table.
        """
        prepared = self.gather(self.distinct(inputs, rows), rows, create)
        self.fill_ids(inputs)
        return prepared

    def distinct(self, inputs: Sequence[Input], rows: int) -> Dict[IdsKey, DistinctIds]:
        """Return the distinct ids of the first `rows` rows of `inputs`, by what tables read."""
        shared: Dict[IdsKey, DistinctIds] = {}
        for table in self.tables:
            if table.key not in shared:
                shared[table.key] = _distinct(table.calls, inputs, rows)
        return shared

    def copy_rows(self, whole: BatchBlocks, begin: int, rows: int, inputs: Sequence[Input]) -> None:
        """Take over `rows` rows from row `begin` on of the blocks of a larger batch; `inputs` are those of the part."""
        for table, source in zip(self.tables, whole.tables):
            for buffer, larger in zip(table.buffers, source.buffers):
                buffer[:rows] = larger[begin : begin + rows]
            table.publish(rows)
        self.fill_ids(inputs)

    def fill_ids(self, inputs: Sequence[Input]) -> None:
        """Hand the ids to lookups that tell calls apart by them."""
        for table in self.tables:
            for k, parameter in enumerate(table.ids):
                call = table.calls[k]
                parameter.set_data(Tensor(call.ids(inputs).reshape(self.capacity, *call.shape)))

    def gather(self, shared: Dict[IdsKey, DistinctIds], rows: int, create: bool) -> List[Any]:
        """Fill the blocks with the rows of the distinct ids of a batch, by what tables read."""

        def prepare(table: TableBlocks) -> Prepared:
            host, distinct = table.cell.table, shared[table.key]
            if not create:
                return host.find(distinct)
            return host.prepare(distinct, table.by_column(distinct, host.rule_of_column))

        prepared = in_parallel(prepare, self.tables)
        for table, batch in zip(self.tables, prepared):
            table.read(batch, rows)
        return prepared

    def gradients(self, grads: Sequence[np.ndarray], rows: int) -> Iterator[np.ndarray]:
        """Yield float32[n, dim] for each table, the gradients of the rows of the first `rows` rows of the batch."""
        k = 0
        for table in self.tables:
            yield table.gradients(grads[k : k + len(table.calls)], rows)
            k += len(table.calls)

    def sum_gradients(
        self, prepared: Sequence[Any], grads: Sequence[np.ndarray], rows: int, scale: float
    ) -> Tuple[List[np.ndarray], bool]:
        """Sum `scale` times the gradients of the first `rows` rows of the batch by distinct id.

        Returns:
            float32[u, dim] for each table, and whether all of them can be used.
        """
        sums, usable = [], True
        for table, batch, grad in zip(self.tables, prepared, self.gradients(grads, rows)):
            if self.exact:
                exact, good = exact_sums(grad, batch.distinct.inverse, batch.distinct.ids.size, scale)
                total = exact.astype(np.float32)
            else:
                total, good = table.cell.table.sum_gradients(batch, grad, scale)
            sums.append(total)
            usable &= good
        return sums, usable

    def apply(
        self,
        prepared: Sequence[Any],
        sums: Sequence[np.ndarray],
        labels: Optional[np.ndarray] = None,
        seconds: Optional[float] = None,
    ) -> None:
        """Let each table's optimizer update its rows.

        Args:
            labels: [rows, ...], the first of each row is the click that tables count; None where there are none.
            seconds: time of the batch, since 1970; default: now.
        """
        for table, batch, total in zip(self.tables, prepared, sums):
            host, distinct = table.cell.table, batch.distinct
            clicks = None
            if labels is not None and host.has_statistics:
                by_row = labels.reshape(labels.shape[0], -1)[:, 0].astype(np.float32)
                clicks = sum_of_rows(distinct, by_row, table.widths)
            rates = table.by_column(distinct, table.cell.field_factors)
            host.apply(batch, total, rates, clicks=clicks, seconds=seconds)


def _distinct(calls: Sequence[LookupCall], inputs: Sequence[Input], rows: int) -> DistinctIds:
    read = [call.bags(inputs, rows) for call in calls]
    if any(bags is not None for bags in read):
        places = [bags or bags_of_ids(call.ids(inputs)[:rows]) for call, bags in zip(calls, read)]
        return distinct_of_bags(places)
    ids = [call.ids(inputs)[:rows].reshape(-1) for call in calls]
    return distinct_ids(ids[0] if len(ids) == 1 else np.concatenate(ids))


def _make(calls: List[LookupCall], capacity: int) -> TableBlocks:
    cell = calls[0].cell
    name = cell.table_name
    columns = sum(len(call.columns) for call in calls)
    for what, given in (("field_learning_rates", cell.field_factors), ("admission rules", cell.table.rule_of_column)):
        if given is not None and given.size != columns:
            raise ValueError(f"lookup {name!r}: {given.size} {what} for {columns} columns of ids")
    buffers = [np.zeros((capacity, *call.shape, cell.embedding_size), np.float32) for call in calls]
    rows = tuple(Parameter(Tensor(b), name=f"{name}.rows.{capacity}.{k}") for k, b in enumerate(buffers))
    ids: Tuple[Parameter, ...] = ()
    if len(calls) > 1:
        ids = tuple(
            Parameter(
                Tensor(np.zeros((capacity, *call.shape), np.int64)),
                name=f"{name}.ids.{capacity}.{k}",
                requires_grad=False,
            )
            for k, call in enumerate(calls)
        )
    return TableBlocks(cell, calls, buffers, rows, ids)
