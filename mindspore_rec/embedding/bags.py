"""Several ids in a place: bags, whose rows a lookup pools into one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np
from numba import njit

POOLINGS = ("sum", "mean", "max")


@dataclass(frozen=True, eq=False)
class Bags:
    """n rows of s slots with v values in all; those of row r in slot k are
    ``ids[offsets[r * s + k] : offsets[r * s + k + 1]]``.

    Attributes:
        slots: s.
        ids: int64[v].
        offsets: int64[n * s + 1].
        weights: float32[v], factor of the row of each value; None where it is 1.
    """

    slots: int
    ids: np.ndarray
    offsets: np.ndarray
    weights: Optional[np.ndarray] = None

    @property
    def shape(self) -> Tuple[int, int]:
        """Rows and slots."""
        return (len(self.offsets) - 1) // self.slots, self.slots

    def of_columns(self, columns: Sequence[int]) -> Bags:
        """Return the bags of some slots of each row.

        >>> bags = Bags(2, np.array([7, 8, 9]), np.array([0, 2, 2, 2, 3]))
        >>> found = bags.of_columns([1])
        >>> found.ids.tolist(), found.offsets.tolist()
        ([9], [0, 0, 1])
        """
        if tuple(columns) == tuple(range(self.slots)):
            return self
        rows = self.shape[0]
        chosen = (np.arange(rows)[:, None] * self.slots + np.asarray(columns)[None, :]).reshape(-1)
        counts = self.offsets[chosen + 1] - self.offsets[chosen]
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
        places = np.repeat(self.offsets[chosen] - offsets[:-1], counts) + np.arange(offsets[-1])
        weights = None if self.weights is None else self.weights[places]
        return Bags(len(columns), self.ids[places], offsets, weights)

    def first_rows(self, rows: int) -> Bags:
        """Return the bags of the first rows; views."""
        offsets = self.offsets[: rows * self.slots + 1]
        end = offsets[-1]
        return Bags(self.slots, self.ids[:end], offsets, None if self.weights is None else self.weights[:end])

    def padded(self, rows: int) -> Bags:
        """Return the bags with empty ones behind them, for so many rows."""
        missing = (rows - self.shape[0]) * self.slots
        if not missing:
            return self
        offsets = np.concatenate((self.offsets, np.full(missing, self.offsets[-1])))
        return Bags(self.slots, self.ids, offsets, self.weights)

    @property
    def placeholder(self) -> np.ndarray:
        """int64[n, s], what a graph gets in their place: the number of the slot, by which lookups tell calls apart."""
        return np.ascontiguousarray(np.broadcast_to(np.arange(self.slots, dtype=np.int64), self.shape))


def rows_of_values(bags: Bags) -> np.ndarray:
    """Return int64[v], the row of each value.

    >>> rows_of_values(Bags(2, np.array([7, 8, 9]), np.array([0, 2, 2, 2, 3]))).tolist()
    [0, 0, 1]
    """
    ends = bags.offsets[:: bags.slots]
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends))


def columns_of_values(bags: Bags) -> np.ndarray:
    """Return int64[v], the slot of each value."""
    return np.repeat(np.arange(len(bags.offsets) - 1) % bags.slots, np.diff(bags.offsets))


class Pool:
    """How the rows of the values of bags become one a bag, and how its gradient becomes theirs.

    With weights w_i and rows x_i: sum is sum(w_i x_i), mean is sum(w_i x_i) / sum(w_i), or over the number of values
    where no weights are; max is the largest w_i x_i of each dimension. An empty bag is zeros.

    Args:
        bags: what is pooled.
        pooling: "sum", "mean" or "max".

    Attributes:
        values: v.

    >>> pool = Pool(Bags(1, np.array([7, 8]), np.array([0, 2, 2])), "mean")
    >>> pool.forward(np.array([[1.0], [3.0]], np.float32)).tolist()
    [[2.0], [0.0]]
    >>> pool.backward(np.array([[1.0], [9.0]], np.float32)).tolist()
    [[0.5], [0.5]]
    """

    def __init__(self, bags: Bags, pooling: str) -> None:
        if pooling not in POOLINGS:
            raise ValueError(f"pooling = {pooling!r}: expected one of {', '.join(POOLINGS)}")
        self.values = int(bags.offsets[-1])
        self._offsets = bags.offsets
        self._factors = _factors(bags, mean=pooling == "mean")
        self._largest: Optional[np.ndarray] = np.empty(0, np.int32) if pooling == "max" else None

    def forward(self, rows: np.ndarray, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Return float32[bags, dim] of float32[v, dim], written to `out` where it is given."""
        shape = (len(self._offsets) - 1, rows.shape[1])
        pooled = np.empty(shape, np.float32) if out is None else out
        if self._largest is None:
            _pool(rows, self._offsets, self._factors, pooled)
        else:
            self._largest = np.empty(shape, np.int32)
            _pool_largest(rows, self._offsets, self._factors, pooled, self._largest)
        return pooled

    def backward(self, grads: np.ndarray) -> np.ndarray:
        """Return the gradients of the values, [v, dim], of those of the bags, float[bags, dim]; after `forward`."""
        found = np.zeros((self.values, grads.shape[1]), grads.dtype)
        if self._largest is None:
            _spread(grads, self._offsets, self._factors, found)
        else:
            _spread_largest(grads, self._largest, self._factors, found)
        return found


def _factors(bags: Bags, mean: bool) -> np.ndarray:
    """float32[v], the factor of each value; empty where all are 1."""
    weights = np.empty(0, np.float32) if bags.weights is None else bags.weights
    if not mean:
        return weights
    counts = np.diff(bags.offsets)
    if bags.weights is None:
        return np.repeat((1.0 / np.maximum(counts, 1)).astype(np.float32), counts)
    totals = np.add.reduceat(np.append(bags.weights, np.float32(0)), bags.offsets[:-1]) * (counts > 0)
    shares = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals != 0)
    return weights * np.repeat(shares, counts)


@njit(cache=True, nogil=True)
def _pool(rows, offsets, factors, pooled):  # type: ignore[no-untyped-def]
    dim, weighted = rows.shape[1], factors.size > 0
    for bag in range(offsets.size - 1):
        total = pooled[bag]
        for d in range(dim):
            total[d] = np.float32(0.0)
        for k in range(offsets[bag], offsets[bag + 1]):
            factor = factors[k] if weighted else np.float32(1.0)
            for d in range(dim):
                total[d] += rows[k, d] * factor


@njit(cache=True, nogil=True)
def _pool_largest(rows, offsets, factors, pooled, largest):  # type: ignore[no-untyped-def]
    dim, weighted = rows.shape[1], factors.size > 0
    for bag in range(offsets.size - 1):
        for d in range(dim):
            best, found = np.float32(0.0), -1
            for k in range(offsets[bag], offsets[bag + 1]):
                value = rows[k, d] * factors[k] if weighted else rows[k, d]
                if found < 0 or value > best:
                    best, found = value, k
            pooled[bag, d], largest[bag, d] = best, found


@njit(cache=True, nogil=True)
def _spread(grads, offsets, factors, found):  # type: ignore[no-untyped-def]
    dim, weighted = grads.shape[1], factors.size > 0
    for bag in range(offsets.size - 1):
        for k in range(offsets[bag], offsets[bag + 1]):
            factor = factors[k] if weighted else np.float32(1.0)
            for d in range(dim):
                found[k, d] = grads[bag, d] * factor


@njit(cache=True, nogil=True)
def _spread_largest(grads, largest, factors, found):  # type: ignore[no-untyped-def]
    weighted = factors.size > 0
    for bag in range(largest.shape[0]):
        for d in range(largest.shape[1]):
            k = largest[bag, d]
            if k >= 0:
                found[k, d] = grads[bag, d] * (factors[k] if weighted else np.float32(1.0))
