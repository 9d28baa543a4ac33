"""What ranks say to each other: one small interface, whatever launched them.

Every call is collective: all ranks make it, in the same order, or all of them wait. Only the training thread calls.
"""

from __future__ import annotations

from typing import List, Protocol, Sequence

import numpy as np


class ExchangeError(RuntimeError):
    """Another rank is gone, or did not answer in time."""


class Exchange(Protocol):
    """The ranks of a job.

    Attributes:
        rank: number of this one, from 0.
        size: how many there are.
    """

    rank: int
    size: int

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum of all ranks' arrays, float32 or float64 of one shape; the same bits on every rank."""

    def all_to_all(self, parts: Sequence[np.ndarray]) -> List[np.ndarray]:
        """Send `parts[r]` to rank r; return what each rank sent to this one, by its number.

        Args:
            parts: arrays of one type and shape but for the first dimension, which may be 0, also across ranks.
        """

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        """Return all ranks' arrays, by their number, on every rank; of one type and shape but for the first dimension."""

    def broadcast(self, content: bytes, root: int = 0) -> bytes:
        """Return what rank `root` gave; the others' content does not matter."""

    def close(self) -> None:
        """Leave; a second call does nothing."""


class Alone:
    """The exchange of a single process.

    >>> Alone().all_to_all([np.array([1, 2])])
    [array([1, 2])]
    """

    rank, size = 0, 1

    def sum(self, array: np.ndarray) -> np.ndarray:
        """See `Exchange`."""
        return array

    def all_to_all(self, parts: Sequence[np.ndarray]) -> List[np.ndarray]:
        """See `Exchange`."""
        return list(parts)

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        """See `Exchange`."""
        return [array]

    def broadcast(self, content: bytes, root: int = 0) -> bytes:
        """See `Exchange`."""
        return content

    def close(self) -> None:
        """See `Exchange`."""
