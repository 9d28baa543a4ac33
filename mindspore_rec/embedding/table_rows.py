"""Rows as they leave a table: for the files of an export, and for a checkpoint as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

import numpy as np


@dataclass(frozen=True)
class TableRows:
    """Ids with their rows, ascending by id as an unsigned number.

    Attributes:
        ids: int64[r], each once.
        weights: float32[r, dim].
        slots: float32[r, k] by the name of the slot: the optimizer's, and delta_score where the table keeps it. k is
            `dim`, or 1 where a row has one value of it.
        show, click: float32[r]; zeros where the table keeps no statistics.
        unseen_days: int32[r], likewise: days that ended since an id was last trained.
    """

    ids: np.ndarray
    weights: np.ndarray
    slots: Dict[str, np.ndarray]
    show: np.ndarray
    click: np.ndarray
    unseen_days: np.ndarray

    def __len__(self) -> int:
        return self.ids.size


@dataclass(frozen=True)
class ChangedRows:
    """What changed of a table since it was last published.

    Attributes:
        ids: int64[r], each once, ascending as unsigned numbers.
        weights: float32[r, dim], their rows as they are now.
        removed: int64[k], likewise: ids that were published and are no longer; none of `ids`.
    """

    ids: np.ndarray
    weights: np.ndarray
    removed: np.ndarray
