"""Which rows of a table an export saves, all that matter or those that changed: Paddle's ctr_accessor.cc, Save."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mindspore_rec.embedding.statistics import check_finite, score


@dataclass(frozen=True)
class ExportRule:
    """A base has the rows of a score of at least `base_threshold` that were unseen for at most `delta_keep_days` days;
    a delta those of them whose delta_score is at least `delta_threshold`.

    The score is (show - click) nonclk_coeff + click click_coeff; the defaults are those of Paddle's slot_dnn.
    """

    nonclk_coeff: float = 0.1
    click_coeff: float = 1.0
    base_threshold: float = 1.5
    delta_threshold: float = 0.25
    delta_keep_days: int = 16

    def __post_init__(self) -> None:
        check_finite(self, "nonclk_coeff", "click_coeff", "base_threshold", "delta_threshold")
        if self.delta_keep_days < 0:
            raise ValueError(f"delta_keep_days = {self.delta_keep_days}: expected 0 or more")

    def base(self, statistics: np.ndarray, unseen_days: np.ndarray) -> np.ndarray:
        """Return bool[n], which rows a base has.

        Args:
            statistics: STATISTICS[n].
            unseen_days: int[n].

        >>> from mindspore_rec.embedding.statistics import STATISTICS
        >>> ExportRule().base(np.array([(15, 0, 0, 0), (14, 0, 0, 0)], STATISTICS), np.array([16, 0])).tolist()
        [True, False]
        """
        scores = score(statistics, self.nonclk_coeff, self.click_coeff)
        chosen: np.ndarray = (scores >= np.float32(self.base_threshold)) & (unseen_days <= self.delta_keep_days)
        return chosen

    def delta(self, statistics: np.ndarray, unseen_days: np.ndarray, delta_scores: np.ndarray) -> np.ndarray:
        """Return bool[n], which rows a delta has; delta_scores is float32[n], the rest as in `base`."""
        chosen: np.ndarray = self.base(statistics, unseen_days) & (delta_scores >= np.float32(self.delta_threshold))
        return chosen
