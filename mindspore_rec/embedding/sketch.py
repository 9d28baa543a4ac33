"""A counting sketch: how often ids occurred, never too low, in memory that does not grow with the ids.

Cormode, Muthukrishnan 2005, "An Improved Data Stream Summary: The Count-Min Sketch and its Applications", with the
conservative update of Estan, Varghese 2002, "New Directions in Traffic Measurement and Accounting", section 4.2. All
ids of a batch are estimated before any is added, so that their order is no matter.
"""

from __future__ import annotations

from typing import Dict

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64

DEPTH = 4
LARGEST = 65535


class CountingSketch:
    """Counters of 16 bits in four rows, each the next power of two below its share of the bytes.

    Args:
        nbytes: memory, at least 512.
        seed: of the hashes.

    >>> sketch = CountingSketch(4096, seed=1)
    >>> sketch.add(np.array([7, -1]), np.array([3, 1], np.int32))
    >>> sketch.counts(np.array([7, -1, 8])).tolist()
    [3, 1, 0]
    """

    def __init__(self, nbytes: int, seed: int) -> None:
        width = 1 << (max(nbytes, 512) // (2 * DEPTH)).bit_length() - 1
        self._cells = np.zeros((DEPTH, width), np.uint16)
        self._seed = seed

    @property
    def nbytes(self) -> int:
        """Bytes of the counters."""
        return int(self._cells.nbytes)

    def counts(self, ids: np.ndarray) -> np.ndarray:
        """Return int32[n], at least how often each id occurred, as far as 65535."""
        counts: np.ndarray = _counts(self._cells, ids, np.uint64(self._seed))
        return counts

    def add(self, ids: np.ndarray, occurrences: np.ndarray) -> None:
        """Count int32[n] occurrences of ids, int64[n] each once."""
        _raise(self._cells, ids, self.counts(ids), occurrences, np.uint64(self._seed))

    def halve(self) -> None:
        """Divide all counts by two, rounding down."""
        self._cells >>= 1

    def state(self) -> Dict[str, np.ndarray]:
        """Return counters and seed."""
        return {"cells": self._cells, "seed": np.array([self._seed], np.int64)}

    @classmethod
    def of_state(cls, state: Dict[str, np.ndarray]) -> CountingSketch:
        """Return a sketch of what `state` returned."""
        sketch = cls(state["cells"].nbytes, int(state["seed"][0]))
        sketch.load_state(state)
        return sketch

    def load_state(self, state: Dict[str, np.ndarray]) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it is that of a sketch of another size or seed.
        """
        cells, seed = state.get("cells"), state.get("seed", np.empty(0))
        if cells is None or cells.shape != self._cells.shape or cells.dtype != self._cells.dtype:
            raise ValueError(f"table state has no counting sketch uint16{list(self._cells.shape)}")
        if seed.tolist() != [self._seed]:
            raise ValueError(f"table state has a counting sketch of seed {seed.tolist()}, expected {self._seed}")
        self._cells[:] = cells


@njit(cache=True, nogil=True, inline="always")
def _cell(value, row, seed, mask):  # type: ignore[no-untyped-def]
    return np.int64(mix64(np.uint64(value) ^ mix64(seed + np.uint64(row + 1))) & mask)


@njit(cache=True, nogil=True)
def _counts(cells, ids, seed):  # type: ignore[no-untyped-def]
    mask = np.uint64(cells.shape[1] - 1)
    counts = np.empty(ids.size, np.int32)
    for k in range(ids.size):
        least = np.int32(LARGEST)
        for row in range(DEPTH):
            least = min(least, np.int32(cells[row, _cell(ids[k], row, seed, mask)]))
        counts[k] = least
    return counts


@njit(cache=True, nogil=True)
def _raise(cells, ids, before, occurrences, seed):  # type: ignore[no-untyped-def]
    mask = np.uint64(cells.shape[1] - 1)
    for k in range(ids.size):
        count = np.uint16(min(before[k] + occurrences[k], LARGEST))
        for row in range(DEPTH):
            cell = _cell(ids[k], row, seed, mask)
            cells[row, cell] = max(cells[row, cell], count)
