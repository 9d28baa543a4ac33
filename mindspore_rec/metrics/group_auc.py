"""GAUC: the AUC within each group of rows, such as the rows of a user, averaged over groups."""

from __future__ import annotations

import reprlib
from typing import Dict, List, Sequence, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mindspore_rec.metrics.columns import binary

_LEAST_COMPACTED = 1 << 16  # cells, below which adding them up is not worth it


class GroupAUC:
    """AUC by group, each weighted by its rows (Zhu et al., 2017, "Optimized Cost per Click in Taobao Display
    Advertising").

    Kept are counts by (group, bucket of the probability): a sparse histogram, whose size is that of what was seen.
    Workers add theirs with `add`, given the `state` of the others.

    Args:
        buckets: equal buckets over [0, 1]; rows of one are ties.

    Examples:
        >>> metric = GroupAUC()
        >>> metric.update([7, 7, 8, 8, 9], [0, 1, 1, 0, 1], [0.2, 0.6, 0.2, 0.6, 0.5])
        >>> metric.auc()  # 1 of two rows and 0 of two rows; group 9 has one class only
        0.5
    """

    def __init__(self, buckets: int = 4096) -> None:
        if not 2 <= buckets <= 1 << 16:
            raise ValueError(f"buckets must be 2 to 65536, got {buckets}")
        self.buckets = buckets
        self._cells: List[_Cells] = []
        self._held = 0  # cells in all of them
        self._summed = 0  # cells after they were last added up

    def update(self, groups: Union[np.ndarray, Sequence[int]], labels: ArrayLike, probabilities: ArrayLike) -> None:
        """Count rows.

        Args:
            groups: one a row: an array of whole numbers, or a list of them from -2^63 to 2^64 - 1; taken as 64 bits, so
                -1 and 2^64 - 1 are one group.
            labels: 0 or 1, as many, any shape.
            probabilities: as many, in [0, 1].

        Raises:
            ValueError: where lengths differ, a group is no whole number of 64 bits, a label is not 0 or 1, or a
                probability is outside [0, 1]; nothing is counted then.
        """
        label_column, probability_column = binary(labels, probabilities)
        given = _bits(groups)
        if given.size != label_column.size:
            raise ValueError(f"groups and labels must have one length, got {given.size} and {label_column.size}")
        outside = (probability_column < 0.0) | (probability_column > 1.0)
        if outside.any():
            raise ValueError(f"probabilities must be in [0, 1], got {probability_column[outside][0]}")
        bucket = np.minimum((probability_column * self.buckets).astype(np.int64), self.buckets - 1).astype(np.uint16)
        positive = label_column.astype(np.int64)
        self._take((given, bucket, 1 - positive, positive))

    def add(self, state: Dict[str, np.ndarray]) -> None:
        """Count what another worker counted, given its `state`.

        Raises:
            ValueError: it has another number of buckets.
        """
        if int(state["buckets"]) != self.buckets:
            raise ValueError(f"buckets must be {self.buckets}, got {int(state['buckets'])}")
        self._take((state["groups"], state["bucket"], state["negatives"], state["positives"]))

    def state(self) -> Dict[str, np.ndarray]:
        """The counts as arrays of one length: groups uint64, bucket uint16, negatives and positives int64; sorted by
        group and bucket, each pair once. ``buckets`` is an int64 scalar."""
        groups, bucket, negatives, positives = self._sum()
        names = {"groups": groups, "bucket": bucket, "negatives": negatives, "positives": positives}
        return {**names, "buckets": np.array(self.buckets, np.int64)}

    def auc(self) -> float:
        """The mean over groups that have both classes, weighted by their rows; 0.5 where there is none."""
        groups, _, negatives, positives = self._sum()
        starts = _starts(groups)
        if not starts.size:
            return 0.5
        below = np.cumsum(negatives) - negatives
        sizes = np.diff(np.r_[starts, groups.size])
        below = below - np.repeat(below[starts], sizes)
        ranks = np.add.reduceat(positives * (below + 0.5 * negatives), starts)
        group_negatives, group_positives = np.add.reduceat(negatives, starts), np.add.reduceat(positives, starts)
        pairs = group_negatives.astype(np.float64) * group_positives
        both = pairs > 0
        if not both.any():
            return 0.5
        rows = (group_negatives + group_positives)[both]
        return float((ranks[both] / pairs[both] * rows).sum() / rows.sum())

    def reset(self) -> None:
        """Forget all rows."""
        self._cells, self._held, self._summed = [], 0, 0

    def _take(self, cells: _Cells) -> None:
        self._cells.append(cells)
        self._held += cells[0].size
        if self._held > max(_LEAST_COMPACTED, 2 * self._summed):
            self._sum()

    def _sum(self) -> _Cells:
        if not self._cells:
            self._cells = [_NONE]
        groups, bucket, negatives, positives = (np.concatenate(column) for column in zip(*self._cells))
        order = np.lexsort((bucket, groups))
        groups, bucket, negatives, positives = groups[order], bucket[order], negatives[order], positives[order]
        starts = _starts(groups, bucket)
        if starts.size:
            negatives, positives = np.add.reduceat(negatives, starts), np.add.reduceat(positives, starts)
            groups, bucket = groups[starts], bucket[starts]
        self._cells = [(groups, bucket, negatives, positives)]
        self._held = self._summed = groups.size
        return self._cells[0]


def _bits(groups: Union[np.ndarray, Sequence[int]]) -> NDArray[np.uint64]:
    """Groups as 64 bits; those of a list one by one, as NumPy makes float64 of small numbers beside large ones."""
    if isinstance(groups, (list, tuple)):
        for group in groups:
            whole = isinstance(group, (int, np.integer)) and not isinstance(group, bool)
            if not whole or not -(1 << 63) <= int(group) < 1 << 64:
                raise ValueError(f"groups must be whole numbers of 64 bits, got {reprlib.repr(group)}")
        return np.array([int(group) % (1 << 64) for group in groups], np.uint64)
    given = np.asarray(groups).reshape(-1)
    if given.size and given.dtype.kind not in "iu":
        raise ValueError(f"groups must be whole numbers of 64 bits, got {given.dtype}")
    return given.astype(np.uint64)


def _starts(*sorted_columns: np.ndarray) -> NDArray[np.int64]:
    """Where a row of sorted columns differs from the one before."""
    if not sorted_columns[0].size:
        return np.zeros(0, np.int64)
    differs = np.zeros(sorted_columns[0].size, bool)
    differs[0] = True
    for column in sorted_columns:
        differs[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(differs)


_Cells = Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # groups, bucket, negatives, positives
_NONE: _Cells = (np.zeros(0, np.uint64), np.zeros(0, np.uint16), np.zeros(0, np.int64), np.zeros(0, np.int64))
