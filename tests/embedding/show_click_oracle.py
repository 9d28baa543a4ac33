"""Paddle's show-click accessor in plain Python, an id at a time (ctr_accessor.cc, memory_sparse_table.cc PushSparse).

Arithmetic is float32, as there. Beside it, what a table with `ShowClick` admission does: a row is made when an id is
pushed whose score has reached the threshold before, Paddle's vector at the end of the push that reaches it.
"""

from dataclasses import dataclass
from typing import Dict, Set

import numpy as np

_NONE = np.float32(0)


@dataclass
class Feature:
    """What the accessor keeps of an id.

    Attributes:
        has_vector: in Paddle.
        has_row: in a table of vectors of ours; `row_delta` is its delta_score.
        pushed_since, shrunk_since: whether the id was, since it got its vector in Paddle.
    """

    unseen_days: int = 0
    delta_score: np.float32 = _NONE
    show: np.float32 = _NONE
    click: np.float32 = _NONE
    has_vector: bool = False
    has_row: bool = False
    row_delta: np.float32 = _NONE
    pushed_since: bool = False
    shrunk_since: bool = False


@dataclass
class Accessor:
    """A table of features; the settings are Paddle's."""

    nonclk_coeff: float
    click_coeff: float
    embedx_threshold: float
    show_click_decay_rate: float
    delete_threshold: float
    delete_after_unseen_days: int
    base_threshold: float
    delta_threshold: float
    delta_keep_days: int

    def __post_init__(self) -> None:
        self.features: Dict[int, Feature] = {}

    def score(self, show: np.float32, click: np.float32) -> np.float32:
        """ShowClickScore."""
        return (show - click) * np.float32(self.nonclk_coeff) + click * np.float32(self.click_coeff)

    def push(self, id_: int, shows: int, clicks: int) -> None:
        """A batch had the id `shows` times, `clicks` of them clicked."""
        feature = self.features.setdefault(id_, Feature())
        before = self.score(feature.show, feature.click)
        if not feature.has_row and before >= np.float32(self.embedx_threshold):
            feature.has_row, feature.row_delta = True, before
        grown = self.score(np.float32(shows), np.float32(clicks))
        feature.show += np.float32(shows)
        feature.click += np.float32(clicks)
        feature.delta_score += grown
        feature.row_delta += grown if feature.has_row else _NONE
        feature.unseen_days = 0
        feature.pushed_since = feature.has_vector
        feature.has_vector |= bool(self.score(feature.show, feature.click) >= np.float32(self.embedx_threshold))

    def shrink(self) -> None:
        """The end of a day: decay, then delete."""
        for id_, feature in list(self.features.items()):
            feature.show *= np.float32(self.show_click_decay_rate)
            feature.click *= np.float32(self.show_click_decay_rate)
            feature.shrunk_since |= feature.has_vector
            low = self.score(feature.show, feature.click) < np.float32(self.delete_threshold)
            if low or feature.unseen_days > self.delete_after_unseen_days:
                del self.features[id_]

    def saved(self, base: bool) -> Set[int]:
        """The ids that a base or a delta saves; their delta_score becomes 0."""
        ids = set()
        for id_, feature in self.features.items():
            if self._kept(feature) and (base or feature.delta_score >= np.float32(self.delta_threshold)):
                feature.delta_score = _NONE
                ids.add(id_)
        return ids

    def saved_rows(self, base: bool) -> Set[int]:
        """Likewise, of a table of vectors of ours, which goes by the delta_score of its own rows."""
        ids = set()
        for id_, feature in self.features.items():
            enough = base or feature.row_delta >= np.float32(self.delta_threshold)
            if feature.has_row and self._kept(feature) and enough:
                feature.row_delta = _NONE
                ids.add(id_)
        return ids

    def age(self) -> None:
        """The checkpoint at the end of a day."""
        for feature in self.features.values():
            feature.unseen_days += 1

    def _kept(self, feature: Feature) -> bool:
        high = self.score(feature.show, feature.click) >= np.float32(self.base_threshold)
        return bool(high) and feature.unseen_days <= self.delta_keep_days
