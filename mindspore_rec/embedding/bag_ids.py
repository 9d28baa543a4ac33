"""The distinct ids of bags, and values of theirs from those of the columns and rows they occur in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from mindspore_rec.embedding.bags import Bags, columns_of_values, rows_of_values
from mindspore_rec.embedding.dedupe import DistinctIds, distinct_ids


@dataclass(frozen=True)
class BagIds(DistinctIds):
    """The distinct ids of the values of one or more lookups of the same rows, one lookup after another.

    Attributes:
        bags: of each lookup.
    """

    bags: Tuple[Bags, ...] = ()

    def smallest_of_columns(self, by_column: np.ndarray, largest: float) -> np.ndarray:
        """Return [u], the smallest of the values of the columns each id occurs in.

        Args:
            by_column: [columns of all lookups].
            largest: value no other is larger than.
        """
        ends = np.cumsum([bags.slots for bags in self.bags])
        parts = [values[columns_of_values(bags)] for bags, values in zip(self.bags, np.split(by_column, ends[:-1]))]
        least = np.full(self.ids.size, largest, by_column.dtype)
        np.minimum.at(least, self.inverse, np.concatenate(parts))
        return least

    def sum_of_rows(self, by_row: np.ndarray) -> np.ndarray:
        """Return float32[u], the sum over the occurrences of each id of `by_row`, float32[rows]."""
        values = np.concatenate([by_row[rows_of_values(bags)] for bags in self.bags])
        return np.bincount(self.inverse, values, self.ids.size).astype(np.float32)


def distinct_of_bags(bags: Sequence[Bags]) -> BagIds:
    """Find the distinct ids of bags.

    >>> found = distinct_of_bags([Bags(1, np.array([7, 8, 7]), np.array([0, 2, 3]))])
    >>> found.ids.tolist(), found.sum_of_rows(np.array([1.0, 10.0], np.float32)).tolist()
    ([7, 8], [11.0, 1.0])
    """
    values = bags[0].ids if len(bags) == 1 else np.concatenate([each.ids for each in bags])
    found = distinct_ids(values)
    return BagIds(found.ids, found.inverse, found.counts, tuple(bags))


def bags_of_ids(ids: np.ndarray) -> Bags:
    """Return bags of one value each of int64[rows, columns]."""
    rows, columns = ids.shape
    return Bags(columns, np.ascontiguousarray(ids).reshape(-1), np.arange(rows * columns + 1))
