"""Metrics of the rows of a part: of all of them, and within groups."""

from __future__ import annotations

from typing import Optional

import numpy as np

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.metrics.group_auc import GroupAUC
from mindspore_rec.metrics.pass_metrics import PassMetrics, PassSummary


class PartMetrics:
    """Metrics of the rows of a part, or of several.

    Args:
        gauc_place: place of the slot whose first value is the group of a row; None: no GAUC.

    Attributes:
        all: of all rows.
        groups: by group; None where there are none.
    """

    def __init__(self, gauc_place: Optional[int] = None) -> None:
        self.all = PassMetrics()
        self.groups = GroupAUC() if gauc_place is not None else None
        self._place = gauc_place

    def update(self, labels: np.ndarray, probabilities: np.ndarray, groups: Optional[np.ndarray]) -> None:
        """Count rows, float[n, 1] each; groups int64[n] where there are any."""
        self.all.update(labels, probabilities)
        if self.groups is not None and groups is not None:
            self.groups.update(groups, labels, probabilities)

    def groups_of(self, bags: Bags) -> Optional[np.ndarray]:
        """int64[n], the first value of each row in the slot of groups, 0 where it has none; None without a slot."""
        if self._place is None:
            return None
        begins = bags.offsets[self._place : -1 : bags.slots]
        there = bags.offsets[self._place + 1 :: bags.slots] > begins
        groups = np.zeros(bags.shape[0], np.int64)
        groups[there] = bags.ids[begins[there]]
        return groups

    def add(self, other: PartMetrics) -> None:
        """Count what another one counted."""
        self.all.counts = self.all.counts + other.all.counts
        self.all.sums += other.all.sums
        if self.groups is not None and other.groups is not None:
            self.groups.add(other.groups.state())

    def of_all_ranks(self, exchange: Exchange) -> PartMetrics:
        """The metrics of the rows of all ranks. Collective."""
        if exchange.size == 1:
            return self
        total = PartMetrics(self._place)
        total.all.counts = np.sum(exchange.gather(self.all.counts), axis=0)
        total.all.sums += np.sum(exchange.gather(self.all.sums), axis=0)
        if self.groups is not None and total.groups is not None:
            state = self.groups.state()
            buckets = state.pop("buckets")
            by_name = {name: exchange.gather(column) for name, column in state.items()}
            for rank in range(exchange.size):
                columns = {name: columns[rank] for name, columns in by_name.items()}
                total.groups.add({**columns, "buckets": buckets})
        return total

    def summary(self) -> PassSummary:
        """Of all rows."""
        return self.all.summary()

    @property
    def gauc(self) -> Optional[float]:
        """AUC within groups; None without groups."""
        return None if self.groups is None else self.groups.auc()
