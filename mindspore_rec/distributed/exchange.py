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

    Arrays that come back may be those that went in, so neither is changed while the other is needed. What is wrong
    on all ranks alike is a ValueError after which the exchange still works; after any other error it does not.

    Attributes:
        rank: number of this one, from 0.
        size: how many there are.

    Raises:
        ExchangeError: by each call, another rank is gone, or did not answer in time.
    """

    rank: int
    size: int

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum of all ranks' arrays, added in the order of their numbers: the same bits on every rank.

        Args:
            array: float32 or float64, of one type and shape on all ranks.

        Raises:
            ValueError: it is of another type, or of another size than another rank's.
        """

    def all_to_all(self, parts: Sequence[np.ndarray]) -> List[np.ndarray]:
        """Send `parts[r]` to rank r; return what each rank sent to this one, by its number.

        Args:
            parts: arrays of one type and shape but for the first dimension, which may be 0, also across ranks.

        Raises:
            ValueError: they are not one for each rank, or not of one type and shape.
        """

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        """Return all ranks' arrays, by their number, on every rank.

        Args:
            array: of one type and shape on all ranks but for the first dimension.

        Raises:
            ValueError: they are not of one type and shape.
        """

    def broadcast(self, content: bytes, root: int = 0) -> bytes:
        """Return what rank `root` gave; the others' content does not matter.

        Raises:
            ValueError: there is no rank `root`.
        """

    def close(self) -> None:
        """Leave, once all ranks do; a second call does nothing. A rank that failed ends without it."""


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
