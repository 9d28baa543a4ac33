"""A sum over ranks with the same bits on every rank, under every launcher and in every run: it adds in rank order.

An Allreduce may add in another order with another number of bytes, on other hosts or in another library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

import numpy as np

if TYPE_CHECKING:
    from mindspore_rec.distributed.exchange import Exchange

WHOLE = 1 << 15
"""Bytes up to which every rank gets all arrays and adds them: one round instead of two."""


def ordered_sum(exchange: Exchange, array: np.ndarray) -> np.ndarray:
    """Return ``((array of rank 0 + array of rank 1) + ...)``.

    A large array is cut into one slice a rank, each rank adds one slice of all: 2 (size - 1) / size times the
    array's bytes leave a rank, which no other way of summing undercuts.

    Args:
        exchange: gives ``all_to_all`` and ``gather``.
        array: float32 or float64, of one shape on all ranks.

    Raises:
        ValueError: it is of another type.
    """
    if array.dtype not in (np.float32, np.float64):
        raise ValueError(f"expected float32 or float64 to sum, not {array.dtype}")
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.nbytes <= WHOLE or exchange.size == 1:
        return _add(exchange.gather(flat)).reshape(array.shape)
    bounds = [flat.size * rank // exchange.size for rank in range(exchange.size + 1)]
    slices = [flat[start:end] for start, end in zip(bounds, bounds[1:])]
    own = _add(exchange.all_to_all(slices))
    return np.concatenate(exchange.gather(own)).reshape(array.shape)


def _add(arrays: Sequence[np.ndarray]) -> np.ndarray:
    if len({array.size for array in arrays}) > 1:
        raise ValueError(f"arrays to sum differ in size: {[array.size for array in arrays]}")
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total
