"""The rows of one batch where tables are spread over ranks: fetched from the owners of ids, gradients sent back.

Every method is collective: all ranks call it, a rank without rows with an empty batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.route import Route
from mindspore_rec.embedding.dedupe import DistinctIds
from mindspore_rec.embedding.id_values import exact_sums, sum_gradients, sum_of_rows
from mindspore_rec.embedding.ranges import in_parallel
from mindspore_rec.embedding.row_store import repeat_rows
from mindspore_rec.embedding.table import Prepared
from mindspore_rec.train.blocks import BatchBlocks, IdsKey, TableBlocks
from mindspore_rec.train.hoist import Input, LookupCall


@dataclass(frozen=True)
class Routed:
    """A batch of one table: the way to the owners of its ids, and what was prepared here for all ranks."""

    route: Route
    prepared: Prepared


@dataclass(frozen=True)
class Fetched:
    """Rows of a batch whose turn has not come.

    Attributes:
        routes: by what tables read.
        answered: float32[u, w + 1] of the distinct ids here: their rows in all tables, and 1 where all had one, else 0.
        known: bool[asked], whether all tables here had a row.
    """

    routes: Dict[IdsKey, Route]
    answered: Dict[IdsKey, np.ndarray]
    known: Dict[IdsKey, np.ndarray]


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
        routes = self._routes(shared)
        prepared = in_parallel(self._find if not create else self._preparation(routes), self._with(routes))
        answered = {key: route.answer(self._values(key, prepared)) for key, route in routes.items()}
        return self._fill(routes, prepared, answered, rows)

    def fetch(self, inputs: Sequence[Input], rows: int) -> Fetched:
        """Ask for the rows of a batch whose turn has not come, as they are now; no table changes."""
        routes = self._routes(self.distinct(inputs, rows))
        found = in_parallel(self._find, self._with(routes))
        known, answered = {}, {}
        for key, route in routes.items():
            known[key] = np.logical_and.reduce([batch.rows >= 0 for batch in self._of(key, found)])
            flags = known[key][route.asked.inverse].astype(np.float32)[:, None]
            answered[key] = route.answer(np.concatenate([self._values(key, found), flags], axis=1))
        return Fetched(routes, answered, known)

    def fill_fetched(self, inputs: Sequence[Input], rows: int, fetched: Fetched) -> List[Routed]:
        """As `fill` where ids get rows, with rows as they were when they were fetched; those of new ids as they are."""
        routes = fetched.routes
        prepared = in_parallel(self._preparation(routes), self._with(routes))
        answered = {}
        for key, route in routes.items():
            answered[key] = np.ascontiguousarray(fetched.answered[key][:, :-1])
            late, wrong = ~fetched.known[key][route.asked.inverse], fetched.answered[key][:, -1] == 0
            route.correct(self._values(key, prepared), late, answered[key], wrong)
        routed = self._fill(routes, prepared, answered, rows)
        self.fill_ids(inputs)
        return routed

    def _routes(self, shared: Dict[IdsKey, DistinctIds]) -> Dict[IdsKey, Route]:
        return {key: Route(self._exchange, shared[key], self._owners) for key in sorted(shared)}

    def _with(self, routes: Dict[IdsKey, Route]) -> List[Tuple[TableBlocks, Route]]:
        return [(table, routes[table.key]) for table in self.tables]

    def _find(self, asked: Tuple[TableBlocks, Route]) -> Prepared:
        table, route = asked
        return table.cell.table.find(route.asked)

    def _preparation(self, routes: Dict[IdsKey, Route]) -> Callable[[Tuple[TableBlocks, Route]], Prepared]:
        """What gives ids their rows; the ranks agree on the rules first."""
        rules = {table.cell.table_name: self._rules(table, route) for table, route in self._with(routes)}

        def prepare(asked: Tuple[TableBlocks, Route]) -> Prepared:
            table, route = asked
            return table.cell.table.prepare(route.asked, rules[table.cell.table_name])

        return prepare

    def _of(self, key: IdsKey, prepared: Sequence[Prepared]) -> List[Prepared]:
        return [batch for table, batch in zip(self.tables, prepared) if table.key == key]

    def _values(self, key: IdsKey, prepared: Sequence[Prepared]) -> np.ndarray:
        """float32[requests, w], the rows of all tables that read the same ids, side by side."""
        tables = [table for table in self.tables if table.key == key]
        return np.concatenate(
            [table.cell.table.read(batch) for table, batch in zip(tables, self._of(key, prepared))], axis=1
        )

    def _fill(
        self, routes: Dict[IdsKey, Route], prepared: Sequence[Prepared], answered: Dict[IdsKey, np.ndarray], rows: int
    ) -> List[Routed]:
        """Take the answers over; `Routed` of each table."""
        begins = dict.fromkeys(routes, 0)
        for table, route in self._with(routes):
            begin, width = begins[table.key], table.cell.embedding_size
            weights = np.ascontiguousarray(answered[table.key][:, begin : begin + width])
            table.fill(repeat_rows(weights, route.distinct.inverse), rows, route.distinct)
            begins[table.key] += width
        return [Routed(route, batch) for (_, route), batch in zip(self._with(routes), prepared)]

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
            values = math.prod(labels.shape[1:])  # of a row; a rank may have no rows
            by_row = labels.reshape(len(labels), values)[:, :1].reshape(-1).astype(np.float32)
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
