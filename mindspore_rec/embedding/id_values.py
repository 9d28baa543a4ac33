"""Values of distinct ids from those of the columns and rows of a batch in which they occur.

A distinct id is updated once, whatever columns it occurs under. Ids hashed with their field are in one field only; an
id that occurs under several columns of a batch takes the smallest of their values, so that order is no matter.

`distinct` are the ids of one or more lookups of the same rows, each [rows, its columns], one after another; `widths`
are the columns of each lookup.
"""

from __future__ import annotations

from numbers import Real
from typing import Sequence

import numpy as np

from mindspore_rec.embedding.dedupe import DistinctIds

SMALLEST, LARGEST = 1e-6, 1e6


def field_factors(values: Sequence[float]) -> np.ndarray:
    """Return float32[columns], the factors of the learning rate of the columns of ids.

    Raises:
        ValueError: one of them is not a number from 1e-6 to 1e6.
    """
    for column, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, Real) or not SMALLEST <= value <= LARGEST:
            raise ValueError(f"field_learning_rates[{column}] = {value!r}: expected a factor from 1e-6 to 1e6")
    return np.array(values, dtype=np.float32)


def smallest_of_columns(distinct: DistinctIds, by_column: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Return [u], the smallest value of each distinct id.

    Args:
        by_column: [columns of all lookups], a value each, in their order.

    >>> from mindspore_rec.embedding.dedupe import distinct_ids
    >>> batch = distinct_ids(np.array([[7, 8], [9, 7]]))
    >>> smallest_of_columns(batch, np.array([1.0, 0.5], np.float32), [2]).tolist()  # 7 occurs under both
    [0.5, 0.5, 1.0]
    """
    rows = distinct.positions.size // max(by_column.size, 1)
    parts = np.split(by_column, np.cumsum(widths)[:-1])
    by_position = np.concatenate([np.tile(part, rows) for part in parts])
    return np.minimum.reduceat(by_position[distinct.positions], distinct.starts[:-1])


def sum_of_rows(distinct: DistinctIds, by_row: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Return float32[u], the sum over the occurrences of each distinct id of `by_row`, float32[rows].

    >>> from mindspore_rec.embedding.dedupe import distinct_ids
    >>> batch = distinct_ids(np.array([[7, 8], [9, 7]]))
    >>> sum_of_rows(batch, np.array([1.0, 0.5], np.float32), [2]).tolist()
    [1.5, 1.0, 0.5]
    """
    by_position = np.concatenate([np.repeat(by_row, width) for width in widths])
    sums: np.ndarray = np.add.reduceat(by_position[distinct.positions], distinct.starts[:-1])
    return sums
