"""Learning rates by field: each id of a batch gets the factor of the field under which it was looked up.

An optimizer updates a distinct id once, whatever fields it occurs under. Ids hashed with their field are in one field
only; an id that occurs under several fields of a batch takes the smallest of their factors, so that order is no matter.
"""

from __future__ import annotations

from numbers import Real
from typing import Sequence

import numpy as np

from mindspore_rec.embedding.dedupe import DistinctIds

SMALLEST, LARGEST = 1e-6, 1e6


def field_factors(values: Sequence[float]) -> np.ndarray:
    """Return float32[columns], the factors of the columns of ids.

    Raises:
        ValueError: one of them is not a number from 1e-6 to 1e6.
    """
    for column, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, Real) or not SMALLEST <= value <= LARGEST:
            raise ValueError(f"field_learning_rates[{column}] = {value!r}: expected a factor from 1e-6 to 1e6")
    return np.array(values, dtype=np.float32)


def rates_of_ids(distinct: DistinctIds, factors: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Return float32[u], the factor of each distinct id.

    Args:
        distinct: the distinct ids of one or more lookups of the same rows, each [rows, its columns], one after another.
        factors: float32[columns of all lookups], in their order.
        widths: columns of each lookup.

    >>> from mindspore_rec.embedding.dedupe import distinct_ids
    >>> batch = distinct_ids(np.array([[7, 8], [9, 7]]))
    >>> rates_of_ids(batch, np.array([1.0, 0.5], np.float32), [2]).tolist()  # 7 occurs under both
    [0.5, 0.5, 1.0]
    """
    rows = distinct.positions.size // max(factors.size, 1)
    parts = np.split(factors, np.cumsum(widths)[:-1])
    by_position = np.concatenate([np.tile(part, rows) for part in parts])
    return np.minimum.reduceat(by_position[distinct.positions], distinct.starts[:-1])
