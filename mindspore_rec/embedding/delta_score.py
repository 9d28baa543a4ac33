"""How much the score of an id grew since an export last saved it: Paddle's delta_score, one more slot of its row.

It grows by the score of what a batch showed of the id (see `statistics.score`) and becomes 0 where the export of a base
or of a delta saves the row. A slot is part of the row, so checkpoints, their deltas and digests have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from numba import njit

from mindspore_rec.embedding.optimizers import ApplyRange, Slot
from mindspore_rec.embedding.row_store import SparseOptimizer
from mindspore_rec.embedding.statistics import check_finite, score

NAME = "delta_score"  # of the slot


@dataclass(frozen=True)
class DeltaScore:
    """Keep it: (show - click) nonclk_coeff + click click_coeff of each batch, summed."""

    nonclk_coeff: float = 0.1
    click_coeff: float = 1.0

    def __post_init__(self) -> None:
        check_finite(self, "nonclk_coeff", "click_coeff")


@dataclass(frozen=True)
class ScoredOptimizer:
    """An optimizer whose rows have the slot behind its own; it leaves that one alone."""

    optimizer: SparseOptimizer

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """See `SparseOptimizer`."""
        return (*self.optimizer.slots, Slot(NAME, 0.0, per_row=True))

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange:
        """See `SparseOptimizer`."""
        return self.optimizer.kernel(store, rows, grads, step, rates)


class DeltaScores:
    """The slot of all rows. Whoever calls it has said before that the rows change.

    Args:
        column: float32[max_rows], the slot, in the rows.
        rule: what it grows by.

    >>> column = np.zeros(3, np.float32)
    >>> scores = DeltaScores(column, DeltaScore(nonclk_coeff=0.5, click_coeff=2.0))
    >>> scores.grow(np.array([2, -1]), np.array([3, 9], np.int32), np.array([1, 0], np.float32))
    >>> column.tolist()
    [0.0, 0.0, 3.0]
    """

    def __init__(self, column: np.ndarray, rule: DeltaScore) -> None:
        self._column, self._rule = column, rule
        self._coefficients = np.float32(rule.nonclk_coeff), np.float32(rule.click_coeff)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return float32[n], those of rows."""
        scores: np.ndarray = self._column[rows]
        return scores

    def begin(self, rows: np.ndarray, before: np.ndarray) -> None:
        """Begin rows that ids got with the score of what was counted of them before, STATISTICS[n]."""
        self._column[rows] = score(before, self._rule.nonclk_coeff, self._rule.click_coeff)

    def grow(self, rows: np.ndarray, shows: np.ndarray, clicks: Optional[np.ndarray]) -> None:
        """Add what a batch showed; rows of -1 are left out.

        Args:
            rows: int32[n].
            shows: int32[n], how often each id occurs.
            clicks: float32[n], summed labels of those occurrences; None counts as none clicked.
        """
        _grow(self._column, rows, shows, np.empty(0, np.float32) if clicks is None else clicks, *self._coefficients)

    def reset(self, rows: np.ndarray) -> None:
        """Set those of rows to 0."""
        self._column[rows] = 0.0


@njit(cache=True, nogil=True)
def _grow(column, rows, shows, clicks, nonclk_coeff, click_coeff):  # type: ignore[no-untyped-def]
    for k in range(rows.size):
        if rows[k] >= 0:
            click = clicks[k] if clicks.size else np.float32(0.0)
            column[rows[k]] += (np.float32(shows[k]) - click) * nonclk_coeff + click * click_coeff
