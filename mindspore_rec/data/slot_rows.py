"""Ragged rows: any number of ids a slot, as pass-by-pass training takes them from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32, Int64


@dataclass(frozen=True, eq=False)
class SlotRows:
    """n rows of s slots with v values in all; the values of row r in slot k are
    ``ids[offsets[r * s + k] : offsets[r * s + k + 1]]``.

    Attributes:
        num_slots: s.
        ids: int64[v], unsigned 64-bit ids as their bit pattern. Id 0 is kept: padding is the table's business.
        offsets: int64[n * s + 1], from 0 to v, not descending. An empty slot has no value.
        labels: float32[n, 1], 0 or 1.
        dense: float32[n, d], every one finite; d is 0 where the data has no dense slots.
        weights: float32[v], weight of each value; None where every value weighs 1.
        origins: int64[n, 2], number of the file of each row and of the row in it; None where nobody knows.

    Raises:
        ValueError: shapes that do not go together.

    Example:
        >>> labels, dense = np.zeros((2, 1), np.float32), np.zeros((2, 0), np.float32)
        >>> rows = SlotRows(2, np.array([7, 8, 9]), np.array([0, 2, 2, 2, 3]), labels, dense)
        >>> len(rows), [ids.tolist() for ids in np.split(rows.ids, rows.offsets[1:-1])]
        (2, [[7, 8], [], [], [9]])
    """

    num_slots: int
    ids: Int64
    offsets: Int64
    labels: Float32
    dense: Float32
    weights: Optional[Float32] = None
    origins: Optional[Int64] = None

    def __post_init__(self) -> None:
        n, values = len(self.labels), len(self.ids)
        if self.offsets.shape != (n * self.num_slots + 1,) or self.offsets[0] != 0 or self.offsets[-1] != values:
            raise ValueError(
                f"offsets of {n} rows, {self.num_slots} slots and {values} ids must be {n * self.num_slots + 1}, "
                f"from 0 to {values}; got {len(self.offsets)}, from {self.offsets[:1]} to {self.offsets[-1:]}"
            )
        if self.labels.shape != (n, 1) or self.dense.ndim != 2 or len(self.dense) != n:
            raise ValueError(f"labels and dense of {n} rows, got shapes {self.labels.shape} and {self.dense.shape}")
        if self.weights is not None and self.weights.shape != (values,):
            raise ValueError(f"weights must be one an id, [{values}], got {list(self.weights.shape)}")
        if self.origins is not None and self.origins.shape != (n, 2):
            raise ValueError(f"origins of {n} rows must be [{n}, 2], got {list(self.origins.shape)}")

    def __len__(self) -> int:
        return len(self.labels)


def rows_of_fields(ids: Int64, weights: Float32, labels: Float32) -> SlotRows:
    """Rows of one value a slot, without copies.

    Args:
        ids: int64[n, F], C-contiguous.
        weights: float32[n, F], C-contiguous.
        labels: float32[n, 1].
    """
    n, fields = ids.shape
    no_numbers = np.empty((n, 0), np.float32)
    return SlotRows(fields, ids.reshape(-1), np.arange(n * fields + 1), labels, no_numbers, weights.reshape(-1))


def slice_rows(rows: SlotRows, start: int, stop: int) -> SlotRows:
    """Rows ``start`` to ``stop``, clipped as Python's slices are; all but the offsets are views.

    Args:
        rows: n rows.
        start: first row, 0 or more.
        stop: row after the last.
    """
    stop = min(stop, len(rows))
    start = min(start, stop)
    places = rows.offsets[start * rows.num_slots : stop * rows.num_slots + 1]
    first, end = places[0], places[-1]
    return SlotRows(
        rows.num_slots,
        rows.ids[first:end],
        places - first,
        rows.labels[start:stop],
        rows.dense[start:stop],
        None if rows.weights is None else rows.weights[first:end],
        None if rows.origins is None else rows.origins[start:stop],
    )


def concatenate_rows(parts: Sequence[SlotRows]) -> SlotRows:
    """The rows of all parts, in order; one part is returned as it is.

    Raises:
        ValueError: no parts, or parts that differ in slots, dense columns or in having weights or origins.
    """
    kinds = {(part.num_slots, part.dense.shape[1], part.weights is None, part.origins is None) for part in parts}
    if len(kinds) != 1:
        raise ValueError(
            "expected one or more parts with the same slots and dense columns, and all or no weights and origins"
        )
    if len(parts) == 1:
        return parts[0]
    offsets = np.zeros(1 + sum(len(part.offsets) - 1 for part in parts), np.int64)
    place = 1
    for part in parts:
        end = place + len(part.offsets) - 1
        np.add(part.offsets[1:], offsets[place - 1], out=offsets[place:end])
        place = end
    weights = [part.weights for part in parts if part.weights is not None]
    origins = [part.origins for part in parts if part.origins is not None]
    return SlotRows(
        parts[0].num_slots,
        np.concatenate([part.ids for part in parts]),
        offsets,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.dense for part in parts]),
        np.concatenate(weights) if weights else None,
        np.concatenate(origins) if origins else None,
    )


def take_rows(rows: SlotRows, order: Int64) -> SlotRows:
    """Row ``order[i]`` of ``rows`` as row i: a shuffle where ``order`` is a permutation, drawn by the caller.

    Args:
        rows: n rows.
        order: int64[m] from 0 to n - 1; rows may be left out and may come again.

    Raises:
        TypeError: the order is no integers, such as a mask.
        IndexError: there is no such row.
    """
    order = np.asarray(order)
    if order.dtype.kind not in "iu":
        raise TypeError(f"order is {order.dtype}, expected the numbers of rows; of a mask np.flatnonzero makes them")
    order = order.astype(np.int64, copy=False)
    if len(order) and not 0 <= order.min() <= order.max() < len(rows):
        raise IndexError(f"rows {order.min()} to {order.max()} of {len(rows)}")
    starts = rows.offsets[order * rows.num_slots]
    ends = rows.offsets[(order + 1) * rows.num_slots]
    offsets = np.empty(len(order) * rows.num_slots + 1, np.int64)
    _take_offsets(rows.offsets, rows.num_slots, order, offsets)
    ids = np.empty(offsets[-1], np.int64)
    _take_values(rows.ids, starts, ends, ids)
    weights = None
    if rows.weights is not None:
        weights = np.empty(offsets[-1], np.float32)
        _take_values(rows.weights, starts, ends, weights)
    origins = None if rows.origins is None else rows.origins[order]
    return SlotRows(rows.num_slots, ids, offsets, rows.labels[order], rows.dense[order], weights, origins)


@njit(cache=True, nogil=True)
def _take_offsets(offsets: Int64, num_slots: int, order: Int64, taken: Int64) -> None:
    taken[0] = 0
    for i in range(len(order)):
        place, source = i * num_slots, order[i] * num_slots
        shift = taken[place] - offsets[source]
        for k in range(1, num_slots + 1):
            taken[place + k] = offsets[source + k] + shift


@njit(cache=True, nogil=True)
def _take_values(values: np.ndarray, starts: Int64, ends: Int64, taken: np.ndarray) -> None:
    place = 0
    for i in range(len(starts)):
        for position in range(starts[i], ends[i]):
            taken[place] = values[position]
            place += 1
