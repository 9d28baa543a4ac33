"""The rows of one batch where tables are spread over ranks: fetched from the owners of ids, gradients sent back.

Every method is collective: all ranks call it, a rank without rows with an empty batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.route import Route
from mindspore_rec.embedding.dedupe import DistinctIds
from mindspore_rec.embedding.id_values import exact_sums, sum_gradients, sum_of_rows
from mindspore_rec.embedding.ranges import in_parallel
from mindspore_rec.embedding.row_store import repeat_rows
from mindspore_rec.embedding.table import Prepared
from mindspore_rec.train.blocks import BatchBlocks, IdsKey, TableBlocks
from mindspore_rec.train.hoist import LookupCall


@dataclass(frozen=True)
class Routed:
    """A batch of one table: the way to the owners of its ids, and what was prepared here for all ranks."""

    route: Route
    prepared: Prepared


class ShardedBlocks(BatchBlocks):
    """`BatchBlocks` of tables each rank has a share of.

    Args:
        calls, capacity, exact: as of `BatchBlocks`.
        exchange: between the ranks.
        owners: ranks that own ids.
    """

    def __init__(
        self, calls: Sequence[LookupCall], capacity: int, exact: bool, exchange: Exchange, owners: Sequence[int]
    ) -> None:
        super().__init__(calls, capacity, exact)
        self._exchange, self._owners = exchange, owners

    def gather(self, shared: Dict[IdsKey, DistinctIds], rows: int, create: bool) -> List[Routed]:
        """See `BatchBlocks.gather`."""
        routes = {key: Route(self._exchange, shared[key], self._owners) for key in sorted(shared)}
        rules = {table.cell.table_name: self._rules(table, routes[table.key]) for table in self.tables if create}

        def prepare(table: TableBlocks) -> Prepared:
            host, asked = table.cell.table, routes[table.key].asked
            return host.prepare(asked, rules[table.cell.table_name]) if create else host.find(asked)

        prepared = in_parallel(prepare, self.tables)
        routed = [Routed(routes[table.key], batch) for table, batch in zip(self.tables, prepared)]
        for key in sorted(shared):
            these = [k for k, table in enumerate(self.tables) if table.key == key]
            values = np.concatenate([self.tables[k].cell.table.read(prepared[k]) for k in these], axis=1)
            answered, begin = routes[key].answer(values), 0
            for k in these:
                width = self.tables[k].cell.embedding_size
                weights = np.ascontiguousarray(answered[:, begin : begin + width])
                self.tables[k].fill(repeat_rows(weights, shared[key].inverse), rows)
                begin += width
        return routed

    def sum_gradients(
        self, prepared: Sequence[Routed], grads: Sequence[np.ndarray], rows: int, scale: float
    ) -> Tuple[List[np.ndarray], bool]:
        """See `BatchBlocks.sum_gradients`; sums over this rank's part of the batch."""
        sums, usable = [], True
        for table, batch, grad in zip(self.tables, prepared, self.gradients(grads, rows)):
            distinct = batch.route.distinct
            if self.exact:
                total, good = exact_sums(grad, distinct.inverse, distinct.ids.size, scale)
            else:
                total = np.empty((distinct.ids.size, table.cell.embedding_size), np.float32)
                good = bool(sum_gradients(grad, distinct.inverse, total, np.float32(scale)))
            usable &= good
            sums.append(total)
        return sums, usable

    def apply(
        self,
        prepared: Sequence[Routed],
        sums: Sequence[np.ndarray],
        labels: Optional[np.ndarray] = None,
        seconds: Optional[float] = None,
    ) -> None:
        """See `BatchBlocks.apply`: each rank updates the rows it owns by what all ranks found."""
        told = [self._tell(k, prepared[k], sums[k], labels) for k in range(len(self.tables))]
        for table, batch, (grads, clicks, rates) in zip(self.tables, prepared, told):
            host = table.cell.table
            if self.exact:
                total = exact_sums(grads, batch.route.asked.inverse, batch.route.asked.ids.size, 1.0)[0].astype(
                    np.float32
                )
            else:
                total, _ = host.sum_gradients(batch.prepared, grads)
            host.apply(batch.prepared, total, rates, clicks=clicks, seconds=seconds)

    def _tell(
        self, k: int, batch: Routed, sums: np.ndarray, labels: Optional[np.ndarray]
    ) -> Tuple[np.ndarray, Optional[np.ndarray], Optional[np.ndarray]]:
        """Send sums, clicks and learning rates to the owners; return what came, by id but for sums."""
        table, route = self.tables[k], batch.route
        columns, host, dim = [sums], table.cell.table, sums.shape[1]
        clicked = labels is not None and host.has_statistics
        if clicked and labels is not None:
            by_row = labels.reshape(labels.shape[0], -1)[:, :1].reshape(-1).astype(np.float32)
            columns.append(sum_of_rows(route.distinct, by_row, table.widths)[:, None])
        rates = table.by_column(route.distinct, table.cell.field_factors)
        if rates is not None:
            columns.append(rates[:, None])
        told = route.tell(np.concatenate(columns, axis=1) if len(columns) > 1 else sums)
        inverse, count = route.asked.inverse, route.asked.ids.size
        clicks = np.zeros(count, np.float32) if clicked else None
        if clicks is not None:
            np.add.at(clicks, inverse, told[:, dim])
        least = np.full(count, np.inf, np.float32) if rates is not None else None
        if least is not None:
            np.minimum.at(least, inverse, told[:, -1])
        return np.ascontiguousarray(told[:, :dim]), clicks, least

    def _rules(self, table: TableBlocks, route: Route) -> Optional[np.ndarray]:
        """int32[asked], the number of the admission rule of each id: the smallest that any rank names."""
        found = table.by_column(route.distinct, table.cell.table.rule_of_column)
        if found is None:
            return None
        rules = np.full(route.asked.ids.size, np.iinfo(np.int32).max, np.int32)
        np.minimum.at(rules, route.asked.inverse, route.tell(found[:, None])[:, 0])
        return rules
