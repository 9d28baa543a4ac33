"""Values of distinct ids from those of the columns and rows of a batch in which they occur.

A distinct id is updated once, whatever columns it occurs under. Ids hashed with their field are in one field only; an
id that occurs under several columns of a batch takes the smallest of their values, so that order is no matter.

`distinct` are the ids of one or more lookups of the same rows, each [rows, its columns], one after another; `widths`
are the columns of each lookup.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, Iterator, Sequence, Tuple

import numpy as np
from numba import njit

from mindspore_rec.embedding.bag_ids import BagIds
from mindspore_rec.embedding.dedupe import DistinctIds

SMALLEST, LARGEST = 1e-6, 1e6

# Beyond this the square of a gradient overflows float32 and would put infinity into an optimizer slot.
GRADIENT_LIMIT = np.float32(1e18)


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
    if isinstance(distinct, BagIds):
        return distinct.smallest_of_columns(by_column, _largest(by_column.dtype))
    least = np.full(distinct.ids.size, _largest(by_column.dtype), by_column.dtype)
    for values, inverse in _calls(distinct, np.split(by_column, np.cumsum(widths)[:-1]), widths):
        _least_by_column(inverse, values, least)
    return least


def sum_of_rows(distinct: DistinctIds, by_row: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Return float32[u], the sum over the occurrences of each distinct id of `by_row`, float32[rows].

    >>> from mindspore_rec.embedding.dedupe import distinct_ids
    >>> batch = distinct_ids(np.array([[7, 8], [9, 7]]))
    >>> sum_of_rows(batch, np.array([1.0, 0.5], np.float32), [2]).tolist()
    [1.5, 1.0, 0.5]
    """
    if isinstance(distinct, BagIds):
        return distinct.sum_of_rows(by_row)
    sums = np.zeros(distinct.ids.size, np.float32)
    for values, inverse in _calls(distinct, [by_row] * len(widths), widths):
        _sum_by_row(inverse, values, sums)
    return sums


def _calls(
    distinct: DistinctIds, values: Sequence[np.ndarray], widths: Sequence[int]
) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """The values of each lookup and [rows, its columns] of `inverse`."""
    rows, begin = distinct.inverse.size // max(sum(widths), 1), 0
    for width, given in zip(widths, values):
        yield given, distinct.inverse[begin : begin + rows * width].reshape(rows, width)
        begin += rows * width


def _largest(kind: np.dtype) -> Any:
    return np.iinfo(kind).max if kind.kind == "i" else np.inf


@njit(cache=True, nogil=True)
def _least_by_column(inverse, by_column, least):  # type: ignore[no-untyped-def]
    for row in range(inverse.shape[0]):
        for column in range(inverse.shape[1]):
            k = inverse[row, column]
            least[k] = min(least[k], by_column[column])


@njit(cache=True, nogil=True)
def _sum_by_row(inverse, by_row, sums):  # type: ignore[no-untyped-def]
    for row in range(inverse.shape[0]):
        for column in range(inverse.shape[1]):
            sums[inverse[row, column]] += by_row[row]


@njit(cache=True, nogil=True)
def sum_gradients(grads, inverse, sums, scale):  # type: ignore[no-untyped-def]
    """Sum `scale * grads`, float32[n, dim], by id in the order of the batch; return whether every sum can be used."""
    dim = grads.shape[1]
    sums[:] = np.float32(0.0)
    for i in range(inverse.size):
        total, grad = sums[inverse[i]], grads[i]
        for d in range(dim):
            total[d] += grad[d]
    unusable = np.int32(0)
    for k in range(sums.shape[0]):
        total = sums[k]
        for d in range(dim):
            value = total[d] * scale
            total[d] = value
            unusable |= np.int32(not (abs(value) < GRADIENT_LIMIT))  # of NaN too
    return unusable == 0


def exact_sums(grads: np.ndarray, inverse: np.ndarray, count: int, scale: float) -> Tuple[np.ndarray, bool]:
    """Return float64[count, dim], the sums by id of `scale * grads`, float[n, dim], and whether all can be used."""
    sums = np.empty((count, grads.shape[1]), np.float64)
    return sums, bool(sum_gradients(grads, inverse, sums, np.float64(scale)))
